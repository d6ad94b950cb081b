// Package auditlog keeps evidence and the audit log in tables of PostgreSQL.
package auditlog

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store"
	"countersign/store/postgres/internal/named"
	"countersign/store/postgres/internal/pool"
)

// Log has the verbs of the audit log; see [store.Audit].
type Log struct {
	Statements *named.Statements
	// Run and Read do the work of a verb that writes, and of one that changes nothing.
	Run, Read func(ctx context.Context, verb string, work pool.Work) error
}

// Record stores evidence on its own.
func (l Log) Record(ctx context.Context, evidence ...store.Evidence) error {
	arguments := l.Statements.Arguments(pgx.StrictNamedArgs{}).Evidence(evidence)
	return l.Run(ctx, "Record", func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, named.InsertEvidence, arguments)
		return err
	})
}

// WaitingEvidence lists evidence that waits for a chain.
func (l Log) WaitingEvidence(ctx context.Context, chain string, orphaned time.Time, limit int) (waiting []store.Evidence, err error) {
	err = l.Read(ctx, "WaitingEvidence", func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, `SELECT id, chain, at, body FROM audit_waiting WHERE chain = $1 OR chain = '' OR at < $2 ORDER BY id LIMIT $3`,
			chain, orphaned, limit)
		if err != nil {
			return err
		}
		waiting, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Evidence, error) {
			var e store.Evidence
			var body string
			err := row.Scan(&e.ID, &e.Chain, &e.At, &body)
			e.At, e.Body = e.At.UTC(), []byte(body)
			return e, err
		})
		return err
	})
	return waiting, err
}

// AppendAudit appends lines to their chain and removes their evidence from what is pending.
func (l Log) AppendAudit(ctx context.Context, lines []store.AuditLine, taken ...int64) error {
	if len(lines) == 0 {
		return errors.New("postgresql: AppendAudit: no lines")
	}
	sequences, texts, personal := make([]int64, len(lines)), make([]string, len(lines)), make([]string, len(lines))
	for i, line := range lines {
		sequences[i], texts[i], personal[i] = int64(line.Sequence), line.Text, line.Personal
	}
	appending := l.Statements.Arguments(pgx.StrictNamedArgs{"chain": lines[0].Chain, "sequences": sequences, "lines": texts, "personal": personal, "first": sequences[0]})
	return l.Run(ctx, "AppendAudit", func(ctx context.Context, c *pgx.Conn) error {
		return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
			removed, err := tx.Exec(ctx, `DELETE FROM audit_waiting WHERE id = ANY ($1)`, taken)
			if err != nil {
				return err
			}
			if int(removed.RowsAffected()) != len(taken) {
				return store.ErrConflict
			}
			// A line that another transaction wrote in the meantime is found by the primary key.
			appended, err := tx.Exec(ctx, `INSERT INTO audit_log (chain, sequence, line, personal)
				SELECT @chain, l.sequence, l.line, nullif(l.personal, '')
				FROM unnest(@sequences::bigint[], @lines::text[], @personal::text[]) AS l (sequence, line, personal)
				WHERE coalesce((SELECT max(sequence) FROM audit_log WHERE chain = @chain), 0) = @first::bigint - 1`, appending)
			if err != nil {
				return err
			}
			if int(appended.RowsAffected()) != len(lines) {
				return store.ErrConflict
			}
			return nil
		})
	})
}

// AuditHeads returns the last line of each chain.
func (l Log) AuditHeads(ctx context.Context) ([]store.AuditLine, error) {
	// From one chain to the next by the index: the log may be long, and the chains are few.
	return l.lines(ctx, "AuditHeads", `WITH RECURSIVE chains (name) AS (
			SELECT min(chain) FROM audit_log
			UNION ALL SELECT (SELECT min(chain) FROM audit_log WHERE chain > name) FROM chains WHERE name IS NOT NULL
		)
		SELECT chain, sequence, line, coalesce(personal, '') FROM chains JOIN audit_log ON chain = name
			AND sequence = (SELECT max(sequence) FROM audit_log WHERE chain = name)
		ORDER BY chain`)
}

// AuditLines lists lines of a chain.
func (l Log) AuditLines(ctx context.Context, chain string, after uint64, limit int) ([]store.AuditLine, error) {
	return l.lines(ctx, "AuditLines", `SELECT chain, sequence, line, coalesce(personal, '') FROM audit_log WHERE chain = $1 AND sequence > $2 ORDER BY sequence LIMIT $3`,
		chain, int64(after), limit)
}

func (l Log) lines(ctx context.Context, verb, query string, arguments ...any) (lines []store.AuditLine, err error) {
	err = l.Read(ctx, verb, func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, query, arguments...)
		if err != nil {
			return err
		}
		lines, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (line store.AuditLine, err error) {
			return line, row.Scan(&line.Chain, &line.Sequence, &line.Text, &line.Personal)
		})
		return err
	})
	return lines, err
}

// DropAudit removes the first lines of a chain.
func (l Log) DropAudit(ctx context.Context, chain string, before uint64, evidence ...store.Evidence) (dropped int, err error) {
	arguments := l.Statements.Arguments(pgx.StrictNamedArgs{"chain": chain, "before": int64(before)}).Evidence(evidence)
	err = l.Run(ctx, "DropAudit", func(ctx context.Context, c *pgx.Conn) error {
		return c.QueryRow(ctx, `WITH dropped AS (
				DELETE FROM audit_log WHERE chain = @chain AND sequence < @before
				AND sequence < (SELECT max(sequence) FROM audit_log WHERE chain = @chain) RETURNING sequence
			), evidence AS (`+named.InsertEvidence+`)
			SELECT count(*) FROM dropped`, arguments).Scan(&dropped)
	})
	return dropped, err
}

// EraseAudit removes what lines of a chain have about a person.
func (l Log) EraseAudit(ctx context.Context, chain string, sequences []uint64, evidence ...store.Evidence) (erased int, err error) {
	numbers := make([]int64, len(sequences))
	for i, sequence := range sequences {
		numbers[i] = int64(sequence)
	}
	arguments := l.Statements.Arguments(pgx.StrictNamedArgs{"chain": chain, "sequences": numbers}).Evidence(evidence)
	err = l.Run(ctx, "EraseAudit", func(ctx context.Context, c *pgx.Conn) error {
		return c.QueryRow(ctx, `WITH erased AS (
				UPDATE audit_log SET personal = NULL WHERE chain = @chain AND sequence = ANY (@sequences::bigint[]) AND personal IS NOT NULL
				RETURNING sequence
			), evidence AS (`+named.InsertEvidence+`)
			SELECT count(*) FROM erased`, arguments).Scan(&erased)
	})
	return erased, err
}
