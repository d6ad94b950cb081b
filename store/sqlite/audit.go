package sqlite

import (
	"context"
	"database/sql"
	"time"

	"countersign/store"
	"countersign/store/sqlite/internal/connection"
)

// insertEvidence has evidence wait for its chain.
func insertEvidence(c *connection.Conn, evidence []store.Evidence) error {
	for _, e := range evidence {
		if _, err := c.Exec(`INSERT INTO audit_waiting (chain, at, body) VALUES (?, ?, ?)`, e.Chain, micros(e.At), text(e.Body)); err != nil {
			return err
		}
	}
	return nil
}

// Record stores evidence on its own.
func (s *Store) Record(ctx context.Context, evidence ...store.Evidence) error {
	return s.write(ctx, "Record", connection.Several, func(c *connection.Conn) error { return insertEvidence(c, evidence) })
}

// WaitingEvidence lists evidence that waits for a chain.
func (s *Store) WaitingEvidence(ctx context.Context, chain string, orphaned time.Time, limit int) (waiting []store.Evidence, err error) {
	err = s.read(ctx, "WaitingEvidence", func(c *connection.Conn) error {
		return c.EachOf(`SELECT id, chain, at, body FROM audit_waiting WHERE chain = ?1 OR chain = '' OR at < ?2 ORDER BY id LIMIT ?3`,
			[]any{chain, micros(orphaned), limit}, func(rows *sql.Rows) error {
				var e store.Evidence
				err := rows.Scan(&e.ID, &e.Chain, timeField{&e.At}, textField(&e.Body))
				waiting = append(waiting, e)
				return err
			})
	})
	return waiting, err
}

// AuditHeads returns the last line of each chain.
func (s *Store) AuditHeads(ctx context.Context) ([]store.AuditLine, error) {
	// From one chain to the next by the index: the log may be long, and the chains are few.
	return readAll(ctx, s, "AuditHeads", `WITH RECURSIVE chains (name) AS (
			SELECT min(chain) FROM audit_log
			UNION ALL SELECT (SELECT min(chain) FROM audit_log WHERE chain > name) FROM chains WHERE name IS NOT NULL
		)
		SELECT chain, sequence, line, coalesce(personal, '') FROM chains JOIN audit_log ON chain = name
			AND sequence = (SELECT max(sequence) FROM audit_log WHERE chain = name)
		ORDER BY chain`, auditFields)
}

func auditFields(l *store.AuditLine) []any { return []any{&l.Chain, &l.Sequence, &l.Text, &l.Personal} }
