package rp

import (
	"context"
	"errors"
	"net/http"
	"time"

	"countersign/rp/client"
	"countersign/rp/session"
)

const (
	// leaseTime is how long one process has for a refresh before another may try. It is longer than a refresh takes, with what it waits for.
	leaseTime = 45 * time.Second
	// flightTime bounds a refresh with everything, of other processes too.
	flightTime = 2 * leaseTime
	// firstLook and lastLook are how long it waits before it looks again at what another process does.
	firstLook, lastLook = 10 * time.Millisecond, 250 * time.Millisecond
	// saveTries is how often refreshed tokens are stored before that waits for the next call; the time between doubles from firstSave.
	saveTries = 7
	firstSave = 100 * time.Millisecond
)

// lease is a refresh that one process has under way: others wait for it.
type lease struct {
	Holder string `json:"h"`
	Until  int64  `json:"u"` // milliseconds
}

// flight is a refresh for which calls of this process wait.
type flight struct {
	done    chan struct{}
	record  session.Record
	content content
	err     error
}

// Token is the session's access token, refreshed before it ends. Many callers, also of several processes on one store, refresh once: one takes a lease in the session by
// compare-and-swap, the others wait. A refresh goes on when ctx ends. Errors wrap [ErrLoginRequired] if only another login helps; if the provider is not available and the
// token has not ended, it is returned.
func (s *Session) Token(ctx context.Context) (*client.Tokens, error) {
	s.mu.Lock()
	tokens, key := s.content.Tokens, s.record.Key
	s.mu.Unlock()
	if !s.app.worn(&tokens) {
		return &tokens, nil
	}
	if tokens.RefreshToken == "" {
		return s.app.without(&tokens)
	}
	f := s.app.refresh(ctx, key)
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if f.err != nil {
		return nil, f.err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record, s.content = f.record, f.content
	fresh := f.content.Tokens
	return &fresh, nil
}

// worn reports whether an access token has to be refreshed: it ends soon, or is bound to a key that this process does not have.
func (a *App) worn(t *client.Tokens) bool {
	return t.Expired(a.now(), a.config.RefreshBefore) || !a.client.Holds(t)
}

// without is what there is without a refresh: the token while it lasts.
func (a *App) without(t *client.Tokens) (*client.Tokens, error) {
	if t.Expired(a.now(), 0) || !a.client.Holds(t) {
		if a.sessions.Sealed() {
			return nil, errors.Join(ErrLoginRequired, ErrSealed)
		}
		return nil, ErrLoginRequired
	}
	return t, nil
}

// refresh joins the refresh of a session, or begins it.
func (a *App) refresh(ctx context.Context, key string) *flight {
	a.mu.Lock()
	defer a.mu.Unlock()
	if f := a.flights[key]; f != nil {
		return f
	}
	f := &flight{done: make(chan struct{})}
	a.flights[key] = f
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightTime)
	go func() {
		defer cancel()
		f.record, f.content, f.err = a.refreshed(ctx, key)
		a.mu.Lock()
		delete(a.flights, key)
		a.mu.Unlock()
		close(f.done)
	}()
	return f
}

// errBusy is a lease of another process, errFresh a session that another has refreshed.
var errBusy, errFresh = errors.New("busy"), errors.New("fresh")

// refreshed refreshes a session, or waits until another process has.
func (a *App) refreshed(ctx context.Context, key string) (session.Record, content, error) {
	for wait := firstLook; ; wait = min(2*wait, lastLook) {
		record, c, err := a.take(ctx, key)
		switch {
		case errors.Is(err, errFresh):
			return record, c, nil
		case errors.Is(err, errBusy):
			if err := pause(ctx, wait); err != nil {
				return session.Record{}, content{}, err
			}
		case err != nil:
			return session.Record{}, content{}, a.lost(err)
		default:
			return a.useLease(ctx, record, c)
		}
	}
}

// lost is an error of the store, or a session that has ended meanwhile.
func (a *App) lost(err error) error {
	if session.Absent(err) {
		return errors.Join(ErrLoginRequired, err)
	}
	return unavailable(err)
}

// take takes the lease of a refresh, unless it is not needed or somebody else has it.
func (a *App) take(ctx context.Context, key string) (session.Record, content, error) {
	found, err := a.sessions.Find(ctx, key)
	if err != nil {
		return session.Record{}, content{}, err
	}
	var seen content
	record, c, err := a.change(ctx, *found, func(c *content, _ *session.Record) error {
		seen = *c
		if !a.worn(&c.Tokens) {
			return errFresh
		}
		now := a.now()
		if c.Lease != nil && c.Lease.Holder != a.holder && now.UnixMilli() < c.Lease.Until {
			return errBusy
		}
		c.Lease = &lease{a.holder, now.Add(leaseTime).UnixMilli()}
		return nil
	})
	if errors.Is(err, errFresh) {
		return *found, seen, err
	}
	return record, c, err
}

// useLease refreshes with the lease, and stores what came.
func (a *App) useLease(ctx context.Context, record session.Record, c content) (session.Record, content, error) {
	fresh := a.takeUnsaved(record.Key)
	if fresh == nil {
		var err error
		if fresh, err = a.client.Refresh(ctx, &c.Tokens, client.RefreshOptions{}); err != nil {
			return a.notRefreshed(ctx, record, c, err)
		}
		if a.config.Hooks.OnRefresh != nil {
			a.config.Hooks.OnRefresh(ctx, record.Subject, fresh)
		}
	}
	saved, kept, err := a.store(ctx, record, fresh)
	switch {
	case err == nil:
		return saved, kept, nil
	case session.Absent(err):
		a.revoke(ctx, fresh) // a logout came first
		return session.Record{}, content{}, a.lost(err)
	}
	// The store is away. The tokens are good, and the refresh token from before may be worth nothing: they are kept here until they can be stored.
	a.log.WarnContext(ctx, "refreshed tokens not stored; will be stored with the next call", "error", err.Error())
	a.mu.Lock()
	a.unsaved[record.Key] = fresh
	a.mu.Unlock()
	c.Tokens, c.Lease = *fresh, nil
	return record, c, nil
}

// takeUnsaved is what an earlier refresh could not store.
func (a *App) takeUnsaved(key string) *client.Tokens {
	a.mu.Lock()
	defer a.mu.Unlock()
	fresh := a.unsaved[key]
	delete(a.unsaved, key)
	return fresh
}

// store stores refreshed tokens and gives the lease back. It tries for some seconds: a refresh token that was issued must not be lost.
func (a *App) store(ctx context.Context, record session.Record, fresh *client.Tokens) (saved session.Record, kept content, err error) {
	wait := firstSave
	for range saveTries {
		saved, kept, err = a.change(ctx, record, func(c *content, r *session.Record) error {
			c.Tokens, c.Lease = *fresh, nil
			r.EndsAt = time.UnixMilli(c.Latest)
			if until := c.Tokens.Identity.SessionExpiresAt; !until.IsZero() && until.Before(r.EndsAt) {
				r.EndsAt = until
			}
			return nil
		})
		if err == nil || session.Absent(err) {
			return saved, kept, err
		}
		if stopped := pause(ctx, wait); stopped != nil {
			return saved, kept, errors.Join(err, stopped)
		}
		wait *= 2
	}
	return saved, kept, err
}

// notRefreshed gives the lease back. A refresh token that the provider refuses is forgotten: it will not be asked again.
func (a *App) notRefreshed(ctx context.Context, record session.Record, c content, cause error) (session.Record, content, error) {
	refused, ok := errors.AsType[*client.ProviderError](cause)
	over := ok && refused.Code == "invalid_grant"
	record, c, err := a.change(ctx, record, func(c *content, _ *session.Record) error {
		c.Lease = nil
		if over {
			c.Tokens.RefreshToken = ""
		}
		return nil
	})
	if err != nil { // the lease ends by itself
		a.log.InfoContext(ctx, "lease of a refresh not given back", "error", err.Error())
		return session.Record{}, content{}, errors.Join(cause, a.lost(err))
	}
	if !c.Tokens.Expired(a.now(), 0) && a.client.Holds(&c.Tokens) {
		a.log.WarnContext(ctx, "access token not refreshed; it is used until it ends", "error", cause.Error())
		return record, c, nil
	}
	if over {
		cause = errors.Join(ErrLoginRequired, cause)
	}
	return session.Record{}, content{}, cause
}

// pause waits, or returns why ctx ended.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// HTTPClient is a client for resources that uses the session's token as it is bound, DPoP or mutual TLS, and refreshes it when that is due; x-fapi-interaction-id is added. It
// sends the token wherever it is used: to APIs that the token is for, by https, and follows no redirects.
func (s *Session) HTTPClient(ctx context.Context) *http.Client {
	return &http.Client{
		Transport:     &sessionTransport{ctx: ctx, session: s},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type sessionTransport struct {
	ctx     context.Context
	session *Session
}

// RoundTrip implements [http.RoundTripper].
func (t *sessionTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := t.ctx.Err(); err != nil {
		return nil, err
	}
	tokens, err := t.session.Token(r.Context())
	if err != nil {
		if r.Body != nil {
			err = errors.Join(err, r.Body.Close())
		}
		return nil, err
	}
	return t.session.app.client.HTTP(tokens).Transport.RoundTrip(r)
}

// UserInfo reads the user's claims from the provider, as JSON; its sub is that of the session.
func (s *Session) UserInfo(ctx context.Context, into any) error {
	tokens, err := s.Token(ctx)
	if err != nil {
		return err
	}
	info, err := s.app.client.UserInfo(ctx, tokens)
	if err != nil {
		return err
	}
	return info.Decode(into)
}

// accessTokenType names an access token in an exchange (RFC 8693 §3).
const accessTokenType = "urn:ietf:params:oauth:token-type:access_token"

// Exchange exchanges the session's access token (RFC 8693); the options say for what.
func (s *Session) Exchange(ctx context.Context, options client.ExchangeOptions) (*client.Tokens, error) {
	tokens, err := s.Token(ctx)
	if err != nil {
		return nil, err
	}
	options.SubjectToken, options.SubjectTokenType = tokens.AccessToken, accessTokenType
	return s.app.client.Exchange(ctx, options)
}
