package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
)

const (
	// trials is how often each race is run, parallel how many requests take part in one.
	trials   = 50
	parallel = 4
)

// race is one thing that may be used once, and how it is used more often at once.
type race struct {
	name string
	// begin makes the thing, and gives what tries to use it, to be called from several goroutines. number tells the
	// tries apart.
	begin func(context.Context, *actor) (try func(ctx context.Context, by *actor) (status int, body string, err error), err error)
}

func races() []race {
	return []race{
		{"one code, each time with a new assertion and proof", raceCode},
		{"one assertion `jti`, each time with a new proof", raceAssertion},
		{"one refresh token: the same request where it stays, a new one where it rotates", raceRefresh},
	}
}

func raceCode(ctx context.Context, a *actor) (func(context.Context, *actor) (int, string, error), error) {
	requestURI, err := a.push(ctx)
	if err != nil {
		return nil, err
	}
	code, err := a.authorize(ctx, requestURI)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, by *actor) (int, string, error) {
		return by.postNew(ctx, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURI}, "code_verifier": {verifier}})
	}, nil
}

func raceAssertion(ctx context.Context, a *actor) (func(context.Context, *actor) (int, string, error), error) {
	same, err := a.credentials(ctx, a.server.token)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, by *actor) (int, string, error) {
		mine, err := by.credentials(ctx, by.server.token)
		if err != nil {
			return 0, "", err
		}
		return by.postAs(ctx, by.server.token, url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}},
			credentials{assertion: same.assertion, proof: mine.proof})
	}, nil
}

// raceRefresh uses one refresh token at once. Where it stays (FAPI 2.0 Security Profile §5.3.2.1-9) the request with its
// assertion and proof is what can be used once; where it rotates, the token is.
func raceRefresh(ctx context.Context, a *actor) (func(context.Context, *actor) (int, string, error), error) {
	if err := a.flowStep(ctx); err != nil {
		return nil, err
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {a.refreshToken}}
	if a.server.rotates {
		return func(ctx context.Context, by *actor) (int, string, error) { return by.postNew(ctx, form) }, nil
	}
	same, err := a.credentials(ctx, a.server.token)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, by *actor) (int, string, error) {
		return by.postAs(ctx, by.server.token, form, same)
	}, nil
}

// postNew asks for tokens with credentials of its own.
func (a *actor) postNew(ctx context.Context, form url.Values) (int, string, error) {
	c, err := a.credentials(ctx, a.server.token)
	if err != nil {
		return 0, "", err
	}
	return a.postAs(ctx, a.server.token, form, c)
}

// outcome is what the trials of one race came to.
type outcome struct {
	race   string
	trials int
	// doubled is in how many trials more than one request succeeded; succeeded counts all that did.
	doubled, succeeded int
	// without counts trials in which none succeeded.
	without int
}

// prove runs all races on one server. Each goes to all its nodes at once.
func (s *server) prove(ctx context.Context, nodes []*instance) ([]outcome, error) {
	a, err := newActor(s)
	if err != nil {
		return nil, err
	}
	if err := a.flowStep(ctx); err != nil { // signs in and allows
		return nil, err
	}
	racers := make([]*actor, parallel)
	for i := range racers {
		racers[i] = a.at(nil)
		if len(nodes) > 0 && i%(len(nodes)+1) > 0 {
			racers[i] = a.at(nodes[i%(len(nodes)+1)-1])
		}
	}
	var all []outcome
	for _, r := range races() {
		o := outcome{race: r.name}
		for trial := range trials + 1 {
			try, err := r.begin(ctx, a)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.name, err)
			}
			succeeded, err := together(ctx, racers, try)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.name, err)
			}
			if trial == 0 {
				continue // it has made the connections, which took one racer longer than the other
			}
			o.trials++
			o.succeeded += succeeded
			switch {
			case succeeded > 1:
				o.doubled++
			case succeeded == 0:
				o.without++
			}
		}
		all = append(all, o)
	}
	return all, nil
}

// at is the same client with the same key, by way of one node; nil is the first.
func (a *actor) at(n *instance) *actor {
	by := *a
	if n != nil {
		client := *a.http
		client.Transport = n.transport(a.server)
		by.http = &client
	}
	return &by
}

// together has all try at once and counts who succeeded. Whoever is not refused by an OAuth error is a failure of the trial.
func together(ctx context.Context, racers []*actor, try func(context.Context, *actor) (int, string, error)) (succeeded int, err error) {
	var all sync.WaitGroup
	var mu sync.Mutex
	start := make(chan struct{})
	for _, by := range racers {
		all.Go(func() {
			<-start
			status, body, failure := try(ctx, by)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case failure != nil:
				err = errors.Join(err, failure)
			case status == http.StatusOK:
				succeeded++
			case status != http.StatusBadRequest && status != http.StatusUnauthorized || !strings.Contains(body, `"error"`):
				err = errors.Join(err, fmt.Errorf("answered %d: %s", status, body))
			}
		})
	}
	close(start)
	all.Wait()
	return succeeded, err
}

// tellReliability runs the races and the kills, prints what they came to, and writes it into docs/reliability.md.
func (m *machine) tellReliability(ctx context.Context) error {
	ours := &server{name: "countersign, two nodes", alg: "PS256"}
	peer := &server{name: "node-oidc-provider 9.13.3, one node", alg: "PS256", rotates: true}
	for _, s := range []*server{ours, peer} {
		defer func() {
			if s.stop != nil {
				s.stop()
			}
		}()
	}
	fmt.Println("starting", ours.name)
	if err := countersign("postgres")(ctx, m, ours); err != nil {
		return err
	}
	second, err := m.addNode(ctx, ours, filepath.Join(m.folder, "postgres-"+ours.alg))
	if err != nil {
		return err
	}
	fmt.Println("starting", peer.name)
	m.peerEnvironment = []string{"ADAPTER=asynchronous", "ROTATE=yes"}
	if err := startNode(ctx, m, peer); err != nil {
		return err
	}
	came, err := ours.prove(ctx, []*instance{second})
	if err != nil {
		return fmt.Errorf("%s: %w", ours.name, err)
	}
	peerCame, err := peer.prove(ctx, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", peer.name, err)
	}
	races := compared(ours.name, came, peer.name, peerCame)
	fmt.Println(races)
	third, err := m.addNode(ctx, ours, filepath.Join(m.folder, "postgres-"+ours.alg))
	if err != nil {
		return err
	}
	survived, err := ours.surviveKills(ctx, []*instance{second, third})
	if err != nil {
		return err
	}
	fmt.Println(survived.markdown())
	if m.write != "" {
		page := filepath.Join(m.write, "reliability.md")
		err = errors.Join(
			writeBetween(page, "<!-- begin peers -->", "<!-- end peers -->", races),
			writeBetween(page, "<!-- begin nodes -->", "<!-- end nodes -->", survived.markdown()))
	}
	return errors.Join(err, faults(came), survived.faults())
}

// faults tells of races that did not have exactly one winner.
func faults(came []outcome) (err error) {
	for _, o := range came {
		if o.doubled > 0 || o.without > 0 {
			err = errors.Join(err, fmt.Errorf("%s: %d trials with more than one success, %d with none", o.race, o.doubled, o.without))
		}
	}
	return err
}

// compared is the table for the page.
func compared(ours string, came []outcome, peer string, peerCame []outcome) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %d requests at once, %d trials | %s: used more than once | requests that succeeded | %s: used more than once | requests that succeeded |\n|---|--:|--:|--:|--:|\n",
		parallel, trials, ours, peer)
	for i, o := range came {
		p := peerCame[i]
		fmt.Fprintf(&b, "| %s | %d of %d | %d of %d | %d of %d | %d of %d |\n", o.race,
			o.doubled, o.trials, o.succeeded, o.trials*parallel, p.doubled, p.trials, p.succeeded, p.trials*parallel)
	}
	return b.String()
}
