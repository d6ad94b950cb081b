package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"countersign/internal/limit"
	"countersign/store"
)

// The limits of a name.
const (
	burst  = 20
	refill = time.Minute
)

const rightPassword = "correct horse battery staple"

// users is a user table in memory.
type users struct {
	byName map[string]store.User
	err    error
	known  known

	mu    sync.Mutex
	asked []string
}

// known are the browsers that are stored, in memory.
type known struct {
	mu  sync.Mutex
	all map[string]store.KnownBrowser
}

func (k *known) KnowBrowser(_ context.Context, subject string, browser store.KnownBrowser) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.all == nil {
		k.all = map[string]store.KnownBrowser{}
	}
	k.all[subject+string(browser.ID[:])] = browser
	return nil
}

func (k *known) KnowsBrowser(_ context.Context, subject string, id store.Digest) (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, stored := k.all[subject+string(id[:])]
	return stored, nil
}

func (p *users) User(_ context.Context, subject string) (store.User, error) {
	for _, user := range p.byName {
		if user.Subject == subject {
			return user, p.err
		}
	}
	return store.User{}, store.ErrNotFound
}

func (p *users) UserByName(_ context.Context, username string) (store.User, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, username)
	if p.err != nil {
		return store.User{}, p.err
	}
	user, ok := p.byName[username]
	if !ok {
		return store.User{}, fmt.Errorf("users: %w", store.ErrNotFound)
	}
	return user, nil
}

// clock is a clock that stops until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// cheap is a hash that takes no time.
func cheap(password string) hash {
	h := hash{memory: 8, passes: 1, lanes: 1, salt: []byte("not so random")}
	h.tag = h.compute(password, tagBytes)
	return h
}

// newDirectory makes a directory whose hashes are cheap, so that many attempts are.
func newDirectory(t *testing.T) (*Directory, *users, *clock) {
	t.Helper()
	d, table, watch := newDirectoryOf(t, cheap(rightPassword).String())
	d.decoy, d.slowness = cheap(""), 0
	return d, table, watch
}

func newDirectoryOf(t *testing.T, phc string) (*Directory, *users, *clock) {
	t.Helper()
	table := &users{byName: map[string]store.User{
		"alice":   {Subject: "sub-alice", Username: "alice", Password: phc},
		"dora":    {Subject: "sub-dora", Username: "dora", Password: phc, Disabled: true},
		"nobody":  {Subject: "sub-nobody", Username: "nobody"},
		"damaged": {Subject: "sub-damaged", Username: "damaged", Password: "$argon2id$v=19$m=1,t=1,p=1$AAAA$AAAA"},
	}}
	watch := &clock{now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	d, err := New(Config{Users: table, Browsers: &table.known, Limits: newLimits(watch.Now), Key: make([]byte, 32), Now: watch.Now})
	if err != nil {
		t.Fatal(err)
	}
	return d, table, watch
}

// away is a store that is not there: limits are counted in memory.
type away struct{}

func (away) Allow(context.Context, ...store.Rate) ([]time.Duration, error) {
	return nil, errors.New("away")
}
func (away) Refund(context.Context, []store.Rate, ...store.Digest) error { return errors.New("away") }

func newLimits(now func() time.Time) *limit.Shared {
	return limit.NewShared(away{}, now, slog.New(slog.DiscardHandler))
}

// authenticate signs in without an address.
func (d *Directory) authenticate(ctx context.Context, username, password string) (subject string, err error) {
	proven, err := d.Authenticate(ctx, Attempt{Username: username, Password: password})
	return proven.Subject, err
}

func TestAuthenticate(t *testing.T) {
	d, _, _ := newDirectory(t)
	tests := []struct {
		name, username, password string
		subject                  string
		want                     error
	}{
		{"right", "alice", rightPassword, "sub-alice", nil},
		{"wrong password", "alice", "incorrect horse", "", ErrRefused},
		{"empty password", "alice", "", "", ErrRefused},
		{"password too long", "alice", rightPassword + string(make([]byte, maxPassword)), "", ErrRefused},
		{"unknown user", "mallory", rightPassword, "", ErrRefused},
		{"disabled user, right password", "dora", rightPassword, "", ErrRefused},
		{"disabled user, wrong password", "dora", "incorrect horse", "", ErrRefused},
		{"user without password", "nobody", rightPassword, "", ErrRefused},
		// The decoy is made from the empty password.
		{"user without password, empty password", "nobody", "", "", ErrRefused},
		{"unknown user, empty password", "mallory", "", "", ErrRefused},
		{"name in another case", "Alice", rightPassword, "", ErrRefused},
		{"empty name", "", rightPassword, "", ErrRefused},
		{"name with NUL", "alice\x00", rightPassword, "", ErrRefused},
		{"name that is not UTF-8", "alice\xff", rightPassword, "", ErrRefused},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			subject, err := d.authenticate(t.Context(), test.username, test.password)
			if subject != test.subject || !errors.Is(err, test.want) {
				t.Errorf("got %q, %v; want %q, %v", subject, err, test.subject, test.want)
			}
		})
	}
}

// TestRefusalsAreAlike: the error must not reveal why.
func TestRefusalsAreAlike(t *testing.T) {
	d, _, _ := newDirectory(t)
	for _, username := range []string{"alice", "mallory", "dora", "nobody", "a\x00"} {
		_, err := d.authenticate(t.Context(), username, "incorrect horse")
		if !errors.Is(err, ErrRefused) || err.Error() != ErrRefused.Error() {
			t.Errorf("%q: %#v is not like every refusal", username, err)
		}
	}
}

// Covers: KA-10. The audit log is told whose sign-in was refused, and why; the text of the error says neither.
func TestRefusalsSayWhyToTheAuditLog(t *testing.T) {
	d, table, _ := newDirectory(t)
	table.byName["erased"] = store.User{Subject: "sub-erased", Username: "erased", Disabled: true, ErasedAt: time.Unix(1, 0)}
	for _, test := range []struct{ username, password, subject, reason string }{
		{"alice", "incorrect horse", "sub-alice", "wrong password"},
		{"mallory", rightPassword, "", "no such user"},
		{"a\x00", rightPassword, "", "no such user"},
		{"dora", rightPassword, "sub-dora", "user disabled"},
		{"dora", "incorrect horse", "sub-dora", "wrong password"},
		{"nobody", rightPassword, "sub-nobody", "user without a password"},
		{"erased", rightPassword, "sub-erased", "user erased"},
	} {
		t.Run("refuses "+test.username+" with "+test.password, func(t *testing.T) {
			_, err := d.authenticate(t.Context(), test.username, test.password)
			told, ok := errors.AsType[interface {
				error
				Subject() string
				Reason() string
			}](err)
			if !ok || told.Subject() != test.subject || told.Reason() != test.reason || err.Error() != ErrRefused.Error() {
				t.Errorf("refused with %#v", err)
			}
		})
	}
	t.Run("accepts the epoch of the user", func(t *testing.T) {
		alice := table.byName["alice"]
		alice.Epoch = 7
		table.byName["alice"] = alice
		if proven, err := d.Authenticate(t.Context(), Attempt{Username: "alice", Password: rightPassword}); err != nil || proven.Epoch != 7 {
			t.Errorf("%+v, %v", proven, err)
		}
	})
}

// TestSameWork: a name that does not exist must cost what one costs that does. The bounds are wide: without the
// decoy the difference would be a thousandfold.
func TestSameWork(t *testing.T) {
	phc, err := HashPassword(rightPassword)
	if err != nil {
		t.Fatal(err)
	}
	d, _, _ := newDirectoryOf(t, phc)
	fastest := map[string]time.Duration{}
	for range 5 { // alternating, so that a busy machine slows down all of them
		for _, username := range []string{"alice", "mallory", "dora", "nobody", "a\x00"} {
			started := time.Now()
			if _, err := d.authenticate(t.Context(), username, "incorrect horse"); !errors.Is(err, ErrRefused) {
				t.Fatal(err)
			}
			took := time.Since(started)
			if best, measured := fastest[username]; !measured || took < best {
				fastest[username] = took
			}
		}
	}
	known := fastest["alice"]
	for username, other := range fastest {
		if other < known/3 || other > known*3 {
			t.Errorf("refusing %q takes %v, refusing a user %v", username, other, known)
		}
	}
}

func TestImpossibleNamesAreNotLookedUp(t *testing.T) {
	d, table, _ := newDirectory(t)
	for _, username := range []string{"", "alice\x00", "alice\xff", "al\nice", string(make([]byte, maxUsername+1))} {
		if _, err := d.authenticate(t.Context(), username, rightPassword); !errors.Is(err, ErrRefused) {
			t.Errorf("%q: %v", username, err)
		}
	}
	if len(table.asked) != 0 {
		t.Errorf("the store was asked for %q", table.asked)
	}
}

func TestStoreFailure(t *testing.T) {
	d, table, _ := newDirectory(t)
	failure := errors.New("the disk is on fire")
	table.err = failure
	for range burst + 5 { // a failing store is no wrong password, and must not use up the attempts
		if _, err := d.authenticate(t.Context(), "alice", rightPassword); !errors.Is(err, failure) || errors.Is(err, ErrRefused) || errors.Is(err, ErrThrottled) {
			t.Fatalf("got %v", err)
		}
	}
	table.err = nil
	if _, err := d.authenticate(t.Context(), "damaged", rightPassword); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("a damaged record: %v", err)
	}
	if subject, err := d.authenticate(t.Context(), "alice", rightPassword); subject != "sub-alice" || err != nil {
		t.Errorf("afterwards: %q, %v", subject, err)
	}
}

func TestGuessingIsSlowedDown(t *testing.T) {
	d, _, watch := newDirectory(t)
	for _, username := range []string{"alice", "mallory"} { // the same for a user that does not exist
		for i := range burst {
			if _, err := d.authenticate(t.Context(), username, "incorrect horse"); !errors.Is(err, ErrRefused) {
				t.Fatalf("%s, attempt %d: %v", username, i+1, err)
			}
		}
		_, err := d.authenticate(t.Context(), username, rightPassword)
		if !errors.Is(err, ErrThrottled) || errors.Is(err, ErrRefused) {
			t.Fatalf("%s: %v, want ErrThrottled even for the right password", username, err)
		}
		retry, ok := errors.AsType[interface {
			error
			RetryAfter() time.Duration
		}](err)
		if !ok || retry.RetryAfter() != refill {
			t.Errorf("%s: %v does not say to wait %v", username, err, refill)
		}
	}
	watch.advance(refill)
	if _, err := d.authenticate(t.Context(), "alice", "incorrect horse"); !errors.Is(err, ErrRefused) {
		t.Errorf("one attempt must be back: %v", err)
	}
	if _, err := d.authenticate(t.Context(), "alice", rightPassword); !errors.Is(err, ErrThrottled) {
		t.Errorf("and only one: %v", err)
	}
	watch.advance(refill)
	if _, err := d.authenticate(t.Context(), "alice", rightPassword); err != nil {
		t.Errorf("later: %v", err)
	}
}

// TestRightPasswordsAreFree: signing in often is not guessing.
func TestRightPasswordsAreFree(t *testing.T) {
	d, _, _ := newDirectory(t)
	for i := range burst + 2 {
		if _, err := d.authenticate(t.Context(), "alice", rightPassword); err != nil {
			t.Fatalf("sign-in %d: %v", i+1, err)
		}
	}
}

// TestManyGuessesAtOnce: attempts side by side are no way around the limit.
func TestManyGuessesAtOnce(t *testing.T) {
	d, _, _ := newDirectory(t)
	var wait sync.WaitGroup
	var mu sync.Mutex
	refused := 0
	for range 3 * burst {
		wait.Go(func() {
			_, err := d.authenticate(t.Context(), "alice", "incorrect horse")
			mu.Lock()
			defer mu.Unlock()
			if errors.Is(err, ErrRefused) {
				refused++
			}
		})
	}
	wait.Wait()
	if refused != burst {
		t.Errorf("%d passwords were looked at, want %d", refused, burst)
	}
}

// TestThrottledAnswersAreHeld: those who have no attempt left wait for the answer, but not those whose password is looked at,
// and no more than some at once.
func TestThrottledAnswersAreHeld(t *testing.T) {
	d, _, _ := newDirectory(t)
	synctest.Test(t, func(t *testing.T) {
		d.held, d.slowness = make(chan struct{}, 2), time.Second
		try := func() time.Duration {
			began := time.Now()
			_, _ = d.authenticate(t.Context(), "alice", "incorrect horse")
			return time.Since(began)
		}
		for range burst {
			if took := try(); took > 0 {
				t.Errorf("a wrong password was answered after %s", took)
			}
		}
		var all sync.WaitGroup
		took := make([]time.Duration, 3)
		for i := range took {
			all.Go(func() { took[i] = try() })
		}
		all.Wait()
		slices.Sort(took)
		if took[0] != 0 || took[1] != time.Second || took[2] != time.Second || len(d.held) != 0 {
			t.Errorf("three at once were answered after %v; %d are still held", took, len(d.held))
		}
	})
}

func TestConcurrencyIsBounded(t *testing.T) {
	_, table, watch := newDirectory(t)
	d, err := New(Config{Users: table, Browsers: &table.known, Limits: newLimits(watch.Now), Key: make([]byte, 32), Now: watch.Now, Concurrency: 1})
	if err != nil {
		t.Fatal(err)
	}
	d.patience = 20 * time.Millisecond
	another := place{name: "another"}
	if err := d.turns.enter(t.Context(), another, d.patience); err != nil { // another sign-in is computing
		t.Fatal(err)
	}
	for i := range burst + 5 { // nor does it use up the attempts
		_, err := d.authenticate(t.Context(), "alice", rightPassword)
		if !refused(err) || errors.Is(err, ErrThrottled) || errors.Is(err, ErrRefused) {
			t.Fatalf("attempt %d: got %v, want a refusal of the queue: it is not the user who tries too often", i, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d.patience = time.Hour
	if _, err := d.authenticate(ctx, "alice", rightPassword); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	d.turns.leave(another)
	if _, err := d.authenticate(t.Context(), "alice", rightPassword); err != nil {
		t.Errorf("with a free slot: %v", err)
	}
	if d.turns.strangers.running+d.turns.waiting+len(d.turns.strangers.lines)+len(d.turns.strangers.turns) != 0 {
		t.Errorf("the queue is not empty: %+v", d.turns)
	}
}

func TestNew(t *testing.T) {
	good := Config{Users: &users{}, Browsers: &known{}, Limits: newLimits(time.Now), Key: make([]byte, 32)}
	for what, change := range map[string]func(*Config){
		"users":                     func(c *Config) { c.Users = nil },
		"browsers":                  func(c *Config) { c.Browsers = nil },
		"limits":                    func(c *Config) { c.Limits = nil },
		"a key":                     func(c *Config) { c.Key = nil },
		"a concurrency that is one": func(c *Config) { c.Concurrency = -1 },
	} {
		config := good
		change(&config)
		if _, err := New(config); err == nil {
			t.Errorf("made a directory without %s", what)
		}
	}
	d, err := New(good)
	if err != nil {
		t.Fatal(err)
	}
	if d.turns.slots < 1 || d.turns.slots > maxConcurrent || d.rates != DefaultRates() {
		t.Errorf("the defaults are %d at once, and %+v", d.turns.slots, d.rates)
	}
}

// Covers: KF-11. After a user has had browsers forgotten, what knew one from before counts for nothing, also when it is renewed; what
// is made afterwards counts. Other users are not touched.
func TestKF11ForgottenBrowsers(t *testing.T) {
	d, table, watch := newDirectory(t)
	alice, dora := table.byName["alice"], table.byName["dora"]
	known, remember := knowing(t, d)
	before := remember(remember("", dora), alice)
	name := known(before, alice)
	t.Run("accepts a browser", func(t *testing.T) {
		if name == "" || known(before, dora) == "" {
			t.Errorf("%q is not known", before)
		}
	})
	watch.advance(time.Hour)
	alice.BrowsersFrom = watch.Now()
	watch.advance(time.Second)
	t.Run("refuses it once it was forgotten", func(t *testing.T) {
		if known(before, alice) != "" {
			t.Error("it is known")
		}
		if known(before, dora) == "" {
			t.Error("another user's is not known")
		}
	})
	t.Run("accepts it after a sign-in, under another name", func(t *testing.T) {
		after := remember(before, alice)
		if got := known(after, alice); got == "" || got == name || known(after, dora) == "" {
			t.Errorf("it is known as %q, and was as %q", got, name)
		}
	})
}

// knowing returns what knows browsers, and makes them known, without errors.
func knowing(t *testing.T, d *Directory) (known func(string, store.User) string, remember func(string, store.User) string) {
	known = func(cookie string, user store.User) string {
		t.Helper()
		name, err := d.known(t.Context(), cookie, user)
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	return known, func(cookie string, user store.User) string {
		t.Helper()
		made, err := d.remember(t.Context(), cookie, known(cookie, user), "Firefox/Linux", user)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
}

// Covers: KF-20. A browser that its user has had forgotten by itself counts for nothing, and others of the user count on. What a browser
// has from the release before, which stored nothing, counts until the user signs in there or has all forgotten.
func TestKF20ForgottenBrowser(t *testing.T) {
	d, table, watch := newDirectory(t)
	alice := table.byName["alice"]
	known, remember := knowing(t, d)
	one, other := remember("", alice), remember("", alice)
	name := known(one, alice)
	stored := table.known.all["sub-alice"+string(digestBytes(name))]
	t.Run("accepts both", func(t *testing.T) {
		if name == "" || known(other, alice) == "" || stored.Agent != "Firefox/Linux" || !stored.ExpiresAt.Equal(watch.Now().Add(KnownFor)) {
			t.Errorf("%q and %q, of which %+v is stored", one, other, stored)
		}
	})
	t.Run("refuses the one that is forgotten", func(t *testing.T) {
		delete(table.known.all, "sub-alice"+string(digestBytes(name)))
		if known(one, alice) != "" || known(other, alice) == "" {
			t.Error("the wrong one is known")
		}
	})
	t.Run("accepts it after a sign-in, under another name", func(t *testing.T) {
		if again := known(remember(one, alice), alice); again == "" || again == name {
			t.Errorf("it is known as %q, and was as %q", again, name)
		}
	})
	earlier := entry{name: "0123456789012345678901234567890123456789012", ends: watch.Now().Add(KnownFor)}
	earlier.code = d.codeOf(earlier, alice, false)
	t.Run("accepts one of the release before, and stores it at the next sign-in", func(t *testing.T) {
		if known(earlier.String(), alice) != earlier.name {
			t.Fatal("it is not known")
		}
		after := remember(earlier.String(), alice)
		if known(after, alice) != earlier.name || after == earlier.String() {
			t.Errorf("it is %q", after)
		}
		delete(table.known.all, "sub-alice"+string(digestBytes(earlier.name)))
		if known(after, alice) != "" {
			t.Error("it cannot be forgotten")
		}
	})
	t.Run("refuses one of the release before when all were forgotten", func(t *testing.T) {
		alice.BrowsersFrom = watch.Now().Add(time.Second)
		if known(earlier.String(), alice) != "" {
			t.Error("it is known")
		}
	})
	t.Run("refuses to remember who has no password to be locked out of", func(t *testing.T) {
		if cookie, err := d.Remember(t.Context(), "sub-nobody", "", ""); err != nil || cookie != "" {
			t.Errorf("%q, %v", cookie, err)
		}
	})
}

func digestBytes(name string) []byte {
	digest := store.DigestOf(name)
	return digest[:]
}
