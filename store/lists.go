package store

import "context"

// Lists are the verbs that read what may be many, part by part: at most limit records whose key comes after the given one, in the order of
// the keys; "" begins. A record that is there all the while is listed once, whatever is added and removed between the parts. The order
// is the database's; it stays.
type Lists interface {
	// ListClients lists clients by their identifiers.
	ListClients(ctx context.Context, after string, limit int) ([]Client, error)
	// ListUsers lists users by their subjects.
	ListUsers(ctx context.Context, after string, limit int) ([]User, error)
	// ListInitialTokens lists initial access tokens by their organisations.
	ListInitialTokens(ctx context.Context, after string, limit int) ([]InitialToken, error)
	// InitialTokenOf reads the one of an organisation, used up and expired or not; ErrNotFound.
	InitialTokenOf(ctx context.Context, organisation string) (InitialToken, error)
}
