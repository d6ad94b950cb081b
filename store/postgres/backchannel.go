package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store"
	"countersign/store/internal/backend"
	"countersign/store/postgres/internal/consents"
	"countersign/store/postgres/internal/managed"
	"countersign/store/postgres/internal/outbox"
)

const (
	backchannelColumns = `b.id, b.client_id, b.subject, b.person, b.parameters, b.ping, b.created_at, b.expires_at, b.interval,
		b.next_poll_at, b.decided_at, b.grant_id, b.device, b.spent_at, b.organisation`
	// userEnabled is a condition on a row b: its user exists and is enabled.
	userEnabled = `EXISTS (SELECT FROM users u WHERE u.subject = b.subject AND NOT u.disabled)`
)

func backchannelFields(b *store.BackchannelRequest) []any {
	return []any{digestField{&b.ID}, &b.ClientID, &b.Subject, digestField{&b.UserKey}, (*[]byte)(&b.Parameters), &b.Ping,
		timeField{&b.CreatedAt}, timeField{&b.ExpiresAt}, durationField{&b.Interval}, timeField{&b.NextPollAt},
		timeField{&b.DecidedAt}, &b.GrantID, &b.Device, timeField{&b.ConsumedAt}, &b.Organisation}
}

// StartBackchannel stores a request within its limits and consumes oneTimes. A user's requests are counted under a lock of
// their own: only a statement that begins after the lock is held sees all of them.
func (s *Store) StartBackchannel(ctx context.Context, b store.BackchannelRequest, limits store.BackchannelLimits, oneTimes ...store.OneTime) error {
	arguments := s.named(pgx.StrictNamedArgs{
		"id": b.ID[:], "client_id": b.ClientID, "subject": b.Subject, "person": b.UserKey[:], "parameters": []byte(b.Parameters),
		"ping": b.Ping, "created_at": at(b.CreatedAt), "expires_at": at(b.ExpiresAt), "interval": b.Interval.Microseconds(),
		"next_poll_at": at(b.NextPollAt), "decided_at": at(b.DecidedAt), "grant_id": b.GrantID, "device": b.Device,
		"spent_at": at(b.ConsumedAt), "organisation": b.Organisation, "now": s.moment(),
		"user_limit": limits.User, "organisation_limit": limits.Organisation, "client_limit": limits.Client,
	}).oneTimes(oneTimes).evidence(b.Evidence)
	return s.run(ctx, "StartBackchannel", func(ctx context.Context, c *pgx.Conn) error {
		var started bool
		var batch pgx.Batch
		batch.Queue(`SELECT pg_advisory_xact_lock(hashtextextended(encode($1, 'hex'), 1))`, b.UserKey[:])
		batch.Queue(`WITH pending AS (
				SELECT client_id, organisation FROM backchannel_requests WHERE person = @person AND decided_at IS NULL AND expires_at > @now
			), started AS (
				INSERT INTO backchannel_requests
				(id, client_id, subject, person, parameters, ping, created_at, expires_at, interval, next_poll_at, decided_at, grant_id, device, spent_at, organisation)
				SELECT @id::bytea, @client_id::text, @subject::text, @person::bytea, @parameters::json, @ping::bytea,
					@created_at::timestamptz, @expires_at::timestamptz, @interval::bigint, @next_poll_at::timestamptz,
					@decided_at::timestamptz, @grant_id::text, @device::text, @spent_at::timestamptz, @organisation::text
				WHERE (SELECT count(*) FROM pending) < @user_limit
					AND (SELECT count(*) FROM pending WHERE organisation = @organisation) < @organisation_limit
					AND (SELECT count(*) FROM pending WHERE client_id = @client_id) < @client_limit
				RETURNING id
			), consumed_values AS (`+insertOneTimes+` CROSS JOIN started`+inOneOrder+`
			), evidence AS (`+insertEvidence+` CROSS JOIN started)
			SELECT EXISTS (SELECT FROM started)`, arguments).
			QueryRow(func(row pgx.Row) error { return row.Scan(&started) })
		if err := c.SendBatch(ctx, &batch).Close(); err != nil {
			return err
		}
		if !started {
			return store.ErrConsumed
		}
		return nil
	})
}

// PendingBackchannel lists the requests that are pending for a user.
func (s *Store) PendingBackchannel(ctx context.Context, subject string) (pending []store.BackchannelRequest, err error) {
	now := s.moment()
	err = s.read(ctx, "PendingBackchannel", func(ctx context.Context, c *pgx.Conn) error {
		pending, err = rows(ctx, c, `SELECT `+backchannelColumns+` FROM backchannel_requests b
			WHERE b.subject = $1 AND b.decided_at IS NULL AND b.expires_at > $2 AND `+userEnabled+` ORDER BY b.created_at, b.id`,
			[]any{subject, now}, backchannelFields)
		return err
	})
	return pending, err
}

// BackchannelRequest reads a request.
func (s *Store) BackchannelRequest(ctx context.Context, id store.Digest) (b store.BackchannelRequest, err error) {
	err = s.read(ctx, "BackchannelRequest", func(ctx context.Context, c *pgx.Conn) error {
		return get(ctx, c, `SELECT `+backchannelColumns+` FROM backchannel_requests b WHERE b.id = $1`, []any{id[:]}, backchannelFields(&b)...)
	})
	return b, err
}

// DecideBackchannel records a decision with its grant and its ping.
func (s *Store) DecideBackchannel(ctx context.Context, d store.BackchannelDecision) error {
	if err := backend.CheckReplaced(d.Replaces, d.Grant); err != nil {
		return fmt.Errorf("postgresql: DecideBackchannel: %w", err)
	}
	var grant store.Grant
	if d.Grant != nil {
		grant = *d.Grant
	}
	now := s.moment()
	arguments := s.named(pgx.StrictNamedArgs{
		"now": now, "device": d.Device, "request": d.Request[:], "subject": d.Subject, "with_grant": d.Grant != nil,
		"remembered": now.Add(-store.DenialsLast),
	}).with(grantArguments(grant)).evidence(d.Evidence)
	lodged, err := consents.Decide(d.Lodged, grant.ID)
	if err != nil {
		return err
	}
	lodged.Arguments(arguments.Values)
	former := managed.Replacing{ID: d.Replaces}
	former.Arguments(arguments.Values)
	return s.run(ctx, "DecideBackchannel", decide(lodged, former, `WITH `+lodged.Before()+`decided AS (
			UPDATE backchannel_requests b SET decided_at = @now, grant_id = @grant_id, device = @device, next_poll_at = @now
			WHERE b.id = @request AND b.subject = @subject AND b.subject <> '' AND b.decided_at IS NULL AND b.expires_at > @now AND `+userEnabled+lodged.Guard()+former.Guard()+`
			RETURNING b.id, b.client_id, b.ping, b.expires_at, b.organisation
		), granted AS (`+insertGrant+` FROM decided WHERE @with_grant::boolean
		), enqueued AS (
			INSERT INTO pings (request_id, client_id, sealed, attempts, due_at, expires_at)
			SELECT id, client_id, ping, 0, @now, expires_at FROM decided WHERE ping IS NOT NULL
		), denied AS (
			INSERT INTO backchannel_standings AS s (subject, organisation, client_id, denials, denied_at)
			SELECT @subject::text, organisation, client_id, 1, @now::timestamptz FROM decided WHERE NOT @with_grant::boolean AND organisation <> ''
			ON CONFLICT (subject, organisation) DO UPDATE SET denied_at = excluded.denied_at,
				client_id = CASE WHEN s.blocked_at IS NULL THEN excluded.client_id ELSE s.client_id END,
				denials = CASE WHEN s.denied_at > @remembered::timestamptz THEN s.denials + 1 ELSE 1 END
		), approved AS (
			UPDATE backchannel_standings s SET denials = 0, denied_at = NULL FROM decided d
			WHERE @with_grant::boolean AND s.subject = @subject AND s.organisation = d.organisation
		`+lodged.After("decided", former.Former())+former.After("decided", "FALSE")+`), evidence AS (`+insertEvidence+` CROSS JOIN decided
		)
		SELECT EXISTS (SELECT FROM decided), `+lodged.Result()+` AND `+former.Result(),
		arguments, func(ctx context.Context, c *pgx.Conn) error { return undecided(ctx, c, d) }))
}

// undecided says why a request could not be decided.
func undecided(ctx context.Context, c *pgx.Conn, d store.BackchannelDecision) error {
	var decided bool
	err := get(ctx, c, `SELECT b.decided_at IS NOT NULL FROM backchannel_requests b
		WHERE b.id = $1 AND b.subject = $2 AND b.subject <> '' AND `+userEnabled, []any{d.Request[:], d.Subject}, &decided)
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
	arguments := s.named(pgx.StrictNamedArgs{"now": now, "slow_down": store.SlowDown.Microseconds(), "id": id[:], "client_id": clientID})
	err = s.run(ctx, "PollBackchannel", func(ctx context.Context, c *pgx.Conn) error {
		p = store.BackchannelPoll{}
		pending, err := one(ctx, c, `UPDATE backchannel_requests b SET early = b.next_poll_at > @now,
			interval = b.interval + CASE WHEN b.next_poll_at > @now THEN @slow_down::bigint ELSE 0 END,
			next_poll_at = @now::timestamptz + (b.interval + CASE WHEN b.next_poll_at > @now THEN @slow_down::bigint ELSE 0 END) * interval '1 microsecond'
			WHERE b.id = @id AND b.client_id = @client_id AND b.decided_at IS NULL AND b.expires_at > @now
			RETURNING b.early, `+backchannelColumns,
			[]any{arguments}, append([]any{&p.Early}, backchannelFields(&p.Request)...)...)
		if err != nil || pending {
			return err
		}
		return polled(ctx, c, id, clientID, now, &p)
	})
	return p, err
}

// polled reads a request that can no longer be decided.
func polled(ctx context.Context, c *pgx.Conn, id store.Digest, clientID string, now time.Time, p *store.BackchannelPoll) error {
	var grant store.Grant
	var granted, enabled bool
	fields := append(backchannelFields(&p.Request), &granted, &enabled)
	err := get(ctx, c, `SELECT `+backchannelColumns+`, g.id IS NOT NULL, `+userEnabled+`,
		coalesce(g.id, ''), coalesce(g.client_id, ''), coalesce(g.subject, ''), g.scopes, g.detail, g.auth_time, coalesce(g.acr, ''), g.amr,
		g.created_at, g.expires_at, g.revoked_at, coalesce(g.managed_id, '')
		FROM backchannel_requests b LEFT JOIN LATERAL (SELECT * FROM grants WHERE id = b.grant_id LIMIT 1) g ON true
		WHERE b.id = $1 AND b.client_id = $2`, []any{id[:], clientID}, append(fields, grantFields(&grant)...)...)
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
	arguments := s.issuedArguments(id, now, issued).oneTimes(oneTimes)
	return s.run(ctx, "RedeemBackchannel", func(ctx context.Context, c *pgx.Conn) error {
		var consumed bool
		if _, err := one(ctx, c, `WITH consumed AS (
				UPDATE backchannel_requests b SET spent_at = @now
				WHERE b.id = @id AND b.spent_at IS NULL AND b.expires_at > @now AND `+userEnabled+` AND `+grantActive("b")+`
				RETURNING b.grant_id, b.client_id
			), `+recordIssued(issued), []any{arguments}, &consumed); err != nil || consumed {
			return err
		}
		return notConsumed(ctx, c, id, now)
	})
}

// notConsumed says why an allowed request could not be consumed. It is a statement of its own because it must see what the
// winner of a race has written.
func notConsumed(ctx context.Context, c *pgx.Conn, id store.Digest, now time.Time) error {
	var consumed, expired, ended bool
	err := get(ctx, c, `SELECT b.spent_at IS NOT NULL, least(b.expires_at, g.expires_at) <= $2,
		g.revoked_at IS NOT NULL OR NOT `+userEnabled+`
		FROM backchannel_requests b`+grantOf("b")+` WHERE b.id = $1`, []any{id[:], now}, &consumed, &expired, &ended)
	switch {
	case err != nil:
		return err
	case consumed:
		return store.ErrConsumed
	case expired:
		return store.ErrExpired
	case ended:
		return store.ErrRevoked
	}
	return store.ErrNotFound // it was allowed after this call had looked
}

// pings are of no use to a client once the request has expired.
func (s *Store) pings() outbox.Outbox {
	return outbox.Outbox{
		Table: "pings", Key: "request_id", Columns: `o.request_id, o.client_id, o.sealed, o.attempts, o.expires_at`, Expires: true,
		Statements: &s.statements, Run: s.run, Moment: s.moment,
	}
}

// ClaimPings leases due pings.
func (s *Store) ClaimPings(ctx context.Context, limit int, lease time.Duration) ([]store.Ping, error) {
	return outbox.Claim(ctx, s.pings(), "ClaimPings", limit, lease, func(row pgx.CollectableRow) (p store.Ping, err error) {
		err = row.Scan(digestField{&p.Request}, &p.ClientID, &p.Sealed, &p.Attempt, timeField{&p.ExpiresAt})
		return p, err
	})
}

// PingDone deletes a ping.
func (s *Store) PingDone(ctx context.Context, request store.Digest) error {
	return s.run(ctx, "PingDone", func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `DELETE FROM pings WHERE request_id = $1`, request[:])
		return err
	})
}

// PingFailed makes a ping due again.
func (s *Store) PingFailed(ctx context.Context, request store.Digest, attempt int, next time.Time) error {
	return s.pings().Failed(ctx, "PingFailed", attempt, next, request[:])
}
