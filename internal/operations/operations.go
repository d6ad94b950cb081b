// Package operations is what the command line does with clients, tokens, grants, consents, keys and users: on the machine of the server
// by its store ([Local]), or from elsewhere by the admin API ([Remote]), with the same results.
package operations

import (
	"context"

	"countersign/internal/admin"
	"countersign/internal/jose"
	"countersign/store"
)

// Operations are done in the name of an operator.
type Operations interface {
	ListClients(ctx context.Context) ([]admin.ListedClient, error)
	// Client finds a client.
	Client(ctx context.Context, id string) (store.Client, error)
	// ShowClient describes a client; with fetch the keys at its jwks_uri are fetched.
	ShowClient(ctx context.Context, id string, fetch bool) (admin.ShownClient, error)
	AddClient(ctx context.Context, wanted admin.NewClient) (store.Client, error)
	PlanUpdate(ctx context.Context, wanted admin.NewClient) (admin.ClientUpdate, error)
	Update(ctx context.Context, planned admin.ClientUpdate) error
	SetClientDisabled(ctx context.Context, id string, disabled bool) (changed bool, err error)
	RotateClientKeys(ctx context.Context, id string, jwks []byte, add bool) (version int, err error)
	Holdings(ctx context.Context, id string) (admin.Holdings, error)
	RemoveClient(ctx context.Context, id string) error

	ListInitialTokens(ctx context.Context) ([]admin.ListedToken, error)
	AddInitialToken(ctx context.Context, wanted admin.NewInitialToken) (token string, made store.InitialToken, err error)
	DeleteInitialToken(ctx context.Context, organisation string) error

	Grants(ctx context.Context, chosen admin.Selection) ([]admin.ListedGrant, error)
	RevokeGrant(ctx context.Context, id string) error

	ListConsents(ctx context.Context, chosen admin.Selection) ([]admin.ListedLodged, error)
	ShowConsent(ctx context.Context, id string) (admin.ListedLodged, error)
	EndConsent(ctx context.Context, id, reason string) (admin.ListedLodged, error)

	ListKeys(ctx context.Context) ([]admin.ListedKey, error)
}

// Local does them by a store.
type Local struct {
	*admin.Admin
	// Fetch makes what fetches the key sets of clients.
	Fetch func() (jose.Fetch, error)
}

var _ Operations = Local{}

// ListClients implements [Operations].
func (l Local) ListClients(ctx context.Context) ([]admin.ListedClient, error) {
	return admin.ListClients(ctx, l.Store)
}

// ShowClient implements [Operations].
func (l Local) ShowClient(ctx context.Context, id string, fetch bool) (admin.ShownClient, error) {
	record, err := l.Client(ctx, id)
	if err != nil || !fetch {
		return admin.Show(ctx, record, nil), err
	}
	by, err := l.Fetch()
	if err != nil {
		return admin.ShownClient{}, err
	}
	return admin.Show(ctx, record, by), nil
}

// ListInitialTokens implements [Operations].
func (l Local) ListInitialTokens(ctx context.Context) ([]admin.ListedToken, error) {
	return admin.ListInitialTokens(ctx, l.Store, l.Now())
}

// ListConsents implements [Operations].
func (l Local) ListConsents(ctx context.Context, chosen admin.Selection) ([]admin.ListedLodged, error) {
	return admin.Consents{Admin: l.Admin}.List(ctx, chosen)
}

// ShowConsent implements [Operations].
func (l Local) ShowConsent(ctx context.Context, id string) (admin.ListedLodged, error) {
	return admin.Consents{Admin: l.Admin}.Show(ctx, id)
}

// EndConsent implements [Operations].
func (l Local) EndConsent(ctx context.Context, id, reason string) (admin.ListedLodged, error) {
	return admin.Consents{Admin: l.Admin}.End(ctx, id, reason)
}

// ListKeys implements [Operations].
func (l Local) ListKeys(ctx context.Context) ([]admin.ListedKey, error) {
	return admin.ListKeys(ctx, l.Store)
}
