package audit

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"countersign/internal/jose"
)

// HTTPMessage is a signed HTTP message (RFC 9421): what its signature was made over, which holds the digest of the body and
// not the body.
type HTTPMessage struct {
	// Base is the signature base (§2.5) verbatim, but that values of fields with secrets are replaced by their SHA-256.
	Base string `json:"base"`
	// Digest is the SHA-256 of the base, in base64url; empty when nothing in it was replaced.
	Digest string `json:"base_sha256,omitempty"`
	// Algorithm is the JWS algorithm that makes the same signature: ES256 for ecdsa-p256-sha256, EdDSA for ed25519, PS256.
	Algorithm string `json:"alg"`
	// Signature is in base64url.
	Signature string `json:"signature"`
}

// secretFields are the fields whose values are never kept.
var secretFields = [...]string{"authorization", "dpop", "cookie", "set-cookie", "proxy-authorization"}

// NewHTTPMessage takes a signature base and the signature over it. It is not verified here.
func NewHTTPMessage(base []byte, algorithm string, signature []byte) Message {
	lines, withheld := strings.Split(string(base), "\n"), false
	for i, line := range lines {
		identifier, value, _ := strings.Cut(line, ": ")
		for _, name := range secretFields {
			if strings.HasPrefix(identifier, `"`+name+`"`) {
				lines[i], withheld = identifier+`: {"sha-256":"`+digest([]byte(value))+`"}`, true
			}
		}
	}
	kept := &HTTPMessage{Base: strings.Join(lines, "\n"), Algorithm: algorithm, Signature: base64.RawURLEncoding.EncodeToString(signature)}
	if withheld {
		kept.Digest = digest(base)
	}
	return Message{HTTP: kept}
}

// verify checks the signature, unless Ed25519 would need what was withheld.
func (h *HTTPMessage) verify(key jose.Key) error {
	signature, err := base64.RawURLEncoding.DecodeString(h.Signature)
	if err != nil {
		return fmt.Errorf("the signature: %w", err)
	}
	if h.Digest == "" {
		_, by, err := jose.NewKeySet(key).VerifyMessage("", "", []byte(h.Base), signature)
		if err != nil {
			return err
		}
		if by != h.Algorithm {
			return errUnprovable
		}
		return nil
	}
	digest, err := base64.RawURLEncoding.DecodeString(h.Digest)
	switch {
	case err != nil:
		return errors.Join(errUnprovable, err)
	case h.Algorithm == jose.EdDSA:
		return nil
	}
	return jose.VerifyDigest(h.Algorithm, key.Public, digest, signature)
}
