package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"countersign/bench/measure"
	"countersign/bench/servers"
)

// item is what is measured once in a round of every server, or in every so many rounds.
type item struct {
	step
	atOnce, every int
}

// plan is every step with all workers, and a flow with fewer and with more: with one client, which has a goal of its own, in
// every round, and with others in every second.
func (m *machine) plan() ([]item, error) {
	var all []item
	for _, step := range m.chosen() {
		all = append(all, item{step, m.workers, 1})
	}
	flow := steps()[0]
	if !slices.ContainsFunc(all, func(i item) bool { return i.name == flow.name }) {
		return all, nil
	}
	for _, word := range strings.Fields(m.atOnce) {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("-at-once %q: %q is no number of clients", m.atOnce, word)
		}
		if n != m.workers {
			all = append(all, item{flow, n, min(n, 2)})
		}
	}
	return all, nil
}

// measureAll starts the servers and measures them in turns, so that all meet the same machine.
func (m *machine) measureAll(ctx context.Context) (*results, error) {
	plan, err := m.plan()
	if err != nil {
		return nil, err
	}
	up, all, err := m.startAll(ctx)
	defer func() {
		for _, s := range up {
			s.Close()
		}
	}()
	if err != nil {
		return nil, err
	}
	if err := m.ready(ctx, up, plan); err != nil {
		return nil, err
	}
	if err := m.alike(ctx, up, all); err != nil {
		return nil, err
	}
	if err := m.allRounds(ctx, up, plan, all); err != nil {
		return nil, err
	}
	return all, m.signIns(ctx, up, all)
}

// startAll starts every server, and reads what it has resident while it does nothing.
func (m *machine) startAll(ctx context.Context) ([]*target, *results, error) {
	all := newResults(m.workers)
	var up []*target
	for _, v := range m.wanted() {
		fmt.Printf("starting %s\n", v.name)
		s := &target{Server: &servers.Server{Name: v.name, Alg: v.alg}, seldom: v.seldom}
		up = append(up, s)
		all.servers = append(all.servers, v.name)
		if err := v.start(ctx, m, s.Server); err != nil {
			return up, nil, fmt.Errorf("%s: %w", v.name, err)
		}
	}
	if since := time.Since(m.began); since > mostStart { // peers were installed, which is no part of the run
		m.began = m.began.Add(since - mostStart)
	}
	if err := pause(ctx, idleAfter); err != nil {
		return up, nil, err
	}
	for _, s := range up {
		all.memories[s.Name] = memory{Idle: s.Proportional(), IdleResident: s.Memory()}
	}
	return up, all, nil
}

// mostStart is how much of the time that a run may take is for starting the servers.
const mostStart = time.Minute

// idleAfter is how long after its start a server is called idle.
const idleAfter = 5 * time.Second

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// ready signs everybody in, and warms every server until it gets no cheaper.
func (m *machine) ready(ctx context.Context, up []*target, plan []item) error {
	for _, s := range up {
		workers := m.workers
		for _, i := range plan {
			if !s.seldom {
				workers = max(workers, i.atOnce)
			}
		}
		fmt.Printf("warming %s\n", s.Name)
		if err := s.prepare(ctx, workers); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		if err := s.warm(ctx, m.chosen(), m.workers, m.seconds); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	return nil
}

// pairsAlike is how often a server is measured against itself.
const pairsAlike = 10

// alike measures a server against itself, as if it were two: whatever that differs by is no difference.
func (m *machine) alike(ctx context.Context, up []*target, all *results) error {
	s := up[0]
	for _, one := range up {
		if one.Name == ours+"sqlite ES256" {
			s = one
		}
	}
	step := m.chosen()[0]
	var ratios []float64
	for pair := range pairsAlike {
		var both [2]sample
		for turn := range both {
			var err error
			if both[(turn+pair)%2], err = s.measure(ctx, step, m.workers, m.seconds); err != nil {
				return fmt.Errorf("%s: %w", s.Name, err)
			}
		}
		ratios = append(ratios, both[0].CPU/both[1].CPU)
	}
	all.alike, all.alikeOf = measure.Geometric(ratios), s.Name+", "+step.name
	fmt.Println(all.alikeText())
	return nil
}

const (
	// leastRounds are measured however long they take, and seldomEvery is how often the servers are measured that are
	// beside the others for comparison only.
	leastRounds, seldomEvery = 3, 4
	// forSignIns is left of the time for the end.
	forSignIns = 45 * time.Second
)

// allRounds measures everything of every server in each round, in another order each time.
func (m *machine) allRounds(ctx context.Context, up []*target, plan []item, all *results) error {
	until := m.began.Add(m.lasts - forSignIns)
	var longest time.Duration
	for round := 0; ; round++ {
		if m.rounds > 0 && round >= m.rounds || m.rounds == 0 && round >= leastRounds && time.Now().Add(longest).After(until) {
			return nil
		}
		began := time.Now()
		for at, item := range plan {
			if round%item.every != 0 {
				continue
			}
			for _, s := range turns(up, round, at) {
				if s.seldom && (round%seldomEvery != 0 || item.atOnce != m.workers) {
					continue
				}
				sample, err := s.measure(ctx, item.step, item.atOnce, m.seconds)
				if err != nil {
					return fmt.Errorf("%s, %s, %d at once: %w", s.Name, item.name, item.atOnce, err)
				}
				all.add(key{s.Name, item.name, item.atOnce}, round, sample)
				fmt.Printf("round %d  %-28s %-20s %4d at once %7.3f ms CPU  %6.0f a second\n", round+1, s.Name, item.name, item.atOnce, sample.CPU, sample.Rate)
			}
		}
		all.rounds++
		longest = max(longest, time.Since(began))
	}
}

// turns is the order of the servers: nobody always comes first, nor after the same neighbour.
func turns(up []*target, round, at int) []*target {
	first := (round + at) % len(up)
	order := slices.Concat(up[first:], up[:first])
	if round%2 == 1 {
		slices.Reverse(order)
	}
	return order
}

const (
	// signInsAtOnce is how many users sign in at once, for signInsLast.
	signInsAtOnce = 64
	signInsLast   = 3.0
	// looks is how often it is looked at what is resident meanwhile.
	looks = 50 * time.Millisecond
)

// signIns has many users sign in at once, each time with a new browser, and notes the most that is resident meanwhile.
func (m *machine) signIns(ctx context.Context, up []*target, all *results) error {
	signIn := step{name: "sign-in", do: (*actor).signIn}
	for _, s := range up {
		if !strings.HasPrefix(s.Name, ours+"sqlite") {
			continue
		}
		fmt.Printf("%d sign-ins at once: %s\n", signInsAtOnce, s.Name)
		users, err := strangers(ctx, s, m.installations[s.Name], signInsAtOnce)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		they := &target{Server: s.Server, actors: users}
		one := all.memories[s.Name]
		watching, stop := context.WithCancel(ctx)
		var watcher sync.WaitGroup
		watcher.Go(func() {
			for pause(watching, looks) == nil {
				one.SignIns = max(one.SignIns, s.Proportional())
				one.SignInsResident = max(one.SignInsResident, s.Memory())
			}
		})
		_, err = they.measure(ctx, signIn, signInsAtOnce, signInsLast)
		stop()
		watcher.Wait()
		if err != nil {
			return fmt.Errorf("%s, %d sign-ins at once: %w", s.Name, signInsAtOnce, err)
		}
		all.memories[s.Name] = one
	}
	return nil
}
