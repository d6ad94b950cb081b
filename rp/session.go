package rp

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"countersign/rp/client"
	"countersign/rp/internal/reread"
	"countersign/rp/session"
)

// Session is who is signed in. It is safe for concurrent use while its request is served.
type Session struct {
	app *App
	w   http.ResponseWriter
	r   *http.Request

	mu      sync.Mutex
	record  session.Record
	content content
}

// content is the data of a stored session.
type content struct {
	Tokens client.Tokens `json:"t"`
	// Latest is when the session ends whatever the provider says, in milliseconds; SignedIn is when it began.
	Latest  int64 `json:"l"`
	Created int64 `json:"c"`
	// Data is the application's.
	Data json.RawMessage `json:"d,omitempty"`
	// Demand is what a login was for that was to be stronger.
	Demand string `json:"s,omitempty"`
	// Lease is a refresh that is under way.
	Lease *lease `json:"r,omitempty"`
}

func (c *content) encode(sealed bool) ([]byte, error) {
	kept := *c
	if sealed { // what the ID token says is not needed twice, and a cookie holds nothing that may be used once only
		kept.Tokens.RefreshToken = ""
		if kept.Tokens.IDToken != "" {
			kept.Tokens.Identity = nil
		}
	}
	return json.Marshal(kept)
}

func decode(data []byte) (content, error) {
	var c content
	if err := json.Unmarshal(data, &c); err != nil {
		return content{}, fmt.Errorf("rp: the session cannot be read: %w", err)
	}
	if c.Tokens.Identity == nil {
		identity, err := reread.Identity(c.Tokens.IDToken)
		if err != nil {
			return content{}, fmt.Errorf("rp: the session cannot be read: %w", err)
		}
		c.Tokens.Identity = identity
	}
	return c, nil
}

// visit is a request of a browser, with its session.
type visit struct {
	app     *App
	session *Session // nil without one
	absent  error    // why there is none
	outer   *visit   // of another application
}

type visitKey struct{}

// FromContext returns the session of a request that went through [App.Session] or [App.Require]. Without one, nobody is signed in.
func FromContext(ctx context.Context) (*Session, bool) {
	v, _ := ctx.Value(visitKey{}).(*visit)
	if v == nil || v.session == nil {
		return nil, false
	}
	return v.session, true
}

// visit loads the session of a request, once. The error is the store's.
func (a *App) visit(w http.ResponseWriter, r *http.Request) (*visit, *http.Request, error) {
	outer, _ := r.Context().Value(visitKey{}).(*visit)
	for v := outer; v != nil; v = v.outer {
		if v.app == a {
			return v, r, nil
		}
	}
	v := &visit{app: a, outer: outer}
	inner := r.WithContext(context.WithValue(r.Context(), visitKey{}, v))
	record, err := a.sessions.Load(w, r)
	if err != nil {
		v.absent = err
		if session.Absent(err) {
			return v, inner, nil
		}
		return nil, nil, err
	}
	c, err := decode(record.Data)
	if err != nil {
		return nil, nil, err
	}
	v.session = &Session{app: a, w: w, r: inner, record: *record, content: c}
	a.keptCookies(w, r)
	return v, inner, nil
}

// Session loads the session, if there is one, for [FromContext]. Requests without one go on.
func (a *App) Session(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, inner, err := a.visit(w, r)
		if err != nil {
			a.fail(w, r, unavailable(err))
			return
		}
		if v.session != nil {
			w.Header().Add("Vary", "Cookie")
		}
		next.ServeHTTP(w, inner)
	})
}

// unavailable is an error of the store.
func unavailable(err error) error { return &storeError{err} }

type storeError struct{ err error }

func (e *storeError) Error() string { return "the session store: " + e.err.Error() }
func (e *storeError) Unwrap() error { return e.err }

// Key names the session in logs and to the store; it opens nothing.
func (s *Session) Key() string { return s.record.Key }

// Issuer is who says who the user is.
func (s *Session) Issuer() string { return s.Identity().Issuer }

// Subject is who the user is: sub, unique at the issuer.
func (s *Session) Subject() string { return s.Identity().Subject }

// Identity is what the ID token says.
func (s *Session) Identity() *client.Identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.content.Tokens.Identity
}

// Claims reads the claims of the ID token as JSON.
func (s *Session) Claims(into any) error { return s.Identity().Decode(into) }

// Scopes are what was granted.
func (s *Session) Scopes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Fields(s.content.Tokens.Scope)
}

// AuthorizationDetails is what was granted (RFC 9396 §7), as JSON; nil is nothing.
func (s *Session) AuthorizationDetails() json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.content.Tokens.AuthorizationDetails)
}

// GrantID is the grant's (Grant Management for OAuth 2.0), or empty.
func (s *Session) GrantID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.content.Tokens.GrantID
}

// EndsAt is when the session ends in any case.
func (s *Session) EndsAt() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record.EndsAt
}

// Data reads what the application keeps in the session; without anything, into stays as it is.
func (s *Session) Data(into any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.content.Data) == 0 {
		return nil
	}
	return json.Unmarshal(s.content.Data, into)
}

// Keep has the session keep a value in place of that from before. A session that is sealed in cookies needs the response not to be begun, and what fits. Where several
// requests change a value, see [Session.Update].
func (s *Session) Keep(ctx context.Context, value any) error {
	return s.Update(ctx, func(json.RawMessage) (any, error) { return value, nil })
}

// Update changes what the application keeps, by compare-and-swap: change gets what is kept now, and is called again if another request was faster.
func (s *Session) Update(ctx context.Context, change func(before json.RawMessage) (any, error)) error {
	return s.change(ctx, func(c *content, _ *session.Record) error {
		value, err := change(slices.Clone(c.Data))
		if err != nil {
			return err
		}
		c.Data, err = json.Marshal(value)
		return err
	})
}

// change changes the session where it is kept, and here.
func (s *Session) change(ctx context.Context, by func(c *content, record *session.Record) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.app.sessions.Sealed() {
		record, c, err := change(ctx, s.app.sessions, s.record, by)
		if err != nil {
			return err
		}
		s.record, s.content = record, c
		return nil
	}
	record, c := s.record, s.content
	if err := by(&c, &record); err != nil {
		return err
	}
	var err error
	if record.Data, err = c.encode(true); err != nil {
		return err
	}
	if err := s.app.sessions.Reseal(s.w, s.r, &record); err != nil {
		return err
	}
	s.record, s.content = record, c
	return nil
}

// change changes a stored session by compare-and-swap.
func change(ctx context.Context, sessions *session.Manager, record session.Record, by func(c *content, record *session.Record) error) (session.Record, content, error) {
	var changed content
	err := sessions.Change(ctx, &record, func(r *session.Record) error {
		var err error
		if changed, err = decode(r.Data); err != nil {
			return err
		}
		if err := by(&changed, r); err != nil {
			return err
		}
		r.Data, err = changed.encode(false)
		return err
	})
	return record, changed, err
}
