package tokens_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/queue"
	"countersign/signer"
)

// faultyBackend is the HSM with something between it and the server.
type faultyBackend struct {
	signer.Backend
	mu    sync.Mutex
	fault func(ctx context.Context, key signer.Record, message []byte) ([]byte, error)
	calls int
}

// become makes every signature from now on be what fault gives; nil is as it should be.
func (b *faultyBackend) become(fault func(context.Context, signer.Record, []byte) ([]byte, error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fault, b.calls = fault, 0
}

// Sign implements signer.Backend.
func (b *faultyBackend) Sign(ctx context.Context, key signer.Record, message []byte) ([]byte, error) {
	b.mu.Lock()
	fault := b.fault
	b.calls++
	b.mu.Unlock()
	if fault == nil {
		return b.Backend.Sign(ctx, key, message)
	}
	return fault(ctx, key, message)
}

// asked tells how many signatures were asked for since the last change.
func (b *faultyBackend) asked() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls
}

// withFaults puts a faultyBackend between a world's server and its HSM.
func withFaults(t *testing.T, more ...fapitest.Option) (*fapitest.World, *faultyBackend) {
	t.Helper()
	faulty := &faultyBackend{Backend: fapitest.SharedBackend(t)}
	w := fapitest.NewWorld(t, append([]fapitest.Option{func(c *fapitest.Config) {
		var err error
		c.Signer, err = signer.New(t.Context(), signer.Config{Catalogue: fapitest.Catalogue{Store: c.Store}, Replicas: []signer.Replica{{Backend: faulty}}, Now: c.Now})
		if err != nil {
			t.Fatal(err)
		}
	}}, more...)...)
	return w, faulty
}

// Covers: FD-101. A request that is refused because there is too much to sign has consumed nothing: sent again as it is, with
// the same assertion, proof and code, it is answered. One whose HSM failed may have been signed, and its jti stays used.
func TestOverloadConsumesNothing(t *testing.T) {
	t.Parallel()
	w, hsm := withFaults(t)
	c := w.Register("client-1", nil)
	failing := func(err error) func(context.Context, signer.Record, []byte) ([]byte, error) {
		return func(context.Context, signer.Record, []byte) ([]byte, error) { return nil, err }
	}
	overloaded := fmt.Errorf("%w: %w", signer.ErrOverloaded, &queue.RefusedError{Wait: 7 * time.Second})
	for name, test := range map[string]struct {
		fault      error
		retryAfter string
		says       string
		again      int
	}{
		"accepts the same request after too much to do": {overloaded, "7", "more is to be signed", http.StatusOK},
		"refuses the same request after an HSM failed":  {signer.ErrUnavailable, "2", "cannot sign", http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			hsm.become(nil)
			code := c.Authorize()
			var sentForm url.Values
			var sentHeader http.Header
			hsm.become(failing(test.fault))
			first := c.Redeem(code, func(form url.Values, header http.Header) { sentForm, sentHeader = maps.Clone(form), header.Clone() })
			fapitest.WantError(t, first, http.StatusServiceUnavailable, "temporarily_unavailable")
			if first.Header.Get("Retry-After") != test.retryAfter || !strings.Contains(first.Raw, test.says) {
				t.Errorf("%s, Retry-After %q", first.Raw, first.Header.Get("Retry-After"))
			}
			hsm.become(nil)
			again := c.Redeem(code, func(form url.Values, header http.Header) {
				maps.Copy(form, sentForm)
				maps.Copy(header, sentHeader)
			})
			if again.Status != test.again {
				t.Errorf("sent again: %d %s, want %d", again.Status, again.Raw, test.again)
			}
		})
	}
}

// Covers: ATTACK-48, RULE-29. Whatever the HSM does, no token leaves that the published keys do not verify, and what the
// client wanted to consume on it is not consumed.
func TestAttack48FaultyHSM(t *testing.T) {
	t.Parallel()
	w, hsm := withFaults(t)
	c := w.Register("client-1", func(_ *fapitest.Client, m map[string]any) { m["userinfo_signed_response_alg"] = "PS256" })
	sound := fapitest.SharedBackend(t)
	spoiled := func(spoil func([]byte) []byte) func(context.Context, signer.Record, []byte) ([]byte, error) {
		return func(ctx context.Context, key signer.Record, message []byte) ([]byte, error) {
			signature, err := sound.Sign(ctx, key, message)
			if err != nil {
				return nil, err
			}
			return spoil(signature), nil
		}
	}
	failing := func(err error) func(context.Context, signer.Record, []byte) ([]byte, error) {
		return func(context.Context, signer.Record, []byte) ([]byte, error) { return nil, err }
	}
	for name, one := range fapitest.Sorted(map[string]struct {
		fault  func(context.Context, signer.Record, []byte) ([]byte, error)
		status int
		code   string
	}{
		"that flips a bit":        {spoiled(func(s []byte) []byte { s[len(s)-1] ^= 1; return s }), 500, "server_error"},
		"that signs zeros":        {spoiled(func(s []byte) []byte { return make([]byte, len(s)) }), 500, "server_error"},
		"that signs nothing":      {spoiled(func([]byte) []byte { return nil }), 500, "server_error"},
		"that cuts the signature": {spoiled(func(s []byte) []byte { return s[:len(s)/2] }), 500, "server_error"},
		"that signs something else": {func(ctx context.Context, key signer.Record, message []byte) ([]byte, error) {
			return sound.Sign(ctx, key, append(bytes.Clone(message), '.'))
		}, 500, "server_error"},
		"that repeats an old signature": {repeating(sound), 500, "server_error"},
		"that has lost the key":         {failing(signer.ErrNoKey), 503, "temporarily_unavailable"},
		"that is gone":                  {failing(signer.ErrUnavailable), 503, "temporarily_unavailable"},
		"that has too much to do":       {failing(signer.ErrOverloaded), 503, "temporarily_unavailable"},
	}) {
		hsm.become(nil)
		code, issued := c.Authorize(), c.Tokens()
		refused := func(t *testing.T, r fapitest.Reply) {
			t.Helper()
			fapitest.WantError(t, r, one.status, one.code)
			for _, member := range []string{"access_token", "id_token", "refresh_token"} {
				if r.Body[member] != nil {
					t.Errorf("%s left: %s", member, r.Raw)
				}
			}
			if strings.Contains(r.Raw, "eyJ") || one.status == 503 && r.Header.Get("Retry-After") == "" {
				t.Errorf("%v %s", r.Header, r.Raw)
			}
		}
		hsm.become(one.fault)
		t.Run("refuses the code's tokens with an HSM "+name, func(t *testing.T) {
			for range 6 { // a failure of ours does not wear the code out
				refused(t, c.Redeem(code, nil))
			}
		})
		t.Run("refuses a refresh with an HSM "+name, func(t *testing.T) { refused(t, c.Refresh(issued.Text("refresh_token"), nil)) })
		t.Run("refuses a signed UserInfo with an HSM "+name, func(t *testing.T) {
			refused(t, c.Get("/userinfo", issued.Text("access_token"), nil))
		})
		t.Run("accepts what needs no signature with an HSM "+name, func(t *testing.T) {
			fapitest.Good("", nil).Check(t, c.Push(nil))
			fapitest.WantOK(t, c.Get("/accounts", issued.Text("access_token"), nil))
		})
		hsm.become(nil)
		t.Run("accepts the same code and refresh token after an HSM "+name, func(t *testing.T) {
			redeemed := c.Redeem(code, nil)
			if redeemed.Status != http.StatusOK {
				t.Fatalf("%d %s", redeemed.Status, redeemed.Raw)
			}
			fapitest.WantOK(t, c.Get("/accounts", redeemed.Text("access_token"), nil))
			fapitest.WantOK(t, c.Refresh(issued.Text("refresh_token"), nil))
			fapitest.WantOK(t, c.Get("/userinfo", issued.Text("access_token"), nil))
		})
	}
}

// repeating is an HSM that gives its first signature again and again.
func repeating(sound signer.Backend) func(context.Context, signer.Record, []byte) ([]byte, error) {
	var mu sync.Mutex
	first := map[string][]byte{}
	return func(ctx context.Context, key signer.Record, message []byte) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		if first[key.ID] == nil {
			var err error
			if first[key.ID], err = sound.Sign(ctx, key, []byte("something that was signed before")); err != nil {
				return nil, err
			}
		}
		return bytes.Clone(first[key.ID]), nil
	}
}

// Covers: ATTACK-48. An HSM that fails half-way, between the access token and the ID token, releases neither.
func TestAttack48HalfWay(t *testing.T) {
	t.Parallel()
	w, hsm := withFaults(t)
	c := w.Register("client-1", nil)
	sound := fapitest.SharedBackend(t)
	code := c.Authorize()
	signed := 0
	hsm.become(func(ctx context.Context, key signer.Record, message []byte) ([]byte, error) {
		if signed++; signed > 1 {
			return nil, signer.ErrUnavailable
		}
		return sound.Sign(ctx, key, message)
	})
	t.Run("refuses both tokens", func(t *testing.T) {
		r := c.Redeem(code, nil)
		fapitest.WantError(t, r, 503, "temporarily_unavailable")
		if signed != 2 || strings.Contains(r.Raw, "eyJ") {
			t.Errorf("%d signatures were asked for; answered %s", signed, r.Raw)
		}
	})
	hsm.become(nil)
	t.Run("accepts the code afterwards", func(t *testing.T) {
		if r := c.Redeem(code, nil); r.Status != http.StatusOK || r.Text("id_token") == "" {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
}

// Covers: ATTACK-48. A slow HSM keeps nobody else waiting, and what changes while it signs still counts: a grant that ends
// meanwhile gets no token.
func TestAttack48SlowHSM(t *testing.T) {
	t.Parallel()
	w, hsm := withFaults(t)
	c := w.Register("client-1", nil)
	sound := fapitest.SharedBackend(t)
	issued := c.Tokens()
	entered, leave := make(chan struct{}), make(chan struct{})
	hsm.become(func(ctx context.Context, key signer.Record, message []byte) ([]byte, error) {
		entered <- struct{}{}
		<-leave
		return sound.Sign(ctx, key, message)
	})
	answer := make(chan fapitest.Reply)
	go func() { answer <- c.Refresh(issued.Text("refresh_token"), nil) }()
	<-entered
	t.Run("accepts other requests meanwhile", func(t *testing.T) {
		fapitest.Good("", nil).Check(t, c.Push(nil))
		fapitest.WantOK(t, c.Get("/accounts", issued.Text("access_token"), nil))
		fapitest.WantOK(t, c.Revoke(issued.Text("refresh_token"), nil))
	})
	close(leave)
	t.Run("refuses the token that it was signing for a grant that has ended", func(t *testing.T) {
		fapitest.WantError(t, <-answer, 400, "invalid_grant")
	})
}

// Covers: ATTACK-48. The HSM signs nothing for those who have not proven who they are, or whose request is wrong anyway.
func TestAttack48NoSigningForFree(t *testing.T) {
	t.Parallel()
	w, hsm := withFaults(t)
	c, other := w.Register("client-1", nil), w.Register("client-2", nil)
	code, issued := c.Authorize(), c.Tokens()
	hsm.become(nil) // counts again
	for name, r := range map[string]fapitest.Reply{
		"without client authentication": c.Redeem(code, fapitest.Unset("client_assertion")),
		"without a proof":               c.Redeem(code, func(_ url.Values, h http.Header) { h.Del("DPoP") }),
		"with another verifier":         c.Redeem(code, fapitest.Set("code_verifier", strings.Repeat("a", 43))),
		"with another address":          c.Redeem(code, fapitest.Set("redirect_uri", "https://attacker.example/")),
		"by another client":             other.Redeem(code, nil),
		"with an invented code":         c.Redeem(fapitest.RandomString(), nil),
		"of a wider scope":              c.Refresh(issued.Text("refresh_token"), fapitest.Set("scope", "payments")),
		"of another client":             other.Refresh(issued.Text("refresh_token"), nil),
		"of an unknown kind":            c.Redeem(code, fapitest.Set("grant_type", "password")),
	} {
		t.Run("refuses a request "+name, func(t *testing.T) {
			if r.Status < 400 || r.Status >= 500 {
				t.Errorf("%d %s", r.Status, r.Raw)
			}
		})
	}
	t.Run("refuses to bother the HSM with them", func(t *testing.T) {
		if hsm.asked() != 0 {
			t.Errorf("%d signatures", hsm.asked())
		}
	})
	t.Run("accepts a right one with two signatures", func(t *testing.T) {
		if r := c.Redeem(code, nil); r.Status != http.StatusOK || hsm.asked() != 2 {
			t.Errorf("%d %s, %d signatures", r.Status, r.Raw, hsm.asked())
		}
	})
}
