package resource

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"countersign/dpop"
	"countersign/fapi/claims"
	"countersign/fapi/client"
	"countersign/fapi/endpoint"
	"countersign/fapi/tokens"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/internal/presented"
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

// credentials reads the Authorization header.
func credentials(r *http.Request) (scheme, token string, err error) {
	scheme, token, err = presented.Credentials(r.Header.Values("Authorization"), jose.MaxTokenSize)
	wrong, ok := errors.AsType[*presented.Error](err)
	switch {
	case !ok:
		return scheme, token, err
	case wrong.Reason == presented.Missing:
		missing := oauth.Errorf(oauth.InvalidToken, "%s", wrong.Error()).WithStatus(http.StatusUnauthorized)
		missing.Challenge = endpoint.ChallengeBoth // RFC 6750 §3.1: no error code without credentials
		return "", "", missing
	case wrong.Reason == presented.Malformed:
		return "", "", oauth.Errorf(oauth.InvalidRequest, "%s", wrong.Error())
	}
	return "", "", endpoint.InvalidToken(presented.DPoP, wrong.Error(), nil)
}

// checkBinding checks that the sender holds the key that the token is bound to. It returns the one-time values for
// the store to consume.
func (h *Handler) checkBinding(
	r *http.Request, at endpoint.At, scheme, token string, bound tokens.Confirmation,
) (oneTimes []store.OneTime, err error) {
	_, span := h.config.Tracer.Start(r.Context(), "sender constraint")
	defer span.End()
	sender := presented.Sender{Scheme: scheme}
	sender.Proof = func() (string, error) {
		proof, err := h.proof(r, at, scheme, token)
		if err != nil {
			return "", err
		}
		oneTimes = []store.OneTime{endpoint.OneTimeOf(proof)}
		return proof.JKT, nil
	}
	sender.Certificate = func() (*x509.Certificate, error) {
		if !at.MTLS {
			return nil, nil
		}
		shown, err := h.config.Certificates.Certificate(r)
		if err != nil || shown == nil {
			return nil, err
		}
		return shown.Leaf, nil
	}
	err = presented.Binding{JKT: bound.JKT, X5T: bound.Thumbprint}.Check(sender)
	wrong, ok := errors.AsType[*presented.Error](err)
	switch {
	case !ok:
		return oneTimes, err
	case wrong.Reason == presented.WantsDPoP:
		scheme = presented.DPoP
	case wrong.Reason == presented.WantsBearer:
		return nil, endpoint.InvalidToken(scheme, "the access token is bound to a certificate; send it as Bearer on the mTLS listener", nil)
	case wrong.Reason == presented.NoCertificate && !at.MTLS:
		return nil, endpoint.InvalidToken(scheme, "the access token is bound to a certificate; use the address on the mTLS listener", nil)
	case wrong.Reason == presented.NoCertificate:
		return nil, endpoint.InvalidToken(scheme, "the access token is bound to another certificate than that of the connection", nil)
	}
	return nil, endpoint.InvalidToken(scheme, wrong.Error(), wrong.Unwrap())
}

// proof verifies the DPoP proof that comes with a token (RFC 9449 §7).
func (h *Handler) proof(r *http.Request, at endpoint.At, scheme, token string) (dpop.Proof, error) {
	proof, err := h.config.Proofs.Verify(r, []string{h.config.Addresses.At(at, h.config.Addresses.Below(r, at))}, token)
	if errors.Is(err, endpoint.ErrNoProof) {
		err = oauth.Errorf(oauth.InvalidDPoPProof, "the DPoP header is missing").Because(err)
	}
	if err != nil {
		return dpop.Proof{}, endpoint.Challenge(scheme, oauth.AsError(err))
	}
	return proof, nil
}
