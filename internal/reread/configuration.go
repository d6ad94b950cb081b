package reread

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"countersign/internal/config/change"
	"countersign/internal/config/value"
)

// Prepared is a configuration that was read and found right, with all that is made of it, and is not in use yet.
type Prepared struct {
	// Files are those that it was made of, its own first.
	Files []value.Secret
	// Changes are what differs from the one in use.
	Changes change.Changes
	// Use puts it into use, all at once, and Drop gives it up; one of them is called.
	Use, Drop func()
}

// Later is the error of a configuration that is right, and cannot be put into use for now: the database is away.
type Later struct{ Err error }

// Error implements error.
func (l *Later) Error() string { return l.Err.Error() }

// Unwrap returns the cause.
func (l *Later) Unwrap() error { return l.Err }

// Configuration reads a configuration again when one of its files changes. Make one with [NewConfiguration].
type Configuration struct {
	prepare func(context.Context) (Prepared, error)
	now     func() time.Time
	log     *slog.Logger

	files []value.Secret
	// used is the digest of what is in use, refused of what was reported, seen of what was found the last time.
	used, refused, seen digest

	mu    sync.Mutex
	state State
}

// State is how reading a configuration again went.
type State struct {
	// TakenAt is when the one in use was taken.
	TakenAt time.Time
	// Refused is how many could not be taken so far, and Problem what is wrong with the one in the file; empty when that is in use.
	Refused int
	Problem string
}

// NewConfiguration watches the files of a configuration that is in use, its own first; without any, nothing is read again. prepare reads
// it again; an error that is no [*Later] is about what the files hold.
func NewConfiguration(
	files []value.Secret, prepare func(context.Context) (Prepared, error), now func() time.Time, log *slog.Logger,
) *Configuration {
	return &Configuration{prepare: prepare, now: now, log: log, files: files, used: content(files), state: State{TakenAt: now()}}
}

// State is how it went so far.
func (c *Configuration) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

func (c *Configuration) set(change func(*State)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.state)
}

// Check reads the configuration again if a file has changed, and reports whether it put another into use. What nobody says is written
// is read when it is found the same twice: a file that was written by half may be right by chance.
func (c *Configuration) Check(ctx context.Context, told bool) (taken bool) {
	if len(c.files) == 0 {
		return false
	}
	found := content(c.files)
	if found == c.used {
		c.seen, c.refused = digest{}, digest{}
		if c.State().Problem != "" {
			c.set(func(s *State) { s.Problem = "" })
			c.log.InfoContext(ctx, "configuration files are those in use again")
		}
		return false
	}
	if !told && (found == c.refused || found != c.seen) {
		c.seen = found
		return false
	}
	prepared, err := c.prepare(ctx)
	// What is written from here on, while it is put into use too, is read again.
	used := content(prepared.Files)
	if content(c.files) != found { // it is being written
		if err == nil {
			prepared.Drop()
		}
		return false
	}
	if err != nil {
		c.refuse(ctx, found, err)
		return false
	}
	prepared.Use()
	c.files, c.used = prepared.Files, used
	c.set(func(s *State) { s.TakenAt, s.Problem = c.now(), "" })
	c.log.InfoContext(ctx, "audit", "event", "configuration_reloaded", "keys", strings.Join(prepared.Changes.Live, ", "))
	if restart := prepared.Changes.Restart; len(restart) > 0 {
		c.log.WarnContext(ctx, "configuration changes not taken; restart to take them", "keys", strings.Join(restart, ", "))
	}
	return true
}

// refuse reports what cannot be used, once for each content. What is only not possible now is tried again.
func (c *Configuration) refuse(ctx context.Context, found digest, err error) {
	problem := err.Error()
	if later := new(Later); errors.As(err, &later) && c.State().Problem == problem {
		return
	} else if later.Err == nil {
		c.refused = found
	}
	c.set(func(s *State) { s.Refused, s.Problem = s.Refused+1, problem })
	c.log.ErrorContext(ctx, "configuration reload refused; keeping previous", "error", problem)
}
