// Package consents keeps the consents that clients lodge, and the notices of their changes, in PostgreSQL; see [store.Consents].
//
// A consent is locked before a decision about it is made, in a statement of its own: only one that begins afterwards sees what
// another transaction has made of the consent. The two are one round trip.
package consents

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"countersign/store"
	"countersign/store/postgres/internal/named"
	"countersign/store/postgres/internal/pool"
)

// Consents has the verbs.
type Consents struct {
	Statements *named.Statements
	// Run and Read do the work of a verb that writes, and of one that changes nothing.
	Run, Read func(ctx context.Context, verb string, work pool.Work) error
	// Moment is the database's time.
	Moment func() time.Time
	// InsertOneTimes consumes the values of OneTimes; a row that it is joined with is a condition, and InOneOrder ends it.
	InsertOneTimes, InOneOrder string
	OneTimes                   func(named.Arguments, []store.OneTime) named.Arguments
}

const columns = `l.id, l.client_id, l.organisation, l.kind, l.status, l.content, l.shown, l.permissions, l.scopes, l.hints,
	l.once, l.elsewhere, l.notify, l.created_at, l.changed_at, l.version, l.expires_at, l.ends_at, l.lasts, l.bound, l.subject, l.grant_id, l.ended_by, l.reason`

func scan(row pgx.Row) (c store.LodgedConsent, err error) {
	var content, shown, hints, bound []byte
	var ends *time.Time
	var lasts int64
	err = row.Scan(&c.ID, &c.ClientID, &c.Organisation, &c.Kind, &c.Status, &content, &shown, &c.Permissions, &c.Scopes, &hints,
		&c.Once, &c.Elsewhere, &c.Notify, &c.CreatedAt, &c.ChangedAt, &c.Version, &c.ExpiresAt, &ends, &lasts, &bound, &c.Subject, &c.GrantID,
		&c.EndedBy, &c.Reason)
	if err != nil {
		return c, err
	}
	c.Content, c.Shown, c.Lasts = content, shown, time.Duration(lasts)*time.Microsecond
	c.CreatedAt, c.ChangedAt, c.ExpiresAt = c.CreatedAt.UTC(), c.ChangedAt.UTC(), c.ExpiresAt.UTC()
	if ends != nil {
		c.EndsAt = ends.UTC()
	}
	copy(c.Bound[:], bound)
	if hints != nil {
		err = json.Unmarshal(hints, &c.Hints)
	}
	return c, err
}

// one reads the only consent of a query; [store.ErrNotFound].
func one(ctx context.Context, c *pgx.Conn, query string, arguments ...any) (store.LodgedConsent, error) {
	read, err := scan(c.QueryRow(ctx, query, arguments...))
	if errors.Is(err, pgx.ErrNoRows) {
		return store.LodgedConsent{}, store.ErrNotFound
	}
	return read, err
}

func many(ctx context.Context, c *pgx.Conn, query string, arguments ...any) ([]store.LodgedConsent, error) {
	rows, err := c.Query(ctx, query, arguments...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.LodgedConsent, error) { return scan(row) })
}

func at(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func bytesOrNull(d store.Digest) []byte {
	if d.Zero() {
		return nil
	}
	return d[:]
}

func hintsOf(c store.LodgedConsent) ([]byte, error) {
	if c.Hints == nil {
		return nil, nil
	}
	return json.Marshal(c.Hints)
}

// insert stores the consent of insertArguments; a row that it is selected from is a condition.
const insert = `INSERT INTO lodged_consents AS l (id, client_id, organisation, kind, status, content, shown, permissions, scopes, hints,
		once, elsewhere, notify, created_at, changed_at, version, expires_at, ends_at, lasts, bound, subject, grant_id, ended_by, reason)
	SELECT @lodged_id::text, @lodged_client_id::text, @organisation::text, @kind::text, @status::text, @content::json, @shown::json,
		@permissions::text[], @lodged_scopes::text[], @hints::json, @lodged_once::boolean, @elsewhere::boolean, @notify::boolean,
		@lodged_created_at::timestamptz, @changed_at::timestamptz, @version::integer, @lodged_expires_at::timestamptz, @ends_at::timestamptz,
		@lasts::bigint, @bound::bytea, @lodged_subject::text, @lodged_grant_id::text, @ended_by::text, @reason::text`

func insertArguments(c store.LodgedConsent) (pgx.StrictNamedArgs, error) {
	hints, err := hintsOf(c)
	return pgx.StrictNamedArgs{
		"lodged_id": c.ID, "lodged_client_id": c.ClientID, "organisation": c.Organisation, "kind": c.Kind, "status": string(c.Status),
		"content": []byte(c.Content), "shown": []byte(c.Shown), "permissions": c.Permissions, "lodged_scopes": c.Scopes, "hints": hints,
		"lodged_once": c.Once, "elsewhere": c.Elsewhere, "notify": c.Notify, "lodged_created_at": c.CreatedAt, "changed_at": c.ChangedAt,
		"version": c.Version, "lodged_expires_at": c.ExpiresAt, "ends_at": at(c.EndsAt), "lasts": c.Lasts.Microseconds(), "bound": bytesOrNull(c.Bound),
		"lodged_subject": c.Subject, "lodged_grant_id": c.GrantID, "ended_by": c.EndedBy, "reason": c.Reason,
	}, err
}

// LodgeConsent stores a new consent. Those of one client are stored one after the other, so that its quota holds.
func (v Consents) LodgeConsent(ctx context.Context, consent store.LodgedConsent, quota store.ConsentQuota, oneTimes ...store.OneTime) error {
	values, err := insertArguments(consent)
	if err != nil {
		return err
	}
	values["now"], values["most"], values["most_together"] = v.Moment(), quota.Client, quota.Organisation
	arguments := v.OneTimes(v.Statements.Arguments(values).Evidence(consent.Evidence), oneTimes)
	return v.Run(ctx, "LodgeConsent", func(ctx context.Context, c *pgx.Conn) error {
		var stored bool
		var batch pgx.Batch
		// Hints of two clients, or of a client and an organisation, that are the same number only wait for each other.
		batch.Queue(`SELECT pg_advisory_xact_lock(hashtextextended('lodged_consents ' || $1, 0))`, consent.ClientID)
		if consent.Organisation != "" { // clients without one are not counted together, and need not wait for each other
			batch.Queue(`SELECT pg_advisory_xact_lock(hashtextextended('lodged_consents of ' || $1, 0))`, consent.Organisation)
		}
		batch.Queue(`WITH allowed AS (
				SELECT WHERE (@most::integer = 0 OR @most::integer > (SELECT count(*) FROM lodged_consents
					WHERE client_id = @lodged_client_id AND status = 'awaiting' AND expires_at > @now))
				AND (@most_together::integer = 0 OR @organisation::text = '' OR @most_together::integer > (SELECT count(*) FROM lodged_consents
					WHERE organisation = @organisation AND status = 'awaiting' AND expires_at > @now))
			), stored AS (`+insert+` FROM allowed RETURNING l.id
			), consumed_values AS (`+v.InsertOneTimes+` CROSS JOIN stored`+v.InOneOrder+`
			), evidence AS (`+named.InsertEvidence+` CROSS JOIN stored
			)
			SELECT EXISTS (SELECT FROM stored)`, arguments).QueryRow(func(row pgx.Row) error { return row.Scan(&stored) })
		switch err := c.SendBatch(ctx, &batch).Close(); {
		case err != nil:
			return exists(err)
		case !stored:
			return store.ErrConsumed
		}
		return nil
	})
}

// exists turns the failure of the primary key into [store.ErrConflict].
func exists(err error) error {
	if failed, ok := errors.AsType[*pgconn.PgError](err); ok && failed.ConstraintName == "lodged_consents_pkey" {
		return store.ErrConflict
	}
	return err
}

// LodgedConsent reads a consent of a client.
func (v Consents) LodgedConsent(ctx context.Context, clientID, id string) (read store.LodgedConsent, err error) {
	now := v.Moment()
	err = v.Read(ctx, "LodgedConsent", func(ctx context.Context, c *pgx.Conn) error {
		read, err = one(ctx, c, `SELECT `+columns+` FROM lodged_consents l WHERE l.id = $1 AND ($2 = '' OR l.client_id = $2)`, id, clientID)
		return err
	})
	return read.At(now), err
}

// decidable is a condition on a consent l: @lodged_by may decide about it at @now.
const decidable = `(l.status = 'awaiting' AND l.expires_at > @now OR l.status = 'authorised' AND NOT l.once AND NOT l.elsewhere
	AND (@lodged_by::text = '' OR l.subject = @lodged_by::text) AND (l.ends_at IS NULL OR l.ends_at > @now))`

// BindConsent binds a consent.
func (v Consents) BindConsent(ctx context.Context, b store.ConsentBinding) (bound store.LodgedConsent, err error) {
	now := v.Moment()
	arguments := v.Statements.Arguments(pgx.StrictNamedArgs{
		"id": b.ID, "client_id": b.ClientID, "bound": b.To[:], "lodged_by": b.Subject, "now": now,
	})
	err = v.Run(ctx, "BindConsent", func(ctx context.Context, c *pgx.Conn) error {
		bound, err = one(ctx, c, `UPDATE lodged_consents l SET bound = @bound WHERE l.id = @id AND l.client_id = @client_id AND `+decidable+`
			RETURNING `+columns, arguments)
		return v.unchanged(ctx, c, &bound, err, b.ClientID, b.ID, now)
	})
	return bound, err
}

// SpendConsent consumes an authorised consent.
func (v Consents) SpendConsent(ctx context.Context, clientID, id string, evidence ...store.Evidence) (spent store.LodgedConsent, err error) {
	now := v.Moment()
	arguments := v.Statements.Arguments(pgx.StrictNamedArgs{"id": id, "client_id": clientID, "now": now}).Evidence(evidence)
	err = v.Run(ctx, "SpendConsent", func(ctx context.Context, c *pgx.Conn) error {
		spent, err = one(ctx, c, `WITH spent AS (
				UPDATE lodged_consents l SET status = 'consumed', changed_at = @now, version = l.version + 1
				WHERE l.id = @id AND (@client_id::text = '' OR l.client_id = @client_id::text) AND l.status = 'authorised' AND (l.ends_at IS NULL OR l.ends_at > @now)
				RETURNING `+columns+`
			), evidence AS (`+named.InsertEvidence+` CROSS JOIN spent
			)
			SELECT `+columns+` FROM spent l`, arguments)
		return v.unchanged(ctx, c, &spent, err, clientID, id, now)
	})
	return spent, err
}

// unchanged says why a consent was not changed, if err is that there was none to change.
func (v Consents) unchanged(ctx context.Context, c *pgx.Conn, into *store.LodgedConsent, err error, clientID, id string, now time.Time) error {
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	read, err := one(ctx, c, `SELECT `+columns+` FROM lodged_consents l WHERE l.id = $1 AND ($2 = '' OR l.client_id = $2)`, id, clientID)
	if err != nil {
		return err
	}
	*into = read.At(now)
	if into.Status == store.ConsentExpired {
		return store.ErrExpired
	}
	return store.ErrConsumed
}

// EndConsent ends a consent with its grant.
func (v Consents) EndConsent(ctx context.Context, e store.ConsentEnding) (ended store.LodgedConsent, err error) {
	now := v.Moment()
	arguments := v.Statements.Arguments(pgx.StrictNamedArgs{
		"id": e.ID, "client_id": e.ClientID, "subject": e.Subject, "due": e.Due, "by": e.By, "revoked_by": e.RevokedBy(), "reason": e.Reason, "now": now,
	}).Evidence(e.Evidence)
	err = v.Run(ctx, "EndConsent", func(ctx context.Context, c *pgx.Conn) error {
		var found bool
		var batch pgx.Batch
		queueLock(&batch, e.ID)
		batch.Queue(`WITH ended AS (
				UPDATE lodged_consents l SET changed_at = @now, version = l.version + 1, ended_by = @by, reason = @reason, status = CASE
					WHEN l.status = 'awaiting' AND l.expires_at <= @now OR l.status = 'authorised' AND l.ends_at <= @now THEN 'expired'
					WHEN l.status = 'awaiting' THEN 'rejected' ELSE 'revoked' END
				WHERE l.id = @id AND (@client_id::text = '' OR l.client_id = @client_id::text) AND (@subject::text = '' OR l.subject = @subject::text)
				AND l.status IN ('awaiting', 'authorised', 'consumed') AND (NOT @due::boolean
					OR l.status = 'awaiting' AND l.expires_at <= @now OR l.status = 'authorised' AND l.ends_at <= @now)
				RETURNING `+columns+`
			), revoked AS (
				UPDATE grants g SET revoked_at = @now, revoked_by = @revoked_by
				FROM ended WHERE ended.grant_id <> '' AND g.id = ended.grant_id AND g.revoked_at IS NULL
				RETURNING g.subject, g.client_id
			), consents_deleted AS (
				DELETE FROM consents k USING revoked r WHERE k.subject = r.subject AND k.client_id = r.client_id
			), evidence AS (`+named.InsertEvidence+` CROSS JOIN ended
			)
			SELECT `+columns+` FROM ended l`, arguments).QueryRow(func(row pgx.Row) error {
			read, err := scan(row)
			if found = !errors.Is(err, pgx.ErrNoRows); found {
				ended = read
				return err
			}
			return nil
		})
		if err := c.SendBatch(ctx, &batch).Close(); err != nil || found {
			return err
		}
		ended, err = one(ctx, c, `SELECT `+columns+` FROM lodged_consents l WHERE l.id = $1 AND ($2 = '' OR l.client_id = $2) AND ($3 = '' OR l.subject = $3)`,
			e.ID, e.ClientID, e.Subject)
		if err != nil {
			return err
		}
		return store.ErrConsumed
	})
	return ended, err
}

// ListLodgedConsents lists consents.
func (v Consents) ListLodgedConsents(ctx context.Context, f store.ConsentFilter, page store.Page) (all []store.LodgedConsent, err error) {
	now := v.Moment()
	// Each filter has a statement of its own, so that each has its index.
	var where, by string
	switch {
	case f.GrantID+f.Subject+f.ClientID == "":
		return nil, nil
	case f.GrantID != "":
		where, by = `l.grant_id = @by AND l.grant_id <> ''`, f.GrantID
	case f.Subject != "":
		where, by = `l.subject = @by AND l.subject <> ''`, f.Subject
	default:
		where, by = `l.client_id = @by`, f.ClientID
	}
	arguments := v.Statements.Arguments(pgx.StrictNamedArgs{
		"by": by, "subject": f.Subject, "client_id": f.ClientID, "status": string(f.Status), "at": at(page.At), "key": page.Key, "limit": page.Limit,
	})
	err = v.Read(ctx, "ListLodgedConsents", func(ctx context.Context, c *pgx.Conn) error {
		all, err = many(ctx, c, `SELECT `+columns+` FROM lodged_consents l WHERE `+where+`
			AND (@subject::text = '' OR l.subject = @subject::text) AND (@client_id::text = '' OR l.client_id = @client_id::text)
			AND (@status::text = '' OR l.status = @status::text)
			AND (@at::timestamptz IS NULL OR (l.created_at, l.id) < (@at::timestamptz, @key::text))
			ORDER BY l.created_at DESC, l.id DESC LIMIT @limit`, arguments)
		return err
	})
	for i := range all {
		all[i] = all[i].At(now)
	}
	return all, err
}

// DueConsents lists consents whose time is over.
func (v Consents) DueConsents(ctx context.Context, limit int) (due []store.LodgedConsent, err error) {
	now := v.Moment()
	err = v.Read(ctx, "DueConsents", func(ctx context.Context, c *pgx.Conn) error {
		due, err = many(ctx, c, `(SELECT `+columns+` FROM lodged_consents l WHERE l.status = 'authorised' AND l.ends_at <= $1 ORDER BY l.ends_at LIMIT $2)
			UNION ALL (SELECT `+columns+` FROM lodged_consents l WHERE l.status = 'awaiting' AND l.expires_at <= $1 ORDER BY l.expires_at LIMIT $2)
			LIMIT $2`, now, limit)
		return err
	})
	return due, err
}
