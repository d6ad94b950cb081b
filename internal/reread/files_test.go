package reread_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/internal/config/value"
	"countersign/internal/reread"
)

// shelf is files that are read again; what they hold begins with whole and ends with end, or it is wrong.
type shelf struct {
	*reread.Files
	t   *testing.T
	log bytes.Buffer

	mu    sync.Mutex
	inUse string
}

func newShelf(t *testing.T, read func() (string, error), files ...value.Secret) *shelf {
	t.Helper()
	s := &shelf{t: t}
	s.Files = &reread.Files{Log: slog.New(slog.NewTextHandler(&s.log, nil))}
	s.Add("files", files, func() (func(), error) {
		text, err := read()
		if err == nil && text == "" {
			err = errors.New("empty")
		}
		return func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.inUse = text
		}, err
	})
	return s
}

func (s *shelf) used() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inUse
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// secret is a folder as a kubelet makes it: links to files by way of ..data, which is a link to a folder that is turned at once.
type secret struct {
	t      *testing.T
	folder string
	made   int
}

func (s *secret) turn(text string) {
	s.t.Helper()
	s.made++
	data := fmt.Sprintf("..2026_12_01_%d", s.made)
	must(s.t, os.Mkdir(filepath.Join(s.folder, data), 0o700))
	must(s.t, os.WriteFile(filepath.Join(s.folder, data, "file"), []byte(text), 0o600))
	must(s.t, os.Symlink(data, filepath.Join(s.folder, "..data_tmp")))
	must(s.t, os.Rename(filepath.Join(s.folder, "..data_tmp"), filepath.Join(s.folder, "..data")))
	if s.made == 1 {
		must(s.t, os.Symlink(filepath.Join("..data", "file"), filepath.Join(s.folder, "file")))
	}
}

// Covers: NM-197. Files that are replaced at once are read again, and half of a file is not, though it is right by itself.
func TestReplaced(t *testing.T) {
	t.Run("accepts a link that is turned", func(t *testing.T) {
		made := &secret{t: t, folder: t.TempDir()}
		made.turn("first")
		file := filepath.Join(made.folder, "file")
		s := newShelf(t, func() (string, error) { text, err := os.ReadFile(file); return string(text), err }, value.Secret(file))
		for _, told := range []bool{true, false} {
			want := fmt.Sprint("told ", told)
			made.turn(want)
			s.Check(t.Context(), told)
			if got := s.used(); got != want {
				t.Errorf("%q, not %q", got, want)
			}
		}
	})
	t.Run("accepts a folder that is a link, of links", func(t *testing.T) {
		made := &secret{t: t, folder: t.TempDir()}
		made.turn("first")
		link := filepath.Join(t.TempDir(), "link")
		must(t, os.Symlink(made.folder, link))
		s := newShelf(t, func() (string, error) {
			text, err := os.ReadFile(filepath.Join(link, "file"))
			return string(text), err
		}, value.Secret(link))
		s.Check(t.Context(), true)
		if got := s.used(); got != "" {
			t.Errorf("it has not changed, and is read: %q", got)
		}
		made.turn("second")
		s.Check(t.Context(), true)
		if got := s.used(); got != "second" {
			t.Errorf("%q", got)
		}
	})
	t.Run("accepts a rename", func(t *testing.T) {
		folder := t.TempDir()
		file := filepath.Join(folder, "file")
		must(t, os.WriteFile(file, []byte("first"), 0o600))
		s := newShelf(t, func() (string, error) { text, err := os.ReadFile(file); return string(text), err }, value.Secret(file))
		must(t, os.WriteFile(file+".new", []byte("second"), 0o600))
		must(t, os.Rename(file+".new", file))
		s.Check(t.Context(), false)
		if got := s.used(); got != "second" {
			t.Errorf("%q", got)
		}
	})
	t.Run("refuses half of a file that is right by itself, and takes the whole", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		must(t, os.WriteFile(file, []byte("first"), 0o600))
		s := newShelf(t, func() (string, error) { text, err := os.ReadFile(file); return string(text), err }, value.Secret(file))
		must(t, os.WriteFile(file, []byte("one authority"), 0o600))
		var writing sync.WaitGroup
		writing.Go(func() {
			time.Sleep(100 * time.Millisecond)
			must(t, os.WriteFile(file, []byte("one authority, and another"), 0o600))
		})
		s.Check(t.Context(), false)
		writing.Wait()
		if got := s.used(); got != "" {
			t.Errorf("half of it is in use: %q", got)
		}
		s.Check(t.Context(), false)
		if got := s.used(); got != "one authority, and another" {
			t.Errorf("%q", got)
		}
	})
	t.Run("refuses a file that is empty, without a word while it is being written", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		must(t, os.WriteFile(file, []byte("first"), 0o600))
		s := newShelf(t, func() (string, error) { text, err := os.ReadFile(file); return string(text), err }, value.Secret(file))
		must(t, os.WriteFile(file, nil, 0o600))
		s.Check(t.Context(), false)
		if s.log.Len() > 0 || s.used() != "" {
			t.Errorf("%q, %s", s.used(), &s.log)
		}
		s.Check(t.Context(), false)
		if !strings.Contains(s.log.String(), "file reload failed; keeping previous") {
			t.Errorf("nobody is told: %s", &s.log)
		}
	})
}

// Covers: NM-198. A storm of reloads while the file is written: what is in use in the end is what was written last, and nothing in
// between was half of it.
func TestStorm(t *testing.T) {
	t.Run("accepts what is written while another is put into use", func(t *testing.T) {
		b := newBench(t)
		b.write(b.file, "second")
		b.used = func() {
			b.used = nil
			b.write(b.file, "third")
		}
		b.Check(t.Context(), true)
		if b.inUse != "second" {
			t.Fatal(b.inUse)
		}
		b.Check(t.Context(), true)
		if b.inUse != "third" {
			t.Errorf("%q: what was written meanwhile is taken for what is in use", b.inUse)
		}
	})
	t.Run("refuses anything that was never written whole", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		must(t, os.WriteFile(file, []byte("0:0"), 0o600))
		var wrong []string
		s := newShelf(t, func() (string, error) { text, err := os.ReadFile(file); return string(text), err }, value.Secret(file))
		var writing sync.WaitGroup
		ended := make(chan struct{})
		writing.Go(func() {
			defer close(ended)
			for n := range 400 {
				text := fmt.Sprintf("%d:%d", n, n)
				must(t, os.WriteFile(file+".new", []byte(text), 0o600))
				must(t, os.Rename(file+".new", file))
			}
		})
		for running := true; running; {
			s.Check(t.Context(), true)
			if first, second, _ := strings.Cut(s.used(), ":"); first != second {
				wrong = append(wrong, s.used())
			}
			select {
			case <-ended:
				running = false
			default:
			}
		}
		writing.Wait()
		s.Check(t.Context(), true)
		if s.used() != "399:399" || len(wrong) > 0 {
			t.Errorf("%q, %v", s.used(), wrong)
		}
	})
}
