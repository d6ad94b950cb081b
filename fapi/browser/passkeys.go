package browser

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"

	"countersign/fapi/event"
	"countersign/internal/passkey"
	"countersign/store"
)

// PasskeyACR is the authentication context class that a passkey reaches: possession of a key and, by the authenticator,
// verification of the user. It is our own: no registered value has this meaning.
const PasskeyACR = "urn:countersign:acr:passkey"

// ErrPasskeyRefused: the assertion is not valid for this ceremony. The user may try again; the wrapping error has the
// reason, for the log.
var ErrPasskeyRefused = errors.New("fapi: the passkey was not accepted")

// The purposes of passkey challenges. A response to one is not valid for another.
const (
	PurposeSignIn   = "sign-in"
	PurposeDevice   = "device sign-in"
	PurposeRegister = "register"
	PurposeDecide   = "decide"
	PurposeRemove   = "remove"
)

// Passkeys verifies passkey assertions (WebAuthn Level 3 §7.2). A nil *Passkeys refuses all.
type Passkeys struct {
	Ceremonies *passkey.Ceremonies
	Store      interface {
		Passkey(ctx context.Context, id []byte) (store.Passkey, error)
		UsePasskey(ctx context.Context, id []byte, use store.PasskeyUse, oneTimes ...store.OneTime) error
	}
	Evidence *event.Recorder
	Log      *slog.Logger
}

// Options returns the options of navigator.credentials.get, as JSON (WebAuthn Level 3 §5.1.9), or "" when passkeys
// are off. allowed are the passkeys that are accepted; nil is any.
func (p *Passkeys) Options(binding passkey.Binding, allowed []store.Passkey) (string, error) {
	if p == nil {
		return "", nil
	}
	return p.Ceremonies.BeginAssertion(binding, PasskeyIDs(allowed))
}

// PasskeyIDs returns the credential IDs of passkeys.
func PasskeyIDs(passkeys []store.Passkey) [][]byte {
	var ids [][]byte
	for _, each := range passkeys {
		ids = append(ids, each.ID)
	}
	return ids
}

// Prove verifies an assertion and records the use, which consumes the challenge. With a subject in the binding, only
// that user's passkeys are accepted. Errors wrap [ErrPasskeyRefused], or are internal.
func (p *Passkeys) Prove(ctx context.Context, binding passkey.Binding, answer string) (Authentication, error) {
	if p == nil {
		return Authentication{}, fmt.Errorf("%w: this server has no passkeys", ErrPasskeyRefused)
	}
	subject := binding.Subject
	proven, challenge, err := p.Ceremonies.Assert(binding, answer, func(id []byte) (passkey.Stored, error) {
		found, err := p.stored(ctx, id, binding.Subject)
		if err == nil {
			subject = found.Subject
		}
		return found, err
	})
	if err != nil {
		return Authentication{}, refused(err, subject)
	}
	err = p.Store.UsePasskey(ctx, proven.ID, store.PasskeyUse{SignCount: proven.SignCount, Synced: proven.SyncedNow}, ChallengeOneTime(challenge))
	if errors.Is(err, store.ErrConflict) {
		p.Log.WarnContext(ctx, "passkey disabled: signature counter did not increase (copied authenticator)",
			"correlation_id", event.Of(ctx).CorrelationID, "subject", proven.Subject)
		p.Evidence.SecurityEvent(ctx, "", "passkey_copied", "subject", proven.Subject)
	}
	if err != nil {
		return Authentication{}, refused(err, subject)
	}
	changed := proven.SyncedNow != proven.Synced
	if changed {
		p.Log.WarnContext(ctx, "backup flag of a passkey changed",
			"correlation_id", event.Of(ctx).CorrelationID, "subject", proven.Subject)
		p.Evidence.SecurityEvent(ctx, "", "passkey_backup_changed", "subject", proven.Subject, "synced", strconv.FormatBool(proven.SyncedNow))
	}
	return Authentication{
		Subject: proven.Subject, ACR: PasskeyACR, AMR: methods(proven.Synced || proven.SyncedNow), PasskeyChanged: changed,
	}, nil
}

// stored finds a passkey, of one user if subject is not empty.
func (p *Passkeys) stored(ctx context.Context, id []byte, subject string) (passkey.Stored, error) {
	found, err := p.Store.Passkey(ctx, id)
	if err != nil {
		return passkey.Stored{}, err
	}
	if subject != "" && found.Subject != subject {
		return passkey.Stored{}, store.ErrNotFound
	}
	return passkey.Stored{Subject: found.Subject, Credential: passkey.Credential{
		ID: found.ID, PublicKey: found.PublicKey, AAGUID: found.AAGUID, Synced: found.Synced, SignCount: found.SignCount,
	}}, nil
}

// refusedPasskey is an [ErrPasskeyRefused] with its cause, and with whose passkey it was, where that is known.
type refusedPasskey struct {
	cause   error
	subject string
}

// Error implements error.
func (r *refusedPasskey) Error() string { return ErrPasskeyRefused.Error() + ": " + r.cause.Error() }

// Unwrap serves errors.Is.
func (r *refusedPasskey) Unwrap() []error { return []error{ErrPasskeyRefused, r.cause} }

// PasskeyProblem is the problem of an error that wraps [ErrPasskeyRefused], with what the audit log says of it.
func PasskeyProblem(code ProblemCode, err error) Problem {
	problem := Problem{Code: code}
	if known, found := errors.AsType[*refusedPasskey](err); found {
		problem.Subject, problem.Reason = known.subject, "passkey refused: "+known.cause.Error()
	}
	return problem
}

// refused wraps what the browser or its passkey is to blame for in [ErrPasskeyRefused]. Internal errors pass unchanged.
func refused(err error, subject string) error {
	for _, known := range []error{
		passkey.ErrRefused, store.ErrNotFound, store.ErrRevoked, store.ErrReplayed, store.ErrConflict,
	} {
		if errors.Is(err, known) {
			return &refusedPasskey{err, subject}
		}
	}
	return err
}

// ChallengeOneTime returns the one-time value of a challenge.
func ChallengeOneTime(challenge passkey.OneTime) store.OneTime {
	return store.OneTime{Kind: "passkey", Key: challenge.Key, Until: challenge.Until}
}

// methods returns the amr of a passkey (RFC 8176 §2): hwk for a key bound to hardware, swk for one that may be synced
// between devices; user for user presence; mfa because the authenticator verified the user.
func methods(synced bool) []string {
	if synced {
		return []string{"swk", "user", "mfa"}
	}
	return []string{"hwk", "user", "mfa"}
}
