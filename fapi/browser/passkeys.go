package browser

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"countersign/fapi/event"
	"countersign/internal/passkey"
	"countersign/store"
)

// PasskeyACR is the authentication context class that a passkey reaches: possession of a key and, by the authenticator,
// verification of the user. It is ours, since no registered one says just that.
const PasskeyACR = "urn:countersign:acr:passkey"

// ErrPasskeyRefused: what the browser sent does not prove a passkey of the user for this step. The user may try again; what
// wraps it says why, for the log.
var ErrPasskeyRefused = errors.New("fapi: the passkey was not accepted")

// The purposes of passkey challenges: an answer to one is no answer to another.
const (
	PurposeSignIn   = "sign-in"
	PurposeDevice   = "device sign-in"
	PurposeRegister = "register"
	PurposeDecide   = "decide"
)

// Passkeys proves passkeys (WebAuthn Level 3 §7.2). A nil *Passkeys has none.
type Passkeys struct {
	Ceremonies *passkey.Ceremonies
	Store      interface {
		Passkey(ctx context.Context, id []byte) (store.Passkey, error)
		UsePasskey(ctx context.Context, id []byte, count uint32, oneTimes ...store.OneTime) error
	}
	Evidence *event.Recorder
	Log      *slog.Logger
}

// Options are the options of a browser to prove a passkey with, as JSON (WebAuthn Level 3 §5.1.9), or "" where there are no
// passkeys. allowed are the passkeys that are accepted; nil is any.
func (p *Passkeys) Options(binding passkey.Binding, allowed []store.Passkey) (string, error) {
	if p == nil {
		return "", nil
	}
	return p.Ceremonies.BeginAssertion(binding, PasskeyIDs(allowed))
}

// PasskeyIDs are the credential IDs of passkeys.
func PasskeyIDs(passkeys []store.Passkey) [][]byte {
	var ids [][]byte
	for _, each := range passkeys {
		ids = append(ids, each.ID)
	}
	return ids
}

// Prove verifies an answer and records the use, which consumes the challenge. With a subject in the binding, only that user's
// passkeys count. Errors wrap [ErrPasskeyRefused], or are the server's own.
func (p *Passkeys) Prove(ctx context.Context, binding passkey.Binding, answer string) (Authentication, error) {
	if p == nil {
		return Authentication{}, fmt.Errorf("%w: this server has no passkeys", ErrPasskeyRefused)
	}
	proven, challenge, err := p.Ceremonies.Assert(binding, answer, func(id []byte) (passkey.Stored, error) {
		found, err := p.Store.Passkey(ctx, id)
		if err == nil && binding.Subject != "" && found.Subject != binding.Subject {
			err = store.ErrNotFound
		}
		return passkey.Stored{Subject: found.Subject, Credential: passkey.Credential{
			ID: found.ID, PublicKey: found.PublicKey, AAGUID: found.AAGUID, Synced: found.Synced, SignCount: found.SignCount,
		}}, err
	})
	if err == nil {
		err = p.Store.UsePasskey(ctx, proven.ID, proven.SignCount, ChallengeOneTime(challenge))
	}
	switch {
	case err == nil:
		return Authentication{Subject: proven.Subject, ACR: PasskeyACR, AMR: methods(proven.Synced)}, nil
	case errors.Is(err, store.ErrConflict):
		p.Log.WarnContext(ctx, "passkey disabled: signature counter did not increase (copied authenticator)", "subject", proven.Subject,
			"correlation_id", event.Of(ctx).CorrelationID)
		p.Evidence.SecurityEvent(ctx, "", "passkey_copied", "subject", proven.Subject)
	case errors.Is(err, passkey.ErrRefused), errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrRevoked), errors.Is(err, store.ErrReplayed):
	default:
		return Authentication{}, err
	}
	return Authentication{}, fmt.Errorf("%w: %w", ErrPasskeyRefused, err)
}

// ChallengeOneTime is the one-time value of a challenge that was answered.
func ChallengeOneTime(challenge passkey.OneTime) store.OneTime {
	return store.OneTime{Kind: "passkey", Key: challenge.Key, Until: challenge.Until}
}

// methods says how a passkey authenticated (RFC 8176 §2): with a key bound to hardware, or with one that may be copied between
// the user's devices; with the user present; and by two factors, since the authenticator verified the user.
func methods(synced bool) []string {
	if synced {
		return []string{"swk", "user", "mfa"}
	}
	return []string{"hwk", "user", "mfa"}
}
