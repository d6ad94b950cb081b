package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// nodeKills is how many nodes are killed under load, and killEvery the time between two, on average.
	nodeKills = 20
	killEvery = 1500 * time.Millisecond
)

// survival is what a run came to in which nodes were killed under load.
type survival struct {
	nodes, killed, flows int
	// redeemed were acknowledged, raced are codes that were redeemed several times at once, unanswered the requests that
	// got no answer or a 503.
	redeemed, raced, unanswered int
	// doubled are codes that were redeemed twice, lost the acknowledged grants that are not there when all is over,
	// resurrected those that were revoked and are.
	doubled, lost, resurrected int
}

// bought is an acknowledged redemption, with what must be true of it in the end.
type bought struct {
	by           *actor
	refreshToken string
	// revoked tells that the code was used again, and that this was acknowledged, too.
	revoked bool
}

// surviveKills has clients go through flows by way of all nodes, while all but the first are killed (kill -9) and
// started again. Then it looks whether all that was acknowledged is there.
func (s *server) surviveKills(ctx context.Context, nodes []*instance) (survival, error) {
	total := survival{nodes: len(nodes) + 1}
	loaded, stop := context.WithCancel(ctx)
	defer stop()
	var mu sync.Mutex
	var all []bought
	var running sync.WaitGroup
	for worker := range 6 {
		a, err := newActor(s)
		if err != nil {
			return total, err
		}
		if err := a.flowStep(ctx); err != nil {
			return total, err
		}
		ways := []*actor{a.at(nil)}
		for _, n := range nodes {
			ways = append(ways, a.at(n))
		}
		running.Go(func() {
			for flow := worker; loaded.Err() == nil; flow++ {
				got, result := flowBy(ctx, ways, flow)
				mu.Lock()
				total.add(result)
				if got != nil {
					all = append(all, *got)
				}
				mu.Unlock()
			}
		})
	}
	err := killInTurns(loaded, s, nodes, &total.killed)
	stop()
	running.Wait()
	if err != nil {
		return total, err
	}
	for _, b := range all {
		status, body, err := b.by.postNew(ctx, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {b.refreshToken}})
		switch {
		case err != nil:
			return total, err
		case status == http.StatusOK && b.revoked:
			total.resurrected++
		case status != http.StatusOK && !b.revoked:
			total.lost++
			err = fmt.Errorf("answered %d: %s", status, body)
			fmt.Println("lost:", err)
		}
	}
	return total, nil
}

// killInTurns kills one node after the other at random moments and starts it again.
func killInTurns(ctx context.Context, s *server, nodes []*instance, killed *int) error {
	for i := range nodeKills {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(killEvery)*2))
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(n.Int64())):
		}
		node := nodes[i%len(nodes)]
		node.end(syscall.SIGKILL)
		*killed = i + 1
		if err := node.start(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (t *survival) add(one survival) {
	t.flows += one.flows
	t.redeemed += one.redeemed
	t.raced += one.raced
	t.unanswered += one.unanswered
	t.doubled += one.doubled
}

// flowBy goes through one flow, each step by way of another node. Every second code is redeemed by all nodes at once. A
// step that is not answered ends the flow.
func flowBy(ctx context.Context, ways []*actor, flow int) (*bought, survival) {
	one := survival{flows: 1}
	way := func(step int) *actor { return ways[(flow+step)%len(ways)] }
	requestURI, err := way(0).push(ctx)
	if err != nil {
		one.unanswered++
		return nil, one
	}
	code, err := way(1).authorize(ctx, requestURI)
	if err != nil {
		one.unanswered++
		return nil, one
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURI}, "code_verifier": {verifier}}
	tries := []*actor{way(2)}
	if flow%2 == 0 {
		tries = append(tries, way(3), way(4), way(5))
		one.raced++
	}
	var (
		mu      sync.Mutex
		racing  sync.WaitGroup
		tokens  []string
		refused int
	)
	for _, by := range tries {
		racing.Go(func() {
			status, body, err := by.postNew(ctx, form)
			mu.Lock()
			defer mu.Unlock()
			var answer struct {
				RefreshToken string `json:"refresh_token"`
			}
			switch {
			case err == nil && status == http.StatusOK && json.Unmarshal([]byte(body), &answer) == nil:
				tokens = append(tokens, answer.RefreshToken)
			case err == nil && status == http.StatusBadRequest && strings.Contains(body, "invalid_grant"):
				refused++
			default:
				one.unanswered++
			}
		})
	}
	racing.Wait()
	one.redeemed = len(tokens)
	switch {
	case len(tokens) == 0:
		return nil, one
	case len(tokens) > 1:
		one.doubled++
		return nil, one
	case refused == 0 && len(tries) > 1:
		return nil, one // whether the unanswered ones came first or never is not known
	}
	return &bought{by: ways[0], refreshToken: tokens[0], revoked: refused > 0}, one
}

func (t survival) markdown() string {
	return fmt.Sprintf(`| | |
|---|--:|
| nodes of `+"`countersign serve`"+`, one PostgreSQL | %d |
| nodes killed (kill -9) under load | %d |
| flows begun | %d |
| redemptions acknowledged | %d |
| codes redeemed by all nodes at once | %d |
| requests without an answer, or with a 503 | %d |
| **codes redeemed twice** | %d |
| **acknowledged and lost** | %d |
| **revoked and back** | %d |`, t.nodes, t.killed, t.flows, t.redeemed, t.raced, t.unanswered, t.doubled, t.lost, t.resurrected)
}

func (t survival) faults() error {
	switch {
	case t.doubled+t.lost+t.resurrected > 0:
		return errors.New("that must not be")
	case t.killed < nodeKills || t.raced == 0 || t.redeemed == 0:
		return errors.New("not all was done")
	}
	return nil
}
