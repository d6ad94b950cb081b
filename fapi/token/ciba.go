package token

import (
	"context"
	"errors"
	"time"

	"countersign/fapi/endpoint"
	"countersign/fapi/tokens"
	"countersign/internal/oauth"
	"countersign/store"
)

// cibaGrant exchanges an auth_req_id for tokens (CIBA Core §10.1).
type cibaGrant struct {
	store   Store
	issuing issuing
	await   func(ctx context.Context, id store.Digest) bool
	// tolerance is how much sooner than announced a poll may come.
	tolerance time.Duration
	now       func() time.Time
}

// redeem validates, signs, consumes, releases.
func (g *cibaGrant) redeem(ctx context.Context, c *endpoint.Call, bound tokens.Confirmation) (endpoint.Answer, error) {
	presented := c.Form.Get("auth_req_id")
	if presented == "" {
		return endpoint.Answer{}, oauth.Errorf(oauth.InvalidRequest, "auth_req_id is missing")
	}
	digest := store.DigestOf(presented)
	granted, err := g.poll(ctx, c, digest)
	if err != nil {
		return endpoint.Answer{}, err
	}
	validated, err := validate(g.issuing.tokens, c, "auth_req_id", granted, granted.Scopes, bound)
	if err != nil {
		return endpoint.Answer{}, err
	}
	issued, answer, err := g.issuing.issue(ctx, validated)
	if err != nil {
		return endpoint.Answer{}, err
	}
	err = g.store.RedeemBackchannel(ctx, digest, issued, c.OneTimes()...)
	if errors.Is(err, store.ErrExpired) {
		return endpoint.Answer{}, expiredRequest(err)
	}
	if err != nil {
		return endpoint.Answer{}, consumeError("auth_req_id", err)
	}
	return answer, nil
}

// poll returns what the user allowed, or the error that says that nobody has decided yet, or that nothing will be issued
// (CIBA Core §11).
func (g *cibaGrant) poll(ctx context.Context, c *endpoint.Call, id store.Digest) (store.Grant, error) {
	polled, err := g.store.PollBackchannel(ctx, id, c.Client.ID)
	if err == nil && polled.Request.DecidedAt.IsZero() && !polled.Early && g.await != nil {
		// Whoever sees this request must not be able to send it again while it is held.
		if err := c.ConsumeOneTimes(ctx); err != nil {
			return store.Grant{}, err
		}
		if g.await(ctx, id) {
			polled, err = g.store.PollBackchannel(ctx, id, c.Client.ID)
		}
	}
	switch {
	case errors.Is(err, store.ErrExpired):
		return store.Grant{}, expiredRequest(err)
	case err != nil:
		return store.Grant{}, consumeError("auth_req_id", err)
	case polled.Early:
		return store.Grant{}, oauth.Errorf(oauth.SlowDown, "this poll came too early; wait at least %d seconds before each from now on", endpoint.Seconds(polled.Request.Interval+g.tolerance))
	case polled.Request.DecidedAt.IsZero():
		return store.Grant{}, oauth.Errorf(oauth.AuthorizationPending, "the person has not decided yet")
	case polled.Grant == nil:
		return store.Grant{}, oauth.Errorf(oauth.AccessDenied, "the person refused")
	case !polled.Grant.RevokedAt.IsZero() || !g.now().Before(polled.Grant.ExpiresAt):
		return store.Grant{}, tokens.Unusable("auth_req_id", store.ErrRevoked)
	}
	return *polled.Grant, nil
}

func expiredRequest(cause error) error {
	return oauth.Errorf(oauth.ExpiredToken, "the auth_req_id has expired; make a new authentication request").Because(cause)
}
