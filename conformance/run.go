package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"countersign/conformance/directory"
	"countersign/conformance/results"
	"countersign/conformance/suite"
)

// runner runs plans.
type runner struct {
	suite    *suite.Client
	server   server
	ca       *authority
	register []string // a command, in which {id} and {file} are replaced
	tokens   []string // a command that prints an initial access token, in which {organisation} and {profile} are replaced
	// directory is the stand-in for that of the plans' ecosystem, if they reach one.
	directory *directory.Directory
	// unique makes the aliases differ from those of other runs at the same suite.
	unique string
	// offset is added to the numbers of plans in aliases.
	offset  int
	out     string
	modules string // patterns for the modules to run, separated by commas
	// moduleTime is how long a module may take, and poll how often it is asked for.
	moduleTime, poll time.Duration
	random           io.Reader
	now              func() time.Time
	progress         func(format string, arguments ...any)
}

// runAll runs plans side by side and returns every module's outcome, in the order of the plans.
func (r *runner) runAll(ctx context.Context, plans []plan, jobs int) []results.Outcome {
	outcomes := make([][]results.Outcome, len(plans))
	slots := make(chan struct{}, jobs)
	var wait sync.WaitGroup
	for i, p := range plans {
		wait.Go(func() {
			slots <- struct{}{}
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

// runPlan makes a plan's clients, registers them, creates the plan and runs its modules one after the other: the suite
// runs one module an alias at a time.
func (r *runner) runPlan(ctx context.Context, p plan, index int) []results.Outcome {
	created, err := r.prepare(ctx, p, index)
	if err != nil {
		r.progress("%s: %v", p.name, err)
		return []results.Outcome{{Plan: p.name, Variant: p.variant, Module: "(the plan)", Result: results.Interrupted, Note: err.Error()}}
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
			r.runModule(ctx, created.ID, module.Variant, &o)
		}
		o.Seconds = r.now().Sub(began).Seconds()
		outcomes = append(outcomes, o)
		r.progress("%3d/%d %-11s %s %s (%.0f s)", i+1, len(created.Modules), o.Result, p.name, strings.TrimPrefix(o.Module, prefix(p)), o.Seconds)
		for _, c := range o.Conditions {
			r.progress("        %s %s: %s", c.Result, c.Name, c.Message)
		}
		if o.Note != "" {
			r.progress("        %s", o.Note)
		}
	}
	return outcomes
}

// prepare registers clients of a plan's own at the server and creates the plan at the suite.
func (r *runner) prepare(ctx context.Context, p plan, index int) (suite.Plan, error) {
	alias := fmt.Sprintf("countersign-%s-%d", r.unique, r.offset+index+1)
	clients, err := newClients(r.random, p, alias, r.ca, r.now())
	if err != nil {
		return suite.Plan{}, err
	}
	if err := r.introduce(p, clients); err != nil {
		return suite.Plan{}, err
	}
	addresses, told := redirectURIs(r.suite.Base(), alias), r.server
	r.enter(p, clients, addresses)
	if p.statements() {
		// A statement of the directory takes the place of an initial access token.
	} else if p.registersItself() {
		if told.initialToken, err = r.initialToken(ctx, alias, p); err != nil {
			return suite.Plan{}, err
		}
	} else {
		for _, client := range clients {
			if err := r.registerClient(ctx, client.id, p.registration(told, client, addresses)); err != nil {
				return suite.Plan{}, err
			}
		}
	}
	configured, err := json.MarshalIndent(p.configure(told, alias, clients), "", "  ")
	if err != nil {
		return suite.Plan{}, err
	}
	if err := r.keep(alias+".json", configured); err != nil {
		return suite.Plan{}, err
	}
	created, err := r.suite.CreatePlan(ctx, p.suitePlan, p.variant, configured)
	if status, ok := errors.AsType[*suite.StatusError](err); ok && status.Status == http.StatusInternalServerError {
		return created, fmt.Errorf("the suite does not accept this combination of variants: %s", status.Reason())
	}
	return created, err
}

// registerClient gives a registration to the command that puts it into the server.
func (r *runner) registerClient(ctx context.Context, id string, metadata map[string]any) error {
	body, err := json.MarshalIndent(metadata, "", "  ")
	if err != nil {
		return err
	}
	name := id + ".client.json"
	if err := r.keep(name, body); err != nil {
		return err
	}
	arguments := make([]string, len(r.register))
	for i, argument := range r.register {
		arguments[i] = strings.NewReplacer("{id}", id, "{file}", filepath.Join(r.out, "configuration", name)).Replace(argument)
	}
	output, err := exec.CommandContext(ctx, arguments[0], arguments[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("-register: %s: %w: %s", strings.Join(arguments, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}

// keep writes what was generated, so that a run can be understood and repeated by hand. It holds private keys.
func (r *runner) keep(name string, content []byte) error {
	folder := filepath.Join(r.out, "configuration")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, name), content, 0o600)
}

// runModule runs one module to its end.
func (r *runner) runModule(ctx context.Context, planID string, variant map[string]string, o *results.Outcome) {
	id, err := r.suite.Start(ctx, planID, o.Module, variant)
	if err != nil {
		o.Result, o.Note = results.Interrupted, "it did not start: "+err.Error()
		return
	}
	o.ID = id
	state, err := r.await(ctx, id)
	switch {
	case err != nil:
		o.Result, o.Note = results.Interrupted, err.Error()
		// The module must not go on under an alias that the next one needs; ctx may be over already.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if err := r.suite.Stop(last, id); err != nil {
			o.Note += "; it could not be stopped: " + err.Error()
		}
	case state.Status == suite.Interrupted:
		o.Result = results.Interrupted
	default:
		o.Result = state.Result
	}
	if o.Result != results.Passed && o.Result != results.Skipped {
		o.Conditions = results.Unmet(ctx, r.suite, id)
	}
}

// await waits for the end of a module. One that waits with its browser idle may want a screenshot, which a user
// would take; it gets a placeholder, and its result is REVIEW at best.
func (r *runner) await(ctx context.Context, id string) (suite.State, error) {
	const patience = 10 // polls
	idle := 0
	deadline := r.now().Add(r.moduleTime)
	for r.now().Before(deadline) {
		state, err := r.suite.State(ctx, id)
		if err != nil {
			return state, err
		}
		switch state.Status {
		case suite.Finished, suite.Interrupted:
			return state, nil
		case suite.Waiting:
			busy, err := r.suite.Browsing(ctx, id)
			if err != nil {
				return state, err
			}
			if idle++; busy {
				idle = 0
			}
			if idle >= patience {
				if err := r.photograph(ctx, id); err != nil {
					return state, err
				}
				idle = 0
			}
		default:
			idle = 0
		}
		select {
		case <-ctx.Done():
			return state, errors.New("told to stop")
		case <-time.After(r.poll):
		}
	}
	return suite.State{}, fmt.Errorf("it was not done after %s", r.moduleTime)
}

func (r *runner) photograph(ctx context.Context, id string) error {
	entries, err := r.suite.Log(ctx, id)
	if err != nil {
		return err
	}
	for i, e := range entries {
		// A browser that came back since leaves no page to look at: the module goes on when its turn comes.
		back := slices.ContainsFunc(entries[i:], func(later suite.Entry) bool { return later.Callback })
		if e.Upload != "" && e.Image == "" && !back {
			if err := r.suite.Upload(ctx, id, e.Upload); err != nil {
				return err
			}
		}
	}
	return nil
}
