// Command torture is the harness that races, kills and judges, in the manner of Jepsen: nothing may be used twice, nothing
// that was acknowledged may be lost, and nothing that was ended may come back. It has four modes.
//
//	store        players, processes that drive the store's verbs through the same code as `countersign serve`, without TLS
//	             and signatures: a million races would take hours with a signature for each. Players and the database are
//	             killed.
//	nodes        whole flows by way of several nodes of `countersign serve`, which are killed; and the same races on
//	             node-oidc-provider.
//	replicas     whole flows on a node with two HSM replicas, whose PKCS#11 workers are killed.
//	backchannel  polls and decisions of CIBA requests, raced on two nodes.
//
// All load but the players' is driven with internal/flowclient, every fault is timed by a schedule, and every history is
// judged by bench/torture/history.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"countersign/bench/servers"
)

// settings are the flags.
type settings struct {
	mode            string
	database        string
	nodes, players  int
	attempts        int
	kills, failures int
	every, failing  time.Duration
	binary, cache   string
	trials          int
	peer            bool
	length          time.Duration
	workers         int
	requests        int
	write           string
	keep            string
	clock           time.Duration
}

func main() {
	ctx, stop := servers.Interruptible()
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
	if err := flags().run(ctx); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "torture:", err)
	os.Exit(1)
}

func flags() settings {
	var s settings
	flag.StringVar(&s.mode, "mode", "store", "store, nodes, replicas or backchannel")
	flag.DurationVar(&s.every, "every", 4*time.Second, "the time between two kills, on average; with replicas the time exactly")
	flag.IntVar(&s.kills, "kills", 50, "store, nodes: how many processes are killed")
	flag.StringVar(&s.write, "write", "", "store, nodes: write the tables and the picture into this folder's reliability.md")
	flag.StringVar(&s.database, "database", "postgres", "store: sqlite, postgres or patroni")
	flag.IntVar(&s.nodes, "nodes", 4, "store: how many processes")
	flag.IntVar(&s.players, "players", 4, "store: how many racers in each")
	flag.IntVar(&s.attempts, "attempts", 100_000, "store: end when so many tries were made, and all kills and failures done")
	flag.IntVar(&s.failures, "failures", 5, "store: how often the database is killed")
	flag.DurationVar(&s.failing, "failing", 30*time.Second, "store: the time between a database that is whole and its next failure, on average")
	flag.StringVar(&s.keep, "keep", "", "store: keep the history in this folder")
	flag.DurationVar(&s.clock, "clock", 0, "store: how far the clock of the last process is ahead of the others'; it and the first one purge twice a second")
	flag.StringVar(&s.binary, "binary", "bin/countersign", "nodes, replicas, backchannel: the countersign binary")
	flag.StringVar(&s.cache, "cache", "bench/.cache", "nodes: where node-oidc-provider is installed")
	flag.BoolVar(&s.peer, "peer", true, "nodes: run the races on node-oidc-provider, too")
	flag.IntVar(&s.trials, "trials", 50, "nodes: how often each race is run before nodes are killed")
	flag.DurationVar(&s.length, "for", 2*time.Minute, "replicas: how long")
	flag.IntVar(&s.workers, "workers", 32, "replicas: how many clients at once")
	flag.IntVar(&s.requests, "requests", 12_500, "backchannel: how many requests are raced for")
	flag.Parse()
	if flag.NArg() > 0 {
		fail(fmt.Errorf("what is %q?", flag.Arg(0)))
	}
	return s
}

// run runs a mode, prints what it came to, and fails when that must not be.
func (s settings) run(ctx context.Context) error {
	switch s.mode {
	case "store":
		return s.runStore(ctx)
	case "nodes":
		return s.inLab(ctx, s.runNodes)
	case "replicas":
		return s.inLab(ctx, s.runReplicas)
	case "backchannel":
		return s.inLab(ctx, s.runBackchannel)
	}
	return fmt.Errorf("there is no mode %q: store, nodes, replicas or backchannel", s.mode)
}

// inLab gives a mode a folder for its servers.
func (s settings) inLab(ctx context.Context, run func(context.Context, *servers.Lab) error) error {
	folder, err := os.MkdirTemp("", "countersign-torture-")
	if err != nil {
		return err
	}
	lab := &servers.Lab{Binary: s.binary, Cache: s.cache, Peers: filepath.Join("bench", "peers"), Folder: folder}
	return errors.Join(run(ctx, lab), os.RemoveAll(folder))
}

// runStore tortures a store and prints what there is to tell even when it fails.
func (s settings) runStore(ctx context.Context) error {
	r, err := s.tortureStore(ctx)
	if r != nil {
		fmt.Println(r.text())
	}
	if err != nil {
		return err
	}
	if s.write != "" {
		if err := r.publish(s.write, s.database); err != nil {
			return err
		}
	}
	return r.faults()
}

// tortureStore tortures one store.
func (s settings) tortureStore(ctx context.Context) (_ *report, err error) {
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
	defer func() { err = errors.Join(err, d.Close()) }()
	ctx, abort := context.WithCancelCause(ctx) // ends the players, too
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
