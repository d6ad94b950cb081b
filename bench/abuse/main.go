// Command abuse floods a server as strangers without a secret can, or with one client's, and has honest users go about their
// business beside it: how long they wait and how many of them are served, without the flood and with it. It starts
// `countersign serve` as it ships, on SQLite and as two nodes on PostgreSQL, with the limits that a configuration has by
// itself. Flood and honest users have different addresses of the loopback network.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"countersign/bench/servers"
)

// settings are the flags.
type settings struct {
	binary         string
	write, section string
	only, on       string
	length         time.Duration
}

func main() {
	ctx, stop := servers.Interruptible()
	defer stop()
	var s settings
	flag.StringVar(&s.binary, "binary", "bin/countersign", "the countersign binary")
	flag.StringVar(&s.write, "write", "", "write the table into this folder's reliability.md")
	flag.StringVar(&s.section, "section", "abuse", "into which part of the page; abuse-before is for a binary of an earlier release")
	flag.StringVar(&s.only, "floods", "", "the floods whose names hold one of these words, separated by commas; all without it")
	flag.StringVar(&s.on, "on", "sqlite,postgres", "what the server stores in")
	flag.DurationVar(&s.length, "for", 15*time.Second, "how long honest users are watched, without each flood and beside it")
	flag.Parse()
	if err := s.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "abuse:", err)
		os.Exit(1)
	}
}

// run floods, prints the table, and fails when honest users were not served as they have to be.
func (s settings) run(ctx context.Context) error {
	var all []result
	for kind := range strings.SplitSeq(s.on, ",") {
		for _, f := range floods() {
			if !named(f.name, s.only) {
				continue
			}
			fmt.Printf("%s, %s\n", f.name, kind)
			r, err := s.flood(ctx, kind, f)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", f.name, kind, err)
			}
			fmt.Println(" ", r)
			all = append(all, r)
		}
	}
	if s.write != "" {
		if err := publish(s.write, s.section, all); err != nil {
			return err
		}
	}
	return faults(all)
}

// named reports whether a name holds one of some words.
func named(name, words string) bool {
	for word := range strings.SplitSeq(words, ",") {
		if strings.Contains(name, strings.TrimSpace(word)) {
			return true
		}
	}
	return false
}

// flood runs one flood on a server of its own.
func (s settings) flood(ctx context.Context, kind string, f flood) (r result, err error) {
	folder, err := os.MkdirTemp("", "countersign-abuse-")
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	server, err := open(ctx, &servers.Lab{Binary: s.binary, Folder: folder}, kind)
	if err != nil {
		return result{}, err
	}
	defer server.close()
	return f.run(ctx, server, kind, s.length)
}

// honestWait is how long an honest user may wait beside any flood, at the 99th percentile.
const honestWait = time.Second

// faults are the floods beside which honest users were not served.
func faults(all []result) error {
	var problems []error
	for _, r := range all {
		if beside := r.beside; beside.ok < beside.tries || beside.tries == 0 || beside.percentile(99) >= honestWait {
			problems = append(problems, fmt.Errorf("%s, %s: beside the flood %d of %d honest uses succeeded, the slowest hundredth after %s",
				r.flood, r.kind, beside.ok, beside.tries, beside.percentile(99)), beside.first)
		}
		if r.sent == 0 {
			problems = append(problems, fmt.Errorf("%s, %s: there was no flood", r.flood, r.kind))
		}
	}
	return errors.Join(problems...)
}
