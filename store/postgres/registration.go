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
	// insertClientFrom stores a client for each row of what follows: one, or none.
	insertClientFrom = `INSERT INTO clients (` + clientColumns + `)
		SELECT ` + clientParameters + ` `
)

func initialTokenFields(t *store.InitialToken) []any {
	return []any{digestField{&t.ID}, &t.Organisation, &t.Remaining, timeField{&t.CreatedAt}, timeField{&t.ExpiresAt}, &t.Profile}
}

// RegisterClient inserts a client and consumes what allows it.
func (s *Store) RegisterClient(ctx context.Context, client store.Client, by store.Registrar) error {
	if by.Token.Zero() {
		return s.registerWithinQuota(ctx, client, by.Quota)
	}
	return s.run(ctx, "RegisterClient", func(ctx context.Context, c *pgx.Conn) error {
		stored, err := c.Exec(ctx, `WITH taken AS (
				UPDATE initial_tokens SET remaining = remaining - 1 WHERE id = @token AND remaining > 0 AND expires_at > @now RETURNING id
			) `+insertClientFrom+`FROM taken`, s.named(clientArguments(client)).with(pgx.StrictNamedArgs{"token": by.Token[:], "now": s.moment()}))
		if err != nil || stored.RowsAffected() > 0 {
			return err
		}
		if _, err := s.initialToken(ctx, c, by.Token); err != nil {
			return err
		}
		return store.ErrConsumed // another caller took the last one, and more were added since
	})
}

// registerWithinQuota counts an organisation's clients under a lock of its own: only a statement that begins after the
// lock is held sees all of them.
func (s *Store) registerWithinQuota(ctx context.Context, client store.Client, quota int) error {
	return s.run(ctx, "RegisterClient", func(ctx context.Context, c *pgx.Conn) error {
		var stored int64
		var batch pgx.Batch
		batch.Queue(`SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, client.Organisation)
		batch.Queue(insertClientFrom+`WHERE (SELECT count(*) FROM clients WHERE organisation = @organisation) < @quota`,
			s.named(clientArguments(client)).with(pgx.StrictNamedArgs{"quota": quota})).
			Exec(func(tag pgconn.CommandTag) error { stored = tag.RowsAffected(); return nil })
		if err := c.SendBatch(ctx, &batch).Close(); err != nil {
			return err
		}
		if stored == 0 {
			return store.ErrConsumed
		}
		return nil
	})
}

// DeleteClient removes a client with all that was granted to it.
func (s *Store) DeleteClient(ctx context.Context, id, by string) error {
	return s.run(ctx, "DeleteClient", func(ctx context.Context, c *pgx.Conn) error {
		var found bool
		if _, err := one(ctx, c, `WITH deleted AS (
				DELETE FROM clients WHERE id = $1 RETURNING id
			), ended AS (
				UPDATE grants g SET revoked_at = $2, revoked_by = $3 FROM deleted WHERE g.client_id = deleted.id AND g.revoked_at IS NULL
			), consents_deleted AS (
				DELETE FROM consents k USING deleted WHERE k.client_id = deleted.id
			), lodged_ended AS (`+consents.EndedOf+`
			), requests_deleted AS (
				DELETE FROM backchannel_requests b USING deleted WHERE b.client_id = deleted.id
			), pings_deleted AS (
				DELETE FROM pings p USING deleted WHERE p.client_id = deleted.id
			) SELECT EXISTS (SELECT FROM deleted)`, []any{id, s.moment(), by}, &found); err != nil {
			return err
		}
		if !found {
			return store.ErrNotFound
		}
		return nil
	})
}

// PutInitialToken inserts a token or replaces its organisation's.
func (s *Store) PutInitialToken(ctx context.Context, token store.InitialToken) error {
	return s.run(ctx, "PutInitialToken", func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `INSERT INTO initial_tokens (`+initialTokenColumns+`) VALUES (@id, @organisation, @remaining, @created_at, @expires_at, @profile)
			ON CONFLICT (organisation) DO UPDATE SET id = excluded.id, remaining = excluded.remaining,
			created_at = excluded.created_at, expires_at = excluded.expires_at, profile = excluded.profile`,
			s.named(pgx.StrictNamedArgs{"id": token.ID[:], "organisation": token.Organisation, "remaining": token.Remaining,
				"created_at": at(token.CreatedAt), "expires_at": at(token.ExpiresAt), "profile": token.Profile}))
		return err
	})
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
func (s *Store) DeleteInitialToken(ctx context.Context, organisation string) error {
	return s.run(ctx, "DeleteInitialToken", func(ctx context.Context, c *pgx.Conn) error {
		removed, err := c.Exec(ctx, `DELETE FROM initial_tokens WHERE organisation = $1`, organisation)
		if err != nil {
			return err
		}
		if removed.RowsAffected() == 0 {
			return store.ErrNotFound
		}
		return nil
	})
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
