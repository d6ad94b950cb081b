package token

import (
	"context"
	"errors"
	"time"

	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/fapi/tokens"
	"countersign/internal/oauth"
	"countersign/store"
)

// cibaGrant exchanges an auth_req_id for tokens (CIBA Core §10.1).
type cibaGrant struct {
	store    Store
	issuing  issuing
	evidence *event.Recorder
	await    func(ctx context.Context, id store.Digest) bool
	// tolerance is how much earlier than the announced interval a poll may arrive.
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
	validated, err := validate(ctx, g.issuing.tokens, c, "auth_req_id", granted, granted.Scopes, bound)
	if err != nil {
		return endpoint.Answer{}, err
	}
	issued, answer, err := g.issuing.issue(ctx, validated)
	if err != nil {
		return endpoint.Answer{}, err
	}
	issued.AccessToken.Evidence = []store.Evidence{g.evidence.Event(ctx, c.Client.ID, event.TokensIssued,
		"grant", granted.ID, "subject", granted.Subject, "grant_type", "ciba")}
	err = g.store.RedeemBackchannel(ctx, digest, issued, c.OneTimes()...)
	if errors.Is(err, store.ErrExpired) {
		return endpoint.Answer{}, expiredRequest(err)
	}
	if err != nil {
		return endpoint.Answer{}, consumeError("auth_req_id", err)
	}
	return answer, nil
}

// poll returns the grant, or the error of CIBA Core §11: the request is pending, denied or expired.
func (g *cibaGrant) poll(ctx context.Context, c *endpoint.Call, id store.Digest) (store.Grant, error) {
	polled, err := g.longPoll(ctx, c, id)
	switch {
	case errors.Is(err, store.ErrExpired):
		return store.Grant{}, expiredRequest(err)
	case err != nil:
		return store.Grant{}, consumeError("auth_req_id", err)
	case polled.Early:
		return store.Grant{}, oauth.Errorf(oauth.SlowDown,
			"this poll came too early; wait at least %d seconds before each from now on",
			endpoint.Seconds(polled.Request.Interval+g.tolerance))
	case polled.Request.DecidedAt.IsZero():
		return store.Grant{}, oauth.Errorf(oauth.AuthorizationPending, "the user has not decided yet")
	case polled.Grant == nil:
		return store.Grant{}, oauth.Errorf(oauth.AccessDenied, "the user denied the request")
	case !polled.Grant.RevokedAt.IsZero() || !g.now().Before(polled.Grant.ExpiresAt):
		return store.Grant{}, tokens.Unusable("auth_req_id", store.ErrRevoked)
	}
	return *polled.Grant, nil
}

// longPoll polls the store and, while the request is pending, holds the poll until it is decided and polls once more.
func (g *cibaGrant) longPoll(ctx context.Context, c *endpoint.Call, id store.Digest) (store.BackchannelPoll, error) {
	polled, err := g.store.PollBackchannel(ctx, id, c.Client.ID)
	if err != nil || !polled.Request.DecidedAt.IsZero() || polled.Early || g.await == nil {
		return polled, err
	}
	// The token request must not be replayed while it is held.
	if err := c.ConsumeOneTimes(ctx); err != nil {
		return store.BackchannelPoll{}, err
	}
	if !g.await(ctx, id) {
		return polled, nil
	}
	return g.store.PollBackchannel(ctx, id, c.Client.ID)
}

func expiredRequest(cause error) error {
	return oauth.Errorf(oauth.ExpiredToken, "the auth_req_id has expired; make a new authentication request").
		Because(cause)
}
