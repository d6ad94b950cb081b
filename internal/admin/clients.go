package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"countersign/internal/admin/fault"
	"countersign/internal/jose"
	"countersign/internal/strictjson"
	"countersign/store"
)

// NewClient is a client to be registered.
type NewClient struct {
	ID string
	// Profile is the security profile. When it is empty the metadata name one, or it is [DefaultProfile].
	Profile string
	// Metadata is JSON with the names of RFC 7591.
	Metadata []byte
	// TrustStores are the names that tls_client_auth_trust_store may have.
	TrustStores []string
	// Scopes, DetailTypes and Resources are those that exist; nil does not check them.
	Scopes, DetailTypes, Resources []string
	// Origins are the addresses of the server, on which no redirect_uri may be.
	Origins []string
	// Replace allows a client that exists, and keeps what is not metadata.
	Replace bool
}

// AddClient registers a client or replaces it. What is wrong with the metadata is an [InputError].
func (a *Admin) AddClient(ctx context.Context, wanted NewClient) (store.Client, error) {
	if wanted.Profile == "" {
		wanted.Profile = profileNamed(wanted.Metadata, DefaultProfile)
	}
	if err := wanted.check(); err != nil {
		return store.Client{}, err
	}
	record := store.Client{ID: wanted.ID, Profile: wanted.Profile, Metadata: wanted.Metadata, Version: 1}
	if _, err := a.Store.User(ctx, wanted.ID); !errors.Is(err, store.ErrNotFound) {
		if err == nil {
			err = fault.Refusedf("the client_id %q is the subject of a user: a resource server could take tokens of the one for those of the other (RFC 9068 §5)", wanted.ID)
		}
		return store.Client{}, err
	}
	existing, err := a.Store.Client(ctx, wanted.ID)
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return store.Client{}, err
	case !wanted.Replace:
		return store.Client{}, fault.Refusedf("there is a client %q already; give --replace to change it", wanted.ID)
	default:
		record.Version, record.Disabled, record.CreatedAt = existing.Version+1, existing.Disabled, existing.CreatedAt
		record.AccessToken, record.Organisation = existing.AccessToken, existing.Organisation
	}
	return record, a.putClient(ctx, record)
}

// check compares the metadata with the profile and with what the server has.
func (n NewClient) check() error {
	if err := CheckMetadata(n.ID, n.Profile, n.Metadata); err != nil {
		return fault.InInput(err)
	}
	if err := checkTrustStore(n.Metadata, n.TrustStores); err != nil {
		return fault.InInput(err)
	}
	return fault.InInput(checkHabits(n))
}

// RemoveClient removes a client and ends all its grants. [Admin.Holdings] says what that is.
func (a *Admin) RemoveClient(ctx context.Context, id string) error {
	if _, err := a.Client(ctx, id); err != nil {
		return err
	}
	return a.Store.DeleteClient(ctx, id, store.RevokedByOperator)
}

// Client finds a client by its client_id.
func (a *Admin) Client(ctx context.Context, id string) (store.Client, error) {
	record, err := a.Store.Client(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return store.Client{}, fault.Missingf("there is no client %q; countersign clients list shows those that exist", id)
	}
	return record, err
}

// SetClientDisabled refuses everything to a client from the next request on, or accepts it again. It reports whether that
// is a change.
func (a *Admin) SetClientDisabled(ctx context.Context, id string, disabled bool) (changed bool, err error) {
	record, err := a.Client(ctx, id)
	if err != nil || record.Disabled == disabled {
		return false, err
	}
	record.Disabled = disabled
	record.Version++
	return true, a.putClient(ctx, record)
}

// RotateClientKeys replaces a client's public keys by those of a JWK Set, or adds these, and returns the new version; 0 when
// the client has all of them already. What is wrong with the set is an [InputError].
func (a *Admin) RotateClientKeys(ctx context.Context, id string, jwks []byte, add bool) (version int, err error) {
	fresh, err := readKeys(jwks)
	if err != nil {
		return 0, fault.InInput(err)
	}
	record, err := a.Client(ctx, id)
	if err != nil {
		return 0, err
	}
	changed, err := changeKeys(record, fresh, add)
	if err != nil {
		return 0, fault.InInput(err)
	}
	if changed == nil {
		return 0, nil
	}
	record.Metadata = changed
	if err := CheckMetadata(record.ID, record.Profile, record.Metadata); err != nil {
		return 0, fault.InInput(err)
	}
	record.Version++
	return record.Version, a.putClient(ctx, record)
}

// putClient stores a new version of a client and sets its times.
func (a *Admin) putClient(ctx context.Context, record store.Client) error {
	now := a.Now()
	if record.CreatedAt.IsZero() {
		record.CreatedAt = now
	}
	record.UpdatedAt = now
	err := a.Store.PutClient(ctx, record)
	if errors.Is(err, store.ErrConflict) {
		return &ChangedError{Err: fmt.Errorf("the client %q was changed by somebody else at the same moment; look at it and try again", record.ID)}
	}
	return err
}

// profileNamed returns the profile that metadata name, or another. What else is wrong with them is reported later.
func profileNamed(metadata []byte, otherwise string) string {
	var named struct {
		Profile string `json:"profile"`
	}
	if err := strictjson.Decode(metadata, &named); err != nil || named.Profile == "" {
		return otherwise
	}
	return named.Profile
}

// checkTrustStore demands that the trust store that metadata name is in the configuration. Otherwise nobody could
// authenticate as this client, and only the log would say why.
func checkTrustStore(metadata []byte, known []string) error {
	var named struct {
		Store string `json:"tls_client_auth_trust_store"`
	}
	if err := strictjson.Decode(metadata, &named); err != nil {
		return err
	}
	if named.Store == "" || slices.Contains(known, named.Store) {
		return nil
	}
	return fmt.Errorf("tls_client_auth_trust_store: there is no trust store %q; %s", named.Store, meant(named.Store, known, "trust_stores"))
}

// publicKey is one key as it was written, with what it is.
type publicKey struct {
	raw        json.RawMessage
	id         string
	thumbprint string
}

// readKeys reads a JWK Set that client metadata may hold and that has a key to verify signatures with.
func readKeys(jwks []byte) ([]publicKey, error) {
	jwks = jose.TrimByteOrderMark(jwks)
	if err := readableKeys(jwks); err != nil {
		return nil, err
	}
	var wire struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := strictjson.Decode(jwks, &wire); err != nil {
		return nil, err
	}
	keys := make([]publicKey, len(wire.Keys))
	for i, raw := range wire.Keys {
		keys[i].raw = raw
		// What is left out is kept as it is.
		if key, err := jose.ParseSetKey(raw); err == nil {
			keys[i].id, keys[i].thumbprint = key.ID, key.Thumbprint()
		}
	}
	return keys, nil
}

// changeKeys returns a client's metadata with new keys: instead of the old ones, or beside them; nil when it has all of them
// already.
func changeKeys(record store.Client, fresh []publicKey, add bool) (json.RawMessage, error) {
	var metadata map[string]json.RawMessage
	if err := strictjson.Decode(record.Metadata, &metadata); err != nil {
		return nil, fmt.Errorf("the stored client %q: %w", record.ID, err)
	}
	if _, ok := metadata["jwks_uri"]; ok {
		return nil, fmt.Errorf("the client %q keeps its keys at its jwks_uri; they are rotated there", record.ID)
	}
	keys := fresh
	if jwks, ok := metadata["jwks"]; ok && add {
		old, err := readKeys(jwks)
		if err != nil {
			return nil, fmt.Errorf("the stored keys of the client %q: %w", record.ID, err)
		}
		if keys, err = addKeys(old, fresh); err != nil {
			return nil, err
		}
		if len(keys) == len(old) {
			return nil, nil
		}
	}
	raw := make([]json.RawMessage, len(keys))
	for i, key := range keys {
		raw[i] = key.raw
	}
	jwks, err := json.Marshal(map[string][]json.RawMessage{"keys": raw})
	if err != nil {
		return nil, err
	}
	metadata["jwks"] = jwks
	return json.Marshal(metadata)
}

// addKeys puts new keys behind the old ones. A key that is there already is not doubled; a kid that would name two
// different keys is refused.
func addKeys(old, fresh []publicKey) ([]publicKey, error) {
	keys := slices.Clone(old)
	for _, key := range fresh {
		if key.thumbprint != "" && slices.ContainsFunc(old, func(k publicKey) bool { return k.thumbprint == key.thumbprint }) {
			continue
		}
		if key.id != "" && slices.ContainsFunc(old, func(k publicKey) bool { return k.id == key.id }) {
			return nil, fmt.Errorf("the client has another key with the kid %q already; give the new one a kid of its own", key.id)
		}
		keys = append(keys, key)
	}
	return keys, nil
}
