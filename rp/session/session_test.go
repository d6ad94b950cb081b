package session_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/rp/session"
	"countersign/rp/session/sessiontest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	sessiontest.Run(t, func(*testing.T) (session.Store, session.Store) {
		store := session.NewMemory()
		return store, store
	})
}

func secret(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func ring(t *testing.T, current byte, previous ...byte) session.KeyRing {
	t.Helper()
	var rest [][]byte
	for _, b := range previous {
		rest = append(rest, secret(b))
	}
	made, err := session.NewKeyRing(secret(current), rest...)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// clock is moved by the test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) Advance(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(d) }

// browser keeps cookies as a browser does with the prefix __Host-.
type browser struct {
	t       *testing.T
	cookies map[string]*http.Cookie
	set     int // how many cookies the last response set
}

func newBrowser(t *testing.T) *browser { return &browser{t: t, cookies: map[string]*http.Cookie{}} }

// visit makes a request with the cookies and keeps those of the response.
func (b *browser) visit(serve func(w http.ResponseWriter, r *http.Request)) {
	b.t.Helper()
	request := httptest.NewRequest(http.MethodGet, "https://app.example/", nil).WithContext(b.t.Context())
	for _, cookie := range b.cookies {
		request.AddCookie(cookie)
	}
	recorder := httptest.NewRecorder()
	serve(recorder, request)
	result := recorder.Result().Cookies()
	b.set = len(result)
	seen := map[string]bool{}
	for _, cookie := range result {
		if !strings.HasPrefix(cookie.Name, "__Host-") || !cookie.Secure || !cookie.HttpOnly || cookie.Path != "/" || cookie.Domain != "" || cookie.SameSite != http.SameSiteLaxMode {
			b.t.Errorf("cookie %v is not safe", cookie)
		}
		if seen[cookie.Name] {
			b.t.Errorf("cookie %s is set twice in one response", cookie.Name)
		}
		seen[cookie.Name] = true
		if len(cookie.String()) > 4096 {
			b.t.Errorf("cookie %s has %d bytes: browsers keep 4,096", cookie.Name, len(cookie.String()))
		}
		if cookie.MaxAge < 0 {
			delete(b.cookies, cookie.Name)
		} else {
			b.cookies[cookie.Name] = cookie
		}
	}
}

func manager(t *testing.T, config session.Config) *session.Manager {
	t.Helper()
	m, err := session.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newRecord(at time.Time) *session.Record {
	return &session.Record{Issuer: "https://as.example", Subject: "alice", SID: "sid-1", SignedInAt: at.Truncate(time.Second), Data: []byte(`{"a":1}`)}
}

func (b *browser) create(m *session.Manager, record *session.Record, replaces string) (err error) {
	b.t.Helper()
	b.visit(func(w http.ResponseWriter, r *http.Request) { err = m.Create(w, r, record, replaces) })
	return err
}

func (b *browser) load(m *session.Manager) (record *session.Record, err error) {
	b.t.Helper()
	b.visit(func(w http.ResponseWriter, r *http.Request) { record, err = m.Load(w, r) })
	return record, err
}

func (b *browser) wantSession(m *session.Manager, data string) *session.Record {
	b.t.Helper()
	record, err := b.load(m)
	if err != nil {
		b.t.Fatal(err)
	}
	if string(record.Data) != data || record.Subject != "alice" || record.SID != "sid-1" {
		b.t.Fatalf("loaded %+v with %s", record, record.Data)
	}
	return record
}

func (b *browser) wantAbsent(m *session.Manager, want error) {
	b.t.Helper()
	_, err := b.load(m)
	if !errors.Is(err, want) || !session.Absent(err) {
		b.t.Fatalf("%v, want %v", err, want)
	}
}

// form is a test of one way to keep a session. Its subtests begin with what they accept or refuse, and end with the way.
type form struct {
	*testing.T
	name string
}

func (f form) Run(name string, run func(t *testing.T)) bool {
	f.Helper()
	return f.T.Run(name+" ("+f.name+")", run)
}

// forms are both ways to keep a session.
func forms(t *testing.T, run func(t form, config session.Config, c *clock)) {
	t.Helper()
	for name, sealed := range map[string]bool{"stored": false, "sealed": true} {
		c := &clock{now: time.Unix(1_800_000_000, 0)}
		run(form{t, name}, session.Config{Store: session.NewMemory(), Sealed: sealed, Keys: ring(t, 1), Now: c.Now}, c)
	}
}

// Covers: RP-40.
func TestRP40Lives(t *testing.T) {
	t.Parallel()
	forms(t, func(t form, config session.Config, c *clock) {
		m, b := manager(t.T, config), newBrowser(t.T)
		b.wantAbsent(m, session.ErrNone)
		if err := b.create(m, newRecord(c.Now()), ""); err != nil {
			t.Fatal(err)
		}
		t.Run("accepts a session that is used within the hour, for twelve hours", func(t *testing.T) {
			for range 14 {
				c.Advance(50 * time.Minute)
				b.wantSession(m, `{"a":1}`)
			}
			b.wantSession(m, `{"a":1}`)
			if b.set != 0 {
				t.Errorf("%d cookies are set again at once", b.set)
			}
		})
		t.Run("refuses it after twelve hours", func(t *testing.T) {
			c.Advance(20*time.Minute - time.Second)
			b.wantSession(m, `{"a":1}`)
			c.Advance(time.Second)
			b.wantAbsent(m, session.ErrExpired)
			if len(b.cookies) != 0 {
				t.Errorf("cookies are left: %v", b.cookies)
			}
		})
		t.Run("refuses it after an hour without use", func(t *testing.T) {
			b := newBrowser(t)
			if err := b.create(m, newRecord(c.Now()), ""); err != nil {
				t.Fatal(err)
			}
			c.Advance(time.Hour)
			b.wantAbsent(m, session.ErrExpired)
		})
		t.Run("refuses it after the end that the provider set", func(t *testing.T) {
			b, record := newBrowser(t), newRecord(c.Now())
			record.EndsAt = c.Now().Add(10 * time.Minute)
			if err := b.create(m, record, ""); err != nil {
				t.Fatal(err)
			}
			c.Advance(10*time.Minute - time.Second)
			b.wantSession(m, `{"a":1}`)
			c.Advance(time.Second)
			b.wantAbsent(m, session.ErrExpired)
			record = newRecord(c.Now())
			record.EndsAt = c.Now()
			if err := b.create(m, record, ""); !errors.Is(err, session.ErrExpired) || len(b.cookies) != 0 {
				t.Errorf("an end that is over: %v, cookies %v", err, b.cookies)
			}
		})
	})
}

// Covers: RP-41.
func TestRP41Tampered(t *testing.T) {
	t.Parallel()
	forms(t, func(t form, config session.Config, c *clock) {
		m := manager(t.T, config)
		whole := newBrowser(t.T)
		record := newRecord(c.Now())
		record.Data = []byte(`{"a":"` + strings.Repeat("x", 3500) + `"}`)
		if err := whole.create(m, record, ""); err != nil {
			t.Fatal(err)
		}
		t.Run("accepts the cookies as they are", func(t *testing.T) { whole.wantSession(m, string(record.Data)) })
		t.Run("refuses them with one character changed anywhere, or one cookie missing", func(t *testing.T) {
			for name, cookie := range whole.cookies {
				for at := 0; at < len(cookie.Value); at += 1 + len(cookie.Value)/60 {
					b, changed := newBrowser(t), *cookie
					value := []byte(cookie.Value)
					if value[at] ^= 1; value[at] == ';' || value[at] == '"' || value[at] == ',' || value[at] == '\\' {
						continue
					}
					changed.Value = string(value)
					for each, other := range whole.cookies {
						b.cookies[each] = other
					}
					b.cookies[name] = &changed
					record, err := b.load(m)
					if err == nil && config.Sealed { // base64 has no unused bits here: each character counts
						t.Fatalf("%s at %d: loaded %+v", name, at, record)
					}
					if !session.Absent(err) {
						t.Fatalf("%s at %d: %v", name, at, err)
					}
					delete(b.cookies, name)
				}
				b := newBrowser(t)
				for each, other := range whole.cookies {
					if each != name {
						b.cookies[each] = other
					}
				}
				if _, err := b.load(m); !session.Absent(err) {
					t.Errorf("without %s: %v", name, err)
				}
			}
		})
		t.Run("refuses another application's cookie, and a cookie under another name", func(t *testing.T) {
			other := config
			other.Name = "other"
			b := newBrowser(t)
			for name, cookie := range whole.cookies {
				renamed := *cookie
				renamed.Name = strings.Replace(name, "session", "other", 1)
				b.cookies[renamed.Name] = &renamed
			}
			other.Store = session.NewMemory()
			if _, err := b.load(manager(t, other)); !session.Absent(err) || errors.Is(err, session.ErrNone) {
				t.Errorf("renamed: %v", err)
			}
		})
	})
}

// Covers: RP-42.
func TestRP42KeyRing(t *testing.T) {
	t.Parallel()
	forms(t, func(t form, config session.Config, c *clock) {
		b := newBrowser(t.T)
		if err := b.create(manager(t.T, config), newRecord(c.Now()), ""); err != nil {
			t.Fatal(err)
		}
		t.Run("accepts what a previous key sealed, and seals a cookie with the current one", func(t *testing.T) {
			config.Keys = ring(t, 2, 1)
			b.wantSession(manager(t, config), `{"a":1}`)
			if want := map[bool]int{true: 1, false: 0}[config.Sealed]; b.set != want {
				t.Errorf("%d cookies set, want %d", b.set, want)
			}
			if config.Sealed {
				config.Keys = ring(t, 2)
				b.wantSession(manager(t, config), `{"a":1}`)
			}
		})
		t.Run("refuses what was sealed by a key that is gone", func(t *testing.T) {
			config.Keys = ring(t, 3)
			b.wantAbsent(manager(t, config), session.ErrTampered)
		})
		t.Run("refuses short and repeated secrets, and a store without keys", func(t *testing.T) {
			if _, err := session.NewKeyRing(make([]byte, 31)); err == nil {
				t.Error("31 bytes are accepted")
			}
			if _, err := session.NewKeyRing(secret(1), secret(1)); err == nil {
				t.Error("one secret twice is accepted")
			}
			if _, err := session.New(session.Config{Store: session.NewMemory()}); err == nil {
				t.Error("a store without keys is accepted")
			}
		})
	})
}

// Covers: RP-43.
func TestRP43TooLarge(t *testing.T) {
	t.Parallel()
	c := &clock{now: time.Unix(1_800_000_000, 0)}
	m := manager(t, session.Config{Sealed: true, Now: c.Now})
	b := newBrowser(t)
	t.Run("accepts what fits into several cookies, and removes those that are not needed any more", func(t *testing.T) {
		record := newRecord(c.Now())
		record.Data = []byte(`"` + strings.Repeat("x", 4000) + `"`)
		if err := b.create(m, record, ""); err != nil {
			t.Fatal(err)
		}
		if len(b.cookies) != 2 {
			t.Fatalf("%d cookies, want 2", len(b.cookies))
		}
		b.wantSession(m, string(record.Data))
		b.visit(func(w http.ResponseWriter, r *http.Request) {
			record.Data = []byte(`"small"`)
			if err := m.Reseal(w, r, record); err != nil {
				t.Error(err)
			}
		})
		if len(b.cookies) != 1 {
			t.Fatalf("%d cookies, want 1", len(b.cookies))
		}
		b.wantSession(m, `"small"`)
	})
	t.Run("refuses what does not fit, says so, and leaves the cookies as they were", func(t *testing.T) {
		record := newRecord(c.Now())
		record.Data = []byte(`"` + strings.Repeat("x", 6000) + `"`)
		err := b.create(m, record, "")
		tooLarge, ok := errors.AsType[*session.TooLargeError](err)
		if !ok || tooLarge.Limit != session.DefaultMaxSize || tooLarge.Size <= tooLarge.Limit || !strings.Contains(err.Error(), "store") {
			t.Fatalf("%v", err)
		}
		b.wantSession(m, `"small"`)
	})
}

// undeletable is a store that deletes nothing.
type undeletable struct{ session.Store }

// Delete implements [session.Store].
func (undeletable) Delete(context.Context, string, time.Time) error { return errors.New("away") }

// TestCreateNotReplaced: a login whose session cannot replace the one from before begins none, and leaves the browser what it has.
func TestCreateNotReplaced(t *testing.T) {
	t.Parallel()
	forms(t, func(t form, config session.Config, c *clock) {
		t.Run("accepts the session from before", func(t *testing.T) {
			config.Store = undeletable{config.Store}
			m, b := manager(t, config), newBrowser(t)
			record := newRecord(c.Now())
			record.Data = []byte(`"` + strings.Repeat("x", 4000) + `"`)
			if err := b.create(m, record, ""); err != nil {
				t.Fatal(err)
			}
			before := b.wantSession(m, string(record.Data))
			if err := b.create(m, newRecord(c.Now()), before.Key); err == nil || b.set != 0 {
				t.Errorf("%v, and %d cookies were set", err, b.set)
			}
			if after := b.wantSession(m, string(record.Data)); after.Key != before.Key {
				t.Error("it is another session")
			}
		})
	})
}

// Covers: RP-44.
func TestRP44Ended(t *testing.T) {
	t.Parallel()
	forms(t, func(t form, config session.Config, c *clock) {
		m := manager(t.T, config)
		begin := func(t *testing.T) *browser {
			t.Helper()
			b := newBrowser(t)
			if err := b.create(m, newRecord(c.Now()), ""); err != nil {
				t.Fatal(err)
			}
			return b
		}
		t.Run("refuses a session that its user ended, whoever kept a copy of its cookies", func(t *testing.T) {
			b := begin(t)
			thief := newBrowser(t)
			for name, cookie := range b.cookies {
				thief.cookies[name] = cookie
			}
			record := b.wantSession(m, `{"a":1}`)
			b.visit(func(w http.ResponseWriter, r *http.Request) {
				if err := m.End(w, r, record); err != nil {
					t.Error(err)
				}
			})
			if len(b.cookies) != 0 {
				t.Errorf("cookies are left: %v", b.cookies)
			}
			if _, err := thief.load(m); !session.Absent(err) {
				t.Errorf("the copy: %v", err)
			}
		})
		t.Run("refuses the id from before a login (session fixation)", func(t *testing.T) {
			b := begin(t)
			old := newBrowser(t)
			for name, cookie := range b.cookies {
				old.cookies[name] = cookie
			}
			before := b.wantSession(m, `{"a":1}`)
			if err := b.create(m, newRecord(c.Now()), before.Key); err != nil {
				t.Fatal(err)
			}
			if after := b.wantSession(m, `{"a":1}`); after.Key == before.Key {
				t.Error("the key stayed")
			}
			if _, err := old.load(m); !session.Absent(err) {
				t.Errorf("the session from before: %v", err)
			}
		})
		t.Run("refuses sessions that the provider ended, and logins that lost against that", func(t *testing.T) {
			b := begin(t)
			if err := m.EndBySubject(t.Context(), "https://as.example", "alice", c.Now()); err != nil {
				t.Fatal(err)
			}
			if _, err := b.load(m); !session.Absent(err) {
				t.Errorf("ended by its subject: %v", err)
			}
			if err := b.create(m, newRecord(c.Now()), ""); !errors.Is(err, session.ErrEnded) || len(b.cookies) != 0 {
				t.Errorf("a login from before: %v", err)
			}
			c.Advance(time.Second)
			b = begin(t)
			if err := m.EndBySID(t.Context(), "https://as.example", "sid-1"); err != nil {
				t.Fatal(err)
			}
			if _, err := b.load(m); !session.Absent(err) {
				t.Errorf("ended by its sid: %v", err)
			}
			c.Advance(time.Second)
			if err := b.create(m, newRecord(c.Now()), ""); !errors.Is(err, session.ErrEnded) {
				t.Errorf("a login of a sid that has ended: %v", err)
			}
		})
		t.Run("accepts others", func(t *testing.T) {
			b, other := newBrowser(t), newRecord(c.Now())
			other.SID = ""
			if err := b.create(m, other, ""); err != nil {
				t.Fatal(err)
			}
			if _, err := b.load(m); err != nil {
				t.Error(err)
			}
		})
	})
}

// TestChange: compare-and-swap shows each change the one before.
func TestChange(t *testing.T) {
	t.Parallel()
	m, b := manager(t, session.Config{}), newBrowser(t)
	record := newRecord(time.Now())
	record.Data = []byte("0")
	if err := b.create(m, record, ""); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 8 {
		mine := *record
		wait.Go(func() {
			if err := m.Change(t.Context(), &mine, func(r *session.Record) error {
				r.Data = append(bytes.Clone(r.Data), '+')
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	b.wantSession(m, "0++++++++")
	stop := errors.New("stop")
	if err := m.Change(t.Context(), record, func(*session.Record) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
	if err := m.Store().Delete(t.Context(), record.Key, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := m.Change(t.Context(), record, func(*session.Record) error { return nil }); !errors.Is(err, session.ErrUnknown) {
		t.Errorf("a session that is gone: %v", err)
	}
}

// TestStoredSealed: what a store gets tells nothing.
func TestStoredSealed(t *testing.T) {
	t.Parallel()
	store := session.NewMemory()
	m, b := manager(t, session.Config{Store: store, Keys: ring(t, 1)}), newBrowser(t)
	record := newRecord(time.Now())
	record.Data = []byte("the refresh token")
	if err := b.create(m, record, ""); err != nil {
		t.Fatal(err)
	}
	stored, err := store.Load(t.Context(), record.Key)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(stored.Data, []byte("refresh")) {
		t.Error("the data is readable")
	}
	for _, cookie := range b.cookies {
		if strings.Contains(cookie.Value, stored.Key) || session.KeyOf(strings.TrimPrefix(cookie.Value, "1~")) != stored.Key {
			t.Error("the store has another key than the hash of the id")
		}
	}
}

// TestSweep: logins remove what is over.
func TestSweep(t *testing.T) {
	t.Parallel()
	c := &clock{now: time.Unix(1_800_000_000, 0)}
	store := session.NewMemory()
	m, b := manager(t, session.Config{Store: store, Keys: ring(t, 1), Now: c.Now}), newBrowser(t)
	first := newRecord(c.Now())
	if err := b.create(m, first, ""); err != nil {
		t.Fatal(err)
	}
	c.Advance(2 * time.Hour)
	if err := newBrowser(t).create(m, newRecord(c.Now()), ""); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Load(t.Context(), first.Key); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("the session that is over is still stored: %v", err)
	}
}

// FuzzCookies: whatever a browser sends, it is a session that was sealed, or none.
func FuzzCookies(f *testing.F) {
	f.Add("1~abc", "")
	f.Add("2~abc", "def")
	f.Add("9~", "~")
	f.Fuzz(func(t *testing.T, first, second string) {
		for _, sealed := range []bool{true, false} {
			m, err := session.New(session.Config{Sealed: sealed})
			if err != nil {
				t.Fatal(err)
			}
			request := httptest.NewRequest(http.MethodGet, "https://app.example/", nil)
			request.AddCookie(&http.Cookie{Name: "__Host-session", Value: first})
			request.AddCookie(&http.Cookie{Name: "__Host-session-2", Value: second})
			if record, err := m.Load(httptest.NewRecorder(), request); !session.Absent(err) {
				t.Fatalf("%+v, %v", record, err)
			}
		}
	})
}
