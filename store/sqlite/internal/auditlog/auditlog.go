// Package auditlog has the verbs of the audit log's chains in SQLite.
package auditlog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"countersign/store"
	"countersign/store/sqlite/internal/connection"
)

// Log has the verbs of [store.Audit] that work on chains.
type Log struct {
	// Read and Write do the work of a verb that changes nothing, and of one that does.
	Read  func(ctx context.Context, verb string, work func(*connection.Conn) error) error
	Write func(ctx context.Context, verb string, statements connection.Statements, work func(*connection.Conn) error) error
	// Pending has evidence wait for its chain.
	Pending func(c *connection.Conn, evidence []store.Evidence) error
}

// AppendAudit appends lines to their chain and removes their evidence from what is pending.
func (l Log) AppendAudit(ctx context.Context, lines []store.AuditLine, taken ...int64) error {
	if len(lines) == 0 {
		return errors.New("sqlite: AppendAudit: no lines")
	}
	return l.Write(ctx, "AppendAudit", connection.Several, func(c *connection.Conn) error {
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

// AuditLines lists lines of a chain.
func (l Log) AuditLines(ctx context.Context, chain string, after uint64, limit int) (lines []store.AuditLine, err error) {
	err = l.Read(ctx, "AuditLines", func(c *connection.Conn) error {
		return c.EachOf(`SELECT chain, sequence, line, coalesce(personal, '') FROM audit_log WHERE chain = ? AND sequence > ? ORDER BY sequence LIMIT ?`,
			[]any{chain, after, limit}, func(rows *sql.Rows) error {
				var line store.AuditLine
				err := rows.Scan(&line.Chain, &line.Sequence, &line.Text, &line.Personal)
				lines = append(lines, line)
				return err
			})
	})
	return lines, err
}

// DropAudit removes the first lines of a chain.
func (l Log) DropAudit(ctx context.Context, chain string, before uint64, evidence ...store.Evidence) (dropped int, err error) {
	err = l.Write(ctx, "DropAudit", connection.Several, func(c *connection.Conn) error {
		removed, err := c.Exec(`DELETE FROM audit_log WHERE chain = ?1 AND sequence < ?2
			AND sequence < (SELECT max(sequence) FROM audit_log WHERE chain = ?1)`, chain, before)
		if err != nil {
			return err
		}
		dropped = int(removed)
		return l.Pending(c, evidence)
	})
	return dropped, err
}

// EraseAudit removes what lines of a chain have about a person.
func (l Log) EraseAudit(ctx context.Context, chain string, sequences []uint64, evidence ...store.Evidence) (erased int, err error) {
	err = l.Write(ctx, "EraseAudit", connection.Several, func(c *connection.Conn) error {
		erased = 0
		for _, sequence := range sequences {
			changed, err := c.Exec(`UPDATE audit_log SET personal = NULL WHERE chain = ? AND sequence = ? AND personal IS NOT NULL`, chain, sequence)
			if err != nil {
				return err
			}
			erased += int(changed)
		}
		return l.Pending(c, evidence)
	})
	return erased, err
}
