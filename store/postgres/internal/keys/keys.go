// Package keys keeps the states of signing keys in a table of PostgreSQL.
package keys

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store"
	"countersign/store/postgres/internal/named"
	"countersign/store/postgres/internal/pool"
)

const columns = `id, algorithm, uses, state, uris, public, created_at, activated_at, retired_at`

// Keys has the verbs of keys; see [store.Keys].
type Keys struct {
	Statements *named.Statements
	// Run and Read do the work of a verb that writes, and of one that changes nothing.
	Run, Read func(ctx context.Context, verb string, work pool.Work) error
}

// Keys lists the keys that are not destroyed.
func (k Keys) Keys(ctx context.Context) ([]store.Key, error) {
	return k.list(ctx, "Keys", `SELECT `+columns+` FROM keys WHERE state <> 'destroyed' ORDER BY created_at, id`)
}

// DestroyedKeys lists the keys that are.
func (k Keys) DestroyedKeys(ctx context.Context) ([]store.Key, error) {
	return k.list(ctx, "DestroyedKeys", `SELECT `+columns+` FROM keys WHERE state = 'destroyed' ORDER BY created_at, id`)
}

func (k Keys) list(ctx context.Context, verb, query string) (keys []store.Key, err error) {
	err = k.Read(ctx, verb, func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, query)
		if err != nil {
			return err
		}
		keys, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (one store.Key, err error) {
			var activated, retired *time.Time
			err = row.Scan(&one.ID, &one.Algorithm, &one.Uses, &one.State, &one.URIs, (*[]byte)(&one.Public), &one.CreatedAt, &activated, &retired)
			one.CreatedAt, one.ActivatedAt, one.RetiredAt = one.CreatedAt.UTC(), utc(activated), utc(retired)
			return one, err
		})
		return err
	})
	return keys, err
}

func utc(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// AddKey inserts a key.
func (k Keys) AddKey(ctx context.Context, key store.Key, evidence ...store.Evidence) error {
	arguments := k.Statements.Arguments(pgx.StrictNamedArgs{
		"id": key.ID, "algorithm": key.Algorithm, "uses": key.Uses, "state": key.State, "uris": key.URIs, "public": raw(key.Public),
		"created_at": orNull(key.CreatedAt), "activated_at": orNull(key.ActivatedAt), "retired_at": orNull(key.RetiredAt),
	}).Evidence(evidence)
	return k.Run(ctx, "AddKey", func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, named.Noted(`INSERT INTO keys (`+columns+`) VALUES (@id::text, @algorithm::text, @uses::text[], @state::text, @uris::text[],
			@public::json, @created_at::timestamptz, @activated_at::timestamptz, @retired_at::timestamptz) RETURNING id`), arguments)
		return err
	})
}

func raw(public json.RawMessage) []byte { return []byte(public) }

// MoveKey changes a key's state if it is still from.
func (k Keys) MoveKey(ctx context.Context, id, from, to string, at time.Time, evidence ...store.Evidence) error {
	arguments := k.Statements.Arguments(pgx.StrictNamedArgs{"id": id, "from": from, "to": to, "at": at}).Evidence(evidence)
	return k.change(ctx, "MoveKey", `UPDATE keys SET state = @to,
			activated_at = CASE WHEN @to = 'active' THEN @at ELSE activated_at END,
			retired_at = CASE WHEN @to IN ('retiring', 'destroyed') THEN @at ELSE retired_at END
			WHERE id = @id AND state = @from RETURNING id`, `id = @id`, arguments)
}

// SetKeyURIs replaces a key's addresses if they are still from.
func (k Keys) SetKeyURIs(ctx context.Context, id string, from, to []string, evidence ...store.Evidence) error {
	arguments := k.Statements.Arguments(pgx.StrictNamedArgs{"id": id, "from": from, "to": to}).Evidence(evidence)
	return k.change(ctx, "SetKeyURIs", `UPDATE keys SET uris = @to::text[] WHERE id = @id AND uris IS NOT DISTINCT FROM @from::text[] AND state <> 'destroyed'
			RETURNING id`, `id = @id AND state <> 'destroyed'`, arguments)
}

// change does the work of a verb that changes a key, or finds out why it does not: there says which keys it is about.
func (k Keys) change(ctx context.Context, verb, statement, there string, arguments named.Arguments) error {
	return k.Run(ctx, verb, func(ctx context.Context, c *pgx.Conn) error {
		var changed, exists bool
		err := c.QueryRow(ctx, named.Noted(statement)+`, EXISTS (SELECT FROM keys WHERE `+there+`)`, arguments).Scan(&changed, &exists)
		switch {
		case err != nil || changed:
			return err
		case !exists:
			return store.ErrNotFound
		}
		return store.ErrConflict
	})
}
