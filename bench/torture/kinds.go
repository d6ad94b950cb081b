package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"countersign/bench/torture/history"
	"countersign/store"
)

const (
	// lifetime is longer than any run, so that nothing ends by itself.
	lifetime = 12 * time.Hour
	// memory is how long a used value is remembered, also longer than a run.
	memory = time.Hour
)

// player is one who races: one goroutine of one process, with its number among all.
type player struct {
	store   store.Store
	history *history.Writer
	// run tells the things of this run from those of another.
	run    string
	number int
}

// kind is a sort of one-time thing. Things are numbered; whoever knows the number can name all that belongs to it.
type kind struct {
	name string
	// prepare makes the thing.
	prepare func(context.Context, *player, int)
	// race tries to use it.
	race func(context.Context, *player, int)
	// look asks at the end what became of the thing, and made what became of what one player asked for it; made may be
	// nil, if there is nothing to ask for.
	look func(context.Context, *player, int) error
	made func(context.Context, *player, int) error
}

// kinds are all that is raced for.
func kinds() []kind {
	return []kind{
		{"code", prepareCode, raceCode, lookCode, lookToken("code")},
		{"jti", prepareNothing, raceUse, lookUse("jti"), nil},
		{"request", prepareRequest, raceRequest, lookRequest, lookOwnCode},
		{"refresh", prepareRefresh, raceRefresh, lookUse("refresh"), lookToken("refresh")},
		{"decision", prepareBackchannel, raceDecision, lookDecision, lookOwnGrant},
		{"auth_req_id", prepareDecided, raceBackchannel, lookBackchannel, lookToken("auth_req_id")},
		{"grant", prepareGrant, raceGrant, nil, lookFirstToken},
	}
}

func kindNamed(name string) (kind, bool) {
	for _, k := range kinds() {
		if k.name == name {
			return k, true
		}
	}
	return kind{}, false
}

func thing(kind string, number int) string { return fmt.Sprintf("%s/%d", kind, number) }

// made names what a player asks for a thing.
func made(kind string, number, player int) string {
	return fmt.Sprintf("%s/%d@%d", kind, number, player)
}

// id is the digest of a secret of this run.
func (p *player) id(what, of string) store.Digest {
	return store.DigestOf(p.run + " " + what + " " + of)
}

// tell runs one operation with its place in the history. An answer of the store is an outcome; any other error leaves it
// unknown, and the player waits until the database answers again.
func (p *player) tell(ctx context.Context, verb, thing, made string, work func() error) error {
	number, err := p.history.Begin(verb, thing, made)
	if err != nil {
		p.hopeless(err)
	}
	failure := work()
	outcome, reason := judged(failure)
	if err := p.history.End(number, outcome, reason); err != nil {
		p.hopeless(err)
	}
	if outcome == history.Unknown {
		p.await(ctx)
	}
	return failure
}

// hopeless ends the process: what cannot be told must not be done.
func (p *player) hopeless(err error) {
	fmt.Fprintln(os.Stderr, "torture: the history cannot be written:", err)
	os.Exit(1)
}

// await waits until the database answers, two minutes at most.
func (p *player) await(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for ctx.Err() == nil && p.store.Ping(ctx) != nil {
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// judged translates what a verb returns.
func judged(err error) (history.Outcome, string) {
	switch {
	case err == nil:
		return history.OK, ""
	case errors.Is(err, store.ErrConsumed), errors.Is(err, store.ErrReplayed):
		return history.Refused, history.Consumed
	case errors.Is(err, store.ErrRevoked):
		return history.Refused, history.Ended
	case errors.Is(err, store.ErrNotFound):
		return history.Refused, history.Absent
	case errors.Is(err, store.ErrExpired):
		return history.Refused, "expired"
	case errors.Is(err, store.ErrConflict):
		return history.Refused, "conflict"
	case errors.Is(err, store.ErrClock):
		return history.Refused, "clock" // nothing was done
	}
	return history.Unknown, err.Error()
}

// Things and what they are made of.

func (p *player) request(of string) store.Request {
	now := time.Now()
	return store.Request{ID: p.id("request", of), ClientID: "client", CreatedAt: now, ExpiresAt: now.Add(lifetime)}
}

func (p *player) finish(of, by string) store.Finish {
	now := time.Now()
	grant := store.Grant{ID: p.run + " " + by, ClientID: "client", Subject: alice, CreatedAt: now, ExpiresAt: now.Add(lifetime)}
	return store.Finish{Request: p.id("request", of), Grant: &grant, Code: &store.Code{
		ID: p.id("code", by), GrantID: grant.ID, ClientID: "client", CreatedAt: now, ExpiresAt: now.Add(lifetime)}}
}

func (p *player) token(of string) store.AccessToken {
	return store.AccessToken{ID: p.id("token", of), ExpiresAt: time.Now().Add(lifetime)}
}

func (p *player) issued(of string) store.Issued {
	now := time.Now()
	return store.Issued{AccessToken: p.token(of), RefreshToken: &store.RefreshToken{
		ID: p.id("refresh", of), CreatedAt: now, ExpiresAt: now.Add(lifetime)}}
}

func (p *player) use(of string) store.OneTime {
	return store.OneTime{Kind: "client_assertion", Key: p.id("use", of), Until: time.Now().Add(memory)}
}

// issue stores a grant with a code.
func (p *player) issue(ctx context.Context, of string) error {
	if err := p.store.Push(ctx, p.request(of)); err != nil {
		return err
	}
	return p.store.Finish(ctx, p.finish(of, of))
}

// Codes: of all who redeem one wins, and the second ends what was issued for the first (RFC 6749 §4.1.2).

func prepareCode(ctx context.Context, p *player, n int) {
	of := thing("code", n)
	_ = p.tell(ctx, history.Issue, of, "-", func() error { return p.issue(ctx, of) })
}

func raceCode(ctx context.Context, p *player, n int) {
	of, mine := thing("code", n), made("code", n, p.number)
	if p.tell(ctx, history.Consume, of, mine, func() error { return p.store.RedeemCode(ctx, p.id("code", of), p.issued(mine)) }) == nil {
		_ = p.tell(ctx, history.Access, of, mine, func() error { return p.access(ctx, mine) })
	}
}

func (p *player) access(ctx context.Context, of string) error {
	_, err := p.store.AccessGrant(ctx, p.id("token", of))
	return err
}

func lookCode(ctx context.Context, p *player, n int) error {
	code, grant, err := p.store.CodeGrant(ctx, p.id("code", thing("code", n)))
	switch {
	case err != nil:
		return err
	case !grant.RevokedAt.IsZero():
		return store.ErrRevoked
	case !code.ConsumedAt.IsZero():
		return store.ErrConsumed
	}
	return nil
}

func lookToken(kind string) func(context.Context, *player, int) error {
	return func(ctx context.Context, p *player, n int) error { return p.access(ctx, made(kind, n, p.number)) }
}

// Identifiers of client assertions and proofs (RFC 7523 §3, RFC 9449 §11.1).

func prepareNothing(context.Context, *player, int) {}

func raceUse(ctx context.Context, p *player, n int) {
	of := thing("jti", n)
	_ = p.tell(ctx, history.Consume, of, made("jti", n, p.number), func() error { return p.store.ConsumeOneTime(ctx, p.use(of)) })
}

// lookUse claims what was raced for: it must be too late.
func lookUse(kind string) func(context.Context, *player, int) error {
	return func(ctx context.Context, p *player, n int) error {
		return p.store.ConsumeOneTime(ctx, p.use(thing(kind, n)))
	}
}

// Pushed requests: of all who answer one wins (RFC 9126 §7.3).

func prepareRequest(ctx context.Context, p *player, n int) {
	of := thing("request", n)
	_ = p.tell(ctx, history.Issue, of, "-", func() error { return p.store.Push(ctx, p.request(of)) })
}

func raceRequest(ctx context.Context, p *player, n int) {
	of, mine := thing("request", n), made("request", n, p.number)
	_ = p.tell(ctx, history.Consume, of, mine, func() error { return p.store.Finish(ctx, p.finish(of, mine)) })
}

func lookRequest(ctx context.Context, p *player, n int) error {
	_, err := p.store.Open(ctx, p.id("request", thing("request", n)), store.Digest{})
	return err
}

func lookOwnCode(ctx context.Context, p *player, n int) error {
	_, _, err := p.store.CodeGrant(ctx, p.id("code", made("request", n, p.number)))
	return err
}

// Refresh tokens: they stay (FAPI 2.0 Security Profile §5.3.2.1-9); the request with its proof is what is used once.

func prepareRefresh(ctx context.Context, p *player, n int) {
	of := thing("refresh", n)
	_ = p.tell(ctx, history.Issue, of, "-", func() error {
		if err := p.issue(ctx, of); err != nil {
			return err
		}
		return p.store.RedeemCode(ctx, p.id("code", of), p.issued(of))
	})
}

func raceRefresh(ctx context.Context, p *player, n int) {
	of, mine := thing("refresh", n), made("refresh", n, p.number)
	_ = p.tell(ctx, history.Consume, of, mine, func() error {
		return p.store.Refresh(ctx, p.id("refresh", of), p.token(mine), p.use(of))
	})
}

// Grants: some use what was issued while others end it.

func prepareGrant(ctx context.Context, p *player, n int) {
	of := thing("grant", n)
	if p.tell(ctx, history.Issue, of, "-", func() error { return p.issue(ctx, of) }) == nil {
		_ = p.tell(ctx, history.Issue, of, of, func() error { return p.store.RedeemCode(ctx, p.id("code", of), p.issued(of)) })
	}
}

func raceGrant(ctx context.Context, p *player, n int) {
	of := thing("grant", n)
	switch p.number % 4 {
	case n % 4:
		_ = p.tell(ctx, history.End, of, "-", func() error { return p.store.RevokeGrant(ctx, p.run+" "+of, store.RevokedByOperator, nil) })
	case (n + 1) % 4:
		_ = p.tell(ctx, history.Access, of, "-", func() error {
			return p.store.Refresh(ctx, p.id("refresh", of), p.token(made("grant", n, p.number)))
		})
	default:
		_ = p.tell(ctx, history.Access, of, of, func() error { return p.access(ctx, of) })
	}
}

func lookFirstToken(ctx context.Context, p *player, n int) error {
	return p.access(ctx, thing("grant", n))
}
