package admin

import (
	"context"
	"encoding/json"
	"time"

	"countersign/internal/directory"
	"countersign/internal/jose"
	"countersign/store"
)

// ListedClient is a client as it is listed, as JSON too.
type ListedClient struct {
	ID           string    `json:"client_id"`
	Name         string    `json:"client_name"`
	Profile      string    `json:"profile"`
	Organisation string    `json:"organisation,omitempty"`
	Method       string    `json:"token_endpoint_auth_method"`
	BoundBy      string    `json:"tokens_bound_by"`
	State        string    `json:"state"`
	Refused      string    `json:"refused,omitempty"`
	Version      int       `json:"version"`
	CreatedAt    time.Time `json:"created_at"`
	UpdatedAt    time.Time `json:"updated_at"`
}

// ListClients lists the clients. State is "enabled", "disabled", or "suspended" by the client's directory; Refused is why this release refuses a client that an older
// one accepted, or empty.
func ListClients(ctx context.Context, s store.Clients) ([]ListedClient, error) {
	clients, err := s.Clients(ctx)
	if err != nil {
		return nil, err
	}
	return ListedClients(clients), nil
}

// ListedClients describes clients as [ListClients] does.
func ListedClients(clients []store.Client) []ListedClient {
	listed := make([]ListedClient, len(clients))
	for i, c := range clients {
		one := ListedClient{
			ID: c.ID, Profile: c.Profile, Organisation: c.Organisation, State: "enabled", Version: c.Version,
			CreatedAt: c.CreatedAt.UTC(), UpdatedAt: c.UpdatedAt.UTC(),
		}
		switch {
		case c.Disabled:
			one.State = "disabled"
		case c.Suspended != "":
			one.State = "suspended"
		}
		summary, err := Summarise(c.ID, c.Profile, c.Metadata)
		if err != nil {
			one.Refused = err.Error()
		}
		one.Name, one.Method, one.BoundBy = summary.Name, summary.Authentication, summary.BoundBy
		listed[i] = one
	}
	return listed
}

// ListedToken is an initial access token as it is listed, as JSON too.
type ListedToken struct {
	Organisation string    `json:"organisation"`
	Profile      string    `json:"profile,omitempty"`
	Remaining    int       `json:"clients_left"`
	CreatedAt    time.Time `json:"created_at"`
	ExpiresAt    time.Time `json:"expires_at"`
	State        string    `json:"state"`
}

// ListInitialTokens lists the initial access tokens. State is that of [InitialTokenState].
func ListInitialTokens(ctx context.Context, s store.Clients, now time.Time) ([]ListedToken, error) {
	tokens, err := s.InitialTokens(ctx)
	if err != nil {
		return nil, err
	}
	listed := make([]ListedToken, len(tokens))
	for i, t := range tokens {
		listed[i] = ListToken(t, now)
	}
	return listed, nil
}

// ListToken describes an initial access token.
func ListToken(t store.InitialToken, now time.Time) ListedToken {
	return ListedToken{t.Organisation, t.Profile, t.Remaining, t.CreatedAt.UTC(), t.ExpiresAt.UTC(), InitialTokenState(t, now)}
}

// ListedUser is a user of the built-in directory as it is listed, as JSON too.
type ListedUser struct {
	Username string `json:"username"`
	Subject  string `json:"sub"`
	Password bool   `json:"password"`
	State    string `json:"state"`
	// WrongPasswords is how many there were in a row.
	WrongPasswords int       `json:"wrong_passwords"`
	CreatedAt      time.Time `json:"created_at"`
}

// ListUsers lists the users. Password reports whether there is one; State is that of [UserState], by the limits of wrong
// passwords.
func ListUsers(ctx context.Context, s store.Store, rates directory.Rates) ([]ListedUser, error) {
	users, err := s.Users(ctx)
	if err != nil {
		return nil, err
	}
	return ListedUsers(ctx, s, rates, users)
}

// ListedUsers describes users as [ListUsers] does.
func ListedUsers(ctx context.Context, s store.Store, rates directory.Rates, users []store.User) ([]ListedUser, error) {
	failed, err := rates.FailuresOf(ctx, s, users)
	if err != nil {
		return nil, err
	}
	listed := make([]ListedUser, len(users))
	for i, u := range users {
		listed[i] = ListedUser{u.Username, u.Subject, u.Password != "", UserState(u, failed[i]), failed[i].InRow, u.CreatedAt.UTC()}
	}
	return listed, nil
}

// ListedKey is a key of the server as it is listed, as JSON too.
type ListedKey struct {
	ID          string    `json:"kid"`
	Algorithm   string    `json:"alg"`
	State       string    `json:"state"`
	Uses        []string  `json:"uses"`
	CreatedAt   time.Time `json:"created_at"`
	ActivatedAt time.Time `json:"activated_at,omitzero"`
	RetiredAt   time.Time `json:"retired_at,omitzero"`
}

// ListKey describes a key.
func ListKey(k store.Key) ListedKey {
	return ListedKey{k.ID, k.Algorithm, k.State, k.Uses, k.CreatedAt.UTC(), k.ActivatedAt.UTC(), k.RetiredAt.UTC()}
}

// ShownKey is a key with its public half, as JSON.
type ShownKey struct {
	ListedKey
	URIs   []string        `json:"uris"`
	Public json.RawMessage `json:"public"`
}

// ShowKey describes a key with its public half.
func ShowKey(k store.Key) ShownKey { return ShownKey{ListKey(k), k.URIs, k.Public} }

// ListKeys lists the keys of the server.
func ListKeys(ctx context.Context, s store.Keys) ([]ListedKey, error) {
	keys, err := s.Keys(ctx)
	if err != nil {
		return nil, err
	}
	listed := make([]ListedKey, len(keys))
	for i, k := range keys {
		listed[i] = ListKey(k)
	}
	return listed, nil
}

// ShownClient is a client with all that is registered, as JSON. Suspended is why its directory keeps it from being served.
type ShownClient struct {
	ID           string          `json:"client_id"`
	Profile      string          `json:"profile"`
	Organisation string          `json:"organisation,omitempty"`
	Disabled     bool            `json:"disabled"`
	Suspended    string          `json:"suspended,omitempty"`
	Directory    string          `json:"directory,omitempty"`
	Software     string          `json:"software,omitempty"`
	Version      int             `json:"version"`
	CreatedAt    time.Time       `json:"created_at"`
	UpdatedAt    time.Time       `json:"updated_at"`
	Keys         *ClientKeys     `json:"keys,omitempty"`
	Metadata     json.RawMessage `json:"metadata"`
}

// Show describes a client. Keys at its jwks_uri are fetched, unless fetch is nil.
func Show(ctx context.Context, c store.Client, fetch jose.Fetch) ShownClient {
	return ShownClient{
		ID: c.ID, Profile: c.Profile, Organisation: c.Organisation, Disabled: c.Disabled, Version: c.Version,
		Suspended: c.Suspended, Directory: c.Directory.Directory, Software: c.Directory.Software,
		CreatedAt: c.CreatedAt.UTC(), UpdatedAt: c.UpdatedAt.UTC(), Keys: KeysOf(ctx, c, fetch), Metadata: c.Metadata,
	}
}
