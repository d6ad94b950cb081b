package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store"
)

const (
	grantColumns = `g.id, g.client_id, g.subject, g.scopes, g.detail, g.auth_time, g.acr, g.amr,
		g.created_at, g.expires_at, g.revoked_at`
	codeColumns = `c.id, c.grant_id, c.client_id, c.redirect_uri, c.challenge, c.jkt,
		c.created_at, c.expires_at, c.spent_at, c.failures`
	// personGone tells of a grant whether its person is disabled or no longer there.
	personGone          = `(g.subject <> '' AND NOT EXISTS (SELECT FROM users u WHERE u.subject = g.subject AND NOT u.disabled))`
	refreshTokenColumns = `t.id, t.grant_id, t.client_id, t.created_at, t.expires_at, t.revoked_at`
)

// grantOf joins the grant g of the one row of a table. It leaves the planner no choice: a plan that begins with the grants
// is cheap only while there are few, which is when it would be made.
func grantOf(table string) string {
	return ` CROSS JOIN LATERAL (SELECT * FROM grants WHERE id = ` + table + `.grant_id LIMIT 1) g`
}

// grantStands is a condition on the grant of a row of a table; $2 is now.
func grantStands(table string) string {
	return `(SELECT g.expires_at > $2 AND g.revoked_at IS NULL FROM grants g WHERE g.id = ` + table + `.grant_id)`
}

func grantFields(g *store.Grant) []any {
	return []any{&g.ID, &g.ClientID, &g.Subject, &g.Scopes, (*[]byte)(&g.Detail), timeField{&g.AuthTime},
		&g.ACR, &g.AMR, timeField{&g.CreatedAt}, timeField{&g.ExpiresAt}, timeField{&g.RevokedAt}}
}

// CodeGrant reads a code and its grant.
func (s *Store) CodeGrant(ctx context.Context, code store.Digest) (store.Code, store.Grant, error) {
	var c store.Code
	var g store.Grant
	err := s.read(ctx, "CodeGrant", func(ctx context.Context, conn *pgx.Conn) error {
		fields := []any{digestField{&c.ID}, &c.GrantID, &c.ClientID, &c.RedirectURI, &c.Challenge, &c.JKT,
			timeField{&c.CreatedAt}, timeField{&c.ExpiresAt}, timeField{&c.ConsumedAt}, &c.Failures, &g.PersonGone}
		found, err := one(ctx, conn, `SELECT `+codeColumns+`, `+personGone+`, `+grantColumns+`
			FROM codes c`+grantOf("c")+` WHERE c.id = $1`,
			[]any{code[:]}, append(fields, grantFields(&g)...)...)
		if err == nil && !found {
			return store.ErrNotFound
		}
		return err
	})
	return c, g, err
}

// RedeemCode consumes the code and records what was issued, or revokes the grant of a code that was consumed.
func (s *Store) RedeemCode(ctx context.Context, code store.Digest, issued store.Issued, oneTimes ...store.OneTime) error {
	now := s.moment()
	kinds, keys, untils := s.oneTimeArrays(oneTimes)
	return s.run(ctx, "RedeemCode", func(ctx context.Context, c *pgx.Conn) error {
		var consumed bool
		if _, err := one(ctx, c, `WITH consumed AS (
				UPDATE codes c SET spent_at = $2
				WHERE c.id = $1 AND c.spent_at IS NULL AND c.expires_at > $2 AND `+grantStands("c")+`
				RETURNING c.grant_id, c.client_id
			), `+recordIssued, issuedArguments(code, now, issued, kinds, keys, untils),
			&consumed); err != nil || consumed {
			return err
		}
		return s.unredeemed(ctx, c, code, now, oneTimes)
	})
}

// recordIssued goes on after "consumed", the row that was consumed, with its grant_id and client_id: it records what was issued,
// consumes oneTimes, and tells whether anything was consumed. Its arguments are those of issuedArguments.
const recordIssued = `access AS (
				INSERT INTO access_tokens (id, grant_id, expires_at) SELECT $3::bytea, grant_id, $4::timestamptz FROM consumed
			), refresh AS (
				INSERT INTO refresh_tokens (id, grant_id, client_id, created_at, expires_at, revoked_at)
				SELECT $6::bytea, grant_id, client_id, $7::timestamptz, $8::timestamptz, $9::timestamptz
				FROM consumed WHERE $5::boolean
			), consumed_values AS (` + insertOneTimes + `
				FROM consumed, unnest($10::text[], $11::bytea[], $12::timestamptz[]) AS u (kind, key, until) ORDER BY 1, 2, 3
			)
			SELECT EXISTS (SELECT FROM consumed)`

// issuedArguments are what is consumed ($1), now ($2), and what recordIssued records.
func issuedArguments(consumed store.Digest, now time.Time, issued store.Issued, kinds []string, keys [][]byte, untils []time.Time) []any {
	var refresh store.RefreshToken
	if issued.RefreshToken != nil {
		refresh = *issued.RefreshToken
	}
	return []any{consumed[:], now, issued.AccessToken.ID[:], at(issued.AccessToken.ExpiresAt),
		issued.RefreshToken != nil, refresh.ID[:], at(refresh.CreatedAt), at(refresh.ExpiresAt), at(refresh.RevokedAt),
		kinds, keys, untils}
}

// unredeemed says why a code could not be consumed. One that was consumed before takes its grant with it
// (RFC 6749 §4.1.2), unless it is the same request once more. It is a statement of its own because it must see what the
// winner of a race has written.
func (s *Store) unredeemed(ctx context.Context, c *pgx.Conn, code store.Digest, now time.Time, oneTimes []store.OneTime) error {
	kinds, keys, untils := s.oneTimeArrays(oneTimes)
	var consumed, expired bool
	found, err := one(ctx, c, `WITH code AS (
			SELECT g.id AS grant_id, g.subject, g.client_id, c.spent_at IS NOT NULL AS consumed, least(c.expires_at, g.expires_at) <= $2 AS expired
			FROM codes c`+grantOf("c")+` WHERE c.id = $1
		), ended AS (
			UPDATE grants g SET revoked_at = $2 FROM code WHERE code.consumed AND g.id = code.grant_id AND g.revoked_at IS NULL
		), forgotten AS (
			DELETE FROM consents k USING code WHERE code.consumed AND k.subject = code.subject AND k.client_id = code.client_id
		), consumed_values AS (`+insertOneTimes+`
			FROM code, unnest($3::text[], $4::bytea[], $5::timestamptz[]) AS u (kind, key, until) WHERE code.consumed ORDER BY 1, 2, 3
		)
		SELECT consumed, expired FROM code`, []any{code[:], now, kinds, keys, untils}, &consumed, &expired)
	switch {
	case err != nil:
		return err
	case !found:
		return store.ErrNotFound
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
	err := s.read(ctx, "RefreshGrant", func(ctx context.Context, c *pgx.Conn) error {
		fields := []any{digestField{&t.ID}, &t.GrantID, &t.ClientID,
			timeField{&t.CreatedAt}, timeField{&t.ExpiresAt}, timeField{&t.RevokedAt}, &g.PersonGone}
		found, err := one(ctx, c, `SELECT `+refreshTokenColumns+`, `+personGone+`, `+grantColumns+`
			FROM refresh_tokens t`+grantOf("t")+` WHERE t.id = $1`,
			[]any{token[:]}, append(fields, grantFields(&g)...)...)
		if err == nil && !found {
			return store.ErrNotFound
		}
		return err
	})
	return t, g, err
}

// Refresh records an access token issued for a refresh token that still stands.
func (s *Store) Refresh(ctx context.Context, token store.Digest, issued store.AccessToken, oneTimes ...store.OneTime) error {
	now := s.moment()
	kinds, keys, untils := s.oneTimeArrays(oneTimes)
	return s.run(ctx, "Refresh", func(ctx context.Context, c *pgx.Conn) error {
		var expired, revoked bool
		found, err := one(ctx, c, `WITH token AS (
				SELECT g.id AS grant_id, least(t.expires_at, g.expires_at) <= $2 AS expired,
					coalesce(t.revoked_at, g.revoked_at) IS NOT NULL AS revoked
				FROM refresh_tokens t`+grantOf("t")+` WHERE t.id = $1
			), standing AS (
				SELECT grant_id FROM token WHERE NOT expired AND NOT revoked
			), access AS (
				INSERT INTO access_tokens (id, grant_id, expires_at) SELECT $3::bytea, grant_id, $4::timestamptz FROM standing
			), consumed_values AS (`+insertOneTimes+`
				FROM standing, unnest($5::text[], $6::bytea[], $7::timestamptz[]) AS u (kind, key, until) ORDER BY 1, 2, 3
			)
			SELECT expired, revoked FROM token`,
			[]any{token[:], now, issued.ID[:], at(issued.ExpiresAt), kinds, keys, untils}, &expired, &revoked)
		return standing(found, expired, revoked, err)
	})
}

// AccessGrant reads the grant behind an access token and consumes oneTimes.
func (s *Store) AccessGrant(ctx context.Context, token store.Digest, oneTimes ...store.OneTime) (store.Grant, error) {
	read := `SELECT least(a.expires_at, g.expires_at) <= $2 AS expired, ` + grantColumns + `
		FROM access_tokens a` + grantOf("a") + ` WHERE a.id = $1`
	query, arguments := read, []any{token[:], s.moment()}
	if len(oneTimes) > 0 {
		kinds, keys, untils := s.oneTimeArrays(oneTimes)
		query = `WITH token AS (` + read + `), consumed_values AS (` + insertOneTimes + `
			FROM token, unnest($3::text[], $4::bytea[], $5::timestamptz[]) AS u (kind, key, until)
			WHERE NOT expired AND revoked_at IS NULL ORDER BY 1, 2, 3
			) SELECT * FROM token`
		arguments = append(arguments, kinds, keys, untils)
	}
	var g store.Grant
	run := s.read
	if len(oneTimes) > 0 {
		run = s.run
	}
	err := run(ctx, "AccessGrant", func(ctx context.Context, c *pgx.Conn) error {
		var expired bool
		found, err := one(ctx, c, query, arguments, append([]any{&expired}, grantFields(&g)...)...)
		return standing(found, expired, !g.RevokedAt.IsZero(), err)
	})
	if err != nil {
		return store.Grant{}, err
	}
	return g, nil
}

// standing is the answer about a token that was looked for.
func standing(found, expired, revoked bool, err error) error {
	switch {
	case err != nil:
		return err
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
	kinds, keys, untils := s.oneTimeArrays(oneTimes)
	return s.run(ctx, "IssueToken", func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `WITH granted AS (
				INSERT INTO grants (id, client_id, subject, scopes, detail, auth_time, acr, amr, created_at, expires_at, revoked_at)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
			), issued AS (
				INSERT INTO access_tokens (id, grant_id, expires_at) VALUES ($12, $1, $13)
			) `+insertOneTimes+` FROM unnest($14::text[], $15::bytea[], $16::timestamptz[]) AS u (kind, key, until) ORDER BY 1, 2, 3`,
			grant.ID, grant.ClientID, grant.Subject, grant.Scopes, []byte(grant.Detail), at(grant.AuthTime), grant.ACR, grant.AMR,
			at(grant.CreatedAt), at(grant.ExpiresAt), at(grant.RevokedAt), issued.ID[:], at(issued.ExpiresAt), kinds, keys, untils)
		return err
	})
}

// RevokeAccessToken ends one access token.
func (s *Store) RevokeAccessToken(ctx context.Context, token store.Digest, oneTimes ...store.OneTime) error {
	kinds, keys, untils := s.oneTimeArrays(oneTimes)
	return s.run(ctx, "RevokeAccessToken", func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `WITH ended AS (DELETE FROM access_tokens WHERE id = $1) `+insertOneTimes+`
			FROM unnest($2::text[], $3::bytea[], $4::timestamptz[]) AS u (kind, key, until) ORDER BY 1, 2, 3`,
			token[:], kinds, keys, untils)
		return err
	})
}

// RevokeGrant ends a grant; its codes and tokens end with it because every verb looks at the grant.
func (s *Store) RevokeGrant(ctx context.Context, grantID string, oneTimes ...store.OneTime) error {
	now := s.moment()
	kinds, keys, untils := s.oneTimeArrays(oneTimes)
	return s.run(ctx, "RevokeGrant", func(ctx context.Context, c *pgx.Conn) error {
		var found bool
		_, err := one(ctx, c, `WITH ended AS (
				UPDATE grants SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1 RETURNING subject, client_id
			), forgotten AS (
				DELETE FROM consents k USING ended WHERE k.subject = ended.subject AND k.client_id = ended.client_id
			), consumed_values AS (`+insertOneTimes+`
				FROM ended, unnest($3::text[], $4::bytea[], $5::timestamptz[]) AS u (kind, key, until) ORDER BY 1, 2, 3
			) SELECT EXISTS (SELECT FROM ended)`, []any{grantID, now, kinds, keys, untils}, &found)
		if err == nil && !found {
			return store.ErrNotFound
		}
		return err
	})
}

// ConsumeOneTime consumes all one-time values or none.
func (s *Store) ConsumeOneTime(ctx context.Context, oneTimes ...store.OneTime) error {
	kinds, keys, untils := s.oneTimeArrays(oneTimes)
	return s.run(ctx, "Use", func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, insertOneTimes+`
			FROM unnest($1::text[], $2::bytea[], $3::timestamptz[]) AS u (kind, key, until) ORDER BY 1, 2, 3`, kinds, keys, untils)
		return err
	})
}
