// Package directory is the built-in user directory: it proves that a user name and a password belong together.
//
// It reveals no more than that. A name that does not exist, a wrong password and a disabled user are the same
// error after the same work. Guessing is slowed down by address and by name, on all nodes together, before a password is
// looked at, and the memory that Argon2id takes is bounded. Browsers in which a user has signed in before have limits of
// their own: strangers do not lock the user out of them.
package directory

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"countersign/internal/queue"
	"countersign/store"
)

// ErrRefused: the name and the password do not belong together, or the user is disabled.
var ErrRefused = errors.New("directory: name and password do not belong together")

// The reasons of a refusal, which are for the audit log and never for who tries.
const (
	reasonUnknown  = "no such user"
	reasonErased   = "user erased"
	reasonNone     = "user without a password"
	reasonDisabled = "user disabled"
	reasonWrong    = "wrong password"
	// reasonHash: the password has to be set again (docs/fips.md).
	reasonHash = "password hashed with Argon2id, which is not approved by FIPS 140-3"
)

// refusal is an ErrRefused with what the audit log says of it: the reason, and the user whose name was given, if there is one. Its
// text is the same for all.
type refusal struct{ subject, reason string }

// Error implements error.
func (refusal) Error() string { return ErrRefused.Error() }

// Is serves errors.Is.
func (refusal) Is(target error) bool { return target == ErrRefused }

// Subject is that of the user whose name was given; empty where there is none.
func (r refusal) Subject() string { return r.subject }

// Reason is why, for the audit log.
func (r refusal) Reason() string { return r.reason }

// why makes the refusal of a password that matched or not.
func why(user store.User, matches bool) refusal {
	reason := reasonWrong
	switch {
	case user.Subject == "":
		reason = reasonUnknown
	case !user.ErasedAt.IsZero():
		reason = reasonErased
	case user.Password == "":
		reason = reasonNone
	case unapproved(user.Password):
		reason = reasonHash
	case matches && user.Disabled:
		reason = reasonDisabled
	}
	return refusal{user.Subject, reason}
}

// ErrThrottled: the password was not looked at. Either there were too many wrong ones for this name, or more users
// are signing in than the server can serve. The error has a method RetryAfter that says how long to wait.
var ErrThrottled = errors.New("directory: too many attempts")

const (
	// maxUsername and maxPassword are in bytes; nothing longer can have been stored.
	maxUsername = 200
	maxPassword = 1024
	// maxConcurrent bounds the default of Config.Concurrency, and with it the memory: 8 × 19 MiB.
	maxConcurrent = 8
	// queueTime is how long a password waits to be verified, and queueLength how many user codes may wait.
	queueTime   = 5 * time.Second
	queueLength = 1024
	// slowness is how long an answer to an attempt is held that has no more left: a flood over some connections takes no more
	// of the machine than that allows. Of those that are held at once there are at most maxHeld; the others are answered
	// immediately.
	slowness = time.Second
	maxHeld  = 1024
	// longest is what a caller is told at most of how long to wait.
	longest = time.Hour
	// lockedFrom distinguishes a row of failures that is too long from limits that end with time.
	lockedFrom = 30 * 24 * time.Hour
)

// Users finds users; it is part of [store.Users].
type Users interface {
	// User reads by subject; [store.ErrNotFound].
	User(ctx context.Context, subject string) (store.User, error)
	// UserByName reads by user name, compared as stored; [store.ErrNotFound].
	UserByName(ctx context.Context, username string) (store.User, error)
}

// Browsers store the browsers that are known; it is part of [store.Browsers].
type Browsers interface {
	// KnowBrowser stores a browser of a user, or renews one.
	KnowBrowser(ctx context.Context, subject string, browser store.KnownBrowser) error
	// KnowsBrowser reports whether a browser is stored.
	KnowsBrowser(ctx context.Context, subject string, id store.Digest) (bool, error)
}

// Config is everything that a [Directory] needs.
type Config struct {
	Users Users
	// Browsers store the browsers that are known.
	Browsers Browsers
	// Limits count wrong passwords.
	Limits Limits
	// Rates are the limits; the zero value is [DefaultRates].
	Rates Rates
	// Key authenticates the cookies of known browsers: 32 random bytes, the same on all nodes.
	Key []byte
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Concurrency is how many passwords are verified at once, each in 19 MiB; 0 means one per processor, 8 at most.
	Concurrency int
}

// Attempt is a sign-in with a password.
type Attempt struct {
	Username, Password string
	// Address is the network address that it comes from: an IPv4 address, or a prefix of IPv6. Empty is not limited.
	Address string
	// Known is the cookie of the browser, which [Proven] brought; empty for a browser without one.
	Known string
	// Agent is which browser it says that it is, for its user; it decides nothing.
	Agent string
	// Interaction names what the browser signs in for, and Tries is how many wrong passwords it takes. Empty is no limit.
	Interaction string
	Tries       int
}

// Proven is who has signed in.
type Proven struct {
	Subject string
	// Known is the new cookie of the browser, which lasts for [KnownFor].
	Known string
	// Epoch is that of the user when the password was checked (see [store.User]).
	Epoch int64
}

// Directory verifies passwords. Make one with [New].
type Directory struct {
	users    Users
	browsers Browsers
	limits   Limits
	rates    Rates
	key      []byte
	now      func() time.Time
	turns    *turns
	patience time.Duration
	// slowness is how long answers are held, and held those that are.
	slowness time.Duration
	held     chan struct{}
	// decoy is verified in place of a password that does not exist.
	decoy hash
}

// New makes a directory.
func New(config Config) (*Directory, error) {
	if config.Users == nil || config.Browsers == nil || config.Limits == nil || len(config.Key) != knownKey {
		return nil, errors.New("directory: Users, Browsers, Limits and a Key of 32 bytes are required")
	}
	if config.Concurrency < 0 {
		return nil, fmt.Errorf("directory: Concurrency %d is negative", config.Concurrency)
	}
	if config.Concurrency == 0 {
		config.Concurrency = min(runtime.GOMAXPROCS(0), maxConcurrent)
	}
	if config.Rates == (Rates{}) {
		config.Rates = DefaultRates()
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Directory{
		users: config.Users, browsers: config.Browsers, limits: config.Limits, rates: config.Rates, key: config.Key, now: config.Now,
		turns: newTurns(config.Concurrency), patience: queueTime,
		slowness: slowness, held: make(chan struct{}, maxHeld), decoy: newHash(""),
	}, nil
}

// Authenticate returns the user with a name and a password. Errors are [ErrRefused], with methods Subject and Reason that are
// for the audit log, [ErrThrottled], or the failure of the store or of ctx. Only wrong passwords count, and they are counted before they are looked at.
func (d *Directory) Authenticate(ctx context.Context, a Attempt) (Proven, error) {
	user, stored, err := d.find(ctx, a.Username)
	if err != nil {
		return Proven{}, err
	}
	browser, err := d.known(ctx, a.Known, user)
	if err != nil {
		return Proven{}, err
	}
	taken, wait := d.allow(ctx, a, user, browser)
	if wait > 0 {
		d.hold(ctx)
		return Proven{}, throttled{wait}
	}
	at := place{a.Address, false}
	if browser != "" {
		at = place{browser, true}
	}
	err = d.verify(ctx, at, user, stored, a.Password)
	if !errors.Is(err, ErrRefused) {
		d.settle(ctx, a, user, taken, err)
	}
	if err != nil {
		return Proven{}, err
	}
	known, err := d.remember(ctx, a.Known, browser, a.Agent, user)
	if err != nil {
		return Proven{}, err
	}
	return Proven{Subject: user.Subject, Known: known, Epoch: user.Epoch}, nil
}

// hold holds an answer for a time.
func (d *Directory) hold(ctx context.Context) {
	select {
	case d.held <- struct{}{}:
		defer func() { <-d.held }()
	default:
		return
	}
	timer := time.NewTimer(d.slowness)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// verify compares a password, when it is its turn.
func (d *Directory) verify(ctx context.Context, at place, user store.User, stored hash, password string) error {
	began := d.now()
	if err := d.turns.enter(ctx, at, d.patience); err != nil {
		return err
	}
	defer d.turns.leave(at)
	queue.Trace(ctx, "countersign/directory", "password.queue", began, d.now())
	matches := stored.matches(password)
	// The decoy's password is empty, so the state of the user decides too, and only now.
	if !matches || user.Password == "" || unapproved(user.Password) || user.Disabled || len(password) > maxPassword {
		return why(user, matches)
	}
	return nil
}

// find returns the user and the hash to compare with: the decoy's where there is none.
func (d *Directory) find(ctx context.Context, username string) (store.User, hash, error) {
	if !possible(username) {
		return store.User{}, d.decoy, nil
	}
	user, err := d.users.UserByName(ctx, username)
	if errors.Is(err, store.ErrNotFound) {
		return store.User{}, d.decoy, nil
	}
	if err == nil && user.Password == "" {
		return user, d.decoy, nil
	}
	if err != nil {
		return store.User{}, hash{}, fmt.Errorf("directory: find the user: %w", err)
	}
	stored, err := parseHash(user.Password)
	if errors.Is(err, errNotApproved) {
		return user, d.decoy, nil
	}
	if err != nil {
		return store.User{}, hash{}, fmt.Errorf("directory: the password of subject %s: %w", user.Subject, err)
	}
	return user, stored, nil
}

// possible reports whether a name can be in a store at all; PostgreSQL, for one, refuses to look for NUL.
func possible(username string) bool {
	return username != "" && len(username) <= maxUsername && utf8.ValidString(username) && !strings.ContainsFunc(username, unicode.IsControl)
}

// throttled is an ErrThrottled with its time.
type throttled struct{ wait time.Duration }

// Error implements error.
func (t throttled) Error() string { return ErrThrottled.Error() + ", try again in " + t.wait.String() }

// Is serves errors.Is.
func (t throttled) Is(target error) bool { return target == ErrThrottled }

// RetryAfter is how long to wait before the next attempt.
func (t throttled) RetryAfter() time.Duration { return min(t.wait, longest) }

// Locked reports whether waiting does not help: the row of failures is too long, and has to be ended (see [Rates]).
func (t throttled) Locked() bool { return t.wait > lockedFrom }
