// Package sessiontest is the contract of a [session.Store], as tests: every store passes it.
package sessiontest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/rp/session"
)

const issuer = "https://as.example"

var start = time.UnixMilli(1_800_000_000_000)

// Run tests a store. open returns an empty one, and another handle of the same as another process has it; for a store of one process that is the same.
func Run(t *testing.T, open func(t *testing.T) (store, other session.Store)) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, a, b session.Store)
	}{
		{"accepts what is saved, and only as the version that is expected", testSave},
		{"accepts one of many changes of one version", testSaveRace},
		{"accepts a use, which never goes back", testTouch},
		{"refuses what was deleted", testDelete},
		{"refuses what a sid ended, also when it is saved later", testDeleteBySID},
		{"refuses what a subject ended, but for later sign-ins", testDeleteBySubject},
		{"refuses a login that races a logout", testLogoutRace},
		{"accepts a value once", testConsume},
		{"accepts what is not over when it sweeps", testSweep},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, b := open(t)
			test.run(t, a, b)
		})
	}
}

func record(key, subject, sid string) session.Record {
	return session.Record{
		Key: session.KeyOf(key), Issuer: issuer, Subject: subject, SID: sid, SignedInAt: start.Truncate(time.Second),
		IdleUntil: start.Add(time.Hour), EndsAt: start.Add(12 * time.Hour), Data: []byte{0, 0xff, 'a'},
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%v, want %v", err, want)
	}
}

func load(t *testing.T, s session.Store, key string) session.Record {
	t.Helper()
	r, err := s.Load(t.Context(), session.KeyOf(key))
	must(t, err)
	return r
}

func gone(t *testing.T, s session.Store, key string) {
	t.Helper()
	_, err := s.Load(t.Context(), session.KeyOf(key))
	want(t, err, session.ErrNotFound)
}

func testSave(t *testing.T, a, b session.Store) {
	ctx, r := t.Context(), record("1", "alice", "s1")
	gone(t, a, "1")
	want(t, a.Save(ctx, r, 1), session.ErrConflict)
	must(t, a.Save(ctx, r, 0))
	want(t, b.Save(ctx, r, 0), session.ErrConflict)
	stored := load(t, b, "1")
	if stored.Version != 1 || stored.Issuer != r.Issuer || stored.Subject != r.Subject || stored.SID != r.SID || !stored.SignedInAt.Equal(r.SignedInAt) ||
		!stored.IdleUntil.Equal(r.IdleUntil) || !stored.EndsAt.Equal(r.EndsAt) || !bytes.Equal(stored.Data, r.Data) {
		t.Fatalf("stored %+v, saved %+v", stored, r)
	}
	r.Data, r.EndsAt = []byte("second"), start.Add(2*time.Hour)
	must(t, b.Save(ctx, r, 1))
	r.Data = []byte("late")
	want(t, a.Save(ctx, r, 1), session.ErrConflict)
	if stored := load(t, a, "1"); stored.Version != 2 || string(stored.Data) != "second" || !stored.EndsAt.Equal(start.Add(2*time.Hour)) {
		t.Fatalf("stored %+v", stored)
	}
	r.Data[0] = 'x'
	stored = load(t, a, "1")
	stored.Data[0] = 'x'
	if again := load(t, a, "1"); string(again.Data) != "second" {
		t.Fatalf("the store shares its data: %s", again.Data)
	}
}

func testSaveRace(t *testing.T, a, b session.Store) {
	r := record("1", "alice", "")
	must(t, a.Save(t.Context(), r, 0))
	var won atomic.Int64
	var wait sync.WaitGroup
	for i := range 16 {
		s := []session.Store{a, b}[i%2]
		wait.Go(func() {
			err := s.Save(t.Context(), r, 1)
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, session.ErrConflict) {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if won.Load() != 1 {
		t.Fatalf("%d of 16 won", won.Load())
	}
}

func testTouch(t *testing.T, a, b session.Store) {
	ctx, r := t.Context(), record("1", "alice", "")
	must(t, a.Touch(ctx, r.Key, start))
	gone(t, a, "1")
	must(t, a.Save(ctx, r, 0))
	must(t, a.Touch(ctx, r.Key, start.Add(2*time.Hour)))
	must(t, b.Touch(ctx, r.Key, start.Add(90*time.Minute)))
	must(t, b.Save(ctx, r, 1)) // with the IdleUntil from before
	if stored := load(t, b, "1"); !stored.IdleUntil.Equal(start.Add(2*time.Hour)) || stored.Version != 2 {
		t.Fatalf("stored %+v", stored)
	}
}

func testDelete(t *testing.T, a, b session.Store) {
	ctx := t.Context()
	for _, key := range []string{"1", "2"} {
		must(t, a.Save(ctx, record(key, "alice", ""), 0))
	}
	must(t, a.Delete(ctx, session.KeyOf("1"), time.Time{}))
	must(t, a.Delete(ctx, session.KeyOf("1"), time.Time{}))
	gone(t, b, "1")
	want(t, b.Save(ctx, record("1", "alice", ""), 1), session.ErrConflict)
	load(t, b, "2")
	must(t, a.Delete(ctx, session.KeyOf("3"), start.Add(time.Hour)))
	ended(t, b, record("3", "alice", ""), true)
	ended(t, b, record("2", "alice", ""), false)
	ended(t, b, record("1", "alice", ""), false)
}

func ended(t *testing.T, s session.Store, r session.Record, want bool) {
	t.Helper()
	got, err := s.Ended(t.Context(), r)
	must(t, err)
	if got != want {
		t.Fatalf("ended: %v, want %v", got, want)
	}
}

func testDeleteBySID(t *testing.T, a, b session.Store) {
	ctx := t.Context()
	elsewhere := record("4", "alice", "s1")
	elsewhere.Issuer = "https://other.example"
	must(t, a.Save(ctx, elsewhere, 0))
	for key, sid := range map[string]string{"1": "s1", "2": "s2", "3": ""} {
		must(t, a.Save(ctx, record(key, "alice", sid), 0))
	}
	must(t, b.DeleteBySID(ctx, issuer, "s1", start.Add(time.Hour)))
	must(t, b.DeleteBySID(ctx, issuer, "s1", start.Add(time.Minute)))
	gone(t, a, "1")
	for _, key := range []string{"2", "3", "4"} {
		load(t, a, key)
	}
	later := record("5", "alice", "s1")
	later.SignedInAt = start.Add(time.Minute)
	want(t, a.Save(ctx, later, 0), session.ErrEnded)
	gone(t, b, "5")
	ended(t, b, later, true)
	must(t, a.Save(ctx, record("6", "alice", ""), 0))
}

func testDeleteBySubject(t *testing.T, a, b session.Store) {
	ctx := t.Context()
	later := record("2", "alice", "s2")
	later.SignedInAt = start.Add(time.Minute).Truncate(time.Second)
	for _, r := range []session.Record{record("1", "alice", "s1"), later, record("3", "bob", "s3")} {
		must(t, a.Save(ctx, r, 0))
	}
	must(t, b.DeleteBySubject(ctx, issuer, "alice", start, start.Add(time.Hour)))
	must(t, b.DeleteBySubject(ctx, issuer, "alice", start.Add(-time.Hour), start.Add(time.Minute)))
	gone(t, a, "1")
	load(t, a, "2")
	load(t, a, "3")
	want(t, a.Save(ctx, record("4", "alice", "s4"), 0), session.ErrEnded)
	gone(t, b, "4")
	later.Key = session.KeyOf("5")
	must(t, a.Save(ctx, later, 0))
	ended(t, b, later, false)
}

// testLogoutRace has each login race the logout of its own session: whoever is first, nobody is signed in afterwards.
func testLogoutRace(t *testing.T, a, b session.Store) {
	ctx := context.WithoutCancel(t.Context())
	var wait sync.WaitGroup
	for i := range 60 {
		key, sid := fmt.Sprint("race", i), fmt.Sprint("sid", i)
		start := make(chan struct{})
		wait.Go(func() {
			<-start
			if err := a.Save(ctx, record(key, "alice", sid), 0); err != nil && !errors.Is(err, session.ErrEnded) {
				t.Error(err)
			}
		})
		wait.Go(func() {
			<-start
			if err := b.DeleteBySID(ctx, issuer, sid, time.UnixMilli(1_900_000_000_000)); err != nil {
				t.Error(err)
			}
		})
		close(start)
		wait.Wait()
		gone(t, a, key)
	}
}

func testConsume(t *testing.T, a, b session.Store) {
	ctx := t.Context()
	var won atomic.Int64
	var wait sync.WaitGroup
	for i := range 16 {
		s := []session.Store{a, b}[i%2]
		wait.Go(func() {
			err := s.Consume(ctx, "jti", start.Add(time.Minute))
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, session.ErrConsumed) {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if won.Load() != 1 {
		t.Fatalf("%d of 16 consumed it", won.Load())
	}
	must(t, a.Consume(ctx, "another", start.Add(time.Minute)))
}

func testSweep(t *testing.T, a, b session.Store) {
	ctx := t.Context()
	idle, old := record("idle", "alice", ""), record("old", "alice", "")
	idle.IdleUntil, old.EndsAt = start, start
	for _, r := range []session.Record{idle, old, record("live", "alice", "")} {
		must(t, a.Save(ctx, r, 0))
	}
	must(t, a.DeleteBySID(ctx, issuer, "over", start))
	must(t, a.DeleteBySID(ctx, issuer, "not over", start.Add(time.Minute)))
	must(t, a.Consume(ctx, "over", start))
	must(t, a.Consume(ctx, "not over", start.Add(time.Minute)))
	removed, err := b.Sweep(ctx, start, 100)
	must(t, err)
	if removed != 4 {
		t.Fatalf("%d were removed, want 4", removed)
	}
	gone(t, a, "idle")
	gone(t, a, "old")
	load(t, a, "live")
	ended(t, a, record("x", "alice", "over"), false)
	ended(t, a, record("x", "alice", "not over"), true)
	want(t, a.Consume(ctx, "not over", start), session.ErrConsumed)
	must(t, a.Consume(ctx, "over", start))
}
