package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store"
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
	keyColumns  = `id, algorithm, uses, state, uris, public, created_at, activated_at, retired_at`
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

func keyFields(k *store.Key) []any {
	return []any{&k.ID, &k.Algorithm, &k.Uses, &k.State, &k.URIs, (*[]byte)(&k.Public),
		timeField{&k.CreatedAt}, timeField{&k.ActivatedAt}, timeField{&k.RetiredAt}}
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
func (s *Store) PutClient(ctx context.Context, client store.Client) error {
	query := `UPDATE clients SET (` + clientColumns + `) = ROW(` + clientParameters + `) WHERE id = @id AND version = @version - 1`
	if client.Version == 1 {
		query = `INSERT INTO clients (` + clientColumns + `) VALUES (` + clientParameters + `) ON CONFLICT DO NOTHING`
	}
	return s.run(ctx, "PutClient", func(ctx context.Context, c *pgx.Conn) error {
		stored, err := c.Exec(ctx, query, s.named(clientArguments(client)))
		if err != nil {
			return err
		}
		if stored.RowsAffected() == 0 {
			return store.ErrConflict
		}
		return nil
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
func (s *Store) PutUser(ctx context.Context, user store.User) error {
	return s.run(ctx, "PutUser", func(ctx context.Context, c *pgx.Conn) error {
		stored, err := c.Exec(ctx, `INSERT INTO users (`+userColumns+`) VALUES (@subject, @username, @password, @claims, @disabled, @created_at, @updated_at, @user_code, NULL, 1, NULL)
			ON CONFLICT (subject) DO UPDATE SET username = excluded.username, password = excluded.password,
			claims = excluded.claims, disabled = excluded.disabled,
			created_at = excluded.created_at, updated_at = excluded.updated_at, user_code = excluded.user_code
			WHERE users.erased_at IS NULL`,
			s.named(pgx.StrictNamedArgs{
				"subject": user.Subject, "username": user.Username, "password": user.Password, "claims": []byte(user.Claims),
				"disabled": user.Disabled, "created_at": at(user.CreatedAt), "updated_at": at(user.UpdatedAt), "user_code": user.UserCode,
			}))
		if err != nil {
			return err
		}
		if stored.RowsAffected() == 0 {
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
	return s.run(ctx, "AddKey", func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `INSERT INTO keys (`+keyColumns+`) VALUES (@id, @algorithm, @uses, @state, @uris, @public, @created_at, @activated_at, @retired_at)`,
			s.named(pgx.StrictNamedArgs{
				"id": key.ID, "algorithm": key.Algorithm, "uses": key.Uses, "state": key.State, "uris": key.URIs, "public": []byte(key.Public),
				"created_at": at(key.CreatedAt), "activated_at": at(key.ActivatedAt), "retired_at": at(key.RetiredAt),
			}))
		return err
	})
}

// MoveKey changes a key's state if it is still from.
func (s *Store) MoveKey(ctx context.Context, id, from, to string, at time.Time) error {
	return s.run(ctx, "MoveKey", func(ctx context.Context, c *pgx.Conn) error {
		var exists, moved bool
		_, err := one(ctx, c, `WITH moved AS (
				UPDATE keys SET state = @to,
				activated_at = CASE WHEN @to = 'active' THEN @at ELSE activated_at END,
				retired_at = CASE WHEN @to IN ('retiring', 'destroyed') THEN @at ELSE retired_at END
				WHERE id = @id AND state = @from RETURNING id
			)
			SELECT EXISTS (SELECT FROM keys WHERE id = @id), EXISTS (SELECT FROM moved)`,
			[]any{s.named(pgx.StrictNamedArgs{"id": id, "from": from, "to": to, "at": at})}, &exists, &moved)
		switch {
		case err != nil || moved:
			return err
		case !exists:
			return store.ErrNotFound
		}
		return store.ErrConflict
	})
}

// SetKeyURIs replaces a key's addresses if they are still from.
func (s *Store) SetKeyURIs(ctx context.Context, id string, from, to []string) error {
	return s.run(ctx, "SetKeyURIs", func(ctx context.Context, c *pgx.Conn) error {
		var exists, changed bool
		_, err := one(ctx, c, `WITH changed AS (
				UPDATE keys SET uris = $3::text[] WHERE id = $1 AND uris IS NOT DISTINCT FROM $2::text[] AND state <> 'destroyed' RETURNING id
			)
			SELECT EXISTS (SELECT FROM keys WHERE id = $1 AND state <> 'destroyed'), EXISTS (SELECT FROM changed)`,
			[]any{id, from, to}, &exists, &changed)
		switch {
		case err != nil || changed:
			return err
		case !exists:
			return store.ErrNotFound
		}
		return store.ErrConflict
	})
}
