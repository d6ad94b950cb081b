// Package adminapi is the API of operators, at /admin/v1 on a listener of its own: what the command line does, for programs and from
// elsewhere. docs/api/admin-v1.yaml describes it, docs/admin-api.md explains it.
//
// It changes nothing but by package admin: each change is recorded in the audit log in its own transaction, with the operator's name
// and address. It is for one issuer; /admin/v1/issuers/ is left free for several.
package adminapi

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"countersign/internal/admin"
	"countersign/internal/adminapi/access"
	"countersign/internal/correlation"
	"countersign/internal/directory"
	"countersign/internal/jose"
	"countersign/store"
)

// Config is what the API works with.
type Config struct {
	Store store.Store
	Now   func() time.Time
	// Rates are the limits of wrong passwords, by which a user is locked.
	Rates directory.Rates
	// Fetch fetches the key sets of clients; nil fetches none.
	Fetch jose.Fetch
	// Known is what a client's metadata may name: its Scopes, DetailTypes, Resources, TrustStores and Origins.
	Known admin.NewClient
	// Keys changes signing keys.
	Keys Keys
	// ApprovalsLast is how long what needs four eyes waits for a decision, and then for its being carried out.
	ApprovalsLast time.Duration
}

// API answers operators.
type API struct {
	config Config
	// verifying holds one place for whoever has the audit log verified.
	verifying chan struct{}
}

// verifyAgain is when it may be asked again to verify the audit log.
const verifyAgain = 10 * time.Second

// New makes the API.
func New(config Config) (*API, error) {
	if config.Store == nil || config.Now == nil || config.Keys == nil || config.ApprovalsLast <= 0 {
		return nil, errors.New("adminapi: store, clock, keys and the time of approvals must be set")
	}
	return &API{config, make(chan struct{}, 1)}, nil
}

// Base is where the paths begin.
const Base = "/admin/v1"

// Who may do what.
func anyone() []access.Role        { return []access.Role{access.Reader} }
func clientManager() []access.Role { return []access.Role{access.ClientManager} }
func officer() []access.Role       { return []access.Role{access.SecurityOfficer} }
func either() []access.Role        { return []access.Role{access.ClientManager, access.SecurityOfficer} }

// Routes are what the API answers.
func (a *API) Routes() []access.Route {
	routes := slices.Concat(
		clients{a}.clientRoutes(), tokens{a}.tokenRoutes(), a.grantRoutes(), a.consentRoutes(), people{a}.peopleRoutes(), a.keyRoutes(),
		a.approvalRoutes(), a.auditRoutes(),
	)
	routes = append(routes,
		access.Route{Method: http.MethodGet, Path: "/operator", Roles: anyone(), Serve: a.operator},
		access.Route{Method: http.MethodGet, Path: "/openapi.json", Roles: anyone(), Serve: a.openAPI},
	)
	for i := range routes {
		routes[i].Path = Base + routes[i].Path
	}
	return routes
}

// audited is what operators do, in the name of the one who asks.
func (a *API) audited(ctx context.Context) *admin.Admin {
	by := access.From(ctx)
	return &admin.Admin{Now: a.config.Now, Store: admin.AuditedFor(a.config.Store, a.config.Now, admin.Actor{
		Name: by.Name, Address: by.Address, CorrelationID: correlation.ID(ctx),
	})}
}

// reading is what operators look at.
func (a *API) reading() *admin.Admin { return &admin.Admin{Store: a.config.Store, Now: a.config.Now} }

// shownOperator is who asks.
type shownOperator struct {
	Name        string        `json:"name"`
	Roles       []access.Role `json:"roles"`
	Address     string        `json:"address"`
	Certificate string        `json:"certificate_sha256"`
	ExpiresAt   time.Time     `json:"certificate_expires_at"`
}

func (a *API) operator(w http.ResponseWriter, r *http.Request) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	by := access.From(r.Context())
	return write(w, http.StatusOK, shownOperator{by.Name, by.Roles, by.Address, encode(by.Certificate[:]), by.ExpiresAt.UTC()})
}
