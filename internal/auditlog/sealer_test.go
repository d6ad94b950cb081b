package auditlog_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	_ "github.com/mattn/go-sqlite3" // to tamper

	"countersign/internal/audit"
	"countersign/internal/auditlog"
	"countersign/signer"
	"countersign/signer/soft"
	"countersign/store"
	"countersign/store/sqlite"
)

// world is a store with a key that seals.
type world struct {
	t       testing.TB
	store   store.Store
	file    string
	signer  *signer.Signer
	backend *awayBackend
	log     *logBuffer

	mu  sync.Mutex
	now time.Time
}

func (w *world) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// awayBackend is a key file that can be away, as an HSM can.
type awayBackend struct {
	*soft.Backend
	mu   sync.Mutex
	away bool
}

func (b *awayBackend) set(away bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away = away
}

// Sign implements signer.Backend.
func (b *awayBackend) Sign(ctx context.Context, key signer.Record, message []byte) ([]byte, error) {
	b.mu.Lock()
	away := b.away
	b.mu.Unlock()
	if away {
		return nil, signer.ErrUnavailable
	}
	return b.Backend.Sign(ctx, key, message)
}

type catalogue []signer.Record

// Keys implements signer.Catalogue.
func (c catalogue) Keys(context.Context) ([]signer.Record, error) { return c, nil }

// newWorld makes a store and a key for a use.
func newWorld(t testing.TB, use signer.Use) *world {
	t.Helper()
	folder := t.TempDir()
	w := &world{t: t, file: filepath.Join(folder, "store.db"), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), log: &logBuffer{}}
	settings := sqlite.Config{File: w.file, Now: w.Now}
	_, err := sqlite.Migrate(t.Context(), settings)
	w.must(err)
	s, err := sqlite.Open(t.Context(), settings)
	w.must(err)
	w.store = s
	t.Cleanup(func() { w.must(s.Close()) })

	w.must(os.WriteFile(filepath.Join(folder, "passphrase"), []byte("correct horse battery\n"), 0o600))
	backend, err := soft.Prepare(soft.Config{File: filepath.Join(folder, "keys"), PassphraseFile: filepath.Join(folder, "passphrase")})
	w.must(err)
	w.must(backend.Connect(t.Context()))
	t.Cleanup(func() { backend.Close() })
	w.backend = &awayBackend{Backend: backend}
	record, err := backend.Generate(t.Context(), signer.ES256)
	w.must(err)
	record.State, record.Uses, record.ActivatedAt = signer.Active, []signer.Use{use}, w.now
	public, err := signer.PublicJWK(record)
	w.must(err)
	w.must(s.AddKey(t.Context(), store.Key{
		ID: record.ID, Algorithm: string(record.Algorithm), Uses: []string{string(use)}, State: "active", Public: public, CreatedAt: w.now, ActivatedAt: w.now,
	}))
	w.signer, err = signer.New(t.Context(), signer.Config{Catalogue: catalogue{record}, Replicas: []signer.Replica{{Backend: w.backend}}, Now: w.Now})
	w.must(err)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) sealer(chain string) *auditlog.Sealer {
	return &auditlog.Sealer{
		Store: w.store, Signer: w.signer, Chain: chain, Every: time.Minute, Entries: 100, Now: w.Now, Log: slog.New(slog.NewTextHandler(w.log, nil)),
	}
}

// record keeps events for a chain.
func (w *world) record(chain string, count int) {
	w.t.Helper()
	body, err := json.Marshal(audit.Event{Kind: audit.SecurityEvent, Detail: map[string]string{"event": "test"}})
	w.must(err)
	evidence := make([]store.Evidence, count)
	for i := range evidence {
		evidence[i] = store.Evidence{Chain: chain, At: w.Now(), Body: body}
	}
	w.must(w.store.Record(w.t.Context(), evidence...))
}

// verified verifies the log, and counts the entries of each chain.
func (w *world) verified(wantUnsealed uint64) map[string]int {
	w.t.Helper()
	keys, err := auditlog.Keys(w.t.Context(), w.store)
	w.must(err)
	verifier, counts := audit.NewVerifier(audit.Options{Keys: keys}), map[string]int{}
	w.must(auditlog.Each(w.t.Context(), w.store, auditlog.Position{}, func(line store.AuditLine) error {
		verifier.Add([]byte(line.Text))
		counts[line.Chain]++
		return nil
	}))
	if report := verifier.Report(); len(report.Findings) != 0 || report.Unsealed != wantUnsealed {
		w.t.Errorf("%d not sealed, want %d; found %v", report.Unsealed, wantUnsealed, report.Findings)
	}
	return counts
}

func (w *world) wantCounts(got map[string]int, want ...any) {
	w.t.Helper()
	expected := map[string]int{}
	for i := 0; i < len(want); i += 2 {
		expected[want[i].(string)] = want[i+1].(int)
	}
	if fmt.Sprint(got) != fmt.Sprint(expected) {
		w.t.Errorf("the chains have %v entries, want %v", got, expected)
	}
}

// TestSealsWithAnotherAlgorithm: a key that no HSM holds any more, as after a move to one that does not have its algorithm,
// does not keep the log from being sealed by another one; an HSM that is away does.
//
// Covers: FD-96.
func TestSealsWithAnotherAlgorithm(t *testing.T) {
	w := newWorld(t, signer.UseEvidence)
	held, err := w.backend.List(t.Context())
	w.must(err)
	gone, err := w.backend.Generate(t.Context(), signer.EdDSA)
	w.must(err)
	w.must(w.backend.Destroy(t.Context(), gone.ID))
	here := held[0].Record
	for i, record := range []*signer.Record{&here, &gone} { // the one that is gone was activated last
		record.State, record.Uses, record.ActivatedAt = signer.Active, []signer.Use{signer.UseEvidence}, w.now.Add(time.Duration(i)*time.Hour)
	}
	w.signer, err = signer.New(t.Context(), signer.Config{Catalogue: catalogue{here, gone}, Replicas: []signer.Replica{{Backend: w.backend}}, Now: w.Now})
	w.must(err)
	s := w.sealer("a")
	w.record("a", 3)
	w.must(s.Seal(t.Context()))
	w.wantCounts(w.verified(0), "a", 4)

	w.backend.set(true)
	w.record("a", 1)
	if err := s.Seal(t.Context()); !errors.Is(err, signer.ErrUnavailable) {
		t.Errorf("refuses while the HSM is away: %v", err)
	}
	w.wantCounts(w.verified(1), "a", 5)

	w.signer, err = signer.New(t.Context(), signer.Config{Catalogue: catalogue{gone}, Replicas: []signer.Replica{{Backend: w.backend}}, Now: w.Now})
	w.must(err)
	w.backend.set(false)
	if err := w.sealer("a").Seal(t.Context()); !errors.Is(err, signer.ErrNoKey) {
		t.Errorf("refuses without another key: %v", err)
	}
}

// TestCheckpointsWhenDue: after a time, after a number of entries, at the end, and never for nothing.
func TestCheckpointsWhenDue(t *testing.T) {
	w := newWorld(t, signer.UseEvidence)
	s := w.sealer("a")
	w.must(s.Seal(t.Context()))
	w.wantCounts(w.verified(0))
	w.record("a", 3)
	w.must(s.Step(t.Context()))
	w.wantCounts(w.verified(3), "a", 3)
	w.advance(time.Minute - time.Microsecond)
	w.must(s.Step(t.Context()))
	w.wantCounts(w.verified(3), "a", 3)
	w.advance(time.Microsecond)
	w.must(s.Step(t.Context()))
	w.wantCounts(w.verified(0), "a", 4)
	w.advance(time.Hour)
	w.must(s.Step(t.Context()))
	w.wantCounts(w.verified(0), "a", 4)
	w.record("a", 100)
	w.must(s.Step(t.Context()))
	w.wantCounts(w.verified(0), "a", 105)
	w.record("a", 1)
	w.must(s.Seal(t.Context()))
	w.must(s.Seal(t.Context()))
	w.wantCounts(w.verified(0), "a", 107)
	if lines := strings.Count(w.log.String(), "audit checkpoint"); lines != 3 {
		t.Errorf("%d checkpoints are in the server's log, want 3:\n%s", lines, w.log)
	}
}

// TestRestart: another process goes on with the chain, and seals what was not.
func TestRestart(t *testing.T) {
	w := newWorld(t, signer.UseEvidence)
	w.record("a", 2)
	w.must(w.sealer("a").Step(t.Context()))
	w.must(w.sealer("a").Seal(t.Context()))
	w.wantCounts(w.verified(0), "a", 3)
	w.must(w.sealer("a").Seal(t.Context()))
	w.wantCounts(w.verified(0), "a", 3)
}

// TestNodes: each takes its own, what names no node, and what another has left for a minute.
func TestNodes(t *testing.T) {
	w := newWorld(t, signer.UseEvidence)
	a, b := w.sealer("a"), w.sealer("b")
	w.record("a", 1)
	w.record("b", 2)
	w.must(a.Step(t.Context()))
	w.wantCounts(w.verified(1), "a", 1)
	w.record("", 1)
	w.must(a.Step(t.Context()))
	w.wantCounts(w.verified(2), "a", 2)
	w.must(b.Step(t.Context()))
	w.record("b", 3)
	w.advance(time.Minute)
	w.must(a.Seal(t.Context()))
	w.wantCounts(w.verified(2), "a", 3, "b", 2) // not yet a minute
	w.advance(time.Microsecond)
	w.must(a.Seal(t.Context()))
	w.must(b.Seal(t.Context()))
	w.wantCounts(w.verified(0), "a", 7, "b", 3)
}

// TestOneChainTwice: two processes with one name, as during a change of release, do not break the chain.
func TestOneChainTwice(t *testing.T) {
	w := newWorld(t, signer.UseEvidence)
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			s := w.sealer("a")
			for range 10 {
				w.record("a", 2)
				if err := s.Seal(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	w.must(w.sealer("a").Seal(t.Context()))
	w.must(w.sealer("a").Seal(t.Context()))
	counts := w.verified(0)
	if waiting, err := w.store.WaitingEvidence(t.Context(), "a", time.Time{}, 1000); err != nil || len(waiting) != 0 || counts["a"] < 80 {
		t.Errorf("%d wait, %v; the chain has %d entries", len(waiting), err, counts["a"])
	}
	if strings.Contains(w.log.String(), "audit_log_cut") {
		t.Error("a change of hands was taken for a log that was cut off")
	}
}

// TestWithoutHSM: nothing is lost while nothing can be sealed.
func TestWithoutHSM(t *testing.T) {
	w := newWorld(t, signer.UseEvidence)
	s := w.sealer("a")
	w.backend.set(true)
	w.record("a", 250)
	if err := s.Seal(t.Context()); !errors.Is(err, signer.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	w.wantCounts(w.verified(250), "a", 250)
	w.backend.set(false)
	w.must(s.Step(t.Context()))
	w.wantCounts(w.verified(0), "a", 251)
}

// TestWithoutKey: entries are chained, and the error says what to do.
func TestWithoutKey(t *testing.T) {
	w := newWorld(t, signer.UseAccessToken)
	w.record("a", 1)
	err := w.sealer("a").Seal(t.Context())
	if !errors.Is(err, signer.ErrNoKey) || !strings.Contains(err.Error(), "keys generate --alg ES256 --use evidence") {
		t.Errorf("got %v", err)
	}
	w.wantCounts(w.verified(1), "a", 1)
}

// TestTamperedWhileWaiting: what is no longer evidence does not stop the rest, and is recorded.
func TestTamperedWhileWaiting(t *testing.T) {
	w := newWorld(t, signer.UseEvidence)
	for _, body := range []string{"{", `"text"`, `{"kind":"id_token"}`, `{"kind":"checkpoint","detail":{"a":"b"}}`} {
		w.must(w.store.Record(t.Context(), store.Evidence{Chain: "a", At: w.Now(), Body: json.RawMessage(body)}))
	}
	w.record("a", 1)
	w.must(w.sealer("a").Seal(t.Context()))
	w.wantCounts(w.verified(0), "a", 6)
	unreadable := 0
	w.must(auditlog.Each(t.Context(), w.store, auditlog.Position{}, func(line store.AuditLine) error {
		entry, err := audit.ParseEntry([]byte(line.Text))
		if err == nil && entry.Detail["event"] == "evidence_unreadable" && entry.Detail["sha-256"] != "" {
			unreadable++
		}
		return err
	}))
	if unreadable != 4 {
		t.Errorf("%d are recorded as unreadable, want 4", unreadable)
	}
}

// TestCutWhileRunning: a log that gets shorter under a running server says so from then on.
func TestCutWhileRunning(t *testing.T) {
	w := newWorld(t, signer.UseEvidence)
	s := w.sealer("a")
	w.record("a", 3)
	w.must(s.Seal(t.Context()))
	db, err := sql.Open("sqlite3", w.file)
	w.must(err)
	_, err = db.Exec("DELETE FROM audit_log WHERE sequence > 2")
	w.must(errors.Join(err, db.Close()))
	w.record("a", 1)
	w.must(s.Seal(t.Context()))
	w.must(s.Seal(t.Context()))
	told := false
	w.must(auditlog.Each(t.Context(), w.store, auditlog.Position{}, func(line store.AuditLine) error {
		entry, err := audit.ParseEntry([]byte(line.Text))
		told = told || entry.Detail["event"] == "audit_log_cut" && entry.Detail["from"] == "3" && entry.Detail["to"] == "4"
		return err
	}))
	if !told || !strings.Contains(w.log.String(), "audit_log_cut") {
		t.Errorf("nothing is logged: %s", w.log)
	}
	w.verified(0)
}

// TestBrokenHead: a chain whose last line was made unreadable is not gone on with, and evidence waits.
func TestBrokenHead(t *testing.T) {
	w := newWorld(t, signer.UseEvidence)
	w.must(w.store.AppendAudit(t.Context(), []store.AuditLine{{Chain: "a", Sequence: 1, Text: "{}"}}))
	w.record("a", 1)
	if err := w.sealer("a").Step(t.Context()); !errors.Is(err, audit.ErrEntry) {
		t.Errorf("got %v", err)
	}
	if waiting, err := w.store.WaitingEvidence(t.Context(), "a", time.Time{}, 9); err != nil || len(waiting) != 1 {
		t.Errorf("%d wait, %v", len(waiting), err)
	}
}

// TestRun: it works by itself, logs once what is wrong, and seals when it ends.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, signer.UseEvidence)
		w.backend.set(true)
		s := w.sealer("a")
		s.Every = 0
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.Run(ctx)
		}()
		w.record("a", 2)
		time.Sleep(10 * time.Second) // it tries again and again
		synctest.Wait()
		if logged := strings.Count(w.log.String(), "audit log append failed"); logged != 1 {
			t.Errorf("logged %d times", logged)
		}
		w.backend.set(false)
		cancel()
		<-ended
		w.wantCounts(w.verified(0), "a", 3)
	})
}

// TestDroppedWaiting: what was dropped is known before its entry is in a chain.
func TestDroppedWaiting(t *testing.T) {
	w := newWorld(t, signer.UseEvidence)
	w.record("a", 3)
	w.must(w.sealer("a").Seal(t.Context()))
	body, err := json.Marshal(audit.Event{Kind: audit.Dropped, Detail: map[string]string{"node": "a", "through": "3"}})
	w.must(err)
	dropped, err := w.store.DropAudit(t.Context(), "a", 4, store.Evidence{At: w.Now(), Body: body})
	if err != nil || dropped != 3 {
		t.Fatalf("dropped %d, %v", dropped, err)
	}
	said, err := auditlog.SaidWaiting(t.Context(), w.store, w.Now())
	if err != nil || said.Dropped["a"] != 3 {
		t.Errorf("said are %v, %v", said, err)
	}
	w.must(w.sealer("a").Seal(t.Context()))
	w.wantCounts(w.verified(0), "a", 3)
}
