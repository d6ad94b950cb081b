package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store"
	"countersign/store/postgres/internal/pipeline"
	"countersign/store/postgres/internal/pool"
	"countersign/store/postgres/internal/signout"
)

const (
	grantColumns = `g.id, g.client_id, g.subject, g.scopes, g.detail, g.auth_time, g.acr, g.amr,
		g.created_at, g.expires_at, g.revoked_at, coalesce(g.managed_id, '')`
	// insertGrant stores the grant of grantArguments; a row that it is selected from is a condition.
	insertGrant = `INSERT INTO grants (id, client_id, subject, scopes, detail, auth_time, acr, amr, created_at, expires_at, revoked_at, managed_id)
		SELECT @grant_id::text, @grant_client_id::text, @grant_subject::text, @grant_scopes::text[], @grant_detail::json,
			@grant_auth_time::timestamptz, @grant_acr::text, @grant_amr::text[],
			@grant_created_at::timestamptz, @grant_expires_at::timestamptz, @grant_revoked_at::timestamptz, nullif(@grant_managed_id::text, '')`
	codeColumns = `c.id, c.grant_id, c.client_id, c.redirect_uri, c.challenge, c.jkt,
		c.created_at, c.expires_at, c.spent_at, c.failures`
	// userGone is whether the user of a grant is disabled or deleted.
	userGone            = `(g.subject <> '' AND NOT EXISTS (SELECT FROM users u WHERE u.subject = g.subject AND NOT u.disabled))`
	refreshTokenColumns = `t.id, t.grant_id, t.client_id, t.created_at, t.expires_at, t.revoked_at`
)

// grantOf joins the grant g of the one row of a table. It leaves the planner no choice: a plan that begins with the grants
// is cheap only while there are few, which is when it would be made.
func grantOf(table string) string {
	return ` CROSS JOIN LATERAL (SELECT * FROM grants WHERE id = ` + table + `.grant_id LIMIT 1) g`
}

// grantActive is a condition on a row of a table: its grant is neither expired nor revoked. @now is the time.
func grantActive(table string) string {
	return `(SELECT g.expires_at > @now AND g.revoked_at IS NULL FROM grants g WHERE g.id = ` + table + `.grant_id)`
}

func grantFields(g *store.Grant) []any {
	return []any{&g.ID, &g.ClientID, &g.Subject, &g.Scopes, (*[]byte)(&g.Detail), timeField{&g.AuthTime},
		&g.ACR, &g.AMR, timeField{&g.CreatedAt}, timeField{&g.ExpiresAt}, timeField{&g.RevokedAt}, &g.ManagedID}
}

func grantArguments(g store.Grant) pgx.StrictNamedArgs {
	return pgx.StrictNamedArgs{
		"grant_id": g.ID, "grant_client_id": g.ClientID, "grant_subject": g.Subject, "grant_scopes": g.Scopes, "grant_detail": []byte(g.Detail),
		"grant_auth_time": at(g.AuthTime), "grant_acr": g.ACR, "grant_amr": g.AMR,
		"grant_created_at": at(g.CreatedAt), "grant_expires_at": at(g.ExpiresAt), "grant_revoked_at": at(g.RevokedAt),
		"grant_managed_id": g.ManagedID,
	}
}

// CodeGrant reads a code and its grant.
func (s *Store) CodeGrant(ctx context.Context, code store.Digest) (store.Code, store.Grant, error) {
	var c store.Code
	var g store.Grant
	fields := []any{digestField{&c.ID}, &c.GrantID, &c.ClientID, &c.RedirectURI, &c.Challenge, &c.JKT,
		timeField{&c.CreatedAt}, timeField{&c.ExpiresAt}, timeField{&c.ConsumedAt}, &c.Failures, &g.UserGone}
	err := s.readShared(ctx, "CodeGrant", (&pool.Shared{Statement: pipeline.Statement{
		Order: code, Arguments: []any{code[:]}, Fields: append(fields, grantFields(&g)...),
		SQL: `SELECT ` + codeColumns + `, ` + userGone + `, ` + grantColumns + ` FROM codes c` + grantOf("c") + ` WHERE c.id = $1`,
	}}).OrNotFound())
	return c, g, err
}

// RedeemCode consumes the code and records what was issued, or revokes the grant of a code that was consumed.
func (s *Store) RedeemCode(ctx context.Context, code store.Digest, issued store.Issued, oneTimes ...store.OneTime) error {
	now := s.moment()
	arguments := s.issuedArguments(code, now, issued).oneTimes(oneTimes)
	var consumed bool
	verb := &pool.Shared{Statement: pipeline.Statement{Order: code, Arguments: []any{arguments}, Fields: []any{&consumed}, SQL: `WITH consumed AS (
			UPDATE codes c SET spent_at = @now
			WHERE c.id = @id AND c.spent_at IS NULL AND c.expires_at > @now AND ` + grantActive("c") + `
			RETURNING c.grant_id, c.client_id
		), ` + recordIssued(issued)}}
	return s.runShared(ctx, "RedeemCode", verb.OrElse(&consumed, func(ctx context.Context, c *pgx.Conn) error {
		return s.unredeemed(ctx, c, code, now, issued.Reuse, oneTimes)
	}))
}

// recordIssued continues after "consumed", the row that was consumed, with its grant_id and client_id: it records what was issued,
// consumes oneTimes, and reports whether the row was there. Its arguments are those of issuedArguments.
func recordIssued(issued store.Issued) string {
	if issued.Session == nil {
		return recordTokens // one statement for each of the two, which are few
	}
	return signout.Record + `, ` + recordTokens
}

const recordTokens = `access AS (
				INSERT INTO access_tokens (id, grant_id, expires_at) SELECT @access_id::bytea, grant_id, @access_expires_at::timestamptz FROM consumed
			), refresh AS (
				INSERT INTO refresh_tokens (id, grant_id, client_id, created_at, expires_at, revoked_at)
				SELECT @refresh_id::bytea, grant_id, client_id,
					@refresh_created_at::timestamptz, @refresh_expires_at::timestamptz, @refresh_revoked_at::timestamptz
				FROM consumed WHERE @with_refresh::boolean
			), consumed_values AS (` + insertOneTimes + ` CROSS JOIN consumed` + inOneOrder + `
			), evidence AS (` + insertEvidence + ` CROSS JOIN consumed
			)
			SELECT EXISTS (SELECT FROM consumed)`

// issuedArguments are what is consumed (@id), the time (@now), and what recordIssued records, but for the one-time values.
func (s *Store) issuedArguments(consumed store.Digest, now time.Time, issued store.Issued) namedArguments {
	var refresh store.RefreshToken
	if issued.RefreshToken != nil {
		refresh = *issued.RefreshToken
	}
	arguments := s.named(pgx.StrictNamedArgs{
		"id": consumed[:], "now": now, "access_id": issued.AccessToken.ID[:], "access_expires_at": at(issued.AccessToken.ExpiresAt),
		"with_refresh": issued.RefreshToken != nil, "refresh_id": refresh.ID[:],
		"refresh_created_at": at(refresh.CreatedAt), "refresh_expires_at": at(refresh.ExpiresAt), "refresh_revoked_at": at(refresh.RevokedAt),
	}).evidence(issued.AccessToken.Evidence)
	if issued.Session != nil {
		arguments.with(signout.RecordArguments(*issued.Session))
	}
	return arguments
}

// unredeemed says why a code could not be consumed. One that was consumed before takes its grant with it
// (RFC 6749 §4.1.2), unless it is the same request again. It is a statement of its own because it must see what the
// winner of a race has written.
func (s *Store) unredeemed(
	ctx context.Context, c *pgx.Conn, code store.Digest, now time.Time, reuse []store.Evidence, oneTimes []store.OneTime,
) error {
	arguments := s.named(pgx.StrictNamedArgs{"id": code[:], "now": now}).oneTimes(oneTimes).evidence(reuse)
	var consumed, expired bool
	err := get(ctx, c, `WITH code AS (
			SELECT g.id AS grant_id, g.subject, g.client_id, c.spent_at IS NOT NULL AS consumed, least(c.expires_at, g.expires_at) <= @now AS expired
			FROM codes c`+grantOf("c")+` WHERE c.id = @id
		), ended AS (
			UPDATE grants g SET revoked_at = @now, revoked_by = '`+store.RevokedByServer+`' FROM code WHERE code.consumed AND g.id = code.grant_id AND g.revoked_at IS NULL
		), consents_deleted AS (
			DELETE FROM consents k USING code WHERE code.consumed AND k.subject = code.subject AND k.client_id = code.client_id
		), consumed_values AS (`+insertOneTimes+` CROSS JOIN code WHERE code.consumed`+inOneOrder+`
		), evidence AS (`+insertEvidence+` CROSS JOIN code WHERE code.consumed
		)
		SELECT consumed, expired FROM code`, []any{arguments}, &consumed, &expired)
	switch {
	case err != nil:
		return err
	case consumed:
		return store.ErrConsumed
	case expired:
		return store.ErrExpired
	}
	return store.ErrRevoked
}

// RedemptionFailed counts a refused redemption.
func (s *Store) RedemptionFailed(ctx context.Context, code store.Digest) (int, error) {
	return s.count(ctx, "RedemptionFailed",
		`UPDATE codes SET failures = failures + 1 WHERE id = $1 RETURNING failures`, code)
}

// RefreshGrant reads a refresh token and its grant.
func (s *Store) RefreshGrant(ctx context.Context, token store.Digest) (store.RefreshToken, store.Grant, error) {
	var t store.RefreshToken
	var g store.Grant
	fields := []any{digestField{&t.ID}, &t.GrantID, &t.ClientID,
		timeField{&t.CreatedAt}, timeField{&t.ExpiresAt}, timeField{&t.RevokedAt}, &g.UserGone}
	err := s.readShared(ctx, "RefreshGrant", (&pool.Shared{Statement: pipeline.Statement{
		Order: token, Arguments: []any{token[:]}, Fields: append(fields, grantFields(&g)...),
		SQL: `SELECT ` + refreshTokenColumns + `, ` + userGone + `, ` + grantColumns + ` FROM refresh_tokens t` + grantOf("t") + ` WHERE t.id = $1`,
	}}).OrNotFound())
	return t, g, err
}

// Refresh records an access token issued for a refresh token that is still valid.
func (s *Store) Refresh(ctx context.Context, token store.Digest, issued store.AccessToken, oneTimes ...store.OneTime) error {
	now := s.moment()
	arguments := s.named(pgx.StrictNamedArgs{
		"token": token[:], "now": now, "used_before": now.Add(-store.UsedEvery), "access_id": issued.ID[:], "access_expires_at": at(issued.ExpiresAt),
	}).oneTimes(oneTimes).evidence(issued.Evidence)
	var expired, revoked bool
	verb := &pool.Shared{Statement: pipeline.Statement{Order: token, Arguments: []any{arguments}, Fields: []any{&expired, &revoked}, SQL: `WITH token AS (
			SELECT g.id AS grant_id, least(t.expires_at, g.expires_at) <= @now AS expired,
				coalesce(t.revoked_at, g.revoked_at) IS NOT NULL AS revoked
			FROM refresh_tokens t` + grantOf("t") + ` WHERE t.id = @token
		), active AS (
			SELECT grant_id FROM token WHERE NOT expired AND NOT revoked
		), used AS (
			UPDATE grants g SET used_at = @now FROM active WHERE g.id = active.grant_id AND coalesce(g.used_at, g.created_at) <= @used_before
		), access AS (
			INSERT INTO access_tokens (id, grant_id, expires_at) SELECT @access_id::bytea, grant_id, @access_expires_at::timestamptz FROM active
		), consumed_values AS (` + insertOneTimes + ` CROSS JOIN active` + inOneOrder + `
		), evidence AS (` + insertEvidence + ` CROSS JOIN active
		)
		SELECT expired, revoked FROM token`}}
	verb.Judge = func() error { return tokenState(verb.Found, expired, revoked) }
	return s.runShared(ctx, "Refresh", verb)
}

// AccessGrant reads the grant behind an access token and consumes oneTimes.
func (s *Store) AccessGrant(ctx context.Context, token store.Digest, oneTimes ...store.OneTime) (store.Grant, error) {
	read := `SELECT least(a.expires_at, g.expires_at) <= @now AS expired, ` + grantColumns + `
		FROM access_tokens a` + grantOf("a") + ` WHERE a.id = @token`
	query, run, arguments := read, s.readShared, s.named(pgx.StrictNamedArgs{"token": token[:], "now": s.moment()})
	if len(oneTimes) > 0 {
		query = `WITH token AS (` + read + `), consumed_values AS (` + insertOneTimes + ` CROSS JOIN token
			WHERE NOT expired AND revoked_at IS NULL` + inOneOrder + `
			) SELECT * FROM token`
		run, arguments = s.runShared, arguments.oneTimes(oneTimes)
	}
	var g store.Grant
	var expired bool
	verb := &pool.Shared{Statement: pipeline.Statement{
		Order: pipeline.First(oneTimes, token), SQL: query, Arguments: []any{arguments}, Fields: append([]any{&expired}, grantFields(&g)...),
	}}
	verb.Judge = func() error { return tokenState(verb.Found, expired, !g.RevokedAt.IsZero()) }
	if err := run(ctx, "AccessGrant", verb); err != nil {
		return store.Grant{}, err
	}
	return g, nil
}

// tokenState is the error for the state of a token.
func tokenState(found, expired, revoked bool) error {
	switch {
	case !found:
		return store.ErrNotFound
	case expired:
		return store.ErrExpired
	case revoked:
		return store.ErrRevoked
	}
	return nil
}

// IssueToken stores a grant with its one token.
func (s *Store) IssueToken(ctx context.Context, grant store.Grant, issued store.AccessToken, oneTimes ...store.OneTime) error {
	arguments := s.named(grantArguments(grant)).with(pgx.StrictNamedArgs{
		"access_id": issued.ID[:], "access_expires_at": at(issued.ExpiresAt),
	}).oneTimes(oneTimes).evidence(issued.Evidence)
	return s.runShared(ctx, "IssueToken", &pool.Shared{Statement: pipeline.Statement{
		Order: pipeline.First(oneTimes, issued.ID), Arguments: []any{arguments}, SQL: `WITH granted AS (` + insertGrant + `
			), issued AS (
				INSERT INTO access_tokens (id, grant_id, expires_at) VALUES (@access_id, @grant_id, @access_expires_at)
			), evidence AS (` + insertEvidence + `
			) ` + insertOneTimes + inOneOrder,
	}})
}

// ManagedGrant reads the valid grant that a client knows by a name.
func (s *Store) ManagedGrant(ctx context.Context, clientID, managedID string) (g store.Grant, err error) {
	now := s.moment()
	err = s.read(ctx, "ManagedGrant", func(ctx context.Context, c *pgx.Conn) error {
		return get(ctx, c, `SELECT `+userGone+`, `+grantColumns+` FROM grants g
			WHERE g.managed_id = $1 AND g.client_id = $2 AND g.revoked_at IS NULL AND g.expires_at > $3`,
			[]any{managedID, clientID, now}, append([]any{&g.UserGone}, grantFields(&g)...)...)
	})
	return g, err
}

// RevokeAccessToken ends one access token.
func (s *Store) RevokeAccessToken(ctx context.Context, token store.Digest, evidence []store.Evidence, oneTimes ...store.OneTime) error {
	arguments := s.named(pgx.StrictNamedArgs{"token": token[:]}).oneTimes(oneTimes).evidence(evidence)
	return s.run(ctx, "RevokeAccessToken", func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `WITH ended AS (DELETE FROM access_tokens WHERE id = @token
			), evidence AS (`+insertEvidence+`
			) `+insertOneTimes+inOneOrder, arguments)
		return err
	})
}

// RevokeGrant ends a grant; its codes and tokens end with it because every verb looks at the grant.
func (s *Store) RevokeGrant(ctx context.Context, grantID, by string, evidence []store.Evidence, oneTimes ...store.OneTime) error {
	return s.endGrant(ctx, "RevokeGrant", `id = @id`, pgx.StrictNamedArgs{"id": grantID, "by": by}, evidence, oneTimes)
}

// EndClientGrant revokes a grant of a client that was not revoked before.
func (s *Store) EndClientGrant(ctx context.Context, clientID, grantID string, evidence []store.Evidence, oneTimes ...store.OneTime) error {
	return s.endGrant(ctx, "EndClientGrant", `id = @id AND client_id = @client_id AND revoked_at IS NULL`,
		pgx.StrictNamedArgs{"id": grantID, "client_id": clientID, "by": store.RevokedByClient}, evidence, oneTimes)
}

func (s *Store) endGrant(
	ctx context.Context, verb, condition string, named pgx.StrictNamedArgs, evidence []store.Evidence, oneTimes []store.OneTime,
) error {
	named["now"] = s.moment()
	arguments := s.named(named).oneTimes(oneTimes).evidence(evidence)
	return s.run(ctx, verb, func(ctx context.Context, c *pgx.Conn) error {
		var found bool
		if _, err := one(ctx, c, `WITH ended AS (
				UPDATE grants SET revoked_by = CASE WHEN revoked_at IS NULL THEN @by ELSE revoked_by END, revoked_at = coalesce(revoked_at, @now)
				WHERE `+condition+` RETURNING subject, client_id
			), consents_deleted AS (
				DELETE FROM consents k USING ended WHERE k.subject = ended.subject AND k.client_id = ended.client_id
			), consumed_values AS (`+insertOneTimes+` CROSS JOIN ended`+inOneOrder+`
			), evidence AS (`+insertEvidence+` CROSS JOIN ended
			) SELECT EXISTS (SELECT FROM ended)`, []any{arguments}, &found); err != nil {
			return err
		}
		if !found {
			return store.ErrNotFound
		}
		return nil
	})
}

// ConsumeOneTime consumes all one-time values or none.
func (s *Store) ConsumeOneTime(ctx context.Context, oneTimes ...store.OneTime) error {
	arguments := s.named(pgx.StrictNamedArgs{}).oneTimes(oneTimes)
	return s.runShared(ctx, "ConsumeOneTime", &pool.Shared{Statement: pipeline.Statement{
		Order: pipeline.First(oneTimes, store.Digest{}), SQL: insertOneTimes + inOneOrder, Arguments: []any{arguments},
	}})
}
