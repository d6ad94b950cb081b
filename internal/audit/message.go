package audit

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"countersign/internal/jose"
)

// Message is a signed message as it is stored: verbatim, or, when a claim of it is a secret, with a digest in place of
// that claim and with what verifies the rest. A signature is always kept.
type Message struct {
	// JWS is the message verbatim, in compact form; empty when a secret was withheld.
	JWS string `json:"jws,omitempty"`
	// Withheld is set when a secret was withheld.
	Withheld *Withheld `json:"withheld,omitempty"`
	// HTTP is set when the message is no JWS.
	HTTP *HTTPMessage `json:"http,omitempty"`
	// Apart is set in the chain when the message is in the personal part of its entry, from where it can be erased.
	Apart bool `json:"apart,omitempty"`
}

// Erased reports whether the entry had a message that is not there any more.
func (e Entry) Erased() bool { return e.PersonalDigest != "" && e.Personal == nil }

// single reports whether the message is kept in exactly one way.
func (m Message) single() bool {
	ways := 0
	for _, present := range []bool{m.JWS != "", m.Withheld != nil, m.HTTP != nil, m.Apart} {
		if present {
			ways++
		}
	}
	return ways == 1
}

// Withheld is a message with secrets, which are not kept. SigningInput is what PS256 and ES256 sign, so that Signature
// can still be verified; a holder of the original can prove that it is this one.
type Withheld struct {
	// Header is the JOSE header as it was sent, in base64url.
	Header string `json:"header"`
	// Claims are those of the payload; a secret one is {"sha-256": "…"}, the digest of its value in base64url, and a personal
	// one {"withheld": true}, since a digest of what can be guessed hides nothing.
	Claims map[string]json.RawMessage `json:"claims"`
	// SigningInput is the SHA-256, in base64url, of header, dot and payload as they were sent. Logs of older releases do
	// not have it where a claim could be guessed, nor Signature.
	SigningInput string `json:"signing_input_sha256,omitempty"`
	// Signature is in base64url, as it was sent.
	Signature string `json:"signature,omitempty"`
}

// secretClaims are never kept. They are looked for at the top of a payload, where the parameters of OAuth are.
var secretClaims = [...]string{
	"code", "access_token", "refresh_token", "token", "client_secret", "client_assertion", "code_verifier",
	"registration_access_token", "client_notification_token",
}

// guessable are secrets that few tries would find if there were anything to try them against: a signature, or the digest of
// what was signed. So of a message with one of them the jti is withheld too: it salts both, since its sender chose it at
// random and it is kept nowhere (the store has a digest of it).
var guessable = [...]string{"password", "user_code"}

// minSalt is the least length of a jti that can be a salt, in bytes.
const minSalt = 16

// Withholds reports whether a claim of a signed message would not be kept as it was sent.
func Withholds(claim string) bool {
	return slices.Contains(secretClaims[:], claim) || slices.Contains(guessable[:], claim)
}

// NewMessage takes a compact JWS (RFC 7515 §7.1), not an encrypted one: that is kept as what was in it. The claims named as
// personal are withheld, as secrets are. It is not verified here. A message
// with a secret that can be guessed needs a jti of 16 bytes or more. Errors wrap [ErrMessage].
func NewMessage(jws string, personal ...string) (Message, error) {
	token, err := parseJWS(jws)
	if err != nil {
		return Message{}, fmt.Errorf("%w: %w", ErrMessage, err)
	}
	var claims map[string]json.RawMessage
	if err := token.Claims(&claims); err != nil {
		return Message{}, fmt.Errorf("%w: %w", ErrMessage, err)
	}
	withheld := false
	for _, name := range secretClaims {
		value, present := claims[name]
		if !present {
			continue
		}
		withheld = true
		claims[name] = json.RawMessage(`{"sha-256":"` + digest(secretValue(value)) + `"}`)
	}
	for _, name := range personal {
		if _, present := claims[name]; present {
			withheld, claims[name] = true, json.RawMessage(`{"withheld":true}`)
		}
	}
	guess := false
	for _, name := range guessable {
		if _, present := claims[name]; present {
			withheld, guess, claims[name] = true, true, json.RawMessage(`{"withheld":true}`)
		}
	}
	if guess {
		var salt string
		if err := json.Unmarshal(claims["jti"], &salt); err != nil || len(salt) < minSalt {
			return Message{}, fmt.Errorf("%w: beside a user_code or password it needs a jti of at least %d random characters", ErrMessage, minSalt)
		}
		claims["jti"] = json.RawMessage(`{"withheld":true}`)
	}
	if !withheld {
		return Message{JWS: jws}, nil
	}
	end := strings.LastIndexByte(jws, '.')
	return Message{Withheld: &Withheld{
		Header: jws[:strings.IndexByte(jws, '.')], Claims: claims, SigningInput: digest([]byte(jws[:end])), Signature: jws[end+1:],
	}}, nil
}

// secretValue is the text of a JSON string, and otherwise the JSON itself.
func secretValue(raw json.RawMessage) []byte {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return raw
	}
	return []byte(text)
}

// Is reports whether this is the evidence of a message: the same one byte for byte, up to the secrets withheld. Of a message
// of an older release without its signature that cannot be decided: false.
func (m Message) Is(jws string) bool {
	if m.HTTP != nil {
		return false
	}
	if m.Withheld == nil {
		return m.JWS == jws
	}
	end := strings.LastIndexByte(jws, '.')
	return end >= 0 && m.Withheld.Signature != "" && m.Withheld.SigningInput == digest([]byte(jws[:end])) && m.Withheld.Signature == jws[end+1:]
}

// ReferenceOf names a compact JWS. It confirms no guess of what is in it: only who has the signature, or the key that made it, can make it.
func ReferenceOf(jws string) string { return digest([]byte(jws))[:22] }

// errUnsigned is a message of which no signature was kept.
var errUnsigned = errors.New("neither the message nor its signature is kept")

// errUnprovable is a message whose signature does not fit its key.
var errUnprovable = errors.New("the signature is not of the key that is kept with it")

// check verifies the message with the key of its entry. Ed25519 signs no digest, so that a message with secrets withheld
// can be verified only beside its original.
func (e Entry) check() error {
	if e.Message == nil || e.Message.Apart { // erased: that it was is looked for elsewhere
		return nil
	}
	if w := e.Message.Withheld; w != nil && (w.SigningInput == "" || w.Signature == "") {
		return errUnsigned
	}
	if e.JWK == nil {
		return nil
	}
	key, err := jose.ParsePublicJWK(e.JWK)
	if err != nil {
		return err
	}
	if key.Thumbprint() != e.Key {
		return errUnprovable
	}
	switch m := e.Message; {
	case m.HTTP != nil:
		return m.HTTP.verify(key)
	case m.Withheld != nil:
		return m.Withheld.verify(key)
	default:
		return verifyJWS(m.JWS, key)
	}
}

// parseJWS reads a message for its signature alone: who accepted it has processed what crit names.
func parseJWS(jws string) (*jose.Token, error) {
	return jose.Parse(jws, jose.ParseOptions{Algorithms: []string{jose.PS256, jose.ES256, jose.EdDSA}, Critical: func([]byte) error { return nil }})
}

func verifyJWS(jws string, key jose.Key) error {
	token, err := parseJWS(jws)
	if err != nil {
		return err
	}
	return token.Verify(key.Public)
}

func (w *Withheld) verify(key jose.Key) error {
	raw, errHeader := base64.RawURLEncoding.DecodeString(w.Header)
	digest, errDigest := base64.RawURLEncoding.DecodeString(w.SigningInput)
	signature, errSignature := base64.RawURLEncoding.DecodeString(w.Signature)
	if err := errors.Join(errHeader, errDigest, errSignature); err != nil {
		return err
	}
	var header struct {
		Algorithm string `json:"alg"`
	}
	if err := json.Unmarshal(raw, &header); err != nil {
		return err
	}
	if header.Algorithm == jose.EdDSA {
		return nil
	}
	return jose.VerifyDigest(header.Algorithm, key.Public, digest, signature)
}

// digest is SHA-256 in base64url.
func digest(value []byte) string {
	sum := sha256.Sum256(value)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
