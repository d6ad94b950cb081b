// Package directory is the built-in user directory: it proves that a user name and a password belong together.
//
// It reveals no more than that. A name that does not exist, a wrong password and a disabled user are the same
// error after the same work. Guessing is slowed down per name, and the memory that Argon2id takes is bounded.
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

// ErrThrottled: the password was not looked at. Either there were too many wrong ones for this name, or more users
// are signing in than the server can serve. The error has a method RetryAfter that says how long to wait.
var ErrThrottled = errors.New("directory: too many attempts")

const (
	// maxUsername and maxPassword are in bytes; nothing longer can have been stored.
	maxUsername = 200
	maxPassword = 1024
	// maxConcurrent bounds the default of Config.Concurrency, and with it the memory: 8 × 19 MiB.
	maxConcurrent = 8
	// queueTime is how long a password may wait and be verified, and queueLength how many may wait.
	queueTime   = 5 * time.Second
	queueLength = 1024
)

// Users finds users by name; it is part of [store.Users].
type Users interface {
	// UserByName reads by user name, compared as stored; [store.ErrNotFound].
	UserByName(ctx context.Context, username string) (store.User, error)
}

// Config is everything that a [Directory] needs.
type Config struct {
	Users Users
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Concurrency is how many passwords are verified at once, each in 19 MiB; 0 means one per processor, 8 at most.
	Concurrency int
}

// Directory verifies passwords. Make one with [New].
type Directory struct {
	users   Users
	limiter *limiter
	queue   *queue.Queue
	// decoy is verified in place of a password that does not exist.
	decoy hash
}

// New makes a directory.
func New(config Config) (*Directory, error) {
	if config.Users == nil {
		return nil, errors.New("directory: Users is required")
	}
	if config.Concurrency < 0 {
		return nil, fmt.Errorf("directory: Concurrency %d is negative", config.Concurrency)
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Directory{
		users: config.Users, limiter: newLimiter(config.Now, burst, refill),
		queue: queue.New(queue.Config{Places: concurrency(config.Concurrency), Waiting: queueLength, Patience: queueTime}),
		decoy: newHash(""),
	}, nil
}

// concurrency is how many passwords are verified at once where so many are configured.
func concurrency(configured int) int {
	if configured == 0 {
		return min(runtime.GOMAXPROCS(0), maxConcurrent)
	}
	return configured
}

// Authenticate returns the subject of the user with this name and password. Errors are [ErrRefused],
// [ErrThrottled], or the failure of the store or of ctx. Only wrong passwords count against a name.
func (d *Directory) Authenticate(ctx context.Context, username, password string) (subject string, err error) {
	attempt, wait := d.limiter.take(username)
	if wait > 0 {
		return "", throttled{wait}
	}
	subject, err = d.authenticate(ctx, username, password)
	if !errors.Is(err, ErrRefused) {
		attempt.refund()
	}
	return subject, err
}

func (d *Directory) authenticate(ctx context.Context, username, password string) (string, error) {
	user, stored, err := d.find(ctx, username)
	if err != nil {
		return "", err
	}
	place, err := d.queue.Enter(ctx)
	if err != nil {
		return "", fmt.Errorf("directory: verify the password: %w", err)
	}
	place.Trace(ctx, "password.queue")
	matches := stored.matches(password)
	place.Leave(ctx, true)
	// The decoy's password is empty, so the state of the user decides too, and only now.
	if !matches || user.Password == "" || user.Disabled || len(password) > maxPassword {
		return "", ErrRefused
	}
	return user.Subject, nil
}

// find returns the user and the hash to compare with: the decoy's where there is none.
func (d *Directory) find(ctx context.Context, username string) (store.User, hash, error) {
	if !possible(username) {
		return store.User{}, d.decoy, nil
	}
	user, err := d.users.UserByName(ctx, username)
	if errors.Is(err, store.ErrNotFound) || err == nil && user.Password == "" {
		return store.User{}, d.decoy, nil
	}
	if err != nil {
		return store.User{}, hash{}, fmt.Errorf("directory: find the user: %w", err)
	}
	stored, err := parseHash(user.Password)
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
func (t throttled) RetryAfter() time.Duration { return t.wait }
