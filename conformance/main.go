// Command conformance proves a running authorization server against a running OpenID conformance suite, both by URL.
//
// It makes the plans' clients, keys and certificates, registers them with a command, writes the plans'
// configurations, runs the plans side by side, and reports. It imports nothing of the server's code and judges the
// binary that ships.
package main

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

// options are the command's flags.
type options struct {
	suite, suiteCA, tokenEnvironment     string
	plans, modules                       string
	server, ca, resource, mtlsResource   string
	register, start                      string
	user, passwordFile                   string
	clientCACertificate, clientCAKey     string
	out, expected                        string
	parallel                             int
	list                                 bool
	moduleTime, pollInterval, answerTime time.Duration
}

func parseOptions(arguments []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("conformance", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.suite, "suite", "", "base `URL` of the running suite")
	f.StringVar(&o.suiteCA, "suite-ca", "", "`file` with the authority of the suite's certificate; a suite on loopback is pinned to what it shows first")
	f.StringVar(&o.tokenEnvironment, "token-env", "CONFORMANCE_TOKEN", "`name` of the environment variable with the suite's API token, if it wants one")
	f.StringVar(&o.plans, "plans", "", "comma-separated `names` of plans, with * and ?; -list shows them (default "+defaultPlans+")")
	f.StringVar(&o.modules, "modules", "*", "`pattern` of the modules to run")
	f.StringVar(&o.server, "server", "https://localhost:8443", "issuer `URL` of the server")
	f.StringVar(&o.ca, "ca", "local/tls/ca.crt", "`file` with the authority of the server's certificate; empty for the system's")
	f.StringVar(&o.resource, "resource", "", "`URL` of a protected resource (default: /accounts of the issuer)")
	f.StringVar(&o.mtlsResource, "mtls-resource", "", "`URL` of the same where certificates are asked for (default: /accounts beside the mTLS token endpoint)")
	f.StringVar(&o.register, "register", "bin/countersign clients add {id} --replace --file {file}", "`command` that registers a client from its metadata")
	f.StringVar(&o.start, "start", "", "`command` that starts the server when it does not answer; it is stopped at the end")
	f.StringVar(&o.user, "user", "alice", "`name` that the suite's browser signs in with")
	f.StringVar(&o.passwordFile, "password-file", "local/demo/password", "`file` with the password")
	f.StringVar(&o.clientCACertificate, "client-ca-cert", "local/tls/client-ca.crt", "`file` with an authority that the server trusts for client certificates")
	f.StringVar(&o.clientCAKey, "client-ca-key", "local/tls/client-ca.key", "`file` with its key")
	f.StringVar(&o.out, "out", "reports/conformance", "`folder` for the reports and for what was generated (with private keys)")
	f.StringVar(&o.expected, "expected", "conformance/expected.json", "`file` with the results other than PASSED that are expected, each with its reason")
	f.IntVar(&o.parallel, "parallel", 4, "how many plans run at once")
	f.BoolVar(&o.list, "list", false, "list the plans and end")
	f.DurationVar(&o.moduleTime, "module-time", 180*time.Second, "how long a module may take")
	f.DurationVar(&o.pollInterval, "poll", 500*time.Millisecond, "how often a module is asked for its state")
	f.DurationVar(&o.answerTime, "answer-time", 150*time.Second, "how long the suite may take over one answer")
	if err := f.Parse(arguments); err != nil {
		return o, err
	}
	switch {
	case o.list:
	case o.suite == "":
		return o, fmt.Errorf("say which suite: -suite https://…")
	case o.parallel < 1:
		return o, fmt.Errorf("-parallel must be at least 1")
	}
	o.suite, o.server = strings.TrimRight(o.suite, "/"), strings.TrimRight(o.server, "/")
	return o, nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit code: 0 when everything passed or was expected, 1 when something has to be looked at, 2 when
// the run could not begin.
func run(ctx context.Context, arguments []string, stdout, stderr io.Writer) int {
	o, err := parseOptions(arguments, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "conformance:", err)
		return 2
	}
	if o.list {
		for _, p := range allPlans() {
			fmt.Fprintln(stdout, p.name)
		}
		return 0
	}
	plans, err := selectPlans(o.plans)
	if err != nil {
		fmt.Fprintln(stderr, "conformance:", err)
		return 2
	}
	expectations, err := readExpectations(o.expected)
	if err != nil {
		fmt.Fprintln(stderr, "conformance:", err)
		return 2
	}
	var mu sync.Mutex
	progress := func(format string, arguments ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(stdout, format+"\n", arguments...)
	}
	r, stopServer, err := prepare(ctx, o, progress)
	if err != nil {
		fmt.Fprintln(stderr, "conformance:", err)
		return 2
	}
	defer stopServer()
	progress("%d plans at %s", len(plans), o.suite)
	began := time.Now()
	written := report{Suite: o.suite, Issuer: o.server, Began: began}
	written.Outcomes = r.runAll(ctx, plans, o.parallel)
	written.Seconds = time.Since(began).Seconds()
	written.Problems = judge(written.Outcomes, expectations, o.modules == "*" && ctx.Err() == nil)
	if err := written.write(o.out); err != nil {
		fmt.Fprintln(stderr, "conformance: the reports could not be written:", err)
		return 2
	}
	for _, problem := range written.Problems {
		progress("%s", problem)
	}
	progress("%s", written.summary())
	progress("reports: %s/report.md, report.json, junit.xml", o.out)
	if len(written.Problems) > 0 || len(written.Outcomes) == 0 {
		return 1
	}
	return 0
}

// prepare checks everything that a run needs, with a clear line for what is missing.
func prepare(ctx context.Context, o options, progress func(string, ...any)) (*runner, func(), error) {
	client, err := suiteClient(ctx, o, progress)
	if err != nil {
		return nil, nil, err
	}
	tested, stopServer, err := findServer(ctx, o, progress)
	if err != nil {
		return nil, nil, err
	}
	ca, err := readAuthority(o.clientCACertificate, o.clientCAKey)
	if err != nil {
		stopServer()
		return nil, nil, err
	}
	password, err := os.ReadFile(o.passwordFile)
	if err != nil {
		stopServer()
		return nil, nil, fmt.Errorf("-password-file: %w", err)
	}
	tested.username, tested.password = o.user, strings.TrimSpace(string(password))
	return &runner{
		suite: client, server: tested, ca: ca, register: strings.Fields(o.register), out: o.out, modules: o.modules,
		moduleTime: o.moduleTime, poll: o.pollInterval, random: rand.Reader, now: time.Now, progress: progress,
	}, stopServer, nil
}
