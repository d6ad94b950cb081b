package authorize_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"countersign/fapi/endpoint"
	"countersign/fapi/fapitest"
	"countersign/internal/jose"
	"countersign/signer"
	"countersign/store"
)

// counted is a store that counts the requests and interactions that it took.
type counted struct {
	store.Store
	requests, interactions *atomic.Int64
}

func (c counted) Push(ctx context.Context, request store.Request, oneTimes ...store.OneTime) error {
	err := c.Store.Push(ctx, request, oneTimes...)
	if err == nil {
		c.requests.Add(1)
	}
	return err
}

func (c counted) BeginInteraction(ctx context.Context, interaction store.Interaction) error {
	err := c.Store.BeginInteraction(ctx, interaction)
	if err == nil {
		c.interactions.Add(1)
	}
	return err
}

// newCountedWorld is a world with the limits of a server by default. Its clock stands: what is used up stays used up.
func newCountedWorld(t *testing.T) (*fapitest.World, counted) {
	t.Helper()
	var c counted
	return fapitest.NewWorld(t, fapitest.AllProfiles, fapitest.WithAuditChain, func(config *fapitest.Config) {
		c = counted{config.Store, new(atomic.Int64), new(atomic.Int64)}
		config.Store = c
		config.Limits = endpoint.Limits{ClientPerSecond: 50, ClientBurst: 200, AddressFailuresPerSecond: 5, AddressFailureBurst: 100}
	}), c
}

// opened opens an address once, without following, and returns the status and where it leads.
func opened(t *testing.T, b *fapitest.Browser, address string) (int, string) {
	t.Helper()
	response, err := fapitest.NoRedirects(b).Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode, response.Header.Get("Location")
}

func isInteraction(location string) bool { return strings.Contains(location, "/interaction/") }

// hybrid makes a request object unlike any other.
func hybrid(claims fapitest.Claims) {
	claims["response_type"], claims["state"] = "code id_token", fapitest.RandomString()
}

// Covers: FD-70. A request object by value makes one request in one browser, and evidence once, however often it comes.
func TestFD70OncePerBrowser(t *testing.T) {
	t.Parallel()
	w, made := newCountedWorld(t)
	w.User.Does("wait")
	c := w.Register("client-1", fapitest.FAPI1Advanced)
	address := c.ByValue(hybrid)
	b, other := w.Browser(), w.Browser()
	events := w.NewEvidence(t, func() {
		_, first := opened(t, b, address)
		t.Run("accepts a reload as the same interaction", func(t *testing.T) {
			if _, again := opened(t, b, address); again != first || !isInteraction(first) {
				t.Errorf("sent to %q, then to %q", first, again)
			}
		})
		t.Run("accepts another browser, with an interaction of its own", func(t *testing.T) {
			if _, others := opened(t, other, address); others == first || !isInteraction(others) {
				t.Errorf("sent to %q and %q", first, others)
			}
		})
		t.Run("accepts reloads that race as one", func(t *testing.T) {
			before := made.requests.Load()
			raced := c.ByValue(hybrid)
			racing := w.Browser()
			opened(t, racing, c.ByValue(hybrid)) // for its cookie
			before++
			var mu sync.Mutex
			places := map[string]int{}
			var all sync.WaitGroup
			for range 12 {
				all.Go(func() {
					_, to := opened(t, racing, raced)
					mu.Lock()
					places[to]++
					mu.Unlock()
				})
			}
			all.Wait()
			if len(places) != 1 || made.requests.Load() != before+1 {
				t.Errorf("sent to %v, %d requests", places, made.requests.Load()-before)
			}
		})
	})
	if kept := objects(events); len(kept) != 3 {
		t.Errorf("%d pieces of evidence", len(kept))
	}
	if n := made.requests.Load(); n != 4 {
		t.Errorf("%d requests", n)
	}
	w.User.Does("allow")
	_, _, to := b.Visit(address)
	if q := fapitest.Fragment(t, to); q.Get("code") == "" {
		t.Fatalf("answered %v", q)
	}
	t.Run("refuses it in a browser where it was answered", func(t *testing.T) {
		_, _, to := b.Visit(address)
		if q := fapitest.Fragment(t, to); q.Get("error") != "invalid_request_object" || !strings.Contains(q.Get("error_description"), "used in this browser before") {
			t.Errorf("answered %v", q)
		}
	})
	t.Run("accepts it in the other browser", func(t *testing.T) {
		_, _, to := other.Visit(address)
		if q := fapitest.Fragment(t, to); q.Get("code") == "" {
			t.Errorf("answered %v", q)
		}
	})
}

// Covers: FD-71. Somebody who replays an object of a client, or sends rubbish in its name, uses up nothing of the client:
// its users are served beside, from other addresses and from the same one.
func TestFD71ReplayFlood(t *testing.T) {
	t.Parallel()
	w, made := newCountedWorld(t)
	w.User.Does("wait")
	c := w.Register("client-1", fapitest.FAPI1Advanced)
	replayed := c.ByValue(hybrid)
	rubbish := w.Issuer + "/authorize?client_id=client-1&response_type=code+id_token&scope=openid&request="
	address := func(i int, value string) string {
		if i%2 == 0 {
			return replayed
		}
		return rubbish + value
	}
	stranger, err := jose.Sign(t.Context(), fapitest.NewKey(t, jose.ES256).SigningKey(), "", c.RequestObjectClaims(c.AuthorizationForm(), hybrid))
	if err != nil {
		t.Fatal(err)
	}
	for from, at := range map[string][2]string{"another address": {"127.0.0.1", "127.0.0.2"}, "the same address": {"127.0.0.5", "127.0.0.5"}} {
		honest, flooding := at[0], at[1]
		t.Run("accepts its users from "+from, func(t *testing.T) {
			const users = 20
			before := made.requests.Load()
			fresh := make([]string, users)
			for i := range fresh {
				fresh[i] = c.ByValue(hybrid)
			}
			var accepted atomic.Int64
			var honestly int
			events := w.NewEvidence(t, func() {
				honestly = fapitest.Beside(t, 8, func(n int) {
					value := "a.b.c.d.e"
					if n == 1 && honest != flooding { // each costs the check of a signature, which counts against the address
						value = stranger
					}
					b := w.BrowserAt(flooding)
					defer b.HTTP.CloseIdleConnections()
					if status, to := opened(t, b, address(n, value)); status == http.StatusSeeOther && isInteraction(to) {
						accepted.Add(1)
					}
				}, users, func(i int) {
					b := w.BrowserAt(honest)
					defer b.HTTP.CloseIdleConnections()
					if status, to := opened(t, b, fresh[i]); status != http.StatusSeeOther || !isInteraction(to) {
						t.Errorf("answered %d, sent to %q", status, to)
					}
				})
			})
			if n := made.requests.Load() - before; n > int64(honestly)+20 || accepted.Load() > 20 {
				t.Errorf("%d requests, %d of them replayed", n, accepted.Load())
			}
			if kept := objects(events); len(kept) > users+1 {
				t.Errorf("%d pieces of evidence", len(kept))
			}
		})
	}
	t.Run("refuses the replay at its address, and accepts it at another", func(t *testing.T) {
		if status, _ := opened(t, w.BrowserAt("127.0.0.2"), replayed); status != http.StatusTooManyRequests {
			t.Errorf("answered %d", status)
		}
		if _, to := opened(t, w.BrowserAt("127.0.0.3"), replayed); !isInteraction(to) {
			t.Errorf("sent to %q", to)
		}
	})
}

// Covers: FD-71. What the header and the shape of an encrypted object tell costs nothing; one that only a key can judge is
// counted by address before it is counted against the client.
func TestFD71Encrypted(t *testing.T) {
	t.Parallel()
	w, _ := newCountedWorld(t)
	w.User.Does("wait")
	record, err := fapitest.SharedBackend(t).(interface {
		Generate(context.Context, signer.Algorithm) (signer.Record, error)
	}).Generate(t.Context(), signer.ECDHES)
	if err != nil {
		t.Fatal(err)
	}
	record.State, record.Uses = signer.Active, []signer.Use{signer.UseRequestObject}
	fapitest.AddKey(t, w.Store, record)
	w.Clock.Advance(11_000_000_000) // longer than the signer goes on with keys that it knows
	_, document, _ := w.Browser().Visit(w.Issuer + "/jwks")
	published, err := jose.ParseKeySet([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	c := w.Register("client-1", fapitest.FAPI1Advanced)
	sealed := func() string {
		query := fapitest.MustURL(t, c.ByValue(hybrid)).Query()
		token, err := published.Encrypt([]byte(query.Get("request")), jose.ECDHES, jose.A256GCM, "JWT")
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	open := func(from, token string) (int, string) {
		b := w.BrowserAt(from)
		defer b.HTTP.CloseIdleConnections()
		return opened(t, b, w.Issuer+"/authorize?"+url.Values{"client_id": {c.ID}, "response_type": {"code id_token"}, "scope": {"openid"}, "request": {token}}.Encode())
	}
	good := sealed()
	parts := strings.Split(good, ".")
	agreements := w.Backend.Agreements()
	for range 250 { // more than the client's burst
		open("127.0.0.2", "a.b.c.d.e")
		open("127.0.0.2", parts[0]+".."+parts[2]+"."+parts[3]+".AAAA") // a tag of the wrong length
	}
	t.Run("refuses rubbish without an operation of the HSM", func(t *testing.T) {
		if n := w.Backend.Agreements() - agreements; n != 0 {
			t.Errorf("%d key agreements", n)
		}
	})
	spoilt := func(i int) string {
		return strings.Join([]string{parts[0], "", parts[2], "AAAA" + strings.Repeat("A", i*4), parts[4]}, ".")
	}
	for i := range 150 {
		open("127.0.0.2", spoilt(i))
	}
	t.Run("refuses an address more than its burst of ciphertexts that fail", func(t *testing.T) {
		if n := w.Backend.Agreements() - agreements; n == 0 || n > 100 {
			t.Errorf("%d key agreements", n)
		}
		if status, _ := open("127.0.0.2", sealed()); status != http.StatusTooManyRequests {
			t.Errorf("answered %d", status)
		}
	})
	t.Run("accepts users of the client beside, also more than may fail", func(t *testing.T) {
		for range 95 {
			if status, to := open("127.0.0.1", sealed()); status != http.StatusSeeOther || !isInteraction(to) {
				t.Fatalf("answered %d, sent to %q", status, to)
			}
		}
	})
	t.Run("refuses an object that is encrypted again and again", func(t *testing.T) {
		query := fapitest.MustURL(t, c.ByValue(hybrid)).Query()
		var accepted int
		for range 30 {
			token, err := published.Encrypt([]byte(query.Get("request")), jose.ECDHES, jose.A256GCM, "JWT")
			if err != nil {
				t.Fatal(err)
			}
			if _, to := open("127.0.0.4", token); isInteraction(to) {
				accepted++
			}
		}
		if accepted != 20 {
			t.Errorf("%d were accepted", accepted)
		}
	})
}
