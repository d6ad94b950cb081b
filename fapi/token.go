package fapi

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"countersign/internal/oauth"
	"countersign/mtls"
	"countersign/store"
)

// maxRedemptionFailures ends a code that its own client keeps presenting wrongly.
const maxRedemptionFailures = 5

// token is the token endpoint (RFC 6749 §3.2).
func (s *Server) token(ctx context.Context, c *call) (answer, error) {
	kind := c.form.Get("grant_type")
	known := s.union().GrantTypes
	switch {
	case kind == "":
		return answer{}, oauth.Errorf(oauth.InvalidRequest, "grant_type is missing")
	case !slices.Contains(known, kind):
		return answer{}, oauth.Errorf(oauth.UnsupportedGrantType, "grant_type must be one of %s", strings.Join(known, ", "))
	case !slices.Contains(c.client.Profile.GrantTypes, kind):
		return answer{}, oauth.Errorf(oauth.UnauthorizedClient, "this client is not registered for grant_type %s", kind)
	}
	binding, err := c.binding()
	if err != nil {
		return answer{}, err
	}
	switch kind {
	case RefreshToken:
		return s.refresh(ctx, c, binding)
	case ClientCredentials:
		return s.clientCredentials(ctx, c, binding)
	case CIBA:
		return s.fetch(ctx, c, binding)
	default:
		return s.redeem(ctx, c, binding)
	}
}

// binding takes from the call the key that the access token will be bound to (the cnf claim).
func (c *call) binding() (confirmation, error) {
	switch c.client.constraint() {
	case ByDPoP:
		if c.proof == nil {
			return confirmation{}, oauth.Errorf(oauth.InvalidRequest, "this client's tokens are bound by DPoP; send a DPoP header (RFC 9449 §5)")
		}
		return confirmation{JKT: c.proof.JKT}, nil
	default:
		if c.certificate == nil {
			return confirmation{}, oauth.Errorf(oauth.InvalidRequest, "this client's tokens are bound to its certificate and the connection has none; use the token_endpoint in mtls_endpoint_aliases (RFC 8705 §3)")
		}
		return confirmation{Thumbprint: mtls.Thumbprint(c.certificate.Leaf)}, nil
	}
}

// tokenResponse is the answer of RFC 6749 §5.1 and OpenID Connect Core §3.1.3.3.
type tokenResponse struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	Scope        string `json:"scope,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	// AuthorizationDetails are those that the access token stands for (RFC 9396 §7).
	AuthorizationDetails details `json:"authorization_details,omitempty"`
}

// tokenType is what a client has to send a token as (RFC 9449 §5, RFC 6750).
func (bound confirmation) tokenType() string {
	if bound.JKT != "" {
		return "DPoP"
	}
	return "Bearer" // RFC 8705 §3 binds without a type of its own
}

func respond(issued issuedToken, refreshToken, idToken string) answer {
	return answer{status: http.StatusOK, body: tokenResponse{
		AccessToken: issued.token, TokenType: issued.claims.Confirmation.tokenType(), ExpiresIn: seconds(issued.life),
		Scope: issued.claims.Scope, RefreshToken: refreshToken, IDToken: idToken, AuthorizationDetails: issued.claims.Details,
	}}
}

// purchase is what a code or a backchannel request is exchanged for: signed, and not yet claimed.
type purchase struct {
	bought store.Issued
	answer answer
}

// buy signs the tokens that a grant is exchanged for.
func (s *Server) buy(ctx context.Context, c *call, grant store.Grant, binding confirmation) (purchase, error) {
	detail, err := readDetail(grant)
	if err != nil {
		return purchase{}, err
	}
	wanted, err := s.narrow(c, grant.Scopes, detail)
	if err != nil {
		return purchase{}, err
	}
	issued, err := s.issueAccessToken(ctx, c.client, grant, wanted, binding)
	if err != nil {
		return purchase{}, err
	}
	made := purchase{bought: store.Issued{AccessToken: issued.record}}
	var refreshToken, idToken string
	if slices.Contains(c.client.Profile.GrantTypes, RefreshToken) {
		refreshToken = newSecret()
		made.bought.RefreshToken = &store.RefreshToken{
			ID: store.DigestOf(refreshToken), GrantID: grant.ID, ClientID: c.client.ID,
			CreatedAt: s.now(), ExpiresAt: grant.ExpiresAt,
		}
	}
	if slices.Contains(grant.Scopes, "openid") {
		if idToken, err = s.issueIDToken(ctx, c.client, grant, detail, issued); err != nil {
			return purchase{}, err
		}
	}
	made.answer = respond(issued, refreshToken, idToken)
	return made, nil
}

// unusable is the answer to a code or refresh token that cannot be used; the cause says why in the log.
func unusable(what string, cause error) error {
	return oauth.Errorf(oauth.InvalidGrant, "the %s is not valid: unknown, expired, used before, revoked, or not this client's", what).Because(cause)
}

// wasted tells apart, after the claim, what the client did wrong from what went wrong here.
func wasted(what string, err error) error {
	for _, known := range []error{store.ErrNotFound, store.ErrExpired, store.ErrConsumed, store.ErrRevoked} {
		if errors.Is(err, known) {
			return unusable(what, err)
		}
	}
	return err
}
