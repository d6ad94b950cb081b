package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
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

// AppendAudit appends lines to their chain and removes their evidence from what is pending.
func (s *Store) AppendAudit(ctx context.Context, lines []store.AuditLine, taken ...int64) error {
	if len(lines) == 0 {
		return errors.New("sqlite: AppendAudit: no lines")
	}
	return s.write(ctx, "AppendAudit", connection.Several, func(c *connection.Conn) error {
		last := uint64(0)
		if _, err := c.One(`SELECT coalesce(max(sequence), 0) FROM audit_log WHERE chain = ?`, []any{lines[0].Chain}, &last); err != nil {
			return err
		}
		for _, line := range lines {
			if line.Sequence != last+1 {
				return store.ErrConflict
			}
			last++
			if _, err := c.Exec(`INSERT INTO audit_log (chain, sequence, line, personal) VALUES (?, ?, ?, nullif(?, ''))`,
				lines[0].Chain, line.Sequence, line.Text, line.Personal); err != nil {
				return err
			}
		}
		return takeEvidence(c, taken)
	})
}

// takeEvidence removes evidence from what is pending; all of it must be there.
func takeEvidence(c *connection.Conn, taken []int64) error {
	ids, err := json.Marshal(taken)
	if err != nil || len(taken) == 0 {
		return err
	}
	removed, err := c.Exec(`DELETE FROM audit_waiting WHERE id IN (SELECT value FROM json_each(?))`, string(ids))
	if err != nil {
		return err
	}
	if int(removed) != len(taken) {
		return store.ErrConflict
	}
	return nil
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

// AuditLines lists lines of a chain.
func (s *Store) AuditLines(ctx context.Context, chain string, after uint64, limit int) (lines []store.AuditLine, err error) {
	err = s.read(ctx, "AuditLines", func(c *connection.Conn) error {
		return c.EachOf(`SELECT chain, sequence, line, coalesce(personal, '') FROM audit_log WHERE chain = ? AND sequence > ? ORDER BY sequence LIMIT ?`,
			[]any{chain, after, limit}, func(rows *sql.Rows) error {
				var line store.AuditLine
				err := rows.Scan(auditFields(&line)...)
				lines = append(lines, line)
				return err
			})
	})
	return lines, err
}

// DropAudit removes the first lines of a chain.
func (s *Store) DropAudit(ctx context.Context, chain string, before uint64, evidence ...store.Evidence) (dropped int, err error) {
	err = s.write(ctx, "DropAudit", connection.Several, func(c *connection.Conn) error {
		removed, err := c.Exec(`DELETE FROM audit_log WHERE chain = ?1 AND sequence < ?2
			AND sequence < (SELECT max(sequence) FROM audit_log WHERE chain = ?1)`, chain, before)
		if err != nil {
			return err
		}
		dropped = int(removed)
		return insertEvidence(c, evidence)
	})
	return dropped, err
}

// EraseAudit removes what lines of a chain have about a person.
func (s *Store) EraseAudit(ctx context.Context, chain string, sequences []uint64, evidence ...store.Evidence) (erased int, err error) {
	err = s.write(ctx, "EraseAudit", connection.Several, func(c *connection.Conn) error {
		erased = 0
		for _, sequence := range sequences {
			changed, err := c.Exec(`UPDATE audit_log SET personal = NULL WHERE chain = ? AND sequence = ? AND personal IS NOT NULL`, chain, sequence)
			if err != nil {
				return err
			}
			erased += int(changed)
		}
		return insertEvidence(c, evidence)
	})
	return erased, err
}
