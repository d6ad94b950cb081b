package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"countersign/store"
	"countersign/store/postgres/internal/consents"
)

const (
	initialTokenColumns = `id, organisation, remaining, created_at, expires_at, profile`
	// newSoftware is the condition that the client's software may have it.
	newSoftware = `NOT (@one_per_software::boolean AND EXISTS
		(SELECT FROM clients WHERE directory <> '' AND directory = @directory::text AND directory_software = @directory_software::text))`
	// insertAllowed stores the client if there is a row "allowed", and consumes one-time values with it.
	insertAllowed = `, consumed_values AS (` + insertOneTimes + ` CROSS JOIN allowed` + inOneOrder + `
		) INSERT INTO clients (` + clientColumns + `) SELECT ` + clientParameters + ` FROM allowed`
)

func initialTokenFields(t *store.InitialToken) []any {
	return []any{digestField{&t.ID}, &t.Organisation, &t.Remaining, timeField{&t.CreatedAt}, timeField{&t.ExpiresAt}, &t.Profile}
}

// RegisterClient inserts a client and consumes what allows it.
func (s *Store) RegisterClient(ctx context.Context, client store.Client, by store.Registrar) error {
	return s.run(ctx, "RegisterClient", func(ctx context.Context, c *pgx.Conn) error {
		var stored int64
		if err := c.SendBatch(ctx, s.registration(client, by, &stored)).Close(); err != nil || stored > 0 {
			return err
		}
		return s.notRegistered(ctx, c, client, by)
	})
}

// registration is the batch that inserts a client. What is counted is counted under a lock of its own: only a statement that
// begins after the lock is held sees all of it.
func (s *Store) registration(client store.Client, by store.Registrar, stored *int64) *pgx.Batch {
	const lock = `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`
	var batch pgx.Batch
	arguments := s.named(clientArguments(client)).with(pgx.StrictNamedArgs{"one_per_software": by.OnePerSoftware}).oneTimes(by.OneTimes)
	if by.OnePerSoftware {
		batch.Queue(lock, "software "+client.Directory.Directory+" "+client.Directory.Software)
	}
	var query string
	if by.Token.Zero() {
		batch.Queue(lock, client.Organisation)
		query = `WITH allowed AS (SELECT 1 WHERE (SELECT count(*) FROM clients WHERE organisation = @organisation AND organisation <> '') < @quota AND ` + newSoftware + `)`
		arguments = arguments.with(pgx.StrictNamedArgs{"quota": by.Quota})
	} else {
		query = `WITH allowed AS (
			UPDATE initial_tokens SET remaining = remaining - 1 WHERE id = @token AND remaining > 0 AND expires_at > @now AND ` + newSoftware + ` RETURNING id)`
		arguments = arguments.with(pgx.StrictNamedArgs{"token": by.Token[:], "now": s.moment()})
	}
	batch.Queue(query+insertAllowed, arguments).Exec(func(tag pgconn.CommandTag) error { *stored = tag.RowsAffected(); return nil })
	return &batch
}

// notRegistered says why a client was not inserted.
func (s *Store) notRegistered(ctx context.Context, c *pgx.Conn, client store.Client, by store.Registrar) error {
	if by.OnePerSoftware {
		var there bool
		if _, err := one(ctx, c, `SELECT EXISTS (SELECT FROM clients WHERE directory <> '' AND directory = $1 AND directory_software = $2)`,
			[]any{client.Directory.Directory, client.Directory.Software}, &there); err != nil {
			return err
		}
		if there {
			return store.ErrConflict
		}
	}
	if by.Token.Zero() {
		return store.ErrConsumed
	}
	if _, err := s.initialToken(ctx, c, by.Token); err != nil {
		return err
	}
	return store.ErrConsumed // another caller took the last one, and more were added since
}

// DeleteClient removes a client with all that was granted to it.
func (s *Store) DeleteClient(ctx context.Context, id, by string, evidence ...store.Evidence) error {
	arguments := s.named(pgx.StrictNamedArgs{"id": id, "now": s.moment(), "by": by}).evidence(evidence)
	return s.run(ctx, "DeleteClient", func(ctx context.Context, c *pgx.Conn) error {
		var found bool
		if _, err := one(ctx, c, `WITH deleted AS (
				DELETE FROM clients WHERE id = @id RETURNING id
			), ended AS (
				UPDATE grants g SET revoked_at = @now, revoked_by = @by::text FROM deleted WHERE g.client_id = deleted.id AND g.revoked_at IS NULL
			), consents_deleted AS (
				DELETE FROM consents k USING deleted WHERE k.client_id = deleted.id
			), lodged_ended AS (`+consents.EndedOf+`
			), requests_deleted AS (
				DELETE FROM backchannel_requests b USING deleted WHERE b.client_id = deleted.id
			), pings_deleted AS (
				DELETE FROM pings p USING deleted WHERE p.client_id = deleted.id
			), noted AS (`+insertEvidence+` CROSS JOIN deleted
			) SELECT EXISTS (SELECT FROM deleted)`, []any{arguments}, &found); err != nil {
			return err
		}
		if !found {
			return store.ErrNotFound
		}
		return nil
	})
}

// PutInitialToken inserts a token or replaces its organisation's.
func (s *Store) PutInitialToken(ctx context.Context, token store.InitialToken, evidence ...store.Evidence) error {
	return s.change(ctx, "PutInitialToken", `INSERT INTO initial_tokens (`+initialTokenColumns+`)
			VALUES (@id::bytea, @organisation::text, @remaining::integer, @created_at::timestamptz, @expires_at::timestamptz, @profile::text)
			ON CONFLICT (organisation) DO UPDATE SET id = excluded.id, remaining = excluded.remaining,
			created_at = excluded.created_at, expires_at = excluded.expires_at, profile = excluded.profile RETURNING id`,
		s.named(pgx.StrictNamedArgs{"id": token.ID[:], "organisation": token.Organisation, "remaining": token.Remaining,
			"created_at": at(token.CreatedAt), "expires_at": at(token.ExpiresAt), "profile": token.Profile}).evidence(evidence), store.ErrConflict)
}

// InitialToken reads a token that may still be used.
func (s *Store) InitialToken(ctx context.Context, id store.Digest) (token store.InitialToken, err error) {
	err = s.read(ctx, "InitialToken", func(ctx context.Context, c *pgx.Conn) error {
		token, err = s.initialToken(ctx, c, id)
		return err
	})
	return token, err
}

func (s *Store) initialToken(ctx context.Context, c *pgx.Conn, id store.Digest) (token store.InitialToken, err error) {
	found, err := one(ctx, c, `SELECT `+initialTokenColumns+` FROM initial_tokens WHERE id = $1`, []any{id[:]}, initialTokenFields(&token)...)
	switch {
	case err != nil:
		return token, err
	case !found:
		return token, store.ErrNotFound
	case !s.moment().Before(token.ExpiresAt):
		return token, store.ErrExpired
	case token.Remaining <= 0:
		return token, store.ErrConsumed
	}
	return token, nil
}

// InitialTokens lists all tokens.
func (s *Store) InitialTokens(ctx context.Context) ([]store.InitialToken, error) {
	return readAll(ctx, s, "InitialTokens", `SELECT `+initialTokenColumns+` FROM initial_tokens ORDER BY organisation`, initialTokenFields)
}

// DeleteInitialToken removes an organisation's token.
func (s *Store) DeleteInitialToken(ctx context.Context, organisation string, evidence ...store.Evidence) error {
	return s.change(ctx, "DeleteInitialToken", `DELETE FROM initial_tokens WHERE organisation = @organisation RETURNING id`,
		s.named(pgx.StrictNamedArgs{"organisation": organisation}).evidence(evidence), store.ErrNotFound)
}

// Seed returns the value stored under a name. The second statement sees what another caller stored while the first one
// waited for it.
func (s *Store) Seed(ctx context.Context, name string, fresh []byte) (seed []byte, err error) {
	err = s.run(ctx, "Seed", func(ctx context.Context, c *pgx.Conn) error {
		var batch pgx.Batch
		batch.Queue(`INSERT INTO seeds (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING`, name, fresh)
		batch.Queue(`SELECT value FROM seeds WHERE name = $1`, name).QueryRow(func(row pgx.Row) error { return row.Scan(&seed) })
		return c.SendBatch(ctx, &batch).Close()
	})
	return seed, err
}
