package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"countersign/bench/servers"
	"countersign/bench/torture/history"
	"countersign/internal/flowclient"
	"countersign/internal/jose"
)

// load is flows by several clients at once by way of all nodes of a server, with their history: each code is one thing,
// and each of its redemptions is a try to use it.
type load struct {
	server  *servers.Server
	workers int
	// tries is how many clients redeem every second code at once; 1 for none.
	tries int
	// keys verify the tokens; nil for no verification.
	keys *jose.KeySet

	journal journal
	mu      sync.Mutex
	// took is what each flow took, raced how many codes were redeemed several times at once, unanswered how many requests
	// got neither tokens nor a refusal, and redeemed how many redemptions were acknowledged.
	took                        []time.Duration
	raced, unanswered, redeemed int
	wrongSignatures             int
	// failed are flows that did not come to tokens or a refusal, and first is the first of their failures.
	failed int
	first  error
	issued []issued
}

// issued is an acknowledged redemption.
type issued struct {
	thing, made  string
	by           *servers.Client
	refreshToken string
}

// run keeps the server busy while disturb runs, and waits for the flows that were begun.
func (l *load) run(ctx context.Context, disturb func(context.Context) error) error {
	l.journal = newJournal()
	loaded, stop := context.WithCancel(ctx)
	defer stop()
	var running sync.WaitGroup
	for worker := range l.workers {
		client, err := l.server.NewClient(time.Now)
		if err != nil {
			return err
		}
		if _, err := client.Flow(ctx, client.Browser); err != nil { // signs in and consents
			return err
		}
		ways := []*servers.Client{client}
		for _, n := range l.server.Nodes[1:] {
			ways = append(ways, client.At(n))
		}
		running.Go(func() {
			for number := worker; loaded.Err() == nil; number++ {
				l.flow(ctx, ways, number, fmt.Sprintf("code/%d.%d", worker, number))
			}
		})
	}
	err := disturb(loaded)
	stop()
	running.Wait()
	return err
}

// flow goes through one flow, each step by way of another node. A step that is not answered ends the flow.
func (l *load) flow(ctx context.Context, ways []*servers.Client, number int, thing string) {
	way := func(step int) *servers.Client { return ways[(number+step)%len(ways)] }
	began := time.Now()
	transaction := way(0).NewTransaction()
	var code string
	var failure error
	l.journal.do(history.Issue, thing, "-", func() (history.Outcome, string) {
		if code, failure = authorize(ctx, way(0), way(1), transaction); failure != nil {
			return history.Unknown, "not answered"
		}
		return history.OK, ""
	})
	racers := []*servers.Client{way(2)}
	for i := 1; number%2 == 0 && i < l.tries; i++ {
		racers = append(racers, way(2+i))
	}
	if failure == nil {
		failure = l.redeem(ctx, racers, transaction, code, thing)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took = append(l.took, time.Since(began))
	if failure != nil {
		l.failed++
		l.unanswered++
		if l.first == nil {
			l.first = failure
		}
	}
}

// authorize goes from the pushed request to the code, by way of two clients.
func authorize(ctx context.Context, first, second *servers.Client, t flowclient.Transaction) (string, error) {
	pushed, err := first.Push(ctx, t)
	if err != nil {
		return "", err
	}
	requestURI, err := pushed.RequestURI()
	if err != nil {
		return "", err
	}
	response, err := second.Browser.Authorize(ctx, second.AuthorizationURL(requestURI), second.RedirectURI)
	if err != nil {
		return "", err
	}
	return second.Callback(t, response)
}

// redeem redeems a code, by all racers at once. An error is one of those that were not answered.
func (l *load) redeem(ctx context.Context, racers []*servers.Client, t flowclient.Transaction, code, thing string) error {
	var racing sync.WaitGroup
	failures := make([]error, len(racers))
	for i, by := range racers {
		racing.Go(func() {
			made := fmt.Sprintf("%s@%d", thing, i)
			l.journal.do(history.Consume, thing, made, func() (history.Outcome, string) {
				reply, err := by.Redeem(ctx, t, code)
				outcome, reason, err := redeemed(reply, err)
				failures[i] = err
				if outcome == history.OK {
					l.acknowledge(reply, issued{thing: thing, made: made, by: racers[0]})
				}
				return outcome, reason
			})
		})
	}
	racing.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(racers) > 1 {
		l.raced++
	}
	var failure error
	for _, err := range failures {
		if err == nil {
			continue
		}
		if failure != nil {
			l.unanswered++ // the first is counted with the flow
		}
		failure = err
	}
	return failure
}

// redeemed judges the answer to a use of a one-time thing: tokens, a refusal because it was used before, or something
// that leaves open what happened.
func redeemed(reply flowclient.Reply, err error) (history.Outcome, string, error) {
	switch {
	case err != nil:
		return history.Unknown, "no answer", err
	case reply.Status == http.StatusOK:
		return history.OK, "", nil
	case reply.Status == http.StatusBadRequest && reply.OAuthError().Code == "invalid_grant":
		return history.Refused, history.Consumed, nil
	}
	return history.Unknown, fmt.Sprint(reply.Status), reply.Expect(http.StatusOK)
}

// acknowledge notes tokens, and verifies them.
func (l *load) acknowledge(reply flowclient.Reply, one issued) {
	tokens, err := reply.Tokens()
	wrong := 0
	for _, token := range []string{tokens.AccessToken, tokens.IDToken} {
		if l.keys != nil && (err != nil || !verifies(*l.keys, token)) {
			wrong++
		}
	}
	one.refreshToken = tokens.RefreshToken
	l.mu.Lock()
	defer l.mu.Unlock()
	l.redeemed++
	l.wrongSignatures += wrong
	l.issued = append(l.issued, one)
}

// verifies reports whether a token is signed with a published key.
func verifies(keys jose.KeySet, token string) bool {
	parsed, err := jose.Parse(token, jose.ParseOptions{Algorithms: []string{jose.PS256, jose.ES256, jose.EdDSA}})
	return err == nil && parsed.VerifyWith(keys) == nil
}

// look asks, when all is over, what became of every refresh token that was acknowledged.
func (l *load) look(ctx context.Context) {
	for _, one := range l.issued {
		l.journal.do(history.Look, one.thing, one.made, func() (history.Outcome, string) {
			reply, err := one.by.Refresh(ctx, one.refreshToken)
			outcome, reason, _ := redeemed(reply, err)
			switch outcome {
			case history.OK:
				return history.OK, history.There
			case history.Refused:
				return history.OK, history.Ended
			}
			return outcome, reason
		})
	}
}
