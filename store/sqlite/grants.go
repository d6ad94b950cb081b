package sqlite

import (
	"context"
	"time"

	"countersign/store"
	"countersign/store/sqlite/internal/connection"
	"countersign/store/sqlite/internal/managed"
	"countersign/store/sqlite/internal/signout"
)

const (
	grantColumns = `g.id, g.client_id, g.subject, g.scopes, g.detail, g.auth_time, g.acr, g.amr,
		g.created_at, g.expires_at, g.revoked_at, coalesce(g.managed_id, '')`
	codeColumns = `c.id, c.grant_id, c.client_id, c.redirect_uri, c.challenge, c.jkt,
		c.created_at, c.expires_at, c.spent_at, c.failures`
	// userGone is whether the user of a grant is disabled or deleted.
	userGone            = `(g.subject <> '' AND NOT EXISTS (SELECT 1 FROM users u WHERE u.subject = g.subject AND NOT u.disabled))`
	refreshTokenColumns = `t.id, t.grant_id, t.client_id, t.created_at, t.expires_at, t.revoked_at`
)

func grantFields(g *store.Grant) []any {
	return []any{&g.ID, &g.ClientID, &g.Subject, listField{&g.Scopes}, textField(&g.Detail), timeField{&g.AuthTime},
		&g.ACR, listField{&g.AMR}, timeField{&g.CreatedAt}, timeField{&g.ExpiresAt}, timeField{&g.RevokedAt}, &g.ManagedID}
}

func insertGrant(c *connection.Conn, g *store.Grant) error {
	_, err := c.Exec(`INSERT INTO grants
		(id, client_id, subject, scopes, detail, auth_time, acr, amr, created_at, expires_at, revoked_at, managed_id)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, nullif(?, ''))`,
		g.ID, g.ClientID, g.Subject, list(g.Scopes), text(g.Detail), micros(g.AuthTime), g.ACR, list(g.AMR),
		micros(g.CreatedAt), micros(g.ExpiresAt), micros(g.RevokedAt), g.ManagedID)
	return conflict(err, store.ErrConflict)
}

func insertCode(c *connection.Conn, code *store.Code) error {
	_, err := c.Exec(`INSERT INTO codes
		(id, grant_id, client_id, redirect_uri, challenge, jkt, created_at, expires_at, spent_at, failures)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		code.ID[:], code.GrantID, code.ClientID, code.RedirectURI, code.Challenge, code.JKT,
		micros(code.CreatedAt), micros(code.ExpiresAt), micros(code.ConsumedAt), code.Failures)
	return conflict(err, store.ErrConflict)
}

func insertAccessToken(c *connection.Conn, token store.AccessToken, grantID string) error {
	_, err := c.Exec(`INSERT INTO access_tokens (id, grant_id, expires_at) VALUES (?, ?, ?)`,
		token.ID[:], grantID, micros(token.ExpiresAt))
	if err != nil {
		return conflict(err, store.ErrConflict)
	}
	return insertEvidence(c, token.Evidence)
}

// CodeGrant reads a code and its grant.
func (s *Store) CodeGrant(ctx context.Context, code store.Digest) (store.Code, store.Grant, error) {
	var c store.Code
	var g store.Grant
	err := s.readOften(ctx, "CodeGrant", func(conn *connection.Conn) error {
		fields := []any{digestField{&c.ID}, &c.GrantID, &c.ClientID, &c.RedirectURI, &c.Challenge, &c.JKT,
			timeField{&c.CreatedAt}, timeField{&c.ExpiresAt}, timeField{&c.ConsumedAt}, &c.Failures, &g.UserGone}
		return conn.Get(`SELECT `+codeColumns+`, `+userGone+`, `+grantColumns+`
			FROM codes c JOIN grants g ON g.id = c.grant_id WHERE c.id = `+connection.Blob,
			[]any{code[:]}, append(fields, grantFields(&g)...)...)
	})
	return c, g, err
}

// RedeemCode consumes the code and records what was issued, or revokes the grant of a code that was consumed.
func (s *Store) RedeemCode(ctx context.Context, code store.Digest, issued store.Issued, oneTimes ...store.OneTime) error {
	now := s.moment()
	return s.write(ctx, "RedeemCode", connection.Several, func(c *connection.Conn) error {
		var grantID, clientID string
		consumed, err := c.Update(`UPDATE codes SET spent_at = ?1 WHERE id = ?2 AND spent_at IS NULL AND expires_at > ?1 AND EXISTS
			(SELECT 1 FROM grants g WHERE g.id = codes.grant_id AND g.expires_at > ?1 AND g.revoked_at IS NULL)
			RETURNING grant_id, client_id`, []any{micros(now), code[:]}, &grantID, &clientID)
		if err != nil {
			return err
		}
		if !consumed {
			return unredeemed(c, code, now, issued.Reuse, oneTimes)
		}
		if err := insertIssued(c, issued, grantID, clientID, now); err != nil {
			return err
		}
		return consumeOneTimes(c, oneTimes)
	})
}

// insertIssued stores what was issued with a code or a backchannel request.
func insertIssued(c *connection.Conn, issued store.Issued, grantID, clientID string, now time.Time) error {
	if err := insertAccessToken(c, issued.AccessToken, grantID); err != nil {
		return err
	}
	if issued.Session != nil {
		if err := signout.Record(c, *issued.Session, clientID, now); err != nil {
			return err
		}
	}
	t := issued.RefreshToken
	if t == nil {
		return nil
	}
	_, err := c.Exec(`INSERT INTO refresh_tokens (id, grant_id, client_id, created_at, expires_at, revoked_at)
		VALUES (?, ?, ?, ?, ?, ?)`, t.ID[:], grantID, clientID, micros(t.CreatedAt), micros(t.ExpiresAt), micros(t.RevokedAt))
	return conflict(err, store.ErrConflict)
}

// unredeemed says why a code could not be consumed. One that was consumed before takes its grant with it
// (RFC 6749 §4.1.2), unless it is the same request again.
func unredeemed(c *connection.Conn, code store.Digest, now time.Time, reuse []store.Evidence, oneTimes []store.OneTime) error {
	var grantID string
	var consumed bool
	var end time.Time
	err := c.Get(`SELECT g.id, c.spent_at IS NOT NULL, min(c.expires_at, g.expires_at)
		FROM codes c JOIN grants g ON g.id = c.grant_id WHERE c.id = `+connection.Blob,
		[]any{code[:]}, &grantID, &consumed, timeField{&end})
	switch {
	case err != nil:
		return err
	case consumed:
		if err := consumeOneTimes(c, oneTimes); err != nil {
			return err
		}
		if _, err := revoke(c, grantID, store.RevokedByServer, now); err != nil {
			return err
		}
		if err := insertEvidence(c, reuse); err != nil {
			return err
		}
		return connection.Keep(store.ErrConsumed)
	case !now.Before(end):
		return store.ErrExpired
	}
	return store.ErrRevoked
}

// RedemptionFailed counts a refused redemption.
func (s *Store) RedemptionFailed(ctx context.Context, code store.Digest) (int, error) {
	return s.count(ctx, "RedemptionFailed",
		`UPDATE codes SET failures = failures + 1 WHERE id = ? RETURNING failures`, code)
}

// RefreshGrant reads a refresh token and its grant.
func (s *Store) RefreshGrant(ctx context.Context, token store.Digest) (store.RefreshToken, store.Grant, error) {
	var t store.RefreshToken
	var g store.Grant
	err := s.readOften(ctx, "RefreshGrant", func(c *connection.Conn) error {
		fields := []any{digestField{&t.ID}, &t.GrantID, &t.ClientID,
			timeField{&t.CreatedAt}, timeField{&t.ExpiresAt}, timeField{&t.RevokedAt}, &g.UserGone}
		return c.Get(`SELECT `+refreshTokenColumns+`, `+userGone+`, `+grantColumns+`
			FROM refresh_tokens t JOIN grants g ON g.id = t.grant_id WHERE t.id = `+connection.Blob,
			[]any{token[:]}, append(fields, grantFields(&g)...)...)
	})
	return t, g, err
}

// Refresh records an access token issued for a refresh token that is still valid.
func (s *Store) Refresh(ctx context.Context, token store.Digest, issued store.AccessToken, oneTimes ...store.OneTime) error {
	now := s.moment()
	return s.write(ctx, "Refresh", connection.Several, func(c *connection.Conn) error {
		var grantID string
		var end, used time.Time
		var revoked bool
		err := c.Get(`SELECT g.id, min(t.expires_at, g.expires_at), coalesce(t.revoked_at, g.revoked_at) IS NOT NULL, coalesce(g.used_at, g.created_at)
			FROM refresh_tokens t JOIN grants g ON g.id = t.grant_id WHERE t.id = `+connection.Blob,
			[]any{token[:]}, &grantID, timeField{&end}, &revoked, timeField{&used})
		switch {
		case err != nil:
			return err
		case !now.Before(end):
			return store.ErrExpired
		case revoked:
			return store.ErrRevoked
		}
		if !used.After(now.Add(-store.UsedEvery)) {
			if _, err := c.Exec(`UPDATE grants SET used_at = ? WHERE id = ?`, micros(now), grantID); err != nil {
				return err
			}
		}
		if err := insertAccessToken(c, issued, grantID); err != nil {
			return err
		}
		return consumeOneTimes(c, oneTimes)
	})
}

// AccessGrant reads the grant behind an access token and consumes oneTimes.
func (s *Store) AccessGrant(ctx context.Context, token store.Digest, oneTimes ...store.OneTime) (store.Grant, error) {
	var g store.Grant
	now := s.moment()
	work := func(c *connection.Conn) error {
		var end time.Time
		err := c.Get(`SELECT min(a.expires_at, g.expires_at), `+grantColumns+`
			FROM access_tokens a JOIN grants g ON g.id = a.grant_id WHERE a.id = `+connection.Blob,
			[]any{token[:]}, append([]any{timeField{&end}}, grantFields(&g)...)...)
		switch {
		case err != nil:
			return err
		case !now.Before(end):
			return store.ErrExpired
		case !g.RevokedAt.IsZero():
			return store.ErrRevoked
		}
		return consumeOneTimes(c, oneTimes)
	}
	var err error
	if len(oneTimes) == 0 {
		err = s.read(ctx, "AccessGrant", work)
	} else {
		err = s.write(ctx, "AccessGrant", connection.Several, work)
	}
	if err != nil {
		return store.Grant{}, err
	}
	return g, nil
}

// IssueToken stores a grant with its one token.
func (s *Store) IssueToken(ctx context.Context, grant store.Grant, issued store.AccessToken, oneTimes ...store.OneTime) error {
	return s.write(ctx, "IssueToken", connection.Several, func(c *connection.Conn) error {
		if err := consumeOneTimes(c, oneTimes); err != nil {
			return err
		}
		if err := insertGrant(c, &grant); err != nil {
			return err
		}
		return insertAccessToken(c, issued, grant.ID)
	})
}

// ManagedGrant reads the valid grant that a client knows by a name.
func (s *Store) ManagedGrant(ctx context.Context, clientID, managedID string) (g store.Grant, err error) {
	now := micros(s.moment())
	err = s.read(ctx, "ManagedGrant", func(c *connection.Conn) error {
		return c.Get(`SELECT `+userGone+`, `+grantColumns+` FROM grants g WHERE g.managed_id = ? AND g.client_id = ? AND `+managed.Valid,
			[]any{managedID, clientID, now}, append([]any{&g.UserGone}, grantFields(&g)...)...)
	})
	return g, err
}

// RevokeAccessToken ends one access token.
func (s *Store) RevokeAccessToken(ctx context.Context, token store.Digest, evidence []store.Evidence, oneTimes ...store.OneTime) error {
	return s.write(ctx, "RevokeAccessToken", connection.Several, func(c *connection.Conn) error {
		if err := consumeOneTimes(c, oneTimes); err != nil {
			return err
		}
		if _, err := c.Exec(`DELETE FROM access_tokens WHERE id = ?`, token[:]); err != nil {
			return err
		}
		return insertEvidence(c, evidence)
	})
}

// RevokeGrant ends a grant; its codes and tokens end with it because every verb looks at the grant.
func (s *Store) RevokeGrant(ctx context.Context, grantID, by string, evidence []store.Evidence, oneTimes ...store.OneTime) error {
	return s.write(ctx, "RevokeGrant", connection.Several, func(c *connection.Conn) error {
		if err := consumeOneTimes(c, oneTimes); err != nil {
			return err
		}
		if err := insertEvidence(c, evidence); err != nil {
			return err
		}
		revoked, err := revoke(c, grantID, by, s.moment())
		if err != nil || revoked {
			return err
		}
		return existence(c, `SELECT 1 FROM grants WHERE id = ?`, grantID, nil)
	})
}

// EndClientGrant revokes a grant of a client that was not revoked before.
func (s *Store) EndClientGrant(ctx context.Context, clientID, grantID string, evidence []store.Evidence, oneTimes ...store.OneTime) error {
	return s.write(ctx, "EndClientGrant", connection.Several, func(c *connection.Conn) error {
		var found int
		if err := c.Get(`SELECT 1 FROM grants WHERE id = ? AND client_id = ? AND revoked_at IS NULL`, []any{grantID, clientID}, &found); err != nil {
			return err
		}
		if err := consumeOneTimes(c, oneTimes); err != nil {
			return err
		}
		if err := insertEvidence(c, evidence); err != nil {
			return err
		}
		_, err := revoke(c, grantID, store.RevokedByClient, s.moment())
		return err
	})
}

func revoke(c *connection.Conn, grantID, by string, now time.Time) (bool, error) {
	changed, err := c.Exec(`UPDATE grants SET revoked_at = ?, revoked_by = ? WHERE id = ? AND revoked_at IS NULL`, micros(now), by, grantID)
	if err != nil || changed == 0 {
		return false, err
	}
	_, err = c.Exec(`DELETE FROM consents WHERE (subject, client_id) = (SELECT subject, client_id FROM grants WHERE id = ?)`, grantID)
	return true, err
}
