// Package doctor checks an installation, and an ingress from outside. A check is a value; who runs it prints what it found.
package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign/internal/buildinfo"
	"countersign/internal/config"
	"countersign/internal/fips"
	"countersign/internal/hsm"
	"countersign/internal/serve"
	"countersign/store"
)

// Outcome is how serious a finding is.
type Outcome string

// The outcomes.
const (
	OK   Outcome = "ok"
	Warn Outcome = "warn"
	Fail Outcome = "FAIL"
)

// Finding is one thing that a check has found.
type Finding struct {
	Outcome Outcome `json:"outcome"`
	// Topic is a word to search for, and Text one line for the operator.
	Topic string `json:"topic"`
	Text  string `json:"text"`
}

// Findings are what a check has found, in its order.
type Findings []Finding

// Failed reports whether something failed.
func (f Findings) Failed() bool {
	return slices.ContainsFunc(f, func(one Finding) bool { return one.Outcome == Fail })
}

func (f *Findings) add(outcome Outcome, topic, format string, arguments ...any) {
	*f = append(*f, Finding{Outcome: outcome, Topic: topic, Text: fmt.Sprintf(format, arguments...)})
}

func (f *Findings) ok(topic, format string, arguments ...any) { f.add(OK, topic, format, arguments...) }
func (f *Findings) warn(topic, format string, arguments ...any) {
	f.add(Warn, topic, format, arguments...)
}
func (f *Findings) fail(topic, format string, arguments ...any) {
	f.add(Fail, topic, format, arguments...)
}

// Check examines one thing and changes nothing.
type Check struct {
	Name string
	// Required ends [Run] when this check fails: those after it would prove nothing.
	Required bool
	// Run returns what it found. An error means that it could not examine.
	Run func(ctx context.Context) (Findings, error)
}

// Run runs checks one after the other and reports each finding as it comes. failed reports whether one failed.
func Run(ctx context.Context, checks []Check, report func(Finding)) (failed bool, err error) {
	for _, check := range checks {
		found, err := check.Run(ctx)
		for _, finding := range found {
			report(finding)
		}
		if err != nil {
			return true, fmt.Errorf("%s: %w", check.Name, err)
		}
		failed = failed || found.Failed()
		if check.Required && found.Failed() {
			return true, nil
		}
	}
	return failed, nil
}

// Named are the checks of an issuer, whose findings begin with its name.
func Named(issuer string, checks []Check) []Check {
	named := slices.Clone(checks)
	for n, check := range checks {
		named[n].Run = func(ctx context.Context) (Findings, error) {
			found, err := check.Run(ctx)
			for i := range found {
				found[i].Text = issuer + ": " + found[i].Text
			}
			return found, err
		}
	}
	return named
}

// Options are what is examined.
type Options struct {
	// Config is the configuration, read without an error from File.
	Config *config.Config
	File   string
	Build  buildinfo.Info
	Now    func() time.Time
	// Further is for an issuer beside that of the main file: its process, and its configuration, were examined with that.
	Further bool
}

// Doctor examines an installation. Checks that come later use what earlier ones have opened.
type Doctor struct {
	Options
	store  store.Store
	tokens hsm.Tokens
	// reached reports whether a token could be listed.
	reached bool
}

// New makes a doctor, who has to be closed.
func New(options Options) *Doctor { return &Doctor{Options: options} }

// Close closes what the checks have opened. Nothing was written, so errors do not matter.
func (d *Doctor) Close() {
	_ = d.tokens.Close()
	if d.store != nil {
		_ = d.store.Close()
	}
}

// Checks are all of them, in their order.
func (d *Doctor) Checks() []Check {
	plain := func(name string, run func() Findings) Check {
		return Check{Name: name, Run: func(context.Context) (Findings, error) { return run(), nil }}
	}
	open := func(name string, run func(context.Context) Findings) Check {
		return Check{Name: name, Run: func(ctx context.Context) (Findings, error) { return run(ctx), nil }}
	}
	process := func(check Check) Check {
		if d.Further {
			return Check{}
		}
		return check
	}
	checks := []Check{
		process(open("config", d.configuration)),
		process(plain("build", d.build)),
		process(plain("clock", d.clock)),
		plain("files", d.files),
		plain("ciba", d.ciba),
		plain("tls", d.certificate),
		plain("mtls", d.clientAuthorities),
		plain("certificates", d.certificates),
		process(plain("limits", d.limits)),
		process(open("port", d.ports)),
		open("issuer", d.issuer),
		open("store", d.openStore),
		open("clients", d.clients),
		open("directories", d.directories),
		open("consents", d.consentSource),
		open("claims", d.claimsSource),
		open("hsm", d.openTokens),
		open("keys", d.keys),
		open("login", d.upstream),
		process(open("metrics", d.collector)),
	}
	return slices.DeleteFunc(checks, func(c Check) bool { return c.Run == nil })
}

// configuration asks what the server asks when it starts.
func (d *Doctor) configuration(ctx context.Context) (f Findings) {
	err := serve.Check(ctx, d.Config, d.Now)
	if lax := d.Config.Laxer(); len(lax) > 0 {
		f.warn("config", "laxer than the defaults: %s", strings.Join(lax, ", "))
	}
	if issuer, listener, differ := d.Config.PortsDiffer(); differ {
		f.warn("config", "listen.address has the port %s and the issuer %s: right only when something on this machine forwards the one to the other", listener, issuer)
	}
	if err == nil {
		f.ok("config", "%s is correct", d.File)
		return f
	}
	for problem := range strings.SplitSeq(err.Error(), "\n") {
		f.fail("config", "%s", problem)
	}
	return f
}

func (d *Doctor) build() (f Findings) {
	switch {
	case d.Build.Cgo:
		f.ok("build", "version %s, with PKCS#11 and crypto11", d.Build.Version)
	case d.Config.Signer.DevelopmentKeyFile != "":
		f.warn("build", "version %s, built without cgo, so without PKCS#11 and crypto11, which development keys do not need", d.Build.Version)
	default:
		f.fail("build", "built without cgo, so without PKCS#11 and crypto11; build it with CGO_ENABLED=1")
	}
	if state := d.Build.FIPS; state.Mode == fips.On || state.Mode == fips.Only {
		f.ok("build", "FIPS 140-3 mode: %s (docs/fips.md)", state)
	}
	if state := d.Build.FIPS; state.Mode != fips.Off && state.Module == "latest" {
		f.warn("build", "FIPS 140-3 mode with the module of the Go release, which is no validated one; build with GOFIPS140=v1.0.0")
	}
	return f
}

// clock looks for a clock that nobody keeps: lifetimes and DPoP depend on it.
func (d *Doctor) clock() (f Findings) {
	synchronised, known := clockSynchronised()
	now := d.Now().UTC().Format(time.RFC3339)
	switch {
	case !known:
		f.warn("clock", "it is %s; whether the clock is kept by NTP cannot be told here", now)
	case !synchronised:
		f.warn("clock", "it is %s, and the clock is not kept by NTP; assertions and DPoP proofs are refused when it drifts by a minute", now)
	default:
		f.ok("clock", "it is %s, kept by NTP", now)
	}
	return f
}
