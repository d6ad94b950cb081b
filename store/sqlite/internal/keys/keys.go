// Package keys keeps the states of signing keys in a table of SQLite.
package keys

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"countersign/store"
	"countersign/store/sqlite/internal/connection"
)

const columns = `id, algorithm, uses, state, uris, public, created_at, activated_at, retired_at`

// Keys has the verbs of keys; see [store.Keys].
type Keys struct {
	// Read and Write do the work of a verb that changes nothing, and of one that does.
	Read  func(ctx context.Context, verb string, work func(*connection.Conn) error) error
	Write func(ctx context.Context, verb string, statements connection.Statements, work func(*connection.Conn) error) error
	// Record stores evidence.
	Record func(c *connection.Conn, evidence []store.Evidence) error
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
	err = k.Read(ctx, verb, func(c *connection.Conn) error {
		keys = nil
		return c.Each(query, func(rows *sql.Rows) error {
			one, err := scan(rows)
			keys = append(keys, one)
			return err
		})
	})
	return keys, err
}

func scan(rows *sql.Rows) (one store.Key, err error) {
	var uses, uris sql.NullString
	var created, activated, retired sql.NullInt64
	if err := rows.Scan(&one.ID, &one.Algorithm, &uses, &one.State, &uris, (*[]byte)(&one.Public), &created, &activated, &retired); err != nil {
		return one, err
	}
	one.CreatedAt, one.ActivatedAt, one.RetiredAt = moment(created), moment(activated), moment(retired)
	if uses.Valid {
		if err := json.Unmarshal([]byte(uses.String), &one.Uses); err != nil {
			return one, err
		}
	}
	if uris.Valid {
		err = json.Unmarshal([]byte(uris.String), &one.URIs)
	}
	return one, err
}

func moment(micros sql.NullInt64) time.Time {
	if !micros.Valid {
		return time.Time{}
	}
	return time.UnixMicro(micros.Int64).UTC()
}

func orNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// list is a list as it is stored: JSON, and NULL for nil.
func list(values []string) (any, error) {
	if values == nil {
		return nil, nil
	}
	encoded, err := json.Marshal(values)
	return string(encoded), err
}

// AddKey inserts a key.
func (k Keys) AddKey(ctx context.Context, key store.Key, evidence ...store.Evidence) error {
	uses, err := list(key.Uses)
	if err != nil {
		return err
	}
	uris, err := list(key.URIs)
	if err != nil {
		return err
	}
	var public any
	if key.Public != nil {
		public = string(key.Public)
	}
	return k.Write(ctx, "AddKey", connection.Several, func(c *connection.Conn) error {
		_, err := c.Exec(`INSERT INTO keys (`+columns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`, key.ID, key.Algorithm, uses, key.State, uris, public,
			orNull(key.CreatedAt), orNull(key.ActivatedAt), orNull(key.RetiredAt))
		if connection.ViolatesUniqueness(err) {
			return store.ErrConflict
		}
		if err != nil {
			return err
		}
		return k.Record(c, evidence)
	})
}

// MoveKey changes a key's state if it is still from.
func (k Keys) MoveKey(ctx context.Context, id, from, to string, at time.Time, evidence ...store.Evidence) error {
	return k.change(ctx, "MoveKey", evidence, `SELECT 1 FROM keys WHERE id = ?`, id, `UPDATE keys SET state = ?3,
			activated_at = iif(?3 = 'active', ?4, activated_at),
			retired_at = iif(?3 IN ('retiring', 'destroyed'), ?4, retired_at)
			WHERE id = ?1 AND state = ?2`, from, to, orNull(at))
}

// SetKeyURIs replaces a key's addresses if they are still from.
func (k Keys) SetKeyURIs(ctx context.Context, id string, from, to []string, evidence ...store.Evidence) error {
	before, err := list(from)
	if err != nil {
		return err
	}
	after, err := list(to)
	if err != nil {
		return err
	}
	return k.change(ctx, "SetKeyURIs", evidence, `SELECT 1 FROM keys WHERE id = ? AND state <> 'destroyed'`, id,
		`UPDATE keys SET uris = ?3 WHERE id = ?1 AND uris IS ?2 AND state <> 'destroyed'`, before, after)
}

// change does the work of a verb that changes a key, or finds out by the query there why it does not.
func (k Keys) change(ctx context.Context, verb string, evidence []store.Evidence, there, id, statement string, arguments ...any) error {
	return k.Write(ctx, verb, connection.Several, func(c *connection.Conn) error {
		changed, err := c.Exec(statement, append([]any{id}, arguments...)...)
		if err != nil {
			return err
		}
		if changed > 0 {
			return k.Record(c, evidence)
		}
		var one int
		if err := c.Get(there, []any{id}, &one); err != nil {
			return err
		}
		return store.ErrConflict
	})
}
