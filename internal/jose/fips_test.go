package jose

import (
	"crypto/fips140"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"countersign/internal/fips/fipstest"
)

// Covers: NM-116. TestNM116Encryption: what is encrypted has neither AES-GCM nor SHA-1 where FIPS 140-3 is enforced.
func TestNM116Encryption(t *testing.T) {
	t.Run("accepts the rest where it is enforced", func(t *testing.T) {
		if !fipstest.Enforced(t) {
			return
		}
		own := newDecryptionKeys(t)
		for _, alg := range EncryptionAlgorithms() {
			for _, enc := range ContentEncryptions() {
				opened, err := Decrypt(t.Context(), seal(t, own.public(alg), alg, enc, "", "a secret"), own.keys)
				if err != nil || string(opened) != "a secret" {
					t.Errorf("%s with %s: %q, %v", alg, enc, opened, err)
				}
			}
		}
	})
	t.Run("accepts everything where it is not", func(t *testing.T) {
		want := map[bool]int{true: 5, false: 8}[fips140.Enforced()]
		if got := len(EncryptionAlgorithms()) + len(ContentEncryptions()); got != want {
			t.Errorf("%q, %q", EncryptionAlgorithms(), ContentEncryptions())
		}
	})
	t.Run("refuses AES-GCM and RSA-OAEP, by name", func(t *testing.T) {
		if !fipstest.Enforced(t) {
			return
		}
		own := newDecryptionKeys(t)
		for _, header := range []string{
			`{"alg":"RSA-OAEP-256","enc":"A256GCM"}`, `{"alg":"RSA-OAEP-256","enc":"A128GCM"}`, `{"alg":"RSA-OAEP","enc":"A128CBC-HS256"}`,
		} {
			token := base64.RawURLEncoding.EncodeToString([]byte(header)) + strings.Repeat("."+strings.Repeat("A", 64), 4)
			if _, err := Decrypt(t.Context(), token, own.keys); !errors.Is(err, ErrAlgorithm) {
				t.Errorf("%s: %v", header, err)
			}
		}
		for _, each := range [][2]string{{RSAOAEP, A128CBCHS256}, {RSAOAEP256, A256GCM}, {ECDHES, A128GCM}} {
			if _, err := (KeySet{}).Encrypt(nil, each[0], each[1], ""); !errors.Is(err, ErrAlgorithm) {
				t.Errorf("%q: %v", each, err)
			}
		}
		if slices.Contains(DecryptionAlgorithms(), RSAOAEP) || slices.Contains(ContentEncryptions(), A256GCM) {
			t.Error("they are offered")
		}
	})
	t.Run("refuses a key in a header with a certificate, and does not end for it", func(t *testing.T) {
		if !fipstest.Enforced(t) {
			return
		}
		// A library would compute the SHA-1 thumbprint of x5c, which ends the program there.
		own := newDecryptionKeys(t)
		key, err := NewKey("", "", &own.ec.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		var members map[string]any
		text, err := key.MarshalJSON()
		if err != nil || json.Unmarshal(text, &members) != nil {
			t.Fatal(err)
		}
		members["x5c"] = []string{certificateDER}
		header, err := json.Marshal(map[string]any{"alg": "ES256", "typ": "dpop+jwt", "jwk": members})
		if err != nil {
			t.Fatal(err)
		}
		encode := base64.RawURLEncoding.EncodeToString
		token := encode(header) + "." + encode([]byte("{}")) + "." + encode(make([]byte, 64))
		parsed, err := Parse(token, ParseOptions{Algorithms: []string{ES256}, AllowJWK: true})
		if err == nil {
			_, err = parsed.VerifyEmbedded()
		}
		if err == nil {
			t.Error("it is accepted")
		}
	})
}

// certificateDER is some certificate in base64.
const certificateDER = "MIIBbzCCARWgAwIBAgIUEaU52PqwwrKUzLZtmajkLE8Bh6wwCgYIKoZIzj0EAwIwDDEKMAgGA1UEAwwBeDAgFw0yNjExMzAyMDI0NTVaGA8yMTA5MDExOTIwMjQ1NVowDDEKMAgGA1UEAwwBeDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABHid8qyBzL3WTTI7C7XFfZOl6B83b4PmRTAodjKzGPYQTjDCtUXLl5oQoA9Tvuftc+9q0MK+nThJa+ALMrleBr2jUzBRMB0GA1UdDgQWBBS2BWMHozFcMjSf/GS9LqagvD540TAfBgNVHSMEGDAWgBS2BWMHozFcMjSf/GS9LqagvD540TAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQDHlW1TmKkIh8HHW6s/m1vLbUge3SyEToichIJxwAdCMAIgBJwTaLG7AfghOYt0evMSVgAVzTxeRpU0p0SPeb/DjsA="
