package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"countersign/bench/torture/history"
	"countersign/store"
	"countersign/store/postgres"
	"countersign/store/sqlite"
)

// workerVariable makes this program one of its own children: a node that does nothing but drive the store's verbs, and
// that can be killed at any instant.
const workerVariable = "COUNTERSIGN_TORTURE_NODE"

// node is what a child is told by its parent.
type node struct {
	Driver, Address, Run, History string
	// First is the number of its first player, Players how many it has, and All how many there are in all nodes.
	First, Players, All int
	// Ahead is how far its clock is ahead. Purges has it purge.
	Ahead  time.Duration
	Purges bool
}

// monotonic is a clock that all processes of the machine share and nobody sets.
func monotonic() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		panic(err) // Linux always has it
	}
	return now.Nano()
}

// openStore opens the database as `countersign serve` does, with a clock that is ahead by so much.
func openStore(ctx context.Context, driver, address string, connections int, ahead time.Duration) (store.Store, error) {
	now := func() time.Time { return time.Now().Add(ahead) }
	if driver == "sqlite" {
		return sqlite.Open(ctx, sqlite.Config{File: address, Now: now})
	}
	return postgres.Open(ctx, postgres.Config{URL: address, Now: now, MaxConnections: connections})
}

// purge purges until ctx ends.
func purge(ctx context.Context, s store.Store) {
	for ctx.Err() == nil {
		_, _ = s.Purge(ctx, 1000) // a node whose clock is wrong may not
		time.Sleep(500 * time.Millisecond)
	}
}

// obey is the life of a node: orders come in by lines, and "done" goes out when one was carried out.
func (n node) obey(ctx context.Context) error {
	file, err := os.OpenFile(n.History, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	s, err := n.open(ctx)
	if err != nil {
		return errors.Join(err, file.Close())
	}
	purging, stop := context.WithCancel(ctx)
	defer stop()
	if n.Purges {
		go purge(purging, s)
	}
	writer := history.NewWriter(file, monotonic)
	players := make([]*player, n.Players)
	for i := range players {
		players[i] = &player{store: s, history: writer, run: n.Run, number: n.First + i}
	}
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var what, name string
		var from, to int
		if _, err := fmt.Sscan(lines.Text(), &what, &name, &from, &to); err != nil {
			return fmt.Errorf("order %q: %w", lines.Text(), err)
		}
		k, known := kindNamed(name)
		if !known {
			return fmt.Errorf("order %q: no such kind", lines.Text())
		}
		var playing sync.WaitGroup
		for _, p := range players {
			playing.Go(func() {
				for i := from; i < to; i++ {
					switch {
					case what == "race":
						k.race(ctx, p, i)
					case i%n.All == p.number:
						k.prepare(ctx, p, i)
					}
				}
			})
		}
		playing.Wait()
		fmt.Println("done")
	}
	return errors.Join(lines.Err(), s.Close(), file.Close())
}

// open tries until the database answers: a node may be started while it is away.
func (n node) open(ctx context.Context) (store.Store, error) {
	var last error
	for range 600 {
		s, err := openStore(ctx, n.Driver, n.Address, n.Players, n.Ahead)
		if err == nil {
			return s, nil
		}
		last = err
		if strings.Contains(err.Error(), "migrate up") {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil, last
}
