package fapi

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"

	"countersign/internal/passkey"
	"countersign/store"
)

// PasskeyACR is the authentication context class that a passkey reaches: possession of a key and, by the authenticator,
// verification of the person. It is ours, since no registered one says just that.
const PasskeyACR = "urn:countersign:acr:passkey"

// ErrPasskeyRefused: what the browser sent does not prove a passkey of the person for this step. The person may try
// again; what wraps it says why, for the log.
var ErrPasskeyRefused = errors.New("fapi: the passkey was not accepted")

// The purposes of passkey challenges: an answer to one is no answer to another.
const (
	purposeSignIn   = "sign-in"
	purposeDevice   = "device sign-in"
	purposeRegister = "register"
	purposeDecide   = "decide"
)

// newPasskeys makes the ceremonies; nil when the issuer's host cannot have passkeys, or nobody asked for them.
func newPasskeys(ctx context.Context, config Config, seeds *seeds) (*passkey.Ceremonies, error) {
	if config.PasskeyName == "" {
		return nil, nil
	}
	key, err := seeds.get(ctx, "passkey challenges")
	if err != nil {
		return nil, err
	}
	ceremonies, err := passkey.New(passkey.Config{Issuer: config.Issuer, Name: config.PasskeyName, Key: key, Now: config.Now})
	if errors.Is(err, passkey.ErrNoDomain) {
		return nil, nil
	}
	return ceremonies, err
}

// passkeyOptions gives the options to prove a passkey with, or "" where there are none. allowed are the passkeys that
// will do; nil is any.
func (s *Server) passkeyOptions(binding passkey.Binding, allowed []store.Passkey) (string, error) {
	if s.passkeys == nil {
		return "", nil
	}
	return s.passkeys.BeginAssertion(binding, idsOf(allowed))
}

func idsOf(passkeys []store.Passkey) [][]byte {
	var ids [][]byte
	for _, each := range passkeys {
		ids = append(ids, each.ID)
	}
	return ids
}

// provePasskey verifies an answer and records the use, which spends the challenge. With a subject in the binding, only
// that person's passkeys count. Errors wrap [ErrPasskeyRefused], or are the server's own.
func (s *Server) provePasskey(ctx context.Context, binding passkey.Binding, answer string) (Authentication, error) {
	if s.passkeys == nil {
		return Authentication{}, fmt.Errorf("%w: this server has no passkeys", ErrPasskeyRefused)
	}
	proven, claim, err := s.passkeys.Assert(binding, answer, func(id []byte) (passkey.Stored, error) {
		found, err := s.store.Passkey(ctx, id)
		if err == nil && binding.Subject != "" && found.Subject != binding.Subject {
			err = store.ErrNotFound
		}
		return passkey.Stored{Subject: found.Subject, Credential: passkey.Credential{
			ID: found.ID, PublicKey: found.PublicKey, AAGUID: found.AAGUID, Synced: found.Synced, SignCount: found.SignCount,
		}}, err
	})
	if err == nil {
		err = s.store.UsePasskey(ctx, proven.ID, proven.SignCount, passkeyUse(claim))
	}
	switch {
	case err == nil:
		return Authentication{Subject: proven.Subject, ACR: PasskeyACR, AMR: methodsOf(proven.Synced)}, nil
	case errors.Is(err, store.ErrConflict):
		s.log.WarnContext(ctx, "a passkey is refused from now on: its counter did not grow, so there is a copy of it", "subject", proven.Subject)
		s.note(ctx, "", "passkey_copied", "subject", proven.Subject)
	case errors.Is(err, passkey.ErrRefused), errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrRevoked), errors.Is(err, store.ErrReplayed):
	default:
		return Authentication{}, err
	}
	return Authentication{}, fmt.Errorf("%w: %w", ErrPasskeyRefused, err)
}

func passkeyUse(claim passkey.OneTime) store.OneTime {
	return store.OneTime{Kind: "passkey", Key: claim.Key, Until: claim.Until}
}

// methodsOf says how a passkey authenticated (RFC 8176 §2): with a key bound to hardware, or with one that may be copied
// between the person's devices; with the person present; and by two factors, since the authenticator verified the person.
func methodsOf(synced bool) []string {
	if synced {
		return []string{"swk", "user", "mfa"}
	}
	return []string{"hwk", "user", "mfa"}
}

// signInBinding is what a passkey on the sign-in page of an interaction is asked for.
func signInBinding(browser, handle string) passkey.Binding {
	return passkey.Binding{Purpose: purposeSignIn, Browser: browser, Content: handle}
}

// SignInWithPasskey is [Turn.SignIn] by the passkey in the form's parameter "passkey". When it is not accepted it
// writes nothing, and the error wraps [ErrPasskeyRefused].
func (t *Turn) SignInWithPasskey(w http.ResponseWriter, r *http.Request) error {
	authentication, err := t.server.provePasskey(r.Context(), signInBinding(t.browser, t.open.handle), t.Form.Get("passkey"))
	if err != nil {
		return err
	}
	t.server.signIn(w, r, t, authentication)
	return nil
}

// beginSession stores a sign-in that no interaction asked for and gives the browser its cookie, in place of the one it
// had.
func (s *Server) beginSession(w http.ResponseWriter, r *http.Request, a Authentication) error {
	secret, now := newSecret(), s.now()
	session := store.Session{
		ID: store.DigestOf(secret), Subject: a.Subject, AuthTime: now, ACR: a.ACR, AMR: a.AMR, ExpiresAt: now.Add(s.config.SessionLifetime),
	}
	if err := s.store.StartSession(r.Context(), session, sessionOf(r)); err != nil {
		return err
	}
	setCookie(w, sessionCookie, secret, s.config.SessionLifetime)
	return nil
}

// enrolmentCode makes a one-time code with 130 random bits, in letters that a person can read out.
func enrolmentCode() string { return rand.Text() }
