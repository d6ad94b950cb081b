package backchannel

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"

	"countersign/ciba"
	"countersign/fapi/client"
	"countersign/fapi/consent"
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/fapi/profile"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/store"
)

// The kinds of login_hint.
const (
	hintUsername = "username"
	hintSubject  = "subject"
)

const (
	// maxUser bounds a user name or a subject, in bytes; longer ones are not in the store.
	maxUser = 255
	// maxHintTokenLife bounds exp of a login_hint_token, counted from now.
	maxHintTokenLife = 10 * time.Minute
	// hintRetry is the Retry-After when hints are resolved elsewhere, and nobody answers.
	hintRetry = 2 * time.Second
)

// HintIssuer issues login_hint_tokens (CIBA Core §7.1).
type HintIssuer struct {
	// Issuer is the iss of its tokens.
	Issuer string
	// Keys verify them.
	Keys jose.KeySet
}

// askedUser is the user that a hint identifies.
type askedUser struct {
	// subject is empty when the user is unknown or must not be notified.
	subject string
	// key identifies the user, known or unknown, for limits.
	key store.Digest
	// code is the hash of the user's user code, or empty.
	code string
}

// identify finds the user of a hint (CIBA Core §7.1). An unknown user is no error: see Handler.authenticate.
func (h *Handler) identify(ctx context.Context, c *endpoint.Call, asked ciba.Request, lodged *consent.Consent) (askedUser, error) {
	if lodged != nil && asked.HintKind == ciba.LoginHint && asked.Hint == lodged.ID {
		return identifyByConsent(ctx, h, c.Client, lodged)
	}
	switch asked.HintKind {
	case ciba.IDTokenHint:
		subject, err := h.readIDTokenHint(ctx, c.Client, asked.Hint)
		if err != nil {
			return askedUser{}, err
		}
		return h.lookUp(ctx, hintSubject, subject)
	case ciba.LoginHintToken:
		if h.settings.ResolveHint != nil && len(h.settings.HintIssuers) == 0 {
			c.AddOneTime(store.OneTime{
				Kind: "login_hint_token", Key: store.DigestOf(asked.Hint), Until: h.now().Add(maxHintTokenLife + endpoint.ClockDifference),
			})
			return h.resolve(ctx, Hint{ClientID: c.Client.ID, Kind: "login_hint_token", Value: asked.Hint})
		}
		claims, err := h.readHintToken(c, asked.Hint)
		if err != nil {
			return askedUser{}, err
		}
		if h.settings.ResolveHint != nil { // whatever it names the user by
			return h.resolve(ctx, Hint{ClientID: c.Client.ID, Kind: "login_hint_token", Value: asked.Hint})
		}
		kind, value, err := claims.user(h.addresses.Host())
		if err != nil {
			return askedUser{}, err
		}
		return h.lookUp(ctx, kind, value)
	}
	if h.settings.ResolveHint != nil {
		return h.resolve(ctx, Hint{ClientID: c.Client.ID, Kind: "login_hint", Value: asked.Hint})
	}
	return h.lookUp(ctx, h.settings.LoginHint, asked.Hint)
}

// resolve finds a user elsewhere. One that is not known here is stored: the name is the subject until the user signs in.
func (h *Handler) resolve(ctx context.Context, hint Hint) (askedUser, error) {
	unknown := askedUser{key: store.DigestOf("unknown " + hint.Kind + "\x00" + hint.Value)}
	if hint.Value == "" || hint.Kind == "login_hint" && len(hint.Value) > maxUser || strings.ContainsFunc(hint.Value, unicode.IsControl) {
		return unknown, nil
	}
	subject, err := h.settings.ResolveHint(ctx, hint)
	if errors.Is(err, ErrUnknownUser) {
		return unknown, nil
	}
	if err != nil {
		h.log.WarnContext(ctx, "hint not resolved by the login", "correlation_id", event.Of(ctx).CorrelationID,
			"client_id", hint.ClientID, "error", err.Error())
		busy := oauth.Errorf(oauth.TemporarilyUnavailable, "users cannot be found at the moment; try again shortly").Because(err)
		busy.RetryAfter = hintRetry
		return askedUser{}, busy
	}
	now := h.now()
	err = h.store.AdmitUser(ctx, store.User{Subject: subject, Username: subject, CreatedAt: now, UpdatedAt: now})
	if errors.Is(err, store.ErrConflict) { // the subject is the name of another
		return unknown, nil
	}
	if err != nil && !errors.Is(err, store.ErrRevoked) {
		return askedUser{}, err
	}
	return h.lookUp(ctx, hintSubject, subject)
}

// lookUp finds a user by user name or subject.
func (h *Handler) lookUp(ctx context.Context, kind, value string) (askedUser, error) {
	unknown := askedUser{key: store.DigestOf("unknown " + kind + "\x00" + value)}
	if value == "" || len(value) > maxUser || strings.ContainsFunc(value, unicode.IsControl) {
		return unknown, nil
	}
	find := h.store.UserByName
	if kind == hintSubject {
		find = h.store.User
	}
	user, err := find(ctx, value)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return unknown, nil
	case err != nil:
		return askedUser{}, err
	}
	who := askedUser{subject: user.Subject, key: store.DigestOf("person\x00" + user.Subject), code: user.UserCode}
	if user.Disabled {
		who.subject, who.code = "", ""
	}
	return who, nil
}

// readIDTokenHint returns the subject of an ID token that this server issued to this client, which may have expired.
func (h *Handler) readIDTokenHint(ctx context.Context, c *client.Client, raw string) (string, error) {
	subject, err := h.tokens.IDTokenHint(ctx, c, raw)
	if err != nil {
		return "", err
	}
	if c.Sector != "" {
		return "", oauth.Errorf(oauth.InvalidRequest,
			"this client has pairwise subjects, which cannot be resolved to users; send login_hint or login_hint_token")
	}
	return subject, nil
}

// hintTokenClaims are those of a login_hint_token. The user is named by a subject identifier (RFC 9493).
type hintTokenClaims struct {
	Issuer   string            `json:"iss"`
	Audience jose.Audience     `json:"aud"`
	ID       string            `json:"jti"`
	Expires  *jose.NumericDate `json:"exp"`
	IssuedAt *jose.NumericDate `json:"iat"`
	User     struct {
		Format string `json:"format"`
		// ID is a subject of this server, with the format opaque.
		ID string `json:"id"`
		// URI is acct: with a user name, @ and this server's host, with the format account.
		URI string `json:"uri"`
	} `json:"sub_id"`
}

// HintTokenFormats returns the supported formats of subject identifiers (RFC 9493 §3.2.1, §3.2.4).
func HintTokenFormats() []string { return []string{"account", "opaque"} }

// readHintToken verifies a login_hint_token and returns its claims. The token is a one-time value.
func (h *Handler) readHintToken(c *endpoint.Call, raw string) (hintTokenClaims, error) {
	issuers := h.settings.HintIssuers
	if len(issuers) == 0 {
		return hintTokenClaims{}, hintRefused("is not supported here; send login_hint or id_token_hint")
	}
	claims, err := verifyHintToken(raw, issuers, h.addresses.Issuer, h.now(), c.Client.Profile.MaxAhead)
	if err != nil {
		return hintTokenClaims{}, err
	}
	c.AddOneTime(store.OneTime{
		Kind: "login_hint_token", Key: store.DigestOf(claims.Issuer + "\x00" + claims.ID),
		Until: claims.Expires.Time().Add(endpoint.ClockDifference),
	})
	return claims, nil
}

func hintRefused(format string, arguments ...any) error {
	return oauth.Errorf(oauth.InvalidRequest, "login_hint_token "+format, arguments...)
}

// verifyHintToken verifies a login_hint_token at a time, with a tolerance for clocks that are ahead.
func verifyHintToken(
	raw string, issuers []HintIssuer, audience string, now time.Time, ahead time.Duration,
) (hintTokenClaims, error) {
	var claims hintTokenClaims
	token, err := jose.Parse(raw, jose.ParseOptions{Algorithms: profile.Algorithms()})
	if err != nil {
		return claims, hintRefused("cannot be read: %v", err)
	}
	if header := token.Header; header.Type != "" && !header.HasType("JWT") {
		return claims, hintRefused("has the typ of another kind of token; it must be JWT")
	}
	if err := token.Claims(&claims); err != nil {
		return claims, hintRefused("has claims that cannot be read: %v", err)
	}
	err = errors.New("its issuer is not trusted here")
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
	case claims.ID == "" || len(claims.ID) > endpoint.MaxJTI:
		return claims, hintRefused("needs a jti of 1 to %d bytes", endpoint.MaxJTI)
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

// user returns the kind and the value to look up, at the server on a host.
func (c hintTokenClaims) user(host string) (kind, value string, err error) {
	switch c.User.Format {
	case "opaque":
		return hintSubject, c.User.ID, nil
	case "account":
		account, ok := strings.CutPrefix(c.User.URI, "acct:")
		name, local := strings.CutSuffix(account, "@"+host)
		if !ok || !local {
			return "", "", hintRefused("names an account of another server")
		}
		return hintUsername, name, nil
	}
	return "", "", hintRefused("needs a sub_id of the format account or opaque (RFC 9493)")
}

// usesCode reports whether a client sends user codes (CIBA Core §4).
func (h *Handler) usesCode(c *client.Client) bool {
	return c.Metadata.BackchannelUserCode && h.settings.UserCodes != nil
}

// checkUserCode checks the user code of a client that sends user codes. Requests of other clients for a user who has
// a user code are ignored: missing_user_code would reveal that the user exists.
func (h *Handler) checkUserCode(ctx context.Context, c *client.Client, user *askedUser, code string) error {
	if !h.usesCode(c) {
		if user.code != "" {
			user.subject = ""
			h.log.InfoContext(ctx, "backchannel request ignored: user has a user code, client sends none",
				"correlation_id", event.Of(ctx).CorrelationID, "client_id", c.ID)
		}
		return nil
	}
	const tooMany = "there were too many wrong user codes"
	rates := codeRates(c, *user)
	if wait := h.prompts.Allow(ctx, rates...); wait > 0 {
		return endpoint.TooMany(wait, tooMany)
	}
	matches, wait, err := h.settings.UserCodes.Compare(ctx, c.Organisation+"\x00"+string(user.key[:]), user.code, code)
	switch {
	case err != nil:
		h.prompts.Refund(ctx, rates)
		return err
	case wait > 0:
		return endpoint.TooMany(wait, tooMany)
	case !matches:
		return oauth.Errorf(oauth.InvalidUserCode, "user_code is wrong")
	}
	h.prompts.Refund(ctx, rates)
	return nil
}
