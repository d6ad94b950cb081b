package issuing

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"slices"

	"countersign/internal/config"
	"countersign/internal/config/change"
	"countersign/internal/issuers"
)

// watch knows the list of issuers and their files as they were read.
type watch struct {
	// main is the main file, and files are those that it named when it was read last.
	main  string
	files []string
	// used is the digest of what is in use, refused of what was reported as unusable, seen of what was found unusable once.
	used, refused, seen issuers.Digest
}

func newWatch(main *config.Config) *watch {
	w := &watch{main: main.Name()}
	w.names(main)
	w.used = w.content()
	return w
}

// names notes the files that a configuration names.
func (w *watch) names(main *config.Config) {
	w.files = nil
	for _, one := range main.Issuers {
		w.files = append(w.files, one.File.Path())
	}
}

// content is the digest of all files, or of why they cannot be read.
func (w *watch) content() (digest issuers.Digest) {
	h := sha256.New()
	for _, name := range append([]string{w.main}, w.files...) {
		text, err := os.ReadFile(name)
		fmt.Fprintf(h, "%s %d %v\n", name, len(text), err)
		h.Write(text)
	}
	h.Sum(digest[:0])
	return digest
}

// Check looks whether the list or a file has changed, and has what belongs to each issuer checked. What nobody says is written is read
// when it is found the same twice: a file that was written by half may be right by chance. Of what cannot be used nothing is, and it is
// reported once.
func (v *Issuers) Check(ctx context.Context, told bool) {
	w := v.watch
	switch content := w.content(); {
	case content == w.used:
		w.refused, w.seen = issuers.Digest{}, issuers.Digest{}
		v.found("")
	case told, content == w.seen && content != w.refused:
		v.take(ctx, told)
	default:
		w.seen = content
	}
	for _, one := range v.served() {
		one.server.Reload(ctx, told)
	}
}

// take reads the files, and has what they say brought about.
func (v *Issuers) take(ctx context.Context, told bool) {
	w, named := v.watch, slices.Clone(v.watch.files)
	all, content, whole, err := v.whole(ctx)
	switch {
	case !whole, err == nil && !told && !slices.Equal(named, w.files): // nor are files new ones that are found for the first time
		w.seen = content
	case err == nil:
		w.used = content
		v.found("")
		v.limits.Store(&all[0].Config.Limits)
		all[0].Config = v.Main // which its own server reads again
		v.want(ctx, all)
	default:
		w.refused, w.seen = content, content
		v.found(err.Error())
		v.Log.ErrorContext(ctx, "issuers not changed; keeping previous", "error", err.Error())
	}
}

// whole reads the files, and reports whether they stayed the same meanwhile: what is written while they are read would be taken for what
// is in use. content is the digest of what was read.
func (v *Issuers) whole(ctx context.Context) (all []issuers.Issuer, content issuers.Digest, whole bool, err error) {
	for range 3 { // the list itself may name others
		before := v.watch.content()
		all, err = v.read(ctx)
		if content = v.watch.content(); content == before {
			return all, content, true, err
		}
	}
	return nil, content, false, err
}

// found notes what is wrong with the files; nothing when it is empty.
func (v *Issuers) found(problem string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.problem = problem
	if problem != "" {
		v.refusals++
	}
}

// read reads the list of issuers and their configurations, with what they have from the main file. What of that needs a restart stays
// as it is.
func (v *Issuers) read(ctx context.Context) ([]issuers.Issuer, error) {
	named, err := config.LoadValues(v.watch.main)
	if err != nil {
		return nil, err
	}
	v.watch.names(named)
	main, err := config.Load(v.watch.main)
	if err != nil {
		return nil, err
	}
	change.Keep(v.Main, main)
	if err := main.Validate(); err != nil {
		return nil, err
	}
	all, err := issuers.Load(main)
	if err != nil {
		return nil, err
	}
	if err := v.Config.Check(ctx, all); err != nil {
		return nil, err
	}
	return all, nil
}

// want has other issuers served.
func (v *Issuers) want(ctx context.Context, all []issuers.Issuer) {
	v.mu.Lock()
	before := v.wanted
	v.wanted = all
	v.mu.Unlock()
	if same(before, all) {
		return // something else of the main file
	}
	v.Log.InfoContext(ctx, "audit", "event", "issuers_changed", "issuers", names(all))
	select {
	case v.wake <- struct{}{}:
	default: // it is awake
	}
}

// same reports whether two lists are of the same issuers with the same files.
func same(a, b []issuers.Issuer) bool {
	if len(a) != len(b) {
		return false
	}
	for i, one := range a {
		if b[i].Name != one.Name || b[i].Digest != one.Digest {
			return false
		}
	}
	return true
}
