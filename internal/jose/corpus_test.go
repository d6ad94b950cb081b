package jose

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

// victim is a client with three published keys, and an attacker who has one of his own.
type victim struct {
	own, rsa, ed, attacker PrivateKey
	set                    KeySet
	replace                *strings.Replacer
}

const goodHeader, goodClaims = `{"alg":"ES256","kid":"k1"}`, `{"iss":"client","sub":"client"}`

func newVictim(t testing.TB) *victim {
	t.Helper()
	v := &victim{own: newKey(t, ES256), rsa: newKey(t, PS256), ed: newKey(t, EdDSA), attacker: newKey(t, ES256)}
	v.set = keySet(t, with(t, v.own.PublicJWK(), map[string]any{"kid": "k1"}),
		with(t, v.rsa.PublicJWK(), map[string]any{"kid": "rsa"}), with(t, v.ed.PublicJWK(), map[string]any{"kid": "ed"}))
	token := signRaw(t, v.own, goodHeader, goodClaims)
	parts := strings.Split(token, ".")
	v.replace = strings.NewReplacer("$own", string(v.own.PublicJWK()), "$attacker", string(v.attacker.PublicJWK()),
		"$certificate", certificate(t, v.attacker), "$thumbprint", v.attacker.ID(), "$token", token,
		"$protected", parts[0], "$payload", parts[1], "$signature", parts[2])
	return v
}

// malformedJWT is a line of testdata/malformed-jwt: a token that must be refused. Either it is raw, or header and
// payload (goodClaims by default) are given as JSON or as they are to be encoded, and By says who signs them, so that
// nothing else is wrong. Want is how it must be refused: "malformed", "algorithm", "no key" or "signature".
type malformedJWT struct {
	Name, Want, By                string
	Raw                           *string
	Header, Payload               *string
	EncodedHeader, EncodedPayload *string
}

var refusals = map[string]error{"malformed": ErrMalformed, "algorithm": ErrAlgorithm, "no key": ErrNoKey, "signature": ErrSignature}

// readLines decodes a file with a JSON value on each line.
func readLines[Line any](t testing.TB, name string, atLeast int) []Line {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var lines []Line
	scanner := bufio.NewScanner(file)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var line Line
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			t.Fatalf("%s, line %d: %v", name, len(lines)+1, err)
		}
		lines = append(lines, line)
	}
	if err := scanner.Err(); err != nil || len(lines) < atLeast {
		t.Fatalf("%s: %d lines, want %d or more; %v", name, len(lines), atLeast, err)
	}
	return lines
}

// refusesCorpus reads tokens that must be refused, with any options, by each way to verify them.
func refusesCorpus(t *testing.T, name string, atLeast int) {
	t.Helper()
	v := newVictim(t)
	for _, line := range readLines[malformedJWT](t, "testdata/malformed-jwt/"+name, atLeast) {
		t.Run("refuses "+line.Name, func(t *testing.T) {
			want, ok := refusals[line.Want]
			if !ok {
				t.Fatalf("the corpus wants %q", line.Want)
			}
			raw := v.token(t, line)
			err := v.accept(raw, ParseOptions{Algorithms: allAlgorithms})
			if !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
			if err != nil {
				checkShown(t, err)
			}
			for _, algorithm := range allAlgorithms {
				if v.accept(raw, ParseOptions{Algorithms: []string{algorithm}, AllowJWK: true}) == nil {
					t.Errorf("accepted where %s and jwk are allowed", algorithm)
				}
			}
		})
	}
}

// accept is what a caller does with a token of the victim's.
func (v *victim) accept(raw string, options ParseOptions) error {
	token, err := Parse(raw, options)
	if err != nil {
		return err
	}
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		return err
	}
	return token.VerifyWith(v.set)
}

// checkShown: an error may be shown to the sender of the token.
func checkShown(t testing.TB, err error) {
	t.Helper()
	text := err.Error()
	if len(text) > 600 || !utf8.ValidString(text) || strings.Contains(text, "attacker.example") && !strings.Contains(text, "kid") {
		t.Errorf("the error is not fit to be shown: %q", text)
	}
	for _, c := range text {
		if c < ' ' || c == 0x7f || c == 0x202e {
			t.Errorf("the error has control characters: %q", text)
		}
	}
}

func (v *victim) token(t testing.TB, line malformedJWT) string {
	t.Helper()
	if line.Raw != nil {
		return v.replace.Replace(strings.ReplaceAll(*line.Raw, "$bomb", base64.RawURLEncoding.EncodeToString(deflated(t, 1<<20))))
	}
	encode := func(plain, encoded *string, standard string) string {
		if encoded != nil {
			return *encoded
		}
		if plain == nil {
			return base64.RawURLEncoding.EncodeToString([]byte(standard))
		}
		if *plain == "$bomb" {
			return base64.RawURLEncoding.EncodeToString(deflated(t, 8<<20))
		}
		return base64.RawURLEncoding.EncodeToString([]byte(v.replace.Replace(*plain)))
	}
	input := encode(line.Header, line.EncodedHeader, goodHeader) + "." + encode(line.Payload, line.EncodedPayload, goodClaims)
	return input + "." + base64.RawURLEncoding.EncodeToString(v.sign(t, line.By, input))
}

// sign makes the signature of a corpus line.
func (v *victim) sign(t testing.TB, by, input string) []byte {
	t.Helper()
	if form, ok := strings.CutPrefix(by, "hmac "); ok {
		header, err := base64.RawURLEncoding.DecodeString(input[:strings.IndexByte(input, '.')])
		if err != nil {
			t.Fatal(err)
		}
		confused := v.own
		if strings.Contains(string(header), `"kid":"rsa"`) {
			confused = v.rsa
		}
		mac := hmac.New(sha256.New, confusedSecret(t, form, confused))
		mac.Write([]byte(input))
		return mac.Sum(nil)
	}
	signers := map[string]PrivateKey{"own": v.own, "rsa": v.rsa, "ed": v.ed, "attacker": v.attacker}
	switch by {
	case "none":
		return nil
	case "zeros":
		return make([]byte, 64)
	case "pkcs1":
		digest := sha256.Sum256([]byte(input))
		signature, err := rsa.SignPKCS1v15(rand.Reader, v.rsa.signer.(*rsa.PrivateKey), crypto.SHA256, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
	signer, ok := signers[by]
	if !ok {
		t.Fatalf("the corpus wants a signature by %q", by)
	}
	signature, err := signer.sign(t.Context(), []byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

// confusedSecret is what a verifier that confuses keys would take for an HMAC secret.
func confusedSecret(t testing.TB, form string, key PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Key().Public)
	if err != nil {
		t.Fatal(err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	secrets := map[string][]byte{
		"jwk": key.PublicJWK(), "pem": block, "pem without newline": bytes.TrimSpace(block), "der": der, "kid": []byte("k1"), "empty": nil,
	}
	secret, ok := secrets[form]
	if !ok {
		t.Fatalf("the corpus wants the public key as %q", form)
	}
	return secret
}

// deflated is a JSON object with so many spaces, compressed as zip "DEF" says (RFC 7516 §4.1.3).
func deflated(t testing.TB, size int) []byte {
	t.Helper()
	var packed bytes.Buffer
	writer, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Write([]byte(goodClaims)); err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Write(bytes.Repeat([]byte(" "), size)); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}
