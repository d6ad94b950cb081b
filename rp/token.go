package rp

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"countersign/internal/pause"
	"countersign/internal/random"
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

// refresher refreshes the tokens of sessions, each once for all who wait.
type refresher struct {
	*site
	client   *client.Client
	sessions *session.Manager
	// holder names this process in leases.
	holder string

	mu      sync.Mutex
	flights map[string]*flight
	unsaved map[string]*client.Tokens // refreshed, and not stored yet
}

func newRefresher(s *site, c *client.Client, sessions *session.Manager) *refresher {
	return &refresher{
		site: s, client: c, sessions: sessions, holder: random.UUID(), flights: map[string]*flight{}, unsaved: map[string]*client.Tokens{},
	}
}

// Token is the session's access token, refreshed before it ends. Many callers, also of several processes on one store, refresh once: one takes a lease in the session by
// compare-and-swap, the others wait. A refresh goes on when ctx ends. Errors wrap [ErrLoginRequired] if only another login helps; if the provider is not available and the
// token has not ended, it is returned.
func (s *Session) Token(ctx context.Context) (*client.Tokens, error) {
	s.mu.Lock()
	tokens, key := s.content.Tokens, s.record.Key
	s.mu.Unlock()
	if !s.app.refresher.worn(&tokens) {
		return &tokens, nil
	}
	if tokens.RefreshToken == "" {
		return s.app.refresher.without(&tokens)
	}
	f := s.app.refresher.join(ctx, key)
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
func (f *refresher) worn(t *client.Tokens) bool {
	return t.Expired(f.now(), f.config.RefreshBefore) || !f.client.Holds(t)
}

// without is what there is without a refresh: the token while it lasts.
func (f *refresher) without(t *client.Tokens) (*client.Tokens, error) {
	if t.Expired(f.now(), 0) || !f.client.Holds(t) {
		if f.sessions.Sealed() {
			return nil, errors.Join(ErrLoginRequired, ErrSealed)
		}
		return nil, ErrLoginRequired
	}
	return t, nil
}

// join joins the refresh of a session, or begins it.
func (f *refresher) join(ctx context.Context, key string) *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	if under := f.flights[key]; under != nil {
		return under
	}
	begun := &flight{done: make(chan struct{})}
	f.flights[key] = begun
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightTime)
	go func() {
		defer cancel()
		begun.record, begun.content, begun.err = f.refreshed(ctx, key)
		f.mu.Lock()
		delete(f.flights, key)
		f.mu.Unlock()
		close(begun.done)
	}()
	return begun
}

// errBusy is a lease of another process, errFresh a session that another has refreshed.
var errBusy, errFresh = errors.New("busy"), errors.New("fresh")

// refreshed refreshes a session, or waits until another process has.
func (f *refresher) refreshed(ctx context.Context, key string) (session.Record, content, error) {
	for wait := firstLook; ; wait = min(2*wait, lastLook) {
		record, c, err := f.take(ctx, key)
		switch {
		case errors.Is(err, errFresh):
			return record, c, nil
		case errors.Is(err, errBusy):
			if err := pause.For(ctx, wait); err != nil {
				return session.Record{}, content{}, err
			}
		case err != nil:
			return session.Record{}, content{}, f.lost(err)
		default:
			return f.useLease(ctx, record, c)
		}
	}
}

// lost is an error of the store, or a session that has ended meanwhile.
func (f *refresher) lost(err error) error {
	if session.Absent(err) {
		return errors.Join(ErrLoginRequired, err)
	}
	return unavailable(err)
}

// take takes the lease of a refresh, unless it is not needed or somebody else has it.
func (f *refresher) take(ctx context.Context, key string) (session.Record, content, error) {
	found, err := f.sessions.Find(ctx, key)
	if err != nil {
		return session.Record{}, content{}, err
	}
	var seen content
	record, c, err := change(ctx, f.sessions, *found, func(c *content, _ *session.Record) error {
		seen = *c
		if !f.worn(&c.Tokens) {
			return errFresh
		}
		now := f.now()
		if c.Lease != nil && c.Lease.Holder != f.holder && now.UnixMilli() < c.Lease.Until {
			return errBusy
		}
		c.Lease = &lease{f.holder, now.Add(leaseTime).UnixMilli()}
		return nil
	})
	if errors.Is(err, errFresh) {
		return *found, seen, err
	}
	return record, c, err
}

// useLease refreshes with the lease, and stores what came.
func (f *refresher) useLease(ctx context.Context, record session.Record, c content) (session.Record, content, error) {
	fresh := f.takeUnsaved(record.Key)
	late := fresh != nil
	if !late {
		var err error
		if fresh, err = f.client.Refresh(ctx, &c.Tokens, client.RefreshOptions{}); err != nil {
			return f.notRefreshed(ctx, record, c, err)
		}
		if f.config.Hooks.OnRefresh != nil {
			f.config.Hooks.OnRefresh(ctx, record.Subject, fresh)
		}
	}
	saved, kept, err := f.store(ctx, record, fresh)
	switch {
	case err == nil && late && f.worn(fresh): // the store was away for longer than the token lasts
		return f.refreshed(ctx, record.Key)
	case err == nil:
		return saved, kept, nil
	case session.Absent(err):
		revoke(ctx, f.client, f.log, fresh) // a logout came first
		return session.Record{}, content{}, f.lost(err)
	}
	// The store is away. The tokens are good, and the refresh token from before may be worth nothing: they are kept here until they can be stored.
	f.log.WarnContext(ctx, "refreshed tokens not stored; will be stored with the next call", "error", err.Error())
	f.mu.Lock()
	f.unsaved[record.Key] = fresh
	f.mu.Unlock()
	c.Tokens, c.Lease = *fresh, nil
	return record, c, nil
}

// takeUnsaved is what an earlier refresh could not store.
func (f *refresher) takeUnsaved(key string) *client.Tokens {
	f.mu.Lock()
	defer f.mu.Unlock()
	fresh := f.unsaved[key]
	delete(f.unsaved, key)
	return fresh
}

// store stores refreshed tokens and gives the lease back. It tries for some seconds: a refresh token that was issued must not be lost.
func (f *refresher) store(ctx context.Context, record session.Record, fresh *client.Tokens) (saved session.Record, kept content, err error) {
	wait := firstSave
	for try := 1; ; try++ {
		saved, kept, err = change(ctx, f.sessions, record, func(c *content, r *session.Record) error {
			c.Tokens, c.Lease = *fresh, nil
			r.EndsAt = time.UnixMilli(c.Latest)
			if until := c.Tokens.Identity.SessionExpiresAt; !until.IsZero() && until.Before(r.EndsAt) {
				r.EndsAt = until
			}
			return nil
		})
		if err == nil || session.Absent(err) || try == saveTries {
			return saved, kept, err
		}
		if stopped := pause.For(ctx, wait); stopped != nil {
			return saved, kept, errors.Join(err, stopped)
		}
		wait *= 2
	}
}

// notRefreshed gives the lease back. A refresh token that the provider refuses is forgotten: it will not be asked again.
func (f *refresher) notRefreshed(ctx context.Context, record session.Record, c content, cause error) (session.Record, content, error) {
	refused, ok := errors.AsType[*client.ProviderError](cause)
	over := ok && refused.Code == "invalid_grant"
	record, c, err := change(ctx, f.sessions, record, func(c *content, _ *session.Record) error {
		c.Lease = nil
		if over {
			c.Tokens.RefreshToken = ""
		}
		return nil
	})
	if err != nil { // the lease ends by itself
		f.log.InfoContext(ctx, "lease of a refresh not given back", "error", err.Error())
		return session.Record{}, content{}, errors.Join(cause, f.lost(err))
	}
	if !c.Tokens.Expired(f.now(), 0) && f.client.Holds(&c.Tokens) {
		f.log.WarnContext(ctx, "access token not refreshed; it is used until it ends", "error", cause.Error())
		return record, c, nil
	}
	if over {
		cause = errors.Join(ErrLoginRequired, cause)
	}
	return session.Record{}, content{}, cause
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
