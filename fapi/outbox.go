package fapi

import (
	"context"
	"time"

	"countersign/ciba"
	"countersign/internal/jose"
	"countersign/jar"
	"countersign/store"
)

// outbox keeps pings in the store.
type outbox struct{ store store.Backchannel }

func (o outbox) ClaimPings(ctx context.Context, limit int, lease time.Duration) ([]ciba.Ping, error) {
	claimed, err := o.store.ClaimPings(ctx, limit, lease)
	if err != nil {
		return nil, err
	}
	pings := make([]ciba.Ping, len(claimed))
	for i, p := range claimed {
		pings[i] = ciba.Ping{Request: p.Request, ClientID: p.ClientID, Sealed: p.Sealed, Attempt: p.Attempt, ExpiresAt: p.ExpiresAt}
	}
	return pings, nil
}

func (o outbox) PingDone(ctx context.Context, request [32]byte) error {
	return o.store.PingDone(ctx, request)
}

func (o outbox) PingFailed(ctx context.Context, request [32]byte, attempt int, next time.Time) error {
	return o.store.PingFailed(ctx, request, attempt, next)
}

// verifier checks request objects with the keys of a client and notes which key it was, for the evidence.
func (s *Server) verifier(client *Client, signedBy *jose.Key) jar.Verifier {
	return func(ctx context.Context, signed jar.Signed) error {
		token := jose.NewToken(jose.Header{Algorithm: signed.Algorithm, KeyID: signed.KeyID}, signed.Input, signed.Signature)
		err := s.verifyWithKeysOf(ctx, client, token)
		*signedBy = token.VerifiedWith()
		return err
	}
}
