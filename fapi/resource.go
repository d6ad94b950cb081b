package fapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"countersign/dpop"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/mtls"
	"countersign/store"
)

// Resource is a protected resource that this server hosts beside its own.
type Resource struct {
	// Path is below the issuer, such as "/accounts".
	Path string
	// Scope is what an access token must have been granted.
	Scope string
	// Answer gives the JSON body for the holder of a token.
	Answer func(context.Context, Access) (any, error)
}

// Access is what a verified access token stands for.
type Access struct {
	// Subject is the person, as the server knows it; empty when the client acts for itself.
	Subject string
	// ClientSubject is the sub of the token: the person as the client knows it (OpenID Connect Core §8), or the client.
	ClientSubject string
	ClientID      string
	Scopes        []string
	// Details are the authorization_details of the token (RFC 9396), each a JSON object.
	Details []json.RawMessage

	token  accessTokenClaims
	grant  store.Grant
	client *Client
	// known is what is known about the person.
	known map[string]json.RawMessage
}

// serveResource lets a request through to a resource if its access token is ours, unexpired, unrevoked, sufficient,
// and presented by the key that it is bound to (FAPI 2.0 Security Profile §5.3.4).
func (s *Server) serveResource(w http.ResponseWriter, r *http.Request, endpoint route, certificates bool) {
	ctx := r.Context()
	s.offerNonce(w)
	access, err := s.access(r, endpoint, certificates)
	if err == nil {
		e := eventOf(ctx)
		e.client = access.ClientID
		if header := w.Header(); access.client.Profile.AnswersInteractionID && header.Get("x-fapi-interaction-id") == "" {
			header.Set("x-fapi-interaction-id", e.correlationID)
		}
		if access.client.Metadata.HTTPMessageSignatures {
			s.serveSigned(w, r, endpoint, certificates, access)
			return
		}
	}
	s.answerResource(w, r, endpoint, access, err)
}

// answerResource writes what a resource answers to who got through, or why he did not.
func (s *Server) answerResource(w http.ResponseWriter, r *http.Request, endpoint route, access Access, err error) {
	var body any
	if err == nil {
		body, err = endpoint.resource(r.Context(), access)
	}
	if err != nil {
		s.refuse(w, r, s.showMetadata(err))
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	if signed, ok := body.(jwt); ok {
		w.Header().Set("Content-Type", "application/jwt")
		_, _ = io.WriteString(w, string(signed)) // nobody is left to be told
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(body) // nobody is left to be told
}

// jwt is an answer that is a compact JWS.
type jwt string

// access verifies a request's access token.
func (s *Server) access(r *http.Request, endpoint route, certificates bool) (Access, error) {
	if r.URL.Query().Has("access_token") {
		return Access{}, oauth.Errorf(oauth.InvalidRequest, "the access token belongs into the Authorization header and never into the address (FAPI 2.0 Security Profile §5.3.4)")
	}
	scheme, token, err := credentials(r)
	if err != nil {
		return Access{}, err
	}
	claims, err := s.verifyAccessToken(r.Context(), token)
	switch {
	case errors.Is(err, errNotOurs):
		return Access{}, invalidToken(scheme, "the access token is not one of this server", err)
	case err != nil:
		return Access{}, err
	case s.now().Unix() >= claims.Expires:
		return Access{}, invalidToken(scheme, "the access token has expired", nil)
	case !claims.Audience.Contains(s.config.Issuer):
		return Access{}, invalidToken(scheme, "the access token is for another resource", nil)
	}
	uses, err := s.checkBinding(r, endpoint, certificates, scheme, token, claims.Confirmation)
	if err != nil {
		return Access{}, err
	}
	grant, err := s.store.AccessGrant(r.Context(), store.DigestOf(claims.ID), uses...)
	switch {
	case errors.Is(err, store.ErrReplayed):
		return Access{}, challenge(scheme, oauth.Errorf(oauth.InvalidDPoPProof, "the DPoP proof was used before").Because(err))
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrExpired), errors.Is(err, store.ErrRevoked):
		return Access{}, invalidToken(scheme, "the access token has expired or was revoked", err)
	case err != nil:
		return Access{}, err
	}
	client, known, err := s.parties(r.Context(), claims.ClientID, grant.Subject)
	switch {
	case errors.Is(err, errGone):
		return Access{}, invalidToken(scheme, "the access token's client or person is disabled or gone", err)
	case err != nil:
		return Access{}, err
	}
	scopes := strings.Fields(claims.Scope)
	if !slices.Contains(scopes, endpoint.scope) {
		insufficient := oauth.Errorf(oauth.InsufficientScope, "this resource needs the scope %s", endpoint.scope).WithStatus(http.StatusForbidden)
		return Access{}, challenge(scheme, insufficient)
	}
	return Access{
		Subject: grant.Subject, ClientSubject: claims.Subject, ClientID: claims.ClientID, Scopes: scopes,
		Details: claims.Details, token: claims, grant: grant, client: client, known: known,
	}, nil
}

// parties gives the client of a token and what is known about its person, if there is one; errGone when either is
// disabled or no longer there.
func (s *Server) parties(ctx context.Context, clientID, subject string) (*Client, map[string]json.RawMessage, error) {
	client, err := s.clients.get(ctx, clientID)
	if errors.Is(err, store.ErrNotFound) {
		err = errGone
	}
	if err != nil || subject == "" {
		return client, nil, err
	}
	known, err := s.person(ctx, subject)
	return client, known, err
}

// credentials reads the Authorization header. The scheme's case does not matter (RFC 9110 §11.1).
func credentials(r *http.Request) (scheme, token string, err error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		missing := oauth.Errorf(oauth.InvalidToken, "an access token is needed").WithStatus(http.StatusUnauthorized)
		missing.Challenge = challengeBoth // RFC 6750 §3.1: no error code without credentials
		return "", "", missing
	}
	name, token, found := strings.Cut(values[0], " ")
	if len(values) > 1 || !found || token == "" || len(token) > jose.MaxTokenSize {
		malformed := oauth.Errorf(oauth.InvalidRequest, "there must be one Authorization header, of the form: DPoP <token>, or Bearer <token>")
		return "", "", malformed
	}
	switch strings.ToLower(name) {
	case "dpop":
		return "DPoP", token, nil
	case "bearer":
		return "Bearer", token, nil
	}
	return "", "", invalidToken("DPoP", "the authentication scheme must be DPoP or Bearer", nil)
}

// errNotOurs is a token that this server did not issue, or not as what it is presented as.
var errNotOurs = errors.New("fapi: not a token of this server")

// verifyAccessToken checks that an access token is one of our own. Its time and audience are the caller's to look at.
// The error is errNotOurs, or one of the signer.
func (s *Server) verifyAccessToken(ctx context.Context, token string) (accessTokenClaims, error) {
	var claims accessTokenClaims
	err := s.verifyOwn(ctx, token, "at+jwt", &claims)
	if err == nil && claims.Issuer != s.config.Issuer {
		err = errNotOurs
	}
	return claims, err
}

// verifyOwn checks kind and signature of a token that this server signed and reads its claims.
func (s *Server) verifyOwn(ctx context.Context, token, typ string, claims any) error {
	parsed, err := jose.Parse(token, jose.ParseOptions{Algorithms: FAPI2Security().Algorithms})
	if err != nil || !parsed.Header.HasType(typ) {
		return fmt.Errorf("%w: %w", errNotOurs, cmp.Or(err, errWrongKind))
	}
	published, err := s.signer.Published(ctx)
	if err != nil {
		return err
	}
	err = jose.ErrNoKey
	for _, key := range published {
		if key.ID == parsed.Header.KeyID && string(key.Algorithm) == parsed.Header.Algorithm {
			err = parsed.Verify(key.Public)
		}
	}
	if err == nil {
		err = parsed.Claims(claims)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errNotOurs, err)
	}
	return nil
}

var errWrongKind = errors.New("the typ is that of another kind of token")

// checkBinding makes the sender prove that it holds the key that the token is bound to.
func (s *Server) checkBinding(r *http.Request, endpoint route, certificates bool, scheme, token string, bound confirmation) ([]store.OneTime, error) {
	_, span := s.span(r.Context(), "sender constraint")
	defer span.End()
	if bound.JKT != "" {
		return s.checkProof(r, endpoint, scheme, token, bound.JKT)
	}
	if scheme != "Bearer" {
		return nil, invalidToken(scheme, "the access token is bound to a certificate; send it as Bearer on the mTLS listener", nil)
	}
	if !certificates {
		return nil, invalidToken(scheme, "the access token is bound to a certificate; use the address on the mTLS listener", nil)
	}
	presented, err := s.config.Certificates.Certificate(r)
	if err != nil || presented == nil || mtls.Thumbprint(presented.Leaf) != bound.Thumbprint {
		return nil, invalidToken(scheme, "the access token is bound to another certificate than that of the connection", err) // RFC 8705 §3
	}
	return nil, nil
}

// checkProof verifies the DPoP proof that comes with a token (RFC 9449 §7).
func (s *Server) checkProof(r *http.Request, endpoint route, scheme, token, jkt string) ([]store.OneTime, error) {
	if scheme != "DPoP" {
		return nil, invalidToken("DPoP", "the access token is bound by DPoP and must not be sent as Bearer", nil) // RFC 9449 §7.2
	}
	raw, present, err := dpop.FromHeader(r.Header)
	if err == nil && !present {
		err = errors.New("the DPoP header is missing")
	}
	if err != nil {
		return nil, challenge(scheme, oauth.Errorf(oauth.InvalidDPoPProof, "%s", err.Error()).Because(err))
	}
	proof, err := s.proofs.Verify(raw, dpop.Request{Method: r.Method, URLs: s.addresses(endpoint.path), AccessToken: token})
	if err != nil {
		return nil, challenge(scheme, oauth.Errorf(oauth.InvalidDPoPProof, "%s", err.Error()).Because(err))
	}
	if err := s.checkNonce(proof); err != nil {
		return nil, challenge(scheme, oauth.AsError(err))
	}
	if proof.JKT != jkt {
		return nil, invalidToken(scheme, "the DPoP proof is signed with another key than the one that the access token is bound to", nil)
	}
	return []store.OneTime{proofUse(proof)}, nil
}

// challengeDPoP names the algorithms for proofs (RFC 9449 §7.1).
const challengeDPoP = `DPoP algs="PS256 ES256 EdDSA"`

// challengeBoth is for who has shown nothing.
const challengeBoth = challengeDPoP + ", Bearer"

func invalidToken(scheme, description string, cause error) error {
	return challenge(scheme, oauth.Errorf(oauth.InvalidToken, "%s", description).Because(cause))
}

// challenge adds the WWW-Authenticate header (RFC 6750 §3, RFC 9449 §7.1), with 401 unless e has a status.
func challenge(scheme string, e *oauth.Error) error {
	with := *e
	if with.Status == 0 {
		with.Status = http.StatusUnauthorized
	}
	with.Challenge = scheme
	if scheme == "DPoP" {
		with.Challenge = challengeDPoP + ","
	}
	with.Challenge += ` error="` + e.Code + `", error_description="` + oauth.Printable(e.Description) + `"`
	return &with
}
