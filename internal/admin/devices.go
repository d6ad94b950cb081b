package admin

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"countersign/internal/admin/fault"
	"countersign/internal/jose"
	"countersign/store"
)

// deviceCodeLife is how long a one-time code for an approval app is valid.
const deviceCodeLife = 10 * time.Minute

// AddDeviceCode issues a one-time code, with which an approval app registers its key for a user. What it may claim is what
// an app may that is enrolled under a sign-in of the authentication context class acr.
func (a *Admin) AddDeviceCode(ctx context.Context, username, acr string) (code string, err error) {
	user, err := a.User(ctx, username)
	if err != nil {
		return "", err
	}
	code = rand.Text()
	now := a.Now()
	return code, a.Store.PutEnrolment(ctx, store.Enrolment{
		ID: store.DigestOf(code), Subject: user.Subject, ACR: acr, CreatedAt: now, ExpiresAt: now.Add(deviceCodeLife),
	})
}

// AddDevice registers the public key of a user's approval app, a JWK, without a code; acr is that of AddDeviceCode. What is
// wrong with the key is an [InputError].
func (a *Admin) AddDevice(ctx context.Context, username, name string, jwk []byte, acr string) (store.Device, error) {
	user, err := a.User(ctx, username)
	if err != nil {
		return store.Device{}, err
	}
	if err := checkDeviceName(name); err != nil {
		return store.Device{}, Usagef("--name: %w", err)
	}
	key, err := jose.ParsePublicJWK(jwk)
	if err != nil {
		return store.Device{}, fault.InInput(err)
	}
	device := store.Device{
		ID: rand.Text(), Subject: user.Subject, Name: name, JKT: key.Thumbprint(), ACR: acr, CreatedAt: a.Now(),
	}
	err = a.Store.AddDevice(ctx, device)
	if errors.Is(err, store.ErrConflict) {
		return store.Device{}, fault.InInput(errors.New("this key belongs to a device already; make a new one"))
	}
	return device, err
}

// Authenticator is what a user approves with: an approval app, a passkey, or a browser that gets notifications.
type Authenticator struct {
	// Kind is "application", "passkey" or "browser".
	Kind string `json:"kind"`
	// ID names it among those of the user. Those of passkeys and browsers have their kind before them, so that none begins
	// with a hyphen.
	ID   string `json:"id"`
	Name string `json:"name"`
	// ACR is, of an application, the authentication context class under which it was enrolled, or empty.
	ACR       string    `json:"acr,omitempty"`
	State     string    `json:"state"`
	CreatedAt time.Time `json:"created_at"`
	UsedAt    time.Time `json:"used_at,omitzero"`
	// remove removes it.
	remove func(context.Context) error
}

// Authenticators lists what a user approves with.
func (a *Admin) Authenticators(ctx context.Context, username string) ([]Authenticator, error) {
	user, err := a.User(ctx, username)
	if err != nil {
		return nil, err
	}
	stored, err := a.Store.UserData(ctx, user.Subject)
	if err != nil {
		return nil, err
	}
	return Users{a}.authenticators(user.Subject, stored), nil
}

// authenticators are those among what is stored of a subject.
func (u Users) authenticators(subject string, stored store.UserData) []Authenticator {
	var all []Authenticator
	for _, d := range stored.Devices {
		all = append(all, Authenticator{
			Kind: "application", ID: d.ID, Name: d.Name, ACR: d.ACR, State: "enabled", CreatedAt: d.CreatedAt, UsedAt: d.UsedAt,
			remove: func(ctx context.Context) error { return u.Store.RemoveDevice(ctx, subject, d.ID) },
		})
	}
	for _, k := range stored.Passkeys {
		state := "enabled"
		if !k.ClonedAt.IsZero() {
			state = "copied"
		}
		all = append(all, Authenticator{
			Kind: "passkey", ID: "passkey:" + base64.RawURLEncoding.EncodeToString(k.ID), Name: k.Name, State: state, CreatedAt: k.CreatedAt, UsedAt: k.UsedAt,
			remove: func(ctx context.Context) error { return u.Store.RemovePasskey(ctx, subject, k.ID) },
		})
	}
	for _, b := range stored.Subscriptions {
		all = append(all, Authenticator{
			Kind: "browser", ID: "browser:" + hex.EncodeToString(b.ID[:8]), Name: "-", State: "enabled", CreatedAt: b.CreatedAt,
			remove: func(ctx context.Context) error { return u.Store.RemoveSubscription(ctx, b.ID) },
		})
	}
	return all
}

// RemoveAuthenticator removes one of them by its ID.
func (a *Admin) RemoveAuthenticator(ctx context.Context, username, id string) error {
	all, err := a.Authenticators(ctx, username)
	if err != nil {
		return err
	}
	missing := fmt.Errorf("%s has no %q; countersign devices list %s shows what there is", username, id, username)
	for _, one := range all {
		if one.ID != id {
			continue
		}
		err := one.remove(ctx)
		if errors.Is(err, store.ErrNotFound) {
			return missing // removed meanwhile
		}
		return err
	}
	return missing
}
