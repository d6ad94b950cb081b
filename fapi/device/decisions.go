package device

import (
	"context"
	"time"

	"countersign/fapi/backchannel"
	"countersign/fapi/browser"
	"countersign/fapi/endpoint"
)

// decisions are what pages and applications share: reading the requests of a user and recording a decision.
type decisions struct {
	requests Requests
	limits   *limits
	draining func() bool
	now      func() time.Time
}

// request reads a request of a user by its reference, in a language. Errors are those of decisionError.
func (d *decisions) request(ctx context.Context, reference, subject, language string) (backchannel.View, error) {
	view, err := d.requests.Request(ctx, reference, subject)
	if err != nil {
		return view, decisionError(err)
	}
	return view.In(language)
}

// record records a decision of a user, who has just authenticated for an approval, and in the audit log shown, the digest of the
// request as it was shown, that of the request itself as it was decided, and proof: names and values in turn of what else proves it. Errors are those of [Requests], and
// *[oauth.Error] for too many decisions.
func (d *decisions) record(
	ctx context.Context, view backchannel.View, shown string, a browser.Authentication, allow bool, device string, proof ...string,
) error {
	if err := endpoint.Allow(d.limits.decisions, a.Subject, "there were too many decisions in a short time"); err != nil {
		return err
	}
	return d.requests.Decide(ctx, backchannel.Decision{
		Reference: view.Reference, Allowed: allow, Authentication: a, AuthTime: d.now(), Device: device, Picks: view.Picks, Digest: view.Digest,
		Proof: append([]string{"shown", shown, "language", view.Language}, proof...),
	})
}

// await returns a user's pending requests once their version is not the known one, or after wait.
func (d *decisions) await(
	ctx context.Context, subject, known string, wait time.Duration,
) ([]backchannel.View, error) {
	end := time.NewTimer(min(wait, maxWait))
	defer end.Stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		requests, err := d.requests.Pending(ctx, subject)
		if err != nil || versionOf(requests...) != known || d.draining() {
			return requests, err
		}
		select {
		case <-ctx.Done():
			return requests, ctx.Err()
		case <-end.C:
			return requests, nil
		case <-look.C:
		}
	}
}
