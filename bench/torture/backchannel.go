package main

import (
	"context"
	"time"

	"countersign/bench/torture/history"
	"countersign/store"
)

// alice is the user who allows everything.
const alice = "alice"

// Backchannel requests (CIBA Core §7): of all who decide one wins, and of all who fetch the tokens.

func (p *player) backchannel(ctx context.Context, of string) error {
	now := time.Now()
	return p.store.StartBackchannel(ctx, store.BackchannelRequest{ID: p.id("auth_req_id", of), ClientID: "client", Subject: alice,
		UserKey: p.id("person", of), CreatedAt: now, ExpiresAt: now.Add(lifetime), Interval: 5 * time.Second, NextPollAt: now,
	}, store.BackchannelLimits{User: 1, Organisation: 1, Client: 1})
}

func (p *player) decide(ctx context.Context, of, by string) error {
	return p.store.DecideBackchannel(ctx, store.BackchannelDecision{Request: p.id("auth_req_id", of), Subject: alice, Grant: p.finish(of, by).Grant})
}

func prepareBackchannel(ctx context.Context, p *player, n int) {
	of := thing("decision", n)
	_ = p.tell(ctx, history.Issue, of, "-", func() error { return p.backchannel(ctx, of) })
}

func raceDecision(ctx context.Context, p *player, n int) {
	of, mine := thing("decision", n), made("decision", n, p.number)
	_ = p.tell(ctx, history.Consume, of, mine, func() error { return p.decide(ctx, of, mine) })
}

func lookDecision(ctx context.Context, p *player, n int) error {
	request, err := p.store.BackchannelRequest(ctx, p.id("auth_req_id", thing("decision", n)))
	if err == nil && !request.DecidedAt.IsZero() {
		return store.ErrConsumed
	}
	return err
}

func lookOwnGrant(ctx context.Context, p *player, n int) error {
	request, err := p.store.BackchannelRequest(ctx, p.id("auth_req_id", thing("decision", n)))
	if err == nil && request.GrantID != p.run+" "+made("decision", n, p.number) {
		return store.ErrNotFound
	}
	return err
}

func prepareDecided(ctx context.Context, p *player, n int) {
	of := thing("auth_req_id", n)
	_ = p.tell(ctx, history.Issue, of, "-", func() error {
		if err := p.backchannel(ctx, of); err != nil {
			return err
		}
		return p.decide(ctx, of, of)
	})
}

func raceBackchannel(ctx context.Context, p *player, n int) {
	of, mine := thing("auth_req_id", n), made("auth_req_id", n, p.number)
	_ = p.tell(ctx, history.Consume, of, mine, func() error {
		return p.store.RedeemBackchannel(ctx, p.id("auth_req_id", of), p.issued(mine))
	})
}

func lookBackchannel(ctx context.Context, p *player, n int) error {
	request, err := p.store.BackchannelRequest(ctx, p.id("auth_req_id", thing("auth_req_id", n)))
	if err == nil && !request.ConsumedAt.IsZero() {
		return store.ErrConsumed
	}
	return err
}
