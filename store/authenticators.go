package store

import (
	"context"
	"time"
)

// Passkey is a WebAuthn credential with which a user signs in and confirms (WebAuthn Level 3 §4).
type Passkey struct {
	// ID is the credential ID, chosen by the authenticator: 16 to 1023 bytes.
	ID      []byte
	Subject string
	// PublicKey is the credential's public key as COSE_Key (RFC 9052 §7).
	PublicKey []byte
	// AAGUID names the model of the authenticator, all zero when it is not disclosed.
	AAGUID []byte
	// Name is what its user calls it.
	Name string
	// Synced reports that the credential may be copied to other devices of its user (backup eligibility, §6.1.3), and
	// is therefore not bound to one piece of hardware. It stays set: a copy may exist.
	Synced bool
	// SignCount is the highest signature counter seen (§6.1.1); 0 for authenticators that do not count.
	SignCount uint32
	CreatedAt time.Time
	// UsedAt is zero until the first use.
	UsedAt time.Time
	// ClonedAt is when a signature counter was received that was not higher than the stored one, which indicates a cloned
	// authenticator (§6.1.1). From then on the passkey is refused. Zero otherwise.
	ClonedAt time.Time
}

// PasskeyUse is what a passkey says of one use of it.
type PasskeyUse struct {
	// SignCount is the signature counter. Copies of a synced passkey count each for itself, so that it says nothing there.
	SignCount uint32
	// Synced is the backup eligibility.
	Synced bool
}

// Device is an application, such as a bank's own, that confirms requests for one user.
type Device struct {
	// ID names the device; it is no secret.
	ID      string
	Subject string
	// Name is what the user, or the operator, calls it.
	Name string
	// JKT is the RFC 7638 thumbprint of the key with which the device proves itself; no two devices share one.
	JKT string
	// ACR is the authentication context class of the sign-in under which it was enrolled, or what an operator gave it;
	// empty for one that was enrolled before this was recorded.
	ACR       string
	CreatedAt time.Time
	// UsedAt is zero until the first use.
	UsedAt time.Time
	// KeptAt is when its user decided to keep it, after having added the first passkey; zero otherwise.
	KeptAt time.Time
}

// Enrolment is a one-time code with which an application becomes a [Device] of a user.
type Enrolment struct {
	// ID is the digest of the code.
	ID      Digest
	Subject string
	// ACR becomes that of the [Device].
	ACR       string
	CreatedAt time.Time
	ExpiresAt time.Time
}

// Subscription is where a browser of a user takes web push messages (RFC 8030).
type Subscription struct {
	// ID is the digest of the endpoint.
	ID      Digest
	Subject string
	// Endpoint is the push resource: knowing it and holding the key is enough to wake that browser, and for nothing else.
	Endpoint string
	// KeyID is the kid of the key that the browser expects messages from (RFC 8292 §4).
	KeyID     string
	CreatedAt time.Time
}

// Authenticators are the verbs of passkeys, approval devices and browser notifications.
type Authenticators interface {
	// Session reads an unexpired session of a user who is enabled and exists; ErrNotFound otherwise.
	Session(ctx context.Context, session Digest) (Session, error)
	// StartSession stores a sign-in that no interaction asked for, and ends former, if it is not zero: see [Logouts].
	StartSession(ctx context.Context, session Session, former Digest) error

	// AddPasskey stores a passkey, consumes the one-time values and ends the user's pending enrolment code, all or
	// nothing; ErrConflict when the ID is known, ErrReplayed. With a user's first passkey no device counts as kept.
	AddPasskey(ctx context.Context, passkey Passkey, oneTimes ...OneTime) error
	// Passkey reads one; ErrNotFound.
	Passkey(ctx context.Context, id []byte) (Passkey, error)
	// Passkeys lists a user's, oldest first.
	Passkeys(ctx context.Context, subject string) ([]Passkey, error)
	// UsePasskey records that a passkey was used, and consumes oneTimes. A passkey that is synced, or was ever, stays so. ErrNotFound when it is
	// unknown, or its user is disabled or deleted; ErrRevoked when it was found to be cloned before; ErrReplayed. These
	// change nothing. ErrConflict when the counter of one that is not synced is not higher than the last (0 and 0 is
	// allowed): the clone is recorded and the one-time values consumed.
	UsePasskey(ctx context.Context, id []byte, use PasskeyUse, oneTimes ...OneTime) error
	// RemovePasskey removes one of a user; ErrNotFound.
	RemovePasskey(ctx context.Context, subject string, id []byte) error

	// PutEnrolment stores a code, in place of every other of the same user.
	PutEnrolment(ctx context.Context, enrolment Enrolment) error
	// Enrol consumes a code, stores the device under the code's user and consumes oneTimes, in one transaction; the
	// device's Subject and ACR are ignored and returned. Of all callers one wins. ErrNotFound for a code that is unknown,
	// consumed or replaced, or whose user is disabled; ErrExpired, ErrConflict for a key or an ID that is known, and
	// ErrReplayed change nothing.
	Enrol(ctx context.Context, code Digest, device Device, oneTimes ...OneTime) (Device, error)
	// AddDevice stores a device without a code; ErrConflict for a key or an ID that is known.
	AddDevice(ctx context.Context, device Device) error
	// DeviceByKey reads the device that has a key; ErrNotFound.
	DeviceByKey(ctx context.Context, jkt string) (Device, error)
	// Devices lists a user's, oldest first.
	Devices(ctx context.Context, subject string) ([]Device, error)
	// UseDevice records that a device was used and consumes oneTimes; ErrReplayed, and ErrNotFound when it is unknown or
	// its user is disabled or deleted, change nothing.
	UseDevice(ctx context.Context, id string, oneTimes ...OneTime) error
	// KeepDevices records that a user keeps those devices that are there.
	KeepDevices(ctx context.Context, subject string) error
	// RemoveDevice removes one of a user; ErrNotFound.
	RemoveDevice(ctx context.Context, subject, id string) error

	// PutSubscription stores where a browser takes messages, or reassigns it to another user: a browser has one user.
	PutSubscription(ctx context.Context, subscription Subscription) error
	// Subscriptions lists a user's, oldest first.
	Subscriptions(ctx context.Context, subject string) ([]Subscription, error)
	// RemoveSubscription removes one; one that does not exist is no error.
	RemoveSubscription(ctx context.Context, id Digest) error
}
