package tokens_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
	"countersign/signer"
)

// verifies reports whether a JWT is good by a key set, as a resource server or client checks it.
func verifies(t *testing.T, token string, set []byte) bool {
	t.Helper()
	keys, err := jose.ParseKeySet(set)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jose.Parse(token, jose.ParseOptions{Algorithms: []string{"PS256", "ES256", "EdDSA"}})
	return err == nil && parsed.VerifyWith(keys) == nil
}

// Covers: ATTACK-49, SP-53. Keys are rotated while tokens are issued. Whoever fetched the key set at most its max-age ago
// verifies every token, each token verifies as long as it lives, and a key signs nothing once it is retiring.
func TestAttack49RotationUnderLoad(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	issued := c.Tokens()
	refreshToken := issued.Text("refresh_token")
	backend := fapitest.SharedBackend(t).(interface {
		Generate(context.Context, signer.Algorithm) (signer.Record, error)
	})
	move := func(id string, from, to signer.State) {
		if err := w.Store.MoveKey(t.Context(), id, string(from), string(to), w.Clock.Now()); err != nil {
			t.Fatal(err)
		}
	}
	all := fapitest.SharedKeys(t)
	old := all[slices.IndexFunc(all, func(r signer.Record) bool { return r.Algorithm == signer.PS256 })]
	cached := published(w) // by a verifier that will not fetch again for as long as it may
	type living struct {
		token string
		ends  time.Time
	}
	var alive []living
	kids := map[string]int{}
	// load refreshes from several clients at once, and judges each token by the cached set.
	load := func(t *testing.T) {
		t.Helper()
		for _, r := range fapitest.Concurrently(slices.Repeat([]func() fapitest.Reply{func() fapitest.Reply { return c.Refresh(refreshToken, nil) }}, 4)...) {
			fapitest.WantOK(t, r)
			token := r.Text("access_token")
			header, _ := w.Verify(token)
			kids[header.KeyID]++
			if !verifies(t, token, cached) {
				t.Errorf("a token of the key %s does not verify with a key set that is still fresh", header.KeyID)
			}
			alive = append(alive, living{token, w.Clock.Now().Add(5 * time.Minute)})
		}
	}
	const maxAge = 5 * time.Minute
	pass := func(t *testing.T, d time.Duration) {
		for range int(d / (30 * time.Second)) {
			w.Clock.Advance(30 * time.Second)
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
		fapitest.AddKey(t, w.Store, next)
		pass(t, maxAge) // the cached set was fetched before the key was published
		cached = published(w)
		move(next.ID, signer.Published, signer.Active)
		pass(t, time.Minute)
		move(old.ID, signer.Active, signer.Retiring)
		pass(t, 4*time.Minute)
		if kids[old.ID] == 0 || kids[next.ID] == 0 {
			t.Errorf("signatures by key: %v", kids)
		}
	})
	t.Run("accepts what the old key signed to its end", func(t *testing.T) {
		now := published(w)
		for _, one := range alive {
			if one.ends.After(w.Clock.Now()) && !verifies(t, one.token, now) {
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
		forged := w.SignAsServer("PS256", "at+jwt", fapitest.UnverifiedClaims(t, alive[len(alive)-1].token)) // by the old key
		fapitest.WantOK(t, c.Get("/accounts", forged, nil))
		move(old.ID, signer.Retiring, signer.Destroyed)
		w.Clock.Advance(10 * time.Second)
		if verifies(t, forged, published(w)) {
			t.Error("the key is still published")
		}
		fapitest.WantError(t, c.Get("/accounts", forged, nil), 401, "invalid_token")
	})
}

// Covers: SP-53, RULE-31, DP-11, MT-08. Access tokens are short, and a client changes its keys by refreshing.
func TestSP53KeysChange(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, func(c *fapitest.Config) { c.AccessTokenLifetime = 24 * time.Hour })
	c := w.Register("client-1", nil)
	issued := c.Tokens()
	t.Run("accepts 15 minutes and no more, though a day was configured", func(t *testing.T) {
		_, access := w.Verify(issued.Text("access_token"))
		life := access["exp"].(float64) - access["iat"].(float64)
		if life > 900 || issued.Body["expires_in"] != life {
			t.Errorf("%v seconds, expires_in %v", life, issued.Body["expires_in"])
		}
	})
	for name, alter := range map[string]func(*fapitest.Client, map[string]any){"key": nil, "certificate": fapitest.TLSClientAuth} {
		before := w.Register("client with a "+name, alter)
		issued := before.Tokens()
		after := *before
		after.ProofKey = fapitest.NewKey(t, jose.EdDSA)
		if before.Certificate != nil {
			certificate := w.ClientCA.Issue(t, before.ID, w.Clock.Now())
			after.Certificate = &certificate
			after.HTTP = w.Transport(&after)
		}
		fresh := after.Refresh(issued.Text("refresh_token"), nil)
		t.Run("accepts a refresh with a new "+name, func(t *testing.T) {
			fapitest.Good("", nil).Check(t, fresh)
			fapitest.Good("", nil).Check(t, after.Get("/accounts", fresh.Text("access_token"), nil))
		})
		t.Run("refuses the old "+name+" with the new token", func(t *testing.T) {
			fapitest.WantError(t, before.Get("/accounts", fresh.Text("access_token"), nil), 401, "invalid_token")
		})
		t.Run("refuses the new "+name+" with the old token", func(t *testing.T) {
			fapitest.WantError(t, after.Get("/accounts", issued.Text("access_token"), nil), 401, "invalid_token")
		})
	}
	w.Clock.Advance(15 * time.Minute)
	t.Run("refuses the access token after its time", func(t *testing.T) {
		fapitest.WantError(t, c.Get("/accounts", issued.Text("access_token"), nil), 401, "invalid_token")
	})
	t.Run("accepts the refresh token after that", func(t *testing.T) {
		fapitest.Good("", nil).Check(t, c.Refresh(issued.Text("refresh_token"), nil))
	})
}

// published is the key set as somebody would fetch it now.
func published(w *fapitest.World) []byte {
	w.T.Helper()
	_, body, _ := w.Browser().Visit(w.Issuer + "/jwks")
	return []byte(body)
}
