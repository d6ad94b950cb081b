package jose

import (
	"context"
	"crypto"
	"fmt"

	"countersign/internal/jose/anysigner"
)

// NewSigningKey makes a key of any crypto.Signer. The algorithm is [PS256], [ES256] or [EdDSA], or [RS256] for a provider that takes
// nothing else. Errors wrap [ErrAlgorithm]: the key is not one for the algorithm.
func NewSigningKey(id, algorithm string, key crypto.Signer) (SigningKey, error) {
	algorithm = canonicalAlgorithm(algorithm)
	if key == nil || !known(algorithm) && algorithm != RS256 || !fits(algorithm, key.Public()) {
		return SigningKey{}, fmt.Errorf("jose: %w: the key is not one for %q", ErrAlgorithm, algorithm)
	}
	return SigningKey{ID: id, Algorithm: algorithm, Sign: func(_ context.Context, message []byte) ([]byte, error) {
		return anysigner.Sign(key, algorithm == PS256, message)
	}}, nil
}
