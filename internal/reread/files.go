// Package reread reads files again when they change, or when it is told to. Nothing is taken that is being written, and of what cannot be
// used it is said why, while what was read before stays in use.
package reread

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"countersign/internal/config/value"
	"countersign/internal/pause"
)

// Every is how often files are checked for changes.
const Every = 10 * time.Second

// Hangups has SIGHUP not end this process from now on, but come out of the channel.
func Hangups() <-chan os.Signal {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	return hangups
}

// Run calls check from time to time until ctx ends; at each signal at once, and then told is true.
func Run(ctx context.Context, signals <-chan os.Signal, check func(ctx context.Context, told bool)) {
	ticker := time.NewTicker(Every)
	defer ticker.Stop()
	for {
		told := false
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-signals:
			told = true
		}
		check(ctx, told)
	}
}

// settles is how long files have to stay as they are, so that none is taken that is being written: half of it may be right by chance.
const settles = 300 * time.Millisecond

// digest is that of what files hold.
type digest [sha256.Size]byte

// content is the digest of files, and of all in folders, or of why they cannot be read.
func content(files []value.Secret) (sum digest) {
	h := sha256.New()
	add := func(name string) {
		text, err := os.ReadFile(name)
		fmt.Fprintf(h, "%d %v\n", len(text), err)
		h.Write(text)
	}
	for _, file := range files {
		path, err := file.Path()
		if err != nil {
			fmt.Fprintf(h, "%v\n", err)
			continue
		}
		if info, err := os.Stat(path); err != nil || !info.IsDir() {
			add(path)
			continue
		}
		// Kubernetes has a folder of links, by way of one that it turns to another folder all at once.
		root, err := filepath.EvalSymlinks(path)
		if err != nil {
			fmt.Fprintf(h, "%v\n", err)
			continue
		}
		err = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			if info, err := os.Stat(name); err != nil || info.Mode().IsRegular() {
				fmt.Fprintf(h, "%s\n", strings.TrimPrefix(name, root))
				add(name)
			}
			return nil
		})
		fmt.Fprintf(h, "%v\n", err)
	}
	h.Sum(sum[:0])
	return sum
}

// Files are files that are read again each on their own account, such as certificates with their keys.
type Files struct {
	// Log is told what was read again, and what could not be.
	Log *slog.Logger

	items []*item
	// others reload on their own account, and watched are the files that they read.
	others  []func(context.Context)
	watched []value.Secret
}

// item is files that are read together.
type item struct {
	// key is that of the configuration.
	key   string
	files []value.Secret
	load  func() (use func(), err error)

	// used is the digest of what is in use, refused of what was reported as unusable, seen of what was found unusable once.
	used, refused, seen digest
}

// Add has files read again, which have been read before. load reads and checks them, and returns what puts them into use; key is that
// of the configuration. Of a nil f, nothing is read again.
func (f *Files) Add(key string, files []value.Secret, load func() (use func(), err error)) {
	if f == nil {
		return
	}
	f.items = append(f.items, &item{key: key, files: files, load: load, used: content(files)})
}

// Also has something reload on its own account, which reads some files.
func (f *Files) Also(reload func(context.Context), files ...value.Secret) {
	if f != nil {
		f.others, f.watched = append(f.others, reload), append(f.watched, files...)
	}
}

// Watched reports which files are read again.
func (f *Files) Watched() map[value.Secret]bool {
	all := map[value.Secret]bool{}
	for _, file := range f.watched {
		all[file] = true
	}
	for _, one := range f.items {
		for _, file := range one.files {
			all[file] = true
		}
	}
	return all
}

// Check reads what has changed. Files that belong together are not written at the same moment: what cannot be used is reported
// when it is still the same the next time, or at once when somebody says that all is written.
func (f *Files) Check(ctx context.Context, told bool) {
	for _, one := range f.items {
		f.check(ctx, one, told)
	}
	for _, other := range f.others {
		other(ctx)
	}
}

func (f *Files) check(ctx context.Context, one *item, told bool) {
	found := content(one.files)
	if found == one.used {
		one.refused, one.seen = digest{}, digest{}
		return
	}
	if found == one.refused && !told {
		return
	}
	use, err := one.load()
	if err == nil && !told && pause.For(ctx, settles) != nil {
		return
	}
	switch {
	case err == nil && content(one.files) == found: // or else it is being written, and read the next time
		use()
		one.used = found
		f.Log.InfoContext(ctx, "audit", "event", "files_reloaded", "key", one.key)
	case err == nil:
	case told || found == one.seen:
		one.refused = found
		f.Log.ErrorContext(ctx, "file reload failed; keeping previous", "key", one.key, "error", err.Error())
	default:
		one.seen = found
	}
}
