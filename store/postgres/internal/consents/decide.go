package consents

import (
	"context"
	"maps"

	"github.com/jackc/pgx/v5"

	"countersign/store"
)

// Deciding is what a decision about a consent adds to the statement that stores the decision. The zero value adds nothing.
type Deciding struct {
	decision *store.ConsentDecision
	granted  bool
	values   pgx.StrictNamedArgs
}

// Decide says what a decision adds; grantID is that of the grant that is made, or empty. A nil decision adds nothing.
func Decide(decision *store.ConsentDecision, grantID string) (Deciding, error) {
	d := Deciding{decision: decision, granted: grantID != ""}
	switch {
	case decision == nil || decision.Elsewhere != nil && !d.granted: // who keeps it elsewhere was told
		d.decision = nil
		return d, nil
	case decision.Elsewhere != nil:
		kept := *decision.Elsewhere
		kept.ID, kept.ClientID, kept.Status, kept.Elsewhere = decision.ID, decision.ClientID, store.ConsentAuthorised, true
		kept.Subject, kept.GrantID = decision.Subject, grantID
		kept.Version = max(kept.Version, 1)
		var err error
		d.values, err = insertArguments(kept)
		return d, err
	}
	d.values = pgx.StrictNamedArgs{
		"lodged_id": decision.ID, "lodged_client_id": decision.ClientID, "lodged_bound": decision.Bound[:], "lodged_version": decision.Version,
	}
	if d.granted {
		d.values["lodged_by"], d.values["lodged_grant_id"] = decision.Subject, grantID
	}
	return d, nil
}

// Queue locks the consent, before the statement that decides.
func (d Deciding) Queue(batch *pgx.Batch) {
	switch {
	case d.decision == nil:
	case d.decision.Elsewhere != nil: // it may not be here yet
		batch.Queue(`SELECT pg_advisory_xact_lock(hashtextextended('lodged_consent ' || $1, 0))`, d.decision.ID)
	default:
		queueLock(batch, d.decision.ID)
	}
}

// queueLock locks a consent, before a statement that changes it and its grant: only one that begins afterwards sees a grant that was made
// meanwhile. The grant is locked first, as it is by what revokes it.
func queueLock(batch *pgx.Batch, id string) {
	batch.Queue(`SELECT FROM grants g WHERE g.id = (SELECT l.grant_id FROM lodged_consents l WHERE l.id = $1) FOR UPDATE`, id)
	batch.Queue(`SELECT FROM lodged_consents WHERE id = $1 FOR UPDATE`, id)
}

// Before is what comes before the rest of the statement.
func (d Deciding) Before() string {
	if d.decision == nil || !d.granted {
		return ""
	}
	if d.decision.Elsewhere != nil {
		return `decidable AS (
				SELECT coalesce((SELECT grant_id FROM lodged_consents WHERE id = @lodged_id), '') AS former
				WHERE NOT EXISTS (SELECT FROM lodged_consents l WHERE l.id = @lodged_id AND (l.client_id <> @lodged_client_id OR NOT l.elsewhere))
			), `
	}
	return `decidable AS (
				SELECT l.grant_id AS former FROM lodged_consents l WHERE l.id = @lodged_id AND l.client_id = @lodged_client_id
				AND l.bound = @lodged_bound AND l.version = @lodged_version AND ` + decidable + `
			), `
}

// Guard is a condition for the decision: the consent allows it.
func (d Deciding) Guard() string {
	if d.decision == nil || !d.granted {
		return ""
	}
	return ` AND EXISTS (SELECT FROM decidable)`
}

// After continues after the table of the decision, which has a row if it was made: the consent is authorised, and a grant that it
// had before ends, but for the one that spared names, an SQL expression; or it is rejected.
func (d Deciding) After(made, spared string) string {
	replaced := `), lodged_replaced AS (
				UPDATE grants g SET revoked_at = @now FROM lodged_authorised a CROSS JOIN decidable d
				WHERE d.former NOT IN ('', @lodged_grant_id, ` + spared + `) AND g.id = d.former AND g.revoked_at IS NULL
			`
	switch {
	case d.decision == nil:
		return ""
	case !d.granted:
		return `), lodged_rejected AS (
				UPDATE lodged_consents l SET status = 'rejected', changed_at = @now, version = l.version + 1, ended_by = 'user' FROM ` + made + `
				WHERE l.id = @lodged_id AND l.client_id = @lodged_client_id AND l.bound = @lodged_bound AND l.version = @lodged_version
				AND l.status = 'awaiting'
			`
	case d.decision.Elsewhere != nil:
		return `), lodged_authorised AS (` + insert + ` FROM ` + made + `
				ON CONFLICT (id) DO UPDATE SET status = 'authorised', changed_at = @now, version = l.version + 1,
					ends_at = excluded.ends_at, subject = excluded.subject, grant_id = excluded.grant_id, shown = excluded.shown, ended_by = '', reason = ''
				RETURNING l.id
			` + replaced
	}
	return `), lodged_authorised AS (
				UPDATE lodged_consents l SET status = 'authorised', changed_at = @now, version = l.version + 1, subject = @lodged_by, grant_id = @lodged_grant_id,
					ends_at = CASE WHEN l.lasts = 0 THEN l.ends_at ELSE least(l.ends_at, @now::timestamptz + l.lasts * interval '1 microsecond') END
				FROM ` + made + ` WHERE l.id = @lodged_id RETURNING l.id
			` + replaced
}

// Result reports, as a column of the statement, whether the consent allows the decision.
func (d Deciding) Result() string {
	if d.decision == nil || !d.granted {
		return `TRUE`
	}
	return `EXISTS (SELECT FROM decidable)`
}

// Arguments adds those of the statement.
func (d Deciding) Arguments(into pgx.StrictNamedArgs) { maps.Copy(into, d.values) }

const (
	// Over is a condition on a row of lodged_consents: it has ended, and so is its grant forgotten.
	Over = `status IN ('rejected', 'consumed', 'revoked', 'expired') AND NOT EXISTS (SELECT FROM grants g WHERE g.id = grant_id)`
	// EndedOf ends the consents of a client; "deleted" has its id, @now is the time, and @by who deleted it.
	EndedOf = `UPDATE lodged_consents l SET status = CASE WHEN l.status = 'awaiting' THEN 'rejected' ELSE 'revoked' END, changed_at = @now,
		version = l.version + 1, ended_by = CASE @by::text WHEN 'client' THEN 'client' ELSE 'bank' END, reason = 'client deleted'
		FROM deleted WHERE l.client_id = deleted.id AND l.status IN ('awaiting', 'authorised')`
	// Forgotten ends the consents of @subject at @now, and removes what they have about a person.
	Forgotten = `UPDATE lodged_consents SET changed_at = CASE WHEN status = 'authorised' THEN @now ELSE changed_at END,
		version = version + CASE WHEN status = 'authorised' THEN 1 ELSE 0 END,
		ended_by = CASE WHEN status = 'authorised' THEN 'bank' ELSE ended_by END,
		status = CASE WHEN status = 'authorised' THEN 'revoked' ELSE status END,
		content = NULL, shown = NULL, hints = NULL, subject = '' WHERE subject = @subject AND subject <> '' RETURNING id`
)

// Of lists what is stored about a subject.
func Of(ctx context.Context, c *pgx.Conn, subject string) ([]store.LodgedConsent, error) {
	found, err := many(ctx, c, `SELECT `+columns+` FROM lodged_consents l WHERE l.subject = $1 AND l.subject <> '' ORDER BY l.created_at, l.id`, subject)
	if len(found) == 0 {
		return nil, err
	}
	return found, err
}
