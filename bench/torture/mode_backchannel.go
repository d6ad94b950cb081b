package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"countersign/bench/servers"
	"countersign/bench/torture/history"
	"countersign/internal/flowclient"
	"countersign/internal/jose"
)

const (
	// pollers and deciders race for each request, side requests are raced for side by side.
	pollers, deciders, side = 6, 2, 4
	// decisionsPerApp is how many requests one user is asked: a node lets one user decide 30 times at once, and then every
	// two seconds.
	decisionsPerApp = 25
	// leastApps and mostApps bound how many users there are: one who denies is not asked again at once.
	leastApps, mostApps = 8, 100
	asker               = "asker"
)

// backchannel is a run of two nodes that race polls and decisions of many CIBA requests: each request ends in one
// decision, and in exactly one token or exactly one refusal.
type backchannel struct {
	journal journal
	// clients poll and apps decide, by way of each node. Each user has an app, by way of each node.
	clients []*flowclient.Client
	apps    [][]*flowclient.ApprovalApp

	requests                          int
	polls, decisions, tokens, refused atomic.Int64
	mu                                sync.Mutex
	failures                          []error
	took                              time.Duration
	verdict                           history.Verdict
}

// runBackchannel runs and prints the races of the backchannel.
func (s settings) runBackchannel(ctx context.Context, lab *servers.Lab) error {
	b, err := s.raceBackchannel(ctx, lab)
	if err != nil {
		return err
	}
	fmt.Println(b)
	return b.faults()
}

func (s settings) raceBackchannel(ctx context.Context, lab *servers.Lab) (*backchannel, error) {
	server := &servers.Server{Name: "countersign, two nodes", Alg: "ES256"}
	defer server.Close()
	fmt.Println("starting", server.Name)
	installation, err := lab.Countersign(ctx, server, servers.Options{Postgres: true})
	if err != nil {
		return nil, err
	}
	if _, err := installation.AddNode(ctx, server); err != nil {
		return nil, err
	}
	b := &backchannel{journal: newJournal(), requests: s.requests}
	if err := b.enroll(ctx, server, installation, min(mostApps, max(leastApps, 1+(s.requests-1)/decisionsPerApp))); err != nil {
		return nil, err
	}
	b.race(ctx)
	if b.verdict, err = b.journal.verdict(); err != nil {
		return nil, err
	}
	return b, ctx.Err()
}

// enroll registers a client that asks, and users with an approval app each.
func (b *backchannel) enroll(ctx context.Context, s *servers.Server, i *servers.Installation, users int) error {
	key, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		return err
	}
	config := flowclient.Config{
		Issuer: s.Issuer, Endpoints: s.Endpoints, ID: asker, Scope: "openid accounts", Key: key, ProofKey: key, Now: time.Now,
	}
	if err := i.AddClient(ctx, asker, map[string]any{
		"client_name": "Asker", "scope": config.Scope, "grant_types": []string{flowclient.CIBAGrant}, "response_types": []string{},
		"token_endpoint_auth_method": "private_key_jwt", "jwks": map[string]any{"keys": []json.RawMessage{key.PublicJWK()}},
		"id_token_signed_response_alg": s.Alg, "dpop_bound_access_tokens": true, "backchannel_token_delivery_mode": "poll",
	}); err != nil {
		return err
	}
	var through []*http.Client
	for _, n := range s.Nodes {
		transport := n.Transport()
		transport.MaxIdleConnsPerHost = side * (pollers + deciders)
		node := flowclient.NewHTTP(nil)
		node.Transport = transport
		through = append(through, node)
		config.HTTP = node
		b.clients = append(b.clients, flowclient.New(config))
	}
	fmt.Printf("enrolling %d approval apps\n", users)
	for number := range users {
		name := servers.Username
		if number > 0 {
			name = fmt.Sprintf("user%d", number)
			if err := i.AddUser(ctx, name); err != nil {
				return err
			}
		}
		apps, err := enrollApp(ctx, i, config, name, through)
		if err != nil {
			return err
		}
		b.apps = append(b.apps, apps)
	}
	return nil
}

// enrollApp enrolls an approval app of a user, and gives it by way of each node.
func enrollApp(ctx context.Context, i *servers.Installation, config flowclient.Config, username string, through []*http.Client) ([]*flowclient.ApprovalApp, error) {
	var err error
	if config.ProofKey, err = jose.NewPrivateKey(jose.ES256); err != nil {
		return nil, err
	}
	config.ID = username
	var apps []*flowclient.ApprovalApp
	for _, node := range through {
		config.HTTP = node
		apps = append(apps, &flowclient.ApprovalApp{Client: flowclient.New(config), AMR: "hwk user"})
	}
	code, err := i.Run(ctx, "devices", "add", username, "--level", "passkey")
	if err != nil {
		return nil, err
	}
	return apps, apps[0].Enroll(ctx, strings.TrimSpace(code), "Torture")
}

// race races for all requests.
func (b *backchannel) race(ctx context.Context) {
	began := time.Now()
	numbers := make(chan int)
	var running sync.WaitGroup
	for range side {
		running.Go(func() {
			for number := range numbers {
				if err := b.raceOne(ctx, number); err != nil {
					b.mu.Lock()
					b.failures = append(b.failures, fmt.Errorf("request %d: %w", number, err))
					b.mu.Unlock()
				}
			}
		})
	}
	for number := range b.requests {
		if ctx.Err() != nil {
			break
		}
		numbers <- number
	}
	close(numbers)
	running.Wait()
	b.took = time.Since(began)
}

// raceOne races for one request. Its decision is one thing that can be made once, and its auth_req_id is another.
func (b *backchannel) raceOne(ctx context.Context, number int) error {
	apps := b.apps[number%len(b.apps)]
	reply, err := b.ask(ctx, apps[0].ID)
	if err != nil {
		return err
	}
	asked, err := reply.Asked()
	if err != nil {
		return err
	}
	request, err := apps[0].Request(ctx, asked.AuthReqID)
	if err != nil {
		return err
	}
	var won, allowed, fetched atomic.Int64
	failures := make([]error, pollers+deciders+1)
	poll := func(i int) (code string) {
		b.polls.Add(1)
		thing := fmt.Sprintf("auth_req_id/%d", number)
		b.journal.do(history.Consume, thing, fmt.Sprintf("%s@%d", thing, i), func() (history.Outcome, string) {
			reply, err := b.clients[i%len(b.clients)].Poll(ctx, asked.AuthReqID)
			outcome, reason, err := redeemed(reply, err)
			if code = reply.OAuthError().Code; outcome == history.Unknown && reply.Status == http.StatusBadRequest && code != "" {
				return history.Refused, code // it waits, comes too soon, or was denied
			}
			failures[i] = err
			if outcome == history.OK {
				fetched.Add(1)
			}
			return outcome, reason
		})
		return code
	}
	decide := func(i int) {
		b.decisions.Add(1)
		allow := (number+i)%3 != 0
		thing := fmt.Sprintf("decision/%d", number)
		b.journal.do(history.Consume, thing, fmt.Sprintf("%s@%d", thing, i), func() (history.Outcome, string) {
			reply, err := apps[i%len(apps)].Decide(ctx, request, allow)
			switch {
			case err != nil:
				failures[i] = err
			case reply.Status == http.StatusOK:
				won.Add(1)
				if allow {
					allowed.Add(1)
				}
				return history.OK, ""
			case reply.Status == http.StatusConflict:
				return history.Refused, history.Consumed
			default:
				failures[i] = reply.Expect(http.StatusOK)
			}
			return history.Unknown, "not answered"
		})
	}
	var racing sync.WaitGroup
	for i := range pollers + deciders {
		racing.Go(func() {
			if i < deciders {
				decide(i)
				return
			}
			poll(i)
		})
	}
	racing.Wait()
	last := poll(pollers + deciders)
	b.tokens.Add(fetched.Load())
	b.refused.Add(1 - allowed.Load())
	wanted := ""
	if allowed.Load() == 0 {
		wanted = "access_denied"
	}
	if won.Load() != 1 || fetched.Load() != allowed.Load() || last != wanted && last != "invalid_grant" {
		failures = append(failures, fmt.Errorf("%d decisions won, %d of them to allow, %d tokens, the last poll said %q",
			won.Load(), allowed.Load(), fetched.Load(), last))
	}
	return errors.Join(failures...)
}

// ask asks a user; one who has just denied, as soon as that is allowed.
func (b *backchannel) ask(ctx context.Context, user string) (flowclient.Reply, error) {
	for {
		reply, err := b.clients[0].Ask(ctx, url.Values{"login_hint": {user}})
		if err != nil || reply.Status != http.StatusTooManyRequests {
			return reply, err
		}
		wait, err := strconv.Atoi(reply.Header.Get("Retry-After"))
		if err != nil {
			return reply, fmt.Errorf("a refusal without Retry-After: %s", reply.Body)
		}
		select {
		case <-time.After(time.Duration(wait) * time.Second):
		case <-ctx.Done():
			return reply, ctx.Err()
		}
	}
}

// String is the line at the end of a run.
func (b *backchannel) String() string {
	return fmt.Sprintf("%d requests: %d polls and %d decisions raced, %d tokens, %d refusals, in %s", b.requests, b.polls.Load(),
		b.decisions.Load(), b.tokens.Load(), b.refused.Load(), b.took.Round(time.Millisecond))
}

// faults is an error when the run has shown one, or has not shown what it was to show.
func (b *backchannel) faults() error {
	if len(b.failures) > 20 {
		b.failures = append(b.failures[:20], fmt.Errorf("and %d more", len(b.failures)-20))
	}
	if err := errors.Join(append(b.failures, b.verdict.Err())...); err != nil {
		return err
	}
	if b.tokens.Load()+b.refused.Load() != int64(b.requests) {
		return errors.New("not all was done")
	}
	return nil
}
