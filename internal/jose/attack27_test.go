package jose

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestAttack27: ECDSA signatures that a careless verifier takes for good (CVE-2022-21449 and its kind).
func TestAttack27(t *testing.T) {
	v := newVictim(t)
	good := signRaw(t, v.own, goodHeader, goodClaims)
	cut := strings.LastIndexByte(good, '.') + 1
	signature, err := base64.RawURLEncoding.DecodeString(good[cut:])
	if err != nil {
		t.Fatal(err)
	}
	n := elliptic.P256().Params().N
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	verify := func(signature []byte) error {
		return v.accept(good[:cut]+base64.RawURLEncoding.EncodeToString(signature), ParseOptions{Algorithms: allAlgorithms})
	}
	for _, test := range ecdsaForgeries(t, r, s, n) {
		t.Run("refuses "+test.name, func(t *testing.T) {
			if err := verify(test.signature); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	t.Run("accepts the signature itself", func(t *testing.T) {
		if err := verify(signature); err != nil {
			t.Error(err)
		}
	})
	t.Run("accepts its twin n-s, for nothing here is known by its signature", func(t *testing.T) {
		if err := verify(sideBySide(r, new(big.Int).Sub(n, s))); err != nil {
			t.Error(err)
		}
	})
	t.Run("accepts and refuses as Wycheproof says: ECDSA", wycheproofECDSA)
	t.Run("accepts and refuses as Wycheproof says: JWS and JWK", wycheproofJWS)
}

func sideBySide(r, s *big.Int) []byte {
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signature
}

type ecdsaForgery struct {
	name      string
	signature []byte
	want      error
}

func ecdsaForgeries(t *testing.T, r, s, n *big.Int) []ecdsaForgery {
	t.Helper()
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil {
		t.Fatal(err)
	}
	var forgeries []ecdsaForgery
	add := func(name string, signature []byte, want error) {
		forgeries = append(forgeries, ecdsaForgery{name, signature, want})
	}
	add("DER", der, ErrMalformed)
	add("DER cut to 64 bytes", der[:64], ErrSignature)
	add("DER with zeros before it", slices.Concat(make([]byte, 8), der), ErrMalformed)
	zero, one, most := new(big.Int), big.NewInt(1), new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))
	p := elliptic.P256().Params().P
	values := []struct {
		name  string
		value *big.Int
	}{
		{"0", zero}, {"1", one}, {"n-1", new(big.Int).Sub(n, one)}, {"n", n}, {"n+1", new(big.Int).Add(n, one)},
		{"p", p}, {"p-n", new(big.Int).Sub(p, n)}, {"2^256-1", most},
	}
	for _, first := range values {
		add("r = "+first.name, sideBySide(first.value, s), ErrSignature)
		add("s = "+first.name, sideBySide(r, first.value), ErrSignature)
		for _, second := range values {
			add("r = "+first.name+", s = "+second.name, sideBySide(first.value, second.value), ErrSignature)
		}
	}
	both := sideBySide(r, s)
	add("s before r", sideBySide(s, r), ErrSignature)
	add("n-r", sideBySide(new(big.Int).Sub(n, r), s), ErrSignature)
	add("nothing", nil, ErrMalformed)
	add("r only", both[:32], ErrMalformed)
	add("a byte less", both[:63], ErrMalformed)
	add("a byte more", append(slices.Clone(both), 0), ErrMalformed)
	add("a zero before it", append([]byte{0}, both...), ErrMalformed)
	add("a zero before r and s", slices.Concat([]byte{0}, both[:32], []byte{0}, both[32:]), ErrMalformed)
	add("twice", slices.Concat(both, both), ErrMalformed)
	add("the size of P-384", slices.Concat(make([]byte, 16), both[:32], make([]byte, 16), both[32:]), ErrMalformed)
	add("in hexadecimal", []byte(hex.EncodeToString(both)), ErrMalformed)
	if sum := new(big.Int).Add(r, n); sum.BitLen() <= 256 {
		add("r+n", sideBySide(sum, s), ErrSignature)
	}
	if sum := new(big.Int).Add(s, n); sum.BitLen() <= 256 {
		add("s+n", sideBySide(r, sum), ErrSignature)
	}
	return forgeries
}

// wycheproofECDSA checks signatures over messages of any kind, so it goes past Parse, but for the length.
func wycheproofECDSA(t *testing.T) {
	file, err := os.Open("testdata/wycheproof/ecdsa_secp256r1_sha256_p1363.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	decode := func(text string) []byte {
		raw, err := hex.DecodeString(strings.TrimPrefix(text, "-"))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	valid, invalid := 0, 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) != 5 {
			t.Fatalf("%q", lines.Text())
		}
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), decode(fields[2]))
		if err != nil {
			t.Fatal(err)
		}
		token := &Token{Header: Header{Algorithm: ES256}, signingInput: string(decode(fields[3])), signature: decode(fields[4])}
		accepted := signatureFits(ES256, len(token.signature)) && token.Verify(public) == nil
		if want := fields[1] == "valid"; accepted != want {
			t.Errorf("test %s: accepted is %v, want %v", fields[0], accepted, want)
		}
		if accepted {
			valid++
		} else {
			invalid++
		}
	}
	if valid < 100 || invalid < 50 {
		t.Errorf("%d valid and %d invalid vectors", valid, invalid)
	}
}

// wycheproofJWS: what is invalid is refused, and what is valid is accepted if it is by a key for one of our algorithms.
func wycheproofJWS(t *testing.T) {
	type group struct {
		Comment string
		Key     json.RawMessage
		Tests   []struct {
			ID    int
			JWS   string
			Valid bool
		}
	}
	accepted, refused := 0, 0
	for _, group := range readLines[group](t, "testdata/wycheproof/json_web_signature_and_key.jsonl", 40) {
		raw := string(group.Key)
		if !strings.HasPrefix(raw, `{"keys"`) {
			raw = `{"keys":[` + raw + `]}`
		}
		set, err := ParseKeySet([]byte(raw))
		if err != nil && !errors.Is(err, ErrMalformed) {
			t.Fatal(err)
		}
		for _, test := range group.Tests {
			token, err := Parse(test.JWS, ParseOptions{Algorithms: allAlgorithms})
			if err == nil {
				err = token.VerifyWith(set)
			}
			if want := test.Valid && slices.Contains(allAlgorithms, algorithmOf(test.JWS)); (err == nil) != want {
				t.Errorf("%s, test %d: %v, want accepted: %v", group.Comment, test.ID, err, want)
			}
			if err == nil {
				accepted++
			} else {
				refused++
			}
		}
	}
	if accepted < 5 || refused < 100 {
		t.Errorf("%d vectors were accepted and %d refused", accepted, refused)
	}
}

// algorithmOf is what the header says, or nothing.
func algorithmOf(jws string) string {
	encoded, _, _ := strings.Cut(jws, ".")
	var header struct {
		Algorithm string `json:"alg"`
	}
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || json.Unmarshal(raw, &header) != nil {
		return ""
	}
	return header.Algorithm
}
