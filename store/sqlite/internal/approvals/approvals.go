// Package approvals keeps what needs four eyes in a table of SQLite.
package approvals

import (
	"context"
	"database/sql"
	"math"
	"time"

	"countersign/store"
	"countersign/store/internal/backend"
	"countersign/store/sqlite/internal/connection"
)

const columns = `id, action, target, request, digest, requested_by, requested_certificate, requested_at, expires_at, state,
	decided_by, decided_certificate, decided_at, consumed_by, consumed_at, ended_at, failure`

// Approvals has the verbs of approvals; see [store.Approvals].
type Approvals struct {
	// Read and Write do the work of a verb that changes nothing, and of one that does.
	Read  func(ctx context.Context, verb string, work func(*connection.Conn) error) error
	Write func(ctx context.Context, verb string, statements connection.Statements, work func(*connection.Conn) error) error
	// Record stores evidence.
	Record func(c *connection.Conn, evidence []store.Evidence) error
	// Moment is the time.
	Moment func() time.Time
}

// OpenApproval stores an approval that is asked for.
func (v Approvals) OpenApproval(ctx context.Context, a store.Approval, evidence ...store.Evidence) error {
	return v.Write(ctx, "OpenApproval", connection.Several, func(c *connection.Conn) error {
		added, err := c.Exec(`INSERT INTO approvals (id, action, target, request, digest, requested_by, requested_certificate, requested_at, expires_at, state)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'open') ON CONFLICT DO NOTHING`, a.ID, a.Action, a.Target, string(a.Request), a.Digest[:],
			a.RequestedBy.Name, a.RequestedBy.Certificate[:], a.RequestedAt.UnixMicro(), a.ExpiresAt.UnixMicro())
		if err != nil {
			return err
		}
		if added == 0 {
			return store.ErrConflict
		}
		return v.Record(c, evidence)
	})
}

// Approval reads an approval.
func (v Approvals) Approval(ctx context.Context, id string) (a store.Approval, err error) {
	err = v.Read(ctx, "Approval", func(c *connection.Conn) error {
		a, err = read(c, id)
		return err
	})
	return a, err
}

func read(c *connection.Conn, id string) (a store.Approval, err error) {
	found, err := list(c, `SELECT `+columns+` FROM approvals WHERE id = ?`, id)
	if err == nil && len(found) == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Approval{}, err
	}
	return found[0], nil
}

// ListApprovals lists approvals.
func (v Approvals) ListApprovals(ctx context.Context, page store.Page) (all []store.Approval, err error) {
	err = v.Read(ctx, "ListApprovals", func(c *connection.Conn) error {
		from := int64(math.MaxInt64)
		if !page.At.IsZero() {
			from = page.At.UnixMicro()
		}
		all, err = list(c, `SELECT `+columns+` FROM approvals WHERE (requested_at, id) < (?, ?) ORDER BY requested_at DESC, id DESC LIMIT ?`,
			from, page.Key, page.Limit)
		return err
	})
	return all, err
}

// list reads the rows of a query for the columns.
func list(c *connection.Conn, query string, arguments ...any) (all []store.Approval, err error) {
	err = c.EachOf(query, arguments, func(rows *sql.Rows) error {
		var a store.Approval
		var digest, requestedBy, decidedBy []byte
		var requested, expires int64
		var decided, consumed, ended sql.NullInt64
		err := rows.Scan(&a.ID, &a.Action, &a.Target, (*[]byte)(&a.Request), &digest, &a.RequestedBy.Name, &requestedBy, &requested, &expires, &a.State,
			&a.DecidedBy.Name, &decidedBy, &decided, &a.ConsumedBy, &consumed, &ended, &a.Failure)
		copy(a.Digest[:], digest)
		copy(a.RequestedBy.Certificate[:], requestedBy)
		copy(a.DecidedBy.Certificate[:], decidedBy)
		a.RequestedAt, a.ExpiresAt = time.UnixMicro(requested).UTC(), time.UnixMicro(expires).UTC()
		if decided.Valid {
			a.DecidedAt = time.UnixMicro(decided.Int64).UTC()
		}
		if consumed.Valid {
			a.ConsumedAt = time.UnixMicro(consumed.Int64).UTC()
		}
		if ended.Valid {
			a.EndedAt = time.UnixMicro(ended.Int64).UTC()
		}
		all = append(all, a)
		return err
	})
	return all, err
}

// DecideApproval approves or refuses an approval.
func (v Approvals) DecideApproval(ctx context.Context, d store.ApprovalDecision, evidence ...store.Evidence) (a store.Approval, err error) {
	now := v.Moment()
	err = v.Write(ctx, "DecideApproval", connection.Several, func(c *connection.Conn) error {
		if a, err = read(c, d.ID); err != nil {
			return err
		}
		if err := backend.MayDecide(a, d, now); err != nil {
			return err
		}
		a.State, a.DecidedBy, a.DecidedAt = store.ApprovalRefused, d.By, now
		if d.Approve {
			a.State, a.ExpiresAt = store.ApprovalGiven, d.ExpiresAt.UTC().Truncate(time.Microsecond)
		}
		if _, err := c.Exec(`UPDATE approvals SET state = ?, decided_by = ?, decided_certificate = ?, decided_at = ?, expires_at = ? WHERE id = ?`,
			string(a.State), a.DecidedBy.Name, a.DecidedBy.Certificate[:], now.UnixMicro(), a.ExpiresAt.UnixMicro(), a.ID); err != nil {
			return err
		}
		return v.Record(c, evidence)
	})
	return a, err
}

// ConsumeApproval consumes an approval.
func (v Approvals) ConsumeApproval(ctx context.Context, id string, digest store.Digest, by string, evidence ...store.Evidence) (a store.Approval, err error) {
	now := v.Moment()
	err = v.Write(ctx, "ConsumeApproval", connection.Several, func(c *connection.Conn) error {
		if a, err = read(c, id); err != nil {
			return err
		}
		if err := backend.MayConsume(a, digest, now); err != nil {
			return err
		}
		if _, err := c.Exec(`UPDATE approvals SET state = 'consumed', consumed_by = ?, consumed_at = ?, ended_at = NULL, failure = '' WHERE id = ?`,
			by, now.UnixMicro(), id); err != nil {
			return err
		}
		a.State, a.ConsumedBy, a.ConsumedAt, a.EndedAt, a.Failure = store.ApprovalConsumed, by, now, time.Time{}, ""
		return v.Record(c, evidence)
	})
	return a, err
}

// EndApproval stores how the execution of an approval ended.
func (v Approvals) EndApproval(ctx context.Context, end store.ApprovalEnd, evidence ...store.Evidence) error {
	now, state := v.Moment(), store.ApprovalConsumed
	if end.Failure != "" {
		state = store.ApprovalGiven
	}
	return v.Write(ctx, "EndApproval", connection.Several, func(c *connection.Conn) error {
		a, err := read(c, end.ID)
		if err != nil {
			return err
		}
		if err := backend.MayEnd(a, end); err != nil {
			return err
		}
		if _, err := c.Exec(`UPDATE approvals SET state = ?, ended_at = ?, failure = ? WHERE id = ?`, string(state), now.UnixMicro(), end.Failure, end.ID); err != nil {
			return err
		}
		return v.Record(c, evidence)
	})
}
