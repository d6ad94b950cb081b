// Package token is the token endpoint (RFC 6749 §3.2). Each grant type is one Go type: it validates the
// request, signs the tokens, records them and consumes the code in one transaction, and only then sends them.
package token

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"countersign/fapi/claims"
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/fapi/profile"
	"countersign/fapi/rar"
	"countersign/fapi/request"
	"countersign/fapi/tokens"
	"countersign/internal/oauth"
	"countersign/internal/random"
	"countersign/mtls"
	"countersign/store"
)

// Path is the path of the token endpoint, below the issuer.
const Path = "/token"

// Store has the methods of package store that the grants need.
type Store interface {
	store.Grants
	PollBackchannel(ctx context.Context, id store.Digest, clientID string) (store.BackchannelPoll, error)
	RedeemBackchannel(ctx context.Context, id store.Digest, issued store.Issued, oneTimes ...store.OneTime) error
}

// Config is the configuration of a [Handler].
type Config struct {
	Store       Store
	Tokens      *tokens.Issuer
	Checker     *request.Checker
	BackChannel *endpoint.BackChannel
	Evidence    *event.Recorder
	// GrantTypes are those of the offered profiles.
	GrantTypes []string
	// AwaitDecision holds a poll until a backchannel request is decided, and reports whether to read it again; nil
	// answers at once.
	AwaitDecision func(ctx context.Context, id store.Digest) bool
	// PollTolerance is how much earlier than the announced interval a poll may arrive.
	PollTolerance time.Duration
	Now           func() time.Time
}

// Handler is the token endpoint.
type Handler struct {
	grantTypes  []string
	grants      map[string]grant
	backChannel *endpoint.BackChannel
}

// grant answers a token request of one grant type. The binding is the key that the access token will be bound to.
type grant interface {
	redeem(ctx context.Context, c *endpoint.Call, binding tokens.Confirmation) (endpoint.Answer, error)
}

// New makes the token endpoint.
func New(c Config) *Handler {
	issuing := issuing{tokens: c.Tokens, now: c.Now}
	return &Handler{
		grantTypes: c.GrantTypes, backChannel: c.BackChannel,
		grants: map[string]grant{
			profile.AuthorizationCode: &codeGrant{store: c.Store, issuing: issuing, evidence: c.Evidence, now: c.Now},
			profile.RefreshToken:      &refreshGrant{store: c.Store, tokens: c.Tokens, evidence: c.Evidence, now: c.Now},
			profile.ClientCredentials: &credentialsGrant{store: c.Store, tokens: c.Tokens, checker: c.Checker, evidence: c.Evidence, now: c.Now},
			profile.CIBA: &cibaGrant{
				store: c.Store, issuing: issuing, evidence: c.Evidence, await: c.AwaitDecision, tolerance: c.PollTolerance, now: c.Now,
			},
		},
	}
}

// Routes mounts the endpoint.
func (h *Handler) Routes() []endpoint.Route {
	return []endpoint.Route{{
		Methods: endpoint.Post(), Path: Path, Metadata: "token_endpoint", Alias: true, Serve: h.backChannel.Serve(h.serve),
	}}
}

func (h *Handler) serve(ctx context.Context, c *endpoint.Call) (endpoint.Answer, error) {
	kind := c.Form.Get("grant_type")
	switch {
	case kind == "":
		return endpoint.Answer{}, oauth.Errorf(oauth.InvalidRequest, "grant_type is missing")
	case !slices.Contains(h.grantTypes, kind):
		return endpoint.Answer{}, oauth.Errorf(oauth.UnsupportedGrantType, "grant_type must be one of %s",
			strings.Join(h.grantTypes, ", "))
	case !slices.Contains(c.Client.Profile.GrantTypes, kind):
		return endpoint.Answer{}, oauth.Errorf(oauth.UnauthorizedClient,
			"this client is not registered for grant_type %s", kind)
	}
	bound, err := binding(c)
	if err != nil {
		return endpoint.Answer{}, err
	}
	return h.grants[kind].redeem(ctx, c, bound)
}

// binding returns the key that the access token will be bound to (the cnf claim).
func binding(c *endpoint.Call) (tokens.Confirmation, error) {
	if c.Client.Constraint() == profile.ByDPoP {
		if c.Proof == nil {
			return tokens.Confirmation{}, oauth.Errorf(oauth.InvalidRequest,
				"this client's tokens are bound by DPoP; send a DPoP header (RFC 9449 §5)")
		}
		return tokens.Confirmation{JKT: c.Proof.JKT}, nil
	}
	if c.Certificate == nil {
		return tokens.Confirmation{}, oauth.Errorf(oauth.InvalidRequest,
			"this client's tokens are bound to its certificate and the connection has none; %s (RFC 8705 §3)", c.NoCertificate())
	}
	return tokens.Confirmation{Thumbprint: mtls.Thumbprint(c.Certificate.Leaf)}, nil
}

// tokenResponse is the response of RFC 6749 §5.1 and OpenID Connect Core §3.1.3.3.
type tokenResponse struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	Scope        string `json:"scope,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	// AuthorizationDetails are those of the access token (RFC 9396 §7).
	AuthorizationDetails rar.Details `json:"authorization_details,omitempty"`
	// GrantID names the grant to its client (Grant Management for OAuth 2.0 §5.5).
	GrantID string `json:"grant_id,omitempty"`
}

func respond(v tokens.Validated, issued tokens.AccessToken, refreshToken, idToken string) (endpoint.Answer, error) {
	body, err := tokens.Beside(tokenResponse{
		AccessToken: issued.Token, TokenType: issued.Claims.Confirmation.Scheme(),
		ExpiresIn: endpoint.Seconds(issued.Lifetime), Scope: issued.Claims.Scope, RefreshToken: refreshToken,
		IDToken: idToken, AuthorizationDetails: issued.Claims.Details, GrantID: v.Grant().ManagedID,
	}, v.Extra(profile.InTokenResponse))
	return endpoint.Answer{Status: http.StatusOK, Body: body}, err
}

// issuing signs the tokens for a code or an auth_req_id.
type issuing struct {
	tokens *tokens.Issuer
	now    func() time.Time
}

// issue signs the tokens of a grant. The store method that consumes the artefact records them; they are sent after
// that.
func (i issuing) issue(ctx context.Context, v tokens.Validated) (store.Issued, endpoint.Answer, error) {
	access, err := i.tokens.AccessToken(ctx, v)
	if err != nil {
		return store.Issued{}, endpoint.Answer{}, err
	}
	granted := v.Grant()
	issued := store.Issued{AccessToken: access.Record}
	var refreshToken, idToken string
	if v.IssuesRefreshToken() {
		refreshToken = random.Secret()
		issued.RefreshToken = &store.RefreshToken{
			ID: store.DigestOf(refreshToken), GrantID: granted.ID, ClientID: v.ClientID(),
			CreatedAt: i.now(), ExpiresAt: v.RefreshUntil(),
		}
	}
	if slices.Contains(granted.Scopes, "openid") {
		if idToken, err = i.tokens.IDToken(ctx, v, access); err != nil {
			return store.Issued{}, endpoint.Answer{}, err
		}
		issued.Session = v.SessionClient(access.Claims.Subject)
	}
	answer, err := respond(v, access, refreshToken, idToken)
	return issued, answer, err
}

// validate checks a token request against the grant of an artefact (code, refresh token, auth_req_id) that was checked.
func validate(
	ctx context.Context, t *tokens.Issuer, c *endpoint.Call, artefact string, granted store.Grant, scopes []string,
	bound tokens.Confirmation,
) (tokens.Validated, error) {
	purpose := claims.ForTokens
	if artefact == refreshArtefact {
		purpose = claims.ForRefresh
	}
	return t.Validate(ctx, tokens.Request{
		Client: c.Client, Grant: granted, Artefact: artefact, Scopes: scopes, Form: c.Form, Binding: bound, Purpose: purpose,
	})
}

// consumeError translates the error of consuming an artefact: errors of the client become invalid_grant.
func consumeError(artefact string, err error) error {
	for _, known := range []error{store.ErrNotFound, store.ErrExpired, store.ErrConsumed, store.ErrRevoked} {
		if errors.Is(err, known) {
			return tokens.Unusable(artefact, err)
		}
	}
	return err
}
