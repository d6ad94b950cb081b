// Package resource serves protected resources to the holders of access tokens: UserInfo and configured
// ones ([Resource]); and token introspection (RFC 7662) and revocation (RFC 7009).
//
// A request reaches a resource only with an access token of this issuer that is not expired, not revoked, has the
// scope, and is sent by the holder of the key that it is bound to (FAPI 2.0 Security Profile §5.3.4). For clients
// that registered HTTP message signatures (RFC 9421), requests and responses are signed, errors included.
package resource

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"time"

	"go.opentelemetry.io/otel/trace"

	"countersign/fapi/claims"
	"countersign/fapi/client"
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/fapi/scope"
	"countersign/fapi/tokens"
	"countersign/internal/oauth"
	"countersign/internal/random"
	"countersign/mtls"
	"countersign/signer"
	"countersign/store"
)

// Resource is a protected resource of the server, in addition to UserInfo.
type Resource struct {
	// Path is below the issuer, such as "/accounts".
	Path string
	// Scope is the scope value that the access token must have.
	Scope string
	// Answer returns the body, which is written as JSON, or as it is when it is an [endpoint.JWT].
	Answer func(context.Context, Access) (any, error)
}

// answering makes the answer of a protected resource; see [Resource.Answer].
type answering func(r *http.Request, access Access) (any, error)

// Access is the authorization of a verified access token.
type Access struct {
	// Subject is the user, by the stable identifier; empty for client_credentials.
	Subject string
	// ClientSubject is the sub of the token: the user, by the identifier for the client (OpenID Connect Core §8), or the
	// client.
	ClientSubject string
	ClientID      string
	Scopes        []string
	// Details are the authorization_details of the token (RFC 9396), each a JSON object.
	Details []json.RawMessage
	// AuthTime is when the user authenticated, and ACR the authentication context class that was reached, or empty.
	AuthTime time.Time
	ACR      string

	token  tokens.AccessClaims
	grant  store.Grant
	client *client.Client
	// known are the claims of the user that the built-in directory has.
	known map[string]json.RawMessage
}

// Store has the methods of [store.Grants] that this package uses.
type Store interface {
	AccessGrant(ctx context.Context, token store.Digest, oneTimes ...store.OneTime) (store.Grant, error)
	RefreshGrant(ctx context.Context, token store.Digest) (store.RefreshToken, store.Grant, error)
	RevokeGrant(ctx context.Context, grantID, by string, evidence []store.Evidence, oneTimes ...store.OneTime) error
	RevokeAccessToken(ctx context.Context, token store.Digest, evidence []store.Evidence, oneTimes ...store.OneTime) error
}

// Config is the configuration of a [Handler].
type Config struct {
	Addresses endpoint.Addresses
	// Resources are served beside UserInfo.
	Resources []Resource
	// MetadataAddress is the URL of the metadata of the resources, for challenges (RFC 9728 §5.1).
	MetadataAddress string
	// BackChannel has the checks in front of introspection and revocation.
	BackChannel *endpoint.BackChannel
	Proofs      *endpoint.Proofs
	// Certificates finds the client certificate of a request on the mTLS listener.
	Certificates mtls.Source
	Tokens       *tokens.Issuer
	// Signer signs responses to clients with HTTP message signatures.
	Signer  *signer.Signer
	Scopes  *scope.Catalog
	Clients *client.Cache
	Keys    *client.KeySets
	// Users says what is known about users.
	Users    *claims.Users
	Store    Store
	Evidence *event.Recorder
	Now      func() time.Time
	Tracer   trace.Tracer
}

// Handler serves the resources, introspection and revocation. Make one with [New].
type Handler struct{ config Config }

// New makes a handler.
func New(config Config) *Handler { return &Handler{config: config} }

// userInfoResource is UserInfo as a resource (OpenID Connect Core §5.3).
func (h *Handler) userInfoResource() Resource {
	return Resource{Path: "/userinfo", Scope: "openid", Answer: h.userInfo}
}

// Scopes returns the scope values that the resources require, for their metadata (RFC 9728 §2).
func (h *Handler) Scopes() []string {
	scopes := []string{h.userInfoResource().Scope}
	for _, resource := range h.config.Resources {
		if !slices.Contains(scopes, resource.Scope) {
			scopes = append(scopes, resource.Scope)
		}
	}
	return scopes
}

// Routes returns the routes of the endpoints.
func (h *Handler) Routes() []endpoint.Route {
	userInfo := h.userInfoResource()
	routes := []endpoint.Route{
		{
			Methods: endpoint.GetAndPost(), Path: userInfo.Path, Metadata: "userinfo_endpoint", Alias: true,
			Serve: h.serve(userInfo),
		},
		{
			Methods: endpoint.Post(), Path: "/introspect", Metadata: "introspection_endpoint", Alias: true,
			Serve: h.config.BackChannel.Serve(h.introspect),
		},
		{
			Methods: endpoint.Post(), Path: "/revoke", Metadata: "revocation_endpoint", Alias: true,
			Serve: h.config.BackChannel.Serve(h.revoke),
		},
	}
	for _, resource := range h.config.Resources {
		routes = append(routes, endpoint.Route{
			Methods: endpoint.Get(), Path: resource.Path, Alias: true, Serve: h.serve(resource),
		})
	}
	return routes
}

func (h *Handler) serve(resource Resource) endpoint.Serve {
	answer := func(r *http.Request, access Access) (any, error) { return resource.Answer(r.Context(), access) }
	if resource.Path == h.userInfoResource().Path { // OpenID Connect's own: no ecosystem's header is demanded there
		return h.protect(resource.Scope, false, answer)
	}
	return h.Protect(resource.Scope, answer)
}

// Authorize verifies the access token of a request as [Handler.Protect] does, for what answers and refuses in a form of its own. The
// challenge of an error is complete.
func (h *Handler) Authorize(w http.ResponseWriter, r *http.Request, scope string, at endpoint.At) (Access, error) {
	h.config.Proofs.OfferNonce(w)
	access, err := h.access(r, scope, at)
	if err != nil {
		return Access{}, h.challenged(err)
	}
	return access, nil
}

// Client returns the client of the token.
func (a Access) Client() *client.Client { return a.client }

// Protect serves the holders of access tokens with a scope, with what answer returns: it is written as JSON. Routes of other
// packages use it for resources that a [Resource] cannot describe.
func (h *Handler) Protect(scope string, answer func(r *http.Request, access Access) (any, error)) endpoint.Serve {
	return h.protect(scope, true, answer)
}

// protect is Protect; named reports whether calls are named by x-fapi-interaction-id where the ecosystem demands that.
func (h *Handler) protect(scope string, named bool, answer answering) endpoint.Serve {
	return func(w http.ResponseWriter, r *http.Request, at endpoint.At) {
		h.config.Proofs.OfferNonce(w)
		access, err := h.access(r, scope, at)
		if err != nil {
			h.refuse(w, r, err)
			return
		}
		e := event.Of(r.Context())
		e.ClientID = access.ClientID
		if err := interactionID(r, access); err != nil && named {
			h.refuse(w, r, err)
			return
		}
		if access.client.Profile.AnswersInteractionID && w.Header().Get("x-fapi-interaction-id") == "" {
			w.Header().Set("x-fapi-interaction-id", e.CorrelationID)
		}
		if access.client.Metadata.HTTPMessageSignatures {
			h.serveSigned(w, r, answer, at, access)
			return
		}
		h.answer(w, r, answer, access)
	}
}

// Client verifies a request's access token for something with a scope that a client does for itself, and returns which client that
// is.
func (h *Handler) Client(r *http.Request, scope string, at endpoint.At) (clientID string, err error) {
	access, err := h.access(r, scope, at)
	if err == nil && access.Subject != "" {
		err = endpoint.InvalidToken("Bearer", "the access token is for a user, and this is for the client itself", nil)
	}
	return access.ClientID, err
}

// ProtectUnsigned serves what needs an access token with a scope and answers by itself, which [Handler.Protect] does not let it.
// A client with HTTP message signatures is refused: what is served here signs no response.
func (h *Handler) ProtectUnsigned(scope string, serve func(http.ResponseWriter, *http.Request, Access) error) endpoint.Serve {
	return func(w http.ResponseWriter, r *http.Request, at endpoint.At) {
		h.config.Proofs.OfferNonce(w)
		if r.URL.RawPath != "" { // one URL in two encodings: the signed one could differ from the routed one
			h.refuse(w, r, oauth.Errorf(oauth.InvalidRequest, "the address has characters that are escaped without need"))
			return
		}
		access, err := h.access(r, scope, at)
		if err == nil {
			event.Of(r.Context()).ClientID = access.ClientID
			err = interactionID(r, access)
		}
		if err == nil {
			if access.client.Metadata.HTTPMessageSignatures {
				err = oauth.Errorf(oauth.InvalidRequest, "a client that registered HTTP message signatures cannot call this")
			} else {
				err = serve(w, r, access)
			}
		}
		if err != nil {
			h.refuse(w, r, err)
		}
	}
}

// interactionID demands x-fapi-interaction-id, a UUID, where the profile of the client does (FAPI 1.0 Baseline §6.2.1-11 has it
// optional). What is wrong with it is told before the resource is asked.
func interactionID(r *http.Request, access Access) error {
	if access.client.Profile.RequireInteractionID && !random.IsUUID(r.Header.Get("x-fapi-interaction-id")) {
		return oauth.Errorf(oauth.InvalidRequest, "x-fapi-interaction-id is missing or no UUID; the profile of this client demands it")
	}
	return nil
}

// answer writes the response of the resource.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, answer answering, access Access) {
	body, err := answer(r, access)
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	// Response already started; errors ignored.
	w.Header().Set("Cache-Control", "no-store")
	if signed, ok := body.(endpoint.JWT); ok {
		w.Header().Set("Content-Type", "application/jwt")
		_, _ = io.WriteString(w, string(signed))
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(body)
}

// refuse answers with an error.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	endpoint.Refuse(w, r, h.challenged(err))
}

// challenged adds the URL of the metadata of the resource to a challenge (RFC 9728 §5.1).
func (h *Handler) challenged(err error) error {
	e := oauth.AsError(endpoint.Translate(err))
	if e.Challenge == "" {
		return err
	}
	with, where := *e, `resource_metadata="`+h.config.MetadataAddress+`"`
	if e.Challenge == endpoint.ChallengeBoth {
		with.Challenge = endpoint.ChallengeDPoP + ", " + where + ", Bearer " + where
	} else {
		with.Challenge += ", " + where
	}
	return &with
}
