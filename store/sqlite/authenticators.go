package sqlite

import (
	"context"
	"database/sql"

	"countersign/store"
	"countersign/store/sqlite/internal/connection"
)

const (
	passkeyColumns      = `id, subject, public_key, aaguid, name, synced, sign_count, created_at, used_at, cloned_at`
	deviceColumns       = `id, subject, name, jkt, acr, created_at, used_at, kept_at`
	subscriptionColumns = `id, subject, endpoint, key_id, created_at`
	// enrolledACR is what a code says of the sign-in under which it was made.
	enrolledACR = `CASE WHEN acr_id = id THEN acr ELSE '' END`
	// enabled holds for a row whose user can sign in.
	enabled = `EXISTS (SELECT 1 FROM users u WHERE u.subject = t.subject AND NOT u.disabled)`
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
	err = s.read(ctx, verb, func(c *connection.Conn) error {
		return c.EachOf(query, []any{subject}, func(rows *sql.Rows) error {
			var record T
			err := rows.Scan(fields(&record)...)
			records = append(records, record)
			return err
		})
	})
	return records, err
}

// Session reads a sign-in that is alive.
func (s *Store) Session(ctx context.Context, session store.Digest) (signedIn store.Session, err error) {
	now := s.moment()
	err = s.read(ctx, "Session", func(c *connection.Conn) error {
		return c.Get(`SELECT `+sessionColumns+` FROM sessions s WHERE s.id = ? AND s.expires_at > ?
			AND EXISTS (SELECT 1 FROM users u WHERE u.subject = s.subject AND `+signsIn+`)`,
			[]any{session[:], micros(now)}, sessionFields(&signedIn)...)
	})
	return signedIn, err
}

// StartSession stores a sign-in and ends a former one.
func (s *Store) StartSession(ctx context.Context, session store.Session, former store.Digest) error {
	now := s.moment()
	return s.write(ctx, "StartSession", connection.Several, func(c *connection.Conn) error {
		return replaceSession(c, session, now, former)
	})
}

// AddPasskey stores a passkey and consumes oneTimes.
func (s *Store) AddPasskey(ctx context.Context, p store.Passkey, oneTimes ...store.OneTime) error {
	return s.write(ctx, "AddPasskey", connection.Several, func(c *connection.Conn) error {
		if err := consumeOneTimes(c, oneTimes); err != nil {
			return err
		}
		if _, err := c.Exec(`DELETE FROM enrolments WHERE subject = ?`, p.Subject); err != nil {
			return err
		}
		if _, err := c.Exec(`UPDATE devices SET kept_at = NULL WHERE subject = ?1 AND kept_at IS NOT NULL
			AND NOT EXISTS (SELECT 1 FROM passkeys WHERE subject = ?1)`, p.Subject); err != nil {
			return err
		}
		_, err := c.Exec(`INSERT INTO passkeys (`+passkeyColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			p.ID, p.Subject, p.PublicKey, p.AAGUID, p.Name, p.Synced, p.SignCount,
			micros(p.CreatedAt), micros(p.UsedAt), micros(p.ClonedAt))
		return conflict(err, store.ErrConflict)
	})
}

// Passkey reads a passkey.
func (s *Store) Passkey(ctx context.Context, id []byte) (passkey store.Passkey, err error) {
	err = s.read(ctx, "Passkey", func(c *connection.Conn) error {
		return c.Get(`SELECT `+passkeyColumns+` FROM passkeys WHERE id = ?`, []any{id}, passkeyFields(&passkey)...)
	})
	return passkey, err
}

// Passkeys lists a user's passkeys.
func (s *Store) Passkeys(ctx context.Context, subject string) ([]store.Passkey, error) {
	return readOf(ctx, s, "Passkeys", `SELECT `+passkeyColumns+` FROM passkeys WHERE subject = ? ORDER BY created_at, id`, subject, passkeyFields)
}

// UsePasskey records the use of a passkey and consumes oneTimes.
func (s *Store) UsePasskey(ctx context.Context, id []byte, use store.PasskeyUse, oneTimes ...store.OneTime) error {
	now, cloned := micros(s.moment()), false
	err := s.write(ctx, "UsePasskey", connection.Several, func(c *connection.Conn) error {
		cloned = false
		if err := consumeOneTimes(c, oneTimes); err != nil {
			return err
		}
		used, err := c.Exec(`UPDATE passkeys AS t SET used_at = ?1, sign_count = ?2, synced = synced OR ?4
			WHERE id = ?3 AND cloned_at IS NULL AND (synced OR ?4 OR sign_count < ?2 OR sign_count = 0 AND ?2 = 0) AND `+enabled,
			now, use.SignCount, id, use.Synced)
		if err != nil || used > 0 {
			return err
		}
		marked, err := c.Exec(`UPDATE passkeys AS t SET cloned_at = ? WHERE id = ? AND cloned_at IS NULL AND `+enabled, now, id)
		if err != nil {
			return err
		}
		if cloned = marked > 0; cloned {
			return nil // cloned_at must be committed
		}
		return existence(c, `SELECT 1 FROM passkeys AS t WHERE id = ? AND `+enabled, id, store.ErrRevoked)
	})
	if err != nil {
		return err
	}
	if cloned {
		return store.ErrConflict
	}
	return nil
}

// RemovePasskey removes a passkey of a user.
func (s *Store) RemovePasskey(ctx context.Context, subject string, id []byte) error {
	return s.removed(ctx, "RemovePasskey", `DELETE FROM passkeys WHERE subject = ? AND id = ?`, subject, id)
}

// PutEnrolment stores a code in place of a user's others.
func (s *Store) PutEnrolment(ctx context.Context, e store.Enrolment) error {
	return s.write(ctx, "PutEnrolment", connection.Single, func(c *connection.Conn) error {
		_, err := c.Exec(`INSERT INTO enrolments (id, subject, acr, acr_id, created_at, expires_at) VALUES (?1, ?2, ?3, ?1, ?4, ?5)
			ON CONFLICT (subject) DO UPDATE SET id = excluded.id, acr = excluded.acr, acr_id = excluded.acr_id,
				created_at = excluded.created_at, expires_at = excluded.expires_at`,
			e.ID[:], e.Subject, e.ACR, micros(e.CreatedAt), micros(e.ExpiresAt))
		return conflict(err, store.ErrConflict)
	})
}

// Enrol consumes a code and stores the device.
func (s *Store) Enrol(ctx context.Context, code store.Digest, device store.Device, oneTimes ...store.OneTime) (store.Device, error) {
	now := s.moment()
	err := s.write(ctx, "Enrol", connection.Several, func(c *connection.Conn) error {
		var e store.Enrolment
		err := c.Get(`SELECT subject, `+enrolledACR+`, expires_at FROM enrolments AS t WHERE id = ? AND `+enabled, []any{code[:]},
			&e.Subject, &e.ACR, timeField{&e.ExpiresAt})
		switch {
		case err != nil:
			return err
		case !now.Before(e.ExpiresAt):
			return store.ErrExpired
		}
		if err := consumeOneTimes(c, oneTimes); err != nil {
			return err
		}
		if _, err := c.Exec(`DELETE FROM enrolments WHERE id = ?`, code[:]); err != nil {
			return err
		}
		device.Subject, device.ACR = e.Subject, e.ACR
		return insertDevice(c, device)
	})
	return device, err
}

func insertDevice(c *connection.Conn, d store.Device) error {
	_, err := c.Exec(`INSERT INTO devices (`+deviceColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		d.ID, d.Subject, d.Name, d.JKT, d.ACR, micros(d.CreatedAt), micros(d.UsedAt), micros(d.KeptAt))
	return conflict(err, store.ErrConflict)
}

// AddDevice stores a device.
func (s *Store) AddDevice(ctx context.Context, device store.Device) error {
	return s.write(ctx, "AddDevice", connection.Single, func(c *connection.Conn) error { return insertDevice(c, device) })
}

// DeviceByKey reads the device that has a key.
func (s *Store) DeviceByKey(ctx context.Context, jkt string) (store.Device, error) {
	return readOne(ctx, s, "DeviceByKey", `SELECT `+deviceColumns+` FROM devices WHERE jkt = ?`, jkt, deviceFields)
}

// Devices lists a user's devices.
func (s *Store) Devices(ctx context.Context, subject string) ([]store.Device, error) {
	return readOf(ctx, s, "Devices", `SELECT `+deviceColumns+` FROM devices WHERE subject = ? ORDER BY created_at, id`, subject, deviceFields)
}

// UseDevice records the use of a device and consumes oneTimes.
func (s *Store) UseDevice(ctx context.Context, id string, oneTimes ...store.OneTime) error {
	return s.write(ctx, "UseDevice", connection.Several, func(c *connection.Conn) error {
		used, err := c.Exec(`UPDATE devices AS t SET used_at = ? WHERE id = ? AND `+enabled, micros(s.moment()), id)
		if err != nil {
			return err
		}
		if used == 0 {
			return store.ErrNotFound
		}
		return consumeOneTimes(c, oneTimes)
	})
}

// KeepDevices records that a user keeps the devices that are there.
func (s *Store) KeepDevices(ctx context.Context, subject string) error {
	now := micros(s.moment())
	return s.write(ctx, "KeepDevices", connection.Single, func(c *connection.Conn) error {
		_, err := c.Exec(`UPDATE devices SET kept_at = ? WHERE subject = ? AND kept_at IS NULL`, now, subject)
		return err
	})
}

// RemoveDevice removes a device of a user.
func (s *Store) RemoveDevice(ctx context.Context, subject, id string) error {
	return s.removed(ctx, "RemoveDevice", `DELETE FROM devices WHERE subject = ? AND id = ?`, subject, id)
}

// removed runs a DELETE of one record that must exist.
func (s *Store) removed(ctx context.Context, verb, query string, arguments ...any) error {
	return s.write(ctx, verb, connection.Single, func(c *connection.Conn) error {
		removed, err := c.Exec(query, arguments...)
		if err != nil {
			return err
		}
		if removed == 0 {
			return store.ErrNotFound
		}
		return nil
	})
}

// PutSubscription stores where a browser takes messages.
func (s *Store) PutSubscription(ctx context.Context, p store.Subscription) error {
	return s.write(ctx, "PutSubscription", connection.Single, func(c *connection.Conn) error {
		_, err := c.Exec(`INSERT INTO subscriptions (`+subscriptionColumns+`) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET subject = excluded.subject, key_id = excluded.key_id, created_at = excluded.created_at`,
			p.ID[:], p.Subject, p.Endpoint, p.KeyID, micros(p.CreatedAt))
		return err
	})
}

// Subscriptions lists a user's subscriptions.
func (s *Store) Subscriptions(ctx context.Context, subject string) ([]store.Subscription, error) {
	return readOf(ctx, s, "Subscriptions", `SELECT `+subscriptionColumns+` FROM subscriptions WHERE subject = ? ORDER BY created_at, id`, subject, subscriptionFields)
}

// RemoveSubscription removes a subscription.
func (s *Store) RemoveSubscription(ctx context.Context, id store.Digest) error {
	return s.write(ctx, "RemoveSubscription", connection.Single, func(c *connection.Conn) error {
		_, err := c.Exec(`DELETE FROM subscriptions WHERE id = ?`, id[:])
		return err
	})
}
