package rp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"countersign/rp"
	"countersign/rp/client"
	"countersign/rp/client/providertest"
)

// Covers: RP-74.
func TestRP74Data(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]siteOption{"stored": func(*site, *rp.Config) {}, "sealed": sealedSessions} {
		t.Run("accepts what the application keeps, beside what it is, "+name, func(t *testing.T) {
			t.Parallel()
			s := newAttackedSite(t, providertest.New(t), how)
			s.mux.Handle("/add/{what}", s.app.Require()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				in, _ := rp.FromContext(r.Context())
				if err := in.Update(r.Context(), func(before json.RawMessage) (any, error) {
					var basket []string
					if len(before) > 0 {
						if err := json.Unmarshal(before, &basket); err != nil {
							return nil, err
						}
					}
					return append(basket, r.PathValue("what")), nil
				}); err != nil {
					s.t.Error(err)
				}
				var basket []string
				if err := in.Data(&basket); err != nil {
					s.t.Error(err)
				}
				fmt.Fprint(w, in.Subject(), basket)
			})))
			u := s.signedIn()
			u.wants(u.get("/add/lamp"), http.StatusOK, "sub-alice[lamp]")
			u.wants(u.get("/add/bread"), http.StatusOK, "sub-alice[lamp bread]")
			u.wants(u.get("/open"), http.StatusOK, "sub-alice")
		})
	}
	t.Run("accepts changes of many requests at once, each with those before", func(t *testing.T) {
		t.Parallel()
		s := newAttackedSite(t, providertest.New(t))
		u := s.signedIn()
		var wait sync.WaitGroup
		for range 16 {
			in := s.session(u, s.app)
			wait.Go(func() {
				if err := in.Update(t.Context(), func(before json.RawMessage) (any, error) {
					var number int
					if len(before) > 0 {
						if err := json.Unmarshal(before, &number); err != nil {
							return nil, err
						}
					}
					return number + 1, nil
				}); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		var number int
		if err := s.session(u, s.app).Data(&number); err != nil || number != 16 {
			t.Errorf("%d, %v", number, err)
		}
	})
	t.Run("refuses what cannot be kept, and keeps what was there", func(t *testing.T) {
		t.Parallel()
		s := newAttackedSite(t, providertest.New(t))
		u := s.signedIn()
		in := s.session(u, s.app)
		if err := in.Keep(t.Context(), "good"); err != nil {
			t.Fatal(err)
		}
		if err := in.Keep(t.Context(), func() {}); err == nil {
			t.Error("a function was kept")
		}
		var kept string
		if err := in.Data(&kept); err != nil || kept != "good" {
			t.Errorf("%q, %v", kept, err)
		}
		if err := s.app.Sessions().EndBySID(t.Context(), s.provider.Issuer, "session-1"); err != nil {
			t.Fatal(err)
		}
		if err := in.Keep(t.Context(), "late"); err == nil {
			t.Error("a session that has ended was changed")
		}
	})
}

// TestOnRefresh: the hook is told of new tokens, and an exchange is of the current one.
func TestOnRefresh(t *testing.T) {
	t.Parallel()
	p := providertest.New(t)
	var refreshed []string
	s := newAttackedSite(t, p, func(_ *site, c *rp.Config) {
		c.Hooks.OnRefresh = func(_ context.Context, subject string, tokens *client.Tokens) {
			refreshed = append(refreshed, subject+" "+tokens.AccessToken)
		}
	})
	u := s.signedIn()
	in := s.session(u, s.app)
	p.Advance(5 * time.Minute)
	tokens, err := in.Token(t.Context())
	if err != nil || len(refreshed) != 1 || refreshed[0] != "sub-alice "+tokens.AccessToken {
		t.Fatalf("%v, %v", refreshed, err)
	}
	exchanged, err := in.Exchange(t.Context(), client.ExchangeOptions{Audience: []string{"https://api.example"}})
	if err != nil || exchanged.AccessToken == "" || exchanged.AccessToken == tokens.AccessToken {
		t.Fatalf("%v", err)
	}
	requests := p.Requests("/token")
	last := requests[len(requests)-1].Form
	if last.Get("subject_token") != tokens.AccessToken || last.Get("audience") != "https://api.example" {
		t.Errorf("%v", last)
	}
	ctx, cancel := context.WithCancel(t.Context())
	http := in.HTTPClient(ctx)
	cancel()
	if _, err := http.Get(p.Issuer + "/resource"); !errors.Is(err, context.Canceled) {
		t.Errorf("after its end: %v", err)
	}
}
