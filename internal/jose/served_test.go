package jose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Covers: FD-40. Key sets that clients serve: the keys beside one that is wrong work, and that one is read or named.
func TestFD40ServedKeySets(t *testing.T) {
	for file, left := range map[string]string{
		"33-keys.json": "", "e-leading-zero.json": "", "rsa-leading-zero.json": "", "rotation.json": "",
		"x5c-end-text.json": "", "x5c-negative-serial.json": "", "x5c-spki.json": "",
		"key-ops-string.json": `key 2 (kid "ko"): the member key_ops has the wrong JSON type`,
		"oct.json":            `key 2 (kid "mac"): symmetric keys are not accepted; whoever can read the set knows this one`,
		"rsa1024-enc.json":    `key 2 (kid "old-1024"): an RSA key needs 2048 to 4096 bits`,
	} {
		t.Run("accepts the right keys of "+file, func(t *testing.T) {
			raw, err := os.ReadFile("testdata/served/" + file)
			if err != nil {
				t.Fatal(err)
			}
			set, err := ParseKeySet(raw)
			if err != nil {
				t.Fatal(err)
			}
			if first := set.Keys()[0]; first.ID != "good" && first.ID != "k0" {
				t.Errorf("%+v", first)
			}
			var named []string
			for _, one := range set.LeftOut(false) {
				named = append(named, one.String())
			}
			if got := strings.Join(named, "\n"); got != left {
				t.Errorf("left out: %s, want %s", got, left)
			}
			if got := len(set.Keys()) + len(named); got != set.size {
				t.Errorf("%d of %d keys are accounted for", got, set.size)
			}
		})
	}
}

// Covers: FD-40, FD-41. One key that is wrong in a way of its own beside one that is right.
func TestFD40LeftOut(t *testing.T) {
	type members = map[string]any
	good, bad := newKey(t, ES256), newKey(t, ES256)
	rsaKey, ed := newKey(t, PS256), newKey(t, EdDSA)
	own := func(m members) string { m["kid"] = "bad"; return with(t, bad.PublicJWK(), m) }
	for name, test := range map[string]struct{ key, reason string }{
		"a number":             {`1`, "not a JSON object"},
		"null":                 {`null`, "not a JSON object"},
		"an array":             {`[]`, "not a JSON object"},
		"an empty object":      {`{}`, "no kty"},
		"kty of another case":  {own(members{"kty": "ec"}), "not used here"},
		"kty a number":         {own(members{"kty": 1}), "kty has the wrong JSON type"},
		"kid a number":         {with(t, bad.PublicJWK(), members{"kid": 7}), "kid has the wrong JSON type"},
		"kid too long":         {with(t, bad.PublicJWK(), members{"kid": strings.Repeat("k", 257)}), "kid may have 256 bytes"},
		"use a list":           {own(members{"use": []string{"sig"}}), "use has the wrong JSON type"},
		"use of its own":       {own(members{"use": "SIG"}), `use is "SIG"`},
		"alg of another kind":  {own(members{"alg": "RS256"}), `alg is "RS256"`},
		"alg HS256":            {own(members{"alg": "HS256"}), `alg is "HS256"`},
		"key_ops sign":         {own(members{"key_ops": []string{"sign"}}), "key_ops"},
		"key_ops empty":        {own(members{"key_ops": []string{}}), "key_ops"},
		"x a number":           {own(members{"x": 1}), "x has the wrong JSON type"},
		"x missing":            {own(members{"x": nil}), "x is missing"},
		"x not base64":         {own(members{"x": "?"}), "x is not base64url"},
		"x of 33 bytes":        {own(members{"x": base64.RawURLEncoding.EncodeToString(append([]byte{1}, make([]byte, 32)...))}), "32 bytes"},
		"x in two parts":       {own(members{"x": "AA==AA"}), "x is not base64url"},
		"off the curve":        {own(members{"y": base64.RawURLEncoding.EncodeToString(make([]byte, 31))}), "not on P-256"},
		"on P-384, alg ES384":  {p384JWK(t, members{"kid": "bad", "alg": "ES384"}), "P-384"},
		"secp256k1":            {own(members{"crv": "secp256k1"}), "not used here"},
		"X25519":               {with(t, ed.PublicJWK(), members{"kid": "bad", "crv": "X25519"}), "not used here"},
		"Ed25519 of 33 bytes":  {with(t, ed.PublicJWK(), members{"kid": "bad", "x": base64.RawURLEncoding.EncodeToString(make([]byte, 33))}), "32 bytes"},
		"Ed25519 of low order": {with(t, ed.PublicJWK(), members{"kid": "bad", "x": base64.RawURLEncoding.EncodeToString(make([]byte, 32))}), "not a valid one"},
		"RSA, e = 3":           {with(t, rsaKey.PublicJWK(), members{"kid": "bad", "e": "Aw"}), "exponent"},
		"RSA, e = 1 padded":    {with(t, rsaKey.PublicJWK(), members{"kid": "bad", "e": "AAAAAQ=="}), "exponent"},
		"RSA, n of zeros":      {with(t, rsaKey.PublicJWK(), members{"kid": "bad", "n": strings.Repeat("A", 342)}), "2048 to 4096"},
		"RSA of 1024 bits with zeros before": {with(t, rsaKey.PublicJWK(), members{"kid": "bad",
			"n": base64.RawURLEncoding.EncodeToString(append(make([]byte, 128), append([]byte{0x80}, append(make([]byte, 126), 1)...)...))}), "2048 to 4096"},
		"post-quantum":                         {`{"kty":"AKP","alg":"ML-DSA-65","pub":"AA","kid":"bad"}`, "not used here"},
		"symmetric":                            {`{"kty":"oct","k":"AAAA","kid":"bad"}`, "symmetric"},
		"symmetric without k":                  {`{"kty":"oct","kid":"bad"}`, "symmetric"},
		"x5c of another key":                   {own(members{"x5c": []string{certificate(t, good)}}), "for another key"},
		"x5c of numbers":                       {own(members{"x5c": []int{1}}), "x5c has the wrong JSON type"},
		"x5c no base64":                        {own(members{"x5c": []string{"MIIB..."}}), "x5c is not base64"},
		"x5c no certificate":                   {own(members{"x5c": []string{"AAAA"}}), "begin with a certificate"},
		"x5c empty":                            {own(members{"x5c": []string{""}}), "begin with a certificate"},
		"x5c of a chain upside down":           {own(members{"x5c": []string{certificate(t, rsaKey), certificate(t, bad)}}), "for another key"},
		"a member twice":                       {strings.TrimSuffix(own(members{}), "}") + `,"use":"sig"}`, "repeats"},
		"a member of ours twice, once escaped": {strings.TrimSuffix(own(members{}), "}") + `,"\u0075se":"sig"}`, "repeats"},
		"a member within twice":                {strings.TrimSuffix(own(members{}), "}") + `,"z":{"a":1,"a":1}}`, "repeats"},
		"not UTF-8":                            {strings.TrimSuffix(own(members{}), "}") + ",\"z\":\"\xff\\n\xff\"}", "UTF-8"},
		"half a surrogate":                     {strings.TrimSuffix(own(members{}), "}") + `,"z":"\ud800"}`, "surrogate"},
		"two halves the same":                  {strings.TrimSuffix(own(members{}), "}") + `,"z":"\ud800\ud800"}`, "surrogate"},
		"U+0000":                               {strings.TrimSuffix(own(members{}), "}") + `,"z":"\u0000"}`, "U+0000"},
	} {
		for place, document := range map[string]string{
			"after": `{"keys":[` + string(good.PublicJWK()) + `,` + test.key + `]}`, "before": `{"keys":[` + test.key + `,` + string(good.PublicJWK()) + `]}`,
		} {
			t.Run("accepts the key "+place+" one that is "+name, func(t *testing.T) {
				set, err := ParseKeySet([]byte(document))
				if err != nil {
					t.Fatal(err)
				}
				if err := signedBy(t, good, good.ID()).VerifyWith(set); err != nil {
					t.Error(err)
				}
				left := set.LeftOut(false)
				if len(left) != 1 || !strings.Contains(left[0].Reason, test.reason) || left[0].Position != 1+strings.Count(place, "after") {
					t.Errorf("%v, want %q", left, test.reason)
				}
			})
		}
		t.Run("refuses the key that is "+name+", and says why", func(t *testing.T) {
			set := keySet(t, string(good.PublicJWK()), test.key)
			for _, kid := range []string{"bad", ""} {
				err := signedBy(t, bad, kid).VerifyWith(set)
				if err == nil || kid == "bad" && (!errors.Is(err, ErrNoKey) || !strings.Contains(err.Error(), test.reason)) {
					t.Errorf("kid %q: %v, want %q", kid, err, test.reason)
				}
			}
		})
	}
	t.Run("refuses, and names what is for another use", func(t *testing.T) {
		set := keySet(t, own(members{"use": "enc", "alg": nil}), with(t, good.PublicJWK(), members{"kid": "tls", "use": "tls"}), with(t, rsaKey.PublicJWK(), members{"kid": "rsa"}))
		if left := set.LeftOut(false); len(left) != 0 {
			t.Errorf("left out: %v", left)
		}
		for kid, reason := range map[string]string{"bad": `use is "enc"`, "tls": `use is "tls"`, "rsa": "is for PS256"} {
			if err := signedBy(t, bad, kid).VerifyWith(set); !errors.Is(err, ErrNoKey) || !strings.Contains(err.Error(), reason) {
				t.Errorf("%s: %v", kid, err)
			}
		}
	})
	t.Run("refuses a set with a private key, whatever else is wrong with it", func(t *testing.T) {
		for _, key := range []string{
			string(bad.PrivateJWK()), string(rsaKey.PrivateJWK()), string(ed.PrivateJWK()), own(members{"d": ""}), own(members{"k": "AAAA"}),
			`{"kty":"EC","crv":"P-384","d":"AA"}`, `{"kty":"AKP","priv":"AA"}`, `{"kty":"oct","k":"AA","d":"AA"}`, `{"k":"AA"}`, `{"kty":1,"d":"AA"}`,
			`{"kty":"RSA","\u0064":"AA"}`, `{"d":"AA","d":"AA"}`, `{"p":"AA","z":"\ud800"}`,
		} {
			_, err := ParseKeySet([]byte(`{"keys":[` + string(good.PublicJWK()) + `,` + key + `]}`))
			if !errors.Is(err, errPrivateKey) || !strings.Contains(err.Error(), "key 2") {
				t.Errorf("%.60s: %v", key, err)
			}
		}
	})
}

func p384JWK(t testing.TB, m map[string]any) string {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := NewKey("", "", private.Public())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := key.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return with(t, raw, m)
}

// Covers: FD-41. What is the same key in another writing is read as that key; what is another key is not.
func TestFD41Writing(t *testing.T) {
	type members = map[string]any
	p256, rsaKey, ed := newKey(t, ES256), newKey(t, PS256), newKey(t, EdDSA)
	x, y := coordinatesOf(t, p256)
	n := rsaKey.Key().Public.(*rsa.PublicKey).N.Bytes()
	url, std := base64.RawURLEncoding.EncodeToString, base64.StdEncoding.EncodeToString
	zeros := func(octets []byte, count int) []byte { return append(make([]byte, count), octets...) }
	breaks := func(text string) string { return text[:20] + "\r\n" + text[20:] + "\n" }
	der, err := base64.StdEncoding.DecodeString(certificate(t, p256))
	if err != nil {
		t.Fatal(err)
	}
	armoured := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	spki, err := x509.MarshalPKIXPublicKey(p256.Key().Public)
	if err != nil {
		t.Fatal(err)
	}
	short := shortKey(t)
	shortX, shortY := coordinatesOf(t, short)
	for name, test := range map[string]struct {
		key PrivateKey
		jwk string
	}{
		"as it should be":                {p256, with(t, p256.PublicJWK(), nil)},
		"n of Java's BigInteger":         {rsaKey, with(t, rsaKey.PublicJWK(), members{"n": url(zeros(n, 1))})},
		"n with many zeros":              {rsaKey, with(t, rsaKey.PublicJWK(), members{"n": url(zeros(n, 4000))})},
		"e of three bytes and one":       {rsaKey, with(t, rsaKey.PublicJWK(), members{"e": "AAEAAQ"})},
		"e of eight bytes":               {rsaKey, with(t, rsaKey.PublicJWK(), members{"e": "AAAAAAABAAE"})},
		"n in base64":                    {rsaKey, with(t, rsaKey.PublicJWK(), members{"n": std(n)})},
		"n in MIME":                      {rsaKey, with(t, rsaKey.PublicJWK(), members{"n": breaks(std(n))})},
		"e padded":                       {rsaKey, with(t, rsaKey.PublicJWK(), members{"e": "AQAB===="})},
		"x and y of Java's BigInteger":   {p256, with(t, p256.PublicJWK(), members{"x": url(zeros(x, 1)), "y": url(zeros(y, 1))})},
		"x and y in base64":              {p256, with(t, p256.PublicJWK(), members{"x": std(x), "y": std(y)})},
		"x without the zero that is due": {short, with(t, short.PublicJWK(), members{"x": url(shortX[1:]), "y": url(shortY)})},
		"Ed25519 padded":                 {ed, with(t, ed.PublicJWK(), members{"x": std(ed.Key().Public.(ed25519.PublicKey))})},
		"members that are null":          {p256, with(t, p256.PublicJWK(), members{"z": 1})[:1] + `"d":null,"k":null,"use":null,"key_ops":null,"x5c":null,"alg":null,` + with(t, p256.PublicJWK(), members{"use": nil, "alg": nil})[1:]},
		"x5c empty":                      {p256, with(t, p256.PublicJWK(), members{"x5c": []string{}})},
		"x5c with a chain":               {p256, with(t, p256.PublicJWK(), members{"x5c": []string{std(der), "anything", ""}})},
		"x5c in PEM":                     {p256, with(t, p256.PublicJWK(), members{"x5c": []string{armoured}})},
		"x5c in PEM, of two":             {p256, with(t, p256.PublicJWK(), members{"x5c": []string{armoured + armoured}})},
		"x5c with the last line of PEM":  {p256, with(t, p256.PublicJWK(), members{"x5c": []string{std(der) + "-----END CERTIFICATE-----"}})},
		"x5c with line breaks":           {p256, with(t, p256.PublicJWK(), members{"x5c": []string{breaks(std(der))}})},
		"x5c in base64url":               {p256, with(t, p256.PublicJWK(), members{"x5c": []string{url(der)}})},
		"x5c one string":                 {p256, with(t, p256.PublicJWK(), members{"x5c": std(der)})},
		"x5c a bare public key":          {p256, with(t, p256.PublicJWK(), members{"x5c": []string{std(spki)}})},
		"x5t of anything":                {p256, with(t, p256.PublicJWK(), members{"x5t": 1, "x5t#S256": []int{}, "x5u": "http://127.0.0.1/"})},
		"members of a directory":         {p256, with(t, p256.PublicJWK(), members{"iat": 1, "exp": "x", "nbf": nil, "ext": true})},
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			for _, mark := range []string{"", "\xef\xbb\xbf", "\xef\xbb\xbf \r\n"} {
				set, err := ParseKeySet([]byte(mark + `{"keys":[` + test.jwk + `]}`))
				if err != nil {
					t.Fatal(err)
				}
				if left := set.LeftOut(false); len(left) != 0 {
					t.Fatal(left)
				}
				if diff := cmp.Diff(test.key.Key().Thumbprint(), set.Keys()[0].Thumbprint()); diff != "" {
					t.Error(diff)
				}
				if err := signedBy(t, test.key, "").VerifyWith(set); err != nil {
					t.Error(err)
				}
				if err := signedBy(t, newKey(t, test.key.Algorithm()), "").VerifyWith(set); !errors.Is(err, ErrSignature) {
					t.Errorf("another key: %v", err)
				}
			}
		})
	}
	for name, jwk := range map[string]string{
		"zeros behind n":           with(t, rsaKey.PublicJWK(), members{"n": url(append(slices.Clone(n), 0))}),
		"zeros within x":           with(t, p256.PublicJWK(), members{"x": url(append(slices.Clone(x[:31]), 0, x[31]))}),
		"zeros behind x":           with(t, p256.PublicJWK(), members{"x": url(append(slices.Clone(x), 0))}),
		"a zero before Ed25519":    with(t, ed.PublicJWK(), members{"x": url(zeros(ed.Key().Public.(ed25519.PublicKey), 1))}),
		"x and y exchanged":        with(t, p256.PublicJWK(), members{"x": url(y), "y": url(x)}),
		"stray bits at the end":    with(t, rsaKey.PublicJWK(), members{"e": "AQF"}),
		"a certificate of another": with(t, p256.PublicJWK(), members{"x5c": []string{certificate(t, rsaKey)}}),
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			set := keySet(t, jwk)
			if len(set.Keys()) != 0 || len(set.LeftOut(false)) != 1 {
				t.Errorf("%+v", set)
			}
		})
	}
}

// coordinatesOf are those of a P-256 key, 32 bytes each.
func coordinatesOf(t testing.TB, key PrivateKey) (x, y []byte) {
	t.Helper()
	point, err := key.Key().Public.(*ecdsa.PublicKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return point[1:33], point[33:]
}

// shortKey is a P-256 key whose x begins with a zero.
func shortKey(t testing.TB) PrivateKey {
	t.Helper()
	for {
		key := newKey(t, ES256)
		if x, _ := coordinatesOf(t, key); x[0] == 0 {
			return key
		}
	}
}

// Covers: FD-45. A self-signed certificate may have a key on P-384 or P-521 or one of use "tls", which verify no JWS.
func TestFD45CertificateKeys(t *testing.T) {
	own := newKey(t, ES256)
	jwkOf := func(curve elliptic.Curve) (*ecdsa.PublicKey, string) {
		private, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := Key{ID: curve.Params().Name, Public: private.Public()}.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		return private.Public().(*ecdsa.PublicKey), string(raw)
	}
	p384, jwk384 := jwkOf(elliptic.P384())
	p521, jwk521 := jwkOf(elliptic.P521())
	set := keySet(t, jwk384, jwk521, with(t, own.PublicJWK(), map[string]any{"use": "tls", "alg": nil}))
	for name, public := range map[string]any{"P-384": p384, "P-521": p521, "use tls": own.Key().Public} {
		t.Run("accepts "+name, func(t *testing.T) {
			if found := set.CertificateKeys(public); len(found) != 1 {
				t.Errorf("%v", found)
			}
		})
	}
	t.Run("refuses their signatures, encryption to them and other keys", func(t *testing.T) {
		if set.Verifies() || set.Receive(ECDHES) || len(set.LeftOut(true)) != 0 || len(set.LeftOut(false)) != 2 {
			t.Errorf("%+v", set)
		}
		if err := signedBy(t, own, "").VerifyWith(set); !errors.Is(err, ErrNoKey) {
			t.Error(err)
		}
		if found := set.CertificateKeys(newKey(t, ES256).Key().Public); len(found) != 0 {
			t.Error(found)
		}
		forEncryption := keySet(t, with(t, own.PublicJWK(), map[string]any{"use": "enc", "alg": nil}), with(t, newKey(t, PS256).PublicJWK(), map[string]any{"use": nil, "alg": "RSA-OAEP"}))
		if forEncryption.Certifies() || len(forEncryption.LeftOut(true)) != 0 {
			t.Errorf("%+v", forEncryption)
		}
	})
}
