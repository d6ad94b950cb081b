package mtls

import (
	"context"
	"fmt"
	"time"
)

// report gives a problem to OnProblem, unless it did so less than an hour ago.
func (r *Revocation) report(ctx context.Context, problem string) {
	if r.OnProblem == nil {
		return
	}
	now := r.now()
	r.mu.Lock()
	if len(r.reported) >= r.most() {
		clear(r.reported)
	}
	recent := now.Before(r.reported[problem])
	if !recent {
		r.reported[problem] = now.Add(reportAgain)
	}
	r.mu.Unlock()
	if !recent {
		r.OnProblem(ctx, problem)
	}
}

// late reports an answer that is used after its end.
func (r *Revocation) late(ctx context.Context, what string, until time.Time) {
	if !r.now().Before(until) {
		r.report(ctx, fmt.Sprintf("%s ended at %s and is still used, for there is no newer one; it is not used from %s on",
			what, until.UTC().Format(time.RFC3339), until.Add(revocationGrace).UTC().Format(time.RFC3339)))
	}
}
