package sqlite

import (
	"context"

	"countersign/store"
	"countersign/store/sqlite/internal/connection"
	"countersign/store/sqlite/internal/consents"
)

const initialTokenColumns = `id, organisation, remaining, created_at, expires_at, profile`

func initialTokenFields(t *store.InitialToken) []any {
	return []any{digestField{&t.ID}, &t.Organisation, &t.Remaining, timeField{&t.CreatedAt}, timeField{&t.ExpiresAt}, &t.Profile}
}

// RegisterClient inserts a client and consumes what allows it.
func (s *Store) RegisterClient(ctx context.Context, client store.Client, by store.Registrar) error {
	return s.write(ctx, "RegisterClient", connection.Several, func(c *connection.Conn) error {
		if err := s.allowed(c, client, by); err != nil {
			return err
		}
		if err := consumeOneTimes(c, by.OneTimes); err != nil {
			return err
		}
		stored, err := c.Exec(insertClient, clientValues(client)...)
		if err != nil {
			return err
		}
		if stored == 0 {
			return store.ErrConflict
		}
		if by.Token.Zero() {
			return nil
		}
		_, err = c.Exec(`UPDATE initial_tokens SET remaining = remaining - 1 WHERE id = ?`, by.Token[:])
		return err
	})
}

// allowed reports whether a registrar may register one more client.
func (s *Store) allowed(c *connection.Conn, client store.Client, by store.Registrar) error {
	var there bool
	if by.OnePerSoftware {
		if _, err := c.One(`SELECT EXISTS (SELECT 1 FROM clients WHERE directory <> '' AND directory = ? AND directory_software = ?)`,
			[]any{client.Directory.Directory, client.Directory.Software}, &there); err != nil {
			return err
		}
	}
	if there {
		return store.ErrConflict
	}
	if !by.Token.Zero() {
		_, err := s.initialToken(c, by.Token)
		return err
	}
	var clients int
	if _, err := c.One(`SELECT count(*) FROM clients WHERE organisation = ? AND organisation <> ''`, []any{client.Organisation}, &clients); err != nil {
		return err
	}
	if clients >= by.Quota {
		return store.ErrConsumed
	}
	return nil
}

// DeleteClient removes a client with all that was granted to it.
func (s *Store) DeleteClient(ctx context.Context, id, by string, evidence ...store.Evidence) error {
	return s.write(ctx, "DeleteClient", connection.Several, func(c *connection.Conn) error {
		removed, err := c.Exec(`DELETE FROM clients WHERE id = ?`, id)
		if err != nil {
			return err
		}
		if removed == 0 {
			return store.ErrNotFound
		}
		if err := consents.EndOf(c, id, by, s.moment()); err != nil { // before the grants, whose end would say less of why
			return err
		}
		if _, err := c.Exec(`UPDATE grants SET revoked_at = ?, revoked_by = ? WHERE client_id = ? AND revoked_at IS NULL`,
			micros(s.moment()), by, id); err != nil {
			return err
		}
		for _, query := range []string{
			`DELETE FROM pings WHERE request_id IN (SELECT id FROM backchannel_requests WHERE client_id = ?)`,
			`DELETE FROM backchannel_requests WHERE client_id = ?`,
			`DELETE FROM consents WHERE client_id = ?`,
		} {
			if _, err := c.Exec(query, id); err != nil {
				return err
			}
		}
		return insertEvidence(c, evidence)
	})
}

// PutInitialToken inserts a token or replaces its organisation's.
func (s *Store) PutInitialToken(ctx context.Context, token store.InitialToken, evidence ...store.Evidence) error {
	return s.change(ctx, "PutInitialToken", evidence, store.ErrConflict, `INSERT INTO initial_tokens (`+initialTokenColumns+`) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (organisation) DO UPDATE SET id = excluded.id, remaining = excluded.remaining,
			created_at = excluded.created_at, expires_at = excluded.expires_at, profile = excluded.profile`,
		token.ID[:], token.Organisation, token.Remaining, micros(token.CreatedAt), micros(token.ExpiresAt), token.Profile)
}

// InitialToken reads a token that may still be used.
func (s *Store) InitialToken(ctx context.Context, id store.Digest) (token store.InitialToken, err error) {
	err = s.read(ctx, "InitialToken", func(c *connection.Conn) error {
		token, err = s.initialToken(c, id)
		return err
	})
	return token, err
}

func (s *Store) initialToken(c *connection.Conn, id store.Digest) (token store.InitialToken, err error) {
	found, err := c.One(`SELECT `+initialTokenColumns+` FROM initial_tokens WHERE id = ?`, []any{id[:]}, initialTokenFields(&token)...)
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
	return s.change(ctx, "DeleteInitialToken", evidence, store.ErrNotFound, `DELETE FROM initial_tokens WHERE organisation = ?`, organisation)
}

// Seed returns the value stored under a name.
func (s *Store) Seed(ctx context.Context, name string, fresh []byte) (seed []byte, err error) {
	err = s.write(ctx, "Seed", connection.Several, func(c *connection.Conn) error {
		if _, err := c.Exec(`INSERT INTO seeds (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING`, name, fresh); err != nil {
			return err
		}
		_, err := c.One(`SELECT value FROM seeds WHERE name = ?`, []any{name}, &seed)
		return err
	})
	return seed, err
}
