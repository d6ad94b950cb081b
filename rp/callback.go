package rp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"time"

	"countersign/rp/client"
	"countersign/rp/internal/transaction"
	"countersign/rp/internal/web"
	"countersign/rp/session"
)

// callback ends a login with what the browser brings from the provider, by GET or as a form (OAuth 2.0 Form Post Response Mode 1.0).
func (a *App) callback(w http.ResponseWriter, r *http.Request) {
	answer, err := answerOf(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	v, _, err := a.visit(w, r)
	if err != nil {
		a.fail(w, r, unavailable(err))
		return
	}
	pending, tokens, err := a.redeem(w, r, answer)
	if errors.Is(err, ErrNoTransaction) && v.session != nil { // the back button, or an address from before: nothing is to be done
		redirect(w, r, a.config.Home)
		return
	}
	if err == nil {
		err = a.signIn(w, r, v, pending, tokens)
	}
	switch {
	case err == nil:
	case pending == nil:
		a.fail(w, r, err)
	case pending.Silent:
		a.report(r, newError(r.Context(), err))
		redirect(w, r, pending.ReturnTo)
	default:
		a.answer(w, r, err, web.WantsPage(r), a.loginAction(pending.ReturnTo, nil, err))
	}
}

// redeem finds the login that an answer belongs to, by its state, and ends it: it is used once. An encrypted answer does not show its state. Then it is tried with each
// login of the browser, the newest first, and only the one whose state it has is used up.
func (a *App) redeem(w http.ResponseWriter, r *http.Request, answer url.Values) (*transaction.Transaction, *client.Tokens, error) {
	state, readable := transaction.StateOf(answer)
	for _, each := range a.logins.All(w, r) {
		if readable && each.Client.State != state {
			continue
		}
		tokens, err := (*client.Tokens)(nil), ErrTransactionExpired
		if !a.logins.Late(each.Transaction) {
			tokens, err = a.client.Callback(r.Context(), each.Client, answer)
		}
		if refused, ok := errors.AsType[*client.CheckError](err); !readable && ok && refused.Check == "state" || !readable && errors.Is(err, ErrTransactionExpired) {
			continue
		} else if !readable && ok && refused.What == "authorization response" { // it cannot be opened: it may be anybody's
			return nil, nil, err
		}
		a.logins.Forget(w, each)
		return each.Transaction, tokens, err
	}
	return nil, nil, ErrNoTransaction
}

// answerOf reads the parameters of an authorization response.
func answerOf(r *http.Request) (url.Values, error) {
	if r.Method == http.MethodGet {
		answer, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return nil, errors.Join(ErrMalformed, err)
		}
		return answer, nil
	}
	return formOf(r)
}

// formOf reads a form from the body of a request.
func formOf(r *http.Request) (url.Values, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, fmt.Errorf("%w: it is not a form", ErrMalformed)
	}
	if err := r.ParseForm(); err != nil {
		return nil, errors.Join(ErrMalformed, err)
	}
	return r.PostForm, nil
}

// signIn begins the session of a login that was checked, and sends the user on.
func (a *App) signIn(w http.ResponseWriter, r *http.Request, v *visit, pending *transaction.Transaction, tokens *client.Tokens) error {
	ctx := r.Context()
	if tokens.Identity == nil {
		return errors.New("the provider issued no ID token")
	}
	if len(pending.ACRValues) > 0 && !slices.Contains(pending.ACRValues, tokens.Identity.ACR) {
		a.discard(ctx, v, tokens)
		return &InsufficientError{Reason: "the provider authenticated the user in another way than was demanded", ACRValues: pending.ACRValues}
	}
	login := &Login{Tokens: tokens, ReturnTo: pending.ReturnTo, state: pending.State}
	replaces, err := a.before(ctx, v, pending, login)
	if err == nil {
		err = a.afterCallback(ctx, login)
	}
	var record *session.Record
	var c content
	if err == nil {
		record, c, err = a.newRecord(login, pending.Demand)
	}
	if err == nil {
		err = a.sessions.Create(w, r, record, replaces)
	}
	if err != nil {
		a.discard(ctx, v, tokens)
		return err
	}
	a.countLogin(w, r)
	if a.config.Hooks.OnLogin != nil {
		a.config.Hooks.OnLogin(ctx, &Session{app: a, w: w, r: r, record: *record, content: c})
	}
	redirect(w, r, login.ReturnTo)
	return nil
}

// before finds the session that a login replaces, and keeps what the application kept of it if it is the same user's.
func (a *App) before(ctx context.Context, v *visit, pending *transaction.Transaction, login *Login) (replaces string, err error) {
	if v.session != nil {
		login.keepOf(&v.session.content)
		return v.session.record.Key, nil
	}
	if pending.Renews == "" || a.sessions.Sealed() {
		return pending.Renews, nil
	}
	record, err := a.sessions.Find(ctx, pending.Renews)
	if session.Absent(err) {
		return "", nil
	}
	if err != nil {
		return "", unavailable(err)
	}
	c, err := decode(record.Data)
	if err != nil {
		return "", err
	}
	login.keepOf(&c)
	return record.Key, nil
}

func (l *Login) keepOf(c *content) {
	if c.Tokens.Identity.Issuer == l.Tokens.Identity.Issuer && c.Tokens.Identity.Subject == l.Tokens.Identity.Subject {
		l.Data = c.Data
	}
}

// afterCallback asks the application.
func (a *App) afterCallback(ctx context.Context, login *Login) error {
	if a.config.Hooks.AfterCallback == nil {
		return nil
	}
	if err := a.config.Hooks.AfterCallback(ctx, login); err != nil {
		return errors.Join(ErrRefused, err)
	}
	returnTo, ok := web.LocalPath(a.config.BaseURL, login.ReturnTo)
	if !ok {
		return ErrReturnTo
	}
	login.ReturnTo = returnTo
	return nil
}

func (a *App) newRecord(login *Login, demand string) (*session.Record, content, error) {
	identity, now := login.Tokens.Identity, a.now()
	c := content{
		Tokens: *login.Tokens, Latest: now.Add(a.sessions.Absolute()).UnixMilli(), Created: now.UnixMilli(), Data: login.Data, Demand: demand,
	}
	data, err := c.encode(a.sessions.Sealed())
	if err != nil {
		return nil, content{}, err
	}
	return &session.Record{
		Issuer: identity.Issuer, Subject: identity.Subject, SID: identity.SessionID, SignedInAt: identity.IssuedAt,
		EndsAt: identity.SessionExpiresAt, Data: data,
	}, c, nil
}

// discard ends tokens of a login that began no session, unless they are of the grant of the session that goes on.
func (a *App) discard(ctx context.Context, v *visit, tokens *client.Tokens) {
	if v.session == nil || tokens.GrantID == "" || tokens.GrantID != v.session.GrantID() {
		revoke(ctx, a.client, a.log, tokens)
	}
}

// revokeTime is how long a user waits for the provider to revoke a token.
const revokeTime = 3 * time.Second

// revoke ends tokens that nobody has any more, as well as it can: the session here has ended, or did not begin.
func revoke(ctx context.Context, c *client.Client, log *slog.Logger, tokens *client.Tokens) {
	if tokens.RefreshToken == "" || c.Metadata().RevocationEndpoint == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeTime)
	defer cancel()
	if err := c.Revoke(ctx, tokens.RefreshToken, "refresh_token"); err != nil {
		log.WarnContext(ctx, "refresh token not revoked", "error", err.Error())
	}
}
