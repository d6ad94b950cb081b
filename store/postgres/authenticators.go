package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"countersign/store"
	"countersign/store/postgres/internal/signout"
)

const (
	passkeyColumns      = `id, subject, public_key, aaguid, name, synced, sign_count, created_at, used_at, cloned_at`
	deviceColumns       = `id, subject, name, jkt, acr, created_at, used_at, kept_at`
	subscriptionColumns = `id, subject, endpoint, key_id, created_at`
	// enrolledACR is what a code says of the sign-in under which it was made.
	enrolledACR = `CASE WHEN acr_id = id THEN acr ELSE '' END`
	// enabled holds for a row whose user can sign in.
	enabled = `EXISTS (SELECT FROM users u WHERE u.subject = t.subject AND NOT u.disabled)`
)

func passkeyFields(p *store.Passkey) []any {
	return []any{&p.ID, &p.Subject, &p.PublicKey, &p.AAGUID, &p.Name, &p.Synced, &p.SignCount,
		timeField{&p.CreatedAt}, timeField{&p.UsedAt}, timeField{&p.ClonedAt}}
}

func deviceFields(d *store.Device) []any {
	return []any{&d.ID, &d.Subject, &d.Name, &d.JKT, &d.ACR, timeField{&d.CreatedAt}, timeField{&d.UsedAt}, timeField{&d.KeptAt}}
}

func subscriptionFields(s *store.Subscription) []any {
	return []any{digestField{&s.ID}, &s.Subject, &s.Endpoint, &s.KeyID, timeField{&s.CreatedAt}}
}

// readOf runs a verb that lists what a user has.
func readOf[T any](ctx context.Context, s *Store, verb, query, subject string, fields func(*T) []any) (records []T, err error) {
	err = s.read(ctx, verb, func(ctx context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, query, subject)
		if err != nil {
			return err
		}
		records, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (record T, err error) {
			err = row.Scan(fields(&record)...)
			return record, err
		})
		return err
	})
	return records, err
}

// Session reads a sign-in that is alive.
func (s *Store) Session(ctx context.Context, session store.Digest) (signedIn store.Session, err error) {
	now := s.moment()
	err = s.read(ctx, "Session", func(ctx context.Context, c *pgx.Conn) error {
		return get(ctx, c, `SELECT `+sessionColumns+` FROM sessions s WHERE s.id = $1 AND s.expires_at > $2
			AND EXISTS (SELECT FROM users u WHERE u.subject = s.subject AND `+signsIn+`)`,
			[]any{session[:], now}, sessionFields(&signedIn)...)
	})
	return signedIn, err
}

// StartSession stores a sign-in and ends a former one.
func (s *Store) StartSession(ctx context.Context, session store.Session, former store.Digest) error {
	arguments := s.named(pgx.StrictNamedArgs{
		"id": session.ID[:], "upstream": digestOrNull(session.Upstream), "sid": session.SID, "subject": session.Subject,
		"auth_time": at(session.AuthTime), "acr": session.ACR,
		"amr": session.AMR, "agent": session.Agent, "expires_at": at(session.ExpiresAt), "epoch": session.Epoch, "former": former[:], "now": s.moment(),
	}).evidence(session.Evidence)
	return s.run(ctx, "StartSession", func(ctx context.Context, c *pgx.Conn) error {
		var batch pgx.Batch
		batch.Queue(`SELECT FROM sessions WHERE id = $1 FOR UPDATE`, former[:])
		batch.Queue(`WITH ended AS (DELETE FROM sessions WHERE id = @former AND id <> @id RETURNING sid, subject
			), `+signout.Replaced+`, evidence AS (`+insertEvidence+`)
			INSERT INTO sessions (id, sid, subject, auth_time, acr, amr, agent, expires_at, epoch, upstream)
			SELECT @id::bytea, `+signout.SID+`, @subject::text, @auth_time::timestamptz, @acr::text, @amr::text[], @agent::text, @expires_at::timestamptz,
				`+ofEpoch+`, @upstream::bytea`, arguments)
		return c.SendBatch(ctx, &batch).Close()
	})
}

// AddPasskey stores a passkey and consumes oneTimes.
func (s *Store) AddPasskey(ctx context.Context, p store.Passkey, oneTimes ...store.OneTime) error {
	arguments := s.named(pgx.StrictNamedArgs{
		"id": p.ID, "subject": p.Subject, "public_key": p.PublicKey, "aaguid": p.AAGUID, "name": p.Name, "synced": p.Synced,
		"sign_count": p.SignCount, "created_at": at(p.CreatedAt), "used_at": at(p.UsedAt), "cloned_at": at(p.ClonedAt),
	}).oneTimes(oneTimes)
	return s.run(ctx, "AddPasskey", func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `WITH consumed_values AS (`+insertOneTimes+inOneOrder+`
			), ended AS (DELETE FROM enrolments WHERE subject = @subject
			), asked AS (
				UPDATE devices SET kept_at = NULL WHERE subject = @subject AND kept_at IS NOT NULL
					AND NOT EXISTS (SELECT FROM passkeys WHERE subject = @subject)
			) INSERT INTO passkeys (`+passkeyColumns+`)
			VALUES (@id, @subject, @public_key, @aaguid, @name, @synced, @sign_count, @created_at, @used_at, @cloned_at)`, arguments)
		return err
	})
}

// Passkey reads a passkey.
func (s *Store) Passkey(ctx context.Context, id []byte) (passkey store.Passkey, err error) {
	err = s.read(ctx, "Passkey", func(ctx context.Context, c *pgx.Conn) error {
		return get(ctx, c, `SELECT `+passkeyColumns+` FROM passkeys WHERE id = $1`, []any{id}, passkeyFields(&passkey)...)
	})
	return passkey, err
}

// Passkeys lists a user's passkeys.
func (s *Store) Passkeys(ctx context.Context, subject string) ([]store.Passkey, error) {
	return readOf(ctx, s, "Passkeys", `SELECT `+passkeyColumns+` FROM passkeys WHERE subject = $1 ORDER BY created_at, id`, subject, passkeyFields)
}

// UsePasskey records the use of a passkey and consumes oneTimes. The row is locked first, so that of two uses with one
// counter the second sees what the first has stored.
func (s *Store) UsePasskey(ctx context.Context, id []byte, use store.PasskeyUse, oneTimes ...store.OneTime) error {
	arguments := s.named(pgx.StrictNamedArgs{"id": id, "count": int64(use.SignCount), "synced": use.Synced, "now": s.moment()}).oneTimes(oneTimes)
	return s.run(ctx, "UsePasskey", func(ctx context.Context, c *pgx.Conn) error {
		var found, clonedBefore, used bool
		var batch pgx.Batch
		batch.Queue(`SELECT FROM passkeys WHERE id = $1 FOR UPDATE`, id)
		batch.Queue(`WITH passkey AS (
				SELECT t.id, t.cloned_at IS NOT NULL AS cloned, t.synced OR @synced::boolean OR t.sign_count < @count::bigint OR t.sign_count = 0 AND @count = 0 AS grown
				FROM passkeys t WHERE t.id = @id AND `+enabled+`
			), moved AS (
				UPDATE passkeys p SET used_at = CASE WHEN grown THEN @now::timestamptz ELSE used_at END,
					sign_count = CASE WHEN grown THEN @count ELSE sign_count END, synced = p.synced OR @synced,
					cloned_at = CASE WHEN grown THEN NULL ELSE @now END
				FROM passkey k WHERE p.id = k.id AND NOT k.cloned RETURNING p.id
			), consumed_values AS (`+insertOneTimes+` CROSS JOIN moved`+inOneOrder+`
			) SELECT EXISTS (SELECT FROM passkey), coalesce((SELECT cloned FROM passkey), false), coalesce((SELECT grown FROM passkey), false)`,
			arguments).QueryRow(func(row pgx.Row) error { return row.Scan(&found, &clonedBefore, &used) })
		err := c.SendBatch(ctx, &batch).Close()
		switch {
		case err != nil:
			return err
		case !found:
			return store.ErrNotFound
		case clonedBefore:
			return store.ErrRevoked
		case !used:
			return store.ErrConflict
		}
		return nil
	})
}

// RemovePasskey removes a passkey of a user.
func (s *Store) RemovePasskey(ctx context.Context, subject string, id []byte) error {
	return s.removed(ctx, "RemovePasskey", `DELETE FROM passkeys WHERE subject = $1 AND id = $2`, subject, id)
}

// PutEnrolment stores a code in place of a user's others.
func (s *Store) PutEnrolment(ctx context.Context, e store.Enrolment) error {
	return s.run(ctx, "PutEnrolment", func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `INSERT INTO enrolments (id, subject, acr, acr_id, created_at, expires_at)
			VALUES (@id, @subject, @acr, @id, @created_at, @expires_at)
			ON CONFLICT (subject) DO UPDATE SET id = excluded.id, acr = excluded.acr, acr_id = excluded.acr_id,
				created_at = excluded.created_at, expires_at = excluded.expires_at`,
			s.named(pgx.StrictNamedArgs{
				"id": e.ID[:], "subject": e.Subject, "acr": e.ACR, "created_at": at(e.CreatedAt), "expires_at": at(e.ExpiresAt),
			}))
		return err
	})
}

// Enrol consumes a code and stores the device.
func (s *Store) Enrol(ctx context.Context, code store.Digest, device store.Device, oneTimes ...store.OneTime) (store.Device, error) {
	now := s.moment()
	arguments := s.named(pgx.StrictNamedArgs{
		"id": device.ID, "name": device.Name, "jkt": device.JKT, "created_at": at(device.CreatedAt), "used_at": at(device.UsedAt),
		"kept_at": at(device.KeptAt), "code": code[:], "now": now,
	}).oneTimes(oneTimes)
	err := s.run(ctx, "Enrol", func(ctx context.Context, c *pgx.Conn) error {
		device.Subject, device.ACR = "", ""
		enrolled, err := one(ctx, c, `WITH consumed AS (
				DELETE FROM enrolments t WHERE id = @code AND expires_at > @now AND `+enabled+` RETURNING subject, `+enrolledACR+` AS acr
			), consumed_values AS (`+insertOneTimes+` CROSS JOIN consumed`+inOneOrder+`
			) INSERT INTO devices (`+deviceColumns+`)
			SELECT @id::text, subject, @name::text, @jkt::text, acr, @created_at::timestamptz, @used_at::timestamptz, @kept_at::timestamptz
			FROM consumed RETURNING subject, acr`,
			[]any{arguments}, &device.Subject, &device.ACR)
		if err != nil || enrolled {
			return err
		}
		var expired bool
		err = get(ctx, c, `SELECT expires_at <= $2 FROM enrolments t WHERE id = $1 AND `+enabled, []any{code[:], now}, &expired)
		if err != nil {
			return err
		}
		if expired {
			return store.ErrExpired
		}
		return store.ErrNotFound
	})
	return device, err
}

// AddDevice stores a device.
func (s *Store) AddDevice(ctx context.Context, device store.Device) error {
	return s.run(ctx, "AddDevice", func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `INSERT INTO devices (`+deviceColumns+`) VALUES (@id, @subject, @name, @jkt, @acr, @created_at, @used_at, @kept_at)`,
			s.named(pgx.StrictNamedArgs{
				"id": device.ID, "subject": device.Subject, "name": device.Name, "jkt": device.JKT, "acr": device.ACR,
				"created_at": at(device.CreatedAt), "used_at": at(device.UsedAt), "kept_at": at(device.KeptAt),
			}))
		return err
	})
}

// DeviceByKey reads the device that has a key.
func (s *Store) DeviceByKey(ctx context.Context, jkt string) (store.Device, error) {
	return readOne(ctx, s, "DeviceByKey", `SELECT `+deviceColumns+` FROM devices WHERE jkt = $1`, jkt, deviceFields)
}

// Devices lists a user's devices.
func (s *Store) Devices(ctx context.Context, subject string) ([]store.Device, error) {
	return readOf(ctx, s, "Devices", `SELECT `+deviceColumns+` FROM devices WHERE subject = $1 ORDER BY created_at, id`, subject, deviceFields)
}

// UseDevice records the use of a device and consumes oneTimes.
func (s *Store) UseDevice(ctx context.Context, id string, oneTimes ...store.OneTime) error {
	arguments := s.named(pgx.StrictNamedArgs{"id": id, "now": s.moment()}).oneTimes(oneTimes)
	return s.run(ctx, "UseDevice", func(ctx context.Context, c *pgx.Conn) error {
		var found bool
		if _, err := one(ctx, c, `WITH used AS (
				UPDATE devices t SET used_at = @now WHERE id = @id AND `+enabled+` RETURNING id
			), consumed_values AS (`+insertOneTimes+` CROSS JOIN used`+inOneOrder+`
			) SELECT EXISTS (SELECT FROM used)`, []any{arguments}, &found); err != nil {
			return err
		}
		if !found {
			return store.ErrNotFound
		}
		return nil
	})
}

// KeepDevices records that a user keeps the devices that are there.
func (s *Store) KeepDevices(ctx context.Context, subject string) error {
	now := s.moment()
	return s.run(ctx, "KeepDevices", func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `UPDATE devices SET kept_at = $2 WHERE subject = $1 AND kept_at IS NULL`, subject, now)
		return err
	})
}

// RemoveDevice removes a device of a user.
func (s *Store) RemoveDevice(ctx context.Context, subject, id string) error {
	return s.removed(ctx, "RemoveDevice", `DELETE FROM devices WHERE subject = $1 AND id = $2`, subject, id)
}

// removed runs a DELETE of one record that must exist.
func (s *Store) removed(ctx context.Context, verb, query string, arguments ...any) error {
	return s.run(ctx, verb, func(ctx context.Context, c *pgx.Conn) error {
		removed, err := c.Exec(ctx, query, arguments...)
		if err != nil {
			return err
		}
		if removed.RowsAffected() == 0 {
			return store.ErrNotFound
		}
		return nil
	})
}

// PutSubscription stores where a browser takes messages.
func (s *Store) PutSubscription(ctx context.Context, p store.Subscription) error {
	return s.run(ctx, "PutSubscription", func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `INSERT INTO subscriptions (`+subscriptionColumns+`) VALUES (@id, @subject, @endpoint, @key_id, @created_at)
			ON CONFLICT (id) DO UPDATE SET subject = excluded.subject, key_id = excluded.key_id, created_at = excluded.created_at`,
			s.named(pgx.StrictNamedArgs{
				"id": p.ID[:], "subject": p.Subject, "endpoint": p.Endpoint, "key_id": p.KeyID, "created_at": at(p.CreatedAt),
			}))
		return err
	})
}

// Subscriptions lists a user's subscriptions.
func (s *Store) Subscriptions(ctx context.Context, subject string) ([]store.Subscription, error) {
	return readOf(ctx, s, "Subscriptions", `SELECT `+subscriptionColumns+` FROM subscriptions WHERE subject = $1 ORDER BY created_at, id`, subject, subscriptionFields)
}

// RemoveSubscription removes a subscription.
func (s *Store) RemoveSubscription(ctx context.Context, id store.Digest) error {
	return s.run(ctx, "RemoveSubscription", func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `DELETE FROM subscriptions WHERE id = $1`, id[:])
		return err
	})
}
