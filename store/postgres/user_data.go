package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"countersign/store"
	"countersign/store/postgres/internal/consents"
	"countersign/store/postgres/internal/signout"
)

// UserData gathers what is stored about a subject, in one snapshot.
func (s *Store) UserData(ctx context.Context, subject string) (p store.UserData, err error) {
	err = s.read(ctx, "UserData", func(ctx context.Context, c *pgx.Conn) error {
		return pgx.BeginTxFunc(ctx, c, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(pgx.Tx) error {
			p = store.UserData{}
			exists, err := one(ctx, c, `SELECT `+userColumns+` FROM users WHERE subject = $1`, []any{subject}, userFields(&p.User)...)
			if err != nil {
				return err
			}
			p.User.Password, p.User.UserCode = "", ""
			collect(ctx, c, &err, &p.Sessions, `SELECT `+sessionColumns+` FROM sessions s WHERE s.subject = $1 ORDER BY s.auth_time, s.id`, subject, sessionFields)
			collect(ctx, c, &err, &p.Consents, `SELECT subject, client_id, scopes, claims, created_at, expires_at FROM consents WHERE subject = $1 ORDER BY client_id`,
				subject, func(k *store.Consent) []any {
					return []any{&k.Subject, &k.ClientID, &k.Scopes, &k.Claims, timeField{&k.CreatedAt}, timeField{&k.ExpiresAt}}
				})
			collect(ctx, c, &err, &p.Grants, `SELECT `+grantColumns+` FROM grants g WHERE g.subject = $1 ORDER BY g.created_at, g.id`, subject, grantFields)
			collect(ctx, c, &err, &p.Passkeys, `SELECT `+passkeyColumns+` FROM passkeys WHERE subject = $1 ORDER BY created_at, id`, subject, passkeyFields)
			collect(ctx, c, &err, &p.Devices, `SELECT `+deviceColumns+` FROM devices WHERE subject = $1 ORDER BY created_at, id`, subject, deviceFields)
			collect(ctx, c, &err, &p.Subscriptions, `SELECT `+subscriptionColumns+` FROM subscriptions WHERE subject = $1 ORDER BY created_at, id`, subject, subscriptionFields)
			collect(ctx, c, &err, &p.Enrolments, `SELECT subject, `+enrolledACR+`, created_at, expires_at FROM enrolments WHERE subject = $1`, subject,
				func(e *store.Enrolment) []any {
					return []any{&e.Subject, &e.ACR, timeField{&e.CreatedAt}, timeField{&e.ExpiresAt}}
				})
			collect(ctx, c, &err, &p.Backchannel, `SELECT `+backchannelColumns+` FROM backchannel_requests b WHERE b.subject = $1 ORDER BY b.created_at, b.id`, subject, backchannelFields)
			collect(ctx, c, &err, &p.Standings, `SELECT `+standingColumns+` FROM backchannel_standings WHERE subject = $1 ORDER BY organisation`, subject, standingFields)
			collect(ctx, c, &err, &p.Browsers, `SELECT id, agent, created_at, used_at, expires_at FROM known_browsers WHERE subject = $1 ORDER BY used_at, id`, subject, browserFields)
			if err == nil {
				p.Lodged, err = consents.Of(ctx, c, subject)
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
	})
	return p, err
}

func browserFields(b *store.KnownBrowser) []any {
	return []any{digestField{&b.ID}, &b.Agent, timeField{&b.CreatedAt}, timeField{&b.UsedAt}, timeField{&b.ExpiresAt}}
}

// collect reads the records of one kind, unless something failed before.
func collect[T any](ctx context.Context, c *pgx.Conn, failed *error, into *[]T, query, subject string, fields func(*T) []any) {
	if *failed != nil {
		return
	}
	found, err := rows(ctx, c, query, []any{subject}, fields)
	if *failed = err; len(found) > 0 {
		*into = found
	}
}

// EraseUser erases a user.
func (s *Store) EraseUser(ctx context.Context, subject string, evidence ...store.Evidence) error {
	arguments := s.named(pgx.StrictNamedArgs{"subject": subject, "now": s.moment()}).evidence(evidence)
	return s.run(ctx, "EraseUser", func(ctx context.Context, c *pgx.Conn) error {
		var known bool
		var batch pgx.Batch
		signout.QueueLock(&batch, subject)
		batch.Queue(`WITH grants_ended AS (
				UPDATE grants SET revoked_at = coalesce(revoked_at, @now), detail = '{}' WHERE subject = @subject RETURNING id
			), ended AS (DELETE FROM sessions WHERE subject = @subject RETURNING sid
			), `+signout.Ended+`
			, consents_deleted AS (DELETE FROM consents WHERE subject = @subject RETURNING subject
			), passkeys_deleted AS (DELETE FROM passkeys WHERE subject = @subject RETURNING subject
			), devices_deleted AS (DELETE FROM devices WHERE subject = @subject RETURNING subject
			), enrolments_deleted AS (DELETE FROM enrolments WHERE subject = @subject RETURNING subject
			), subscriptions_deleted AS (DELETE FROM subscriptions WHERE subject = @subject RETURNING subject
			), browsers_deleted AS (DELETE FROM known_browsers WHERE subject = @subject RETURNING subject
			), hand_offs_deleted AS (DELETE FROM hand_offs WHERE subject = @subject RETURNING subject
			), standings_deleted AS (DELETE FROM backchannel_standings WHERE subject = @subject RETURNING subject
			), lodged_forgotten AS (`+consents.Forgotten+`
			), requests_deleted AS (DELETE FROM backchannel_requests WHERE subject = @subject RETURNING id
			), pings_deleted AS (DELETE FROM pings p USING requests_deleted r WHERE p.request_id = r.id
			), known AS (
				SELECT FROM users WHERE subject = @subject UNION ALL SELECT FROM grants_ended UNION ALL SELECT FROM ended UNION ALL
				SELECT FROM consents_deleted UNION ALL SELECT FROM passkeys_deleted UNION ALL SELECT FROM devices_deleted UNION ALL
				SELECT FROM enrolments_deleted UNION ALL SELECT FROM subscriptions_deleted UNION ALL SELECT FROM requests_deleted UNION ALL
				SELECT FROM standings_deleted UNION ALL SELECT FROM hand_offs_deleted UNION ALL SELECT FROM browsers_deleted UNION ALL
				SELECT FROM lodged_forgotten
			), tombstone AS (
				INSERT INTO users (`+userColumns+`) SELECT @subject::text, 'erased ' || @subject::text, '', NULL, TRUE, @now::timestamptz, @now::timestamptz, '', @now::timestamptz, 1, NULL
				WHERE EXISTS (SELECT FROM known)
				ON CONFLICT (subject) DO UPDATE SET username = excluded.username, password = '', claims = NULL, disabled = TRUE, user_code = '',
				updated_at = excluded.updated_at, erased_at = coalesce(users.erased_at, excluded.erased_at), browsers_from = NULL
			), evidence AS (`+insertEvidence+` WHERE EXISTS (SELECT FROM known)
			)
			SELECT EXISTS (SELECT FROM known)`, arguments).QueryRow(func(row pgx.Row) error { return row.Scan(&known) })
		if err := c.SendBatch(ctx, &batch).Close(); err != nil {
			return err
		}
		if !known {
			return store.ErrNotFound
		}
		return nil
	})
}
