// Command load finds out what two nodes on one PostgreSQL do under the mixed traffic of an open loop: operations begin by
// the clock, as people do, and not when the one before is answered. It finds the capacity, and then goes from a tenth of it
// to half as much again.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"countersign/bench/measure"
	"countersign/bench/servers"
)

func main() {
	ctx, stop := servers.Interruptible()
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench/load:", err)
		os.Exit(1)
	}
}

// settings are the flags.
type settings struct {
	binary, write string
	// each is how long each rate is kept, settle how much of its beginning does not count, and patience how long people
	// wait.
	each, settle, patience time.Duration
	// wait is how long to wait for a quiet machine.
	wait time.Duration
	// capacity is in operations a second; 0 is to be found.
	capacity float64
	rate     float64
	callers  int
	seed     uint64
}

func (s *settings) define(flags *flag.FlagSet) {
	flags.StringVar(&s.binary, "binary", "bin/countersign", "the countersign binary")
	flags.StringVar(&s.write, "write", "", "write the page and its picture into this folder; only on a quiet machine")
	flags.DurationVar(&s.each, "each", 12*time.Second, "how long each rate is kept")
	flags.DurationVar(&s.settle, "settle", 2*time.Second, "how much of its beginning does not count")
	flags.DurationVar(&s.patience, "patience", 3*time.Second, "how long a client waits before it hangs up, from its arrival on")
	flags.DurationVar(&s.wait, "wait", 4*time.Minute, "with -write: how long to wait for a machine that is not quiet yet")
	flags.Float64Var(&s.capacity, "capacity", 0, "operations a second that are 100 %; 0 finds it out")
	flags.Float64Var(&s.rate, "rate", goalRate, "operations a second of the goal, which are measured beside the curve")
	flags.IntVar(&s.callers, "callers", 64, "how many callers without a pause begin to find the capacity")
	flags.Uint64Var(&s.seed, "seed", 1, "of the moments of arrival")
}

func (s *settings) check() error {
	if s.each <= s.settle || s.settle < 0 || s.patience <= 0 || s.capacity < 0 || s.rate <= 0 || s.callers < 1 {
		return errors.New("-each must be longer than -settle, and -patience, -rate and -callers above 0")
	}
	return nil
}

func run(ctx context.Context) (err error) {
	var s settings
	s.define(flag.CommandLine)
	flag.Parse()
	if err := s.check(); err != nil {
		return err
	}
	watch, err := measure.ThisMachine().Watch(ctx, s.write != "", s.wait, os.Stdout)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "countersign-load-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	fmt.Println("starting two nodes and PostgreSQL, and signing everybody in")
	w, err := begin(ctx, &servers.Lab{Binary: s.binary, Folder: folder})
	if err != nil {
		return err
	}
	defer w.server.Close()
	results, err := s.curve(ctx, w)
	if err != nil {
		return err
	}
	said, noise := watch()
	results.noise = said
	fmt.Println(results.text())
	if s.write == "" {
		return nil
	}
	if noise != nil {
		return fmt.Errorf("nothing is written: %w", noise)
	}
	return errors.Join(
		measure.WritePage(filepath.Join(s.write, "performance-load.md"), page, "measured", results.markdown()),
		os.WriteFile(filepath.Join(s.write, "performance-load.svg"), []byte(results.picture()), 0o644))
}

//go:embed performance-load.md
var page string
