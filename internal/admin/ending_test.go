package admin_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/internal/admin"
	"countersign/internal/directory"
	"countersign/internal/limit"
	"countersign/store"
	"countersign/store/storetest"
)

// Covers: FD-12, FD-13, FD-14. Resetting a password, disabling, enabling and signing out end the sessions and pending
// enrolment codes of the user, and of nobody else.
func TestFD12Ending(t *testing.T) {
	t.Parallel()
	password := func() ([]byte, error) { return []byte("correct horse battery staple"), nil }
	prepare := func(t *testing.T) *admin.Admin {
		t.Helper()
		a := newAdmin(t)
		for _, name := range []string{"alice", "bob"} {
			if _, err := a.AddUser(t.Context(), admin.NewUser{Username: name, Subject: "sub-" + name}, password); err != nil {
				t.Fatal(err)
			}
			session := store.Session{
				ID: store.DigestOf("session of " + name), Subject: "sub-" + name, AuthTime: now, ExpiresAt: now.Add(time.Hour),
			}
			if err := a.Store.StartSession(t.Context(), session, store.Digest{}); err != nil {
				t.Fatal(err)
			}
			if _, err := a.AddDeviceCode(t.Context(), name, ""); err != nil {
				t.Fatal(err)
			}
		}
		return a
	}
	counts := func(t *testing.T, a *admin.Admin, subject string) int {
		t.Helper()
		stored, err := a.Store.UserData(t.Context(), subject)
		if err != nil {
			t.Fatal(err)
		}
		return len(stored.Sessions) + len(stored.Enrolments)
	}
	for name, end := range map[string]func(ctx context.Context, a *admin.Admin) error{
		"a reset password": func(ctx context.Context, a *admin.Admin) error { return a.SetPassword(ctx, "alice", password) },
		"disabling":        func(ctx context.Context, a *admin.Admin) error { return a.SetUserDisabled(ctx, "alice", true) },
		"enabling":         func(ctx context.Context, a *admin.Admin) error { return a.SetUserDisabled(ctx, "alice", false) },
		"sign-out":         func(ctx context.Context, a *admin.Admin) error { return a.SignOut(ctx, "sub-alice") },
	} {
		t.Run("refuses a session after "+name, func(t *testing.T) {
			t.Parallel()
			a := prepare(t)
			if err := end(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			if left := counts(t, a, "sub-alice"); left != 0 {
				t.Errorf("%d sessions and codes are left", left)
			}
			if left := counts(t, a, "sub-bob"); left != 2 {
				t.Errorf("bob has %d sessions and codes", left)
			}
			if !slices.ContainsFunc(events(t, a), func(e map[string]string) bool {
				return e["event"] == "sessions_ended" && e["subject"] == "sub-alice"
			}) {
				t.Error("not in the audit log")
			}
		})
	}
	t.Run("accepts sessions after another change", func(t *testing.T) {
		t.Parallel()
		a := prepare(t)
		if err := a.SetUserCode(t.Context(), "alice", "123456789"); err != nil {
			t.Fatal(err)
		}
		if left := counts(t, a, "sub-alice"); left != 2 {
			t.Errorf("%d sessions and codes are left", left)
		}
	})
	t.Run("refuses to sign out nobody", func(t *testing.T) {
		t.Parallel()
		if err := prepare(t).SignOut(t.Context(), "nobody"); err == nil {
			t.Error("signed out")
		}
	})
}

// Covers: FD-15. What goes on when sessions have ended is listed, and can be ended.
func TestFD15Remaining(t *testing.T) {
	t.Parallel()
	a := newAdmin(t)
	ctx := t.Context()
	a.Now = time.Now                     // the clock of FillEverything
	storetest.FillEverything(t, a.Store) // of the user "subject"
	left, err := a.Remaining(ctx, "subject")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("accepts to list what goes on", func(t *testing.T) {
		text := left.Commands("subject")
		if len(left.Grants) == 0 || len(left.Authenticators) != 3 || strings.Count(text, "\n") != 1+len(left.Grants)+3 {
			t.Errorf("%+v", left)
		}
	})
	t.Run("refuses all of it after its end", func(t *testing.T) {
		if revoked, removed, err := a.EndRemaining(ctx, "subject", false, false); err != nil || revoked+removed != 0 {
			t.Errorf("nothing asked for: %d revoked, %d removed, %v", revoked, removed, err)
		}
		if revoked, removed, err := a.EndRemaining(ctx, "subject", true, true); err != nil || revoked != len(left.Grants) || removed != 3 {
			t.Errorf("%d revoked, %d removed, %v", revoked, removed, err)
		}
		if left, err := a.Remaining(ctx, "subject"); err != nil || len(left.Authenticators)+len(left.Grants) != 0 {
			t.Errorf("%+v, %v", left, err)
		}
	})
}

// Covers: FD-16. The erasure of a user is in the audit log.
func TestFD16ErasureIsAudited(t *testing.T) {
	t.Parallel()
	a := newAdmin(t)
	if err := a.Store.AddDevice(t.Context(), store.Device{ID: "d", Subject: "sub-x", Name: "Phone", JKT: "t", CreatedAt: now}); err != nil {
		t.Fatal(err)
	}
	erased := func() bool {
		return slices.ContainsFunc(events(t, a), func(e map[string]string) bool { return e["event"] == "person_erased" })
	}
	t.Run("refuses to record what was not done", func(t *testing.T) {
		if err := a.Erase(t.Context(), "nobody"); err == nil || erased() {
			t.Errorf("%v", err)
		}
	})
	t.Run("accepts an erasure with its record", func(t *testing.T) {
		if err := a.Erase(t.Context(), "sub-x"); err != nil || !erased() {
			t.Errorf("%v", err)
		}
	})
}

// Covers: FD-68. An operator sees who is locked, and ends it; so does a new password. The audit log has both.
func TestUnlock(t *testing.T) {
	t.Parallel()
	for what, end := range map[string]struct {
		event string
		do    func(a *admin.Admin) error
	}{
		"an operator":    {"user_unlocked", func(a *admin.Admin) error { return a.Unlock(t.Context(), "alice") }},
		"a new password": {"user_put", func(a *admin.Admin) error { return a.SetPassword(t.Context(), "alice", typedPassword) }},
	} {
		t.Run("accepts an end by "+what, func(t *testing.T) {
			a := newAdmin(t)
			user, err := a.AddUser(t.Context(), admin.NewUser{Username: "alice"}, typedPassword)
			if err != nil {
				t.Fatal(err)
			}
			state := func() (string, int) {
				failed, err := directory.DefaultRates().FailuresOf(t.Context(), a.Store, []store.User{user})
				if err != nil {
					t.Fatal(err)
				}
				return admin.UserState(user, failed[0]), failed[0].InRow
			}
			d, err := directory.New(directory.Config{
				Users: a.Store, Browsers: a.Store, Limits: limit.NewShared(a.Store, a.Now, slog.New(slog.DiscardHandler)), Key: make([]byte, 32), Now: a.Now,
				Rates: directory.Rates{NameBurst: 20, NameInterval: time.Minute, AddressBurst: 50, AddressInterval: 6 * time.Second, Failures: 10},
			})
			if err != nil {
				t.Fatal(err)
			}
			for range 8 {
				if _, err := d.Authenticate(t.Context(), directory.Attempt{Username: "alice", Password: "wrong"}); !errors.Is(err, directory.ErrRefused) {
					t.Fatal(err)
				}
			}
			if said, row := state(); said != "enabled" || row != 8 {
				t.Errorf("the user is %s after %d, of 100", said, row)
			}
			strict := directory.Rates{Failures: 10}
			if failed, err := strict.FailuresOf(t.Context(), a.Store, []store.User{user}); err != nil || admin.UserState(user, failed[0]) != "locked" {
				t.Errorf("of 10 it is %+v: %v", failed, err)
			}
			if err := end.do(a); err != nil {
				t.Fatal(err)
			}
			if _, row := state(); row != 0 {
				t.Errorf("there are %d in a row afterwards", row)
			}
			if !slices.ContainsFunc(events(t, a), func(e map[string]string) bool { return e["event"] == end.event && e["subject"] == user.Subject }) {
				t.Errorf("the audit log has no %s of the user: %v", end.event, events(t, a))
			}
		})
	}
	t.Run("refuses nobody", func(t *testing.T) {
		a := newAdmin(t)
		if err := a.Unlock(t.Context(), "nobody"); err == nil || len(events(t, a)) != 0 {
			t.Errorf("%v, %v", err, events(t, a))
		}
	})
}

// Covers: KB-11. Who has given the old password just before a reset, and is signed in just after it, is not: at any moment.
func TestResetEndsSignInsUnderWay(t *testing.T) {
	t.Parallel()
	a := newAdmin(t)
	user, err := a.AddUser(t.Context(), admin.NewUser{Username: "alice"}, typedPassword)
	if err != nil {
		t.Fatal(err)
	}
	d, err := directory.New(directory.Config{
		Users: a.Store, Browsers: a.Store, Limits: limit.NewShared(a.Store, a.Now, slog.New(slog.DiscardHandler)), Key: make([]byte, 32), Now: a.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	password, number := "correct horse battery staple", 0
	signedIn := func(t *testing.T) directory.Proven {
		t.Helper()
		proven, err := d.Authenticate(t.Context(), directory.Attempt{Username: "alice", Password: password})
		if err != nil {
			t.Fatal(err)
		}
		return proven
	}
	start := func(proven directory.Proven) (store.Digest, error) {
		number++
		session := store.Session{
			ID: store.DigestOf(fmt.Sprint("session ", number)), Subject: proven.Subject, AuthTime: a.Now(),
			ExpiresAt: a.Now().Add(time.Hour), Epoch: proven.Epoch,
		}
		return session.ID, a.Store.StartSession(t.Context(), session, store.Digest{})
	}
	reset := func() error {
		next := fmt.Sprint("another horse battery ", number)
		err := a.SetPassword(t.Context(), "alice", func() ([]byte, error) { return []byte(next), nil })
		password = next
		return err
	}
	alive := func(t *testing.T, id store.Digest) bool {
		t.Helper()
		_, err := a.Store.Session(t.Context(), id)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil
	}
	t.Run("accepts a sign-in before and one after", func(t *testing.T) {
		before, err := start(signedIn(t))
		if err != nil || !alive(t, before) {
			t.Fatalf("before: %v", err)
		}
		if err := reset(); err != nil {
			t.Fatal(err)
		}
		after, err := start(signedIn(t))
		if err != nil || !alive(t, after) || alive(t, before) {
			t.Errorf("after: %v; the one before goes on: %t", err, alive(t, before))
		}
	})
	t.Run("refuses a session of the password of before", func(t *testing.T) {
		proven := signedIn(t)
		if err := reset(); err != nil {
			t.Fatal(err)
		}
		if late, err := start(proven); err != nil || alive(t, late) {
			t.Errorf("it began: %v", err)
		}
	})
	t.Run("refuses it when both happen at once", func(t *testing.T) {
		for range 10 {
			proven := signedIn(t)
			var racing sync.WaitGroup
			var late store.Digest
			var errStart, errReset error
			racing.Go(func() { late, errStart = start(proven) })
			racing.Go(func() {
				errReset = a.SetPassword(t.Context(), "alice", func() ([]byte, error) { return []byte("the next horse battery staple"), nil })
			})
			racing.Wait()
			password = "the next horse battery staple"
			if errStart != nil || errReset != nil || alive(t, late) {
				t.Fatalf("%v, %v, alive %t", errStart, errReset, alive(t, late))
			}
		}
	})
	t.Run("refuses it after users sign-out and users disable", func(t *testing.T) {
		proven := signedIn(t)
		if err := a.SignOut(t.Context(), user.Subject); err != nil {
			t.Fatal(err)
		}
		if late, err := start(proven); err != nil || alive(t, late) {
			t.Errorf("it began: %v", err)
		}
	})
}

func typedPassword() ([]byte, error) { return []byte("correct horse battery staple"), nil }
