package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store"
)

// Record stores evidence on its own.
func (s *Store) Record(ctx context.Context, evidence ...store.Evidence) error {
	arguments := s.named(pgx.StrictNamedArgs{}).evidence(evidence)
	return s.run(ctx, "Record", func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, insertEvidence, arguments)
		return err
	})
}

// WaitingEvidence lists evidence that waits for a chain.
func (s *Store) WaitingEvidence(ctx context.Context, chain string, orphaned time.Time, limit int) (waiting []store.Evidence, err error) {
	err = s.read(ctx, "WaitingEvidence", func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, `SELECT id, chain, at, body FROM audit_waiting WHERE chain = $1 OR chain = '' OR at < $2 ORDER BY id LIMIT $3`,
			chain, orphaned, limit)
		if err != nil {
			return err
		}
		waiting, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Evidence, error) {
			var e store.Evidence
			var body string
			err := row.Scan(&e.ID, &e.Chain, timeField{&e.At}, &body)
			e.Body = []byte(body)
			return e, err
		})
		return err
	})
	return waiting, err
}

// AppendAudit appends lines to their chain and removes their evidence from what is pending.
func (s *Store) AppendAudit(ctx context.Context, lines []store.AuditLine, taken ...int64) error {
	if len(lines) == 0 {
		return errors.New("postgresql: AppendAudit: no lines")
	}
	sequences, texts, personal := make([]int64, len(lines)), make([]string, len(lines)), make([]string, len(lines))
	for i, line := range lines {
		sequences[i], texts[i], personal[i] = int64(line.Sequence), line.Text, line.Personal
	}
	appending := s.named(pgx.StrictNamedArgs{"chain": lines[0].Chain, "sequences": sequences, "lines": texts, "personal": personal, "first": sequences[0]})
	return s.run(ctx, "AppendAudit", func(ctx context.Context, c *pgx.Conn) error {
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
func (s *Store) AuditHeads(ctx context.Context) ([]store.AuditLine, error) {
	// From one chain to the next by the index: the log may be long, and the chains are few.
	return s.auditLines(ctx, "AuditHeads", `WITH RECURSIVE chains (name) AS (
			SELECT min(chain) FROM audit_log
			UNION ALL SELECT (SELECT min(chain) FROM audit_log WHERE chain > name) FROM chains WHERE name IS NOT NULL
		)
		SELECT chain, sequence, line, coalesce(personal, '') FROM chains JOIN audit_log ON chain = name
			AND sequence = (SELECT max(sequence) FROM audit_log WHERE chain = name)
		ORDER BY chain`)
}

// AuditLines lists lines of a chain.
func (s *Store) AuditLines(ctx context.Context, chain string, after uint64, limit int) ([]store.AuditLine, error) {
	return s.auditLines(ctx, "AuditLines", `SELECT chain, sequence, line, coalesce(personal, '') FROM audit_log WHERE chain = $1 AND sequence > $2 ORDER BY sequence LIMIT $3`,
		chain, int64(after), limit)
}

func (s *Store) auditLines(ctx context.Context, verb, query string, arguments ...any) (lines []store.AuditLine, err error) {
	err = s.read(ctx, verb, func(ctx context.Context, c *pgx.Conn) error {
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
func (s *Store) DropAudit(ctx context.Context, chain string, before uint64, evidence ...store.Evidence) (dropped int, err error) {
	arguments := s.named(pgx.StrictNamedArgs{"chain": chain, "before": int64(before)}).evidence(evidence)
	err = s.run(ctx, "DropAudit", func(ctx context.Context, c *pgx.Conn) error {
		_, err := one(ctx, c, `WITH dropped AS (
				DELETE FROM audit_log WHERE chain = @chain AND sequence < @before
				AND sequence < (SELECT max(sequence) FROM audit_log WHERE chain = @chain) RETURNING sequence
			), evidence AS (`+insertEvidence+`)
			SELECT count(*) FROM dropped`, []any{arguments}, &dropped)
		return err
	})
	return dropped, err
}

// EraseAudit removes what lines of a chain have about a person.
func (s *Store) EraseAudit(ctx context.Context, chain string, sequences []uint64, evidence ...store.Evidence) (erased int, err error) {
	numbers := make([]int64, len(sequences))
	for i, sequence := range sequences {
		numbers[i] = int64(sequence)
	}
	arguments := s.named(pgx.StrictNamedArgs{"chain": chain, "sequences": numbers}).evidence(evidence)
	err = s.run(ctx, "EraseAudit", func(ctx context.Context, c *pgx.Conn) error {
		_, err := one(ctx, c, `WITH erased AS (
				UPDATE audit_log SET personal = NULL WHERE chain = @chain AND sequence = ANY (@sequences::bigint[]) AND personal IS NOT NULL
				RETURNING sequence
			), evidence AS (`+insertEvidence+`)
			SELECT count(*) FROM erased`, []any{arguments}, &erased)
		return err
	})
	return erased, err
}
