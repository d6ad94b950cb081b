package tokens

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"

	"countersign/fapi/client"
	"countersign/fapi/profile"
	"countersign/internal/audit"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/internal/random"
	"countersign/signer"
	"countersign/store"
)

// Session is the session in which a user allowed a grant.
type Session struct {
	// SID is that of the [store.Session]; clients see what [Subjects.SID] makes of it.
	SID string `json:"sid"`
	// Expires is when the session ended by its time, as it was then.
	Expires int64 `json:"exp"`
}

// SessionOf returns what a grant keeps of a session; nil for one without a SID.
func SessionOf(s *store.Session) *Session {
	if s.SID == "" {
		return nil
	}
	return &Session{SID: s.SID, Expires: s.ExpiresAt.Unix()}
}

// SessionClient returns what is recorded of the client of a grant, so that it is told of the end of the session in which it
// got an ID token with the sub given; nil for one that registered no backchannel_logout_uri, or has no session.
func (v Validated) SessionClient(sub string) *store.SessionClient {
	if v.detail.Session == nil || v.client.Metadata.BackchannelLogoutURI == "" {
		return nil
	}
	return &store.SessionClient{SID: v.detail.Session.SID, ExpiresAt: time.Unix(v.detail.Session.Expires, 0).UTC(), Subject: sub}
}

// SID returns the sid of a session for a client (OpenID Connect Back-Channel Logout 1.0 §2.1). Each client has another one, so
// that clients cannot find out by it which of their users are the same.
func (s *Subjects) SID(ctx context.Context, clientID, sid string) (string, error) {
	if sid == "" {
		return "", nil
	}
	seed, err := s.Seeds.Get(ctx, "session identifiers")
	if err != nil {
		return "", err
	}
	code := hmac.New(sha256.New, seed)
	code.Write([]byte(clientID + "\x00" + sid))
	return base64.RawURLEncoding.EncodeToString(code.Sum(nil)), nil
}

const (
	// logoutEvent is the member of events of a logout token (Back-Channel Logout §2.4).
	logoutEvent = "http://schemas.openid.net/event/backchannel-logout"
	// logoutLifetime is the lifetime of a logout token: Back-Channel Logout §4 recommends at most two minutes.
	logoutLifetime = 2 * time.Minute
)

// logoutClaims are those of a logout token (Back-Channel Logout §2.4). There is no nonce: it would make it an ID token.
type logoutClaims struct {
	Issuer   string              `json:"iss"`
	Subject  string              `json:"sub"`
	Audience string              `json:"aud"`
	IssuedAt int64               `json:"iat"`
	Expires  int64               `json:"exp"`
	ID       string              `json:"jti"`
	SID      string              `json:"sid"`
	Events   map[string]struct{} `json:"events"`
}

// LogoutToken signs, and encrypts like the client's ID tokens, the notice that a session has ended
// (Back-Channel Logout §2.4). Its evidence has to be recorded before it is sent.
func (i *Issuer) LogoutToken(ctx context.Context, c *client.Client, l store.Logout) (string, store.Evidence, error) {
	sid, err := i.Subjects.SID(ctx, c.ID, l.SID)
	if err != nil {
		return "", store.Evidence{}, err
	}
	now := i.Now()
	return i.SignMessage(ctx, c, Message{
		Use: signer.UseIDToken, Kind: audit.LogoutToken, Subject: l.Subject, // as the client knows the user
		Algorithm:  i.AlgorithmFor(c, c.Metadata.IDTokenSignedResponseAlg),
		Encryption: c.Metadata.IDTokenEncryption(),
		Sign: func(ctx context.Context, key jose.SigningKey) (string, error) {
			return jose.Sign(ctx, key, "logout+jwt", logoutClaims{
				Issuer: i.ID, Subject: l.Subject, Audience: c.ID, IssuedAt: now.Unix(), Expires: now.Add(logoutLifetime).Unix(),
				ID: random.Secret(), SID: sid, Events: map[string]struct{}{logoutEvent: {}},
			})
		},
	})
}

// LogoutHint is what the id_token_hint of a logout request says.
type LogoutHint struct {
	// ClientID is the client that the ID token was issued to.
	ClientID string
	// Subject and SID are what the client was told; SID is empty where it was not.
	Subject, SID string
}

// LogoutHint reads the id_token_hint of a logout request (OpenID Connect RP-Initiated Logout 1.0 §2): an ID token that this
// server issued, however long ago, with a key that may have been destroyed since. Such a token moves nothing by itself: what
// follows from it is for the caller to compare. Errors are *[oauth.Error] with invalid_request, or those of signer and store.
func (i *Issuer) LogoutHint(ctx context.Context, raw string) (LogoutHint, error) {
	var hint idTokenClaims
	err := i.verify(ctx, raw, "JWT", &hint)
	if errors.Is(err, jose.ErrNoKey) {
		err = i.verifyDestroyed(ctx, raw, &hint)
	}
	if err != nil && !errors.Is(err, ErrNotOurs) {
		return LogoutHint{}, err
	}
	if err != nil || hint.Issuer != i.ID || hint.Audience == "" || hint.Subject == "" || hint.Expires == 0 {
		return LogoutHint{}, oauth.Errorf(oauth.InvalidRequest,
			"id_token_hint is not an ID token that this server issued (send it as it was signed, not encrypted)").
			Because(cmp.Or(err, ErrNotOurs))
	}
	return LogoutHint{ClientID: hint.Audience, Subject: hint.Subject, SID: hint.SID}, nil
}

// verifyDestroyed verifies a token whose type is right with a key that has been destroyed.
func (i *Issuer) verifyDestroyed(ctx context.Context, raw string, claims any) error {
	parsed, err := jose.Parse(raw, jose.ParseOptions{Algorithms: profile.Algorithms()})
	if err != nil {
		return errors.Join(ErrNotOurs, err)
	}
	destroyed, err := i.Destroyed.DestroyedKeys(ctx)
	if err != nil {
		return err
	}
	for _, key := range destroyed {
		if key.ID != parsed.Header.KeyID || key.Algorithm != parsed.Header.Algorithm {
			continue
		}
		public, err := signer.ParsePublicJWK(key.Public)
		if err != nil {
			return err
		}
		if err := parsed.Verify(public); err != nil {
			return errors.Join(ErrNotOurs, err)
		}
		if err := parsed.Claims(claims); err != nil {
			return errors.Join(ErrNotOurs, err)
		}
		return nil
	}
	return errors.Join(ErrNotOurs, jose.ErrNoKey)
}
