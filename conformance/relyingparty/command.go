// Package relyingparty proves package rp against the plans for relying parties of a running OpenID conformance suite: the suite plays the
// provider, well-behaved and not, and the client has to take what is right and to refuse the rest.
package relyingparty

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"countersign/conformance/results"
	"countersign/conformance/suite"
)

// options are the command's flags.
type options struct {
	suite               suite.Options
	plans, modules      string
	out, expected       string
	jobs                int
	list                bool
	moduleTime, poll    time.Duration
	wait, clientTimeout time.Duration
}

func parseOptions(arguments []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("conformance rp", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.suite.URL, "suite", "", "base `URL` of the running suite")
	f.StringVar(&o.suite.CA, "suite-ca", "", "`file` with the authority of the suite's certificate; a suite on loopback is pinned to what it shows first")
	f.StringVar(&o.suite.Fingerprint, "suite-self-signed-fingerprint", "", "`SHA-256` of the suite's certificate, in hexadecimal, where no authority vouches for it")
	f.StringVar(&o.suite.TokenEnvironment, "token-env", "CONFORMANCE_TOKEN", "`name` of the environment variable with the suite's API token, if it wants one")
	f.DurationVar(&o.suite.AnswerTime, "answer-time", 150*time.Second, "how long the suite may take over one answer")
	f.DurationVar(&o.suite.Pause, "pause", time.Second, "pause before a request to the suite that failed is tried again; it doubles each time")
	f.StringVar(&o.plans, "plans", defaultPlans, "comma-separated `names` of plans, with * and ?; -list shows them")
	f.StringVar(&o.modules, "modules", "*", "comma-separated `patterns` of the modules to run")
	f.StringVar(&o.out, "out", "reports/conformance-rp", "`folder` for the reports and the generated configurations")
	f.StringVar(&o.expected, "expected", "conformance/relyingparty/expected.json", "`file` with expected results that are not PASSED")
	f.IntVar(&o.jobs, "jobs", 2, "how many plans run at once, each under an alias of its own")
	f.BoolVar(&o.list, "list", false, "list the plans, and those that are not run with the reason, and end")
	f.DurationVar(&o.moduleTime, "module-time", 180*time.Second, "how long a module may take")
	f.DurationVar(&o.poll, "poll", 250*time.Millisecond, "how often a module is asked for its state")
	f.DurationVar(&o.wait, "wait", 5*time.Second, "how long the suite waits for a further request of a client that has to stop, in whole seconds")
	f.DurationVar(&o.clientTimeout, "client-timeout", time.Minute, "how long one exchange of the client with the suite may take")
	if err := f.Parse(arguments); err != nil {
		return o, err
	}
	badPattern := slices.ContainsFunc(strings.Split(o.modules, ","), func(pattern string) bool {
		_, err := path.Match(pattern, "")
		return err != nil
	})
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("%q is not a flag", f.Arg(0))
	case o.list:
	case o.suite.URL == "":
		return o, errors.New("say which suite: -suite https://…")
	case o.jobs < 1:
		return o, errors.New("-jobs must be at least 1")
	case o.wait < time.Second:
		return o, errors.New("-wait must be at least a second")
	case badPattern:
		return o, fmt.Errorf("-modules: %q is not a pattern", o.modules)
	case o.suite.CA != "" && o.suite.Fingerprint != "":
		return o, errors.New("-suite-ca and -suite-self-signed-fingerprint exclude each other")
	}
	o.suite.URL = strings.TrimRight(o.suite.URL, "/")
	return o, nil
}

// Run is the command "conformance rp" with its flags. It returns the exit code: 0 when everything passed or was expected, 1 when something has to be looked
// at, 2 when the run could not begin.
func Run(ctx context.Context, arguments []string, stdout, stderr io.Writer, now func() time.Time) int {
	fail := func(err error) int {
		fmt.Fprintln(stderr, "conformance rp:", err)
		return 2
	}
	o, err := parseOptions(arguments, stderr)
	if err != nil {
		return fail(err)
	}
	if o.list {
		list(stdout)
		return 0
	}
	plans, err := selectPlans(o.plans)
	if err != nil {
		return fail(err)
	}
	expectations, err := results.ReadExpectations(o.expected)
	if err != nil {
		return fail(err)
	}
	var mu sync.Mutex
	progress := func(format string, arguments ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(stdout, format+"\n", arguments...)
	}
	connected, err := suite.Connect(ctx, o.suite, progress)
	if err != nil {
		return fail(err)
	}
	roots := connected.Roots()
	d := driver{roots: roots, browser: newBrowser(trusting(roots)), timeout: o.clientTimeout, now: now, rotation: 31 * time.Second, algorithms: []string{"RS256"}}
	unique := make([]byte, 4)
	if _, err := rand.Read(unique); err != nil {
		return fail(err)
	}
	r := &runner{
		suite: connected, drive: d.drive, unique: hex.EncodeToString(unique), out: o.out, modules: o.modules,
		moduleTime: o.moduleTime, grace: o.wait + 10*time.Second, poll: o.poll, wait: o.wait, random: rand.Reader, now: now, progress: progress,
	}
	progress("%d plans at %s", len(plans), o.suite.URL)
	written := results.Report{Suite: o.suite.URL, Issuer: "package rp", Began: now()}
	written.Outcomes = r.runAll(ctx, plans, o.jobs)
	written.Seconds = now().Sub(written.Began).Seconds()
	written.Problems = results.Judge(written.Outcomes, expectations, o.modules == "*" && ctx.Err() == nil)
	if err := written.Write(o.out); err != nil {
		return fail(fmt.Errorf("the reports could not be written: %w", err))
	}
	progress("%s", strings.TrimRight(written.Tell(), "\n"))
	progress("reports: %s/report.md, report.json, junit.xml", o.out)
	if len(written.Problems) > 0 || len(written.Outcomes) == 0 {
		return 1
	}
	return 0
}

// list shows what is run, and what is not.
func list(w io.Writer) {
	for _, p := range allPlans() {
		fmt.Fprintln(w, p.name)
	}
	fmt.Fprintln(w, "\nNot run:")
	for _, r := range notRun() {
		fmt.Fprintf(w, "%s: %s\n", r.plans, r.why)
	}
}
