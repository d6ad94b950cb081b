package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"countersign/bench/servers"
	"countersign/bench/torture/history"
	"countersign/internal/flowclient"
)

// parallel is how many requests take part in one race.
const parallel = 4

// attempt tries to use a one-time thing as one client; it is called from several goroutines.
type attempt func(ctx context.Context, by *servers.Client) (flowclient.Reply, error)

// race is one thing that may be used once, and how it is used several times at once.
type race struct {
	name string
	// begin makes the thing, and gives what tries to use it.
	begin func(context.Context, *servers.Client) (attempt, error)
}

// races are all that is raced for through the endpoints of a server, whose refresh tokens rotate or stay.
func races(rotates bool) []race {
	refresh := raceRefreshRequest
	if rotates {
		refresh = raceRefreshToken
	}
	return []race{
		{"one code, each time with a new assertion and proof", raceRedemption},
		{"one assertion `jti`, each time with a new proof", raceAssertion},
		{"one refresh token: the same request where it stays, a new one where it rotates", refresh},
	}
}

func raceRedemption(ctx context.Context, c *servers.Client) (attempt, error) {
	transaction := c.NewTransaction()
	code, err := c.Authorize(ctx, c.Browser, transaction)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, by *servers.Client) (flowclient.Reply, error) {
		return by.Redeem(ctx, transaction, code)
	}, nil
}

func raceAssertion(ctx context.Context, c *servers.Client) (attempt, error) {
	same, err := c.Assertion(ctx, nil)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, by *servers.Client) (flowclient.Reply, error) {
		return by.ClientCredentials(ctx, "accounts", flowclient.Set("client_assertion", same))
	}, nil
}

// raceRefreshToken uses a refresh token that rotates.
func raceRefreshToken(ctx context.Context, c *servers.Client) (attempt, error) {
	tokens, err := c.Flow(ctx, c.Browser)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, by *servers.Client) (flowclient.Reply, error) {
		return by.Refresh(ctx, tokens.RefreshToken)
	}, nil
}

// raceRefreshRequest sends one refresh request. Where the token stays (FAPI 2.0 Security Profile §5.3.2.1-9), the request
// with its assertion and proof is what can be used once.
func raceRefreshRequest(ctx context.Context, c *servers.Client) (attempt, error) {
	tokens, err := c.Flow(ctx, c.Browser)
	if err != nil {
		return nil, err
	}
	assertion, err := c.Assertion(ctx, nil)
	if err != nil {
		return nil, err
	}
	proof, err := c.Proof(ctx, http.MethodPost, c.Endpoints.Token, "", nil)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, by *servers.Client) (flowclient.Reply, error) {
		return by.Refresh(ctx, tokens.RefreshToken, flowclient.Set("client_assertion", assertion), flowclient.SetHeader("DPoP", proof))
	}, nil
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
func prove(ctx context.Context, s *servers.Server, trials int) ([]outcome, error) {
	client, err := s.NewClient(time.Now)
	if err != nil {
		return nil, err
	}
	if _, err := client.Flow(ctx, client.Browser); err != nil { // signs in and consents
		return nil, err
	}
	racers := make([]*servers.Client, parallel)
	for i := range racers {
		racers[i] = client
		if len(s.Nodes) > 0 {
			racers[i] = client.At(s.Nodes[i%len(s.Nodes)])
		}
	}
	var all []outcome
	for _, r := range races(s.Rotates) {
		o, err := r.run(ctx, client, racers, trials)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.name, err)
		}
		all = append(all, o)
	}
	return all, nil
}

// run runs the trials of one race. One more comes first: it makes the connections, which takes one racer longer than the
// other.
func (r race) run(ctx context.Context, client *servers.Client, racers []*servers.Client, trials int) (outcome, error) {
	var j journal
	for trial := range trials + 1 {
		if trial <= 1 {
			j = newJournal()
		}
		try, err := r.begin(ctx, client)
		if err != nil {
			return outcome{}, err
		}
		if err := together(ctx, j, fmt.Sprint("race/", trial), racers, try); err != nil {
			return outcome{}, err
		}
	}
	verdict, err := j.verdict()
	if err != nil {
		return outcome{}, err
	}
	return outcome{
		race: r.name, trials: verdict.Things, doubled: verdict.Of(history.DoubleSuccess), succeeded: verdict.Won, without: verdict.Unwon,
	}, nil
}

// together has all try at once and notes how that ended. Whatever is not refused by an OAuth error fails the trial.
func together(ctx context.Context, j journal, thing string, racers []*servers.Client, try attempt) error {
	var all sync.WaitGroup
	failures := make([]error, len(racers))
	start := make(chan struct{})
	for i, by := range racers {
		all.Go(func() {
			<-start
			j.do(history.Consume, thing, fmt.Sprintf("%s@%d", thing, i), func() (history.Outcome, string) {
				reply, err := try(ctx, by)
				switch {
				case err != nil:
					failures[i] = err
				case reply.Status == http.StatusOK:
					return history.OK, ""
				case (reply.Status == http.StatusBadRequest || reply.Status == http.StatusUnauthorized) && reply.OAuthError().Code != "":
					return history.Refused, history.Consumed
				default:
					failures[i] = reply.Expect(http.StatusOK)
				}
				return history.Unknown, "not answered"
			})
		})
	}
	close(start)
	all.Wait()
	return errors.Join(failures...)
}

// raceFaults is an error for races that did not have exactly one winner.
func raceFaults(came []outcome) (err error) {
	for _, o := range came {
		if o.doubled > 0 || o.without > 0 {
			err = errors.Join(err, fmt.Errorf("%s: %d trials with more than one success, %d with none", o.race, o.doubled, o.without))
		}
	}
	return err
}

// compared is the table for the page; peerCame is nil where the peer did not run.
func compared(ours string, came []outcome, peer string, peerCame []outcome) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %d requests at once, %d trials | %s: used more than once | requests that succeeded |", parallel, came[0].trials, ours)
	if peerCame != nil {
		fmt.Fprintf(&b, " %s: used more than once | requests that succeeded |", peer)
	}
	b.WriteString("\n|---|--:|--:|" + strings.Repeat("--:|", 2*min(1, len(peerCame))) + "\n")
	for i, o := range came {
		fmt.Fprintf(&b, "| %s | %d of %d | %d of %d |", o.race, o.doubled, o.trials, o.succeeded, o.trials*parallel)
		if peerCame != nil {
			p := peerCame[i]
			fmt.Fprintf(&b, " %d of %d | %d of %d |", p.doubled, p.trials, p.succeeded, p.trials*parallel)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
