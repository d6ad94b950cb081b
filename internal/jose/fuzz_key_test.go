package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"countersign/internal/strictjson"
)

// FuzzParsePublicJWK: a key that is accepted is public, has the thumbprint that RFC 7638 §3 describes, made here by
// hand, and is the same key when it is published and read again, on its own and in a set.
func FuzzParsePublicJWK(f *testing.F) {
	for _, key := range []string{rfc7515Key, rfc7638Key, rfc8037Key} {
		f.Add([]byte(key))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		key, err := ParsePublicJWK(raw)
		if err != nil {
			checkShown(t, err)
			return
		}
		if want := thumbprintByHand(t, key.Public); key.Thumbprint() != want {
			t.Fatalf("%s: thumbprint %s, want %s", raw, key.Thumbprint(), want)
		}
		published, err := json.Marshal(key)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParsePublicJWK(published)
		if err != nil || again.Thumbprint() != key.Thumbprint() || again.ID != key.ID || again.Algorithm != key.Algorithm || again.Use != key.Use {
			t.Fatalf("%s became %s: %+v, %v", raw, published, again, err)
		}
		if strings.Contains(string(published), `"d"`) {
			t.Fatalf("%s has a private member", published)
		}
		set, err := ParseKeySet([]byte(`{"keys":[` + string(raw) + `]}`))
		if err != nil {
			t.Fatalf("alone %s is a key, and in a set it is not: %v", raw, err)
		}
		for _, in := range set.Keys() {
			if in.Thumbprint() != key.Thumbprint() {
				t.Fatalf("%s is another key in a set", raw)
			}
		}
	})
}

// thumbprintByHand writes the members that count, in order, without the packages that make keys.
func thumbprintByHand(t *testing.T, public crypto.PublicKey) string {
	t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	var members string
	switch public := public.(type) {
	case *rsa.PublicKey:
		members = fmt.Sprintf(`{"e":"%s","kty":"RSA","n":"%s"}`, encode(big.NewInt(int64(public.E)).Bytes()), encode(public.N.Bytes()))
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		members = fmt.Sprintf(`{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, encode(point[1:33]), encode(point[33:]))
	case ed25519.PublicKey:
		members = fmt.Sprintf(`{"crv":"Ed25519","kty":"OKP","x":"%s"}`, encode(public))
	default:
		t.Fatalf("a key of kind %T was accepted", public)
	}
	digest := sha256.Sum256([]byte(members))
	return encode(digest[:])
}

// FuzzNumericDate: a time that is accepted is between the years 1970 and 9999, and the same when it is written and
// read again.
func FuzzNumericDate(f *testing.F) {
	f.Add([]byte("1300819380"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var date NumericDate
		if strictjson.Decode(raw, &date) != nil {
			return
		}
		at := date.Time()
		if at.Before(time.Unix(0, 0)) || at.UTC().Year() > 9999 {
			// null leaves the zero value
			t.Fatalf("%s is %v", raw, at)
		}
		written, err := json.Marshal(date)
		if err != nil {
			t.Fatal(err)
		}
		var again NumericDate
		if err := strictjson.Decode(written, &again); err != nil || !again.Time().Equal(at) {
			t.Fatalf("%s is written as %s: %v, %v", raw, written, again.Time(), err)
		}
	})
}
