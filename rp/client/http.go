package client

import (
	"context"
	"errors"
	"net/http"

	"countersign/rp/internal/bound"
	"countersign/rp/internal/exchange"
)

// HTTP is a client for resources that uses an access token as it is bound: with a DPoP proof for each request, which is sent again once with the
// nonce that the resource asks for (RFC 9449 §7, §9), or with the client's certificate (RFC 8705 §3). It adds x-fapi-interaction-id (a UUID) where there
// is none, follows no redirects, and sends the token by https only. A request with a body needs [http.Request].GetBody to be sent again, which
// [http.NewRequest] sets for the usual ones; without it the answer that asks for a nonce is returned. Tokens that are bound to another DPoP key than this
// client's are a [*ConfigError], within the [*url.Error] of each call.
func (c *Client) HTTP(t *Tokens) *http.Client {
	return &http.Client{
		Transport: &bound.Transport{
			Through: c.transport, Agent: c.config.UserAgent, Token: func() (bound.Token, error) { return c.use(t) },
			Insecure: misconfigured("URL", "an access token is sent by https only"),
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// use gives the access token as it is bound.
func (c *Client) use(t *Tokens) (bound.Token, error) {
	switch {
	case t == nil || t.AccessToken == "":
		return bound.Token{}, misconfigured("Tokens", "there is no access token")
	case !c.Holds(t):
		return bound.Token{}, errOtherKey()
	case t.JKT == "":
		return bound.Token{Value: t.AccessToken}, nil
	}
	return bound.Token{Value: t.AccessToken, Proofs: c.proofs}, nil
}

// protected calls one of the provider's resources with tokens. The answer has a status of 2xx.
func (c *Client) protected(ctx context.Context, to endpoint, method string, t *Tokens, accept string) (exchange.Reply, error) {
	token, err := c.use(t)
	if err != nil {
		return exchange.Reply{}, err
	}
	reply, err := bound.Call(ctx, c.exchange, token, method, to.address, accept, func(reply exchange.Reply) string { return refusal(to.name, reply).Code })
	if failed, ok := errors.AsType[*exchange.Error](err); ok {
		return exchange.Reply{}, unavailable(to.name, failed)
	}
	if err != nil {
		return exchange.Reply{}, signing(err)
	}
	if reply.Status < 200 || reply.Status >= 300 {
		return exchange.Reply{}, refusal(to.name, reply).orUnavailable()
	}
	return reply, nil
}
