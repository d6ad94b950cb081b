package rp_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"countersign/fapi/fapitest"
	"countersign/rp"
	"countersign/rp/client"
	"countersign/rp/client/providertest"
	"countersign/rp/session"
	"countersign/rp/session/sqlstore"
)

// rotation is a provider whose refresh tokens are used once: whoever brings one twice loses everything (RFC 9700 §4.14.2).
type rotation struct {
	mu      sync.Mutex
	current string
	number  int
	used    map[string]int
	reused  atomic.Bool
	delay   time.Duration
	// reached, unless it is nil, gets a value when a refresh has come, which goes on when it is taken and proceed gives one.
	reached, proceed chan struct{}
}

// behave makes the provider do so.
func (r *rotation) behave(p *providertest.Provider) {
	r.used = map[string]int{}
	p.Behave(providertest.Behaviour{
		Tokens: func(answer map[string]any) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.number++
			r.current = fmt.Sprintf("refresh-%d", r.number)
			answer["refresh_token"] = r.current
		},
		Handle: func(w http.ResponseWriter, req *http.Request) bool {
			if req.URL.Path != "/token" || req.PostForm.Get("grant_type") != "refresh_token" {
				return false
			}
			time.Sleep(r.delay) // so that the callers meet
			if r.reached != nil {
				r.reached <- struct{}{}
				<-r.proceed
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			token := req.PostForm.Get("refresh_token")
			r.used[token]++
			if token == r.current && r.used[token] == 1 {
				return false
			}
			r.reused.Store(true)
			providertest.Write(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
			return true
		},
	})
}

// visitor keeps the session of a request for the test.
func (s *site) session(u *user, app *rp.App) *rp.Session {
	s.t.Helper()
	request := u.request(http.MethodGet, "/", nil)
	for name, value := range u.cookies() {
		request.AddCookie(session.NewCookie(name, value, 0))
	}
	var found *rp.Session
	app.Session(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		found, _ = rp.FromContext(r.Context())
	})).ServeHTTP(discardResponse{http.Header{}}, request.WithContext(context.WithoutCancel(s.t.Context())))
	if found == nil {
		s.t.Fatal("no session")
	}
	return found
}

type discardResponse struct{ header http.Header }

func (d discardResponse) Header() http.Header       { return d.header }
func (discardResponse) Write(b []byte) (int, error) { return len(b), nil }
func (discardResponse) WriteHeader(int)             {}

// inPostgreSQL keeps sessions in a database, which every process of the application opens for itself.
func inPostgreSQL(t *testing.T, url string) siteOption {
	t.Helper()
	ring, err := session.NewKeyRing([]byte(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	return func(_ *site, c *rp.Config) {
		db, err := sql.Open("pgx", url)
		if err != nil {
			t.Fatal(err)
		}
		db.SetMaxOpenConns(8)
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		store, err := sqlstore.New(db, sqlstore.PostgreSQL)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Create(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.Sessions = session.Config{Store: store, Keys: ring}
	}
}

// Covers: RP-60.
func TestRP60RefreshOnce(t *testing.T) {
	t.Parallel()
	_, url := fapitest.NewPostgresWorld(t, nil)
	p := providertest.New(t)
	how := inPostgreSQL(t, url)
	s := newAttackedSite(t, p, how)
	how(s, &s.config)
	replicas := []*rp.App{s.app, s.start()} // the second has connections of its own
	rotating := &rotation{delay: 50 * time.Millisecond}
	rotating.behave(p)
	u := s.signedIn()
	t.Run("accepts 64 callers of two replicas, who refresh once, round after round", func(t *testing.T) {
		for round := range 4 {
			p.Advance(5 * time.Minute) // the access token ends
			before := len(p.Requests("/token"))
			tokens := make([]string, 64)
			start := make(chan struct{})
			var wait sync.WaitGroup
			for i := range tokens {
				in := s.session(u, replicas[i%2])
				wait.Go(func() {
					<-start
					got, err := in.Token(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					tokens[i] = got.AccessToken
				})
			}
			close(start)
			wait.Wait()
			for _, token := range tokens {
				if token != tokens[0] || token == "" {
					t.Fatalf("round %d: several tokens: %v", round, tokens)
				}
			}
			if asked := len(p.Requests("/token")) - before; asked != 1 {
				t.Fatalf("round %d: %d refreshes, want 1", round, asked)
			}
		}
		if rotating.reused.Load() {
			t.Error("a refresh token was used twice")
		}
		u.wants(u.get("/open"), http.StatusOK, "sub-alice")
	})
	t.Run("accepts a refresh whose caller has gone: its token is not lost", func(t *testing.T) {
		p.Advance(5 * time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := s.session(u, replicas[0]).Token(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if _, err := s.session(u, replicas[1]).Token(t.Context()); err != nil {
			t.Error(err)
		}
		if rotating.reused.Load() {
			t.Error("a refresh token was used twice")
		}
	})
	t.Run("accepts a session whose replica stopped while it refreshed", func(t *testing.T) {
		p.Advance(5 * time.Minute)
		in := s.session(u, replicas[0])
		record, err := replicas[0].Sessions().Find(t.Context(), in.Key())
		if err != nil {
			t.Fatal(err)
		}
		// as if another replica had taken the lease, and stopped
		err = replicas[0].Sessions().Change(t.Context(), record, func(r *session.Record) error {
			var content map[string]any
			if err := json.Unmarshal(r.Data, &content); err != nil {
				return err
			}
			content["r"] = map[string]any{"h": "gone", "u": p.Now().Add(45 * time.Second).UnixMilli()}
			r.Data, err = json.Marshal(content)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := in.Token(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("the lease was not waited for: %v", err)
		}
		p.Advance(45 * time.Second)
		if _, err := in.Token(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("refuses a refresh of a session that was ended meanwhile, and revokes what came", func(t *testing.T) {
		p.Advance(5 * time.Minute)
		in := s.session(u, replicas[0])
		rotating.reached, rotating.proceed = make(chan struct{}), make(chan struct{})
		var wait sync.WaitGroup
		wait.Go(func() {
			if _, err := in.Token(t.Context()); !errors.Is(err, rp.ErrLoginRequired) {
				t.Errorf("%v", err)
			}
		})
		<-rotating.reached
		if err := replicas[1].Sessions().EndBySID(t.Context(), p.Issuer, "session-1"); err != nil {
			t.Fatal(err)
		}
		rotating.proceed <- struct{}{}
		wait.Wait()
		revoked := p.Requests("/revoke")
		if len(revoked) != 1 || revoked[0].Form.Get("token") != rotating.current {
			t.Errorf("revoked %+v, current is %s", revoked, rotating.current)
		}
		u.wants(u.get("/open"), http.StatusOK, "nobody")
	})
}

// failing is a store that can be away, or only keep nothing new.
type failing struct {
	session.Store
	away, full atomic.Bool
}

var errAway = errors.New("the database is away")

func (f *failing) Load(ctx context.Context, key string) (session.Record, error) {
	if f.away.Load() {
		return session.Record{}, errAway
	}
	return f.Store.Load(ctx, key)
}

func (f *failing) Save(ctx context.Context, r session.Record, expect int64) error {
	if f.away.Load() || f.full.Load() {
		return errAway
	}
	return f.Store.Save(ctx, r, expect)
}

func (f *failing) Delete(ctx context.Context, key string, until time.Time) error {
	if f.away.Load() {
		return errAway
	}
	return f.Store.Delete(ctx, key, until)
}

func (f *failing) DeleteBySID(ctx context.Context, issuer, sid string, until time.Time) error {
	if f.away.Load() {
		return errAway
	}
	return f.Store.DeleteBySID(ctx, issuer, sid, until)
}

func inFailing(f *failing) siteOption {
	return func(_ *site, c *rp.Config) {
		f.Store = session.NewMemory()
		c.Sessions = session.Config{Store: f, Keys: session.RandomKeyRing()}
	}
}

// Covers: RP-61.
func TestRP61RotationKept(t *testing.T) {
	t.Parallel()
	p, f, rotating := providertest.New(t), &failing{}, &rotation{}
	s := newAttackedSite(t, p, inFailing(f))
	rotating.behave(p)
	u := s.signedIn()
	t.Run("accepts a refresh whose result can be stored only later", func(t *testing.T) {
		p.Advance(5 * time.Minute)
		in := s.session(u, s.app)
		reached := make(chan struct{})
		var once sync.Once
		handle := providertest.Behaviour{Handle: func(http.ResponseWriter, *http.Request) bool {
			once.Do(func() { f.away.Store(true); close(reached) }) // the lease is taken; the store goes away
			return false
		}, Tokens: func(answer map[string]any) { answer["refresh_token"] = "refresh-later" }}
		p.Behave(handle)
		go func() {
			<-reached
			time.Sleep(300 * time.Millisecond)
			f.away.Store(false)
		}()
		got, err := in.Token(t.Context())
		if err != nil || got.RefreshToken != "refresh-later" {
			t.Fatalf("%+v, %v", got, err)
		}
		again, err := s.session(u, s.app).Token(t.Context())
		if err != nil || again.AccessToken != got.AccessToken || again.RefreshToken != "refresh-later" {
			t.Errorf("stored %+v, %v", again, err)
		}
	})
	t.Run("refuses a page and a logout while the store is away, with 503, and keeps the session", func(t *testing.T) {
		f.away.Store(true)
		got := u.get("/open")
		u.wants(got, http.StatusServiceUnavailable, "Not available right now")
		if got.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		u.wants(u.post("/auth/logout", nil), http.StatusServiceUnavailable, "Not available right now")
		f.away.Store(false)
		u.wants(u.get("/open"), http.StatusOK, "sub-alice")
	})
}

// TestUnsaved: refreshed tokens that the store did not take are the session's all the same. A logout revokes them, and not those from before; and
// when they have ended, too, they are refreshed and not handed out.
func TestUnsaved(t *testing.T) {
	t.Parallel()
	p, f := providertest.New(t), &failing{}
	s := newAttackedSite(t, p, inFailing(f))
	users := []*user{s.signedIn(), s.signedIn()}
	reached, proceed := make(chan struct{}), make(chan struct{})
	p.Behave(providertest.Behaviour{Handle: func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/token" {
			reached <- struct{}{}
			<-proceed
		}
		return false
	}})
	p.Advance(5 * time.Minute)
	unsaved := make([]*client.Tokens, len(users))
	var wait sync.WaitGroup
	for i, u := range users {
		in := s.session(u, s.app)
		wait.Go(func() {
			var err error
			if unsaved[i], err = in.Token(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	for range users {
		<-reached
	}
	f.full.Store(true) // both have their lease, and cannot store what comes
	close(proceed)
	wait.Wait()
	f.full.Store(false)
	if t.Failed() {
		return
	}
	p.Behave(providertest.Behaviour{})
	t.Run("accepts a logout, which revokes them", func(t *testing.T) {
		request := users[0].request(http.MethodPost, "/auth/logout", nil)
		request.Header.Set("Sec-Fetch-Site", "same-origin")
		users[0].http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		users[0].send(request)
		revoked := p.Requests("/revoke")
		if len(revoked) != 1 || revoked[0].Form.Get("token") != unsaved[0].RefreshToken {
			t.Errorf("revoked %+v, not %s", revoked, unsaved[0].RefreshToken)
		}
	})
	t.Run("accepts a refresh by them when they have ended", func(t *testing.T) {
		p.Advance(5 * time.Minute)
		got, err := s.session(users[1], s.app).Token(t.Context())
		if err != nil || got.Expired(p.Now(), 0) {
			t.Fatalf("%v, %v", got, err)
		}
		asked := p.Requests("/token")
		if last := asked[len(asked)-1].Form.Get("refresh_token"); last != unsaved[1].RefreshToken {
			t.Errorf("refreshed by %s, want %s", last, unsaved[1].RefreshToken)
		}
	})
}

// Covers: RP-62.
func TestRP62RefreshRefused(t *testing.T) {
	t.Parallel()
	p := providertest.New(t)
	s := newAttackedSite(t, p)
	refuse := func(status int, code string) providertest.Behaviour {
		return providertest.Behaviour{Handle: func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/token" || r.PostForm.Get("grant_type") != "refresh_token" {
				return false
			}
			providertest.Write(w, status, map[string]any{"error": code})
			return true
		}}
	}
	t.Run("accepts the access token that is left while the provider is away, and a refresh when it is back", func(t *testing.T) {
		u := s.signedIn()
		p.Behave(refuse(http.StatusServiceUnavailable, "temporarily_unavailable"))
		p.Advance(5*time.Minute - 10*time.Second)
		old, err := s.session(u, s.app).Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p.Advance(10 * time.Second)
		if _, err := s.session(u, s.app).Token(t.Context()); !client.Temporary(err) || errors.Is(err, rp.ErrLoginRequired) {
			t.Errorf("%v", err)
		}
		p.Behave(providertest.Behaviour{})
		fresh, err := s.session(u, s.app).Token(t.Context())
		if err != nil || fresh.AccessToken == old.AccessToken {
			t.Errorf("%v", err)
		}
	})
	t.Run("refuses when the provider has ended the grant, and does not ask again", func(t *testing.T) {
		u := s.signedIn()
		p.Behave(refuse(http.StatusBadRequest, "invalid_grant"))
		defer p.Behave(providertest.Behaviour{})
		p.Advance(5 * time.Minute)
		for range 3 {
			if _, err := s.session(u, s.app).Token(t.Context()); !errors.Is(err, rp.ErrLoginRequired) {
				t.Errorf("%v", err)
			}
		}
		asked := 0
		for _, each := range p.Requests("/token") {
			if each.Form.Get("grant_type") == "refresh_token" {
				asked++
			}
		}
		if asked > 4 { // two of the test before, one at the time it was back, one here
			t.Errorf("asked %d times", asked)
		}
		u.wants(u.get("/open"), http.StatusOK, "sub-alice")
	})
	t.Run("refuses another subject", func(t *testing.T) {
		u := s.signedIn()
		p.Behave(providertest.Behaviour{IDToken: func(claims map[string]any) { claims["sub"] = "sub-mallory" }})
		defer p.Behave(providertest.Behaviour{})
		p.Advance(5 * time.Minute)
		if _, err := s.session(u, s.app).Token(t.Context()); err == nil {
			t.Error("the tokens of another subject were taken")
		}
		u.wants(u.get("/open"), http.StatusOK, "sub-alice")
	})
}

// Covers: RP-63.
func TestRP63SealedTokens(t *testing.T) {
	t.Parallel()
	p := providertest.New(t)
	ring := session.RandomKeyRing()
	s := newAttackedSite(t, p, func(_ *site, c *rp.Config) { c.Sessions = session.Config{Sealed: true, Keys: ring} })
	u := s.signedIn()
	t.Run("accepts the access token of a sealed session while it lasts, and who the user is", func(t *testing.T) {
		in := s.session(u, s.app)
		tokens, err := in.Token(t.Context())
		if err != nil || tokens.AccessToken == "" || tokens.RefreshToken != "" {
			t.Fatalf("%v", err)
		}
		identity := in.Identity()
		if identity.Subject != "sub-alice" || identity.ACR != p.ACR || identity.SessionID != "session-1" || !identity.AuthTime.Equal(p.Now()) ||
			identity.Issuer != p.Issuer || len(identity.Audience) != 1 || !identity.IssuedAt.Equal(p.Now()) || !identity.ExpiresAt.Equal(p.Now().Add(5*time.Minute)) {
			t.Errorf("%+v", identity)
		}
	})
	t.Run("refuses to keep a refresh token in a cookie", func(t *testing.T) {
		value := strings.TrimPrefix(u.cookies()["__Host-session"], "1~")
		plain, _, err := ring.OpenText("session cookie\x00__Host-session", value)
		if err != nil || !strings.Contains(string(plain), "access_token") || strings.Contains(string(plain), "refresh_token") {
			t.Errorf("%v: %s", err, plain)
		}
		p.Advance(5 * time.Minute)
		_, err = s.session(u, s.app).Token(t.Context())
		if !errors.Is(err, rp.ErrLoginRequired) || !errors.Is(err, rp.ErrSealed) {
			t.Errorf("%v", err)
		}
	})
}

// Covers: RP-64.
func TestRP64SessionExpiry(t *testing.T) {
	t.Parallel()
	p := providertest.New(t)
	s := newAttackedSite(t, p)
	until := func(d time.Duration) {
		end := p.Now().Add(d).Unix()
		p.Behave(providertest.Behaviour{IDToken: func(claims map[string]any) { claims["session_expiry"] = end }})
	}
	t.Run("accepts a session until session_expiry, however it is used", func(t *testing.T) {
		until(30 * time.Minute)
		u := s.signedIn()
		p.Advance(30*time.Minute - time.Second)
		u.wants(u.get("/open"), http.StatusOK, "sub-alice")
		p.Advance(time.Second)
		u.wants(u.get("/open"), http.StatusOK, "nobody")
	})
	t.Run("accepts the one that a refresh brings, up to the absolute life", func(t *testing.T) {
		until(30 * time.Minute)
		u := s.signedIn()
		p.Advance(10 * time.Minute)
		until(40 * time.Minute)
		if _, err := s.session(u, s.app).Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.Advance(35 * time.Minute)
		u.wants(u.get("/open"), http.StatusOK, "sub-alice")
		until(100 * time.Hour)
		in := s.session(u, s.app)
		if _, err := in.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left := in.EndsAt().Sub(p.Now()); left > 12*time.Hour-45*time.Minute {
			t.Errorf("the session lasts another %v", left)
		}
	})
	t.Run("refuses a login whose session_expiry is over", func(t *testing.T) {
		until(0)
		u := s.user()
		u.wants(u.get(u.login("/")), http.StatusForbidden, "You have been signed out")
		s.wantError(session.ErrExpired)
	})
}

// Covers: RP-65.
func TestRP65Resources(t *testing.T) {
	t.Parallel()
	w := world(t)
	s := newSite(t, w)
	u := s.signedIn()
	t.Run("accepts the session's client at a resource, refreshed when that is due", func(t *testing.T) {
		in := s.session(u, s.app)
		for range 2 {
			response, err := in.HTTPClient(t.Context()).Get(w.Issuer + "/accounts")
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != http.StatusOK || response.Header.Get("X-Fapi-Interaction-Id") == "" {
				t.Errorf("%d %v", response.StatusCode, response.Header)
			}
			w.Clock.Advance(20 * time.Minute)
		}
		var claims struct{ Sub string }
		if err := in.UserInfo(t.Context(), &claims); err != nil || claims.Sub != "sub-alice" {
			t.Errorf("%+v, %v", claims, err)
		}
	})
	t.Run("accepts a session of an earlier key: it refreshes", func(t *testing.T) {
		ring := session.RandomKeyRing()
		s := newSite(t, w, func(_ *site, c *rp.Config) {
			c.Client.Binding = client.Binding{} // a key of the process
			c.Sessions = session.Config{Store: session.NewMemory(), Keys: ring}
		})
		u := s.signedIn()
		again := s.start()
		response, err := s.session(u, again).HTTPClient(t.Context()).Get(w.Issuer + "/accounts")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("%d", response.StatusCode)
		}
	})
	t.Run("refuses to send the token where there is no https, and after the session has ended", func(t *testing.T) {
		in := s.session(u, s.app)
		if _, err := in.HTTPClient(t.Context()).Get("http://127.0.0.1:1/"); err == nil {
			t.Error("http was used")
		}
		u.post("/auth/logout", nil)
		w.Clock.Advance(20 * time.Minute)
		if _, err := in.HTTPClient(t.Context()).Get(w.Issuer + "/accounts"); !errors.Is(err, rp.ErrLoginRequired) {
			t.Errorf("%v", err)
		}
	})
}
