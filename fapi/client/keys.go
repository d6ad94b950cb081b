package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"countersign/fapi/profile"
	"countersign/internal/jose"
	"countersign/internal/outbound"
	"countersign/jar"
)

// KeySets finds the keys of clients: of jwks, or at jwks_uri.
type KeySets struct {
	remote *jose.RemoteKeySets
	log    *slog.Logger
}

// NewKeySets makes the key sets of clients; remote fetches and caches those behind addresses. What changes there is logged.
func NewKeySets(remote *jose.RemoteKeySets, log *slog.Logger) *KeySets {
	k := &KeySets{remote: remote, log: log}
	remote.Report = k.report
	return k
}

// caller is the key under which a context has the client whose keys are looked for.
type caller struct{}

func asked(ctx context.Context, c *Client) context.Context {
	return outbound.For(context.WithValue(ctx, caller{}, c), c.Organisation)
}

// report logs what came from a jwks_uri: once for each change, with the client that asked first. Several may have one
// address in common.
func (k *KeySets) report(ctx context.Context, report jose.Report) {
	c, ok := ctx.Value(caller{}).(*Client)
	if !ok {
		return
	}
	if failure := report.Failure; failure != nil {
		k.log.WarnContext(ctx, "client keys not read from jwks_uri; previous ones are kept", "client_id", c.ID,
			"jwks_uri", report.Address, "error", cmp.Or(errors.Unwrap(failure), error(failure)).Error())
		return
	}
	logLeftOut(ctx, k.log, c, report.Keys)
}

// maxLoggedKeys bounds the lines of one key set; each says how many keys are left out of it.
const maxLoggedKeys = 16

// logLeftOut names the keys of a client that cannot be used.
func logLeftOut(ctx context.Context, log *slog.Logger, c *Client, keys jose.KeySet) {
	left := c.LeftOut(keys)
	for _, one := range left[:min(len(left), maxLoggedKeys)] {
		log.WarnContext(ctx, "client key left out", "client_id", c.ID, "jwks_uri", c.Metadata.JWKSURI, "kid", one.KeyID,
			"position", one.Position, "reason", one.Reason, "count", len(left))
	}
}

// LeftOut are the keys of a set that are of no use to the client.
func (c *Client) LeftOut(keys jose.KeySet) []jose.LeftOut {
	return keys.LeftOut(c.Metadata.TokenEndpointAuthMethod == profile.SelfSignedTLSClientAuth)
}

// Verify checks a signature with the client's keys; one that the client's directory revoked has made none.
func (k *KeySets) Verify(ctx context.Context, c *Client, token *jose.Token) error {
	address := c.Metadata.JWKSURI
	if address == "" {
		return token.VerifyWith(c.Keys)
	}
	if err := k.remote.Verify(asked(ctx, c), address, token); err != nil {
		return err
	}
	return k.Revoked(ctx, c, token.VerifiedWith())
}

// VerifyMessage is Verify for a message that the client's organisation may have signed: with the keys that its directory publishes for
// that, beside those of the software.
func (k *KeySets) VerifyMessage(ctx context.Context, c *Client, token *jose.Token) error {
	err := k.Verify(ctx, c, token)
	if c.OrganisationKeys == "" || !errors.Is(err, jose.ErrNoKey) && !errors.Is(err, jose.ErrSignature) || errors.Is(err, ErrRevoked) {
		return err
	}
	if own := k.remote.Verify(asked(ctx, c), c.OrganisationKeys, token); own == nil || !errors.Is(own, jose.ErrNoKey) {
		return own
	}
	return err
}

// ErrRevoked: the directory that vouches for the client lists the key as revoked. It is a [jose.ErrNoKey].
var ErrRevoked = fmt.Errorf("%w: the client's directory has revoked the key", jose.ErrNoKey)

// Revoked returns [ErrRevoked] for a key that the client's directory lists as revoked (software_jwks_revoked_endpoint). Where the list
// cannot be read and never was, nothing is revoked by it, and that is logged: a key that is revoked is not at jwks_uri any more.
func (k *KeySets) Revoked(ctx context.Context, c *Client, key jose.Key) error {
	if c.RevokedKeys == "" {
		return nil
	}
	if revoked, err := k.remote.Keys(asked(ctx, c), c.RevokedKeys); err == nil && revoked.Has(key) {
		return ErrRevoked
	}
	return nil
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
		return k.remote.Keys(asked(ctx, c), address)
	}
	return c.Keys, nil
}

// Try calls judge with the client's keys. When judge reports that the key is unknown and the keys are at jwks_uri,
// they may be fetched again and judge called once more: the client may have rotated them.
func (k *KeySets) Try(ctx context.Context, c *Client, judge func(jose.KeySet) (unknown bool, verdict error)) error {
	if address := c.Metadata.JWKSURI; address != "" {
		return k.remote.Try(asked(ctx, c), address, judge)
	}
	_, err := judge(c.Keys)
	return err
}
