// Package approvals keeps what needs four eyes in a table of PostgreSQL.
package approvals

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store"
	"countersign/store/internal/backend"
	"countersign/store/postgres/internal/named"
	"countersign/store/postgres/internal/pool"
)

const columns = `id, action, target, request, digest, requested_by, requested_certificate, requested_at, expires_at, state,
	decided_by, decided_certificate, decided_at, consumed_by, consumed_at, ended_at, failure`

// Approvals has the verbs of approvals; see [store.Approvals].
type Approvals struct {
	Statements *named.Statements
	// Run and Read do the work of a verb that writes, and of one that changes nothing.
	Run, Read func(ctx context.Context, verb string, work pool.Work) error
	// Moment is the database's time with the precision that is stored.
	Moment func() time.Time
}

// scan reads a row of the columns.
func scan(row pgx.CollectableRow) (a store.Approval, err error) {
	var digest, requested, decided []byte
	var decidedAt, consumedAt, endedAt *time.Time
	err = row.Scan(&a.ID, &a.Action, &a.Target, (*[]byte)(&a.Request), &digest, &a.RequestedBy.Name, &requested, &a.RequestedAt, &a.ExpiresAt, &a.State,
		&a.DecidedBy.Name, &decided, &decidedAt, &a.ConsumedBy, &consumedAt, &endedAt, &a.Failure)
	copy(a.Digest[:], digest)
	copy(a.RequestedBy.Certificate[:], requested)
	copy(a.DecidedBy.Certificate[:], decided)
	a.RequestedAt, a.ExpiresAt = a.RequestedAt.UTC(), a.ExpiresAt.UTC()
	if decidedAt != nil {
		a.DecidedAt = decidedAt.UTC()
	}
	if consumedAt != nil {
		a.ConsumedAt = consumedAt.UTC()
	}
	if endedAt != nil {
		a.EndedAt = endedAt.UTC()
	}
	return a, err
}

// OpenApproval stores an approval that is asked for.
func (v Approvals) OpenApproval(ctx context.Context, a store.Approval, evidence ...store.Evidence) error {
	arguments := v.Statements.Arguments(pgx.StrictNamedArgs{
		"id": a.ID, "action": a.Action, "target": a.Target, "request": []byte(a.Request), "digest": a.Digest[:],
		"by": a.RequestedBy.Name, "certificate": a.RequestedBy.Certificate[:], "at": a.RequestedAt, "expires_at": a.ExpiresAt,
	}).Evidence(evidence)
	return v.Run(ctx, "OpenApproval", func(ctx context.Context, c *pgx.Conn) error {
		var changed bool
		err := c.QueryRow(ctx, named.Noted(`INSERT INTO approvals (id, action, target, request, digest, requested_by, requested_certificate, requested_at, expires_at, state)
			VALUES (@id::text, @action::text, @target::text, @request::json, @digest::bytea, @by::text, @certificate::bytea, @at::timestamptz,
			@expires_at::timestamptz, 'open') ON CONFLICT DO NOTHING RETURNING id`), arguments).Scan(&changed)
		if err == nil && !changed {
			return store.ErrConflict
		}
		return err
	})
}

// Approval reads an approval.
func (v Approvals) Approval(ctx context.Context, id string) (a store.Approval, err error) {
	err = v.Read(ctx, "Approval", func(ctx context.Context, c *pgx.Conn) error {
		a, err = read(ctx, c, id)
		return err
	})
	return a, err
}

func read(ctx context.Context, c *pgx.Conn, id string) (store.Approval, error) {
	rows, err := c.Query(ctx, `SELECT `+columns+` FROM approvals WHERE id = $1`, id)
	if err != nil {
		return store.Approval{}, err
	}
	found, err := pgx.CollectExactlyOneRow(rows, scan)
	if errors.Is(err, pgx.ErrNoRows) {
		return store.Approval{}, store.ErrNotFound
	}
	return found, err
}

// ListApprovals lists approvals.
func (v Approvals) ListApprovals(ctx context.Context, page store.Page) (all []store.Approval, err error) {
	var from *time.Time
	if !page.At.IsZero() {
		from = &page.At
	}
	err = v.Read(ctx, "ListApprovals", func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, `SELECT `+columns+` FROM approvals WHERE $1::timestamptz IS NULL OR (requested_at, id) < ($1::timestamptz, $2::text)
			ORDER BY requested_at DESC, id DESC LIMIT $3`, from, page.Key, page.Limit)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, scan)
		return err
	})
	return all, err
}

// DecideApproval approves or refuses an approval.
func (v Approvals) DecideApproval(ctx context.Context, d store.ApprovalDecision, evidence ...store.Evidence) (a store.Approval, err error) {
	now, state := v.Moment(), store.ApprovalRefused
	if d.Approve {
		state = store.ApprovalGiven
	}
	arguments := v.Statements.Arguments(pgx.StrictNamedArgs{
		"id": d.ID, "state": string(state), "by": d.By.Name, "certificate": d.By.Certificate[:], "now": now, "expires_at": d.ExpiresAt, "approve": d.Approve,
	}).Evidence(evidence)
	err = v.guarded(ctx, "DecideApproval", d.ID, &a, func(a store.Approval) error { return backend.MayDecide(a, d, now) },
		`UPDATE approvals SET state = @state::text, decided_by = @by::text, decided_certificate = @certificate::bytea, decided_at = @now::timestamptz,
			expires_at = CASE WHEN @approve::boolean THEN @expires_at::timestamptz ELSE expires_at END
			WHERE id = @id::text AND state = 'open' AND expires_at > @now::timestamptz RETURNING id`, arguments)
	return a, err
}

// ConsumeApproval consumes an approval.
func (v Approvals) ConsumeApproval(ctx context.Context, id string, digest store.Digest, by string, evidence ...store.Evidence) (a store.Approval, err error) {
	now := v.Moment()
	arguments := v.Statements.Arguments(pgx.StrictNamedArgs{"id": id, "digest": digest[:], "by": by, "now": now}).Evidence(evidence)
	err = v.guarded(ctx, "ConsumeApproval", id, &a, func(a store.Approval) error { return backend.MayConsume(a, digest, now) },
		`UPDATE approvals SET state = 'consumed', consumed_by = @by::text, consumed_at = @now::timestamptz, ended_at = NULL, failure = ''
			WHERE id = @id::text AND digest = @digest::bytea AND state = 'approved' AND expires_at > @now::timestamptz RETURNING id`, arguments)
	return a, err
}

// EndApproval stores how the execution of an approval ended.
func (v Approvals) EndApproval(ctx context.Context, end store.ApprovalEnd, evidence ...store.Evidence) error {
	state := store.ApprovalConsumed
	if end.Failure != "" {
		state = store.ApprovalGiven
	}
	arguments := v.Statements.Arguments(pgx.StrictNamedArgs{
		"id": end.ID, "state": string(state), "at": end.ConsumedAt, "failure": end.Failure, "now": v.Moment(),
	}).Evidence(evidence)
	return v.guarded(ctx, "EndApproval", end.ID, new(store.Approval), func(a store.Approval) error { return backend.MayEnd(a, end) },
		`UPDATE approvals SET state = @state::text, ended_at = @now::timestamptz, failure = @failure::text
			WHERE id = @id::text AND state = 'consumed' AND consumed_at = @at::timestamptz AND ended_at IS NULL RETURNING id`, arguments)
}

// guarded changes an approval that may be changed, by a statement that has as a condition what may have changed since it was read, and
// reads it again.
func (v Approvals) guarded(ctx context.Context, verb, id string, a *store.Approval, may func(store.Approval) error, statement string, arguments named.Arguments) error {
	return v.Run(ctx, verb, func(ctx context.Context, c *pgx.Conn) error {
		before, err := read(ctx, c, id)
		if err != nil {
			return err
		}
		if err := may(before); err != nil {
			return err
		}
		var changed bool
		if err := c.QueryRow(ctx, named.Noted(statement), arguments).Scan(&changed); err != nil {
			return err
		}
		if *a, err = read(ctx, c, id); err != nil || changed {
			return err
		}
		if err := may(*a); err != nil { // another caller was first
			return err
		}
		return store.ErrConflict
	})
}
