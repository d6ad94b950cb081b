package jose

import (
	"context"
	"crypto"
	"fmt"

	jose "github.com/go-jose/go-jose/v4"
)

// SignEmbedded makes a compact JWS that carries the bare public key of the signing key in its header and no kid, as a DPoP proof
// does (RFC 9449 §4.2). Errors are those of [Sign], or wrap [ErrMalformed] for a key that has no JWK.
func SignEmbedded(ctx context.Context, key SigningKey, public crypto.PublicKey, typ string, claims any) (string, error) {
	if !fits(key.Algorithm, public) {
		return "", fmt.Errorf("jose: sign: %w: the public key is not one for %s", ErrMalformed, key.Algorithm)
	}
	bare, err := jose.JSONWebKey{Key: public}.MarshalJSON()
	if err != nil {
		return "", fmt.Errorf("jose: sign: jwk: %w", err)
	}
	return sign(ctx, key, wireSignedHeader{Algorithm: key.Algorithm, Type: typ, JWK: bare}, claims)
}
