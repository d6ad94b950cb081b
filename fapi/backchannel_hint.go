package fapi

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"

	"countersign/ciba"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/store"
)

// What a login_hint may be.
const (
	hintUsername = "username"
	hintSubject  = "subject"
)

const (
	// maxPerson bounds a user name or a subject, in bytes; nothing longer can have been stored.
	maxPerson = 255
	// maxHintTokenLife bounds exp of a login_hint_token, counted from now.
	maxHintTokenLife = 10 * time.Minute
)

// HintIssuer signs tokens that say who is to be asked (CIBA Core §7.1, login_hint_token).
type HintIssuer struct {
	// Issuer is the iss of its tokens.
	Issuer string
	// Keys verify them.
	Keys jose.KeySet
}

// askedPerson is who a request means.
type askedPerson struct {
	// subject is empty when nobody may be asked.
	subject string
	// person stands for who is meant, known or not.
	person store.Digest
	// code is the hash of the person's user code, or empty.
	code string
}

// whoIsAsked finds who a request means. A hint that proves nothing and means nobody is no error: see
// backchannelAuthentication.
func (s *Server) whoIsAsked(ctx context.Context, c *call, asked ciba.Request) (askedPerson, error) {
	switch asked.HintKind {
	case ciba.IDTokenHint:
		subject, err := s.readIDTokenHint(ctx, c.client, asked.Hint)
		if err != nil {
			return askedPerson{}, err
		}
		return s.lookUp(ctx, hintSubject, subject)
	case ciba.LoginHintToken:
		kind, value, err := s.readHintToken(c, asked.Hint)
		if err != nil {
			return askedPerson{}, err
		}
		return s.lookUp(ctx, kind, value)
	}
	return s.lookUp(ctx, s.config.Backchannel.LoginHint, asked.Hint)
}

// lookUp finds a person by user name or subject.
func (s *Server) lookUp(ctx context.Context, kind, value string) (askedPerson, error) {
	nobody := askedPerson{person: store.DigestOf("unknown " + kind + "\x00" + value)}
	if value == "" || len(value) > maxPerson || strings.ContainsFunc(value, unicode.IsControl) {
		return nobody, nil
	}
	find := s.store.UserByName
	if kind == hintSubject {
		find = s.store.User
	}
	user, err := find(ctx, value)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nobody, nil
	case err != nil:
		return askedPerson{}, err
	}
	who := askedPerson{subject: user.Subject, person: store.DigestOf("person\x00" + user.Subject), code: user.UserCode}
	if user.Disabled {
		who.subject, who.code = "", ""
	}
	return who, nil
}

// readIDTokenHint gives the subject of an ID token that this server issued to this client, which may have expired.
func (s *Server) readIDTokenHint(ctx context.Context, client *Client, raw string) (string, error) {
	var hint idTokenClaims
	err := s.verifyOwn(ctx, raw, "JWT", &hint)
	if err == nil && (hint.Issuer != s.config.Issuer || hint.Audience != client.ID || hint.Subject == "") {
		err = errNotOurs
	}
	if errors.Is(err, errNotOurs) {
		return "", oauth.Errorf(oauth.InvalidRequest, "id_token_hint is not an ID token that this server issued to this client").Because(err)
	}
	if err == nil && client.sector != "" {
		return "", oauth.Errorf(oauth.InvalidRequest, "the subjects that this client knows are pairwise and cannot be traced to people, not here either; send login_hint or login_hint_token")
	}
	return hint.Subject, err
}

// hintTokenClaims are those of a login_hint_token. Who is meant is a subject identifier (RFC 9493).
type hintTokenClaims struct {
	Issuer   string            `json:"iss"`
	Audience jose.Audience     `json:"aud"`
	ID       string            `json:"jti"`
	Expires  *jose.NumericDate `json:"exp"`
	IssuedAt *jose.NumericDate `json:"iat"`
	Person   struct {
		Format string `json:"format"`
		// ID is a subject of this server, with the format opaque.
		ID string `json:"id"`
		// URI is acct: with a user name, @ and this server's host, with the format account.
		URI string `json:"uri"`
	} `json:"sub_id"`
}

// hintTokenFormats are the formats of subject identifiers that are understood (RFC 9493 §3.2.1, §3.2.4).
func hintTokenFormats() []string { return []string{"account", "opaque"} }

// readHintToken verifies a login_hint_token and gives what is to be looked up. It is good once.
func (s *Server) readHintToken(c *call, raw string) (kind, value string, err error) {
	issuers := s.config.Backchannel.HintIssuers
	if len(issuers) == 0 {
		return "", "", hintRefused("is not supported here; send login_hint or id_token_hint")
	}
	claims, err := verifyHintToken(raw, issuers, s.config.Issuer, s.now(), c.client.Profile.MaxAhead)
	if err != nil {
		return "", "", err
	}
	if kind, value, err = claims.person(hostOf(s.config.Issuer)); err != nil {
		return "", "", err
	}
	c.uses = append(c.uses, store.OneTime{
		Kind: "login_hint_token", Key: store.DigestOf(claims.Issuer + "\x00" + claims.ID), Until: claims.Expires.Time().Add(clockDifference),
	})
	return kind, value, nil
}

func hintRefused(format string, arguments ...any) error {
	return oauth.Errorf(oauth.InvalidRequest, "login_hint_token "+format, arguments...)
}

// verifyHintToken holds a login_hint_token to its rules, at a time and with a tolerance for clocks that are ahead.
func verifyHintToken(raw string, issuers []HintIssuer, audience string, now time.Time, ahead time.Duration) (hintTokenClaims, error) {
	var claims hintTokenClaims
	token, err := jose.Parse(raw, jose.ParseOptions{Algorithms: FAPI2Security().Algorithms})
	if err != nil {
		return claims, hintRefused("cannot be read: %v", err)
	}
	if header := token.Header; header.Type != "" && !header.HasType("JWT") {
		return claims, hintRefused("has the typ of another kind of token; JWT is right")
	}
	if err := token.Claims(&claims); err != nil {
		return claims, hintRefused("has claims that cannot be read: %v", err)
	}
	err = errors.New("its issuer is not one that is believed here")
	for _, issuer := range issuers {
		if issuer.Issuer == claims.Issuer {
			err = token.VerifyWith(issuer.Keys)
		}
	}
	switch {
	case err != nil:
		return claims, hintRefused("is not acceptable: %v", err)
	case !claims.Audience.Contains(audience):
		return claims, hintRefused("must have %s as its aud", audience)
	case claims.ID == "" || len(claims.ID) > maxJTI:
		return claims, hintRefused("needs a jti of 1 to %d bytes", maxJTI)
	case claims.Expires == nil || claims.IssuedAt == nil:
		return claims, hintRefused("needs iat and exp")
	case claims.IssuedAt.Time().After(now.Add(ahead)):
		return claims, hintRefused("is from the future")
	case claims.Expires.Time().After(now.Add(maxHintTokenLife + ahead)):
		return claims, hintRefused("lives too long; its exp may be at most %s ahead", maxHintTokenLife)
	case !now.Before(claims.Expires.Time()):
		return claims, oauth.Errorf(oauth.ExpiredLoginHintToken, "login_hint_token has expired; get a new one")
	}
	return claims, nil
}

// person gives what is to be looked up, at a server on a host.
func (c hintTokenClaims) person(host string) (kind, value string, err error) {
	switch c.Person.Format {
	case "opaque":
		return hintSubject, c.Person.ID, nil
	case "account":
		account, ok := strings.CutPrefix(c.Person.URI, "acct:")
		name, local := strings.CutSuffix(account, "@"+host)
		if !ok || !local {
			return "", "", hintRefused("names an account of another server")
		}
		return hintUsername, name, nil
	}
	return "", "", hintRefused("needs a sub_id of the format account or opaque (RFC 9493)")
}

// usesCode tells whether a client sends user codes (CIBA Core §4).
func (s *Server) usesCode(client *Client) bool {
	return client.Metadata.BackchannelUserCode && s.config.Backchannel.UserCodes != nil
}

// checkUserCode compares the user code of a client that sends one. A person who has one is not asked by clients without:
// missing_user_code would tell them that the person is known.
func (s *Server) checkUserCode(ctx context.Context, client *Client, who *askedPerson, code string) error {
	if !s.usesCode(client) {
		if who.code != "" {
			who.subject = ""
			s.log.InfoContext(ctx, "a client without user codes asked for a person who has one; nobody is asked", "client_id", client.ID)
		}
		return nil
	}
	fits, wait, err := s.config.Backchannel.UserCodes.Compare(ctx, string(who.person[:]), who.code, code)
	switch {
	case err != nil:
		return err
	case wait > 0:
		return tooMany(wait, "there were too many wrong user codes")
	case !fits:
		return oauth.Errorf(oauth.InvalidUserCode, "user_code is not that of the person")
	}
	return nil
}
