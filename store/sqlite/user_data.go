package sqlite

import (
	"context"
	"database/sql"

	"countersign/store"
	"countersign/store/sqlite/internal/connection"
	"countersign/store/sqlite/internal/consents"
	"countersign/store/sqlite/internal/signout"
)

// personalTables are the tables whose records are deleted when a user is erased, besides the sessions. They all have a column
// subject.
func personalTables() []string {
	return []string{"consents", "passkeys", "devices", "enrolments", "subscriptions", "backchannel_requests",
		"backchannel_standings", "hand_offs", "known_browsers"}
}

// UserData gathers what is stored about a subject.
func (s *Store) UserData(ctx context.Context, subject string) (p store.UserData, err error) {
	err = s.read(ctx, "UserData", func(c *connection.Conn) error {
		p = store.UserData{}
		exists, err := c.One(`SELECT `+userColumns+` FROM users WHERE subject = ?`, []any{subject}, userFields(&p.User)...)
		if err != nil {
			return err
		}
		p.User.Password, p.User.UserCode = "", ""
		collect(c, &err, &p.Sessions, `SELECT `+sessionColumns+` FROM sessions s WHERE s.subject = ? ORDER BY s.auth_time, s.id`, subject, sessionFields)
		collect(c, &err, &p.Consents, `SELECT subject, client_id, scopes, claims, created_at, expires_at FROM consents WHERE subject = ? ORDER BY client_id`,
			subject, func(k *store.Consent) []any {
				return []any{&k.Subject, &k.ClientID, listField{&k.Scopes}, listField{&k.Claims}, timeField{&k.CreatedAt}, timeField{&k.ExpiresAt}}
			})
		collect(c, &err, &p.Grants, `SELECT `+grantColumns+` FROM grants g WHERE g.subject = ? ORDER BY g.created_at, g.id`, subject, grantFields)
		collect(c, &err, &p.Passkeys, `SELECT `+passkeyColumns+` FROM passkeys WHERE subject = ? ORDER BY created_at, id`, subject, passkeyFields)
		collect(c, &err, &p.Devices, `SELECT `+deviceColumns+` FROM devices WHERE subject = ? ORDER BY created_at, id`, subject, deviceFields)
		collect(c, &err, &p.Subscriptions, `SELECT `+subscriptionColumns+` FROM subscriptions WHERE subject = ? ORDER BY created_at, id`, subject, subscriptionFields)
		collect(c, &err, &p.Enrolments, `SELECT subject, `+enrolledACR+`, created_at, expires_at FROM enrolments WHERE subject = ?`, subject,
			func(e *store.Enrolment) []any {
				return []any{&e.Subject, &e.ACR, timeField{&e.CreatedAt}, timeField{&e.ExpiresAt}}
			})
		collect(c, &err, &p.Backchannel, `SELECT `+backchannelColumns+` FROM backchannel_requests b WHERE b.subject = ? ORDER BY b.created_at, b.id`, subject, backchannelFields)
		collect(c, &err, &p.Standings, `SELECT `+standingColumns+` FROM backchannel_standings WHERE subject = ? ORDER BY organisation`, subject, standingFields)
		collect(c, &err, &p.Browsers, `SELECT id, agent, created_at, used_at, expires_at FROM known_browsers WHERE subject = ? ORDER BY used_at, id`, subject, browserFields)
		if err == nil {
			p.Lodged, err = consents.Of(c, subject)
		}
		for i := range p.Backchannel {
			p.Backchannel[i].Ping = nil
		}
		if err != nil {
			return err
		}
		if !exists && len(p.Sessions)+len(p.Consents)+len(p.Grants)+len(p.Passkeys)+len(p.Devices)+
			len(p.Subscriptions)+len(p.Enrolments)+len(p.Backchannel)+len(p.Standings)+len(p.Browsers)+len(p.Lodged) == 0 {
			return store.ErrNotFound
		}
		return nil
	})
	return p, err
}

func browserFields(b *store.KnownBrowser) []any {
	return []any{digestField{&b.ID}, &b.Agent, timeField{&b.CreatedAt}, timeField{&b.UsedAt}, timeField{&b.ExpiresAt}}
}

// collect reads the records of one kind, unless something failed before.
func collect[T any](c *connection.Conn, failed *error, into *[]T, query, subject string, fields func(*T) []any) {
	if *failed != nil {
		return
	}
	*failed = c.EachOf(query, []any{subject}, func(rows *sql.Rows) error {
		var record T
		err := rows.Scan(fields(&record)...)
		*into = append(*into, record)
		return err
	})
}

// EraseUser erases a user.
func (s *Store) EraseUser(ctx context.Context, subject string, evidence ...store.Evidence) error {
	at := s.moment()
	now := micros(at)
	return s.write(ctx, "EraseUser", connection.Several, func(c *connection.Conn) error {
		forgotten, err := consents.Forget(c, subject, at) // before the grants, whose end would say less of why
		if err != nil {
			return err
		}
		changed, err := c.Exec(`UPDATE grants SET revoked_at = coalesce(revoked_at, ?), detail = '{}' WHERE subject = ?`, now, subject)
		if err != nil {
			return err
		}
		if _, err := c.Exec(`DELETE FROM pings WHERE request_id IN (SELECT id FROM backchannel_requests WHERE subject = ?)`, subject); err != nil {
			return err
		}
		sessions, err := signout.EndAll(c, subject, at)
		if err != nil {
			return err
		}
		changed += sessions + forgotten
		for _, table := range personalTables() {
			removed, err := c.Exec(`DELETE FROM `+table+` WHERE subject = ?`, subject)
			if err != nil {
				return err
			}
			changed += removed
		}
		tombstone := `INSERT INTO users (` + userColumns + `) SELECT ?1, 'erased ' || ?1, '', NULL, 1, ?2, ?2, '', ?2, 1, NULL WHERE ?3
			ON CONFLICT (subject) DO UPDATE SET username = excluded.username, password = '', claims = NULL, disabled = 1, user_code = '',
			updated_at = excluded.updated_at, erased_at = coalesce(users.erased_at, excluded.erased_at), browsers_from = NULL`
		known, err := c.One(`SELECT 1 FROM users WHERE subject = ?`, []any{subject}, new(int))
		if err != nil {
			return err
		}
		if !known && changed == 0 {
			return store.ErrNotFound
		}
		if _, err := c.Exec(tombstone, subject, now, true); err != nil {
			return err
		}
		return insertEvidence(c, evidence)
	})
}
