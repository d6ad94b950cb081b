// Package fill copies a whole store from another database into an empty one in PostgreSQL.
package fill

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store"
	"countersign/store/internal/backend"
)

// ErrNotEmpty reports that the target of a copy holds records.
var ErrNotEmpty = errors.New("postgresql: the database is not empty: a copy goes into an empty one")

// Target is where a copy goes.
type Target struct {
	// Conn is a connection to the database, on which a table may take long.
	Conn *pgx.Conn
	// ConsumeOneTime consumes one-time values, apart from Conn.
	ConsumeOneTime func(ctx context.Context, oneTimes ...store.OneTime) error
	// Now is the clock.
	Now func() time.Time
	// Progress is called for each table that was copied; it may be nil.
	Progress func(store.Copied)
}

// All copies everything of a source in one transaction, and compares it before it is committed: when it fails the database is
// empty as before. One that holds records is [ErrNotEmpty].
func All(ctx context.Context, source store.Source, target Target) ([]store.Copied, error) {
	f := &copying{ctx: ctx, source: source, target: target}
	err := pgx.BeginFunc(ctx, target.Conn, func(tx pgx.Tx) error {
		f.tx = tx
		return f.fill()
	})
	if err != nil && f.consumed {
		// They were not consumed in the transaction; everything else is rolled back.
		_, cleared := target.Conn.Exec(context.WithoutCancel(ctx), "TRUNCATE uses")
		err = errors.Join(err, cleared)
	}
	return f.all, err
}

// copying is one running copy.
type copying struct {
	ctx      context.Context
	source   store.Source
	target   Target
	tx       pgx.Tx
	consumed bool
	all      []store.Copied
}

func (f *copying) fill() error {
	theirs, err := f.source.Tables(f.ctx)
	if err != nil {
		return err
	}
	ours, err := f.tables()
	if err != nil {
		return err
	}
	if !slices.Equal(theirs, ours) {
		return fmt.Errorf("postgresql: the source has the tables %v, and this database %v", theirs, ours)
	}
	for _, table := range ours {
		var some bool
		if err := f.tx.QueryRow(f.ctx, `SELECT EXISTS (SELECT FROM `+pgx.Identifier{table}.Sanitize()+`)`).Scan(&some); err != nil {
			return fmt.Errorf("postgresql: look into %s: %w", table, err)
		}
		if some {
			return fmt.Errorf("%w: %s holds records", ErrNotEmpty, table)
		}
	}
	for _, table := range ours {
		copied, err := f.table(table)
		if err != nil {
			return err
		}
		f.all = append(f.all, copied)
		if f.target.Progress != nil {
			f.target.Progress(copied)
		}
	}
	return nil
}

// tables lists the tables that hold the store's records.
func (f *copying) tables() ([]string, error) {
	rows, err := f.tx.Query(f.ctx, `SELECT relname::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace
		AND relkind IN ('r', 'p') AND NOT relispartition AND relname NOT IN ('goose_db_version', 'schema_steps') ORDER BY relname COLLATE "C"`)
	if err != nil {
		return nil, fmt.Errorf("postgresql: read the schema: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// column is one of a table, with the name of its type and whether the database numbers it.
type column struct {
	Name, Type string
	Identity   bool
}

func (f *copying) columns(table string) ([]column, error) {
	rows, err := f.tx.Query(f.ctx, `SELECT a.attname::text, t.typname::text, a.attidentity <> '' FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
		WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attname COLLATE "C"`, table)
	if err != nil {
		return nil, fmt.Errorf("postgresql: read the schema: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[column])
}

// table copies one table and compares it.
func (f *copying) table(table string) (store.Copied, error) {
	columns, err := f.columns(table)
	if err != nil {
		return store.Copied{}, err
	}
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	theirs, err := f.source.Columns(f.ctx, table)
	if err != nil {
		return store.Copied{}, err
	}
	if !slices.Equal(theirs, names) {
		return store.Copied{}, fmt.Errorf("postgresql: %s of the source has the columns %v, and here %v", table, theirs, names)
	}
	if table == "uses" {
		return f.uses()
	}
	// Rows go through a channel: one side reads them and the other writes.
	var before backend.Digest
	rows, failed := make(chan []any, 256), make(chan error, 1)
	ctx, stop := context.WithCancel(f.ctx)
	defer stop()
	go func() {
		defer close(rows)
		failed <- f.source.Rows(ctx, table, names, func(raw []any) error {
			values, texts := make([]any, len(raw)), make([]*string, len(raw))
			for i, value := range raw {
				var err error
				if values[i], texts[i], err = convert(columns[i].Type, value); err != nil {
					return fmt.Errorf("%s.%s: %w", table, columns[i].Name, err)
				}
			}
			before.Add(texts)
			select {
			case rows <- values:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	_, err = f.tx.CopyFrom(f.ctx, pgx.Identifier{table}, names, pgx.CopyFromFunc(func() ([]any, error) { return <-rows, nil }))
	stop()
	for range rows { // until the reader has ended
	}
	if sourceErr := <-failed; sourceErr != nil && !errors.Is(sourceErr, context.Canceled) {
		err = errors.Join(sourceErr, err)
	}
	if err != nil {
		return store.Copied{}, fmt.Errorf("postgresql: copy %s: %w", table, err)
	}
	if err := f.numberOn(table, columns); err != nil {
		return store.Copied{}, err
	}
	after, err := f.digest(table, columns)
	if err != nil {
		return store.Copied{}, err
	}
	return compared(table, &before, after)
}

// compared refuses a copy that is not like its source.
func compared(table string, before, after *backend.Digest) (store.Copied, error) {
	if before.Rows != after.Rows || before.String() != after.String() {
		return store.Copied{}, fmt.Errorf("postgresql: %s is not what it was copied from: %d records became %d, digest %s became %s",
			table, before.Rows, after.Rows, before, after)
	}
	return store.Copied{Table: table, Rows: after.Rows, Digest: after.String()}, nil
}

// numberOn sets the sequences of identity columns past the copied values.
func (f *copying) numberOn(table string, columns []column) error {
	for _, c := range columns {
		if !c.Identity {
			continue
		}
		_, err := f.tx.Exec(f.ctx, fmt.Sprintf(`SELECT setval(pg_get_serial_sequence('%[1]s', '%[2]s'), max(%[2]s)) FROM %[1]s HAVING max(%[2]s) IS NOT NULL`, table, c.Name))
		if err != nil {
			return fmt.Errorf("postgresql: number %s on: %w", table, err)
		}
	}
	return nil
}

// digest reads a table again.
func (f *copying) digest(table string, columns []column) (*backend.Digest, error) {
	selected := make([]string, len(columns))
	for i, c := range columns {
		name := pgx.Identifier{c.Name}.Sanitize()
		switch c.Type {
		case "bytea":
			selected[i] = `encode(` + name + `, 'hex')`
		case "timestamptz":
			selected[i] = `(extract(epoch FROM ` + name + `) * 1000000)::bigint::text`
		case "_text":
			selected[i] = `array_to_json(` + name + `)::text`
		default:
			selected[i] = name + `::text`
		}
	}
	rows, err := f.tx.Query(f.ctx, `SELECT `+strings.Join(selected, ", ")+` FROM `+pgx.Identifier{table}.Sanitize())
	if err != nil {
		return nil, fmt.Errorf("postgresql: read %s again: %w", table, err)
	}
	defer rows.Close()
	var d backend.Digest
	texts, fields := make([]*string, len(columns)), make([]any, len(columns))
	for i := range texts {
		fields[i] = &texts[i]
	}
	for rows.Next() {
		if err := rows.Scan(fields...); err != nil {
			return nil, fmt.Errorf("postgresql: read %s again: %w", table, err)
		}
		for i, c := range columns {
			if c.Type == "_text" && texts[i] != nil {
				if texts[i], err = sameList(*texts[i]); err != nil {
					return nil, err
				}
			}
		}
		d.Add(texts)
	}
	return &d, rows.Err()
}

// sameList writes a list of texts in one form.
func sameList(encoded string) (*string, error) {
	var values []string
	if err := json.Unmarshal([]byte(encoded), &values); err != nil {
		return nil, fmt.Errorf("a list: %w", err)
	}
	again, err := json.Marshal(values)
	text := string(again)
	return &text, err
}

// convert turns a value of SQLite into one of a PostgreSQL type, and returns its text for the digest.
func convert(kind string, raw any) (value any, text *string, err error) {
	say := func(s string) *string { return &s }
	if raw == nil {
		return nil, nil, nil
	}
	switch v := raw.(type) {
	case int64:
		switch kind {
		case "timestamptz":
			return time.UnixMicro(v).UTC(), say(strconv.FormatInt(v, 10)), nil
		case "bool":
			return v != 0, say(strconv.FormatBool(v != 0)), nil
		case "int2", "int4", "int8":
			return v, say(strconv.FormatInt(v, 10)), nil
		}
	case []byte:
		if kind == "bytea" {
			return slices.Clone(v), say(hex.EncodeToString(v)), nil
		}
	case string:
		switch kind {
		case "text":
			return v, say(v), nil
		case "json":
			return []byte(v), say(v), nil
		case "_text":
			text, err := sameList(v)
			if err != nil {
				return nil, nil, err
			}
			values := []string{}
			return values, text, errors.Join(json.Unmarshal([]byte(v), &values), nil)
		}
	}
	return nil, nil, fmt.Errorf("a %T cannot be a %s", raw, kind)
}

// usesAtOnce is how many values one statement consumes.
const usesAtOnce = 1000

// uses consumes the values of the source that are still remembered, as any node would: this database stores them in
// rows of its own.
func (f *copying) uses() (store.Copied, error) {
	var before, after backend.Digest
	var batch []store.OneTime
	now := f.target.Now()
	consume := func() error {
		if len(batch) == 0 {
			return nil
		}
		f.consumed = true
		err := f.target.ConsumeOneTime(f.ctx, batch...)
		batch = batch[:0]
		return err
	}
	err := f.source.Rows(f.ctx, "uses", []string{"kind", "key", "until"}, func(row []any) error {
		kind, isText := row[0].(string)
		key, isDigest := row[1].([]byte)
		until, isTime := row[2].(int64)
		if !isText || !isDigest || len(key) != len(store.Digest{}) || !isTime {
			return errors.New("postgresql: a value that was used is not stored as it should be")
		}
		oneTime := store.OneTime{Kind: kind, Key: store.Digest(key), Until: time.UnixMicro(until).UTC()}
		if !oneTime.Until.After(now) {
			return nil // the artefact that carries it has expired
		}
		before.Add(usedTexts(kind, key))
		if batch = append(batch, oneTime); len(batch) == usesAtOnce {
			return consume()
		}
		return nil
	})
	if err != nil {
		return store.Copied{}, fmt.Errorf("postgresql: copy uses: %w", err)
	}
	if err := consume(); err != nil {
		return store.Copied{}, fmt.Errorf("postgresql: copy uses: %w", err)
	}
	rows, err := f.tx.Query(f.ctx, `SELECT DISTINCT kind, key FROM uses`)
	if err != nil {
		return store.Copied{}, fmt.Errorf("postgresql: read uses again: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var kind string
		var key []byte
		if err := rows.Scan(&kind, &key); err != nil {
			return store.Copied{}, fmt.Errorf("postgresql: read uses again: %w", err)
		}
		after.Add(usedTexts(kind, key))
	}
	if err := rows.Err(); err != nil {
		return store.Copied{}, fmt.Errorf("postgresql: read uses again: %w", err)
	}
	return compared("uses", &before, &after)
}

func usedTexts(kind string, key []byte) []*string {
	encoded := hex.EncodeToString(key)
	return []*string{&kind, &encoded}
}
