package sqlite

import (
	"context"
	"database/sql"
	"time"

	"countersign/store"
	"countersign/store/sqlite/internal/connection"
)

const (
	clientColumns = `id, profile, metadata, disabled, version, created_at, updated_at, access_token, organisation,
		directory, directory_organisation, directory_software, directory_subject`
	userColumns = `subject, username, password, claims, disabled, created_at, updated_at, user_code, erased_at, epoch, browsers_from`
	keyColumns  = `id, algorithm, uses, state, uris, public, created_at, activated_at, retired_at`
)

func clientFields(c *store.Client) []any {
	return []any{&c.ID, &c.Profile, textField(&c.Metadata), &c.Disabled, &c.Version,
		timeField{&c.CreatedAt}, timeField{&c.UpdatedAt}, digestField{&c.AccessToken}, &c.Organisation,
		&c.Directory.Directory, &c.Directory.Organisation, &c.Directory.Software, &c.Directory.Subject, &c.Suspended}
}

func userFields(u *store.User) []any {
	return []any{&u.Subject, &u.Username, &u.Password, textField(&u.Claims), &u.Disabled,
		timeField{&u.CreatedAt}, timeField{&u.UpdatedAt}, &u.UserCode, timeField{&u.ErasedAt}, &u.Epoch, timeField{&u.BrowsersFrom}}
}

func keyFields(k *store.Key) []any {
	return []any{&k.ID, &k.Algorithm, listField{&k.Uses}, &k.State, listField{&k.URIs}, textField(&k.Public),
		timeField{&k.CreatedAt}, timeField{&k.ActivatedAt}, timeField{&k.RetiredAt}}
}

// readOne runs a verb that reads one record.
func readOne[T any](ctx context.Context, s *Store, verb, query, key string, fields func(*T) []any) (record T, err error) {
	err = s.read(ctx, verb, func(c *connection.Conn) error {
		return c.Get(query, []any{key}, fields(&record)...)
	})
	return record, err
}

// readAll runs a verb that lists records.
func readAll[T any](ctx context.Context, s *Store, verb, query string, fields func(*T) []any) (records []T, err error) {
	err = s.read(ctx, verb, func(c *connection.Conn) error {
		return c.Each(query, func(rows *sql.Rows) error {
			var record T
			err := rows.Scan(fields(&record)...)
			records = append(records, record)
			return err
		})
	})
	return records, err
}

// Client reads one client.
func (s *Store) Client(ctx context.Context, id string) (store.Client, error) {
	return readOne(ctx, s, "Client", `SELECT `+clientColumns+`, suspended FROM clients WHERE id = ?`, id, clientFields)
}

// Clients lists all clients.
func (s *Store) Clients(ctx context.Context) ([]store.Client, error) {
	return readAll(ctx, s, "Clients", `SELECT `+clientColumns+`, suspended FROM clients ORDER BY id`, clientFields)
}

const insertClient = `INSERT INTO clients (` + clientColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`

func clientValues(client store.Client) []any {
	return []any{client.ID, client.Profile, text(client.Metadata), client.Disabled, client.Version,
		micros(client.CreatedAt), micros(client.UpdatedAt), digestOrNull(client.AccessToken), client.Organisation,
		client.Directory.Directory, client.Directory.Organisation, client.Directory.Software, client.Directory.Subject}
}

// PutClient inserts a client or replaces its former version.
func (s *Store) PutClient(ctx context.Context, client store.Client) error {
	query := `UPDATE clients SET profile = ?2, metadata = ?3, disabled = ?4, version = ?5, created_at = ?6, updated_at = ?7,
		access_token = ?8, organisation = ?9, directory = ?10, directory_organisation = ?11, directory_software = ?12,
		directory_subject = ?13 WHERE id = ?1 AND version = ?5 - 1`
	if client.Version == 1 {
		query = insertClient
	}
	return s.write(ctx, "PutClient", connection.Single, func(c *connection.Conn) error {
		stored, err := c.Exec(query, clientValues(client)...)
		if err != nil {
			return err
		}
		if stored == 0 {
			return store.ErrConflict
		}
		return nil
	})
}

// User reads a user by subject.
func (s *Store) User(ctx context.Context, subject string) (store.User, error) {
	return readOne(ctx, s, "User", `SELECT `+userColumns+` FROM users WHERE subject = ?`, subject, userFields)
}

// UserByName reads a user by user name.
func (s *Store) UserByName(ctx context.Context, username string) (store.User, error) {
	return readOne(ctx, s, "UserByName", `SELECT `+userColumns+` FROM users WHERE username = ?`, username, userFields)
}

// Users lists all users.
func (s *Store) Users(ctx context.Context) ([]store.User, error) {
	return readAll(ctx, s, "Users", `SELECT `+userColumns+` FROM users ORDER BY username`, userFields)
}

// PutUser inserts or replaces a user.
func (s *Store) PutUser(ctx context.Context, user store.User) error {
	return s.write(ctx, "PutUser", connection.Single, func(c *connection.Conn) error {
		stored, err := c.Exec(`INSERT INTO users (`+userColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, 1, NULL)
			ON CONFLICT (subject) DO UPDATE SET username = excluded.username, password = excluded.password,
			claims = excluded.claims, disabled = excluded.disabled,
			created_at = excluded.created_at, updated_at = excluded.updated_at, user_code = excluded.user_code
			WHERE users.erased_at IS NULL`,
			user.Subject, user.Username, user.Password, text(user.Claims), user.Disabled,
			micros(user.CreatedAt), micros(user.UpdatedAt), user.UserCode)
		if err != nil {
			return conflict(err, store.ErrConflict)
		}
		if stored == 0 {
			return store.ErrConflict // erased
		}
		return nil
	})
}

// Keys lists the keys that are not destroyed.
func (s *Store) Keys(ctx context.Context) ([]store.Key, error) {
	return readAll(ctx, s, "Keys",
		`SELECT `+keyColumns+` FROM keys WHERE state <> 'destroyed' ORDER BY created_at, id`, keyFields)
}

// DestroyedKeys lists the keys that are.
func (s *Store) DestroyedKeys(ctx context.Context) ([]store.Key, error) {
	return readAll(ctx, s, "DestroyedKeys",
		`SELECT `+keyColumns+` FROM keys WHERE state = 'destroyed' ORDER BY created_at, id`, keyFields)
}

// AddKey inserts a key.
func (s *Store) AddKey(ctx context.Context, key store.Key) error {
	return s.write(ctx, "AddKey", connection.Single, func(c *connection.Conn) error {
		_, err := c.Exec(`INSERT INTO keys (`+keyColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			key.ID, key.Algorithm, list(key.Uses), key.State, list(key.URIs), text(key.Public),
			micros(key.CreatedAt), micros(key.ActivatedAt), micros(key.RetiredAt))
		return conflict(err, store.ErrConflict)
	})
}

// MoveKey changes a key's state if it is still from.
func (s *Store) MoveKey(ctx context.Context, id, from, to string, at time.Time) error {
	return s.write(ctx, "MoveKey", connection.Single, func(c *connection.Conn) error {
		moved, err := c.Exec(`UPDATE keys SET state = ?3,
			activated_at = iif(?3 = 'active', ?4, activated_at),
			retired_at = iif(?3 IN ('retiring', 'destroyed'), ?4, retired_at)
			WHERE id = ?1 AND state = ?2`, id, from, to, micros(at))
		if err != nil || moved > 0 {
			return err
		}
		return existence(c, `SELECT 1 FROM keys WHERE id = ?`, id, store.ErrConflict)
	})
}

// SetKeyURIs replaces a key's addresses if they are still from.
func (s *Store) SetKeyURIs(ctx context.Context, id string, from, to []string) error {
	return s.write(ctx, "SetKeyURIs", connection.Single, func(c *connection.Conn) error {
		changed, err := c.Exec(`UPDATE keys SET uris = ?3 WHERE id = ?1 AND uris IS ?2 AND state <> 'destroyed'`, id, list(from), list(to))
		if err != nil || changed > 0 {
			return err
		}
		return existence(c, `SELECT 1 FROM keys WHERE id = ? AND state <> 'destroyed'`, id, store.ErrConflict)
	})
}
