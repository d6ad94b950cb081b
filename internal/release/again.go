package release

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrDiffers: the same commit gave other bytes the second time.
var ErrDiffers = errors.New("release: built again elsewhere, it is not the same")

// Again makes a release once more, of a clone of its source in another folder and with nothing that was compiled before, and
// compares. The error is [ErrDiffers] when a digest is another one.
func Again(ctx context.Context, o Options) error {
	work, err := os.MkdirTemp("", "release-again")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	first, err := os.ReadFile(filepath.Join(o.Out, sums))
	if err != nil {
		return err
	}
	clone := filepath.Join(work, "a", "folder", "elsewhere")
	if _, err := o.run(ctx, "", nil, "git", "clone", "--quiet", o.Source, clone); err != nil {
		return err
	}
	o.say("build everything again, elsewhere, from nothing")
	second := o
	second.Source, second.Out = clone, filepath.Join(work, "dist")
	if second.Cache == "" {
		second.Cache = filepath.Join(work, "compiled")
	}
	if err := Make(ctx, second); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(second.Out, sums))
	if err != nil {
		return err
	}
	if !bytes.Equal(text, first) {
		return fmt.Errorf("%w:\n%s\nand\n%s", ErrDiffers, first, text)
	}
	return nil
}
