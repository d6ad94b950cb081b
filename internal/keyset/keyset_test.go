package keyset_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/internal/jose"
	"countersign/internal/keyset"
)

// publisher serves a key set over TLS and counts how often it is asked.
type publisher struct {
	*httptest.Server
	asked atomic.Int64

	mu      sync.Mutex
	body    string
	header  http.Header
	status  int
	now     time.Time
	blocked chan struct{}
}

func publish(t testing.TB, keys ...jose.PrivateKey) *publisher {
	t.Helper()
	p := &publisher{status: http.StatusOK, now: time.Unix(1_800_000_000, 0)}
	p.set(keySet(keys...))
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		p.mu.Lock()
		body, header, status, blocked := p.body, p.header, p.status, p.blocked
		p.mu.Unlock()
		if blocked != nil {
			select {
			case <-blocked:
			case <-r.Context().Done():
			}
		}
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *publisher) change(alter func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	alter()
}

func (p *publisher) set(body string) { p.change(func() { p.body = body }) }

func (p *publisher) advance(d time.Duration) { p.change(func() { p.now = p.now.Add(d) }) }

func (p *publisher) clock() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

func (p *publisher) keys(t testing.TB, algorithms ...string) *keyset.Set {
	t.Helper()
	set, err := keyset.New(keyset.Config{URL: p.URL + "/jwks", HTTP: p.Client(), Now: p.clock, Algorithms: algorithms})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func keySet(keys ...jose.PrivateKey) string {
	var each []string
	for _, key := range keys {
		each = append(each, string(key.PublicJWK()))
	}
	return `{"keys":[` + strings.Join(each, ",") + `]}`
}

func newKey(t testing.TB, algorithm string) jose.PrivateKey {
	t.Helper()
	key, err := jose.NewPrivateKey(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// token is one that a key signed, with a kid.
func token(t testing.TB, key jose.PrivateKey, kid string) *jose.Token {
	t.Helper()
	by := key.SigningKey()
	by.ID = kid
	compact, err := jose.Sign(t.Context(), by, "at+jwt", map[string]any{"sub": "alice"})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jose.Parse(compact, jose.ParseOptions{Algorithms: []string{jose.PS256, jose.ES256, jose.EdDSA}})
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// Covers: RS-01. What the issuer's keys signed is accepted, and nothing else.
func TestRS01Keys(t *testing.T) {
	t.Parallel()
	keys := map[string]jose.PrivateKey{}
	for _, algorithm := range []string{jose.PS256, jose.ES256, jose.EdDSA} {
		keys[algorithm] = newKey(t, algorithm)
	}
	p := publish(t, keys[jose.PS256], keys[jose.ES256], keys[jose.EdDSA])
	set := p.keys(t)
	for algorithm, key := range keys {
		t.Run("accepts "+algorithm, func(t *testing.T) {
			if err := set.Verify(t.Context(), token(t, key, key.ID())); err != nil {
				t.Error(err)
			}
			found, err := set.Find(t.Context(), key.ID(), algorithm)
			if err != nil || found.Thumbprint() != key.Key().Thumbprint() {
				t.Errorf("found %v, %v", found, err)
			}
		})
		t.Run("accepts "+algorithm+" without a kid", func(t *testing.T) {
			if err := set.Verify(t.Context(), token(t, key, "")); err != nil {
				t.Error(err)
			}
			if found, err := set.Find(t.Context(), "", algorithm); err != nil || found.ID != key.ID() {
				t.Errorf("found %v, %v", found, err)
			}
		})
		t.Run("refuses another "+algorithm+" key under that kid", func(t *testing.T) {
			if err := set.Verify(t.Context(), token(t, newKey(t, algorithm), key.ID())); !errors.Is(err, jose.ErrSignature) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("refuses the kid of a key for another algorithm", func(t *testing.T) {
		if err := set.Verify(t.Context(), token(t, keys[jose.ES256], keys[jose.PS256].ID())); !errors.Is(err, jose.ErrNoKey) {
			t.Errorf("got %v", err)
		}
		if _, err := set.Find(t.Context(), keys[jose.PS256].ID(), jose.ES256); !errors.Is(err, jose.ErrNoKey) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("refuses an algorithm that is not configured", func(t *testing.T) {
		only := p.keys(t, jose.ES256)
		if err := only.Verify(t.Context(), token(t, keys[jose.PS256], keys[jose.PS256].ID())); !errors.Is(err, jose.ErrAlgorithm) {
			t.Errorf("got %v", err)
		}
		if _, err := only.Find(t.Context(), "", "HS256"); !errors.Is(err, jose.ErrAlgorithm) {
			t.Errorf("got %v", err)
		}
	})
	for name, alter := range map[string]func(map[string]any){
		"a key for encryption":               func(m map[string]any) { m["use"] = "enc" },
		"a key that may not verify":          func(m map[string]any) { m["key_ops"] = []string{"deriveKey"} },
		"a key that says another algorithm":  func(m map[string]any) { m["alg"] = "ES384" },
		"a point that is not on the curve":   func(m map[string]any) { m["x"] = m["y"] },
		"a key on a curve that none here is": func(m map[string]any) { m["crv"] = "secp256k1" },
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			key := newKey(t, jose.ES256)
			var members map[string]any
			if err := json.Unmarshal(key.PublicJWK(), &members); err != nil {
				t.Fatal(err)
			}
			alter(members)
			raw, err := json.Marshal(map[string]any{"keys": []any{members}})
			if err != nil {
				t.Fatal(err)
			}
			bad := publish(t)
			bad.set(string(raw))
			if err := bad.keys(t).Verify(t.Context(), token(t, key, key.ID())); !errors.Is(err, jose.ErrNoKey) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("refuses a set with a private key", func(t *testing.T) {
		bad := publish(t)
		bad.set(`{"keys":[` + string(keys[jose.ES256].PrivateJWK()) + `]}`)
		if err := bad.keys(t).Verify(t.Context(), token(t, keys[jose.ES256], "")); !isUnavailable(err) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("refuses a symmetric key", func(t *testing.T) {
		bad := publish(t)
		bad.set(`{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"k"}]}`)
		if _, err := bad.keys(t).Find(t.Context(), "k", jose.ES256); !errors.Is(err, jose.ErrNoKey) {
			t.Errorf("got %v", err)
		}
	})
}

func isUnavailable(err error) bool {
	_, ok := errors.AsType[*keyset.Error](err)
	return ok
}

// Covers: RS-02. RS256 is for who names it, and then for its own keys.
func TestRS02PKCS1(t *testing.T) {
	t.Parallel()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	by, err := jose.NewSigningKey("k", jose.RS256, private)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := jose.Sign(t.Context(), by, "JWT", map[string]any{"sub": "alice"})
	if err != nil {
		t.Fatal(err)
	}
	public, err := jose.NewKey("k", jose.RS256, private.Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, alg := range map[string]string{"a key of alg RS256": jose.RS256, "a key of no alg": ""} {
		key := public
		key.Algorithm = alg
		body, err := json.Marshal(jose.NewKeySet(key))
		if err != nil {
			t.Fatal(err)
		}
		p := publish(t)
		p.set(string(body))
		named := jose.ParseOptions{Algorithms: []string{jose.RS256}, PKCS1: true}
		t.Run("accepts "+name, func(t *testing.T) {
			parsed, err := jose.Parse(compact, named)
			if err != nil {
				t.Fatal(err)
			}
			set := p.keys(t, jose.RS256)
			if err := set.Verify(t.Context(), parsed); err != nil {
				t.Error(err)
			}
			if found, err := set.Find(t.Context(), "k", jose.RS256); err != nil || found.ID != "k" {
				t.Errorf("found %v, %v", found, err)
			}
		})
		t.Run("refuses "+name+" where RS256 is not named", func(t *testing.T) {
			if _, err := jose.Parse(compact, jose.ParseOptions{Algorithms: []string{jose.RS256}}); !errors.Is(err, jose.ErrAlgorithm) {
				t.Errorf("parsed: %v", err)
			}
			parsed, err := jose.Parse(compact, named)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.keys(t).Verify(t.Context(), parsed); !errors.Is(err, jose.ErrAlgorithm) {
				t.Errorf("got %v", err)
			}
		})
		t.Run("refuses a wrong signature with "+name, func(t *testing.T) {
			cut := strings.LastIndexByte(compact, '.') + 1
			other, err := jose.Sign(t.Context(), by, "JWT", map[string]any{"sub": "mallory"})
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := jose.Parse(compact[:cut]+other[strings.LastIndexByte(other, '.')+1:], named)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.keys(t, jose.RS256).Verify(t.Context(), parsed); !errors.Is(err, jose.ErrSignature) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("refuses a key of alg PS256", func(t *testing.T) {
		p := publish(t, newKey(t, jose.PS256))
		parsed, err := jose.Parse(compact, jose.ParseOptions{Algorithms: []string{jose.RS256}, PKCS1: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.keys(t, jose.RS256).Verify(t.Context(), parsed); !errors.Is(err, jose.ErrNoKey) {
			t.Errorf("got %v", err)
		}
	})
}

// Covers: RS-03. Keys rotate while requests run: one fetch for many, and unknown keys cause a bounded number.
func TestRS03Rotation(t *testing.T) {
	t.Parallel()
	old, young := newKey(t, jose.ES256), newKey(t, jose.ES256)
	t.Run("accepts many at once by one fetch", func(t *testing.T) {
		p := publish(t, old)
		p.change(func() { p.blocked = make(chan struct{}) })
		set := p.keys(t)
		good := token(t, old, old.ID())
		var running sync.WaitGroup
		failures := make(chan error, 100)
		for range 100 {
			running.Go(func() { failures <- set.Verify(t.Context(), good) })
		}
		for p.asked.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		close(p.blocked)
		running.Wait()
		close(failures)
		for err := range failures {
			if err != nil {
				t.Fatal(err)
			}
		}
		if asked := p.asked.Load(); asked != 1 {
			t.Errorf("fetched %d times", asked)
		}
	})
	t.Run("accepts a new key at once", func(t *testing.T) {
		p := publish(t, old)
		set := p.keys(t)
		if err := set.Verify(t.Context(), token(t, old, old.ID())); err != nil {
			t.Fatal(err)
		}
		p.set(keySet(old, young))
		if err := set.Verify(t.Context(), token(t, young, young.ID())); err != nil {
			t.Error(err)
		}
		if _, err := set.Find(t.Context(), young.ID(), jose.ES256); err != nil || p.asked.Load() != 2 {
			t.Errorf("%v after %d fetches", err, p.asked.Load())
		}
	})
	t.Run("refuses a thousand unknown keys with two fetches", func(t *testing.T) {
		p := publish(t, old)
		set := p.keys(t)
		if err := set.Verify(t.Context(), token(t, old, old.ID())); err != nil {
			t.Fatal(err)
		}
		stranger := newKey(t, jose.ES256)
		var unknown []*jose.Token
		for at := range 1000 {
			unknown = append(unknown, token(t, stranger, fmt.Sprint("stranger-", at)))
		}
		var running sync.WaitGroup
		var accepted atomic.Int64
		for _, one := range unknown {
			running.Go(func() {
				if err := set.Verify(t.Context(), one); !errors.Is(err, jose.ErrNoKey) {
					accepted.Add(1)
				}
			})
		}
		running.Wait()
		if asked := p.asked.Load(); accepted.Load() != 0 || asked != 2 {
			t.Errorf("%d answers were others than no key, after %d fetches", accepted.Load(), asked)
		}
		p.advance(31 * time.Second)
		if err := set.Verify(t.Context(), unknown[0]); !errors.Is(err, jose.ErrNoKey) || p.asked.Load() != 3 {
			t.Errorf("%v after %d fetches: half a minute later there is one more", err, p.asked.Load())
		}
	})
	t.Run("refuses a key that was taken out, once its lifetime is over", func(t *testing.T) {
		p := publish(t, old)
		p.change(func() { p.header = http.Header{"Cache-Control": {"public, max-age=120"}} })
		set := p.keys(t)
		if err := set.Verify(t.Context(), token(t, old, old.ID())); err != nil {
			t.Fatal(err)
		}
		p.set(keySet(young))
		p.advance(121 * time.Second)
		if err := set.Verify(t.Context(), token(t, old, old.ID())); !errors.Is(err, jose.ErrNoKey) {
			t.Errorf("got %v", err)
		}
	})
}

// Covers: RS-04. An issuer that does not answer: keys from before are used for a bounded time, and none are made up.
func TestRS04Unreachable(t *testing.T) {
	t.Parallel()
	key := newKey(t, jose.ES256)
	good := token(t, key, key.ID())
	t.Run("accepts by the keys from before for a day", func(t *testing.T) {
		p := publish(t, key)
		set := p.keys(t)
		if err := set.Verify(t.Context(), good); err != nil {
			t.Fatal(err)
		}
		p.change(func() { p.status = http.StatusServiceUnavailable })
		for range 3 {
			p.advance(6 * time.Hour)
			if err := set.Verify(t.Context(), good); err != nil {
				t.Fatal(err)
			}
		}
		p.advance(7 * time.Hour)
		if err := set.Verify(t.Context(), good); !isUnavailable(err) || !strings.Contains(err.Error(), "status 503") {
			t.Errorf("after more than a day: %v", err)
		}
	})
	large := `{"keys":[` + strings.Repeat(" ", jose.MaxKeySetSize) + `]}`
	for name, alter := range map[string]func(*publisher){
		"an error":             func(p *publisher) { p.status = http.StatusInternalServerError },
		"a redirect":           func(p *publisher) { p.status, p.header = http.StatusFound, http.Header{"Location": {"/other"}} },
		"what is no key set":   func(p *publisher) { p.body = `<html>` },
		"a set that is no set": func(p *publisher) { p.body = `{"keys":{}}` },
		"too much":             func(p *publisher) { p.body = large },
		"keys twice":           func(p *publisher) { p.body = `{"keys":[],"keys":[` + string(key.PublicJWK()) + `]}` },
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			p := publish(t, key)
			p.change(func() { alter(p) })
			p.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			set := p.keys(t)
			if err := set.Verify(t.Context(), good); !isUnavailable(err) {
				t.Errorf("got %v", err)
			}
			if _, err := set.Keys(t.Context()); !isUnavailable(err) {
				t.Errorf("got %v", err)
			}
			if asked := p.asked.Load(); asked != 1 {
				t.Errorf("asked %d times within ten seconds", asked)
			}
		})
	}
	t.Run("refuses to wait longer than its caller", func(t *testing.T) {
		p := publish(t, key)
		p.change(func() { p.blocked = make(chan struct{}) })
		defer close(p.blocked)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.keys(t).Verify(ctx, good); !isUnavailable(err) || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	for _, address := range []string{"", "http://issuer.example/jwks", "https:///jwks", "https://user@issuer.example/jwks", "https://issuer.example/jwks#k", "jwks"} {
		t.Run("refuses the address "+address, func(t *testing.T) {
			if _, err := keyset.New(keyset.Config{URL: address}); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// FuzzSet: whatever an address answers, a set has only public keys that fit their algorithms, or there is none.
func FuzzSet(f *testing.F) {
	key := newKey(f, jose.ES256)
	f.Add([]byte(keySet(key)), "public, max-age=60")
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AA"}]}`), "no-store")
	f.Add([]byte(`{"keys":[`+string(key.PrivateJWK())+`]}`), `max-age="99999999999999999999"`)
	f.Add([]byte("\xef\xbb\xbf{\"keys\":[]}"), "max-age=-1")
	f.Fuzz(func(t *testing.T, body []byte, caching string) {
		answer := http.Header{"Cache-Control": {caching}}
		client := &http.Client{Transport: answering(func() *http.Response {
			return &http.Response{StatusCode: http.StatusOK, Header: answer, Body: io.NopCloser(strings.NewReader(string(body)))}
		})}
		set, err := keyset.New(keyset.Config{URL: "https://issuer.example/jwks", HTTP: client, Now: func() time.Time { return time.Unix(1_800_000_000, 0) }})
		if err != nil {
			t.Fatal(err)
		}
		keys, err := set.Keys(t.Context())
		if err != nil {
			if !isUnavailable(err) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		for _, each := range keys.Keys() {
			if _, err := jose.NewKey(each.ID, each.Algorithm, each.Public); err != nil {
				t.Fatalf("a key that is none: %v", err)
			}
		}
		for _, algorithm := range []string{jose.PS256, jose.ES256, jose.EdDSA} {
			found, err := set.Find(t.Context(), "", algorithm)
			if err == nil && found.Algorithm != "" && found.Algorithm != algorithm && found.Algorithm != "Ed25519" {
				t.Fatalf("a key for %s was found for %s", found.Algorithm, algorithm)
			}
		}
	})
}

// answering is a transport that asks nobody.
type answering func() *http.Response

// RoundTrip implements [http.RoundTripper].
func (a answering) RoundTrip(*http.Request) (*http.Response, error) { return a(), nil }
