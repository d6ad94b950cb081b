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
func (s *Store) PutClient(ctx context.Context, client store.Client, evidence ...store.Evidence) error {
	query := `UPDATE clients SET profile = ?2, metadata = ?3, disabled = ?4, version = ?5, created_at = ?6, updated_at = ?7,
		access_token = ?8, organisation = ?9, directory = ?10, directory_organisation = ?11, directory_software = ?12,
		directory_subject = ?13 WHERE id = ?1 AND version = ?5 - 1`
	if client.Version == 1 {
		query = insertClient
	}
	return s.change(ctx, "PutClient", evidence, store.ErrConflict, query, clientValues(client)...)
}

// change runs a verb that changes one row and stores the evidence with it; otherwise is the error when it changes none.
func (s *Store) change(ctx context.Context, verb string, evidence []store.Evidence, otherwise error, statement string, arguments ...any) error {
	return s.write(ctx, verb, connection.Several, func(c *connection.Conn) error {
		changed, err := c.Exec(statement, arguments...)
		if err != nil {
			return conflict(err, store.ErrConflict)
		}
		if changed == 0 {
			return otherwise
		}
		return insertEvidence(c, evidence)
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
func (s *Store) PutUser(ctx context.Context, user store.User, evidence ...store.Evidence) error {
	// What is not changed was erased.
	return s.change(ctx, "PutUser", evidence, store.ErrConflict, `INSERT INTO users (`+userColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, 1, NULL)
			ON CONFLICT (subject) DO UPDATE SET username = excluded.username, password = excluded.password,
			claims = excluded.claims, disabled = excluded.disabled,
			created_at = excluded.created_at, updated_at = excluded.updated_at, user_code = excluded.user_code
			WHERE users.erased_at IS NULL`,
		user.Subject, user.Username, user.Password, text(user.Claims), user.Disabled, micros(user.CreatedAt), micros(user.UpdatedAt), user.UserCode)
}

// ReplaceUser replaces a user who is as the caller read them.
func (s *Store) ReplaceUser(ctx context.Context, user store.User, before time.Time, evidence ...store.Evidence) error {
	return s.change(ctx, "ReplaceUser", evidence, store.ErrRevoked, `UPDATE users SET username = ?, password = ?, claims = ?, disabled = ?, created_at = ?,
			updated_at = ?, user_code = ? WHERE subject = ? AND updated_at = ? AND erased_at IS NULL`,
		user.Username, user.Password, text(user.Claims), user.Disabled, micros(user.CreatedAt), micros(user.UpdatedAt), user.UserCode,
		user.Subject, micros(before))
}
