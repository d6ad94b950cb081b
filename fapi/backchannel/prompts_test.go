package backchannel_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/fapi/backchannel"
	"countersign/fapi/browser"
	"countersign/fapi/fapitest"
	"countersign/internal/directory"
)

// byDefault has a server ask as one does whose operator configured nothing; change may alter that.
func byDefault(change ...func(*backchannel.Settings)) fapitest.Option {
	return fapitest.WithBackchannelOfAllProfiles(append([]func(*backchannel.Settings){func(b *backchannel.Settings) {
		*b = backchannel.Settings{Seals: b.Seals, UserCodes: b.UserCodes}
	}}, change...)...)
}

// manyPending lets as many requests wait as there are.
func manyPending(b *backchannel.Settings) {
	b.PendingPerUser, b.PendingPerOrganisation, b.PendingPerClient = 1000, 999, 1000
}

// asks sends a request and reports whether it was acknowledged; the only other answer is 429 with Retry-After.
func asks(t *testing.T, c *fapitest.Client, person string) (accepted bool, retryAfter string) {
	t.Helper()
	r := c.Backchannel(fapitest.Set("login_hint", person))
	switch {
	case r.Status == http.StatusOK:
		return true, ""
	case r.Status != http.StatusTooManyRequests || r.Header.Get("Retry-After") == "":
		t.Errorf("answered %d %s", r.Status, r.Raw)
	}
	return false, r.Header.Get("Retry-After")
}

// Covers: FD-74. A user is asked only so often by one organisation, however many clients it has, and by all; others keep
// places. Users that there are not are counted alike, and nodes count together.
func TestFD74Prompts(t *testing.T) {
	t.Parallel()
	register := func(w *fapitest.World, organisation string, number int) (clients []*fapitest.Client) {
		for i := range number {
			clients = append(clients, w.RegisterFor(organisation, fmt.Sprint(organisation, "-", i), fapitest.CIBAPoll))
		}
		return clients
	}
	t.Run("refuses an organisation with twenty clients more than its places, and accepts others beside", func(t *testing.T) {
		t.Parallel()
		w := fapitest.NewWorld(t, byDefault())
		mallory, bank := register(w, "Mallory", 20), register(w, "Bank", 1)[0]
		for _, person := range []string{"alice", "nobody"} {
			var accepted atomic.Int64
			var asking sync.WaitGroup
			for _, c := range mallory {
				asking.Go(func() {
					for range 2 {
						if ok, _ := asks(t, c, person); ok {
							accepted.Add(1)
						}
					}
				})
			}
			asking.Wait()
			if accepted.Load() != 3 {
				t.Errorf("%s: %d of Mallory wait", person, accepted.Load())
			}
			for range 2 {
				if ok, _ := asks(t, bank, person); !ok {
					t.Errorf("%s: the bank was refused", person)
				}
			}
		}
	})
	for name, test := range map[string]struct{ organisations, clients, want int }{
		"refuses an organisation more than its rate":    {1, 20, 8},
		"refuses all together more than a person bears": {10, 4, 30},
	} {
		t.Run(name+", on two nodes", func(t *testing.T) {
			t.Parallel()
			w := fapitest.NewWorld(t, byDefault(manyPending))
			second := w.Node(nil)
			var clients []*fapitest.Client
			for i := range test.organisations {
				clients = append(clients, register(w, fmt.Sprint("Organisation ", i), test.clients)...)
			}
			for _, person := range []string{"alice", "nobody"} {
				var accepted atomic.Int64
				var asking sync.WaitGroup
				for i, c := range clients {
					if i%2 == 0 {
						c = second.Client(c)
					}
					asking.Go(func() {
						for range 3 {
							if ok, _ := asks(t, c, person); ok {
								accepted.Add(1)
							}
						}
					})
				}
				asking.Wait()
				if int(accepted.Load()) != test.want {
					t.Errorf("%s: %d were accepted, want %d", person, accepted.Load(), test.want)
				}
			}
			second.SetTime(w.Clock.Now().Add(time.Minute))
			if ok, _ := asks(t, clients[0], "alice"); !ok {
				t.Error("refused after a minute")
			}
		})
	}
	t.Run("accepts whatever the user approves, and refuses as before what is not", func(t *testing.T) {
		t.Parallel()
		w := fapitest.NewWorld(t, byDefault(manyPending))
		bank, shop := register(w, "Bank", 1)[0], register(w, "Shop", 1)[0]
		for range 40 {
			w.Decide(bank.AuthReqID(nil), true)
		}
		for _, c := range []*fapitest.Client{bank, shop} {
			for range 5 {
				c.AuthReqID(nil)
			}
			if ok, _ := asks(t, c, "alice"); ok {
				t.Error("a sixth request was accepted")
			}
		}
	})
	t.Run("accepts others when what is refused for its places was not shown", func(t *testing.T) {
		t.Parallel()
		w := fapitest.NewWorld(t, byDefault(func(b *backchannel.Settings) {
			b.UserBurst, b.OrganisationBurst = 1000, 1000
		}))
		mallory, bank := register(w, "Mallory", 1)[0], register(w, "Bank", 1)[0]
		for range 60 { // twice what all together may ask
			asks(t, mallory, "alice")
		}
		bank.AuthReqID(nil)
	})
	t.Run("accepts the bank's user beside the flood of an organisation", func(t *testing.T) {
		t.Parallel()
		w := fapitest.NewWorld(t, byDefault())
		mallory, bank := register(w, "Mallory", 20), register(w, "Bank", 1)[0]
		fapitest.Beside(t, 10, func(n int) {
			asks(t, mallory[n], "alice")
			asks(t, mallory[n+10], "alice")
		}, 5, func(int) {
			id := bank.AuthReqID(nil)
			w.Decide(id, true)
			fapitest.WantOK(t, bank.Poll(id, nil))
		})
		if waiting := len(pendingOf(w, "sub-alice")); waiting > 3 {
			t.Errorf("%d wait", waiting)
		}
	})
}

// Covers: FD-75. After a denial the organisation waits, twice as long after each in a row, on every node and after a
// restart; an approval ends it. Other organisations, and other users, do not wait.
func TestFD75DenialsPause(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, byDefault(manyPending))
	w.AddUser("sub-bob", "bob", `{}`)
	c, sister := w.RegisterFor("Shop", "shop-1", fapitest.CIBAPoll), w.RegisterFor("Shop", "shop-2", fapitest.CIBAPoll)
	bank := w.RegisterFor("Bank", "bank-1", fapitest.CIBAPoll)
	t.Run("accepts the client at once after a denial, and after a second", func(t *testing.T) {
		for range 2 {
			w.Decide(c.AuthReqID(nil), false)
		}
	})
	for i, want := range []string{"15", "30", "60", "120", "240"} {
		id := c.AuthReqID(nil)
		w.Decide(id, false)
		for name, refused := range map[string]*fapitest.Client{"the client": c, "its sister": sister, "the client on another node": w.Node(nil).Client(c)} {
			t.Run(fmt.Sprintf("refuses %s after denial %d", name, i+3), func(t *testing.T) {
				if ok, wait := asks(t, refused, "alice"); ok || wait != want {
					t.Errorf("accepted is %t, Retry-After %q, want %q", ok, wait, want)
				}
			})
		}
		pause, err := time.ParseDuration(want + "s")
		if err != nil {
			t.Fatal(err)
		}
		w.Clock.Advance(pause)
	}
	t.Run("accepts the client after the pause", func(t *testing.T) {
		id := c.AuthReqID(nil)
		w.Decide(id, true)
	})
	t.Run("accepts an end of the row by an approval", func(t *testing.T) {
		w.Clock.Advance(time.Minute)
		for range 2 {
			w.Decide(c.AuthReqID(nil), false)
		}
		if ok, wait := asks(t, c, "alice"); !ok {
			t.Errorf("Retry-After %q", wait)
		}
	})
	t.Run("accepts another organisation, and other users", func(t *testing.T) {
		bank.AuthReqID(nil)
		c.AuthReqID(fapitest.Set("login_hint", "bob"))
		c.AuthReqID(fapitest.Set("login_hint", "nobody"))
	})
	t.Run("refuses longer than a day to be needed", func(t *testing.T) {
		w.Clock.Advance(48 * time.Hour)
		for range 16 {
			id := c.AuthReqID(nil)
			w.Decide(id, false)
			w.Clock.Advance(24 * time.Hour)
		}
		c.AuthReqID(nil)
	})
}

// Covers: FD-76. Whom a user blocks is told what is told for a user that there is not: its request is acknowledged and
// expires. What was pending is denied; others ask, and unblocking ends it.
func TestFD76Blocked(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, byDefault(manyPending, func(b *backchannel.Settings) { b.DenialPause = time.Second }))
	w.AddUser("sub-bob", "bob", `{}`)
	shop, sister, bank := w.RegisterFor("Shop", "shop-1", fapitest.CIBAPoll), w.RegisterFor("Shop", "shop-2", fapitest.CIBAPoll), w.RegisterFor("Bank", "bank-1", fapitest.CIBAPoll)
	alice := browser.Authentication{Subject: "sub-alice", ACR: fapitest.ACRPassword, AMR: []string{"pwd"}}
	handler := w.Server.Backchannel()
	first, second, other := shop.AuthReqID(nil), sister.AuthReqID(nil), bank.AuthReqID(nil)
	blocked, denied, err := handler.Block(t.Context(), fapitest.Reference(first), alice)
	if err != nil || blocked.ID != "shop-1" || len(denied) != 2 {
		t.Fatalf("%+v, %v, %v", blocked, denied, err)
	}
	t.Run("refuses what was pending of the organisation, and nothing else", func(t *testing.T) {
		fapitest.WantError(t, shop.Poll(first, nil), 400, "access_denied")
		fapitest.WantError(t, sister.Poll(second, nil), 400, "access_denied")
		fapitest.WantError(t, bank.Poll(other, nil), 400, "authorization_pending")
	})
	w.Clock.Advance(10 * time.Second)
	for name, c := range map[string]*fapitest.Client{"the client": shop, "its sister": sister, "the client on another node": w.Node(nil).Client(shop)} {
		t.Run("accepts requests of "+name+" as those for nobody, and shows them to nobody", func(t *testing.T) {
			shape := func(person string) string {
				r := c.Backchannel(fapitest.Set("login_hint", person))
				id := r.Text("auth_req_id")
				poll := c.Poll(id, nil)
				r.Body["auth_req_id"], r.Body["correlation_id"], poll.Body["correlation_id"] = len(id), nil, nil
				return strings.ReplaceAll(fmt.Sprint(r.Status, r.Body, poll.Status, poll.Body), poll.Header.Get("X-Correlation-Id"), "")
			}
			if known, unknown := shape("alice"), shape("nobody"); known != unknown {
				t.Errorf("for alice %s\nfor nobody %s", known, unknown)
			}
			if waiting := pendingOf(w, "sub-alice"); len(waiting) != 1 || waiting[0].Reference != fapitest.Reference(other) {
				t.Errorf("alice is shown %+v", waiting)
			}
		})
	}
	t.Run("accepts the organisation for another user", func(t *testing.T) {
		shop.AuthReqID(fapitest.Set("login_hint", "bob"))
		if waiting := pendingOf(w, "sub-bob"); len(waiting) != 1 {
			t.Errorf("bob is shown %d", len(waiting))
		}
	})
	t.Run("refuses to block by another user's request", func(t *testing.T) {
		bob := alice
		bob.Subject = "sub-bob"
		if _, _, err := handler.Block(t.Context(), fapitest.Reference(other), bob); err == nil {
			t.Error("blocked")
		}
	})
	list, err := handler.Blocked(t.Context(), "sub-alice")
	if err != nil || len(list) != 1 || list[0].Client.Name != "Example shop-1" || list[0].BlockedAt.IsZero() {
		t.Fatalf("blocked are %+v, %v", list, err)
	}
	if err := handler.Unblock(t.Context(), "sub-alice", list[0].Organisation); err != nil {
		t.Fatal(err)
	}
	t.Run("accepts the organisation again, once it is unblocked", func(t *testing.T) {
		w.Clock.Advance(time.Minute)
		id := sister.AuthReqID(nil)
		w.Decide(id, true)
		fapitest.WantOK(t, sister.Poll(id, nil))
	})
}

// Covers: FD-77. Wrong user codes of one organisation lock out that organisation, with all its clients, and nobody else;
// those of all together are bounded too.
func TestFD77UserCodes(t *testing.T) {
	t.Parallel()
	hash, err := directory.HashUserCode("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	w := fapitest.NewWorld(t, byDefault(manyPending, func(b *backchannel.Settings) {
		b.UserBurst, b.OrganisationBurst, b.AllBurst = 1000, 1000, 1000
	}))
	user, err := w.Store.User(t.Context(), "sub-alice")
	if err != nil {
		t.Fatal(err)
	}
	user.UserCode = hash
	if err := w.Store.PutUser(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	register := func(organisation, id string) *fapitest.Client {
		return w.RegisterFor(organisation, id, fapitest.All(fapitest.CIBAPoll, fapitest.SetMember("backchannel_user_code_parameter", true)))
	}
	asks := func(c *fapitest.Client, code string) fapitest.Reply {
		return c.Backchannel(fapitest.Set("user_code", code))
	}
	one, sister, bank := register("Mallory", "mallory-1"), register("Mallory", "mallory-2"), register("Bank", "bank-1")
	sister = w.Node(nil).Client(sister)
	t.Run("refuses an organisation more than five, that race on two nodes", func(t *testing.T) {
		var wrong atomic.Int64
		var guessing sync.WaitGroup
		for i := range 12 {
			guessing.Go(func() {
				c := one
				if i%2 == 0 {
					c = sister
				}
				switch r := asks(c, fmt.Sprint("guess ", i)); {
				case r.Text("error") == "invalid_user_code":
					wrong.Add(1)
				case r.Status != http.StatusTooManyRequests:
					t.Errorf("answered %d %s", r.Status, r.Raw)
				}
			})
		}
		guessing.Wait()
		if wrong.Load() != 5 {
			t.Errorf("%d codes were compared", wrong.Load())
		}
		fapitest.WantError(t, asks(one, "correct horse"), http.StatusTooManyRequests, "temporarily_unavailable")
	})
	t.Run("accepts the right code of another organisation, as often as it comes", func(t *testing.T) {
		for range 10 {
			fapitest.WantOK(t, asks(bank, "correct horse"))
		}
	})
	t.Run("refuses all, when there were too many of all", func(t *testing.T) {
		for i := range 4 {
			c := register(fmt.Sprint("Organisation ", i), fmt.Sprint("client-", i))
			for range 5 {
				fapitest.WantError(t, asks(c, "wrong guess"), http.StatusBadRequest, "invalid_user_code")
			}
		}
		r := asks(bank, "correct horse")
		fapitest.WantError(t, r, http.StatusTooManyRequests, "temporarily_unavailable")
		if r.Header.Get("Retry-After") != "180" {
			t.Errorf("Retry-After %q", r.Header.Get("Retry-After"))
		}
		w.Clock.Advance(3 * time.Minute)
		fapitest.WantOK(t, asks(bank, "correct horse"))
	})
}
