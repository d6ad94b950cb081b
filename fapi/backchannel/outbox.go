package backchannel

import (
	"context"
	"time"

	"countersign/ciba"
	"countersign/store"
)

// outbox is the [ciba.Outbox] in the store.
type outbox struct{ store store.Backchannel }

// ClaimPings implements [ciba.Outbox].
func (o outbox) ClaimPings(ctx context.Context, limit int, lease time.Duration) ([]ciba.Ping, error) {
	claimed, err := o.store.ClaimPings(ctx, limit, lease)
	if err != nil {
		return nil, err
	}
	pings := make([]ciba.Ping, len(claimed))
	for i, p := range claimed {
		pings[i] = ciba.Ping{
			Request: p.Request, ClientID: p.ClientID, Sealed: p.Sealed, Attempt: p.Attempt, ExpiresAt: p.ExpiresAt,
		}
	}
	return pings, nil
}

// PingDone implements [ciba.Outbox].
func (o outbox) PingDone(ctx context.Context, request [32]byte) error {
	return o.store.PingDone(ctx, request)
}

// PingFailed implements [ciba.Outbox].
func (o outbox) PingFailed(ctx context.Context, request [32]byte, attempt int, next time.Time) error {
	return o.store.PingFailed(ctx, request, attempt, next)
}
