package resource

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"countersign/fapi/endpoint"
	"countersign/fapi/profile"
	"countersign/fapi/rar"
	"countersign/fapi/tokens"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/internal/set"
	"countersign/store"
)

// introspection is the response of RFC 7662 §2.2. For an inactive token, active is its only member.
type introspection struct {
	Active       bool                 `json:"active"`
	Issuer       string               `json:"iss,omitempty"`
	Subject      string               `json:"sub,omitempty"`
	Audience     *jose.Audience       `json:"aud,omitempty"`
	ClientID     string               `json:"client_id,omitempty"`
	ID           string               `json:"jti,omitempty"`
	IssuedAt     int64                `json:"iat,omitempty"`
	Expires      int64                `json:"exp,omitempty"`
	Scope        string               `json:"scope,omitempty"`
	TokenType    string               `json:"token_type,omitempty"`
	AuthTime     int64                `json:"auth_time,omitempty"`
	ACR          string               `json:"acr,omitempty"`
	AMR          []string             `json:"amr,omitempty"`
	Details      rar.Details          `json:"authorization_details,omitempty"` // RFC 9396 §9.2
	Confirmation *tokens.Confirmation `json:"cnf,omitempty"`                   // RFC 8705 §3.2, RFC 9449 §6.2
	GrantID      string               `json:"grant_id,omitempty"`              // as in the token response

	// extra holds the claims of the client's ecosystem, and user is whose token it is, by the stable identifier.
	extra map[string]json.RawMessage
	user  string
}

// introspect is the introspection endpoint (RFC 7662 §2). Only resource servers may introspect, and only
// tokens with one of their identifiers in aud: to others a token is inactive (FAPI 2.0 Message Signing §6.2).
func (h *Handler) introspect(ctx context.Context, c *endpoint.Call) (endpoint.Answer, error) {
	if len(c.Client.Metadata.ResourceIdentifiers) == 0 {
		return endpoint.Answer{}, oauth.Errorf(oauth.UnauthorizedClient,
			"only resource servers may introspect; an operator registers one with resource_identifiers")
	}
	token := c.Form.Get("token")
	if token == "" {
		return endpoint.Answer{}, oauth.Errorf(oauth.InvalidRequest, "token is missing (RFC 7662 §2.1)")
	}
	result, err := h.activeToken(ctx, c, token)
	if errors.Is(err, errInactive) {
		result, err = introspection{}, c.ConsumeOneTimes(ctx) // AccessGrant consumes none without a grant
	}
	if err != nil {
		return endpoint.Answer{}, err
	}
	body, err := tokens.Beside(result, result.extra)
	if err != nil {
		return endpoint.Answer{}, err
	}
	return h.introspected(ctx, c, result.user, body)
}

// errInactive is the error for a token that is inactive for this resource server.
var errInactive = errors.New("fapi: not an active token for this resource server")

// activeToken returns the response about an active access token; errInactive for others.
func (h *Handler) activeToken(ctx context.Context, c *endpoint.Call, raw string) (introspection, error) {
	token, err := h.config.Tokens.VerifyAccessToken(ctx, raw)
	if errors.Is(err, tokens.ErrNotOurs) {
		return introspection{}, errInactive
	}
	if err != nil {
		return introspection{}, err
	}
	audience := set.Intersect(token.Audience.Values, c.Client.Metadata.ResourceIdentifiers)
	if len(audience) == 0 || h.config.Now().Unix() >= token.Expires {
		return introspection{}, errInactive
	}
	grant, err := h.config.Store.AccessGrant(ctx, store.IssuedDigest(token.ID), c.OneTimes()...)
	if notValid(err) {
		return introspection{}, errInactive
	}
	if err != nil {
		return introspection{}, err
	}
	c.OneTimesConsumed()
	of, _, err := h.clientAndUser(ctx, token.ClientID, grant.Subject)
	if errors.Is(err, errGone) {
		return introspection{}, errInactive
	}
	if err != nil {
		return introspection{}, err
	}
	detail, err := tokens.ReadDetail(grant)
	if err != nil {
		return introspection{}, err
	}
	return introspection{
		Active: true, user: grant.Subject, extra: tokens.Extra(of.Profile, grant, detail, profile.InIntrospection), Issuer: token.Issuer, Subject: token.Subject,
		Audience: &jose.Audience{Values: audience, Single: len(audience) == 1},
		ClientID: token.ClientID, ID: token.ID, IssuedAt: token.IssuedAt, Expires: token.Expires,
		Scope:     strings.Join(h.config.Scopes.Filter(strings.Fields(token.Scope), audience), " "),
		TokenType: token.Confirmation.Scheme(), AuthTime: token.AuthTime, ACR: token.ACR, AMR: token.AMR,
		Details: token.Details.ForResource(audience), Confirmation: &token.Confirmation, GrantID: grant.ManagedID,
	}, nil
}
