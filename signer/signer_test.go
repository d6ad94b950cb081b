package signer

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// softKeys is a backend and a catalogue of keys in memory.
type softKeys struct {
	mu      sync.Mutex
	records []Record
	private map[string]crypto.Signer
	err     error
	// swap, when set, signs in place of every key.
	swap crypto.Signer
	// spoil, when set, changes each signature.
	spoil func([]byte) []byte
}

func (s *softKeys) Keys(context.Context) ([]Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Record(nil), s.records...), s.err
}

func (s *softKeys) Close() error { return nil }

func (s *softKeys) Sign(_ context.Context, key Record, message []byte) ([]byte, error) {
	s.mu.Lock()
	private, ok := s.private[key.ID]
	if s.swap != nil {
		private = s.swap
	}
	s.mu.Unlock()
	if !ok {
		return nil, ErrNoKey
	}
	signature, err := softSign(private, message)
	if err == nil && s.spoil != nil {
		signature = s.spoil(signature)
	}
	return signature, err
}

func softSign(private crypto.Signer, message []byte) ([]byte, error) {
	digest := sha256.Sum256(message)
	switch key := private.(type) {
	case *rsa.PrivateKey:
		return rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
		if err != nil {
			return nil, err
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), nil
	default:
		return private.Sign(rand.Reader, message, crypto.Hash(0))
	}
}

func (s *softKeys) add(t *testing.T, alg Algorithm, state State, activated time.Time, uses ...Use) Record {
	t.Helper()
	var private crypto.Signer
	var err error
	switch alg {
	case PS256:
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	case ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	kid, err := Thumbprint(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	record := Record{ID: kid, Algorithm: alg, State: state, Uses: uses, Public: private.Public(), ActivatedAt: activated}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.private == nil {
		s.private = map[string]crypto.Signer{}
	}
	s.private[kid] = private
	s.records = append(s.records, record)
	return record
}

func newSigner(t *testing.T, keys *softKeys, now func() time.Time) *Signer {
	t.Helper()
	s, err := New(t.Context(), Config{Catalogue: keys, Replicas: []Replica{{Backend: keys}}, Now: now, RefreshInterval: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestActive(t *testing.T) {
	keys := &softKeys{}
	start := time.Unix(1_800_000_000, 0)
	keys.add(t, ES256, Active, start, UseAccessToken)
	newest := keys.add(t, ES256, Active, start.Add(time.Hour), UseAccessToken)
	keys.add(t, ES256, Published, time.Time{}, UseAccessToken)
	keys.add(t, ES256, Retiring, start.Add(2*time.Hour), UseAccessToken)
	keys.add(t, EdDSA, Active, start, UseIDToken)
	s := newSigner(t, keys, time.Now)
	key, err := s.Active(t.Context(), UseAccessToken, ES256)
	if err != nil || key.ID != newest.ID {
		t.Errorf("key %s, %v; want the one activated last", key.ID, err)
	}
	for _, missing := range []struct {
		use Use
		alg Algorithm
	}{{UseIDToken, ES256}, {UseAccessToken, EdDSA}, {UseAccessToken, PS256}} {
		if _, err := s.Active(t.Context(), missing.use, missing.alg); !errors.Is(err, ErrNoKey) {
			t.Errorf("%v: %v", missing, err)
		}
	}
	if published, err := s.Published(t.Context()); err != nil || len(published) != 5 {
		t.Errorf("%d published, %v", len(published), err)
	}
	if err := s.Ready(t.Context()); err != nil {
		t.Errorf("ready: %v", err)
	}
}

func TestSign(t *testing.T) {
	keys := &softKeys{}
	for _, alg := range []Algorithm{PS256, ES256, EdDSA} {
		keys.add(t, alg, Active, time.Now(), UseAccessToken)
	}
	s := newSigner(t, keys, time.Now)
	for _, alg := range []Algorithm{PS256, ES256, EdDSA} {
		key, err := s.Active(t.Context(), UseAccessToken, alg)
		if err != nil {
			t.Fatal(err)
		}
		signature, err := key.Sign(t.Context(), []byte("message"))
		if err != nil || !Verify(key.Public, alg, []byte("message"), signature) {
			t.Errorf("%s: %v", alg, err)
		}
		for _, other := range []Algorithm{PS256, ES256, EdDSA} {
			if other != alg && Verify(key.Public, other, []byte("message"), signature) {
				t.Errorf("a signature of %s passes for %s", alg, other)
			}
		}
		signature[0] ^= 1
		if Verify(key.Public, alg, []byte("message"), signature) {
			t.Errorf("%s: a flipped bit passes", alg)
		}
	}
}

// TestWrongKeyIsNotReleased: a backend that signs with another key gives an error and never a signature.
func TestWrongKeyIsNotReleased(t *testing.T) {
	keys := &softKeys{}
	keys.add(t, ES256, Active, time.Now(), UseAccessToken)
	s := newSigner(t, keys, time.Now)
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys.swap = other
	key, err := s.Active(t.Context(), UseAccessToken, ES256)
	if err != nil {
		t.Fatal(err)
	}
	if signature, err := key.Sign(t.Context(), []byte("m")); !errors.Is(err, ErrWrongSignature) || signature != nil {
		t.Errorf("released %x, %v", signature, err)
	}
	if err := s.Ready(t.Context()); !errors.Is(err, ErrWrongSignature) {
		t.Errorf("ready: %v", err)
	}
}

// TestBrokenSignatureIsNotReleased: a module that loses or flips bits gives an error and never a signature.
func TestBrokenSignatureIsNotReleased(t *testing.T) {
	for _, alg := range []Algorithm{PS256, ES256, EdDSA} {
		for name, spoil := range map[string]func([]byte) []byte{
			"a flipped bit": func(signature []byte) []byte { signature[len(signature)/2] ^= 0x10; return signature },
			"a byte short":  func(signature []byte) []byte { return signature[:len(signature)-1] },
			"a byte long":   func(signature []byte) []byte { return append(signature, 0) },
			"nothing":       func([]byte) []byte { return nil },
		} {
			keys := &softKeys{}
			keys.add(t, alg, Active, time.Now(), UseIDToken)
			s := newSigner(t, keys, time.Now)
			keys.spoil = spoil
			key, err := s.Active(t.Context(), UseIDToken, alg)
			if err != nil {
				t.Fatal(err)
			}
			if signature, err := key.Sign(t.Context(), []byte("m")); !errors.Is(err, ErrWrongSignature) || signature != nil {
				t.Errorf("%s, %s: released %x, %v", alg, name, signature, err)
			}
		}
	}
}

// TestSpan: a signature is a span that names key, algorithm and use, and not the message.
func TestSpan(t *testing.T) {
	keys := &softKeys{}
	record := keys.add(t, ES256, Active, time.Now(), UseIDToken)
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	s, err := New(t.Context(), Config{Catalogue: keys, Replicas: []Replica{{Backend: keys}}, TracerProvider: provider})
	if err != nil {
		t.Fatal(err)
	}
	key, err := s.Active(t.Context(), UseIDToken, ES256)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := key.Sign(t.Context(), []byte("m")); err != nil {
		t.Fatal(err)
	}
	keys.spoil = func([]byte) []byte { return nil }
	if _, err := key.Sign(t.Context(), []byte("m")); err == nil {
		t.Fatal("signed")
	}
	spans := recorder.Ended()
	if len(spans) != 2 {
		t.Fatalf("%d spans", len(spans))
	}
	want := []attribute.KeyValue{
		attribute.String("signer.kid", record.ID), attribute.String("signer.alg", "ES256"), attribute.String("signer.use", "id_token"),
	}
	for i, status := range []codes.Code{codes.Unset, codes.Error} {
		if spans[i].Name() != "signer.Sign" || !slices.Equal(spans[i].Attributes(), want) || spans[i].Status().Code != status {
			t.Errorf("span %s %v %v", spans[i].Name(), spans[i].Attributes(), spans[i].Status())
		}
	}
}

// TestPSSSalt: a signature with another salt than 32 bytes does not pass (RFC 7518 §3.5).
func TestPSSSalt(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("m"))
	for salt, want := range map[int]bool{32: true, 0: false, 20: false, 222: false, 31: false, 33: false} {
		options := &rsa.PSSOptions{SaltLength: salt}
		if salt == 0 {
			continue // means automatic to crypto/rsa
		}
		signature, err := rsa.SignPSS(rand.Reader, private, crypto.SHA256, digest[:], options)
		if err != nil {
			t.Fatal(err)
		}
		if got := Verify(private.Public(), PS256, []byte("m"), signature); got != want {
			t.Errorf("salt %d: %v", salt, got)
		}
	}
}

// TestRotation rotates keys while others sign: every signature fits the kid that it was made for.
func TestRotation(t *testing.T) {
	keys := &softKeys{}
	keys.add(t, ES256, Active, time.Unix(0, 1), UseAccessToken)
	var mu sync.Mutex
	now := time.Unix(1_800_000_000, 0)
	s := newSigner(t, keys, func() time.Time { mu.Lock(); defer mu.Unlock(); return now })
	stop := make(chan struct{})
	var wait sync.WaitGroup
	seen := sync.Map{}
	for range 4 {
		wait.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				key, err := s.Active(context.Background(), UseAccessToken, ES256)
				if err != nil {
					t.Error(err)
					return
				}
				signature, err := key.Sign(context.Background(), []byte("m"))
				if err != nil || !Verify(key.Public, ES256, []byte("m"), signature) {
					t.Errorf("kid %s: %v", key.ID, err)
				}
				seen.Store(key.ID, true)
			}
		})
	}
	for i := range 10 {
		keys.add(t, ES256, Active, time.Unix(0, int64(i+2)), UseAccessToken)
		mu.Lock()
		now = now.Add(2 * time.Second)
		mu.Unlock()
		time.Sleep(10 * time.Millisecond)
	}
	close(stop)
	wait.Wait()
	count := 0
	seen.Range(func(any, any) bool { count++; return true })
	if count < 5 {
		t.Errorf("only %d of 11 keys signed: changes are not noticed", count)
	}
}

// TestCatalogueFails: what was known stays in use while the catalogue cannot be read.
func TestCatalogueFails(t *testing.T) {
	keys := &softKeys{}
	record := keys.add(t, ES256, Active, time.Now(), UseAccessToken)
	now := time.Now()
	s := newSigner(t, keys, func() time.Time { return now })
	keys.mu.Lock()
	keys.err = errors.New("the database is away")
	keys.mu.Unlock()
	now = now.Add(time.Hour)
	for range 3 {
		if key, err := s.Active(t.Context(), UseAccessToken, ES256); err != nil || key.ID != record.ID {
			t.Errorf("%v, %v", key.ID, err)
		}
		now = now.Add(time.Hour)
	}
}

// TestAfterIdle: the first call after a quiet night sees what changed in it, and waits for that no longer than its
// context.
func TestAfterIdle(t *testing.T) {
	keys := &softKeys{}
	keys.add(t, ES256, Active, time.Unix(1, 0), UseAccessToken)
	now := time.Now()
	s := newSigner(t, keys, func() time.Time { return now })
	newest := keys.add(t, ES256, Active, time.Unix(2, 0), UseAccessToken)
	now = now.Add(8 * time.Hour)
	key, err := s.Active(t.Context(), UseAccessToken, ES256)
	if err != nil || key.ID != newest.ID {
		t.Errorf("key %s, %v; want the one made in the night", key.ID, err)
	}
	if published, err := s.Published(t.Context()); err != nil || len(published) != 2 {
		t.Errorf("%d published, %v", len(published), err)
	}
	keys.mu.Lock() // the catalogue hangs
	defer keys.mu.Unlock()
	now = now.Add(8 * time.Hour)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Active(ctx, UseAccessToken, ES256); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while the catalogue hangs: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	keys := &softKeys{}
	if _, err := New(t.Context(), Config{Catalogue: keys, Replicas: []Replica{{Backend: keys}}}); !errors.Is(err, ErrNoKey) {
		t.Errorf("without a key: %v", err)
	}
	keys.add(t, ES256, Active, time.Now(), UseAccessToken)
	keys.records[0].Algorithm = PS256
	if _, err := New(t.Context(), Config{Catalogue: keys, Replicas: []Replica{{Backend: keys}}}); err == nil {
		t.Error("a P-256 key for PS256 was accepted")
	}
	keys.records[0].Algorithm, keys.records[0].ID = ES256, "another"
	if _, err := New(t.Context(), Config{Catalogue: keys, Replicas: []Replica{{Backend: keys}}}); err == nil {
		t.Error("a kid that is not its key's thumbprint was accepted")
	}
}

// TestThumbprint uses the examples of RFC 7638 §3.1 and RFC 8037 Appendix A.3.
func TestThumbprint(t *testing.T) {
	for want, raw := range map[string]string{
		"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs": `{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB"}`,
		"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k": `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`,
	} {
		public, err := ParsePublicJWK(json.RawMessage(raw))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Thumbprint(public); err != nil || got != want {
			t.Errorf("thumbprint %s, %v; want %s", got, err, want)
		}
	}
	if _, err := Thumbprint("no key"); err == nil {
		t.Error("a string has a thumbprint")
	}
}

func TestJWKRoundTrip(t *testing.T) {
	keys := &softKeys{}
	for _, alg := range []Algorithm{PS256, ES256, EdDSA} {
		record := keys.add(t, alg, Active, time.Now(), UseAccessToken)
		raw, err := PublicJWK(record)
		if err != nil {
			t.Fatal(err)
		}
		public, err := ParsePublicJWK(raw)
		if err != nil {
			t.Fatal(err)
		}
		if thumbprint, err := Thumbprint(public); err != nil || thumbprint != record.ID {
			t.Errorf("%s: %s, %v; want %s", alg, thumbprint, err, record.ID)
		}
		if !Fits(public, alg) {
			t.Errorf("%s does not fit its own algorithm", alg)
		}
	}
}

// TestPublicJWK holds the published form to its members (RFC 8037 Appendix A.2, RFC 7517 §4).
func TestPublicJWK(t *testing.T) {
	const raw = `{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",` +
		`"kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k","alg":"EdDSA","use":"sig"}`
	public, err := ParsePublicJWK(json.RawMessage(raw))
	if err != nil {
		t.Fatal(err)
	}
	published, err := PublicJWK(Record{ID: "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", Algorithm: EdDSA, Public: public})
	if err != nil {
		t.Fatal(err)
	}
	var got, want map[string]string
	if err := errors.Join(json.Unmarshal(published, &got), json.Unmarshal([]byte(raw), &want)); err != nil || !maps.Equal(got, want) {
		t.Errorf("%s, %v", published, err)
	}
}

// TestPublicJWKOfPrivateKey: a private key that stands where a public one should is not published.
func TestPublicJWKOfPrivateKey(t *testing.T) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := PublicJWK(Record{ID: "kid", Algorithm: EdDSA, Public: private}); err == nil {
		t.Errorf("published %d bytes", len(got))
	}
}

func FuzzParsePublicJWK(f *testing.F) {
	f.Add([]byte(`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`))
	f.Add([]byte(`{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}`))
	f.Add([]byte(`{"kty":"RSA","n":"AQAB","e":"AQAB"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		public, err := ParsePublicJWK(raw)
		if err != nil {
			return
		}
		if _, err := Thumbprint(public); err != nil {
			t.Errorf("a parsed key without a thumbprint: %v", err)
		}
	})
}
