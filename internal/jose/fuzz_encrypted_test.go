package jose

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

// fuzzKeys are the same in every process, so that a token of the corpus opens in each: those of RFC 7520 §5.5 and RFC 7516
// §A.1.
func fuzzKeys(t testing.TB) decryptionKeys {
	t.Helper()
	ec, err := jwkPrivate(meriadoc)
	if err != nil {
		t.Fatal(err)
	}
	private, err := jwkRSA(rfc7516Key)
	if err != nil {
		t.Fatal(err)
	}
	return inMemory(t, ec, private)
}

// checkDecrypted checks a result against what may come of a token: an error of three kinds, or the one text that every
// honest token of the corpus has.
func checkDecrypted(t *testing.T, plaintext []byte, err error) {
	t.Helper()
	switch {
	case err != nil && plaintext != nil:
		t.Error("an error with a plaintext")
	case err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrAlgorithm) && err != ErrDecryption:
		t.Errorf("an error of another kind: %v", err)
	case err == nil && string(plaintext) != "text":
		t.Errorf("a forged plaintext %q", plaintext)
	}
}

// FuzzDecrypt: a token does not open unless it is one that was made with the keys. One that opens does so in one spelling.
func FuzzDecrypt(f *testing.F) {
	d := fuzzKeys(f)
	for _, alg := range DecryptionAlgorithms() {
		for _, enc := range ContentEncryptions() {
			f.Add(seal(f, d.public(alg), alg, enc, "", "text"))
		}
	}
	f.Fuzz(func(t *testing.T, token string) {
		plaintext, err := Decrypt(t.Context(), token, d.keys)
		checkDecrypted(t, plaintext, err)
		if err != nil {
			return
		}
		for _, other := range []string{token + "=", token + ".", "." + token, " " + token, token + "\n", token[1:]} {
			if plaintext, err := Decrypt(t.Context(), other, d.keys); err == nil {
				t.Errorf("%q opened as %q", other, plaintext)
			}
		}
	})
}

// FuzzDecryptParts is FuzzDecrypt below base64url, where a change of one byte reaches the JSON, the wrapping and the
// ciphers.
func FuzzDecryptParts(f *testing.F) {
	d := fuzzKeys(f)
	for _, alg := range DecryptionAlgorithms() {
		for _, enc := range ContentEncryptions() {
			var parts [5][]byte
			for i, part := range strings.Split(seal(f, d.public(alg), alg, enc, "", "text"), ".") {
				raw, err := base64.RawURLEncoding.DecodeString(part)
				if err != nil {
					f.Fatal(err)
				}
				parts[i] = raw
			}
			f.Add(parts[0], parts[1], parts[2], parts[3], parts[4])
		}
	}
	f.Fuzz(func(t *testing.T, header, key, iv, ciphertext, tag []byte) {
		var parts []string
		for _, part := range [][]byte{header, key, iv, ciphertext, tag} {
			parts = append(parts, base64.RawURLEncoding.EncodeToString(part))
		}
		plaintext, err := Decrypt(t.Context(), strings.Join(parts, "."), d.keys)
		checkDecrypted(t, plaintext, err)
	})
}
