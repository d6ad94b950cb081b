package token

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/fapi/request"
	"countersign/fapi/tokens"
	"countersign/store"
)

// credentialsGrant issues an access token to the client itself (RFC 6749 §4.4). It has no user,
// so that scopes about users are refused, and no refresh token (§4.4.3).
type credentialsGrant struct {
	store    store.Grants
	tokens   *tokens.Issuer
	checker  *request.Checker
	evidence *event.Recorder
	now      func() time.Time
}

// redeem validates, signs, records, releases.
func (g *credentialsGrant) redeem(
	ctx context.Context, c *endpoint.Call, bound tokens.Confirmation,
) (endpoint.Answer, error) {
	read, err := g.checker.Check(ctx, request.ClientCredentials, c.Client, c.Form)
	if err != nil {
		return endpoint.Answer{}, err
	}
	detail, err := json.Marshal(read.Grant())
	if err != nil {
		return endpoint.Answer{}, err
	}
	granted := store.Grant{
		ID: g.tokens.Identifiers.UUID(), ClientID: c.Client.ID, Scopes: read.Scopes, Detail: detail, CreatedAt: g.now(),
	}
	validated, err := validate(ctx, g.tokens, c, "grant", granted, read.Scopes, bound)
	if err != nil {
		return endpoint.Answer{}, err
	}
	issued, err := g.tokens.AccessToken(ctx, validated)
	if err != nil {
		return endpoint.Answer{}, err
	}
	answer, err := respond(validated, issued, "", "")
	if err != nil {
		return endpoint.Answer{}, err
	}
	granted.ExpiresAt = issued.Record.ExpiresAt
	issued.Record.Evidence = []store.Evidence{g.evidence.Event(ctx, c.Client.ID, event.GrantMade,
		"grant", granted.ID, "scope", strings.Join(read.Scopes, " "), "grant_type", "client_credentials")}
	if err := g.store.IssueToken(ctx, granted, issued.Record, c.OneTimes()...); err != nil {
		return endpoint.Answer{}, err
	}
	return answer, nil
}
