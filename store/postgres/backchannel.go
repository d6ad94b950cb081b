package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store"
)

const (
	backchannelColumns = `b.id, b.client_id, b.subject, b.person, b.parameters, b.ping, b.created_at, b.expires_at, b.interval,
		b.next_poll_at, b.decided_at, b.grant_id, b.device, b.spent_at`
	// askable is a person who may be asked; it wants the table as b.
	askable = `EXISTS (SELECT FROM users u WHERE u.subject = b.subject AND NOT u.disabled)`
)

func backchannelFields(b *store.BackchannelRequest) []any {
	return []any{digestField{&b.ID}, &b.ClientID, &b.Subject, digestField{&b.Person}, (*[]byte)(&b.Parameters), &b.Ping,
		timeField{&b.CreatedAt}, timeField{&b.ExpiresAt}, durationField{&b.Interval}, timeField{&b.NextPollAt},
		timeField{&b.DecidedAt}, &b.GrantID, &b.Device, timeField{&b.ConsumedAt}}
}

// StartBackchannel stores a request within its limits and consumes oneTimes. A person's requests are counted under a lock of
// its own: only a statement that begins after the lock is had sees all of them.
func (s *Store) StartBackchannel(ctx context.Context, b store.BackchannelRequest, limits store.BackchannelLimits, oneTimes ...store.OneTime) error {
	now := s.moment()
	kinds, keys, untils := s.oneTimeArrays(oneTimes)
	chains, times, bodies := evidenceArrays(b.Evidence)
	return s.run(ctx, "StartBackchannel", func(ctx context.Context, c *pgx.Conn) error {
		var started bool
		var batch pgx.Batch
		batch.Queue(`SELECT pg_advisory_xact_lock(hashtextextended(encode($1, 'hex'), 1))`, b.Person[:])
		batch.Queue(`WITH pending AS (
				SELECT client_id FROM backchannel_requests WHERE person = $4 AND decided_at IS NULL AND expires_at > $15
			), started AS (
				INSERT INTO backchannel_requests
				(id, client_id, subject, person, parameters, ping, created_at, expires_at, interval, next_poll_at, decided_at, grant_id, device, spent_at)
				SELECT $1::bytea, $2::text, $3::text, $4::bytea, $5::json, $6::bytea, $7::timestamptz, $8::timestamptz, $9::bigint,
					$10::timestamptz, $11::timestamptz, $12::text, $13::text, $14::timestamptz
				WHERE (SELECT count(*) FROM pending) < $16 AND (SELECT count(*) FROM pending WHERE client_id = $2) < $17
				RETURNING id
			), consumed_values AS (`+insertOneTimes+`
				FROM started, unnest($18::text[], $19::bytea[], $20::timestamptz[]) AS u (kind, key, until) ORDER BY 1, 2, 3
			), evidence AS (`+insertEvidence+` FROM started, unnest($21::text[], $22::timestamptz[], $23::text[]) AS e (chain, at, body))
			SELECT EXISTS (SELECT FROM started)`,
			b.ID[:], b.ClientID, b.Subject, b.Person[:], []byte(b.Parameters), b.Ping, at(b.CreatedAt), at(b.ExpiresAt),
			b.Interval.Microseconds(), at(b.NextPollAt), at(b.DecidedAt), b.GrantID, b.Device, at(b.ConsumedAt),
			now, limits.Person, limits.Client, kinds, keys, untils, chains, times, bodies).
			QueryRow(func(row pgx.Row) error { return row.Scan(&started) })
		err := c.SendBatch(ctx, &batch).Close()
		if err == nil && !started {
			return store.ErrConsumed
		}
		return err
	})
}

// PendingBackchannel lists what waits for a person.
func (s *Store) PendingBackchannel(ctx context.Context, subject string) (pending []store.BackchannelRequest, err error) {
	now := s.moment()
	err = s.read(ctx, "PendingBackchannel", func(ctx context.Context, c *pgx.Conn) error {
		pending, err = rows(ctx, c, `SELECT `+backchannelColumns+` FROM backchannel_requests b
			WHERE b.subject = $1 AND b.decided_at IS NULL AND b.expires_at > $2 AND `+askable+` ORDER BY b.created_at, b.id`,
			[]any{subject, now}, backchannelFields)
		return err
	})
	return pending, err
}

// BackchannelRequest reads a request.
func (s *Store) BackchannelRequest(ctx context.Context, id store.Digest) (b store.BackchannelRequest, err error) {
	err = s.read(ctx, "BackchannelRequest", func(ctx context.Context, c *pgx.Conn) error {
		found, err := one(ctx, c, `SELECT `+backchannelColumns+` FROM backchannel_requests b WHERE b.id = $1`, []any{id[:]}, backchannelFields(&b)...)
		if err == nil && !found {
			return store.ErrNotFound
		}
		return err
	})
	return b, err
}

// DecideBackchannel records a decision with its grant and its ping.
func (s *Store) DecideBackchannel(ctx context.Context, d store.BackchannelDecision) error {
	now := s.moment()
	var grant store.Grant
	if d.Grant != nil {
		grant = *d.Grant
	}
	return s.run(ctx, "DecideBackchannel", func(ctx context.Context, c *pgx.Conn) error {
		var decided bool
		if _, err := one(ctx, c, `WITH decided AS (
				UPDATE backchannel_requests b SET decided_at = $1, grant_id = $5, device = $2, next_poll_at = $1
				WHERE b.id = $3 AND b.subject = $4 AND b.subject <> '' AND b.decided_at IS NULL AND b.expires_at > $1 AND `+askable+`
				RETURNING b.id, b.client_id, b.ping, b.expires_at
			), granted AS (
				INSERT INTO grants (id, client_id, subject, scopes, detail, auth_time, acr, amr, created_at, expires_at, revoked_at)
				SELECT $5::text, $6::text, $7::text, $8::text[], $9::json, $10::timestamptz, $11::text, $12::text[],
					$13::timestamptz, $14::timestamptz, $15::timestamptz
				FROM decided WHERE $16::boolean
			), enqueued AS (
				INSERT INTO pings (request_id, client_id, sealed, attempts, due_at, expires_at)
				SELECT id, client_id, ping, 0, $1, expires_at FROM decided WHERE ping IS NOT NULL
			)
			SELECT EXISTS (SELECT FROM decided)`,
			[]any{now, d.Device, d.Request[:], d.Subject, grant.ID, grant.ClientID, grant.Subject, grant.Scopes, []byte(grant.Detail),
				at(grant.AuthTime), grant.ACR, grant.AMR, at(grant.CreatedAt), at(grant.ExpiresAt), at(grant.RevokedAt), d.Grant != nil},
			&decided); err != nil || decided {
			return err
		}
		return undecided(ctx, c, d)
	})
}

// undecided says why a request could not be decided.
func undecided(ctx context.Context, c *pgx.Conn, d store.BackchannelDecision) error {
	var decided bool
	found, err := one(ctx, c, `SELECT b.decided_at IS NOT NULL FROM backchannel_requests b
		WHERE b.id = $1 AND b.subject = $2 AND b.subject <> '' AND `+askable, []any{d.Request[:], d.Subject}, &decided)
	switch {
	case err != nil:
		return err
	case !found:
		return store.ErrNotFound
	case decided:
		return store.ErrConsumed
	}
	return store.ErrExpired
}

// PollBackchannel sets the time of the next poll while nobody has decided.
func (s *Store) PollBackchannel(ctx context.Context, id store.Digest, clientID string) (p store.BackchannelPoll, err error) {
	now := s.moment()
	err = s.run(ctx, "PollBackchannel", func(ctx context.Context, c *pgx.Conn) error {
		p = store.BackchannelPoll{}
		pending, err := one(ctx, c, `UPDATE backchannel_requests b SET early = b.next_poll_at > $1,
			interval = b.interval + CASE WHEN b.next_poll_at > $1 THEN $2::bigint ELSE 0 END,
			next_poll_at = $1::timestamptz + (b.interval + CASE WHEN b.next_poll_at > $1 THEN $2::bigint ELSE 0 END) * interval '1 microsecond'
			WHERE b.id = $3 AND b.client_id = $4 AND b.decided_at IS NULL AND b.expires_at > $1
			RETURNING b.early, `+backchannelColumns,
			[]any{now, store.SlowDown.Microseconds(), id[:], clientID}, append([]any{&p.Early}, backchannelFields(&p.Request)...)...)
		if err != nil || pending {
			return err
		}
		return polled(ctx, c, id, clientID, now, &p)
	})
	return p, err
}

// polled reads a request that nobody can decide any more.
func polled(ctx context.Context, c *pgx.Conn, id store.Digest, clientID string, now time.Time, p *store.BackchannelPoll) error {
	var grant store.Grant
	var granted, there bool
	fields := append(backchannelFields(&p.Request), &granted, &there)
	found, err := one(ctx, c, `SELECT `+backchannelColumns+`, g.id IS NOT NULL, `+askable+`,
		coalesce(g.id, ''), coalesce(g.client_id, ''), coalesce(g.subject, ''), g.scopes, g.detail, g.auth_time, coalesce(g.acr, ''), g.amr,
		g.created_at, g.expires_at, g.revoked_at
		FROM backchannel_requests b LEFT JOIN LATERAL (SELECT * FROM grants WHERE id = b.grant_id LIMIT 1) g ON true
		WHERE b.id = $1 AND b.client_id = $2`, []any{id[:], clientID}, append(fields, grantFields(&grant)...)...)
	if err == nil && found && granted {
		if !there && grant.RevokedAt.IsZero() {
			grant.RevokedAt = now
		}
		p.Grant = &grant
	}
	switch {
	case err != nil:
		return err
	case !found:
		return store.ErrNotFound
	case !p.Request.ConsumedAt.IsZero():
		return store.ErrConsumed
	case !now.Before(p.Request.ExpiresAt):
		return store.ErrExpired
	}
	return nil
}

// RedeemBackchannel consumes an allowed request and records what was issued.
func (s *Store) RedeemBackchannel(ctx context.Context, id store.Digest, issued store.Issued, oneTimes ...store.OneTime) error {
	now := s.moment()
	kinds, keys, untils := s.oneTimeArrays(oneTimes)
	return s.run(ctx, "RedeemBackchannel", func(ctx context.Context, c *pgx.Conn) error {
		var consumed bool
		if _, err := one(ctx, c, `WITH consumed AS (
				UPDATE backchannel_requests b SET spent_at = $2
				WHERE b.id = $1 AND b.spent_at IS NULL AND b.expires_at > $2 AND `+askable+` AND `+grantStands("b")+`
				RETURNING b.grant_id, b.client_id
			), `+recordIssued, issuedArguments(id, now, issued, kinds, keys, untils),
			&consumed); err != nil || consumed {
			return err
		}
		return notConsumed(ctx, c, id, now)
	})
}

// notConsumed says why an allowed request could not be consumed. It is a statement of its own because it must see what the
// winner of a race has written.
func notConsumed(ctx context.Context, c *pgx.Conn, id store.Digest, now time.Time) error {
	var consumed, expired, ended bool
	found, err := one(ctx, c, `SELECT b.spent_at IS NOT NULL, least(b.expires_at, g.expires_at) <= $2,
		g.revoked_at IS NOT NULL OR NOT `+askable+`
		FROM backchannel_requests b`+grantOf("b")+` WHERE b.id = $1`, []any{id[:], now}, &consumed, &expired, &ended)
	switch {
	case err != nil:
		return err
	case !found:
		return store.ErrNotFound
	case consumed:
		return store.ErrConsumed
	case expired:
		return store.ErrExpired
	case ended:
		return store.ErrRevoked
	}
	return store.ErrNotFound // it was allowed after this call had looked
}

// ClaimPings hands out pings that are due. Nodes that claim at once pass over each other's.
func (s *Store) ClaimPings(ctx context.Context, limit int, lease time.Duration) (pings []store.Ping, err error) {
	now := s.moment()
	err = s.run(ctx, "ClaimPings", func(ctx context.Context, c *pgx.Conn) error {
		pings, err = rows(ctx, c, `WITH due AS MATERIALIZED (
				SELECT request_id FROM pings WHERE due_at <= $1 AND expires_at > $1 ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED
			)
			UPDATE pings p SET due_at = $2, attempts = p.attempts + 1 FROM due WHERE p.request_id = due.request_id
			RETURNING p.request_id, p.client_id, p.sealed, p.attempts, p.expires_at`, []any{now, now.Add(lease), limit},
			func(p *store.Ping) []any {
				return []any{digestField{&p.Request}, &p.ClientID, &p.Sealed, &p.Attempt, timeField{&p.ExpiresAt}}
			})
		return err
	})
	return pings, err
}

// PingDone forgets a ping.
func (s *Store) PingDone(ctx context.Context, request store.Digest) error {
	return s.run(ctx, "PingDone", func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `DELETE FROM pings WHERE request_id = $1`, request[:])
		return err
	})
}

// PingFailed makes a ping due again.
func (s *Store) PingFailed(ctx context.Context, request store.Digest, attempt int, next time.Time) error {
	return s.run(ctx, "PingFailed", func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `UPDATE pings SET due_at = $3 WHERE request_id = $1 AND attempts = $2`, request[:], attempt, at(next))
		return err
	})
}
