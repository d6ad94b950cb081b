// Package consents keeps the consents that clients lodge, and the notices of their changes, in SQLite; see [store.Consents].
package consents

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"countersign/store"
	"countersign/store/sqlite/internal/connection"
)

// Consents has the verbs.
type Consents struct {
	// Read and Write do the work of a verb that changes nothing, and of one that does.
	Read  func(ctx context.Context, verb string, work func(*connection.Conn) error) error
	Write func(ctx context.Context, verb string, statements connection.Statements, work func(*connection.Conn) error) error
	// Record stores evidence, and Consume consumes one-time values.
	Record  func(c *connection.Conn, evidence []store.Evidence) error
	Consume func(c *connection.Conn, oneTimes []store.OneTime) error
	// Revoke revokes a grant, and reports whether it was not revoked before.
	Revoke func(c *connection.Conn, grantID, by string, now time.Time) (bool, error)
	// Moment is the time.
	Moment func() time.Time
}

const columns = `id, client_id, organisation, kind, status, content, shown, permissions, scopes, hints,
	once, elsewhere, notify, created_at, changed_at, version, expires_at, ends_at, lasts, bound, subject, grant_id, ended_by, reason`

// record is a row.
type record struct {
	c                                          store.LodgedConsent
	content, shown, permissions, scopes, hints sql.NullString
	created, changed, expires, lasts           int64
	ends                                       sql.NullInt64
	bound                                      []byte
}

func (r *record) fields() []any {
	c := &r.c
	return []any{&c.ID, &c.ClientID, &c.Organisation, &c.Kind, (*string)(&c.Status), &r.content, &r.shown, &r.permissions, &r.scopes, &r.hints,
		&c.Once, &c.Elsewhere, &c.Notify, &r.created, &r.changed, &c.Version, &r.expires, &r.ends, &r.lasts, &r.bound, &c.Subject, &c.GrantID, &c.EndedBy, &c.Reason}
}

func (r *record) read() (store.LodgedConsent, error) {
	c := r.c
	if r.content.Valid {
		c.Content = json.RawMessage(r.content.String)
	}
	if r.shown.Valid {
		c.Shown = json.RawMessage(r.shown.String)
	}
	c.CreatedAt, c.ChangedAt, c.ExpiresAt = time.UnixMicro(r.created).UTC(), time.UnixMicro(r.changed).UTC(), time.UnixMicro(r.expires).UTC()
	if r.ends.Valid {
		c.EndsAt = time.UnixMicro(r.ends.Int64).UTC()
	}
	copy(c.Bound[:], r.bound)
	c.Lasts = time.Duration(r.lasts) * time.Microsecond
	var failed []error
	for value, into := range map[*sql.NullString]any{&r.permissions: &c.Permissions, &r.scopes: &c.Scopes, &r.hints: &c.Hints} {
		if value.Valid {
			failed = append(failed, json.Unmarshal([]byte(value.String), into))
		}
	}
	return c, errors.Join(failed...)
}

// one reads the only consent of a query; [store.ErrNotFound].
func one(c *connection.Conn, query string, arguments ...any) (store.LodgedConsent, error) {
	var r record
	if err := c.Get(query, arguments, r.fields()...); err != nil {
		return store.LodgedConsent{}, err
	}
	return r.read()
}

// change is one for a statement that changes the consent, and reports whether it did.
func change(c *connection.Conn, query string, arguments ...any) (store.LodgedConsent, bool, error) {
	var r record
	found, err := c.Update(query, arguments, r.fields()...)
	if err != nil || !found {
		return store.LodgedConsent{}, false, err
	}
	read, err := r.read()
	return read, true, err
}

func many(c *connection.Conn, query string, arguments ...any) (all []store.LodgedConsent, err error) {
	err = c.EachOf(query, arguments, func(rows *sql.Rows) error {
		var r record
		if err := rows.Scan(r.fields()...); err != nil {
			return err
		}
		read, err := r.read()
		all = append(all, read)
		return err
	})
	return all, err
}

func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

func bytesOrNull(d store.Digest) any {
	if d.Zero() {
		return nil
	}
	return d[:]
}

// text encodes a value; nil is NULL.
func text[T any](value T, unset bool) (any, error) {
	if unset {
		return nil, nil
	}
	raw, err := json.Marshal(value)
	return string(raw), err
}

func insert(c *connection.Conn, k store.LodgedConsent) error {
	permissions, err1 := text(k.Permissions, k.Permissions == nil)
	scopes, err2 := text(k.Scopes, k.Scopes == nil)
	hints, err3 := text(k.Hints, k.Hints == nil)
	content, err4 := text(k.Content, k.Content == nil)
	shown, err5 := text(k.Shown, k.Shown == nil)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return err
	}
	_, err := c.Exec(`INSERT INTO lodged_consents (`+columns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		k.ID, k.ClientID, k.Organisation, k.Kind, string(k.Status), content, shown, permissions, scopes, hints,
		k.Once, k.Elsewhere, k.Notify, micros(k.CreatedAt), micros(k.ChangedAt), k.Version, micros(k.ExpiresAt), micros(k.EndsAt), k.Lasts.Microseconds(),
		bytesOrNull(k.Bound), k.Subject, k.GrantID, k.EndedBy, k.Reason)
	if connection.ViolatesUniqueness(err) {
		return store.ErrConflict
	}
	return err
}

// LodgeConsent stores a new consent.
func (v Consents) LodgeConsent(ctx context.Context, consent store.LodgedConsent, quota store.ConsentQuota, oneTimes ...store.OneTime) error {
	now := v.Moment().UnixMicro()
	return v.Write(ctx, "LodgeConsent", connection.Several, func(c *connection.Conn) error {
		var own, together int
		if err := c.Get(`SELECT count(*) FROM lodged_consents WHERE client_id = ? AND status = 'awaiting' AND expires_at > ?`,
			[]any{consent.ClientID, now}, &own); err != nil {
			return err
		}
		if err := c.Get(`SELECT count(*) FROM lodged_consents WHERE organisation = ? AND status = 'awaiting' AND expires_at > ?`,
			[]any{consent.Organisation, now}, &together); err != nil {
			return err
		}
		if quota.Client > 0 && own >= quota.Client || quota.Organisation > 0 && consent.Organisation != "" && together >= quota.Organisation {
			return store.ErrConsumed
		}
		if err := v.Consume(c, oneTimes); err != nil {
			return err
		}
		if err := insert(c, consent); err != nil {
			return err
		}
		return v.Record(c, consent.Evidence)
	})
}

const byID = `SELECT ` + columns + ` FROM lodged_consents WHERE id = ?1 AND (?2 = '' OR client_id = ?2)`

// LodgedConsent reads a consent of a client.
func (v Consents) LodgedConsent(ctx context.Context, clientID, id string) (read store.LodgedConsent, err error) {
	now := v.Moment()
	err = v.Read(ctx, "LodgedConsent", func(c *connection.Conn) error {
		read, err = one(c, byID, id, clientID)
		return err
	})
	return read.At(now), err
}

// decidable is a condition on a consent: a subject (3) may decide about it at a time (4).
const decidable = `(status = 'awaiting' AND expires_at > ?4 OR status = 'authorised' AND NOT once AND NOT elsewhere
	AND (?3 = '' OR subject = ?3) AND (ends_at IS NULL OR ends_at > ?4))`

// BindConsent binds a consent.
func (v Consents) BindConsent(ctx context.Context, b store.ConsentBinding) (bound store.LodgedConsent, err error) {
	now := v.Moment()
	err = v.Write(ctx, "BindConsent", connection.Several, func(c *connection.Conn) error {
		var changed bool
		bound, changed, err = change(c, `UPDATE lodged_consents SET bound = ?5 WHERE id = ?1 AND client_id = ?2 AND `+decidable+` RETURNING `+columns,
			b.ID, b.ClientID, b.Subject, now.UnixMicro(), b.To[:])
		if err != nil || changed {
			return err
		}
		return unchanged(c, &bound, b.ClientID, b.ID, now)
	})
	return bound, err
}

// SpendConsent consumes an authorised consent.
func (v Consents) SpendConsent(ctx context.Context, clientID, id string, evidence ...store.Evidence) (spent store.LodgedConsent, err error) {
	now := v.Moment()
	err = v.Write(ctx, "SpendConsent", connection.Several, func(c *connection.Conn) error {
		var changed bool
		spent, changed, err = change(c, `UPDATE lodged_consents SET status = 'consumed', changed_at = ?3, version = version + 1
			WHERE id = ?1 AND (?2 = '' OR client_id = ?2) AND status = 'authorised' AND (ends_at IS NULL OR ends_at > ?3) RETURNING `+columns,
			id, clientID, now.UnixMicro())
		if err != nil {
			return err
		}
		if !changed {
			return unchanged(c, &spent, clientID, id, now)
		}
		return v.Record(c, evidence)
	})
	return spent, err
}

// unchanged says why a consent was not changed.
func unchanged(c *connection.Conn, into *store.LodgedConsent, clientID, id string, now time.Time) error {
	read, err := one(c, byID, id, clientID)
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
	err = v.Write(ctx, "EndConsent", connection.Several, func(c *connection.Conn) error {
		const due = `(status = 'awaiting' AND expires_at <= ?5 OR status = 'authorised' AND coalesce(ends_at <= ?5, 0))`
		var changed bool
		ended, changed, err = change(c, `UPDATE lodged_consents SET changed_at = ?5, version = version + 1, ended_by = ?6, reason = ?7,
			status = CASE WHEN `+due+` THEN 'expired' WHEN status = 'awaiting' THEN 'rejected' ELSE 'revoked' END
			WHERE id = ?1 AND (?2 = '' OR client_id = ?2) AND (?3 = '' OR subject = ?3)
			AND status IN ('awaiting', 'authorised', 'consumed') AND (NOT ?4 OR `+due+`) RETURNING `+columns,
			e.ID, e.ClientID, e.Subject, e.Due, now.UnixMicro(), e.By, e.Reason)
		if err != nil {
			return err
		}
		if !changed {
			if ended, err = one(c, byID+` AND (?3 = '' OR subject = ?3)`, e.ID, e.ClientID, e.Subject); err != nil {
				return err
			}
			return store.ErrConsumed
		}
		if _, err := v.Revoke(c, ended.GrantID, e.RevokedBy(), now); err != nil { // none, without a grant
			return err
		}
		return v.Record(c, e.Evidence)
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
		where, by = `grant_id = ?1 AND grant_id <> ''`, f.GrantID
	case f.Subject != "":
		where, by = `subject = ?1 AND subject <> ''`, f.Subject
	default:
		where, by = `client_id = ?1`, f.ClientID
	}
	err = v.Read(ctx, "ListLodgedConsents", func(c *connection.Conn) error {
		all, err = many(c, `SELECT `+columns+` FROM lodged_consents WHERE `+where+` AND (?2 = '' OR subject = ?2) AND (?3 = '' OR client_id = ?3)
			AND (?4 = '' OR status = ?4) AND (?5 IS NULL OR (created_at, id) < (?5, ?6)) ORDER BY created_at DESC, id DESC LIMIT ?7`,
			by, f.Subject, f.ClientID, string(f.Status), micros(page.At), page.Key, page.Limit)
		return err
	})
	for i := range all {
		all[i] = all[i].At(now)
	}
	return all, err
}

// DueConsents lists consents whose time is over.
func (v Consents) DueConsents(ctx context.Context, limit int) (due []store.LodgedConsent, err error) {
	now := v.Moment().UnixMicro()
	err = v.Read(ctx, "DueConsents", func(c *connection.Conn) error {
		if due, err = many(c, `SELECT `+columns+` FROM lodged_consents WHERE status = 'authorised' AND ends_at <= ? ORDER BY ends_at LIMIT ?`, now, limit); err != nil {
			return err
		}
		more, err := many(c, `SELECT `+columns+` FROM lodged_consents WHERE status = 'awaiting' AND expires_at <= ? ORDER BY expires_at LIMIT ?`, now, limit-len(due))
		due = append(due, more...)
		return err
	})
	return due, err
}

// Decide makes a decision about a consent, in the transaction that stores the decision; grantID is that of its grant, or empty.
// [store.ErrConflict] when the consent does not allow it. A nil decision is none. A grant that the consent had before ends, unless it
// is replaced, the one whose place the new one takes: that ends afterwards, when the consent is no longer that grant's.
func Decide(c *connection.Conn, d *store.ConsentDecision, grantID, replaced string, at time.Time) error {
	now := at.UnixMicro()
	switch {
	case d == nil, d.Elsewhere != nil && grantID == "": // who keeps it elsewhere was told
		return nil
	case grantID == "":
		_, err := c.Exec(`UPDATE lodged_consents SET status = 'rejected', changed_at = ?5, version = version + 1, ended_by = 'user'
			WHERE id = ?1 AND client_id = ?2 AND bound = ?3 AND version = ?4 AND status = 'awaiting'`, d.ID, d.ClientID, d.Bound[:], d.Version, now)
		return err
	}
	var former string
	known, err := c.One(`SELECT grant_id FROM lodged_consents WHERE id = ?`, []any{d.ID}, &former)
	if err != nil {
		return err
	}
	switch {
	case d.Elsewhere != nil && !known:
		kept := *d.Elsewhere
		kept.ID, kept.ClientID, kept.Status, kept.Elsewhere = d.ID, d.ClientID, store.ConsentAuthorised, true
		kept.Subject, kept.GrantID, kept.Version = d.Subject, grantID, max(kept.Version, 1)
		return insert(c, kept)
	case d.Elsewhere != nil:
		shown, err := text(d.Elsewhere.Shown, d.Elsewhere.Shown == nil)
		if err != nil {
			return err
		}
		changed, err := c.Exec(`UPDATE lodged_consents SET status = 'authorised', changed_at = ?3, version = version + 1, ends_at = ?4, subject = ?5,
			grant_id = ?6, shown = ?7, ended_by = '', reason = '' WHERE id = ?1 AND client_id = ?2 AND elsewhere`,
			d.ID, d.ClientID, now, micros(d.Elsewhere.EndsAt), d.Subject, grantID, shown)
		if err != nil || changed == 0 {
			return refused(err)
		}
	default:
		changed, err := c.Exec(`UPDATE lodged_consents SET status = 'authorised', changed_at = ?4, version = version + 1, subject = ?3, grant_id = ?5,
			ends_at = iif(lasts = 0, ends_at, min(coalesce(ends_at, ?4 + lasts), ?4 + lasts))
			WHERE id = ?1 AND client_id = ?2 AND bound = ?6 AND version = ?7 AND `+decidable,
			d.ID, d.ClientID, d.Subject, now, grantID, d.Bound[:], d.Version)
		if err != nil || changed == 0 {
			return refused(err)
		}
	}
	if former == "" || former == replaced {
		return nil
	}
	_, err = c.Exec(`UPDATE grants SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL`, now, former)
	return err
}

func refused(err error) error {
	if err == nil {
		return store.ErrConflict
	}
	return err
}

// Purge removes consents that have ended, with a limit, once their grants are forgotten.
const Purge = `DELETE FROM lodged_consents WHERE id IN (SELECT id FROM lodged_consents WHERE changed_at <= ?
	AND status IN ('rejected', 'consumed', 'revoked', 'expired') AND NOT EXISTS (SELECT 1 FROM grants g WHERE g.id = grant_id) LIMIT ?)`

// PurgeNotices removes notices that nobody was there to give out, with a limit.
const PurgeNotices = `DELETE FROM consent_notices WHERE (consent_id, version) IN (SELECT consent_id, version FROM consent_notices WHERE expires_at <= ? LIMIT ?)`

// EndOf ends the consents of a client that is deleted, by a value of [store.Grant].RevokedBy.
func EndOf(c *connection.Conn, clientID, by string, at time.Time) error {
	_, err := c.Exec(`UPDATE lodged_consents SET status = iif(status = 'awaiting', 'rejected', 'revoked'), changed_at = ?2, version = version + 1,
		ended_by = iif(?3 = 'client', 'client', 'bank'), reason = 'client deleted' WHERE client_id = ?1 AND status IN ('awaiting', 'authorised')`, clientID, at.UnixMicro(), by)
	return err
}

// Forget ends the consents of a subject that is erased, removes what they have about a person, and returns how many there were.
func Forget(c *connection.Conn, subject string, at time.Time) (int64, error) {
	return c.Exec(`UPDATE lodged_consents SET changed_at = iif(status = 'authorised', ?2, changed_at), version = version + (status = 'authorised'),
		ended_by = iif(status = 'authorised', 'bank', ended_by), status = iif(status = 'authorised', 'revoked', status),
		content = NULL, shown = NULL, hints = NULL, subject = '' WHERE subject = ?1 AND subject <> ''`, subject, at.UnixMicro())
}

// Of lists what is stored about a subject.
func Of(c *connection.Conn, subject string) ([]store.LodgedConsent, error) {
	return many(c, `SELECT `+columns+` FROM lodged_consents WHERE subject = ? AND subject <> '' ORDER BY created_at, id`, subject)
}
