package admin_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/internal/admin"
	"countersign/internal/directory"
	"countersign/internal/userimport"
	"countersign/store"
	"countersign/store/storetest"
)

func claimsOf(t *testing.T, a *admin.Admin, subject string) map[string]any {
	t.Helper()
	user, err := a.Store.User(t.Context(), subject)
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(user.Claims, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// Covers: KA-13. What came of a file is one entry of the audit log, with the file's digest and no name.
func TestImportIsAudited(t *testing.T) {
	t.Parallel()
	a := newAdmin(t)
	t.Run("accepts the counts and the digest", func(t *testing.T) {
		counts := map[string]int{"added": 2, "refused": 1}
		if err := (admin.Users{Admin: a}).ImportDone(t.Context(), counts, sha256.Sum256([]byte("file"))); err != nil {
			t.Fatal(err)
		}
		got := events(t, a)
		want := map[string]string{
			"event": "users_imported", "added": "2", "changed": "0", "unchanged": "0", "refused": "1",
			"file_sha-256": "O5w1jzbwoxtq0-FPMJx88ZiskkboMW-c5UPVsZrAK4A",
		}
		if len(got) != 1 {
			t.Fatalf("recorded %v", got)
		}
		delete(got[0], "by")
		if diff := cmp.Diff(want, got[0]); diff != "" {
			t.Error(diff)
		}
	})
}

// Covers: KB-01. A user is shown with sign-ins, devices, grants and consents; one who is in no directory too.
func TestShowUser(t *testing.T) {
	t.Parallel()
	a := newAdmin(t)
	ctx, rates := t.Context(), directory.DefaultRates()
	a.Now = time.Now // the clock of FillEverything
	t.Run("refuses a subject of which nothing is stored", func(t *testing.T) {
		if shown, err := (admin.Users{Admin: a}).Show(ctx, "subject", rates); err == nil {
			t.Errorf("%+v", shown)
		}
	})
	storetest.FillEverything(t, a.Store) // of the user "subject"
	stored, err := a.Store.UserData(ctx, "subject")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("accepts a user with everything", func(t *testing.T) {
		shown, err := (admin.Users{Admin: a}).Show(ctx, "subject", rates)
		if err != nil {
			t.Fatal(err)
		}
		if shown.Username != stored.User.Username || shown.State != "enabled" || shown.Sessions != len(stored.Sessions) || len(shown.Devices) != 3 ||
			shown.Grants != a.ActiveGrants(stored.Grants) || shown.Grants == 0 || shown.Consents != len(stored.Consents) || shown.LastSignIn.IsZero() {
			t.Errorf("%+v", shown)
		}
		if encoded, err := json.Marshal(shown); err != nil || strings.Contains(string(encoded), "argon2") {
			t.Errorf("%s, %v", encoded, err)
		}
	})
	t.Run("accepts a subject of an external directory", func(t *testing.T) {
		session := store.Session{ID: store.DigestOf("external"), Subject: "external", AuthTime: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
		if err := a.Store.StartSession(ctx, session, store.Digest{}); err != nil {
			t.Fatal(err)
		}
		shown, err := (admin.Users{Admin: a}).Show(ctx, "external", rates)
		if err != nil || shown.State != "external" || shown.Sessions != 1 || shown.LastSignIn.IsZero() || !shown.CreatedAt.IsZero() {
			t.Errorf("%+v, %v", shown, err)
		}
		if err := a.SignOut(ctx, "external"); err != nil {
			t.Fatal(err)
		}
		if _, err := (admin.Users{Admin: a}).Show(ctx, "external", rates); err == nil {
			t.Error("the session is still there")
		}
	})
}

// Covers: KB-02, KB-03. Claims are changed one by one; what was verified before is not verified when it differs.
func TestChangeUser(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	prepare := func(t *testing.T) *admin.Admin {
		t.Helper()
		a := newAdmin(t)
		for _, name := range []string{"alice", "bob"} {
			user := store.User{
				Subject: "sub-" + name, Username: name, CreatedAt: now, UpdatedAt: now,
				Claims: json.RawMessage(`{"name":"Alice","email":"a@b.example","email_verified":true,"updated_at":1,"shoe_size":44}`),
			}
			if err := a.Store.PutUser(ctx, user); err != nil {
				t.Fatal(err)
			}
		}
		return a
	}
	type claims = map[string]json.RawMessage
	for name, test := range map[string]struct {
		change  claims
		changed []string
		want    map[string]any
	}{
		"a name":                  {claims{"name": json.RawMessage(`"Alicia"`)}, []string{"name"}, map[string]any{"name": "Alicia"}},
		"a new e-mail address":    {claims{"email": json.RawMessage(`"c@d.example"`)}, []string{"email", "email_verified"}, map[string]any{"email": "c@d.example", "email_verified": nil}},
		"one that is verified":    {claims{"email": json.RawMessage(`"c@d.example"`), "email_verified": json.RawMessage(`true`)}, []string{"email"}, map[string]any{"email": "c@d.example"}},
		"the same e-mail address": {claims{"email": json.RawMessage(`"a\u0040b.example"`)}, nil, map[string]any{"updated_at": 1.0}},
		"an end":                  {claims{"name": json.RawMessage(`null`), "locale": json.RawMessage(`null`)}, []string{"name"}, map[string]any{"name": nil}},
		"a language":              {claims{"locale": json.RawMessage(`"pt-BR"`)}, []string{"locale"}, map[string]any{"locale": "pt-BR"}},
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			t.Parallel()
			a := prepare(t)
			changed, err := (admin.Users{Admin: a}).Change(ctx, "sub-alice", admin.UserChange{Claims: test.change})
			if diff := cmp.Diff(test.changed, changed); err != nil || diff != "" {
				t.Fatalf("%v, %s", err, diff)
			}
			want := map[string]any{"name": "Alice", "email": "a@b.example", "email_verified": true, "updated_at": float64(now.Unix()), "shoe_size": 44.0}
			for name, value := range test.want {
				want[name] = value
				if value == nil {
					delete(want, name)
				}
			}
			if diff := cmp.Diff(want, claimsOf(t, a, "sub-alice")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	a := prepare(t)
	before := claimsOf(t, a, "sub-alice")
	for name, change := range map[string]admin.UserChange{
		"a claim that is none":        {Claims: claims{"name": json.RawMessage(`"A"`), "sub": json.RawMessage(`"x"`)}},
		"a value of another type":     {Claims: claims{"name": json.RawMessage(`"A"`), "email_verified": json.RawMessage(`"true"`)}},
		"the name of another":         {Username: "bob", Claims: claims{"name": json.RawMessage(`"A"`)}},
		"a name that nobody can type": {Username: "a b", Claims: claims{"name": json.RawMessage(`"A"`)}},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if changed, err := (admin.Users{Admin: a}).Change(ctx, "sub-alice", change); err == nil {
				t.Errorf("changed %v", changed)
			}
			if diff := cmp.Diff(before, claimsOf(t, a, "sub-alice")); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("refuses a subject that there is not", func(t *testing.T) {
		_, err := (admin.Users{Admin: a}).Change(ctx, "sub-nobody", admin.UserChange{Username: "nobody"})
		refused(t, err, "there is no user", false)
	})
}

// Covers: KB-04, KB-05, KB-06, KB-09, KB-12. What comes of each user of a file.
func TestImportUser(t *testing.T) {
	t.Parallel()
	ctx, yes, no := t.Context(), true, false
	prepare := func(t *testing.T) *admin.Admin {
		t.Helper()
		a := newAdmin(t)
		given := func() ([]byte, error) { return []byte("correct horse battery staple"), nil }
		for _, name := range []string{"alice", "bob"} {
			if _, err := a.AddUser(ctx, admin.NewUser{Username: name, Subject: "sub-" + name, Claims: json.RawMessage(`{"name":"A"}`)}, given); err != nil {
				t.Fatal(err)
			}
			session := store.Session{ID: store.DigestOf(name), Subject: "sub-" + name, AuthTime: now, ExpiresAt: now.Add(time.Hour)}
			if err := a.Store.StartSession(ctx, session, store.Digest{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Store.PutUser(ctx, store.User{Subject: "sub-gone", Username: "gone", CreatedAt: now, UpdatedAt: now}); err != nil {
			t.Fatal(err)
		}
		if err := a.Erase(ctx, "sub-gone"); err != nil {
			t.Fatal(err)
		}
		if _, err := a.AddClient(ctx, admin.NewClient{ID: "app", Metadata: []byte(bank)}); err != nil {
			t.Fatal(err)
		}
		return a
	}
	name := map[string]json.RawMessage{"name": json.RawMessage(`"B"`)}
	hash, err := directory.HashPassword("another horse battery staple")
	if err != nil {
		t.Fatal(err)
	}
	for what, test := range map[string]struct {
		user         userimport.User
		result       string
		sessions     int // of alice
		then, reason string
	}{
		"a new user":             {userimport.User{Username: "carol", Subject: "sub-c", Claims: name}, "added", 1, "unchanged", ""},
		"one with a password":    {userimport.User{Username: "carol", Subject: "sub-c", Password: "yet another horse battery"}, "added", 1, "unchanged", ""},
		"one with a hash":        {userimport.User{Username: "carol", Subject: "sub-c", PasswordHash: hash}, "added", 1, "unchanged", ""},
		"a claim, by name":       {userimport.User{Username: "alice", Claims: name, PasswordHash: hash}, "changed", 1, "unchanged", ""},
		"a claim, by subject":    {userimport.User{Username: "alice", Subject: "sub-alice", Claims: name}, "changed", 1, "unchanged", ""},
		"a name to sign in with": {userimport.User{Username: "alicia", Subject: "sub-alice"}, "changed", 1, "unchanged", ""},
		"what is so already":     {userimport.User{Username: "alice", Disabled: &no, Password: "yet another horse battery"}, "unchanged", 1, "unchanged", ""},
		"a disabled user":        {userimport.User{Username: "alice", Disabled: &yes}, "changed", 0, "unchanged", ""},
		"a short password":       {userimport.User{Username: "carol", Password: "short", Claims: name}, "refused", 1, "refused", "shorter than 15"},
		"a weak hash":            {userimport.User{Username: "carol", PasswordHash: "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$d29ya3dvcmt3b3Jrd29yaw"}, "refused", 1, "refused", "too cheap"},
		"a name of another":      {userimport.User{Username: "bob", Subject: "sub-alice", Claims: name}, "refused", 1, "refused", "belongs to the subject sub-bob"},
		"an erased subject":      {userimport.User{Username: "gone", Subject: "sub-gone"}, "refused", 1, "refused", "was erased"},
		"the id of a client":     {userimport.User{Username: "carol", Subject: "app"}, "refused", 1, "refused", "client_id"},
		"a name with a space":    {userimport.User{Username: "car ol"}, "refused", 1, "refused", "without spaces"},
		"a subject beyond ASCII": {userimport.User{Username: "carol", Subject: "é"}, "refused", 1, "refused", "ASCII"},
	} {
		verb := "accepts "
		if test.result == "refused" {
			verb = "refuses "
		}
		t.Run(verb+what, func(t *testing.T) {
			t.Parallel()
			a := prepare(t)
			snapshot := func() string {
				users, err := a.Store.Users(ctx)
				if err != nil {
					t.Fatal(err)
				}
				encoded, err := json.Marshal(users)
				if err != nil {
					t.Fatal(err)
				}
				return string(encoded)
			}
			before := snapshot()
			dry, err := (admin.Users{Admin: a}).Import(ctx, test.user, admin.HowToImport{DryRun: true})
			if err != nil || dry.Result != test.result || snapshot() != before {
				t.Fatalf("a dry run: %+v, %v", dry, err)
			}
			was, err := a.Store.User(ctx, "sub-alice")
			if err != nil {
				t.Fatal(err)
			}
			got, err := (admin.Users{Admin: a}).Import(ctx, test.user, admin.HowToImport{})
			if err != nil || got.Result != test.result || !strings.Contains(got.Reason, test.reason) {
				t.Fatalf("%+v, %v", got, err)
			}
			if same := snapshot() == before; same != (test.result == "refused" || test.result == "unchanged") {
				t.Errorf("the same as before: %v", same)
			}
			if is, err := a.Store.User(ctx, "sub-alice"); err != nil || is.Password != was.Password {
				t.Errorf("the password of a user who existed changed: %v", err)
			}
			if stored, err := a.Store.UserData(ctx, "sub-alice"); err != nil || len(stored.Sessions) != test.sessions {
				t.Errorf("%d sessions, %v", len(stored.Sessions), err)
			}
			after := snapshot()
			again, err := (admin.Users{Admin: a}).Import(ctx, test.user, admin.HowToImport{})
			if err != nil || again.Result != test.then || snapshot() != after {
				t.Errorf("again: %+v, %v", again, err)
			}
		})
	}
	t.Run("accepts to make passwords, and keeps each first", func(t *testing.T) {
		t.Parallel()
		a := prepare(t)
		var kept string
		how := admin.HowToImport{KeepPassword: func(username, password string) error {
			if _, err := a.Store.UserByName(ctx, username); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%v: stored before the password was kept", err)
			}
			kept = password
			return nil
		}}
		if got, err := (admin.Users{Admin: a}).Import(ctx, userimport.User{Username: "carol"}, how); err != nil || got.Result != "added" || len(kept) < 15 {
			t.Fatalf("%+v, %v, %q", got, err, kept)
		}
		user, err := a.Store.UserByName(ctx, "carol")
		if err != nil || directory.CheckHash(user.Password) != nil || strings.Contains(user.Password, kept) {
			t.Errorf("%v", err)
		}
	})
	t.Run("refuses a user whose password could not be kept", func(t *testing.T) {
		t.Parallel()
		a := prepare(t)
		full := errors.New("disk full")
		how := admin.HowToImport{KeepPassword: func(string, string) error { return full }}
		if _, err := (admin.Users{Admin: a}).Import(ctx, userimport.User{Username: "carol"}, how); !errors.Is(err, full) {
			t.Errorf("%v", err)
		}
		if _, err := a.Store.UserByName(ctx, "carol"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("stored: %v", err)
		}
	})
}
