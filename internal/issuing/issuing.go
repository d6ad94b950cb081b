// Package issuing keeps the issuers of one process served: it opens each, leads requests to it, opens again what could not be opened,
// and brings about what is changed in the list of issuers and in their files, without a restart and never half. One that is away, or
// whose new configuration is wrong, keeps none of the others from being served.
package issuing

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"countersign/internal/config"
	"countersign/internal/hosts"
	"countersign/internal/issuers"
	"countersign/internal/oauth"
	"countersign/internal/reread"
	"countersign/store"
)

// Server serves one issuer. It goes through Open, Prepare, Begin, End and Close, in this order.
type Server interface {
	// Open opens what the issuer has. What was opened is closed again when it returns an error.
	Open(ctx context.Context) error
	// Certificate is the TLS certificate of its hosts, from Open on also when that failed for something else; nil without one.
	Certificate() *tls.Certificate
	// Store is what was opened.
	Store() store.Store
	// Prepare makes what answers, and Handler is that on the listener for browsers, or on the one for client certificates.
	Prepare(ctx context.Context) error
	Handler(mutual bool) http.Handler
	// Ready reports whether requests should be sent to this node.
	Ready(ctx context.Context) bool
	// Hung reports that a module hangs in this process, so that only a restart helps; nil when none does.
	Hung() error
	// Begin starts what runs beside the requests, and End ends it and waits until it has.
	Begin(ctx context.Context)
	End()
	// Drain has readiness report not ready.
	Drain()
	// Reload has files read again that have changed; told when somebody says that all is written.
	Reload(ctx context.Context, told bool)
	// Close closes what Open has opened.
	Close(ctx context.Context)
}

// Config is what an [Issuers] needs.
type Config struct {
	// Main is the configuration of the process, from its file.
	Main *config.Config
	// New makes the server of an issuer of the process, with nothing open.
	New func(all *Issuers, one issuers.Issuer, log *slog.Logger) Server
	// Check reports what is wrong with the configurations of issuers, that of the main file first.
	Check func(ctx context.Context, all []issuers.Issuer) error
	Now   func() time.Time
	Log   *slog.Logger
}

// retryIssuer is how often it is tried to open an issuer that could not be opened.
const retryIssuer = 5 * time.Second

// Issuers are the issuers of a process. Make one with [Open].
type Issuers struct {
	Config
	// background ends when the process does, after the requests in flight; stop ends it.
	background context.Context
	stop       context.CancelFunc
	table      *hosts.Table
	watch      *watch
	// wake has what is wanted brought about.
	wake chan struct{}
	// limits are those of the main file.
	limits atomic.Pointer[config.Limits]
	// leaving are the issuers that are drained and closed.
	leaving sync.WaitGroup

	mu sync.Mutex
	// wanted are the configurations, that of the main file first, and known what there is of each, by name.
	wanted []issuers.Issuer
	known  map[string]*issuer
	// refusals are how many changes could not be taken so far, and problem is what is wrong with the files; empty when they are in use.
	refusals int
	problem  string
}

// issuer is one of several.
type issuer struct {
	issuers.Issuer
	log    *slog.Logger
	server Server
	// site is nil where not even the certificate is there.
	site *hosts.Site
	// reason is why it is not open; nil when it is.
	reason error
	// identity is that of the store, and keys are those in it.
	identity []byte
	keys     []store.Key
	// refused is the newer configuration that could not be opened, while this one is served.
	refused issuers.Digest
	// problem is what is wrong with that; empty when there is none.
	problem string
	// takenAt is when this one was put into use, and refusals how many newer ones could not be opened.
	takenAt  time.Time
	refusals int
	// left is closed when it is closed; nil while it is wanted.
	left chan struct{}
}

// Open opens the issuers of a configuration that was checked, those that can be opened. It returns an error when none can.
func Open(ctx context.Context, c Config) (*Issuers, error) {
	all, err := issuers.Load(c.Main)
	if err != nil {
		return nil, c.Main.Refuse(err)
	}
	table, err := hosts.New()
	if err != nil {
		return nil, err
	}
	v := &Issuers{Config: c, table: table, watch: newWatch(c.Main), wake: make(chan struct{}, 1), wanted: all, known: map[string]*issuer{}}
	v.limits.Store(&c.Main.Limits)
	v.background, v.stop = context.WithCancel(context.WithoutCancel(ctx))
	v.bringAbout(ctx)
	if err := v.nothing(); err != nil {
		v.stop()
		return nil, err
	}
	return v, nil
}

// Configs are the configurations of the issuers that are wanted, that of the main file first.
func (v *Issuers) Configs() (all []*config.Config) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, one := range v.wanted {
		all = append(all, one.Config)
	}
	return all
}

// Open is the server of an issuer; nil when it is not open.
func (v *Issuers) Open(name string) Server {
	for _, one := range v.served() {
		if one.Name == name {
			return one.server
		}
	}
	return nil
}

// State is how reading the list of issuers and the file of one of them again went so far.
func (v *Issuers) State(name string) reread.State {
	v.mu.Lock()
	defer v.mu.Unlock()
	state := reread.State{Refused: v.refusals, Problem: v.problem}
	if one := v.known[name]; one != nil {
		state.TakenAt, state.Refused, state.Problem = one.takenAt, v.refusals+one.refusals, cmp.Or(v.problem, one.problem)
	}
	return state
}

// At is the name of the issuer that connections for a server name are for; empty when nobody has it.
func (v *Issuers) At(server string) string { return v.table.Issuer(server) }

// Served says of each issuer that is wanted whether it is open.
func (v *Issuers) Served() map[string]bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := map[string]bool{}
	for _, one := range v.wanted {
		all[one.Name] = v.known[one.Name] != nil && v.known[one.Name].reason == nil
	}
	return all
}

// Hung reports that modules of all issuers hang in this process; nil while that of one does not: a restart takes all with it. An issuer
// that hangs alone is not alive by its own /health/live.
func (v *Issuers) Hung() error {
	var problems []error
	for _, one := range v.served() {
		problem := one.server.Hung()
		if problem == nil {
			return nil
		}
		problems = append(problems, fmt.Errorf("issuer %s: %w", one.Name, problem))
	}
	return errors.Join(problems...)
}

// Names are those of the issuers that are wanted, separated by spaces.
func (v *Issuers) Names() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return names(v.wanted)
}

// Certificate chooses the TLS certificate of a connection; see [hosts.Table.Certificate].
func (v *Issuers) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return v.table.Certificate(hello)
}

// Handler leads requests to the issuers; see [hosts.Table.Handler].
func (v *Issuers) Handler(mutual bool, ingress func() bool) http.Handler {
	return v.table.Handler(mutual, ingress)
}

// names are those of issuers, separated by spaces.
func names(all []issuers.Issuer) string {
	list := make([]string, len(all))
	for i, one := range all {
		list[i] = one.Name
	}
	return strings.Join(list, " ")
}

// nothing is why no issuer at all could be opened; nil when one is open.
func (v *Issuers) nothing() error {
	var problems []error
	for _, one := range v.known {
		if one.reason == nil {
			return nil
		}
		problems = append(problems, fmt.Errorf("issuer %s: %w", one.Name, one.reason))
	}
	return errors.Join(problems...)
}

// Run brings about what is wanted until ctx ends.
func (v *Issuers) Run(ctx context.Context) {
	again := time.NewTicker(retryIssuer)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-v.wake:
		case <-again.C:
		}
		v.bringAbout(ctx)
	}
}

// bringAbout opens what is wanted and is not open, and ends what is not wanted any more. What cannot be opened is tried again the next
// time, and what was served in its place goes on.
func (v *Issuers) bringAbout(ctx context.Context) {
	v.mu.Lock()
	wanted, known := slices.Clone(v.wanted), maps.Clone(v.known)
	v.mu.Unlock()
	for name, have := range known {
		gone := !slices.ContainsFunc(wanted, func(one issuers.Issuer) bool { return one.Name == name })
		if gone && have.left == nil {
			v.leave(have)
		}
	}
	for _, one := range wanted {
		have := known[one.Name]
		if have != nil && have.left != nil {
			select {
			case <-have.left: // what was there before is closed
				have = nil
			default:
				continue // the next time
			}
		}
		if have == nil || have.reason != nil || have.Digest != one.Digest {
			v.change(ctx, have, one)
		}
	}
}

// change opens an issuer, in the place of what is there of it, or nil.
func (v *Issuers) change(ctx context.Context, have *issuer, one issuers.Issuer) {
	made := &issuer{Issuer: one, log: v.Log.With("issuer_name", one.Name)}
	made.server = v.New(v, one, made.log)
	served := have != nil && have.reason == nil
	if made.reason = v.open(ctx, made); made.reason != nil {
		if served && have.refused == one.Digest || !served && have != nil && have.reason.Error() == made.reason.Error() {
			return // as the last time
		}
		made.log.ErrorContext(ctx, "issuer not opened; will be retried", "error", made.reason.Error())
		if served {
			v.mu.Lock()
			defer v.mu.Unlock()
			have.refused, have.problem, have.refusals = one.Digest, made.reason.Error(), have.refusals+1
			return
		}
	}
	made.site = v.siteOf(made)
	v.put(made)
	if served {
		have.server.End() // before another works on the same chain of the audit log
		v.leaving.Go(func() { v.finish(have) })
	}
	if made.reason == nil {
		made.server.Begin(v.background)
	}
}

// open opens an issuer, unless it has something of another's.
func (v *Issuers) open(ctx context.Context, made *issuer) error {
	if err := made.server.Open(ctx); err != nil {
		return err
	}
	err := v.examine(ctx, made)
	if err == nil {
		err = made.server.Prepare(ctx)
	}
	if err != nil {
		made.server.Close(ctx)
	}
	return err
}

// examine refuses an issuer whose store is another's or a copy of it, or that has a key of another's: what the one issued would be
// valid at the other.
func (v *Issuers) examine(ctx context.Context, made *issuer) error {
	fresh := make([]byte, 32)
	rand.Read(fresh) // never fails
	var err error
	if made.identity, err = made.server.Store().Seed(ctx, "store identity", fresh); err != nil {
		return err
	}
	if made.keys, err = made.server.Store().Keys(ctx); err != nil {
		return err
	}
	for _, other := range v.served() {
		if other.Name == made.Name {
			continue
		}
		if bytes.Equal(other.identity, made.identity) {
			return fmt.Errorf("its store is that of the issuer %s, or a copy of it; each needs one of its own", other.Name)
		}
		for _, key := range made.keys {
			if slices.ContainsFunc(other.keys, func(k store.Key) bool { return k.ID == key.ID }) {
				return fmt.Errorf("its key %s is one of the issuer %s too; each needs keys of its own", key.ID, other.Name)
			}
		}
	}
	return nil
}

// siteOf is where an issuer is served, or it is said that it is not.
func (v *Issuers) siteOf(one *issuer) *hosts.Site {
	if one.server.Certificate() == nil {
		return nil // without its certificate nobody can be told anything
	}
	site := &hosts.Site{Issuer: one.Name, Hosts: issuers.Hosts(one.Config), Certificate: one.server.Certificate}
	if one.reason != nil {
		site.Browsers, site.Certificates = http.HandlerFunc(unavailable), http.HandlerFunc(unavailable)
		site.Ready = func(context.Context) bool { return false }
		return site
	}
	site.Browsers, site.Certificates, site.Ready = one.server.Handler(false), one.server.Handler(true), one.server.Ready
	return site
}

// unavailable answers for an issuer that could not be opened.
func unavailable(w http.ResponseWriter, _ *http.Request) {
	e := oauth.Errorf(oauth.TemporarilyUnavailable, "this authorization server cannot answer at the moment; try again")
	e.RetryAfter = retryIssuer
	oauth.Write(w, e, "")
}

// put has an issuer served from now on.
func (v *Issuers) put(one *issuer) {
	v.mu.Lock()
	defer v.mu.Unlock()
	one.takenAt = v.Now()
	v.known[one.Name] = one
	v.show()
}

// show has the table show what is known, that of the main file first.
func (v *Issuers) show() {
	var sites []*hosts.Site
	for _, one := range v.known {
		switch {
		case one.site == nil:
		case one.Name == issuers.Main:
			sites = slices.Insert(sites, 0, one.site)
		default:
			sites = append(sites, one.site)
		}
	}
	if err := v.table.Set(sites...); err != nil { // the configurations were compared
		v.Log.Error("issuers not shown", "error", err.Error())
	}
}

// leave drains an issuer that is not wanted any more: its readiness says so, and after a while it is taken away.
func (v *Issuers) leave(one *issuer) {
	one.left = make(chan struct{})
	if one.reason == nil {
		one.server.Drain()
	}
	one.log.Info("issuer removed; draining", "drain_time", v.limits.Load().DrainTime.Std())
	v.leaving.Go(func() {
		defer close(one.left)
		over := time.NewTimer(v.limits.Load().DrainTime.Std())
		defer over.Stop()
		select {
		case <-over.C:
		case <-v.background.Done():
		}
		v.mu.Lock()
		delete(v.known, one.Name)
		v.show()
		v.mu.Unlock()
		if one.reason == nil {
			v.finish(one)
		}
	})
}

// finish lets the requests of an issuer that are in flight end, and closes it.
func (v *Issuers) finish(one *issuer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.background), v.limits.Load().ShutdownTimeout.Std())
	defer cancel()
	if !one.site.End(ctx) {
		one.log.Warn("requests aborted at shutdown timeout", "error", ctx.Err().Error())
	}
	one.server.End()
	one.server.Close(ctx)
	one.log.Info("issuer closed")
}

// Drain has readiness report not ready, of all issuers.
func (v *Issuers) Drain() {
	v.table.Drain()
	for _, one := range v.served() {
		one.server.Drain()
	}
}

// served are the issuers that are open.
func (v *Issuers) served() (all []*issuer) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, one := range v.known {
		if one.reason == nil {
			all = append(all, one)
		}
	}
	return all
}

// Close ends and closes everything, when [Issuers.Run] has ended.
func (v *Issuers) Close(ctx context.Context) {
	v.stop()
	v.leaving.Wait()
	for _, one := range v.served() {
		one.server.End()
		one.server.Close(ctx)
	}
}
