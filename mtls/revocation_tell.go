package mtls

import (
	"context"
	"fmt"
	"time"
)

// tell passes a problem on, unless it was told a moment ago.
func (r *Revocation) tell(ctx context.Context, problem string) {
	if r.Tell == nil {
		return
	}
	now := r.now()
	r.mu.Lock()
	if len(r.told) >= maxRevocationCache {
		clear(r.told)
	}
	told := now.Before(r.told[problem])
	if !told {
		r.told[problem] = now.Add(tellAgain)
	}
	r.mu.Unlock()
	if !told {
		r.Tell(ctx, problem)
	}
}

// late tells the operator of an answer that is used though its time is over.
func (r *Revocation) late(ctx context.Context, what string, until time.Time) {
	if !r.now().Before(until) {
		r.tell(ctx, fmt.Sprintf("%s ended at %s and is still used, for there is no newer one; it is not used from %s on",
			what, until.UTC().Format(time.RFC3339), until.Add(revocationGrace).UTC().Format(time.RFC3339)))
	}
}
