package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"countersign/bench/torture/history"
	"countersign/store"
)

// batch is how many things are raced for between two meetings of all nodes: after a meeting they start level.
const batch = 40

// course is one run.
type course struct {
	settings
	database database
	folder   string
	run      string
	slots    []*slot
	store    store.Store
	monitor  *monitor
	began    time.Time
	// tried is how many tries were made at least, killed how many nodes were killed.
	tried, killed atomic.Int64
	outages       []outage
	kills         []time.Time
	// things is how many there are of each kind.
	things map[string]int
}

func newCourse(ctx context.Context, s settings, d database, folder string) (*course, error) {
	c := &course{settings: s, database: d, folder: folder, run: rand.Text(), things: map[string]int{}}
	var err error
	if c.store, err = openStore(ctx, d.driver(), d.URL(), 8, 0); err != nil {
		return nil, err
	}
	now := time.Now()
	if err := c.store.PutUser(ctx, store.User{Subject: alice, Username: alice, CreatedAt: now, UpdatedAt: now}); err != nil {
		return nil, err
	}
	watched, err := openStore(ctx, d.driver(), d.URL(), 2, 0)
	if err != nil {
		return nil, err
	}
	c.monitor = &monitor{store: watched}
	for i := range s.nodes {
		n := &slot{index: i, folder: folder, node: node{Driver: d.driver(), Address: d.URL(), Run: c.run,
			First: i * s.players, Players: s.players, All: s.nodes * s.players}}
		if s.clock != 0 {
			n.node.Purges = i == 0
			if s.clock.Abs() >= store.MaxClockDifference && s.nodes > 1 {
				n.node.All = (s.nodes - 1) * s.players // the last one cannot make things
			}
			if i == s.nodes-1 {
				n.node.Purges, n.node.Ahead = true, s.clock
			}
		}
		if err := n.start(ctx); err != nil {
			return nil, err
		}
		c.slots = append(c.slots, n)
	}
	return c, nil
}

// race goes on until enough was tried, killed and failed.
// A database that does not come back ends everything.
func (c *course) race(ctx context.Context, abort context.CancelCauseFunc) error {
	c.began = time.Now()
	troubled, calm := context.WithCancel(ctx)
	defer calm()
	var trouble sync.WaitGroup
	var left atomic.Int32
	left.Store(2)
	trouble.Go(func() { c.monitor.watch(troubled) })
	trouble.Go(func() { c.killPlayers(troubled); left.Add(-1) })
	trouble.Go(func() {
		if err := c.failDatabase(troubled); err != nil {
			abort(err)
		}
		left.Add(-1)
	})
	trouble.Go(func() { c.progress(troubled) })
	all := kinds()
	var err error
	for round := 0; err == nil && (int(c.tried.Load()) < c.attempts || left.Load() > 0); round++ {
		err = c.lap(ctx, all[round%len(all)])
	}
	calm()
	trouble.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, s := range c.slots {
		err = errors.Join(err, s.stop())
	}
	return err
}

// lap has all nodes race for one batch of one kind.
func (c *course) lap(ctx context.Context, k kind) error {
	from := c.things[k.name]
	to := from + batch
	c.things[k.name] = to
	for _, what := range []string{"prepare", "race"} {
		failures := make([]error, len(c.slots))
		var running sync.WaitGroup
		for i, s := range c.slots {
			running.Go(func() {
				done, err := s.obey(ctx, fmt.Sprintf("%s %s %d %d", what, k.name, from, to))
				if failures[i] = err; done && what == "race" && k.name != "grant" { // using a grant is no try of a one-time thing
					c.tried.Add(int64(batch * c.players))
				}
			})
		}
		running.Wait()
		if err := errors.Join(failures...); err != nil {
			return err
		}
	}
	return nil
}

// killPlayers kills processes of players.
func (c *course) killPlayers(ctx context.Context) {
	// A miss cannot fail.
	c.kills, _ = schedule{count: c.settings.kills, every: c.every}.run(ctx, func() (bool, error) {
		hit := c.slots[randomBelow(int64(len(c.slots)))].kill()
		if hit {
			c.killed.Add(1)
		}
		return hit, nil
	})
}

// failDatabase takes the database down again and again.
func (c *course) failDatabase(ctx context.Context) error {
	if err := c.database.ready(ctx); err != nil {
		return err
	}
	_, err := schedule{count: c.failures, every: c.failing}.run(ctx, func() (bool, error) {
		o, err := c.monitor.observe(ctx, c.database)
		if err != nil {
			return false, fmt.Errorf("failure %d: %w", len(c.outages)+1, err)
		}
		c.outages = append(c.outages, o)
		fmt.Printf("%6.1fs  %s: writes again after %.2fs, %.2fs of it after the database said so\n",
			o.at.Sub(c.began).Seconds(), o.what, o.total().Seconds(), o.recovery().Seconds())
		if ctx.Err() != nil {
			return true, nil
		}
		return true, c.database.ready(ctx)
	})
	return err
}

func (c *course) progress(ctx context.Context) {
	for pause(ctx, 5*time.Second) {
		fmt.Printf("%6.1fs  %d tries, %d nodes killed\n", time.Since(c.began).Seconds(), c.tried.Load(), c.killed.Load())
	}
}

// judge reads what all have written, looks at what is there now, and has the checker say what it comes to.
func (c *course) judge(ctx context.Context) (*report, error) {
	ended := time.Now()
	all, err := c.read()
	if err != nil {
		return nil, err
	}
	fmt.Printf("%d operations; looking at what is left of them\n", len(all))
	if err := c.look(ctx, all); err != nil {
		return nil, err
	}
	all, err = c.read()
	if err != nil {
		return nil, err
	}
	return &report{settings: c.settings, verdict: history.Check(all), kinds: byKind(all), outages: c.outages, kills: c.kills,
		began: c.began, ended: ended, rate: rate(all)}, errors.Join(c.store.Close(), c.monitor.store.Close())
}

func (c *course) read() ([]history.Operation, error) {
	files, err := filepath.Glob(filepath.Join(c.folder, "*.history"))
	if err != nil {
		return nil, err
	}
	var all []history.Operation
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		operations, err := history.Read(strings.TrimSuffix(filepath.Base(name), ".history"), file)
		if err := errors.Join(err, file.Close()); err != nil {
			return nil, err
		}
		all = append(all, operations...)
	}
	return all, nil
}

// look asks the store what is there now: of each thing, of what its winner got, and, where an outcome is unknown and for
// every tenth thing, of what every other asked for.
func (c *course) look(ctx context.Context, all []history.Operation) error {
	won, maybe := map[string]int{}, map[string]bool{}
	for _, o := range all {
		var number, who int
		if o.Verb != history.Consume {
			continue
		}
		if o.Outcome == history.Unknown {
			maybe[o.Thing] = true
		}
		if _, err := fmt.Sscanf(o.Made[strings.IndexByte(o.Made, '/')+1:], "%d@%d", &number, &who); err == nil && o.Outcome == history.OK {
			won[o.Thing] = who
		}
	}
	file, err := os.OpenFile(filepath.Join(c.folder, "look.history"), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	writer := history.NewWriter(file, monotonic)
	var looking sync.WaitGroup
	const lookers = 8
	for looker := range lookers {
		looking.Go(func() {
			for _, k := range kinds() {
				for n := looker; n < c.things[k.name] && ctx.Err() == nil; n += lookers {
					c.lookAt(ctx, writer, k, n, won, maybe)
				}
			}
		})
	}
	looking.Wait()
	return errors.Join(file.Close(), ctx.Err())
}

func (c *course) lookAt(ctx context.Context, writer *history.Writer, k kind, n int, won map[string]int, maybe map[string]bool) {
	of := thing(k.name, n)
	p := func(number int) *player { return &player{store: c.store, history: writer, run: c.run, number: number} }
	if k.look != nil {
		p(0).see(of, "-", history.Fresh, func() error { return k.look(ctx, p(0), n) })
	}
	if k.name == "grant" {
		p(0).see(of, of, history.There, func() error { return k.made(ctx, p(0), n) })
		return
	}
	if k.made == nil {
		return
	}
	winner, wasWon := won[of]
	for number := range c.nodes * c.players {
		if wasWon && number == winner || maybe[of] || n%10 == 0 {
			p(number).see(of, made(k.name, n, number), history.There, func() error { return k.made(ctx, p(number), n) })
		}
	}
}

// see tells what one look saw.
func (p *player) see(thing, made, otherwise string, work func() error) {
	number, err := p.history.Begin(history.Look, thing, made)
	if err != nil {
		p.hopeless(err)
	}
	outcome, reason := judged(work())
	switch outcome {
	case history.OK:
		reason = otherwise
	case history.Refused:
		outcome = history.OK // the refusal is what was seen
	}
	if err := p.history.End(number, outcome, reason); err != nil {
		p.hopeless(err)
	}
}
