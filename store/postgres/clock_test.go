package postgres_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"countersign/store"
	"countersign/store/postgres"
)

// skewed is a node's clock that is off by so much.
type skewed struct{ off atomic.Int64 }

func (s *skewed) now() time.Time { return time.Now().Add(time.Duration(s.off.Load())) }

// Covers: FD-110. A used value stays used, whatever the clock of a node shows: one that is fast drops nothing, one that is slow takes
// nothing that the others have forgotten, and a database that is wrong itself drops nothing. Time is that of a test, for hours.
func TestFD110UsedStaysUsed(t *testing.T) {
	database := migrated(t, cluster.Database(t))
	var right, theirs movable
	start := time.Date(2026, 3, 1, 12, 8, 0, 0, time.UTC)
	right.set(start)
	theirs.set(start)
	open := func(off time.Duration) *postgres.Store {
		return opened(t, postgres.Config{URL: database, MaxConnections: 4, DatabaseNow: theirs.now, Now: func() time.Time { return right.now().Add(off) }})
	}
	honest, fast, slow, nearly := open(0), open(5*time.Minute), open(-5*time.Minute), open(29*time.Second)
	value := store.OneTime{Kind: store.KindAssertion, Key: store.DigestOf("the assertion"), Until: start.Add(90 * time.Second)}
	if err := honest.ConsumeOneTime(t.Context(), value); err != nil {
		t.Fatal(err)
	}
	t.Run("refuses the value again for an hour, while every node tidies up", func(t *testing.T) {
		for range 120 {
			for _, node := range []*postgres.Store{fast, slow} {
				if _, err := node.Purge(t.Context(), 100); !errors.Is(err, store.ErrClock) {
					t.Fatalf("a node whose clock is wrong purged: %v", err)
				}
				if err := node.ConsumeOneTime(t.Context(), value); !errors.Is(err, store.ErrClock) || !errors.Is(err, store.ErrUnavailable) {
					t.Fatalf("a node whose clock is wrong: %v", err)
				}
			}
			for _, node := range []*postgres.Store{honest, nearly} {
				if _, err := node.Purge(t.Context(), 100); err != nil {
					t.Fatal(err)
				}
				if err := node.ConsumeOneTime(t.Context(), value); !errors.Is(err, store.ErrReplayed) && !errors.Is(err, store.ErrClock) {
					t.Fatalf("at %s: %v", right.now(), err)
				}
			}
			right.add(30 * time.Second)
			theirs.add(30 * time.Second)
		}
	})
	t.Run("accepts another of the same name, which proves that it was forgotten", func(t *testing.T) {
		again := value
		again.Until = right.now().Add(time.Minute)
		if err := honest.ConsumeOneTime(t.Context(), again); err != nil {
			t.Error(err)
		}
	})
	t.Run("refuses everything while the database's clock is wrong, and forgets nothing", func(t *testing.T) {
		kept := store.OneTime{Kind: store.KindAssertion, Key: store.DigestOf("another"), Until: right.now().Add(time.Minute)}
		if err := honest.ConsumeOneTime(t.Context(), kept); err != nil {
			t.Fatal(err)
		}
		theirs.add(24 * time.Hour)
		if _, err := honest.Purge(t.Context(), 100); !errors.Is(err, store.ErrClock) {
			t.Errorf("purged: %v", err)
		}
		if err := honest.Ping(t.Context()); !errors.Is(err, store.ErrClock) {
			t.Errorf("ready: %v", err)
		}
		theirs.add(-24 * time.Hour)
		if err := honest.ConsumeOneTime(t.Context(), kept); !errors.Is(err, store.ErrReplayed) {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// Covers: FD-110. The statement itself refuses a value whose partition may be gone, by the real clock of the database.
func TestFD110StatementRefuses(t *testing.T) {
	s := opened(t, postgres.Config{URL: migrated(t, cluster.Database(t))})
	for name, test := range map[string]struct {
		ends time.Duration
		want error
	}{
		"accepts one that goes on":                        {time.Minute, nil},
		"accepts one that has ended a moment ago":         {-time.Second, nil},
		"refuses one that ended longer ago than is kept":  {-13 * time.Minute, store.ErrClock},
		"refuses one that ended long before the database": {-24 * time.Hour, store.ErrClock},
	} {
		t.Run(name, func(t *testing.T) {
			value := store.OneTime{Kind: store.KindDPoP, Key: store.DigestOf(name), Until: time.Now().Add(test.ends)}
			if err := s.ConsumeOneTime(t.Context(), value); !errors.Is(err, test.want) {
				t.Errorf("%v", err)
			}
			issued := store.AccessToken{ID: store.DigestOf("token" + name), GrantID: name, ExpiresAt: time.Now().Add(time.Minute)}
			again := value
			again.Key = store.DigestOf("in a verb" + name)
			grant := store.Grant{ID: name, ClientID: "c", CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
			if err := s.IssueToken(t.Context(), grant, issued, again); !errors.Is(err, test.want) {
				t.Errorf("%v", err)
			}
			if _, err := s.AccessGrant(t.Context(), issued.ID); (err == nil) != (test.want == nil) {
				t.Errorf("the rest of the verb: %v", err)
			}
		})
	}
}

// Covers: FD-111. A node whose clock is 30 s or more from that of a real database says so and does nothing that depends on time; what
// an operator needs works, and all of it when the clock is right again.
func TestFD111NodeWithWrongClock(t *testing.T) {
	database := migrated(t, cluster.Database(t))
	for name, off := range map[string]time.Duration{"fast": 5 * time.Minute, "slow": -5 * time.Minute, "fast by 31 s": 31 * time.Second} {
		t.Run("refuses where it is "+name, func(t *testing.T) {
			var clock skewed
			s := opened(t, postgres.Config{URL: database, Now: clock.now})
			_, beats := changes(t, s)
			if err := s.Ping(t.Context()); err != nil || s.Condition().Clock != nil {
				t.Fatal(err, s.Condition())
			}
			if err := oneFlow(s, time.Now(), name+"before", time.Minute); err != nil {
				t.Fatal(err)
			}
			clock.off.Store(int64(off))
			if err := s.Ping(t.Context()); !errors.Is(err, store.ErrClock) {
				t.Fatalf("ready: %v", err)
			}
			failure, ok := errors.AsType[*store.ClockError](s.Condition().Clock)
			if !ok || (failure.Ahead-off).Abs() > time.Second {
				t.Fatalf("%v", s.Condition().Clock)
			}
			if err := oneFlow(s, clock.now(), name+"during", time.Minute); !errors.Is(err, store.ErrClock) {
				t.Errorf("a flow: %v", err)
			}
			if err := s.PutUser(t.Context(), store.User{Subject: name, Username: name, Disabled: true, CreatedAt: clock.now(), UpdatedAt: clock.now()}); err != nil {
				t.Errorf("an operator: %v", err)
			}
			// It is the watching that notices, without anybody asking.
			clock.off.Store(0)
			within(t, beats)
			within(t, beats)
			for began := time.Now(); s.Condition().Clock != nil; time.Sleep(10 * time.Millisecond) {
				if time.Since(began) > 5*time.Second {
					t.Fatal(s.Condition().Clock)
				}
			}
			if err := oneFlow(s, time.Now(), name+"after", time.Minute); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
	t.Run("accepts 25 s", func(t *testing.T) {
		var clock skewed
		clock.off.Store(int64(25 * time.Second))
		s := opened(t, postgres.Config{URL: database, Now: clock.now})
		if err := errors.Join(s.Ping(t.Context()), oneFlow(s, clock.now(), "accepted", time.Minute)); err != nil {
			t.Error(err)
		}
	})
}

// Covers: FD-110. What has expired is decided by the database's clock, not by a node's.
func TestFD110ExpiryByDatabase(t *testing.T) {
	database := migrated(t, cluster.Database(t))
	var clock skewed
	clock.off.Store(int64(-20 * time.Second)) // a node that would take a code for 20 s longer
	s := opened(t, postgres.Config{URL: database, Now: clock.now})
	for name, test := range map[string]struct {
		life time.Duration
		want error
	}{
		"accepts a code that is alive by the database's clock": {10 * time.Second, nil},
		"refuses one that has ended by it":                     {-time.Second, store.ErrExpired},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			id := store.DigestOf(name)
			grant := store.Grant{ID: name, ClientID: "c", CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
			code := store.Code{ID: id, GrantID: name, ClientID: "c", CreatedAt: now, ExpiresAt: now.Add(test.life)}
			err := errors.Join(s.Push(t.Context(), store.Request{ID: id, ClientID: "c", CreatedAt: now, ExpiresAt: now.Add(time.Minute)}),
				s.Finish(t.Context(), store.Finish{Request: id, Grant: &grant, Code: &code}))
			if err != nil {
				t.Fatal(err)
			}
			issued := store.Issued{AccessToken: store.AccessToken{ID: id, GrantID: name, ExpiresAt: now.Add(time.Minute)}}
			if err := s.RedeemCode(t.Context(), id, issued); !errors.Is(err, test.want) {
				t.Errorf("%v", err)
			}
		})
	}
}
