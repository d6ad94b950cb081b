// Command make makes a release of the commit that is checked out: `make release RELEASE_KEY=FILE`. It builds everything twice, the
// second time from a clone in another folder with nothing compiled before, and compares.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"countersign/internal/release"
)

func main() {
	key := flag.String("key", "", "the key that signs: a private key of OpenSSH, or a public one whose other half ssh-agent has")
	out := flag.String("out", "dist", "the folder for what is made")
	once := flag.Bool("once", false, "do not build again and compare")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	options := release.Options{Source: ".", Out: *out, Key: *key, Log: os.Stdout}
	if err := made(ctx, options, *once); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func made(ctx context.Context, o release.Options, once bool) error {
	if err := release.Make(ctx, o); err != nil {
		return err
	}
	if !once {
		if err := release.Again(ctx, o); err != nil {
			return err
		}
	}
	fmt.Printf("%s is made, signed and verified; how others verify it: docs/releases.md\n", o.Out)
	return nil
}
