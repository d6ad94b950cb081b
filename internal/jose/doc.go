// Package jose reads and writes the signed tokens and the key sets of this server. It and internal/strictjson are the
// only importers of go-jose.
//
// It knows three algorithms (FAPI 2.0 Security Profile §5.4.1) and one serialization, compact JWS (RFC 7515 §7.1).
// Reading is strict: sizes and depths are limited before anything is decoded, JSON members may not repeat, base64url
// has one spelling, and nothing in a header chooses a key or an algorithm that the caller did not allow. Key sets alone
// are read as the world serves them: see [ParseKeySet].
//
//	token, err := jose.Parse(raw, jose.ParseOptions{Algorithms: []string{jose.PS256}})
//	err = token.Claims(&claims)     // readable, and not yet to be believed
//	err = token.VerifyWith(keys)    // now it is
//
// Signatures are checked here with the standard library and not by go-jose, for two reasons: go-jose accepts any
// length of a PSS salt, and it would parse each token a second time. The tests compare both.
package jose

import (
	"errors"

	"countersign/internal/strictjson"
)

// Algorithms (RFC 7518 §3.1, RFC 8037 §3.1). Each is bound to one kind of key: RSA of 2048 to 4096 bits, P-256,
// Ed25519.
const (
	PS256 = "PS256"
	ES256 = "ES256"
	EdDSA = "EdDSA"
)

// ed25519Algorithm is the fully specified name of EdDSA with Ed25519 (RFC 9864 §2.2). It is accepted wherever EdDSA
// is, and read as EdDSA.
const ed25519Algorithm = "Ed25519"

// Limits on input.
const (
	// MaxTokenSize is the size of the largest token that is looked at, in bytes.
	MaxTokenSize = 16 << 10
	// MaxKeySetSize is the size of the largest key set that is looked at, in bytes.
	MaxKeySetSize = 2 << 20
	// MaxKeys is the number of keys that a key set may hold.
	MaxKeys = 2000
	// MaxKeyID is the size of the longest kid, in bytes.
	MaxKeyID = 256
)

// The ways in which input can fail. Errors of this package wrap one of them. Their texts may be shown to the sender of
// the input: they repeat nothing of it but a kid, quoted and bounded.
var (
	// ErrMalformed is input that is not what it should be, or more than is allowed.
	ErrMalformed = strictjson.ErrMalformed
	// ErrAlgorithm is a token with an algorithm that the caller does not accept.
	ErrAlgorithm = errors.New("algorithm not accepted")
	// ErrNoKey is a token that no key of the set can verify.
	ErrNoKey = errors.New("no matching key")
	// ErrSignature is a token whose signature is wrong.
	ErrSignature = errors.New("wrong signature")
)

// canonicalAlgorithm maps the names of one algorithm to one name.
func canonicalAlgorithm(name string) string {
	if name == ed25519Algorithm {
		return EdDSA
	}
	return name
}
