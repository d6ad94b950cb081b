// Command bench measures what a protocol step costs a server: Countersign, in its variants, beside other authorization
// servers and beside the least that such a server can do (bench/floor), all driven by one load generator in one run.
//
// What is compared is CPU time, of every process that serves: the server, its PKCS#11 worker, PostgreSQL. Wall-clock
// times depend on how busy the machine is; they are printed, and nothing is concluded from them.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"countersign/bench/floor"
	"countersign/bench/measure"
	"countersign/bench/servers"
)

func main() {
	if code, ok := floor.Child(os.Args); ok {
		os.Exit(code)
	}
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
	atOnce  string
	workers int
	rounds  int
	seconds float64
	// lasts is how long the whole run may take, and settle how long it waits for a quiet machine.
	lasts, settle time.Duration
	write         string
	samples       string
	// growth is how many of growthOf two databases have on which the same is measured, growthStore of which kind they are,
	// and growthData where those of PostgreSQL are kept.
	growth      string
	growthOf    string
	growthStore string
	growthData  string
	growthLoad  bool
}

func (s *settings) define(flags *flag.FlagSet) {
	flags.StringVar(&s.binary, "binary", "bin/countersign", "the countersign binary")
	flags.StringVar(&s.cache, "cache", "bench/.cache", "where peers are installed")
	flags.StringVar(&s.servers, "servers", "", "only the servers whose names hold one of these words; empty means all: "+strings.Join(names(), ", "))
	flags.StringVar(&s.steps, "steps", "", "only the steps with these names; empty means all")
	flags.StringVar(&s.atOnce, "at-once", "1 8 128", "with how many clients at once a flow is measured beside -workers")
	flags.IntVar(&s.workers, "workers", 32, "how many clients at once")
	flags.IntVar(&s.rounds, "rounds", 0, "how often each step is measured; 0 means as often as -for leaves time for, 3 at least")
	flags.Float64Var(&s.seconds, "seconds", 1, "how long one slice takes")
	flags.DurationVar(&s.lasts, "for", 11*time.Minute+30*time.Second, "how long the whole run may take")
	flags.DurationVar(&s.settle, "settle", 4*time.Minute, "with -write: how long to wait for a machine that is not quiet yet")
	flags.StringVar(&s.write, "write", "", "write the page and its picture into this folder; only on a quiet machine")
	flags.StringVar(&s.samples, "samples", "", "write every measurement into this file, as JSON")
	flags.StringVar(&s.growth, "growth", "", "measure one server on two databases with so many grants in them, such as 10000,10000000")
	flags.StringVar(&s.growthOf, "growth-of", "grants", "what there are so many of: "+strings.Join(kindNames(), ", "))
	flags.StringVar(&s.growthStore, "growth-store", "postgres", "the kind of these databases: postgres or sqlite")
	flags.StringVar(&s.growthData, "growth-data", "", "where databases of PostgreSQL are kept for the next time; without it they are made anew and removed")
	flags.BoolVar(&s.growthLoad, "growth-load", false, "make these databases and measure nothing")
}

func run(ctx context.Context) (err error) {
	var s settings
	s.define(flag.CommandLine)
	flag.Parse()
	folder, err := os.MkdirTemp("", "countersign-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	m := machine{settings: s, installations: map[string]*servers.Installation{}, Lab: &servers.Lab{
		Binary: s.binary, Cache: s.cache, Peers: filepath.Join("bench", "peers"), Folder: folder,
	}}
	watch, err := measure.ThisMachine().Watch(ctx, m.write != "", m.settle, os.Stdout)
	if err != nil {
		return err
	}
	m.began = time.Now()
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
		return m.tellGrowth(ctx, watch)
	}
	results, err := m.measureAll(ctx)
	if err != nil {
		return err
	}
	said, noise := watch()
	results.noise = said
	fmt.Println(results.text())
	if s.samples != "" {
		if err := results.save(s.samples); err != nil {
			return err
		}
	}
	if s.write == "" {
		return nil
	}
	if err := errors.Join(noise, results.trusted()); err != nil {
		return fmt.Errorf("nothing is written: %w", err)
	}
	return errors.Join(
		measure.WritePage(filepath.Join(s.write, "performance.md"), page, measured, results.markdown()),
		os.WriteFile(filepath.Join(s.write, "performance.svg"), []byte(results.picture()), 0o644))
}

//go:embed pages/performance.md
var page string

// measured is the part of a page that is measured.
const measured = "measured"

// variant is a server that can be measured.
type variant struct {
	name string
	// alg is that of its tokens.
	alg string
	// seldom is for a server that is beside the others for comparison only: it is measured in every fourth round, with
	// -workers clients.
	seldom bool
	start  func(context.Context, *machine, *servers.Server) error
	// missing says why it cannot be measured on this machine, and is nil for what always can.
	missing func() error
}

func variants() []variant {
	return []variant{
		{"countersign sqlite PS256", "PS256", false, countersign(servers.Options{}), nil},
		{"countersign sqlite ES256", "ES256", false, countersign(servers.Options{}), nil},
		{"countersign postgres PS256", "PS256", false, countersign(servers.Options{Postgres: true}), nil},
		{"countersign postgres ES256", "ES256", false, countersign(servers.Options{Postgres: true}), nil},
		{cryptoki, "PS256", false, withOpenCryptoki(), servers.NoCryptoki},
		{reference, "PS256", false, func(ctx context.Context, m *machine, s *servers.Server) error { return m.NodeOIDCProvider(ctx, s) }, nil},
		{floorName("PS256"), "PS256", false, theFloor(), nil},
		{floorName("ES256"), "ES256", false, theFloor(), nil},
		{unsigned, "ES256", false, theFloor(floor.Unsigned), nil},
		{"keycloak PS256", "PS256", true, func(ctx context.Context, m *machine, s *servers.Server) error { return m.Keycloak(ctx, s) }, nil},
	}
}

const (
	// reference is what the ratios are against: the peer's flow with PS256 tokens, in memory.
	reference = "node-oidc-provider PS256"
	// unsigned is the floor with signatures that are none.
	unsigned = "floor without token"
	ours     = "countersign "
	// cryptoki is the server whose PS256 key is in opencryptoki, which takes half of SoftHSM2's time.
	cryptoki = ours + "sqlite PS256 with opencryptoki"
)

func floorName(alg string) string { return "floor " + alg }

func names() []string {
	var all []string
	for _, v := range variants() {
		all = append(all, v.name)
	}
	return all
}

// countersign starts the binary that ships. Each server has a copy of its own: pages that several share would count as a
// part only of the memory of each.
func countersign(o servers.Options) func(context.Context, *machine, *servers.Server) error {
	return func(ctx context.Context, m *machine, s *servers.Server) error {
		raw, err := os.ReadFile(m.Binary)
		if err != nil {
			return err
		}
		lab := *m.Lab
		lab.Binary = filepath.Join(m.Folder, strings.ReplaceAll(s.Name, " ", "-"))
		if err := os.WriteFile(lab.Binary, raw, 0o755); err != nil {
			return err
		}
		m.installations[s.Name], err = lab.Countersign(ctx, s, o)
		return err
	}
}

// withOpenCryptoki starts the binary that ships with one key, in opencryptoki's software token.
func withOpenCryptoki() func(context.Context, *machine, *servers.Server) error {
	return func(ctx context.Context, m *machine, s *servers.Server) error {
		token, err := m.NewCryptoki(ctx)
		if err != nil {
			return err
		}
		s.OwnCryptoki(token)
		return countersign(servers.Options{Fill: func(ctx context.Context, i *servers.Installation) error {
			if err := i.UseCryptoki(token); err != nil {
				return err
			}
			file, err := databaseOf(i)
			if err != nil {
				return err
			}
			if _, err := shell(ctx, file, "DELETE FROM keys;"); err != nil {
				return err
			}
			_, err = i.Run(ctx, "keys", "generate", "--alg", "PS256", "--activate")
			return err
		}})(ctx, m, s)
	}
}

// theFloor starts this program as the floor server.
func theFloor(environment ...string) func(context.Context, *machine, *servers.Server) error {
	return func(ctx context.Context, m *machine, s *servers.Server) error {
		program, err := os.Executable()
		if err != nil {
			return err
		}
		return m.Floor(ctx, s, program, floor.Command, environment...)
	}
}

// machine is one run.
type machine struct {
	settings
	began time.Time
	*servers.Lab
	// installations are those of Countersign, by the server's name.
	installations map[string]*servers.Installation
}

// chosen are the steps that are measured.
func (m *machine) chosen() []step {
	named := strings.Fields(m.steps)
	return slices.DeleteFunc(steps(), func(s step) bool { return len(named) > 0 && !slices.Contains(named, s.name) })
}

// wanted are the servers that are measured.
func (m *machine) wanted() []variant {
	words := strings.Fields(m.servers)
	return slices.DeleteFunc(variants(), func(v variant) bool {
		if v.missing != nil && v.missing() != nil {
			return true
		}
		return len(words) > 0 && !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(v.name, w) })
	})
}

func newResults(workers int) *results {
	return &results{workers: workers, processors: runtime.NumCPU(), samples: map[key]map[int]sample{}, memories: map[string]memory{}}
}
