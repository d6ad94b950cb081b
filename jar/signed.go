package jar

import (
	"context"
	"fmt"

	"countersign/internal/jose"
)

// Signed is a JWS that was taken apart (RFC 7515 §5.2): what is needed to check its signature, and nothing that has to be
// decoded again for it.
type Signed struct {
	// Algorithm is alg: PS256, ES256 or EdDSA, and one of those that [Parse] was given. KeyID is kid, or empty; whoever sent
	// it chose it: compare it with the kid of known keys and do nothing else with it. Input is what the signature covers:
	// header, dot and payload as they were sent.
	Algorithm, KeyID, Input string
	// Signature is in JWS form: r and s of ES256 side by side (RFC 7518 §3.4).
	Signature []byte
}

// Verifier checks a signature with the keys of the client that the caller knows to be the sender. An error refuses the
// object; its text is shown to the client. A caller that has to tell which key it was notes it here.
type Verifier func(ctx context.Context, signed Signed) error

// KeySet is the JWK Set of a client (RFC 7517 §5). The zero value has no keys.
type KeySet struct{ keys jose.KeySet }

// ParseKeySet reads a JWK Set of at most 2 MiB and 2000 keys. Keys that cannot be used are left out (RFC 7517 §5):
// symmetric ones, RSA keys of less than 2048 or more than 4096 bits, points off their curve, and keys for other algorithms
// than PS256, ES256 and EdDSA. A private key refuses the set.
func ParseKeySet(jwks []byte) (KeySet, error) {
	keys, err := jose.ParseKeySet(jwks)
	if err != nil {
		return KeySet{}, fmt.Errorf("jar: %w", err)
	}
	return KeySet{keys}, nil
}

// Verify is a [Verifier]: one of the keys has to have made the signature, one with the kid if one is named, whose kty, alg,
// use and key_ops allow it.
func (s KeySet) Verify(_ context.Context, signed Signed) error {
	header := jose.Header{Algorithm: signed.Algorithm, KeyID: signed.KeyID}
	return jose.NewToken(header, signed.Input, signed.Signature).VerifyWith(s.keys)
}
