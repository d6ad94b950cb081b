package jose

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestDecryptRefusesOtherSpellings: one token has one spelling, and null is no way to leave a member out.
func TestDecryptRefusesOtherSpellings(t *testing.T) {
	d := newDecryptionKeys(t)
	good := seal(t, &d.ec.PublicKey, ECDHESA256KW, A128GCM, "ec", "text")
	parts := strings.Split(good, ".")
	rawHeader, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		t.Fatal(err)
	}
	with := func(member string) string { return header(good, "{"+member+","+string(rawHeader[1:])) }
	replaced := func(part int, value string) string {
		changed := strings.Split(good, ".")
		changed[part] = value
		return strings.Join(changed, ".")
	}
	tests := map[string]string{
		"the JSON serialization": fmt.Sprintf(`{"protected":%q,"encrypted_key":%q,"iv":%q,"ciphertext":%q,"tag":%q}`, parts[0], parts[1], parts[2], parts[3], parts[4]),
		"an array":               header(good, "[]"),
		"no JSON":                header(good, "text"),
		"two values":             header(good, string(rawHeader)+"{}"),
		"an epk of null":         header(good, `{"alg":"ECDH-ES+A256KW","enc":"A128GCM","epk":null}`),
		"an epk of text":         header(good, `{"alg":"ECDH-ES+A256KW","enc":"A128GCM","epk":"P-256"}`),
		"a member twice in epk":  header(good, strings.Replace(string(rawHeader), `"crv"`, `"crv":"P-256","crv"`, 1)),
		"a long kid":             header(good, strings.Replace(string(rawHeader), `"kid":"ec"`, `"kid":"`+strings.Repeat("e", MaxKeyID+1)+`"`, 1)),
		"a long apu":             with(`"apu":"` + strings.Repeat("A", MaxKeyID+1) + `"`),
		"a number as kid":        header(good, strings.Replace(string(rawHeader), `"kid":"ec"`, `"kid":1`, 1)),
		"no encrypted key":       replaced(1, ""),
		"padding":                replaced(1, parts[1]+"="),
		"base64, not base64url":  replaced(3, "++//"),
		"a line break inside":    replaced(3, parts[3][:2]+"\n"+parts[3][2:]),
	}
	// The 16 bytes of a tag leave four bits unused in base64url.
	last := strings.IndexByte(alphabet, parts[4][21])
	tests["bits behind the end"] = replaced(4, parts[4][:21]+alphabet[last+1:last+2])
	for _, member := range []string{"crit", "b64", "zip", "jku", "jwk", "x5u"} {
		tests[member+" of null"] = with(`"` + member + `":null`)
	}
	for name, token := range tests {
		if plaintext, err := Decrypt(t.Context(), token, d.keys); !errors.Is(err, ErrMalformed) || plaintext != nil {
			t.Errorf("%s: got %q, %v", name, plaintext, err)
		}
	}
	if plaintext, err := Decrypt(t.Context(), good, d.keys); err != nil || string(plaintext) != "text" {
		t.Errorf("the token that all of these were made of: %q, %v", plaintext, err)
	}
}

// alphabet is that of base64url.
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// TestDecryptIsNoOracle: for every wrong wrapping the error is ErrDecryption itself, not wrapped.
func TestDecryptIsNoOracle(t *testing.T) {
	d := newDecryptionKeys(t)
	for _, alg := range []string{ECDHESA256KW, RSAOAEP256} {
		parts := strings.Split(seal(t, d.public(alg), alg, A256CBCHS512, "", "text"), ".")
		whole, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{1, 7, 8, 9, 15, 16, 24, 40, len(whole) - 8, len(whole) - 1, len(whole) + 8, 1024} {
			wrapped := make([]byte, size)
			copy(wrapped, whole)
			parts[1] = base64.RawURLEncoding.EncodeToString(wrapped)
			if plaintext, err := Decrypt(t.Context(), strings.Join(parts, "."), d.keys); err != ErrDecryption || plaintext != nil {
				t.Errorf("%s with %d bytes: got %q, %v", alg, size, plaintext, err)
			}
		}
	}
	// A key of the wrong size for enc, wrapped well.
	parts := strings.Split(seal(t, &d.rsa.PublicKey, RSAOAEP256, A256CBCHS512, "", "text"), ".")
	parts[1] = strings.Split(seal(t, &d.rsa.PublicKey, RSAOAEP256, A128GCM, "", "text"), ".")[1]
	if plaintext, err := Decrypt(t.Context(), strings.Join(parts, "."), d.keys); err != ErrDecryption || plaintext != nil {
		t.Errorf("a key of 16 bytes: got %q, %v", plaintext, err)
	}
}

func TestOrRandom(t *testing.T) {
	unwrapped := bytes.Repeat([]byte{1}, 32)
	if got := orRandom(unwrapped, nil, 32); !bytes.Equal(got, unwrapped) {
		t.Errorf("a key that fits became %x", got)
	}
	for name, got := range map[string][]byte{
		"failed":    orRandom(unwrapped, ErrDecryption, 32),
		"too short": orRandom(unwrapped[:16], nil, 32),
		"nothing":   orRandom(nil, nil, 32),
	} {
		if len(got) != 32 || bytes.Equal(got, unwrapped) || bytes.Equal(got, make([]byte, 32)) {
			t.Errorf("%s: %x", name, got)
		}
	}
}

// TestDecryptRefusesShortSecrets: an HSM that drops the leading zeros of Z is at fault, and not the token.
func TestDecryptRefusesShortSecrets(t *testing.T) {
	d := newDecryptionKeys(t)
	keys := []DecryptionKey{{ID: "ec", Agree: func(context.Context, *ecdh.PublicKey) ([]byte, error) { return make([]byte, 31), nil }}}
	_, err := Decrypt(t.Context(), seal(t, &d.ec.PublicKey, ECDHES, A128GCM, "", "text"), keys)
	if err == nil || errors.Is(err, ErrDecryption) || errors.Is(err, ErrMalformed) {
		t.Errorf("got %v", err)
	}
}

// TestDeriveByHand makes the Concat KDF of NIST SP 800-56A §5.8.1 again, with more rounds than the vector of RFC 7518 has.
func TestDeriveByHand(t *testing.T) {
	secret := make([]byte, 32)
	rand.Read(secret)
	for _, test := range []struct {
		alg, enc, name string
		size, want     int
	}{
		{ECDHES, A128GCM, A128GCM, 16, 16}, {ECDHES, A256GCM, A256GCM, 32, 32},
		{ECDHES, A128CBCHS256, A128CBCHS256, 32, 32}, {ECDHES, A256CBCHS512, A256CBCHS512, 64, 64},
		{ECDHESA256KW, A128GCM, ECDHESA256KW, 16, 32}, {ECDHESA256KW, A256CBCHS512, ECDHESA256KW, 64, 32},
	} {
		got, err := derive(secret, test.alg, test.enc, []byte("Alice"), nil, test.size)
		if err != nil {
			t.Fatal(err)
		}
		var want []byte
		for round := uint32(1); len(want) < test.want; round++ {
			input := binary.BigEndian.AppendUint32(nil, round)
			input = append(input, secret...)
			input = binary.BigEndian.AppendUint32(input, uint32(len(test.name)))
			input = append(input, test.name...)
			input = append(input, "\x00\x00\x00\x05Alice\x00\x00\x00\x00"...)
			input = binary.BigEndian.AppendUint32(input, uint32(test.want*8))
			digest := sha256.Sum256(input)
			want = append(want, digest[:]...)
		}
		if !bytes.Equal(got, want[:test.want]) {
			t.Errorf("%s %s: derived %x, want %x", test.alg, test.enc, got, want[:test.want])
		}
	}
}

// TestDecryptAsksTheNamedKey: a kid that names another key, or none, is not tried with the key that would open the token.
func TestDecryptAsksTheNamedKey(t *testing.T) {
	d := newDecryptionKeys(t)
	for _, test := range []struct{ alg, kid, want string }{
		{ECDHES, "ec", "text"}, {ECDHES, "", "text"}, {ECDHES, "rsa", ""}, {ECDHES, "EC", ""}, {ECDHES, "unknown", ""},
		{RSAOAEP256, "rsa", "text"}, {RSAOAEP256, "", "text"}, {RSAOAEP256, "ec", ""}, {RSAOAEP256, "unknown", ""},
	} {
		plaintext, err := Decrypt(t.Context(), seal(t, d.public(test.alg), test.alg, A256GCM, test.kid, "text"), d.keys)
		if string(plaintext) != test.want || (err == nil) != (test.want != "") || err != nil && err != ErrDecryption {
			t.Errorf("%s with kid %q: got %q, %v", test.alg, test.kid, plaintext, err)
		}
	}
}

// TestDecryptRefusesNeedlessEphemeral: RSA agrees on nothing, so an epk beside it is an error or an attack.
func TestDecryptRefusesNeedlessEphemeral(t *testing.T) {
	d := newDecryptionKeys(t)
	token := seal(t, &d.rsa.PublicKey, RSAOAEP256, A256GCM, "", "text")
	with := header(token, `{"alg":"RSA-OAEP-256","enc":"A256GCM","epk":`+rfc7515Key+`}`)
	if plaintext, err := Decrypt(t.Context(), with, d.keys); !errors.Is(err, ErrMalformed) || plaintext != nil {
		t.Errorf("got %q, %v", plaintext, err)
	}
}

// TestDecryptKeepsBadPointsFromTheKey: the private half is never asked about a point that is not on P-256.
func TestDecryptKeepsBadPointsFromTheKey(t *testing.T) {
	d := newDecryptionKeys(t)
	asked := 0
	keys := []DecryptionKey{{ID: "ec", Agree: func(context.Context, *ecdh.PublicKey) ([]byte, error) {
		asked++
		return make([]byte, 32), nil
	}}}
	token := seal(t, &d.ec.PublicKey, ECDHES, A256GCM, "", "text")
	zero, one := strings.Repeat("A", 43), strings.Repeat("A", 42)+"E"
	for name, epk := range map[string]string{
		"beside the curve":       `{"kty":"EC","crv":"P-256","x":"` + one + `","y":"` + one + `"}`,
		"zero":                   `{"kty":"EC","crv":"P-256","x":"` + zero + `","y":"` + zero + `"}`,
		"beyond the field":       `{"kty":"EC","crv":"P-256","x":"` + strings.Repeat("_", 42) + `8","y":"` + one + `"}`,
		"a short coordinate":     `{"kty":"EC","crv":"P-256","x":"AQ","y":"` + one + `"}`,
		"named another curve":    strings.Replace(rfc7515Key, "P-256", "secp256k1", 1),
		"a key that makes no Z":  rfc8037Key,
		"a key with a private d": strings.Replace(rfc7515Key, `"kty"`, `"d":"AQ","kty"`, 1),
	} {
		changed := header(token, `{"alg":"ECDH-ES","enc":"A256GCM","epk":`+epk+`}`)
		if plaintext, err := Decrypt(t.Context(), changed, keys); err != ErrDecryption || plaintext != nil || asked != 0 {
			t.Errorf("%s: got %q, %v, asked %d times", name, plaintext, err, asked)
		}
	}
	if _, err := Decrypt(t.Context(), header(token, `{"alg":"ECDH-ES","enc":"A256GCM","epk":`+rfc7515Key+`}`), keys); err != ErrDecryption || asked != 1 {
		t.Errorf("a good point: got %v, asked %d times", err, asked)
	}
}
