package fapi_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"countersign/internal/jose"
	"countersign/signer"
)

// verifies tells whether a JWT is good by a key set, as a resource server or client checks it.
func verifies(t *testing.T, token string, set []byte) bool {
	t.Helper()
	keys, err := jose.ParseKeySet(set)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jose.Parse(token, jose.ParseOptions{Algorithms: []string{"PS256", "ES256", "EdDSA"}})
	return err == nil && parsed.VerifyWith(keys) == nil
}

// published is the key set as somebody would fetch it now.
func (w *world) published() []byte {
	w.t.Helper()
	_, body, _ := w.browser().visit(w.issuer + "/jwks")
	return []byte(body)
}

// Covers: ATTACK-49, SP-53. Keys are rotated while tokens are issued. Whoever fetched the key set at most its max-age ago
// verifies every token, each token verifies as long as it lives, and a key signs nothing once it is retiring.
func TestAttack49RotationUnderLoad(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	issued := c.tokens()
	refreshToken := issued.text("refresh_token")
	backend := sharedBackend(t).(interface {
		Generate(context.Context, signer.Algorithm) (signer.Record, error)
	})
	move := func(id string, from, to signer.State) {
		if err := w.store.MoveKey(t.Context(), id, string(from), string(to), w.clock.Now()); err != nil {
			t.Fatal(err)
		}
	}
	old := shared.records[slices.IndexFunc(shared.records, func(r signer.Record) bool { return r.Algorithm == signer.PS256 })]
	cached := w.published() // by a verifier that will not fetch again for as long as it may
	type living struct {
		token string
		ends  time.Time
	}
	var alive []living
	kids := map[string]int{}
	// load refreshes from several clients at once, and judges each token by the cached set.
	load := func(t *testing.T) {
		t.Helper()
		for _, r := range atOnce(slices.Repeat([]func() reply{func() reply { return c.refresh(refreshToken, nil) }}, 4)...) {
			wantActive(t, r)
			token := r.text("access_token")
			header, _ := w.decode(token)
			kids[header.KeyID]++
			if !verifies(t, token, cached) {
				t.Errorf("a token of the key %s does not verify with a key set that is still fresh", header.KeyID)
			}
			alive = append(alive, living{token, w.clock.Now().Add(5 * time.Minute)})
		}
	}
	const maxAge = 5 * time.Minute
	pass := func(t *testing.T, d time.Duration) {
		for range int(d / (30 * time.Second)) {
			w.clock.Advance(30 * time.Second)
			load(t)
		}
	}
	var next signer.Record
	t.Run("accepts every token before, while and after a key is replaced", func(t *testing.T) {
		pass(t, time.Minute)
		var err error
		if next, err = backend.Generate(t.Context(), signer.PS256); err != nil {
			t.Fatal(err)
		}
		next.State, next.Uses = signer.Published, []signer.Use{signer.UseAccessToken, signer.UseIDToken, signer.UseResponse, signer.UseIntrospection}
		addKey(t, w.store, next)
		pass(t, maxAge) // the cached set was fetched before the key was published
		cached = w.published()
		move(next.ID, signer.Published, signer.Active)
		pass(t, time.Minute)
		move(old.ID, signer.Active, signer.Retiring)
		pass(t, 4*time.Minute)
		if kids[old.ID] == 0 || kids[next.ID] == 0 {
			t.Errorf("signatures by key: %v", kids)
		}
	})
	t.Run("accepts what the old key signed to its end", func(t *testing.T) {
		now := w.published()
		for _, one := range alive {
			if one.ends.After(w.clock.Now()) && !verifies(t, one.token, now) {
				t.Error("a living token does not verify with the key set of now")
			}
		}
	})
	t.Run("refuses to sign with the old key", func(t *testing.T) {
		before := kids[old.ID]
		pass(t, 5*time.Minute)
		if kids[old.ID] != before {
			t.Errorf("%d more signatures", kids[old.ID]-before)
		}
	})
	t.Run("refuses a token of a key that is gone", func(t *testing.T) {
		forged := w.ownSignature("PS256", "at+jwt", claimsIn(t, alive[len(alive)-1].token)) // by the old key
		wantActive(t, c.get("/accounts", forged, nil))
		move(old.ID, signer.Retiring, signer.Destroyed)
		w.clock.Advance(10 * time.Second)
		if verifies(t, forged, w.published()) {
			t.Error("the key is still published")
		}
		wantError(t, c.get("/accounts", forged, nil), 401, "invalid_token")
	})
}
