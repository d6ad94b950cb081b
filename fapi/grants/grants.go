// Package grants serves the Grant Management API: a client reads and ends the grants that it has a grant_id of (Grant Management for
// OAuth 2.0, Implementer's Draft 1, §6, https://openid.net/specs/oauth-v2-grant-management-ID1.html). Grants are made and changed by
// authorization requests (package request).
package grants

import (
	"context"
	"errors"
	"net/http"

	"countersign/fapi/consent"
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/fapi/profile"
	"countersign/fapi/rar"
	"countersign/fapi/resource"
	"countersign/fapi/tokens"
	"countersign/internal/oauth"
	"countersign/store"
)

// Path is that of the endpoint; grant_id follows it.
const Path = "/grants"

// Store has the methods of [store.Grants] that this package uses.
type Store interface {
	ManagedGrant(ctx context.Context, clientID, managedID string) (store.Grant, error)
	EndClientGrant(ctx context.Context, clientID, grantID string, evidence []store.Evidence, oneTimes ...store.OneTime) error
}

// Consents are those by which grants were made.
type Consents interface {
	// Source is where they are, and End ends one with its grant and tokens.
	Source() consent.Source
	End(ctx context.Context, r consent.Revocation) (consent.Consent, error)
}

// Config is the configuration of a [Handler].
type Config struct {
	Store    Store
	Consents Consents
	// Resources verify access tokens.
	Resources *resource.Handler
	Limits    *endpoint.RateLimits
	Evidence  *event.Recorder
}

// Handler serves the API. Make one with [New].
type Handler struct{ config Config }

// New makes a handler.
func New(config Config) *Handler { return &Handler{config} }

// Routes returns the routes of the endpoint.
func (h *Handler) Routes() []endpoint.Route {
	query := h.config.Resources.Protect(profile.ScopeGrantQuery, h.query)
	revoke := h.config.Resources.ProtectUnsigned(profile.ScopeGrantRevoke, h.revoke)
	return []endpoint.Route{{
		Methods: []string{http.MethodGet, http.MethodDelete}, Path: Path + "/{grant_id}", Alias: true,
		Serve: func(w http.ResponseWriter, r *http.Request, at endpoint.At) {
			if r.Method == http.MethodDelete {
				revoke(w, r, at)
				return
			}
			query(w, r, at)
		},
	}}
}

// Answer is the response of §6.4. Times are in seconds since 1970.
type Answer struct {
	Scopes    []Scope     `json:"scopes,omitempty"`
	Claims    []string    `json:"claims,omitempty"`
	Details   rar.Details `json:"authorization_details,omitempty"`
	CreatedAt int64       `json:"created_at"`
	// LastUpdated is when the grant was last merged or replaced; 0 for never.
	LastUpdated int64 `json:"last_updated,omitempty"`
	// UpdatedBy is "client" where it was.
	UpdatedBy string `json:"updated_by,omitempty"`
	ExpiresAt int64  `json:"expires_at"`
	// Consent is that by which the grant was made, if it was by one (an extension, as §6.4 allows).
	Consent *Consent `json:"consent,omitempty"`
}

// Scope is an element of scopes: values separated by spaces, and the resources where they can be used (RFC 8707).
type Scope struct {
	Scope    string   `json:"scope"`
	Resource []string `json:"resource,omitempty"`
}

// Consent is a consent of the client's ecosystem.
type Consent struct {
	ID     string `json:"id"`
	Kind   string `json:"kind,omitempty"`
	Status string `json:"status,omitempty"`
}

// query answers what a grant allows. It says nothing of the user, and has no tokens.
func (h *Handler) query(r *http.Request, access resource.Access) (any, error) {
	grant, detail, err := h.find(r, access, profile.GrantQuery)
	if err != nil {
		return nil, err
	}
	answer := Answer{
		Claims: detail.Claims.Names(), Details: detail.Details, CreatedAt: grant.CreatedAt.Unix(), ExpiresAt: grant.ExpiresAt.Unix(),
	}
	for _, name := range grant.Scopes {
		answer.Scopes = append(answer.Scopes, Scope{Scope: name, Resource: detail.Resources})
	}
	if detail.Begun != nil {
		answer.CreatedAt, answer.LastUpdated, answer.UpdatedBy = detail.Begun.Unix(), grant.CreatedAt.Unix(), "client"
	}
	if detail.Consent == nil {
		return answer, nil
	}
	answer.Consent = &Consent{ID: detail.Consent.ID, Kind: detail.Consent.Kind}
	of, err := h.config.Consents.Source().Read(r.Context(), grant.ClientID, detail.Consent.ID)
	if err != nil && !errors.Is(err, consent.ErrNotFound) { // what is not known any more has no status
		return nil, unavailable(err)
	}
	answer.Consent.Status = string(of.Status)
	return answer, nil
}

// unavailable translates the error of a source of consents that does not answer.
func unavailable(err error) error {
	if errors.Is(err, consent.ErrUnavailable) {
		away := oauth.Errorf(oauth.TemporarilyUnavailable, "the consent of the grant cannot be read or ended now; try again later").
			WithStatus(http.StatusServiceUnavailable).Because(err)
		away.RetryAfter = consent.RetryAfter(err)
		return away
	}
	return err
}

// revoke ends a grant with its tokens, and the consent by which it was made.
func (h *Handler) revoke(w http.ResponseWriter, r *http.Request, access resource.Access) error {
	grant, detail, err := h.find(r, access, profile.GrantRevoke)
	if err != nil {
		return err
	}
	ctx := r.Context()
	kept := []store.Evidence{h.config.Evidence.Event(ctx, grant.ClientID, event.GrantRevoked,
		"grant", grant.ID, "subject", grant.Subject, "by", store.RevokedByClient, "grant_id", grant.ManagedID)}
	ended := false
	if detail.Consent != nil {
		_, err = h.config.Consents.End(ctx, consent.Revocation{
			ClientID: grant.ClientID, ID: detail.Consent.ID, By: store.EndedByClient, Reason: "grant revoked", Evidence: kept,
		})
		if ended = err == nil; ended {
			kept = nil
		} else if !errors.Is(err, consent.ErrNotFound) && !errors.Is(err, consent.ErrState) { // it has ended already: so must the grant
			return unavailable(err)
		}
	}
	err = h.config.Store.EndClientGrant(ctx, grant.ClientID, grant.ID, kept)
	if errors.Is(err, store.ErrNotFound) && ended {
		err = nil // it ended with its consent
	}
	if errors.Is(err, store.ErrNotFound) {
		return errUnknown(err)
	}
	if err != nil {
		return err
	}
	endpoint.Answer{Status: http.StatusNoContent}.Write(w)
	return nil
}

// errUnknown is the error for what is no grant of the client (§6.6): another client's is not told from none.
func errUnknown(cause error) error {
	return oauth.Errorf(oauth.InvalidRequest, "this client has no such grant").WithStatus(http.StatusNotFound).Because(cause)
}

// maxGrantID bounds the name of a grant in an address, in bytes.
const maxGrantID = 128

// find finds the grant that the address names, for a client that may do this with it.
func (h *Handler) find(r *http.Request, access resource.Access, action string) (store.Grant, tokens.Detail, error) {
	switch {
	case access.Subject != "":
		return store.Grant{}, tokens.Detail{}, oauth.Errorf(oauth.AccessDenied, "the access token must be one of client_credentials").
			WithStatus(http.StatusForbidden)
	case !access.Client().Profile.GrantManagement.Allows(action):
		return store.Grant{}, tokens.Detail{}, oauth.Errorf(oauth.AccessDenied, "the profile of this client does not let it %s grants", action).
			WithStatus(http.StatusForbidden)
	}
	if err := h.config.Limits.Authenticated(access.ClientID); err != nil {
		return store.Grant{}, tokens.Detail{}, err
	}
	id := r.PathValue("grant_id")
	if len(id) > maxGrantID {
		return store.Grant{}, tokens.Detail{}, errUnknown(nil)
	}
	grant, err := h.config.Store.ManagedGrant(r.Context(), access.ClientID, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return store.Grant{}, tokens.Detail{}, errUnknown(err)
	case err != nil:
		return store.Grant{}, tokens.Detail{}, err
	case grant.UserGone:
		return store.Grant{}, tokens.Detail{}, errUnknown(nil)
	}
	detail, err := tokens.ReadDetail(grant)
	return grant, detail, err
}
