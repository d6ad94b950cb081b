package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/internal/limit"
	"countersign/store"
	"countersign/store/sqlite"
)

// bank is nodes with one store, whose users are those of newDirectory.
type bank struct {
	t     *testing.T
	clock *clock
	file  string
	store *sqlite.Store
	table *users
	made  *Directory
}

func newBank(t *testing.T) *bank {
	t.Helper()
	made, table, watch := newDirectory(t)
	b := &bank{t: t, clock: watch, file: filepath.Join(t.TempDir(), "store.db"), table: table, made: made}
	if _, err := sqlite.Migrate(t.Context(), sqlite.Config{File: b.file}); err != nil {
		t.Fatal(err)
	}
	b.open()
	t.Cleanup(func() { _ = b.store.Close() })
	return b
}

func (b *bank) open() {
	b.t.Helper()
	var err error
	if b.store, err = sqlite.Open(b.t.Context(), sqlite.Config{File: b.file, Now: b.clock.Now}); err != nil {
		b.t.Fatal(err)
	}
}

// node starts a node.
func (b *bank) node() *Directory {
	b.t.Helper()
	d := *b.made // its decoy is cheap, and another would take as long as a password
	d.limits, d.turns = limit.NewShared(b.store, b.clock.Now, slog.New(slog.DiscardHandler)), newTurns(2)
	return &d
}

// sign signs in and wants an outcome: nil, ErrRefused or ErrThrottled.
func sign(t *testing.T, d *Directory, a Attempt, want error) Proven {
	t.Helper()
	proven, err := d.Authenticate(t.Context(), a)
	if !errors.Is(err, want) {
		t.Fatalf("%s from %q: got %v, want %v", a.Username, a.Address, err, want)
	}
	return proven
}

func from(address, username, password string) Attempt {
	return Attempt{Username: username, Password: password, Address: address}
}

// address is one of many.
func address(i int) string { return fmt.Sprintf("192.0.2.%d", i) }

// Covers: FD-60. An address takes so many wrong passwords, for whatever names and on whatever node, and others are
// not affected.
func TestAddressesAreLimited(t *testing.T) {
	for what, guesser := range map[string]func(i int) string{
		"an IPv4 address": func(int) string { return "203.0.113.9" },
		"a /64 of IPv6":   func(int) string { return "2001:db8:1:2::/64" },
	} {
		t.Run("refuses "+what+" that sprays", func(t *testing.T) {
			b := newBank(t)
			nodes := []*Directory{b.node(), b.node()}
			for i := range DefaultRates().AddressBurst {
				sign(t, nodes[i%2], from(guesser(i), fmt.Sprint("name ", i), "password1"), ErrRefused)
			}
			for _, node := range nodes {
				sign(t, node, from(guesser(1), "one more", "password1"), ErrThrottled)
				sign(t, node, from(guesser(1), "alice", rightPassword), ErrThrottled)
				sign(t, node, from("198.51.100.7", "alice", rightPassword), nil)
				sign(t, node, from("2001:db8:7:7::/64", "alice", rightPassword), nil)
			}
			b.clock.advance(DefaultRates().AddressInterval)
			sign(t, nodes[0], from(guesser(1), "one more", "password1"), ErrRefused)
			sign(t, nodes[0], from(guesser(1), "and another", "password1"), ErrThrottled)
		})
	}
	t.Run("refuses a /48 of IPv6 that changes its /64", func(t *testing.T) {
		b := newBank(t)
		node, looked := b.node(), 0
		for i := range 300 {
			_, err := node.Authenticate(t.Context(), from(fmt.Sprintf("2001:db8:1:%x::/64", i), fmt.Sprint("name ", i), "password1"))
			if errors.Is(err, ErrRefused) {
				looked++
			}
		}
		if looked != 4*DefaultRates().AddressBurst {
			t.Errorf("%d passwords were looked at, want %d", looked, 4*DefaultRates().AddressBurst)
		}
		sign(t, node, from("2001:db8:2:1::/64", "alice", rightPassword), nil)
	})
	t.Run("accepts right passwords without end", func(t *testing.T) {
		node := newBank(t).node()
		for range 3 * DefaultRates().AddressBurst {
			sign(t, node, from("203.0.113.9", "alice", rightPassword), nil)
		}
	})
}

// Covers: FD-60. A restart forgets no wrong password.
func TestLimitsLast(t *testing.T) {
	b := newBank(t)
	for i := range DefaultRates().NameBurst {
		sign(t, b.node(), from(address(i), "alice", "password1"), ErrRefused) // each time a new process
	}
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	b.open()
	sign(t, b.node(), from(address(200), "alice", rightPassword), ErrThrottled)
	if err := Unlock(t.Context(), b.store, b.table.byName["alice"]); err != nil {
		t.Fatal(err)
	}
	sign(t, b.node(), from(address(200), "alice", rightPassword), nil)
}

// flipped has another letter at one place.
func flipped(text string, at int) string {
	letter := "A"
	if text[at] == 'A' {
		letter = "B"
	}
	return text[:at] + letter + text[at+1:]
}

// Covers: FD-61. Wrong passwords for a name from one address use up only what that address may try for the name.
func TestOneStrangerLocksNobodyOut(t *testing.T) {
	b := newBank(t)
	node := b.node()
	for range DefaultRates().NameBurst / 2 {
		sign(t, node, from("203.0.113.9", "alice", "password1"), ErrRefused)
	}
	for range 60 { // an hour of it
		b.clock.advance(time.Minute)
		_, _ = node.Authenticate(t.Context(), from("203.0.113.9", "alice", "password1"))
	}
	sign(t, node, from("203.0.113.9", "alice", rightPassword), ErrThrottled)
	sign(t, node, from("198.51.100.7", "alice", rightPassword), nil)
}

// Covers: FD-61. A browser in which a user has signed in before has limits of its own, and is nobody else's.
func TestKnownBrowsers(t *testing.T) {
	// attacked is a node on which strangers have used up all that alice's name takes.
	attacked := func(t *testing.T) (*bank, *Directory, Attempt) {
		b := newBank(t)
		b.table.byName["bob"] = store.User{Subject: "sub-bob", Username: "bob", Password: cheap(rightPassword).String()}
		node := b.node()
		mine := from("198.51.100.7", "alice", rightPassword)
		mine.Known = sign(t, node, mine, nil).Known
		for i := range DefaultRates().NameBurst {
			sign(t, node, from(address(i), "alice", "password1"), ErrRefused)
		}
		sign(t, node, from("198.51.100.7", "alice", rightPassword), ErrThrottled)
		return b, node, mine
	}
	t.Run("accepts a browser that is known", func(t *testing.T) {
		b, node, mine := attacked(t)
		again := sign(t, node, mine, nil)
		mine.Known = again.Known
		sign(t, b.node(), mine, nil) // another node
		b.clock.advance(KnownFor - time.Second)
		sign(t, node, mine, nil)
	})
	t.Run("refuses more than its own share of wrong passwords", func(t *testing.T) {
		_, node, mine := attacked(t)
		for range DefaultRates().NameBurst / 2 {
			wrong := mine
			wrong.Password = "typing error"
			sign(t, node, wrong, ErrRefused)
		}
		sign(t, node, mine, ErrThrottled)
	})
	for what, change := range map[string]func(b *bank, a *Attempt, bobs string){
		"one that is not known":       func(_ *bank, a *Attempt, _ string) { a.Known = "" },
		"one that another user knows": func(_ *bank, a *Attempt, bobs string) { a.Known = bobs },
		"a changed name":              func(_ *bank, a *Attempt, _ string) { a.Known = flipped(a.Known, 0) },
		"a changed end":               func(_ *bank, a *Attempt, _ string) { a.Known = flipped(a.Known, 50) },
		"a changed code":              func(_ *bank, a *Attempt, _ string) { a.Known = flipped(a.Known, 70) },
		"a cookie that is cut off":    func(_ *bank, a *Attempt, _ string) { a.Known = a.Known[:len(a.Known)-3] },
		"one that is known too long":  func(b *bank, _ *Attempt, _ string) { b.clock.advance(KnownFor) },
		"one from before a new password": func(b *bank, a *Attempt, _ string) {
			user := b.table.byName["alice"]
			user.Password = cheap("another password").String()
			b.table.byName["alice"], a.Password = user, "another password"
		},
	} {
		t.Run("refuses "+what, func(t *testing.T) {
			b, node, mine := attacked(t)
			bobs := sign(t, node, from("198.51.100.8", "bob", rightPassword), nil).Known
			before := mine.Known
			if change(b, &mine, bobs); what == "one that is known too long" {
				for i := range 25 { // meanwhile the strangers go on
					_, _ = node.Authenticate(t.Context(), from(address(i), "alice", "password1"))
				}
			} else if what != "one from before a new password" && mine.Known == before {
				t.Fatal("nothing was changed")
			}
			sign(t, node, mine, ErrThrottled)
		})
	}
	t.Run("accepts several users in one browser", func(t *testing.T) {
		_, node, mine := attacked(t)
		both := from("198.51.100.7", "bob", rightPassword)
		both.Known = mine.Known
		mine.Known = sign(t, node, both, nil).Known
		if strings.Count(mine.Known, "~") != 2 {
			t.Errorf("the browser keeps %q", mine.Known)
		}
		sign(t, node, mine, nil)
	})
	t.Run("accepts one that is known by a passkey", func(t *testing.T) {
		_, node, mine := attacked(t)
		var err error
		if mine.Known, err = node.Remember(t.Context(), "sub-alice", "", ""); err != nil {
			t.Fatal(err)
		}
		sign(t, node, mine, nil)
		if _, err := node.Remember(t.Context(), "nobody's", "", ""); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("nobody is remembered: %v", err)
		}
	})
}

// Covers: FD-62. A user takes a hundred wrong passwords in a row, slow as they may come, until the row is ended.
func TestFailuresInARow(t *testing.T) {
	rates := DefaultRates()
	// slowly tries for three months and returns how many passwords were looked at.
	slowly := func(b *bank, node *Directory, a Attempt) (looked int) {
		for i := range 100 {
			b.clock.advance(23 * time.Hour)
			if a.Known == "" {
				a.Address = address(i)
			}
			if _, err := node.Authenticate(b.t.Context(), a); errors.Is(err, ErrRefused) {
				looked++
			}
		}
		return looked
	}
	for _, name := range []string{"alice", "mallory"} { // who has a password, and who is not known
		t.Run("refuses more for "+name, func(t *testing.T) {
			b := newBank(t)
			node := b.node()
			if looked := slowly(b, node, from("", name, "password1")); looked != 80 {
				t.Fatalf("%d passwords were looked at, want 80", looked)
			}
			_, err := node.Authenticate(t.Context(), from(address(1), name, rightPassword))
			known, ok := errors.AsType[interface {
				error
				RetryAfter() time.Duration
				Locked() bool
			}](err)
			if !ok || !known.Locked() || known.RetryAfter() > time.Hour {
				t.Fatalf("got %v, which does not say that waiting does not help", err)
			}
		})
	}
	t.Run("refuses more than a fifth from known browsers", func(t *testing.T) {
		b := newBank(t)
		node := b.node()
		mine := from("198.51.100.7", "alice", rightPassword)
		mine.Known = sign(t, node, mine, nil).Known
		strangers := slowly(b, node, from("", "alice", "password1"))
		mine.Password, mine.Address = "typing error", "198.51.100.7"
		known := 0
		for range 100 {
			b.clock.advance(time.Hour)
			if _, err := node.Authenticate(t.Context(), mine); errors.Is(err, ErrRefused) {
				known++
			}
		}
		if strangers+known > rates.Failures || known != rates.Failures/5 {
			t.Errorf("%d passwords of strangers and %d of a known browser were looked at, want %d in all", strangers, known, rates.Failures)
		}
	})
	for what, end := range map[string]func(b *bank, node *Directory, known string){
		"a right password in a known browser": func(b *bank, node *Directory, known string) {
			a := from("198.51.100.7", "alice", rightPassword)
			a.Known = known
			sign(b.t, node, a, nil)
		},
		"an operator": func(b *bank, _ *Directory, _ string) {
			if err := Unlock(b.t.Context(), b.store, b.table.byName["alice"]); err != nil {
				b.t.Fatal(err)
			}
		},
	} {
		t.Run("accepts after "+what, func(t *testing.T) {
			b := newBank(t)
			node := b.node()
			known := sign(t, node, from("198.51.100.7", "alice", rightPassword), nil).Known
			for i := range 85 {
				b.clock.advance(time.Hour)
				_, _ = node.Authenticate(t.Context(), from(address(i), "alice", "password1"))
			}
			state, err := rates.FailuresOf(t.Context(), b.store, []store.User{b.table.byName["dora"], b.table.byName["alice"]})
			if err != nil || state[0] != (Failed{}) || state[1] != (Failed{InRow: 80, Locked: true}) {
				t.Fatalf("the directory has %+v against them: %v", state, err)
			}
			b.clock.advance(time.Hour)
			sign(t, node, from(address(1), "alice", rightPassword), ErrThrottled)
			end(b, node, known)
			b.clock.advance(time.Hour)
			sign(t, node, from(address(1), "alice", rightPassword), nil)
			if state, err = rates.FailuresOf(t.Context(), b.store, []store.User{b.table.byName["alice"]}); err != nil || state[0] != (Failed{}) {
				t.Errorf("afterwards it has %+v: %v", state, err)
			}
		})
	}
}

// Covers: FD-65. Attempts at once are no way around the tries of an interaction, on several nodes neither.
func TestInteractionsAreLimited(t *testing.T) {
	b := newBank(t)
	nodes := []*Directory{b.node(), b.node()}
	t.Run("refuses more than its tries at once", func(t *testing.T) {
		var looked atomic.Int64
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				a := from(address(i), fmt.Sprint("name ", i), "password1")
				a.Interaction, a.Tries = "one", 5
				if _, err := nodes[i%2].Authenticate(context.Background(), a); errors.Is(err, ErrRefused) {
					looked.Add(1)
				}
			})
		}
		all.Wait()
		if looked.Load() != 5 {
			t.Errorf("%d of 8 passwords at once were looked at, want 5", looked.Load())
		}
	})
	t.Run("accepts other interactions", func(t *testing.T) {
		other := from(address(1), "alice", rightPassword)
		other.Interaction, other.Tries = "another", 5
		for range 6 { // right passwords are free
			sign(t, nodes[0], other, nil)
		}
	})
}

// Covers: FD-64. What an attempt counts against has the same form for a name that somebody has and for one that
// nobody has, and those of nobody leave a bounded number of records that last.
func TestUnknownNamesAreAlike(t *testing.T) {
	b := newBank(t)
	node := b.node()
	against := func(name string) []store.Rate {
		user, _, err := node.find(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return node.ratesOf(from("203.0.113.9", name, "x"), user)
	}
	for _, name := range []string{"mallory", "dora", "nobody", "a\x00"} {
		t.Run(fmt.Sprintf("refuses %q as it does alice", name), func(t *testing.T) {
			rates, known := against(name), against("alice")
			if len(rates) != len(known) {
				t.Fatalf("it counts against %v, alice against %v", rates, known)
			}
			for i, rate := range rates {
				if rate.Interval != known[i].Interval || rate.Burst != known[i].Burst {
					t.Errorf("it counts against %v, alice against %v", rate, known[i])
				}
			}
			for range DefaultRates().NameBurst / 2 {
				sign(t, node, from("203.0.113.1", name, "password1"), ErrRefused)
			}
			sign(t, node, from("203.0.113.1", name, "password1"), ErrThrottled)
			if name == "a\x00" { // the address has no more left
				sign(t, node, from("203.0.113.2", "alice", "password1"), ErrRefused)
			}
		})
	}
	t.Run("accepts a user whose name is like those of nobody", func(t *testing.T) {
		lasting := map[store.Digest]bool{}
		for i := range 3 * rowCells {
			lasting[node.rates.strangers(store.User{}, fmt.Sprint("name ", i)).Key] = true
		}
		if len(lasting) > rowCells {
			t.Errorf("names of nobody have %d records that last, want %d at most", len(lasting), rowCells)
		}
		if lasting[node.rates.strangers(b.table.byName["alice"], "alice").Key] {
			t.Error("a user shares a record with names of nobody")
		}
		sign(t, node, from("198.51.100.7", "alice", rightPassword), nil)
	})
}
