package sqlite

import (
	"context"
	"database/sql"
	"time"

	"countersign/store"
	"countersign/store/internal/backend"
	"countersign/store/sqlite/internal/connection"
	"countersign/store/sqlite/internal/consents"
	"countersign/store/sqlite/internal/managed"
	"countersign/store/sqlite/internal/outbox"
)

const (
	backchannelColumns = `b.id, b.client_id, b.subject, b.person, b.parameters, b.ping, b.created_at, b.expires_at, b.interval,
		b.next_poll_at, b.decided_at, b.grant_id, b.device, b.spent_at, b.organisation`
	// userEnabled is a condition on a row b: its user exists and is enabled.
	userEnabled = `EXISTS (SELECT 1 FROM users u WHERE u.subject = b.subject AND NOT u.disabled)`
)

func backchannelFields(b *store.BackchannelRequest) []any {
	return []any{digestField{&b.ID}, &b.ClientID, &b.Subject, digestField{&b.UserKey}, textField(&b.Parameters), &b.Ping,
		timeField{&b.CreatedAt}, timeField{&b.ExpiresAt}, durationField{&b.Interval}, timeField{&b.NextPollAt},
		timeField{&b.DecidedAt}, &b.GrantID, &b.Device, timeField{&b.ConsumedAt}, &b.Organisation}
}

// StartBackchannel stores a request within its limits and consumes oneTimes.
func (s *Store) StartBackchannel(ctx context.Context, b store.BackchannelRequest, limits store.BackchannelLimits, oneTimes ...store.OneTime) error {
	now := micros(s.moment())
	return s.write(ctx, "StartBackchannel", connection.Several, func(c *connection.Conn) error {
		if err := consumeOneTimes(c, oneTimes); err != nil {
			return err
		}
		stored, err := c.Exec(`INSERT INTO backchannel_requests
			(id, client_id, subject, person, parameters, ping, created_at, expires_at, interval, next_poll_at, decided_at, grant_id, device, spent_at, organisation)
			SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?18 WHERE
			(SELECT count(*) FROM backchannel_requests WHERE person = ?4 AND decided_at IS NULL AND expires_at > ?15) < ?16 AND
			(SELECT count(*) FROM backchannel_requests WHERE person = ?4 AND decided_at IS NULL AND expires_at > ?15 AND client_id = ?2) < ?17 AND
			(SELECT count(*) FROM backchannel_requests WHERE person = ?4 AND decided_at IS NULL AND expires_at > ?15 AND organisation = ?18) < ?19`,
			b.ID[:], b.ClientID, b.Subject, b.UserKey[:], text(b.Parameters), b.Ping, micros(b.CreatedAt), micros(b.ExpiresAt),
			b.Interval.Microseconds(), micros(b.NextPollAt), micros(b.DecidedAt), b.GrantID, b.Device, micros(b.ConsumedAt),
			now, limits.User, limits.Client, b.Organisation, limits.Organisation)
		switch {
		case err != nil:
			return conflict(err, store.ErrConflict)
		case stored == 0:
			return store.ErrConsumed
		}
		return insertEvidence(c, b.Evidence)
	})
}

// PendingBackchannel lists the requests that are pending for a user.
func (s *Store) PendingBackchannel(ctx context.Context, subject string) (pending []store.BackchannelRequest, err error) {
	now := micros(s.moment())
	err = s.read(ctx, "PendingBackchannel", func(c *connection.Conn) error {
		pending = nil
		return c.EachOf(`SELECT `+backchannelColumns+` FROM backchannel_requests b
			WHERE b.subject = ? AND b.decided_at IS NULL AND b.expires_at > ? AND `+userEnabled+` ORDER BY b.created_at, b.id`,
			[]any{subject, now}, func(rows *sql.Rows) error {
				var b store.BackchannelRequest
				err := rows.Scan(backchannelFields(&b)...)
				pending = append(pending, b)
				return err
			})
	})
	return pending, err
}

// BackchannelRequest reads a request.
func (s *Store) BackchannelRequest(ctx context.Context, id store.Digest) (b store.BackchannelRequest, err error) {
	err = s.read(ctx, "BackchannelRequest", func(c *connection.Conn) error {
		return c.Get(`SELECT `+backchannelColumns+` FROM backchannel_requests b WHERE b.id = ?`, []any{id[:]}, backchannelFields(&b)...)
	})
	return b, err
}

// DecideBackchannel records a decision with its grant and its ping.
func (s *Store) DecideBackchannel(ctx context.Context, d store.BackchannelDecision) error {
	now := s.moment()
	grantID := ""
	if d.Grant != nil {
		grantID = d.Grant.ID
	}
	return s.write(ctx, "DecideBackchannel", connection.Several, func(c *connection.Conn) error {
		if err := backend.CheckReplaced(d.Replaces, d.Grant); err != nil {
			return err
		}
		decided, err := c.Exec(`UPDATE backchannel_requests AS b SET decided_at = ?1, grant_id = ?2, device = ?3, next_poll_at = ?1
			WHERE b.id = ?4 AND b.subject = ?5 AND b.subject <> '' AND b.decided_at IS NULL AND b.expires_at > ?1 AND `+userEnabled,
			micros(now), grantID, d.Device, d.Request[:], d.Subject)
		if err != nil {
			return err
		}
		if decided == 0 {
			return undecided(c, d, now)
		}
		if d.Grant != nil {
			if err := insertGrant(c, d.Grant); err != nil {
				return err
			}
		}
		_, err = c.Exec(`INSERT INTO pings (request_id, client_id, sealed, attempts, due_at, expires_at)
			SELECT id, client_id, ping, 0, ?, expires_at FROM backchannel_requests WHERE id = ? AND ping IS NOT NULL`, micros(now), d.Request[:])
		if err != nil {
			return err
		}
		if err := consents.Decide(c, d.Lodged, grantID, d.Replaces, now); err != nil {
			return err
		}
		if err := managed.Replace(c, d.Replaces, d.Grant, now); err != nil {
			return err
		}
		if err := countDecision(c, d, now); err != nil {
			return err
		}
		return insertEvidence(c, d.Evidence)
	})
}

// undecided says why a request could not be decided.
func undecided(c *connection.Conn, d store.BackchannelDecision, now time.Time) error {
	var decided bool
	var end time.Time
	err := c.Get(`SELECT b.decided_at IS NOT NULL, b.expires_at FROM backchannel_requests b
		WHERE b.id = `+connection.Blob+` AND b.subject = ? AND b.subject <> '' AND `+userEnabled, []any{d.Request[:], d.Subject}, &decided, timeField{&end})
	switch {
	case err != nil:
		return err
	case decided:
		return store.ErrConsumed
	}
	return store.ErrExpired
}

// PollBackchannel sets the time of the next poll while the request is pending.
func (s *Store) PollBackchannel(ctx context.Context, id store.Digest, clientID string) (p store.BackchannelPoll, err error) {
	now := s.moment()
	err = s.write(ctx, "PollBackchannel", connection.Single, func(c *connection.Conn) error {
		p = store.BackchannelPoll{}
		pending, err := c.Update(`UPDATE backchannel_requests AS b SET early = (b.next_poll_at > ?1),
			interval = b.interval + iif(b.next_poll_at > ?1, ?2, 0), next_poll_at = ?1 + b.interval + iif(b.next_poll_at > ?1, ?2, 0)
			WHERE b.id = ?3 AND b.client_id = ?4 AND b.decided_at IS NULL AND b.expires_at > ?1
			RETURNING early, id, client_id, subject, person, parameters, ping, created_at, expires_at, interval,
			next_poll_at, decided_at, grant_id, device, spent_at, organisation`,
			[]any{micros(now), store.SlowDown.Microseconds(), id[:], clientID}, append([]any{&p.Early}, backchannelFields(&p.Request)...)...)
		if err != nil || pending {
			return err
		}
		return polled(c, id, clientID, now, &p)
	})
	return p, err
}

// polled reads a request that can no longer be decided.
func polled(c *connection.Conn, id store.Digest, clientID string, now time.Time, p *store.BackchannelPoll) error {
	var grant store.Grant
	var granted, enabled bool
	fields := append(backchannelFields(&p.Request), &granted, &enabled)
	err := c.Get(`SELECT `+backchannelColumns+`, g.id IS NOT NULL, `+userEnabled+`,
		coalesce(g.id, ''), coalesce(g.client_id, ''), coalesce(g.subject, ''), g.scopes, g.detail, g.auth_time, coalesce(g.acr, ''), g.amr,
		g.created_at, g.expires_at, g.revoked_at, coalesce(g.managed_id, '')
		FROM backchannel_requests b LEFT JOIN grants g ON g.id = b.grant_id
		WHERE b.id = `+connection.Blob+` AND b.client_id = ?`, []any{id[:], clientID}, append(fields, grantFields(&grant)...)...)
	if err != nil {
		return err
	}
	if granted {
		if !enabled && grant.RevokedAt.IsZero() {
			grant.RevokedAt = now
		}
		p.Grant = &grant
	}
	if !p.Request.ConsumedAt.IsZero() {
		return store.ErrConsumed
	}
	if !now.Before(p.Request.ExpiresAt) {
		return store.ErrExpired
	}
	return nil
}

// RedeemBackchannel consumes an allowed request and records what was issued.
func (s *Store) RedeemBackchannel(ctx context.Context, id store.Digest, issued store.Issued, oneTimes ...store.OneTime) error {
	now := s.moment()
	return s.write(ctx, "RedeemBackchannel", connection.Several, func(c *connection.Conn) error {
		var grantID, clientID string
		consumed, err := c.Update(`UPDATE backchannel_requests AS b SET spent_at = ?1
			WHERE b.id = ?2 AND b.spent_at IS NULL AND b.expires_at > ?1 AND b.grant_id <> '' AND `+userEnabled+` AND EXISTS
			(SELECT 1 FROM grants g WHERE g.id = b.grant_id AND g.expires_at > ?1 AND g.revoked_at IS NULL)
			RETURNING grant_id, client_id`, []any{micros(now), id[:]}, &grantID, &clientID)
		if err != nil {
			return err
		}
		if !consumed {
			return notConsumed(c, id, now)
		}
		if err := insertIssued(c, issued, grantID, clientID, now); err != nil {
			return err
		}
		return consumeOneTimes(c, oneTimes)
	})
}

// notConsumed says why an allowed request could not be consumed.
func notConsumed(c *connection.Conn, id store.Digest, now time.Time) error {
	var consumed bool
	var end time.Time
	err := c.Get(`SELECT b.spent_at IS NOT NULL, min(b.expires_at, g.expires_at)
		FROM backchannel_requests b JOIN grants g ON g.id = b.grant_id WHERE b.id = `+connection.Blob, []any{id[:]}, &consumed, timeField{&end})
	switch {
	case err != nil:
		return err
	case consumed:
		return store.ErrConsumed
	case !now.Before(end):
		return store.ErrExpired
	}
	return store.ErrRevoked
}

// pings are of no use to a client once the request has expired.
func (s *Store) pings() outbox.Outbox {
	return outbox.Outbox{
		Table: "pings", Key: "request_id", Columns: "request_id, client_id, sealed, attempts, expires_at", Expires: true,
		Write: s.write, Record: insertEvidence, Moment: s.moment,
	}
}

// ClaimPings leases due pings.
func (s *Store) ClaimPings(ctx context.Context, limit int, lease time.Duration) ([]store.Ping, error) {
	return outbox.Claim(ctx, s.pings(), "ClaimPings", limit, lease, func(rows *sql.Rows) (p store.Ping, err error) {
		err = rows.Scan(digestField{&p.Request}, &p.ClientID, &p.Sealed, &p.Attempt, timeField{&p.ExpiresAt})
		return p, err
	})
}

// PingDone deletes a ping.
func (s *Store) PingDone(ctx context.Context, request store.Digest) error {
	return s.write(ctx, "PingDone", connection.Single, func(c *connection.Conn) error {
		_, err := c.Exec(`DELETE FROM pings WHERE request_id = ?`, request[:])
		return err
	})
}

// PingFailed makes a ping due again.
func (s *Store) PingFailed(ctx context.Context, request store.Digest, attempt int, next time.Time) error {
	return s.pings().Failed(ctx, "PingFailed", attempt, next, request[:])
}
