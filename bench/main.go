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
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
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
	workers int
	rounds  int
	seconds float64
	write   string
}

func run(ctx context.Context) error {
	var s settings
	flag.StringVar(&s.binary, "binary", "bin/countersign", "the countersign binary")
	flag.StringVar(&s.cache, "cache", "bench/.cache", "where peers are installed")
	flag.StringVar(&s.servers, "servers", "", "only the servers whose names hold one of these words; empty means all: "+strings.Join(names(), ", "))
	flag.IntVar(&s.workers, "workers", 32, "how many clients at once")
	flag.IntVar(&s.rounds, "rounds", 3, "how often each step is measured; the servers take turns")
	flag.Float64Var(&s.seconds, "seconds", 5, "how long one measurement takes")
	flag.StringVar(&s.write, "write", "", "write the page and its picture into this folder")
	flag.Parse()
	folder, err := os.MkdirTemp("", "countersign-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	m := machine{settings: s, folder: folder, peers: filepath.Join("bench", "peers")}
	results, err := m.measureAll(ctx)
	if err != nil {
		return err
	}
	fmt.Println(results.text())
	if s.write == "" {
		return nil
	}
	return errors.Join(
		writeBetween(filepath.Join(s.write, "performance.md"), results.markdown()),
		os.WriteFile(filepath.Join(s.write, "performance.svg"), []byte(results.picture()), 0o644))
}

// variant is a server that can be measured.
type variant struct {
	name  string
	start func(context.Context, *machine) (*server, error)
}

func variants() []variant {
	return []variant{
		{"countersign sqlite PS256", countersign("sqlite", "PS256")},
		{"countersign sqlite ES256", countersign("sqlite", "ES256")},
		{"countersign postgres PS256", countersign("postgres", "PS256")},
		{"countersign postgres ES256", countersign("postgres", "ES256")},
		{reference, startNode},
		{"keycloak PS256", startKeycloak},
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

// machine is one run.
type machine struct {
	settings
	folder string
	peers  string
	ports  int
}

// port gives a port that this run has not used yet.
func (m *machine) port() int {
	m.ports++
	return 21800 + m.ports
}

// measureAll starts the servers and measures them in turns, so that all meet the same machine.
func (m *machine) measureAll(ctx context.Context) (*results, error) {
	var up []*server
	defer func() {
		for _, s := range up {
			s.stop()
		}
	}()
	wanted := strings.Fields(m.servers)
	for _, v := range variants() {
		if len(wanted) > 0 && !slices.ContainsFunc(wanted, func(w string) bool { return strings.Contains(v.name, w) }) {
			continue
		}
		fmt.Printf("starting %s\n", v.name)
		s, err := v.start(ctx, m)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", v.name, err)
		}
		s.name = v.name
		up = append(up, s)
		if err := s.prepare(ctx, m.workers); err != nil {
			return nil, fmt.Errorf("%s: %w", v.name, err)
		}
	}
	all := &results{workers: m.workers, rounds: m.rounds}
	for round := range m.rounds {
		for _, step := range steps() {
			for _, s := range up {
				sample, err := s.measure(ctx, step, m.seconds)
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", s.name, step.name, err)
				}
				all.add(s.name, step.name, sample)
				fmt.Printf("round %d  %-28s %-20s %7.3f ms CPU  %6.0f a second\n", round+1, s.name, step.name, sample.cpu, sample.rate)
			}
		}
	}
	return all, nil
}
