package relyingparty

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"countersign/conformance/keys"
	"countersign/conformance/results"
	"countersign/conformance/suite"
)

// runner runs plans.
type runner struct {
	suite *suite.Client
	// drive runs the client once for a module, and returns why it stopped before the end.
	drive func(context.Context, job) error
	// unique makes the aliases differ from those of other runs at the same suite.
	unique  string
	out     string
	modules string // patterns for the modules to run, separated by commas
	// moduleTime is how long a module may take, grace how long it may after its client failed, poll how often it is asked for, and wait how long the
	// suite waits for a client that has to stop.
	moduleTime, grace, poll, wait time.Duration
	random                        io.Reader
	now                           func() time.Time
	progress                      func(format string, arguments ...any)
}

// runAll runs plans side by side and returns every module's outcome, in the order of the plans.
func (r *runner) runAll(ctx context.Context, plans []plan, jobs int) []results.Outcome {
	outcomes := make([][]results.Outcome, len(plans))
	slots := make(chan struct{}, jobs)
	var wait sync.WaitGroup
	for i, p := range plans {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			outcomes[i] = r.runPlan(ctx, p, i)
		})
	}
	wait.Wait()
	var all []results.Outcome
	for _, list := range outcomes {
		all = append(all, list...)
	}
	return all
}

// runPlan makes a plan's clients, creates the plan and runs its modules one after the other: the suite runs one module an alias at a
// time.
func (r *runner) runPlan(ctx context.Context, p plan, index int) []results.Outcome {
	alias := fmt.Sprintf("countersign-rp-%s-%d", r.unique, index+1)
	without := func(err error) []results.Outcome {
		r.progress("%s: %v", p.name, err)
		return []results.Outcome{{Plan: p.name, Variant: p.variant, Module: "(the plan)", Result: results.Interrupted, Note: err.Error()}}
	}
	at, err := openSite(r.random, r.now())
	if err != nil {
		return without(err)
	}
	defer at.stop()
	created, clients, err := r.prepare(ctx, p, alias, at, index)
	if err != nil {
		return without(err)
	}
	r.progress("%s: the suite made it, with %d modules: %s/plan-detail.html?plan=%s", p.name, len(created.Modules), r.suite.Base(), created.ID)
	var outcomes []results.Outcome
	for i, module := range created.Modules {
		if !results.MatchesAny(r.modules, module.Name) {
			continue
		}
		began := r.now()
		o := results.Outcome{Plan: p.name, Variant: p.variant, Module: module.Name, Result: results.NotRun}
		if ctx.Err() == nil {
			j := job{plan: p, module: module.Name, who: clients[0], site: at, at: clientAddresses(p, at.base)}
			if second(module.Name) && len(clients) > 1 {
				j.who = clients[1]
			}
			r.runModule(ctx, created.ID, module.Variant, j, &o)
		}
		o.Seconds = r.now().Sub(began).Seconds()
		outcomes = append(outcomes, o)
		r.progress("%3d/%d %-11s %s %s (%.0f s)", i+1, len(created.Modules), o.Result, p.name, o.Module, o.Seconds)
		for _, c := range o.Conditions {
			r.progress("        %s %s: %s", c.Result, c.Name, c.Message)
		}
		if o.Note != "" {
			r.progress("        %s", o.Note)
		}
	}
	return outcomes
}

// prepare makes clients of a plan's own and creates the plan at the suite. Every other plan's clients sign with ES256, so that both
// algorithms are tried.
func (r *runner) prepare(ctx context.Context, p plan, alias string, at *site, index int) (suite.Plan, []identity, error) {
	algorithm := "PS256"
	if index%2 == 1 {
		algorithm = "ES256"
	}
	clients, err := identities(r.random, p, alias, algorithm, r.now())
	if err != nil {
		return suite.Plan{}, nil, err
	}
	server, err := keys.NewPS256(r.random, alias+"-server")
	if err != nil {
		return suite.Plan{}, nil, err
	}
	configured, err := json.MarshalIndent(p.configure(alias, r.wait, server, clients, clientAddresses(p, at.base)), "", "  ")
	if err != nil {
		return suite.Plan{}, nil, err
	}
	if err := r.keep(alias+".json", configured); err != nil {
		return suite.Plan{}, nil, err
	}
	created, err := r.suite.CreatePlan(ctx, p.suitePlan, p.variant, configured)
	if status, ok := errors.AsType[*suite.StatusError](err); ok && status.Status == http.StatusInternalServerError {
		return created, nil, fmt.Errorf("the suite does not accept this combination of variants: %s", status.Reason())
	}
	return created, clients, err
}

// keep writes what was generated, so that a run can be understood. It holds the private keys of the provider that the suite plays.
func (r *runner) keep(name string, content []byte) error {
	folder := filepath.Join(r.out, "configuration")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, name), content, 0o600)
}

// runModule starts a module, runs the client once, and waits for the module's end.
func (r *runner) runModule(ctx context.Context, planID string, variant map[string]string, j job, o *results.Outcome) {
	id, err := r.suite.Start(ctx, planID, o.Module, variant)
	if err != nil {
		o.Result, o.Note = results.Interrupted, "it did not start: "+err.Error()
		return
	}
	o.ID = id
	ended, state, err := r.serve(ctx, id, j)
	if err != nil {
		o.Result = results.Interrupted
		// The module must not go on under an alias that the next one needs; ctx may be over already.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if stop := r.suite.Stop(last, id); stop != nil {
			err = fmt.Errorf("%w; it could not be stopped: %w", err, stop)
		}
	} else if o.Result = state.Result; state.Status == suite.Interrupted {
		o.Result = results.Interrupted
	}
	verdict(o.Module, ended, o)
	if err != nil {
		o.Note = strings.TrimPrefix(o.Note+"; "+err.Error(), "; ")
	}
	if o.Result != results.Passed && o.Result != results.Skipped {
		o.Conditions = results.Unmet(ctx, r.suite, id)
	}
}

// serve runs the client once the module waits for it, and returns why the client stopped and how the module ended.
func (r *runner) serve(ctx context.Context, id string, j job) (ended error, state suite.State, err error) {
	state, err = r.await(ctx, id, r.moduleTime, func(s suite.State) bool { return s.Status == suite.Waiting })
	if err != nil || state.Status != suite.Waiting {
		return nil, state, err
	}
	if j.exposed, err = r.suite.Exposed(ctx, id); err != nil {
		return nil, state, err
	}
	bounded, cancel := context.WithTimeout(ctx, r.moduleTime)
	defer cancel()
	ended = r.drive(bounded, j)
	atMost := r.moduleTime
	if _, isRefusal := refused(ended); ended != nil && (wants(j.module) == accept || !isRefusal) {
		atMost = r.grace // the suite may wait for what does not come any more
	}
	state, err = r.await(ctx, id, atMost, func(suite.State) bool { return false })
	return ended, state, err
}

// await waits until a module has ended, or until it is as it is wanted before.
func (r *runner) await(ctx context.Context, id string, atMost time.Duration, enough func(suite.State) bool) (suite.State, error) {
	deadline := r.now().Add(atMost)
	for {
		state, err := r.suite.State(ctx, id)
		if err != nil {
			return state, err
		}
		if state.Status == suite.Finished || state.Status == suite.Interrupted || enough(state) {
			return state, nil
		}
		if !r.now().Before(deadline) {
			return state, fmt.Errorf("it was not done after %s, but %s", atMost, state.Status)
		}
		select {
		case <-ctx.Done():
			return state, errors.New("told to stop")
		case <-time.After(r.poll):
		}
	}
}
