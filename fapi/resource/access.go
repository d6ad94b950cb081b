package resource

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"countersign/fapi/claims"
	"countersign/fapi/client"
	"countersign/fapi/endpoint"
	"countersign/fapi/tokens"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/mtls"
	"countersign/store"
)

// access verifies a request's access token for a resource with a scope.
func (h *Handler) access(r *http.Request, scope string, at endpoint.At) (Access, error) {
	if r.URL.Query().Has("access_token") {
		return Access{}, oauth.Errorf(oauth.InvalidRequest,
			"the access token must be in the Authorization header, never in the URL (FAPI 2.0 Security Profile §5.3.4)")
	}
	if r.URL.RawPath != "" && strings.Contains(at.Path, "{") { // one address in two encodings: the signed one could differ from the routed one
		return Access{}, oauth.Errorf(oauth.InvalidRequest, "the address has characters that are escaped without need")
	}
	scheme, raw, err := credentials(r)
	if err != nil {
		return Access{}, err
	}
	token, err := h.config.Tokens.VerifyAccessToken(r.Context(), raw)
	switch {
	case errors.Is(err, tokens.ErrNotOurs):
		return Access{}, endpoint.InvalidToken(scheme, "the access token is not one of this server", err)
	case err != nil:
		return Access{}, err
	case h.config.Now().Unix() >= token.Expires:
		return Access{}, endpoint.InvalidToken(scheme, "the access token has expired", nil)
	case !token.Audience.Contains(h.config.Addresses.Issuer):
		return Access{}, endpoint.InvalidToken(scheme, "the access token is for another resource", nil)
	}
	oneTimes, err := h.checkBinding(r, at, scheme, raw, token.Confirmation)
	if err != nil {
		return Access{}, err
	}
	grant, err := h.config.Store.AccessGrant(r.Context(), store.IssuedDigest(token.ID), oneTimes...)
	switch {
	case errors.Is(err, store.ErrReplayed):
		return Access{}, endpoint.Challenge(scheme, oauth.Errorf(oauth.InvalidDPoPProof, "the DPoP proof was used before").
			Because(err))
	case notValid(err):
		return Access{}, endpoint.InvalidToken(scheme, "the access token has expired or was revoked", err)
	case err != nil:
		return Access{}, err
	}
	caller, known, err := h.clientAndUser(r.Context(), token.ClientID, grant.Subject)
	if errors.Is(err, errGone) {
		return Access{}, gone(scheme, err)
	}
	if err != nil {
		return Access{}, err
	}
	scopes := strings.Fields(token.Scope)
	if !h.config.Scopes.Satisfied(scopes, scope) {
		insufficient := oauth.Errorf(oauth.InsufficientScope, "this resource needs the scope %s", scope).
			WithStatus(http.StatusForbidden)
		return Access{}, endpoint.Challenge(scheme, insufficient)
	}
	return Access{
		AuthTime: grant.AuthTime, ACR: grant.ACR, Subject: grant.Subject, ClientSubject: token.Subject, ClientID: token.ClientID, Scopes: scopes,
		Details: token.Details, token: token, grant: grant, client: caller, known: known,
	}, nil
}

// StepUp is the error for an access token whose user authenticated too long ago, or too weakly, for what is asked: with one of
// acrs, or with any where there are none, and at most maxAge ago (RFC 9470 §3).
func (a Access) StepUp(acrs []string, maxAge time.Duration) error {
	e := oauth.Errorf(oauth.InsufficientAuthentication, "this needs a user who has just authenticated; ask for that with max_age and acr_values")
	challenged := oauth.AsError(endpoint.Challenge(a.token.Confirmation.Scheme(), e))
	if len(acrs) > 0 {
		challenged.Challenge += `, acr_values="` + strings.Join(acrs, " ") + `"`
	}
	challenged.Challenge += `, max_age="` + strconv.FormatInt(endpoint.Seconds(maxAge), 10) + `"`
	return challenged
}

// notValid reports whether the store has no valid grant for an access token.
func notValid(err error) bool {
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrExpired) || errors.Is(err, store.ErrRevoked)
}

// errGone is the error for a token whose client or user is disabled or deleted.
var errGone = errors.New("fapi: the client or the user is disabled or deleted")

// gone is the error for a token whose client or user is disabled or deleted.
func gone(scheme string, cause error) error {
	return endpoint.InvalidToken(scheme, client.Gone(cause, "the client or the user of the access token is disabled or deleted"), cause)
}

// clientAndUser returns the client of a token and the claims of its user in the built-in directory, if it has one; errGone when either is
// disabled or deleted.
func (h *Handler) clientAndUser(
	ctx context.Context, clientID, subject string,
) (*client.Client, map[string]json.RawMessage, error) {
	found, err := h.config.Clients.Get(ctx, clientID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, errors.Join(errGone, err)
	}
	if err != nil || subject == "" {
		return found, nil, err
	}
	known, err := h.config.Users.Local(ctx, subject)
	if errors.Is(err, claims.ErrUserGone) {
		return nil, nil, errGone
	}
	return found, known, err
}

// credentials reads the Authorization header. The scheme is case-insensitive (RFC 9110 §11.1).
func credentials(r *http.Request) (scheme, token string, err error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		missing := oauth.Errorf(oauth.InvalidToken, "an access token is needed").WithStatus(http.StatusUnauthorized)
		missing.Challenge = endpoint.ChallengeBoth // RFC 6750 §3.1: no error code without credentials
		return "", "", missing
	}
	name, token, found := strings.Cut(values[0], " ")
	if len(values) > 1 || !found || token == "" || len(token) > jose.MaxTokenSize {
		return "", "", oauth.Errorf(oauth.InvalidRequest,
			"there must be one Authorization header, of the form: DPoP <token>, or Bearer <token>")
	}
	switch strings.ToLower(name) {
	case "dpop":
		return "DPoP", token, nil
	case "bearer":
		return "Bearer", token, nil
	}
	return "", "", endpoint.InvalidToken("DPoP", "the authentication scheme must be DPoP or Bearer", nil)
}

// checkBinding checks that the sender holds the key that the token is bound to. It returns the one-time values for
// the store to consume.
func (h *Handler) checkBinding(
	r *http.Request, at endpoint.At, scheme, token string, bound tokens.Confirmation,
) ([]store.OneTime, error) {
	_, span := h.config.Tracer.Start(r.Context(), "sender constraint")
	defer span.End()
	if bound.JKT != "" {
		return h.checkProof(r, at, scheme, token, bound.JKT)
	}
	if scheme != "Bearer" {
		return nil, endpoint.InvalidToken(scheme,
			"the access token is bound to a certificate; send it as Bearer on the mTLS listener", nil)
	}
	if !at.MTLS {
		return nil, endpoint.InvalidToken(scheme,
			"the access token is bound to a certificate; use the address on the mTLS listener", nil)
	}
	presented, err := h.config.Certificates.Certificate(r)
	if err != nil || presented == nil || mtls.Thumbprint(presented.Leaf) != bound.Thumbprint { // RFC 8705 §3
		return nil, endpoint.InvalidToken(scheme,
			"the access token is bound to another certificate than that of the connection", err)
	}
	return nil, nil
}

// checkProof verifies the DPoP proof that comes with a token (RFC 9449 §7).
func (h *Handler) checkProof(r *http.Request, at endpoint.At, scheme, token, jkt string) ([]store.OneTime, error) {
	if scheme != "DPoP" { // RFC 9449 §7.2
		return nil, endpoint.InvalidToken("DPoP", "the access token is bound by DPoP and must not be sent as Bearer", nil)
	}
	proof, err := h.config.Proofs.Verify(r, []string{h.config.Addresses.At(at, h.config.Addresses.Below(r, at))}, token)
	if errors.Is(err, endpoint.ErrNoProof) {
		err = oauth.Errorf(oauth.InvalidDPoPProof, "the DPoP header is missing").Because(err)
	}
	if err != nil {
		return nil, endpoint.Challenge(scheme, oauth.AsError(err))
	}
	if proof.JKT != jkt {
		return nil, endpoint.InvalidToken(scheme,
			"the DPoP proof is signed with another key than the one that the access token is bound to", nil)
	}
	return []store.OneTime{endpoint.OneTimeOf(proof)}, nil
}
