package storetest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"testing"
	"time"

	"countersign/store"
)

// kills is how often a writing child is killed.
const kills = 10

// testKill kills a process at a random time while it writes, again and again on the same database. Of each verb
// that it acknowledged everything must be there, and of the verb that was cut off everything or nothing.
func (b Backend) testKill(t *testing.T) {
	address := b.Create(t)
	acknowledged := 0
	for round := range kills {
		c := start(t, order{Role: "write", Address: address, Number: round})
		c.release(t)
		delay, err := rand.Int(rand.Reader, big.NewInt(int64(150*time.Millisecond)))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10*time.Millisecond + time.Duration(delay.Int64()))
		if err := c.command.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		lines := c.lines()
		if err := c.command.Wait(); err == nil || c.errors.Len() > 0 {
			t.Fatalf("the child ended by itself: %v\n%s", err, c.errors.String())
		}
		acknowledged += len(lines)
		b.afterKill(t, address, round, lines)
	}
	t.Logf("%d verbs were acknowledged before %d kills", acknowledged, kills)
	if acknowledged == 0 {
		t.Fatal("nothing was acknowledged, so nothing was shown")
	}
}

// afterKill checks what a killed child has left.
func (b Backend) afterKill(t *testing.T, address string, round int, lines []string) {
	t.Helper()
	s, err := b.Open(t.Context(), address, time.Now)
	if err != nil {
		t.Fatalf("the database does not open after a kill: %v", err)
	}
	defer s.Close()
	for i := 0; i <= len(lines); i++ { // the last is the one that was cut off
		f := flow{round: round, number: i / len(flowSteps)}
		step := flowSteps[i%len(flowSteps)]
		name := fmt.Sprintf("%d %s", f.number, step.name)
		if i < len(lines) && lines[i] != name {
			t.Fatalf("round %d: line %d is %q, want %q", round, i, lines[i], name)
		}
		left, total, err := step.traces(t.Context(), s, f)
		if err != nil {
			t.Fatalf("round %d: %s: %v", round, name, err)
		}
		if i < len(lines) && left < total {
			t.Errorf("round %d: %s was acknowledged and %d of its %d traces are there", round, name, left, total)
		}
		if left != 0 && left != total {
			t.Errorf("round %d: %s left %d of its %d traces", round, name, left, total)
		}
	}
}

// writeOn goes through flows, one after the other, and prints each verb that was acknowledged.
func writeOn(ctx context.Context, s store.Store, round int) error {
	for number := 0; ; number++ {
		f := flow{round: round, number: number}
		for _, step := range flowSteps {
			if err := step.write(ctx, s, f); err != nil {
				return err
			}
			fmt.Println(number, step.name)
		}
	}
}

// flow is one authorization from the pushed request to the refreshed token; its records can be named by anyone who
// knows its numbers.
type flow struct{ round, number int }

func (f flow) id(record string) store.Digest {
	return store.DigestOf(fmt.Sprintf("%s of flow %d in round %d", record, f.number, f.round))
}

func (f flow) oneTime(verb string) store.OneTime {
	return store.OneTime{Kind: "dpop", Key: f.id("use of " + verb), Until: time.Now().Add(time.Hour)}
}

// evidence is that of a verb, for a chain of its own.
func (f flow) evidence(verb string) []store.Evidence {
	return []store.Evidence{{Chain: fmt.Sprint(verb, f), At: time.Now(), Body: json.RawMessage("{}")}}
}

func evidenceThere(verb string) func(context.Context, store.Store, flow) error {
	return func(ctx context.Context, s store.Store, f flow) error {
		waiting, err := s.WaitingEvidence(ctx, fmt.Sprint(verb, f), time.Time{}, 1)
		return found(len(waiting) == 1, err)
	}
}

// step is one verb of a flow.
type step struct {
	name  string
	write func(context.Context, store.Store, flow) error
	// consumes reports that the verb consumes the flow's one-time value of its name.
	consumes bool
	// traces are the records that the verb leaves: each returns nil when its record is there and ErrNotFound
	// when it is not.
	records []func(context.Context, store.Store, flow) error
}

// traces counts what the step has left. It consumes the step's one-time value first: the database makes that wait for a
// statement of the killed process that it may still be working on.
func (p step) traces(ctx context.Context, s store.Store, f flow) (left, total int, err error) {
	total = len(p.records)
	claimed := 0
	if p.consumes {
		total++
		switch err := s.ConsumeOneTime(ctx, f.oneTime(p.name)); {
		case errors.Is(err, store.ErrReplayed):
			claimed = 1
		case err != nil:
			return 0, 0, err
		}
	}
	// Two looks, as that statement may end between the looks at two records.
	for range 2 {
		left = claimed
		for _, record := range p.records {
			switch err := record(ctx, s, f); {
			case err == nil:
				left++
			case !errors.Is(err, store.ErrNotFound):
				return 0, 0, err
			}
		}
		if left == 0 || left == total {
			break
		}
	}
	return left, total, nil
}

func found(exists bool, err error) error {
	if err != nil {
		return err
	}
	if !exists {
		return store.ErrNotFound
	}
	return nil
}

var flowSteps = []step{
	{
		name: "push",
		write: func(ctx context.Context, s store.Store, f flow) error {
			now := time.Now()
			return s.Push(ctx, store.Request{
				ID: f.id("request"), ClientID: "client", CreatedAt: now, ExpiresAt: now.Add(time.Hour), Evidence: f.evidence("push"),
			}, f.oneTime("push"))
		},
		consumes: true,
		records:  []func(context.Context, store.Store, flow) error{requestThere, evidenceThere("push")},
	},
	{
		name: "begin",
		write: func(ctx context.Context, s store.Store, f flow) error {
			now := time.Now()
			return s.BeginInteraction(ctx, store.Interaction{
				ID: f.id("interaction"), RequestID: f.id("request"), Browser: f.id("browser"),
				CreatedAt: now, ExpiresAt: now.Add(time.Hour),
			})
		},
		records: []func(context.Context, store.Store, flow) error{
			func(ctx context.Context, s store.Store, f flow) error {
				_, err := s.Interaction(ctx, f.id("interaction"), f.id("browser"))
				return unlessConsumed(err)
			},
		},
	},
	{
		name: "sign in",
		write: func(ctx context.Context, s store.Store, f flow) error {
			now := time.Now()
			user := store.User{Subject: "subject", Username: "subject", CreatedAt: now, UpdatedAt: now}
			if err := s.PutUser(ctx, user); err != nil {
				return err
			}
			return s.SignIn(ctx, f.id("interaction"), store.Session{
				ID: f.id("session"), Subject: "subject", AuthTime: now, ExpiresAt: now.Add(time.Hour),
			})
		},
		records: []func(context.Context, store.Store, flow) error{
			func(ctx context.Context, s store.Store, f flow) error {
				opened, err := s.Open(ctx, f.id("request"), f.id("session"))
				return found(opened.Session != nil, unlessConsumed(err))
			},
			func(ctx context.Context, s store.Store, f flow) error {
				pending, err := s.Interaction(ctx, f.id("interaction"), f.id("browser"))
				return found(pending.Session != nil, unlessConsumed(err))
			},
		},
	},
	{
		name: "finish",
		write: func(ctx context.Context, s store.Store, f flow) error {
			now := time.Now()
			grant := store.Grant{ID: fmt.Sprint(f), ClientID: "client", CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
			code := store.Code{
				ID: f.id("code"), GrantID: grant.ID, ClientID: "client", CreatedAt: now, ExpiresAt: now.Add(time.Hour),
			}
			return s.Finish(ctx, store.Finish{
				Interaction: f.id("interaction"), Request: f.id("request"), Grant: &grant, Code: &code, Evidence: f.evidence("finish"),
			})
		},
		records: []func(context.Context, store.Store, flow) error{
			evidenceThere("finish"),
			func(ctx context.Context, s store.Store, f flow) error {
				_, _, err := s.CodeGrant(ctx, f.id("code"))
				return err
			},
			func(ctx context.Context, s store.Store, f flow) error {
				opened, err := s.Open(ctx, f.id("request"), store.Digest{})
				return found(!opened.Request.FinishedAt.IsZero(), unlessConsumed(err))
			},
		},
	},
	{
		name: "redeem",
		write: func(ctx context.Context, s store.Store, f flow) error {
			now := time.Now()
			return s.RedeemCode(ctx, f.id("code"), store.Issued{
				AccessToken:  store.AccessToken{ID: f.id("first token"), ExpiresAt: now.Add(time.Hour)},
				RefreshToken: &store.RefreshToken{ID: f.id("refresh token"), CreatedAt: now, ExpiresAt: now.Add(time.Hour)},
			}, f.oneTime("redeem"))
		},
		consumes: true,
		records: []func(context.Context, store.Store, flow) error{
			accessTokenThere("first token"),
			func(ctx context.Context, s store.Store, f flow) error {
				_, _, err := s.RefreshGrant(ctx, f.id("refresh token"))
				return err
			},
			func(ctx context.Context, s store.Store, f flow) error {
				code, _, err := s.CodeGrant(ctx, f.id("code"))
				return found(!code.ConsumedAt.IsZero(), err)
			},
		},
	},
	{
		name: "refresh",
		write: func(ctx context.Context, s store.Store, f flow) error {
			return s.Refresh(ctx, f.id("refresh token"),
				store.AccessToken{ID: f.id("second token"), ExpiresAt: time.Now().Add(time.Hour)}, f.oneTime("refresh"))
		},
		consumes: true,
		records:  []func(context.Context, store.Store, flow) error{accessTokenThere("second token")},
	},
}

func requestThere(ctx context.Context, s store.Store, f flow) error {
	_, err := s.Open(ctx, f.id("request"), store.Digest{})
	return unlessConsumed(err)
}

func accessTokenThere(name string) func(context.Context, store.Store, flow) error {
	return func(ctx context.Context, s store.Store, f flow) error {
		_, err := s.AccessGrant(ctx, f.id(name))
		return err
	}
}

// unlessConsumed: a record that has been used is there.
func unlessConsumed(err error) error {
	if errors.Is(err, store.ErrConsumed) {
		return nil
	}
	return err
}
