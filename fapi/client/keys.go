package client

import (
	"context"

	"countersign/internal/jose"
	"countersign/jar"
)

// KeySets finds the keys of clients: of jwks, or at jwks_uri.
type KeySets struct {
	remote *jose.RemoteKeySets
}

// NewKeySets makes the key sets of clients; remote fetches and caches those at jwks_uri.
func NewKeySets(remote *jose.RemoteKeySets) *KeySets { return &KeySets{remote: remote} }

// Verify checks a signature with the client's keys.
func (k *KeySets) Verify(ctx context.Context, c *Client, token *jose.Token) error {
	if address := c.Metadata.JWKSURI; address != "" {
		return k.remote.Verify(ctx, address, token)
	}
	return token.VerifyWith(c.Keys)
}

// Verifier checks signed requests with the client's keys, and stores in signedBy which key it was, for the evidence.
func (k *KeySets) Verifier(c *Client, signedBy *jose.Key) jar.Verifier {
	return func(ctx context.Context, signed jar.Signed) error {
		token := jose.NewToken(jose.Header{Algorithm: signed.Algorithm, KeyID: signed.KeyID}, signed.Input, signed.Signature)
		err := k.Verify(ctx, c, token)
		*signedBy = token.VerifiedWith()
		return err
	}
}

// Of returns the client's keys.
func (k *KeySets) Of(ctx context.Context, c *Client) (jose.KeySet, error) {
	if address := c.Metadata.JWKSURI; address != "" {
		return k.remote.Keys(ctx, address)
	}
	return c.Keys, nil
}

// Try calls judge with the client's keys. When judge reports that the key is unknown and the keys are at jwks_uri,
// they may be fetched again and judge called once more: the client may have rotated them.
func (k *KeySets) Try(ctx context.Context, c *Client, judge func(jose.KeySet) (unknown bool, verdict error)) error {
	if address := c.Metadata.JWKSURI; address != "" {
		return k.remote.Try(ctx, address, judge)
	}
	_, err := judge(c.Keys)
	return err
}
