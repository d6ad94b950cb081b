// Command torture races processes for one-time things in one store, kills them and the database while they do so, and
// has the history judged afterwards, in the manner of Jepsen: nothing may be used twice, nothing that was acknowledged
// may be lost, and nothing that was ended may come back.
//
// A node here is a process that drives the store's verbs through the same code as `countersign serve`, without TLS and
// signatures: what is proven is the store's, and a million races would take hours with a signature for each. Real nodes
// are tortured through their endpoints by `go run ./bench -reliability`.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

// settings are the flags.
type settings struct {
	database        string
	nodes, players  int
	attempts        int
	kills, failures int
	every, failing  time.Duration
	write           string
	keep            string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if encoded, isNode := os.LookupEnv(workerVariable); isNode {
		var n node
		if err := json.Unmarshal([]byte(encoded), &n); err != nil {
			fail(err)
		}
		// An interrupt is for the parent, which closes our input.
		if err := n.obey(context.Background()); err != nil {
			fail(err)
		}
		return
	}
	s := flags()
	r, err := s.run(ctx)
	if r != nil {
		fmt.Println(r.text())
	}
	if err == nil && s.write != "" {
		err = r.publish(s.write, s.database)
	}
	if err == nil {
		err = r.faults()
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "torture:", err)
	os.Exit(1)
}

func flags() settings {
	var s settings
	flag.StringVar(&s.database, "database", "postgres", "sqlite, postgres or patroni")
	flag.IntVar(&s.nodes, "nodes", 4, "how many processes")
	flag.IntVar(&s.players, "players", 4, "how many racers in each")
	flag.IntVar(&s.attempts, "attempts", 100_000, "end when so many tries were made, and all kills and failures done")
	flag.IntVar(&s.kills, "kills", 50, "how many nodes are killed")
	flag.IntVar(&s.failures, "failures", 5, "how often the database is killed")
	flag.DurationVar(&s.every, "every", 4*time.Second, "the time between two kills, on average")
	flag.DurationVar(&s.failing, "failing", 30*time.Second, "the time between a database that is whole and its next failure, on average")
	flag.StringVar(&s.write, "write", "", "write the table and the picture into this folder's reliability.md")
	flag.StringVar(&s.keep, "keep", "", "keep the history in this folder")
	flag.Parse()
	if flag.NArg() > 0 {
		fail(fmt.Errorf("what is %q?", flag.Arg(0)))
	}
	return s
}

// run tortures one database, and gives what there is to tell even when it fails.
func (s settings) run(ctx context.Context) (_ *report, err error) {
	folder := s.keep
	if folder == "" {
		if folder, err = os.MkdirTemp("", "countersign-torture-"); err != nil {
			return nil, err
		}
		defer os.RemoveAll(folder)
	} else if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	fmt.Printf("starting %s\n", s.database)
	d, err := newDatabase(ctx, s.database, folder)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.stop()) }()
	ctx, abort := context.WithCancelCause(ctx) // ends the nodes, too
	defer abort(nil)
	c, err := newCourse(ctx, s, d, folder)
	if err != nil {
		return nil, err
	}
	if err := c.race(ctx, abort); err != nil {
		return nil, err
	}
	return c.judge(ctx)
}
