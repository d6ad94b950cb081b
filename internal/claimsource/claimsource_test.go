package claimsource_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/claims"
	"countersign/fapi/fapitest"
	"countersign/internal/claimsource"
	"countersign/internal/correlation"
	"countersign/internal/queue"
)

// world is a source with the bank that it asks.
type world struct {
	*claimsource.Source
	bank  *fapitest.Bank
	clock *fapitest.Clock
	log   *fapitest.LogBuffer
}

func newWorld(t *testing.T, change func(*claimsource.Config)) *world {
	t.Helper()
	w := &world{bank: fapitest.NewBank(t), clock: fapitest.NewClock(time.Now()), log: &fapitest.LogBuffer{}}
	w.bank.Knows("sub-alice", map[string]any{"name": "Alice", "email": "alice@bank.example", "email_verified": true, "shoe_size": "4711"})
	config := w.bank.Config(t, w.clock.Now, slog.New(slog.NewJSONHandler(w.log, nil)))
	if change != nil {
		change(&config)
	}
	var err error
	if w.Source, err = claimsource.New(config); err != nil {
		t.Fatal(err)
	}
	return w
}

// alice is a question about her.
func alice(names ...string) claims.Question {
	return claims.Question{Subject: "sub-alice", ClientID: "client-1", Purpose: claims.ForUserInfo, Scopes: []string{"openid"}, Names: names}
}

// gives checks an answer.
func (w *world) gives(t *testing.T, q claims.Question, want map[string]string) {
	t.Helper()
	answer, err := w.Ask(t.Context(), q)
	if err != nil {
		t.Fatalf("%v\n%s", err, w.log)
	}
	got := map[string]string{}
	for name, value := range answer.Claims {
		got[name] = string(value)
	}
	if diff := cmp.Diff(want, got); diff != "" || answer.Inactive {
		t.Errorf("inactive %v (-want +got):\n%s", answer.Inactive, diff)
	}
}

// fails checks that there is no answer, and why.
func (w *world) fails(t *testing.T, reason string) *claimsource.Error {
	t.Helper()
	answer, err := w.Ask(t.Context(), alice("name"))
	failure, ok := errors.AsType[*claimsource.Error](err)
	if !ok || !strings.Contains(failure.Reason, reason) || answer.Claims != nil || failure.RetryAfter() <= 0 {
		t.Fatalf("%v %v, want %q", answer, err, reason)
	}
	return failure
}

// Covers: KB-13. The source is asked over mutual TLS: it is shown the certificate, and has to be who it is.
func TestKB13MutualTLS(t *testing.T) {
	t.Parallel()
	other := fapitest.NewAuthority(t, "Other CA", time.Now())
	showing := func(c *claimsource.Config, shown tls.Certificate) {
		c.Policy.Certificate = new(atomic.Pointer[tls.Certificate])
		c.Policy.Certificate.Store(&shown)
	}
	t.Run("accepts the right certificate on both sides", func(t *testing.T) {
		w := newWorld(t, nil)
		w.gives(t, alice("name"), map[string]string{"name": `"Alice"`})
	})
	for name, change := range map[string]func(*claimsource.Config, *fapitest.Bank){
		"a certificate of another authority": func(c *claimsource.Config, _ *fapitest.Bank) { showing(c, other.Issue(t, "countersign", time.Now())) },
		"a certificate that has expired": func(c *claimsource.Config, b *fapitest.Bank) {
			showing(c, b.Authority.Issue(t, "countersign", time.Now().Add(-24*time.Hour)))
		},
		"no certificate":                func(c *claimsource.Config, _ *fapitest.Bank) { showing(c, tls.Certificate{}) },
		"a server of another authority": func(c *claimsource.Config, _ *fapitest.Bank) { c.Policy.Roots = nil },
		"a server whose certificate expired": func(c *claimsource.Config, _ *fapitest.Bank) {
			c.Policy.Now = func() time.Time { return time.Now().Add(11 * 24 * time.Hour) }
		},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			var bank *fapitest.Bank
			w := newWorld(t, func(c *claimsource.Config) {
				bank = fapitest.NewBank(t)
				c.Address, c.Policy.Roots = bank.Address, bank.Roots
				showing(c, bank.Authority.Issue(t, "countersign", time.Now()))
				change(c, bank)
			})
			w.fails(t, "")
			if asked := bank.Asked(); len(asked) != 0 {
				t.Errorf("it was asked %v", asked)
			}
			if !strings.Contains(w.log.String(), "claims source gave no answer") {
				t.Errorf("logged %s", w.log)
			}
		})
	}
	t.Run("accepts another certificate from the next question on", func(t *testing.T) {
		var shown *atomic.Pointer[tls.Certificate]
		w := newWorld(t, func(c *claimsource.Config) {
			showing(c, other.Issue(t, "countersign", time.Now()))
			shown = c.Policy.Certificate
		})
		w.fails(t, "")
		shown.Store(new(w.bank.Authority.Issue(t, "countersign", time.Now())))
		w.gives(t, alice("name"), map[string]string{"name": `"Alice"`})
	})
}

// Covers: KB-15. The source is told what is wanted, for whom, and why, and nothing that it gives beyond that is taken.
func TestKB15Minimal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	t.Run("accepts a question with what the contract has", func(t *testing.T) {
		ctx := correlation.With(t.Context(), "correlation-1")
		if _, err := w.Ask(ctx, alice("email", "name")); err != nil {
			t.Fatal(err)
		}
		want := []map[string]any{{
			"subject": "sub-alice", "client_id": "client-1", "claims": []any{"email", "name"}, "scopes": []any{"openid"},
			"purpose": "userinfo", "correlation_id": "correlation-1",
		}}
		if diff := cmp.Diff(want, w.bank.Asked()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("accepts a question for no claims", func(t *testing.T) {
		w.gives(t, alice(), map[string]string{})
		if asked := w.bank.Asked(); len(asked) != 1 || asked[0]["claims"] == nil {
			t.Errorf("asked %v", asked)
		}
	})
	t.Run("refuses what was not asked for", func(t *testing.T) {
		w.gives(t, alice("email"), map[string]string{"email": `"alice@bank.example"`})
	})
	t.Run("refuses what no standard has, if it is asked for", func(t *testing.T) {
		answer, err := w.Ask(t.Context(), alice("shoe_size"))
		if err == nil {
			t.Errorf("took %v", answer)
		}
	})
}

// Covers: KB-16. What an answer may be: JSON of a size, whole and in time.
func TestKB16Answers(t *testing.T) {
	t.Parallel()
	const canary = "canary-7f3a"
	respond := func(contentType, body string) func(http.ResponseWriter, *http.Request, map[string]any) {
		return func(w http.ResponseWriter, _ *http.Request, _ map[string]any) {
			w.Header().Set("Content-Type", contentType)
			_, _ = io.WriteString(w, body)
		}
	}
	right := `{"sub":"sub-alice","name":"Alice"}`
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request, map[string]any){
		"JSON":                respond("application/json", right),
		"JSON with a charset": respond("application/json; charset=utf-8", right),
		"the largest": func(w http.ResponseWriter, _ *http.Request, _ map[string]any) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, right+strings.Repeat(" ", 64<<10-len(right)))
		},
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.bank.Answers(answer)
			w.gives(t, alice("name"), map[string]string{"name": `"Alice"`})
		})
	}
	for name, test := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request, map[string]any)
		reason string
	}{
		"a byte more":    {respond("application/json", right+strings.Repeat(" ", 64<<10-len(right)+1)), "larger than 65536 bytes"},
		"HTML":           {respond("text/html", right), "not application/json"},
		"no type at all": {respond("", right), "not application/json"},
		"no JSON":        {respond("application/json", canary), "not a JSON object"},
		"another status": {func(w http.ResponseWriter, _ *http.Request, _ map[string]any) {
			http.Error(w, canary, http.StatusNotFound)
		}, "status 404"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request, _ map[string]any) {
			http.Redirect(w, r, "/"+canary, http.StatusTemporaryRedirect)
		}, "redirect (307)"},
		"an answer without a body": {func(w http.ResponseWriter, _ *http.Request, _ map[string]any) { w.WriteHeader(http.StatusOK) }, "not application/json"},
		"a connection that ends": {func(http.ResponseWriter, *http.Request, map[string]any) {
			panic(http.ErrAbortHandler)
		}, "broke off"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.bank.Answers(test.answer)
			w.fails(t, test.reason)
			if strings.Contains(w.log.String(), canary) || !strings.Contains(w.log.String(), `"client_id":"client-1"`) {
				t.Errorf("logged %s", w.log)
			}
		})
	}
	t.Run("refuses to wait for a slow answer", func(t *testing.T) {
		w := newWorld(t, func(c *claimsource.Config) { c.Policy.Timeout = 200 * time.Millisecond })
		w.bank.Answers(func(_ http.ResponseWriter, r *http.Request, _ map[string]any) { <-r.Context().Done() })
		began := time.Now()
		w.fails(t, "took too long")
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %s", took)
		}
	})
	t.Run("refuses to wait for an answer that trickles", func(t *testing.T) {
		w := newWorld(t, func(c *claimsource.Config) { c.Policy.Timeout = 200 * time.Millisecond })
		w.bank.Answers(func(w http.ResponseWriter, r *http.Request, _ map[string]any) {
			w.Header().Set("Content-Type", "application/json")
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, " ")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(5 * time.Millisecond)
			}
		})
		w.fails(t, "took too long")
	})
}

// Covers: KB-17. A source that answers about another user is refused whatever else it says, and as such.
func TestKB17WrongSubject(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *claimsource.Config) { c.Cache = time.Minute })
	for name, answer := range map[string]map[string]any{
		"another user":                 {"sub": "sub-bob", "name": "Alice"},
		"another user who is disabled": {"sub": "sub-bob", "active": false},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			w.bank.Answers(func(w http.ResponseWriter, _ *http.Request, _ map[string]any) { fapitest.WriteAnswer(w, answer) })
			if got, err := w.Ask(t.Context(), alice("name")); !errors.Is(err, claims.ErrWrongSubject) || got.Claims != nil || got.Inactive {
				t.Errorf("%v %v", got, err)
			}
		})
	}
	t.Run("accepts the right one after it: nothing was kept", func(t *testing.T) {
		w.bank.Answers(nil)
		w.gives(t, alice("name"), map[string]string{"name": `"Alice"`})
	})
}

// Covers: KB-18, KB-19. An answer is used again for the same question until its time is over, never longer, and for no other
// question.
func TestKB18Cache(t *testing.T) {
	t.Parallel()
	asked := func(t *testing.T, w *world, want int) {
		t.Helper()
		if got := len(w.bank.Asked()); got != want {
			t.Errorf("asked %d times, want %d", got, want)
		}
	}
	minute := func(c *claimsource.Config) { c.Cache = time.Minute }
	is := map[string]string{"name": `"Alice"`}
	t.Run("accepts the same question again, by the one clock", func(t *testing.T) {
		w := newWorld(t, minute)
		for range 3 {
			w.gives(t, alice("name"), is)
			w.clock.Advance(20*time.Second - 1)
		}
		asked(t, w, 1)
		w.clock.Advance(3)
		w.gives(t, alice("name"), is)
		asked(t, w, 1)
	})
	t.Run("refuses what has ended, while the source is away", func(t *testing.T) {
		w := newWorld(t, minute)
		w.gives(t, alice("name"), is)
		w.bank.IsAway(true)
		w.clock.Advance(time.Minute - 1)
		w.gives(t, alice("name"), is)
		w.clock.Advance(1)
		w.fails(t, "status 503")
		w.bank.IsAway(false)
		w.gives(t, alice("name"), is)
	})
	t.Run("refuses to keep anything without a rule", func(t *testing.T) {
		w := newWorld(t, nil)
		w.gives(t, alice("name"), is)
		w.gives(t, alice("name"), is)
		asked(t, w, 2)
	})
	for control, kept := range map[string]time.Duration{
		"no-store": 0, "no-cache": 0, "max-age=0": 0, "max-age=10": 10 * time.Second, "max-age=3600": time.Minute, "private": time.Minute,
	} {
		t.Run("accepts Cache-Control: "+control+" within the rule", func(t *testing.T) {
			w := newWorld(t, minute)
			w.bank.Answers(func(w http.ResponseWriter, _ *http.Request, _ map[string]any) {
				w.Header().Set("Cache-Control", control)
				fapitest.WriteAnswer(w, map[string]any{"sub": "sub-alice", "name": "Alice"})
			})
			w.gives(t, alice("name"), is)
			if kept > 0 {
				w.clock.Advance(kept - 1)
				w.gives(t, alice("name"), is)
				asked(t, w, 1)
				w.clock.Advance(1)
			}
			w.bank.Asked()
			w.gives(t, alice("name"), is)
			asked(t, w, 1)
		})
	}
	t.Run("refuses another client what the first one was told", func(t *testing.T) {
		w := newWorld(t, minute)
		w.gives(t, alice("email", "name"), map[string]string{"name": `"Alice"`, "email": `"alice@bank.example"`})
		other := alice("name")
		other.ClientID = "client-2"
		w.gives(t, other, is)
		w.gives(t, alice("name"), is)
		asked(t, w, 3)
	})
	t.Run("refuses to keep that a user is disabled, and what was known before", func(t *testing.T) {
		w := newWorld(t, minute)
		w.gives(t, alice("name"), is)
		w.bank.Knows("sub-alice", map[string]any{"active": false})
		if answer, err := w.Ask(t.Context(), alice()); err != nil || !answer.Inactive {
			t.Errorf("%v %v", answer, err)
		}
		if answer, err := w.Ask(t.Context(), alice("name")); err != nil || !answer.Inactive {
			t.Errorf("kept %v %v", answer, err)
		}
		w.bank.Knows("sub-alice", map[string]any{"name": "Alice"})
		w.gives(t, alice("name"), is)
	})
	t.Run("refuses to keep errors", func(t *testing.T) {
		w := newWorld(t, minute)
		w.bank.IsAway(true)
		w.fails(t, "status 503")
		w.bank.IsAway(false)
		w.gives(t, alice("name"), is)
	})
}

// Covers: KB-23. A source that is away is left alone after a few questions, tried again, and used as soon as it answers. An
// answer that is wrong about one user keeps no other from being asked about.
func TestKB23Outage(t *testing.T) {
	t.Parallel()
	t.Run("refuses to ask a source that is away, and accepts it when it is back", func(t *testing.T) {
		w := newWorld(t, nil)
		w.bank.IsAway(true)
		for range 5 {
			w.fails(t, "status 503")
		}
		for range 20 {
			if failure := w.fails(t, "not asked for a while"); failure.Wait > 2*time.Second {
				t.Errorf("wait %s", failure.Wait)
			}
		}
		if asked := len(w.bank.Asked()); asked != 5 {
			t.Errorf("asked %d times", asked)
		}
		w.clock.Advance(2 * time.Second)
		w.fails(t, "status 503")
		w.fails(t, "not asked for a while")
		w.bank.IsAway(false)
		w.clock.Advance(4 * time.Second)
		w.gives(t, alice("name"), map[string]string{"name": `"Alice"`})
		if lines := strings.Count(w.log.String(), "claims source gave no answer"); lines != 6 || strings.Count(w.log.String(), "claims source answers again") != 1 {
			t.Errorf("logged %d lines:\n%s", lines, w.log)
		}
	})
	t.Run("accepts others beside a user about whom the answer is wrong", func(t *testing.T) {
		w := newWorld(t, nil)
		w.bank.Knows("sub-bob", map[string]any{"name": 7})
		for range 20 {
			q := alice("name")
			q.Subject = "sub-bob"
			if _, err := w.Ask(t.Context(), q); err == nil {
				t.Fatal("accepted a number as a name")
			}
		}
		w.gives(t, alice("name"), map[string]string{"name": `"Alice"`})
	})
	t.Run("accepts that those who ask leave", func(t *testing.T) {
		w := newWorld(t, nil)
		w.bank.Answers(func(_ http.ResponseWriter, r *http.Request, _ map[string]any) { <-r.Context().Done() })
		for range 10 {
			ctx, leave := context.WithTimeout(t.Context(), 30*time.Millisecond)
			if _, err := w.Ask(ctx, alice("name")); err == nil {
				t.Fatal("answered")
			}
			leave()
		}
		w.bank.Answers(nil)
		w.gives(t, alice("name"), map[string]string{"name": `"Alice"`})
		if strings.Contains(w.log.String(), "gave no answer") {
			t.Errorf("logged %s", w.log)
		}
	})
	t.Run("refuses more questions at once than are allowed, and those that would wait too long", func(t *testing.T) {
		w := newWorld(t, func(c *claimsource.Config) { c.AtOnce, c.Policy.Timeout = 2, time.Second })
		var running, most, done atomic.Int64
		release := make(chan struct{})
		w.bank.Answers(func(w http.ResponseWriter, r *http.Request, _ map[string]any) {
			now := running.Add(1)
			defer running.Add(-1)
			for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
			}
			select {
			case <-release:
			case <-r.Context().Done():
			}
			done.Add(1)
			fapitest.WriteAnswer(w, map[string]any{"sub": "sub-alice", "name": "Alice"})
		})
		var wait sync.WaitGroup
		var refused, answered atomic.Int64
		for i := range 40 {
			wait.Go(func() {
				q := alice("name")
				q.ClientID = fmt.Sprint("client-", i)
				_, err := w.Ask(t.Context(), q)
				_, full := errors.AsType[*queue.RefusedError](err)
				switch {
				case err == nil:
					answered.Add(1)
				case full:
					refused.Add(1)
				}
			})
		}
		time.AfterFunc(300*time.Millisecond, func() { close(release) })
		wait.Wait()
		if most.Load() > 2 || refused.Load() < 40-2-2*8 || answered.Load() < 2 || refused.Load()+answered.Load() != 40 {
			t.Errorf("%d at once, %d refused, %d answered", most.Load(), refused.Load(), answered.Load())
		}
	})
}

// Covers: KB-23. A client that asks about many users at once keeps no other client waiting.
func TestKB23Share(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *claimsource.Config) { c.AtOnce = 4 }) // 36 in all, 9 for one client
	release := make(chan struct{})
	w.bank.Answers(func(w http.ResponseWriter, r *http.Request, question map[string]any) {
		if question["client_id"] == "client-1" {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
		fapitest.WriteAnswer(w, map[string]any{"sub": question["subject"]})
	})
	var wait sync.WaitGroup
	var refused, other atomic.Int64
	for range 30 {
		wait.Go(func() {
			_, err := w.Ask(t.Context(), alice("name"))
			failure, ok := errors.AsType[*claimsource.Error](err)
			switch {
			case ok && strings.Contains(failure.Reason, "too many questions at once") && failure.RetryAfter() > 0:
				if refused.Add(1) == 30-9 {
					close(release)
				}
			case err != nil:
				other.Add(1)
			}
		})
	}
	wait.Wait()
	t.Run("refuses what is more than its share", func(t *testing.T) {
		if refused.Load() != 30-9 || other.Load() != 0 {
			t.Errorf("%d refused, %d failed otherwise", refused.Load(), other.Load())
		}
	})
	t.Run("accepts the client again afterwards, and others", func(t *testing.T) {
		for _, client := range []string{"client-1", "client-2"} {
			q := alice()
			q.ClientID = client
			w.gives(t, q, map[string]string{})
		}
	})
}

// Covers: KB-14. Addresses that are not public are reached where the operator names their network, and links and clouds' metadata never.
func TestKB14Networks(t *testing.T) {
	t.Parallel()
	t.Run("accepts a loopback network that is named", func(t *testing.T) {
		w := newWorld(t, func(c *claimsource.Config) {
			c.Policy.AllowLoopback, c.Policy.Networks = false, []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
		})
		w.gives(t, alice("name"), map[string]string{"name": `"Alice"`})
	})
	for name, networks := range map[string][]netip.Prefix{
		"a loopback address without a network": nil, "one in another network": {netip.MustParsePrefix("10.1.2.0/28"), netip.MustParsePrefix("127.0.1.0/24")},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			w := newWorld(t, func(c *claimsource.Config) { c.Policy.AllowLoopback, c.Policy.Networks = false, networks })
			w.fails(t, "an address of this machine")
			if asked := w.bank.Asked(); len(asked) != 0 {
				t.Errorf("asked %v", asked)
			}
		})
	}
}

// Covers: KB-25. What is wrong with a source shows before it is used, by the key of the configuration.
func TestKB25Errors(t *testing.T) {
	t.Parallel()
	bank := fapitest.NewBank(t)
	for name, test := range map[string]struct {
		change func(*claimsource.Config)
		want   string
	}{
		"http":                      {func(c *claimsource.Config) { c.Address = "http://claims.bank.example" }, "claims_source.address: the address must begin with https://"},
		"no host":                   {func(c *claimsource.Config) { c.Address = "https:///claims" }, "claims_source.address: the address has no host"},
		"a password in the address": {func(c *claimsource.Config) { c.Address = "https://a:hunter2@claims.bank.example" }, "claims_source.address: the address has user information"},
		"a private address":         {func(c *claimsource.Config) { c.Address = "https://10.1.2.3/claims" }, "claims_source.address: the host is a private address (RFC 1918); name its network in claims_source.networks"},
		"a metadata address":        {func(c *claimsource.Config) { c.Address = "https://169.254.169.254/claims" }, "claims_source.address: the host is a link-local or metadata address"},
		"a link-local network": {func(c *claimsource.Config) {
			c.Policy.Networks = []netip.Prefix{netip.MustParsePrefix("169.254.169.0/24")}
		}, "claims_source.networks: 169.254.169.0/24: "},
		"a network as large as a world": {func(c *claimsource.Config) { c.Policy.Networks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/7")} }, "claims_source.networks: 10.0.0.0/7: "},
		"no certificate":                {func(c *claimsource.Config) { c.Policy.Certificate = nil }, "claims_source.certificate_file: missing"},
		"an empty certificate":          {func(c *claimsource.Config) { c.Policy.Certificate = new(atomic.Pointer[tls.Certificate]) }, "claims_source.certificate_file: missing"},
		"nothing to ask for":            {func(c *claimsource.Config) { c.Claims = nil }, "claims_source.claims: empty"},
		"a claim that is none":          {func(c *claimsource.Config) { c.Claims = []string{"shoe_size"} }, `claims_source.claims: "shoe_size"`},
		"a claim twice":                 {func(c *claimsource.Config) { c.Claims = []string{"name", "name"} }, `claims_source.claims: "name" is named twice`},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			config := bank.Config(t, time.Now, slog.New(slog.DiscardHandler))
			test.change(&config)
			_, err := claimsource.New(config)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
	for name, change := range map[string]func(*claimsource.Config){
		"no claims, to ask who is active": func(c *claimsource.Config) { c.Claims, c.CheckActive = nil, true },
		"a private address in its network": func(c *claimsource.Config) {
			c.Address, c.Policy.Networks = "https://10.1.2.3/claims", []netip.Prefix{netip.MustParsePrefix("10.1.2.0/28")}
		},
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			config := bank.Config(t, time.Now, slog.New(slog.DiscardHandler))
			change(&config)
			if _, err := claimsource.New(config); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRace: many ask at once, about several users, while the source comes and goes. None is told about another.
func TestRace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *claimsource.Config) { c.Cache, c.CacheEntries = time.Second, 4 })
	for i := range 8 {
		w.bank.Knows(fmt.Sprint("sub-", i), map[string]any{"name": fmt.Sprint("User ", i)})
	}
	var wait sync.WaitGroup
	var answered atomic.Int64
	for i := range 8 {
		wait.Go(func() {
			for range 40 {
				q := alice("name")
				q.Subject, q.ClientID = fmt.Sprint("sub-", i), fmt.Sprint("client-", i%3)
				answer, err := w.Ask(t.Context(), q)
				if err == nil && string(answer.Claims["name"]) != fmt.Sprintf("%q", fmt.Sprint("User ", i)) {
					t.Errorf("about %s: %s", q.Subject, answer.Claims["name"])
				}
				if err == nil {
					answered.Add(1)
				}
			}
		})
	}
	wait.Go(func() {
		for i := range 20 {
			w.bank.IsAway(i%2 == 0)
			w.clock.Advance(300 * time.Millisecond)
			time.Sleep(2 * time.Millisecond)
		}
		w.bank.IsAway(false)
	})
	wait.Wait()
	if answered.Load() == 0 {
		t.Error("nobody was answered")
	}
	w.clock.Advance(time.Minute)
	w.gives(t, alice("name"), map[string]string{"name": `"Alice"`})
}

// TestQuestion: the body of a question is what docs/api/claims-source-v1.yaml has, and no more.
func TestQuestion(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	var body bytes.Buffer
	var header http.Header
	w.bank.Answers(func(rw http.ResponseWriter, r *http.Request, question map[string]any) {
		header = r.Header.Clone()
		_ = json.NewEncoder(&body).Encode(question)
		fapitest.WriteAnswer(rw, map[string]any{"sub": "sub-alice"})
	})
	w.gives(t, alice("name"), map[string]string{})
	var members map[string]any
	if err := json.Unmarshal(body.Bytes(), &members); err != nil {
		t.Fatal(err)
	}
	for name := range members {
		if !slices.Contains([]string{"subject", "client_id", "claims", "scopes", "purpose", "correlation_id"}, name) {
			t.Errorf("asked with %s", name)
		}
	}
	if header.Get("Content-Type") != "application/json" || header.Get("Accept") != "application/json" || header.Get("Authorization") != "" || header.Get("Cookie") != "" {
		t.Errorf("header %v", header)
	}
}
