package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store"
	"countersign/store/postgres/internal/named"
	"countersign/store/postgres/internal/pipeline"
	"countersign/store/postgres/internal/pool"
)

const (
	clientColumns = `id, profile, metadata, disabled, version, created_at, updated_at, access_token, organisation,
		directory, directory_organisation, directory_software, directory_subject`
	clientParameters = `@id::text, @profile::text, @metadata::json, @disabled::boolean, @version::integer,
		@created_at::timestamptz, @updated_at::timestamptz, @access_token::bytea, @organisation::text,
		@directory::text, @directory_organisation::text, @directory_software::text, @directory_subject::text`
	userColumns = `subject, username, password, claims, disabled, created_at, updated_at, user_code, erased_at, epoch, browsers_from`
)

func clientFields(c *store.Client) []any {
	return []any{&c.ID, &c.Profile, (*[]byte)(&c.Metadata), &c.Disabled, &c.Version,
		timeField{&c.CreatedAt}, timeField{&c.UpdatedAt}, digestField{&c.AccessToken}, &c.Organisation,
		&c.Directory.Directory, &c.Directory.Organisation, &c.Directory.Software, &c.Directory.Subject, &c.Suspended}
}

func clientArguments(client store.Client) pgx.StrictNamedArgs {
	return pgx.StrictNamedArgs{
		"id": client.ID, "profile": client.Profile, "metadata": []byte(client.Metadata), "disabled": client.Disabled, "version": client.Version,
		"created_at": at(client.CreatedAt), "updated_at": at(client.UpdatedAt),
		"access_token": digestOrNull(client.AccessToken), "organisation": client.Organisation,
		"directory": client.Directory.Directory, "directory_organisation": client.Directory.Organisation,
		"directory_software": client.Directory.Software, "directory_subject": client.Directory.Subject,
	}
}

func userFields(u *store.User) []any {
	return []any{&u.Subject, &u.Username, &u.Password, (*[]byte)(&u.Claims), &u.Disabled,
		timeField{&u.CreatedAt}, timeField{&u.UpdatedAt}, &u.UserCode, timeField{&u.ErasedAt}, &u.Epoch, timeField{&u.BrowsersFrom}}
}

// readOne runs a verb that reads one record.
func readOne[T any](ctx context.Context, s *Store, verb, query, key string, fields func(*T) []any) (record T, err error) {
	err = s.readShared(ctx, verb, (&pool.Shared{Statement: pipeline.Statement{
		Order: store.DigestOf(key), SQL: query, Arguments: []any{key}, Fields: fields(&record),
	}}).OrNotFound())
	return record, err
}

// readAll runs a verb that lists records.
func readAll[T any](ctx context.Context, s *Store, verb, query string, fields func(*T) []any) (records []T, err error) {
	err = s.read(ctx, verb, func(ctx context.Context, c *pgx.Conn) error {
		records, err = rows(ctx, c, query, nil, fields)
		return err
	})
	return records, err
}

// rows reads all rows of a query.
func rows[T any](ctx context.Context, c *pgx.Conn, query string, arguments []any, fields func(*T) []any) ([]T, error) {
	found, err := c.Query(ctx, query, arguments...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(found, func(row pgx.CollectableRow) (record T, err error) {
		err = row.Scan(fields(&record)...)
		return record, err
	})
}

// Client reads one client.
func (s *Store) Client(ctx context.Context, id string) (store.Client, error) {
	return readOne(ctx, s, "Client", `SELECT `+clientColumns+`, suspended FROM clients WHERE id = $1`, id, clientFields)
}

// Clients lists all clients.
func (s *Store) Clients(ctx context.Context) ([]store.Client, error) {
	return readAll(ctx, s, "Clients", `SELECT `+clientColumns+`, suspended FROM clients ORDER BY id`, clientFields)
}

// PutClient inserts a client or replaces its former version.
func (s *Store) PutClient(ctx context.Context, client store.Client, evidence ...store.Evidence) error {
	query := `UPDATE clients SET (` + clientColumns + `) = ROW(` + clientParameters + `) WHERE id = @id AND version = @version - 1 RETURNING id`
	if client.Version == 1 {
		query = `INSERT INTO clients (` + clientColumns + `) VALUES (` + clientParameters + `) ON CONFLICT DO NOTHING RETURNING id`
	}
	return s.change(ctx, "PutClient", query, s.named(clientArguments(client)).evidence(evidence), store.ErrConflict)
}

// change runs a verb of one statement that changes one row, which it returns, and stores the evidence with it; otherwise is the error when
// it changes none.
func (s *Store) change(ctx context.Context, verb, statement string, arguments namedArguments, otherwise error) error {
	return s.run(ctx, verb, func(ctx context.Context, c *pgx.Conn) error {
		var changed bool
		if _, err := one(ctx, c, named.Noted(statement), []any{arguments}, &changed); err != nil || changed {
			return err
		}
		return otherwise
	})
}

// User reads a user by subject.
func (s *Store) User(ctx context.Context, subject string) (store.User, error) {
	return readOne(ctx, s, "User", `SELECT `+userColumns+` FROM users WHERE subject = $1`, subject, userFields)
}

// UserByName reads a user by user name.
func (s *Store) UserByName(ctx context.Context, username string) (store.User, error) {
	return readOne(ctx, s, "UserByName", `SELECT `+userColumns+` FROM users WHERE username = $1`, username, userFields)
}

// Users lists all users.
func (s *Store) Users(ctx context.Context) ([]store.User, error) {
	return readAll(ctx, s, "Users", `SELECT `+userColumns+` FROM users ORDER BY username`, userFields)
}

// PutUser inserts or replaces a user.
func (s *Store) PutUser(ctx context.Context, user store.User, evidence ...store.Evidence) error {
	// What is not changed was erased.
	return s.change(ctx, "PutUser", `INSERT INTO users (`+userColumns+`) VALUES (@subject::text, @username::text, @password::text, @claims::json,
			@disabled::boolean, @created_at::timestamptz, @updated_at::timestamptz, @user_code::text, NULL, 1, NULL)
			ON CONFLICT (subject) DO UPDATE SET username = excluded.username, password = excluded.password,
			claims = excluded.claims, disabled = excluded.disabled,
			created_at = excluded.created_at, updated_at = excluded.updated_at, user_code = excluded.user_code
			WHERE users.erased_at IS NULL RETURNING subject`, s.named(userArguments(user)).evidence(evidence), store.ErrConflict)
}

// ReplaceUser replaces a user who is as the caller read them.
func (s *Store) ReplaceUser(ctx context.Context, user store.User, before time.Time, evidence ...store.Evidence) error {
	arguments := s.named(userArguments(user)).with(pgx.StrictNamedArgs{"before": before}).evidence(evidence)
	return s.change(ctx, "ReplaceUser", `UPDATE users SET username = @username::text, password = @password::text, claims = @claims::json,
			disabled = @disabled::boolean, created_at = @created_at::timestamptz, updated_at = @updated_at::timestamptz, user_code = @user_code::text
			WHERE subject = @subject::text AND updated_at = @before::timestamptz AND erased_at IS NULL RETURNING subject`, arguments, store.ErrRevoked)
}

func userArguments(user store.User) pgx.StrictNamedArgs {
	return pgx.StrictNamedArgs{
		"subject": user.Subject, "username": user.Username, "password": user.Password, "claims": []byte(user.Claims),
		"disabled": user.Disabled, "created_at": at(user.CreatedAt), "updated_at": at(user.UpdatedAt), "user_code": user.UserCode,
	}
}
