// Package rp_test compares sessions of rp/session with those of github.com/alexedwards/scs, in a module of its own: `make bench-rp`. Each has who the user is, three
// tokens of usual sizes and a basket. A load is a request with the session's cookie up to the basket; a save is a request that also changes the basket; a login is a
// request that begins a session.
package rp_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/gob"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/alexedwards/scs/sqlite3store"
	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"
	_ "github.com/mattn/go-sqlite3"

	"countersign/rp/session"
	"countersign/rp/session/sqlstore"
)

// kept is what a session keeps.
type kept struct {
	Subject, AccessToken, RefreshToken, IDToken string
	Basket                                      []string
}

func newKept() kept {
	return kept{
		Subject: "248289761001", AccessToken: text(700), RefreshToken: text(64), IDToken: text(1100),
		Basket: []string{"umbrella", "lantern"},
	}
}

// text is a random text, as tokens are.
func text(length int) string {
	raw := make([]byte, length)
	rand.Read(raw)
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i, b := range raw {
		raw[i] = letters[b%64]
	}
	return string(raw)
}

// requests makes a request with the cookies of a response.
func requests(response *httptest.ResponseRecorder) *http.Request {
	request := httptest.NewRequest(http.MethodGet, "https://app.example/", nil)
	for _, cookie := range response.Result().Cookies() {
		request.AddCookie(cookie)
	}
	return request
}

func database(b *testing.B) *sql.DB {
	b.Helper()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(b.TempDir(), "sessions.db")+"?_journal_mode=WAL&_synchronous=NORMAL&_busy_timeout=10000")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	return db
}

// BenchmarkCountersign measures rp/session: in memory, in SQLite, and in cookies.
func BenchmarkCountersign(b *testing.B) {
	keys := session.RandomKeyRing()
	store, err := sqlstore.New(database(b), sqlstore.SQLite)
	if err != nil {
		b.Fatal(err)
	}
	if err := store.Create(b.Context()); err != nil {
		b.Fatal(err)
	}
	for _, kind := range []struct {
		name   string
		config session.Config
	}{
		{"memory", session.Config{Store: session.NewMemory(), Keys: keys}}, {"sqlite", session.Config{Store: store, Keys: keys}},
		{"cookies", session.Config{Sealed: true, Keys: keys}},
	} {
		m, err := session.New(kind.config)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(kind.name, func(b *testing.B) { countersign(b, m) })
	}
}

func countersign(b *testing.B, m *session.Manager) {
	create := func() *httptest.ResponseRecorder {
		data, err := json.Marshal(newKept())
		if err != nil {
			b.Fatal(err)
		}
		response := httptest.NewRecorder()
		record := &session.Record{Issuer: "https://as.example", Subject: "248289761001", SID: "sid", SignedInAt: time.Now(), Data: data}
		if err := m.Create(response, httptest.NewRequest(http.MethodGet, "https://app.example/", nil), record, ""); err != nil {
			b.Fatal(err)
		}
		return response
	}
	load := func(request *http.Request) (*httptest.ResponseRecorder, *session.Record, kept) {
		response := httptest.NewRecorder()
		record, err := m.Load(response, request)
		if err != nil {
			b.Fatal(err)
		}
		var k kept
		if err := json.Unmarshal(record.Data, &k); err != nil || len(k.Basket) != 2 {
			b.Fatal(err, k.Basket)
		}
		return response, record, k
	}
	b.Run("load", func(b *testing.B) {
		request := requests(create())
		b.ReportAllocs()
		for b.Loop() {
			load(request)
		}
	})
	b.Run("save", func(b *testing.B) {
		request := requests(create())
		b.ReportAllocs()
		for b.Loop() {
			response, record, k := load(request)
			k.Basket[0] = "kettle"
			data, err := json.Marshal(k)
			if err != nil {
				b.Fatal(err)
			}
			if m.Sealed() {
				record.Data = data
				err = m.Reseal(response, request, record)
			} else {
				err = m.Change(request.Context(), record, func(r *session.Record) error { r.Data = data; return nil })
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("login", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			create()
		}
	})
}

// BenchmarkSCS measures scs: in memory and in SQLite. It has no sessions in cookies, and does not encrypt.
func BenchmarkSCS(b *testing.B) {
	gob.Register([]string{})
	db := database(b)
	if _, err := db.Exec(`CREATE TABLE sessions (token TEXT PRIMARY KEY, data BLOB NOT NULL, expiry REAL NOT NULL); CREATE INDEX sessions_expiry ON sessions(expiry)`); err != nil {
		b.Fatal(err)
	}
	for _, kind := range []struct {
		name  string
		store scs.Store
	}{{"memory", memstore.NewWithCleanupInterval(0)}, {"sqlite", sqlite3store.NewWithCleanupInterval(db, 0)}} {
		m := scs.New()
		m.Store, m.Cookie.Secure, m.HashTokenInStore = kind.store, true, true
		b.Run(kind.name, func(b *testing.B) { withSCS(b, m) })
	}
}

func withSCS(b *testing.B, m *scs.SessionManager) {
	serve := func(request *http.Request, handle func(ctx context.Context)) *httptest.ResponseRecorder {
		response := httptest.NewRecorder()
		m.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { handle(r.Context()) })).ServeHTTP(response, request)
		return response
	}
	create := func() *httptest.ResponseRecorder {
		k := newKept()
		return serve(httptest.NewRequest(http.MethodGet, "https://app.example/", nil), func(ctx context.Context) {
			if err := m.RenewToken(ctx); err != nil {
				b.Fatal(err)
			}
			m.Put(ctx, "subject", k.Subject)
			m.Put(ctx, "access_token", k.AccessToken)
			m.Put(ctx, "refresh_token", k.RefreshToken)
			m.Put(ctx, "id_token", k.IDToken)
			m.Put(ctx, "basket", k.Basket)
		})
	}
	read := func(ctx context.Context) []string {
		basket, _ := m.Get(ctx, "basket").([]string)
		if len(basket) != 2 {
			b.Fatal("no basket")
		}
		return basket
	}
	b.Run("load", func(b *testing.B) {
		request := requests(create())
		b.ReportAllocs()
		for b.Loop() {
			serve(request, func(ctx context.Context) { read(ctx) })
		}
	})
	b.Run("save", func(b *testing.B) {
		request := requests(create())
		b.ReportAllocs()
		for b.Loop() {
			serve(request, func(ctx context.Context) {
				basket := read(ctx)
				basket[0] = "kettle"
				m.Put(ctx, "basket", basket)
			})
		}
	})
	b.Run("login", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			create()
		}
	})
}

// TestSame holds both to what is compared: the cookie of either has the session.
func TestSame(t *testing.T) {
	m := scs.New()
	m.Store = memstore.NewWithCleanupInterval(0)
	ours, err := session.New(session.Config{})
	if err != nil {
		t.Fatal(err)
	}
	theirs := httptest.NewRecorder()
	m.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { m.Put(r.Context(), "a", "b") })).
		ServeHTTP(theirs, httptest.NewRequest(http.MethodGet, "https://app.example/", nil))
	m.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if m.GetString(r.Context(), "a") != "b" {
			t.Error("scs has not kept it")
		}
	})).ServeHTTP(httptest.NewRecorder(), requests(theirs))
	created := httptest.NewRecorder()
	record := &session.Record{Issuer: "i", Subject: "s", SignedInAt: time.Now(), Data: []byte("b")}
	if err := ours.Create(created, httptest.NewRequest(http.MethodGet, "https://app.example/", nil), record, ""); err != nil {
		t.Fatal(err)
	}
	loaded, err := ours.Load(httptest.NewRecorder(), requests(created))
	if err != nil || !bytes.Equal(loaded.Data, record.Data) {
		t.Error(loaded, err)
	}
}
