package reread_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/internal/config/change"
	"countersign/internal/config/value"
	"countersign/internal/reread"
)

// bench is a configuration of one line, in a file, beside a file that it names.
type bench struct {
	*reread.Configuration
	t             *testing.T
	file, named   string
	inUse         string
	made, dropped int
	// later is why nothing can be put into use, and while is done while it is read.
	later error
	while func()
	// used is called when it is put into use; nil does nothing.
	used func()
	log  strings.Builder
}

func newBench(t *testing.T) *bench {
	t.Helper()
	folder := t.TempDir()
	b := &bench{t: t, file: filepath.Join(folder, "c.toml"), named: filepath.Join(folder, "named"), inUse: "first", while: func() {}}
	b.write(b.file, "first")
	b.write(b.named, "logo")
	now := func() time.Time { return time.Unix(int64(b.made), 0) }
	b.Configuration = reread.NewConfiguration(b.files(), b.prepare, now, slog.New(slog.NewTextHandler(&b.log, nil)))
	return b
}

func (b *bench) files() []value.Secret {
	return []value.Secret{value.Secret(b.file), value.Secret(b.named)}
}

func (b *bench) write(file, text string) {
	b.t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) prepare(context.Context) (reread.Prepared, error) {
	b.made++
	text, err := os.ReadFile(b.file)
	b.while()
	switch {
	case err != nil:
		return reread.Prepared{}, err
	case strings.Contains(string(text), "bad"):
		return reread.Prepared{}, errors.New("c.toml:1: name: bad")
	case b.later != nil:
		return reread.Prepared{}, &reread.Later{Err: b.later}
	}
	return reread.Prepared{
		Files: b.files(), Use: func() {
			b.inUse = string(text)
			if b.used != nil {
				b.used()
			}
		}, Drop: func() { b.dropped++ },
		Changes: change.Changes{Live: []string{"name"}, Restart: []string{"store.file"}},
	}, nil
}

// looks lets it look so often.
func (b *bench) looks(count int) {
	b.log.Reset()
	for range count {
		b.Check(b.t.Context(), false)
	}
}

func (b *bench) logged(text string) int { return strings.Count(b.log.String(), text) }

// Covers: NM-86, NM-88. A configuration is read again when one of its files has changed and is whole.
func TestConfiguration(t *testing.T) {
	t.Run("accepts nothing new", func(t *testing.T) {
		b := newBench(t)
		b.looks(3)
		b.Check(t.Context(), true)
		if b.made != 0 || b.log.Len() != 0 {
			t.Errorf("read %d times:\n%s", b.made, &b.log)
		}
	})
	t.Run("accepts a change that stays, and one at once of which it is told", func(t *testing.T) {
		b := newBench(t)
		b.write(b.file, "second")
		b.looks(1)
		if b.inUse != "first" {
			t.Error("taken before it was the same twice")
		}
		b.looks(1)
		if b.inUse != "second" || b.logged("event=configuration_reloaded keys=name") != 1 ||
			b.logged(`configuration changes not taken; restart to take them" keys=store.file`) != 1 {
			t.Errorf("%s\n%s", b.inUse, &b.log)
		}
		b.write(b.file, "third")
		if !b.Check(t.Context(), true) || b.inUse != "third" {
			t.Error(b.inUse)
		}
		if state := b.State(); state.Refused != 0 || state.Problem != "" || !state.TakenAt.Equal(time.Unix(2, 0)) {
			t.Errorf("%+v", state)
		}
	})
	t.Run("accepts a change of a file that it names", func(t *testing.T) {
		b := newBench(t)
		b.write(b.named, "another")
		b.looks(2)
		if b.made != 1 || b.logged("event=configuration_reloaded") != 1 {
			t.Errorf("read %d times:\n%s", b.made, &b.log)
		}
	})
	t.Run("refuses what grows while it is looked at, until it stays", func(t *testing.T) {
		b := newBench(t)
		for n := range 5 {
			b.write(b.file, "second"[:n+1])
			b.looks(1)
		}
		if b.made != 0 {
			t.Errorf("read %d times", b.made)
		}
		b.write(b.file, "second")
		b.looks(2)
		if b.inUse != "second" {
			t.Error(b.inUse)
		}
	})
	t.Run("refuses what changes while it is read, and gives up what was made of it", func(t *testing.T) {
		b := newBench(t)
		b.write(b.file, "second")
		b.while = func() { b.write(b.file, "third") }
		b.Check(t.Context(), true)
		if b.inUse != "first" || b.dropped != 1 || b.log.Len() != 0 {
			t.Errorf("%s, %d dropped:\n%s", b.inUse, b.dropped, &b.log)
		}
		b.write(b.file, "bad")
		b.Check(t.Context(), true)
		if b.State().Refused != 0 {
			t.Error("what was being written is reported")
		}
		b.while = func() {}
		b.looks(2)
		if b.inUse != "third" {
			t.Error(b.inUse)
		}
	})
}

// Covers: NM-87. A configuration that is wrong is refused and named, once; what was in use stays, and the next that is right is taken.
func TestRefused(t *testing.T) {
	t.Run("refuses what is wrong, and says so once", func(t *testing.T) {
		b := newBench(t)
		b.write(b.file, "bad")
		b.looks(10)
		if b.made != 1 || b.inUse != "first" || b.logged(`configuration reload refused; keeping previous" error="c.toml:1: name: bad"`) != 1 {
			t.Errorf("read %d times, %s\n%s", b.made, b.inUse, &b.log)
		}
		if state := b.State(); state.Refused != 1 || state.Problem != "c.toml:1: name: bad" || !state.TakenAt.Equal(time.Unix(0, 0)) {
			t.Errorf("%+v", state)
		}
		b.Check(t.Context(), true)
		if b.logged("refused") != 2 {
			t.Errorf("told to read it, it says nothing:\n%s", &b.log)
		}
	})
	t.Run("refuses a file that is gone", func(t *testing.T) {
		b := newBench(t)
		if err := os.Remove(b.file); err != nil {
			t.Fatal(err)
		}
		b.looks(3)
		if b.inUse != "first" || b.logged("no such file") != 1 {
			t.Error(&b.log)
		}
	})
	t.Run("accepts the next that is right, or the one before again", func(t *testing.T) {
		b := newBench(t)
		b.write(b.file, "bad")
		b.looks(2)
		b.write(b.file, "first")
		b.looks(1)
		if b.logged("configuration files are those in use again") != 1 || b.State().Problem != "" {
			t.Errorf("%+v\n%s", b.State(), &b.log)
		}
		b.write(b.file, "bad again")
		b.looks(2)
		b.write(b.file, "second")
		b.looks(2)
		if state := b.State(); b.inUse != "second" || state.Problem != "" || state.Refused != 2 {
			t.Errorf("%s, %+v", b.inUse, state)
		}
	})
	t.Run("accepts later what cannot be put into use now, and says so once", func(t *testing.T) {
		b := newBench(t)
		b.write(b.file, "second")
		b.later = errors.New("the database is away")
		b.looks(6)
		if b.made != 5 || b.logged("the database is away") != 1 || b.State().Refused != 1 {
			t.Errorf("read %d times:\n%s", b.made, &b.log)
		}
		b.later = nil
		b.looks(1)
		if b.inUse != "second" {
			t.Error(&b.log)
		}
	})
	t.Run("accepts to read nothing again without files", func(t *testing.T) {
		c := reread.NewConfiguration(nil, nil, time.Now, slog.New(slog.DiscardHandler))
		if c.Check(t.Context(), true) {
			t.Error("taken")
		}
	})
}
