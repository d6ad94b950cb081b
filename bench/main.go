// Command bench measures what a protocol step costs a server: Countersign, in its variants, beside other authorization
// servers, all driven by one load generator in one run.
//
// What is compared is CPU time, of every process that serves: the server, its PKCS#11 worker, PostgreSQL. Wall-clock
// times depend on how busy the machine is; they are printed, and nothing is concluded from them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"countersign/bench/servers"
)

func main() {
	ctx, stop := servers.Interruptible()
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// settings are the flags.
type settings struct {
	binary  string
	cache   string
	servers string
	steps   string
	workers int
	rounds  int
	seconds float64
	write   string
	samples string
	// growth is how many grants two databases have on which the same is measured, and growthData where they are kept.
	growth     string
	growthData string
	growthLoad bool
}

func run(ctx context.Context) (err error) {
	var s settings
	flag.StringVar(&s.binary, "binary", "bin/countersign", "the countersign binary")
	flag.StringVar(&s.cache, "cache", "bench/.cache", "where peers are installed")
	flag.StringVar(&s.servers, "servers", "", "only the servers whose names hold one of these words; empty means all: "+strings.Join(names(), ", "))
	flag.StringVar(&s.steps, "steps", "", "only the steps with these names; empty means all")
	flag.IntVar(&s.workers, "workers", 32, "how many clients at once")
	flag.IntVar(&s.rounds, "rounds", 5, "how often each step is measured; the servers take turns")
	flag.Float64Var(&s.seconds, "seconds", 5, "how long one measurement takes")
	flag.StringVar(&s.write, "write", "", "write the page and its picture into this folder")
	flag.StringVar(&s.samples, "samples", "", "write every measurement into this file, as JSON")
	flag.StringVar(&s.growth, "growth", "", "measure one server on two PostgreSQL databases with so many grants in them, such as 10000,10000000")
	flag.StringVar(&s.growthData, "growth-data", "", "where these databases are kept for the next time; without it they are made anew and removed")
	flag.BoolVar(&s.growthLoad, "growth-load", false, "make these databases and measure nothing")
	flag.Parse()
	folder, err := os.MkdirTemp("", "countersign-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	m := machine{settings: s, Lab: &servers.Lab{
		Binary: s.binary, Cache: s.cache, Peers: filepath.Join("bench", "peers"), Folder: folder,
	}}
	if s.growth != "" {
		if m.growthData == "" {
			if s.growthLoad {
				return errors.New("-growth-load makes databases to be kept: say where, with -growth-data")
			}
			m.growthData = filepath.Join(folder, "growth")
			if err := os.Chmod(folder, 0o711); err != nil { // PostgreSQL may run as a user of its own
				return err
			}
		}
		return m.tellGrowth(ctx)
	}
	results, err := m.measureAll(ctx)
	if err != nil {
		return err
	}
	fmt.Println(results.text())
	if s.samples != "" {
		if err := results.save(s.samples); err != nil {
			return err
		}
	}
	if s.write == "" {
		return nil
	}
	return errors.Join(
		writeBetween(filepath.Join(s.write, "performance.md"), begin, end, results.markdown()),
		os.WriteFile(filepath.Join(s.write, "performance.svg"), []byte(results.picture()), 0o644))
}

// variant is a server that can be measured.
type variant struct {
	name string
	// alg is that of its tokens.
	alg   string
	start func(context.Context, *machine, *servers.Server) error
}

func variants() []variant {
	return []variant{
		{"countersign sqlite PS256", "PS256", countersign(servers.Options{})},
		{"countersign sqlite ES256", "ES256", countersign(servers.Options{})},
		{"countersign postgres PS256", "PS256", countersign(servers.Options{Postgres: true})},
		{"countersign postgres ES256", "ES256", countersign(servers.Options{Postgres: true})},
		{reference, "PS256", func(ctx context.Context, m *machine, s *servers.Server) error { return m.NodeOIDCProvider(ctx, s) }},
		{"keycloak PS256", "PS256", func(ctx context.Context, m *machine, s *servers.Server) error { return m.Keycloak(ctx, s) }},
	}
}

// reference is what the ratios are against: the peer's flow with PS256 tokens, in memory.
const reference = "node-oidc-provider PS256"

func names() []string {
	var all []string
	for _, v := range variants() {
		all = append(all, v.name)
	}
	return all
}

// countersign starts the binary that ships.
func countersign(o servers.Options) func(context.Context, *machine, *servers.Server) error {
	return func(ctx context.Context, m *machine, s *servers.Server) error {
		_, err := m.Countersign(ctx, s, o)
		return err
	}
}

// machine is one run.
type machine struct {
	settings
	*servers.Lab
}

// chosen are the steps that are measured.
func (m *machine) chosen() []step {
	named := strings.Fields(m.steps)
	return slices.DeleteFunc(steps(), func(s step) bool { return len(named) > 0 && !slices.Contains(named, s.name) })
}

// measureAll starts the servers and measures them in turns, so that all meet the same machine.
func (m *machine) measureAll(ctx context.Context) (*results, error) {
	var up []*target
	all := &results{workers: m.workers, rounds: m.rounds, processors: runtime.NumCPU()}
	defer func() {
		for _, s := range up {
			s.Close()
		}
	}()
	wanted := strings.Fields(m.servers)
	for _, v := range variants() {
		if len(wanted) > 0 && !slices.ContainsFunc(wanted, func(w string) bool { return strings.Contains(v.name, w) }) {
			continue
		}
		fmt.Printf("starting %s\n", v.name)
		s := &target{Server: &servers.Server{Name: v.name, Alg: v.alg}}
		up = append(up, s)
		all.servers = append(all.servers, v.name)
		if err := v.start(ctx, m, s.Server); err != nil {
			return nil, fmt.Errorf("%s: %w", v.name, err)
		}
		if err := s.prepare(ctx, m.workers); err != nil {
			return nil, fmt.Errorf("%s: %w", v.name, err)
		}
	}
	for _, s := range up {
		fmt.Printf("warming %s\n", s.Name)
		if err := s.warm(ctx, m.chosen(), m.seconds); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	for round := range m.rounds {
		slices.Reverse(up) // nobody always comes after the same neighbour
		for _, step := range m.chosen() {
			for _, s := range up {
				sample, err := s.measure(ctx, step, m.seconds)
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", s.Name, step.name, err)
				}
				all.add(s.Name, step.name, sample)
				fmt.Printf("round %d  %-28s %-20s %7.3f ms CPU  %6.0f a second\n", round+1, s.Name, step.name, sample.CPU, sample.Rate)
			}
		}
	}
	return all, nil
}
