// Command conformance proves a running authorization server against a running OpenID conformance suite, both by URL. With "rp" as its
// first argument it proves package rp against the suite's plans for relying parties: see package relyingparty.
//
// It makes the plans' clients, keys and certificates, registers them with a command, writes the plans'
// configurations, runs the plans side by side, and reports. It imports nothing of the server's code and judges the
// binary that ships.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"countersign/conformance/relyingparty"
	"countersign/conformance/results"
	"countersign/conformance/suite"
)

// options are the command's flags.
type options struct {
	suite, suiteCA, suiteFingerprint     string
	tokenEnvironment                     string
	plans, modules                       string
	server, ca, resource, mtlsResource   string
	ingress, login                       string
	register, start, prepare             string
	config, ecosystemConfig              string
	consents, cpf, directory             string
	organisation                         string
	initialToken, approval, deviceCode   string
	deviceACR                            string
	outboundCA                           string
	user, passwordFile                   string
	clientCACertificate, clientCAKey     string
	out, expected                        string
	jobs                                 int
	list                                 bool
	moduleTime, pollInterval, answerTime time.Duration
	pause                                time.Duration
}

func parseOptions(arguments []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("conformance", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.suite, "suite", "", "base `URL` of the running suite")
	f.StringVar(&o.suiteCA, "suite-ca", "", "`file` with the authority of the suite's certificate; a suite on loopback is pinned to what it shows first")
	f.StringVar(&o.suiteFingerprint, "suite-self-signed-fingerprint", "", "`SHA-256` of the suite's certificate, in hexadecimal, where no authority vouches for it")
	f.StringVar(&o.tokenEnvironment, "token-env", "CONFORMANCE_TOKEN", "`name` of the environment variable with the suite's API token, if it wants one")
	f.StringVar(&o.plans, "plans", "", "comma-separated `names` of plans, with * and ?; -list shows them (default "+defaultPlans+")")
	f.StringVar(&o.modules, "modules", "*", "comma-separated `patterns` of the modules to run")
	f.StringVar(&o.server, "server", "https://localhost:8443", "issuer `URL` of the server")
	f.StringVar(&o.ca, "ca", "local/tls/ca.crt", "`file` with the authority of the server's certificate; empty for the system's")
	f.StringVar(&o.ingress, "ingress", "", "`URL` that mtls_endpoint_aliases have to lead to, for a server whose clients with certificates come through an ingress")
	f.StringVar(&o.login, "login", "", "`URL` of a login of the operator's own, which the server hands sign-in and consent to; its pages have the ids of the built-in ones")
	f.StringVar(&o.resource, "resource", "", "`URL` of a protected resource (default: /accounts of the issuer)")
	f.StringVar(&o.mtlsResource, "mtls-resource", "", "`URL` of the same where certificates are asked for (default: /accounts beside the mTLS token endpoint)")
	f.StringVar(&o.register, "register", "bin/countersign clients add {id} --replace --file {file} --config {config}", "`command` that registers a client from its metadata")
	f.StringVar(&o.initialToken, "initial-token", "bin/countersign clients tokens add {organisation} --clients 500 --for 6h --profile {profile} --replace --config {config}", "`command` that prints an initial access token, for plans in which the suite registers the clients")
	f.StringVar(&o.approval, "ciba-approval", "", "`URL` at which a user's answer to a backchannel request is had; the suite replaces {auth_req_id} and {action}, which is allow or deny (default: a device of the user that is enrolled for the run)")
	f.StringVar(&o.deviceACR, "device-acr", "", "authentication context `class` in which the device answers; the first of acr_values_supported by default")
	f.StringVar(&o.deviceCode, "device-code", "bin/countersign devices add {user} --level passkey --config {config}", "`command` that prints a one-time code with which a device of the user is enrolled")
	f.StringVar(&o.outboundCA, "outbound-ca", "local/tls/outbound.crt", "`file` with what the server trusts when it notifies clients; the certificate of a suite on loopback is added to it before the server is started")
	f.StringVar(&o.config, "config", "local/countersign.toml", "`file` with the server's configuration, which takes the place of {config} in the commands")
	f.StringVar(&o.ecosystemConfig, "ecosystem-config", "local/countersign.{ecosystem}.toml", "`file` with the server's configuration for the plans of an ecosystem, which are run apart")
	f.StringVar(&o.prepare, "prepare", "bin/for-ecosystem -base {base} -ecosystem {ecosystem} -profiles {profiles} -user {user} -cpf {cpf} -organisation {organisation} -write {config}", "`command` that writes this configuration before the server is started")
	f.StringVar(&o.consents, "consents", "server", "who keeps the consents of ecosystems: server, or bank, the stand-in of this command")
	f.StringVar(&o.directory, "directory", "", "`address` on which a stand-in serves the directory that plans about payments and registration in Brazil reach by fixed names, which the hosts file has to lead there: 127.0.0.1:443")
	f.StringVar(&o.organisation, "organisation", "74e929d9-33b6-4d85-8ba7-c146c867a817", "`UUID` of the bank in the directory of its ecosystem, which signs answers in Brazil")
	f.StringVar(&o.cpf, "cpf", "76109277673", "`number` (CPF) of the user, for whom consents of Brazil are")
	f.StringVar(&o.start, "start", "", "`command` that starts the server when it does not answer; it is stopped at the end")
	f.StringVar(&o.user, "user", "alice", "`name` that the suite's browser signs in with")
	f.StringVar(&o.passwordFile, "password-file", "local/demo/password", "`file` with the password")
	f.StringVar(&o.clientCACertificate, "client-ca-cert", "local/tls/client-ca.crt", "`file` with an authority that the server trusts for client certificates")
	f.StringVar(&o.clientCAKey, "client-ca-key", "local/tls/client-ca.key", "`file` with its key")
	f.StringVar(&o.out, "out", "reports/conformance", "`folder` for the reports and for what was generated (with private keys)")
	f.StringVar(&o.expected, "expected", "conformance/expected.json", "`file` with the results other than PASSED that are expected, each with its reason")
	f.IntVar(&o.jobs, "jobs", 4, "how many plans run at once, each under an alias of its own")
	f.BoolVar(&o.list, "list", false, "list the plans and end")
	f.DurationVar(&o.moduleTime, "module-time", 180*time.Second, "how long a module may take")
	f.DurationVar(&o.pollInterval, "poll", 500*time.Millisecond, "how often a module is asked for its state")
	f.DurationVar(&o.answerTime, "answer-time", 150*time.Second, "how long the suite may take over one answer")
	f.DurationVar(&o.pause, "pause", time.Second, "pause before a request to the suite that failed is tried again; it doubles each time")
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
	case o.suite == "":
		return o, errors.New("say which suite: -suite https://…")
	case o.jobs < 1:
		return o, errors.New("-jobs must be at least 1")
	case badPattern:
		return o, fmt.Errorf("-modules: %q is not a pattern", o.modules)
	case o.suiteCA != "" && o.suiteFingerprint != "":
		return o, errors.New("-suite-ca and -suite-self-signed-fingerprint exclude each other")
	case o.consents != "server" && o.consents != "bank":
		return o, fmt.Errorf("-consents: %q is neither server nor bank", o.consents)
	case strings.TrimSpace(o.register) == "":
		return o, errors.New("-register: there is no command")
	case strings.TrimSpace(o.initialToken) == "":
		return o, errors.New("-initial-token: there is no command")
	}
	o.suite, o.server = strings.TrimRight(o.suite, "/"), strings.TrimRight(o.server, "/")
	o.ingress, o.login = strings.TrimRight(o.ingress, "/"), strings.TrimRight(o.login, "/")
	return o, nil
}

// reach is how the suite is reached.
func (o options) reach() suite.Options {
	return suite.Options{
		URL: o.suite, CA: o.suiteCA, Fingerprint: o.suiteFingerprint, TokenEnvironment: o.tokenEnvironment, AnswerTime: o.answerTime, Pause: o.pause,
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal ends the run with reports of what was done; the second one ends the program.
	context.AfterFunc(ctx, stop)
	if len(os.Args) > 1 && os.Args[1] == "rp" {
		os.Exit(relyingparty.Run(ctx, os.Args[2:], os.Stdout, os.Stderr, time.Now))
	}
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
	expectations, err := results.ReadExpectations(o.expected)
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
	connected, err := suite.Connect(ctx, o.reach(), progress)
	if err != nil {
		fmt.Fprintln(stderr, "conformance:", err)
		return 2
	}
	groups := deployments(plans)
	progress("%d plans at %s", len(plans), o.suite)
	began := time.Now()
	written := results.Report{Suite: o.suite, Issuer: o.server, Ingress: o.ingress, Login: o.login, Began: began}
	for _, d := range groups {
		outcomes, err := d.run(ctx, o, connected, progress)
		if err != nil && len(groups) == 1 {
			fmt.Fprintln(stderr, "conformance:", err)
			return 2
		}
		if err != nil {
			progress("%s: %v", d.ecosystem, err)
			outcomes = d.without(err)
		}
		written.Outcomes = append(written.Outcomes, outcomes...)
	}
	written.Seconds = time.Since(began).Seconds()
	written.Problems = results.Judge(written.Outcomes, expectations, o.modules == "*" && ctx.Err() == nil)
	if err := written.Write(o.out); err != nil {
		fmt.Fprintln(stderr, "conformance: the reports could not be written:", err)
		return 2
	}
	progress("%s", strings.TrimRight(written.Tell(), "\n"))
	progress("reports: %s/report.md, report.json, junit.xml", o.out)
	if len(written.Problems) > 0 || len(written.Outcomes) == 0 {
		return 1
	}
	return 0
}

// run runs the plans of a deployment.
func (d deployment) run(ctx context.Context, o options, connected *suite.Client, progress func(string, ...any)) ([]results.Outcome, error) {
	if d.ecosystem != "" && o.start != "" && !strings.Contains(o.start, "{config}") {
		return nil, fmt.Errorf("-start: {config} is missing: the plans of %s need a server with a configuration of their own", d.ecosystem)
	}
	o = d.on(o)
	r, stop, err := prepare(ctx, o, d, connected, progress)
	if err != nil {
		return nil, err
	}
	defer stop()
	return r.runAll(ctx, d.plans, o.jobs), nil
}

// without is the outcome of plans that could not be begun.
func (d deployment) without(err error) []results.Outcome {
	var outcomes []results.Outcome
	for _, p := range d.plans {
		outcomes = append(outcomes, results.Outcome{Plan: p.name, Variant: p.variant, Module: "(the plan)", Result: results.Interrupted, Note: err.Error()})
	}
	return outcomes
}

// prepare checks everything that a deployment's plans need, with a clear line for what is missing. What it started is ended by the
// function that it returns, or, with an error, before it returns.
func prepare(ctx context.Context, o options, d deployment, connected *suite.Client, progress func(string, ...any)) (_ *runner, _ func(), err error) {
	var started []func()
	stop := func() {
		for _, end := range slices.Backward(started) {
			end()
		}
	}
	defer func() {
		if err != nil {
			stop()
		}
	}()
	if slices.ContainsFunc(d.plans, plan.notified) {
		if err := trustSuite(ctx, o, progress); err != nil {
			return nil, nil, err
		}
	}
	if err := d.configure(ctx, o); err != nil {
		return nil, nil, err
	}
	opened, err := d.openDirectory(ctx, o, progress)
	if err != nil {
		return nil, nil, err
	}
	if opened != nil {
		started = append(started, opened.Stop)
	}
	bank, err := d.listen(o)
	if err != nil {
		return nil, nil, err
	}
	if bank != nil {
		started = append(started, bank.Stop)
	}
	tested, stopServer, err := findServer(ctx, o, progress)
	if err != nil {
		return nil, nil, err
	}
	started = append(started, stopServer)
	tested.bank, tested.cpf, tested.bankOrganisation = bank, o.cpf, o.organisation
	if o.approval == "" && slices.ContainsFunc(d.plans, plan.backchannel) {
		approval, stopBridge, err := startBridge(ctx, o, tested, progress)
		if err != nil {
			return nil, nil, err
		}
		tested.approval, started = approval, append(started, stopBridge)
	}
	ca, err := readAuthority(o.clientCACertificate, o.clientCAKey)
	if err != nil {
		return nil, nil, err
	}
	password, err := os.ReadFile(o.passwordFile)
	if err != nil {
		return nil, nil, fmt.Errorf("-password-file: %w", err)
	}
	unique := make([]byte, 4)
	if _, err := rand.Read(unique); err != nil {
		return nil, nil, err
	}
	tested.username, tested.password = o.user, strings.TrimSpace(string(password))
	made := &runner{
		suite: connected, server: tested, ca: ca, register: strings.Fields(o.register), tokens: strings.Fields(o.initialToken),
		unique: hex.EncodeToString(unique), offset: d.offset, directory: opened, out: o.out, modules: o.modules,
		moduleTime: o.moduleTime, poll: o.pollInterval, random: rand.Reader, now: time.Now, progress: progress,
	}
	if d.ecosystem != "" {
		if err := made.openBank(ctx, o, d); err != nil {
			return nil, nil, err
		}
	}
	return made, stop, nil
}
