package registration_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/examples/directory/standin"
	"countersign/fapi/fapitest"
	"countersign/internal/audit"
	"countersign/store"
	"countersign/store/postgres"
)

// tokenFor gets an access token for the client itself.
func tokenFor(t *testing.T, c *fapitest.Client, scope string) string {
	t.Helper()
	r := c.ClientCredentials(func(form url.Values, _ http.Header) { form.Set("scope", scope) })
	fapitest.WantOK(t, r)
	return r.Text("access_token")
}

// accounts asks for the accounts, as the ecosystem wants it.
func accounts(c *fapitest.Client, token string) fapitest.Reply {
	return c.Get("/accounts", token, func(h http.Header) { h.Set("X-Fapi-Interaction-Id", "c770aef3-6784-41f7-8e0e-ff5f97bddb3a") })
}

// refusesEverywhere demands that no endpoint serves a client, and that its access token is dead; why is in what it is told.
func refusesEverywhere(t *testing.T, m managed, c *fapitest.Client, token, why string) {
	t.Helper()
	said := func(r fapitest.Reply) {
		t.Helper()
		if text := r.Text("error_description"); !strings.Contains(text, why) {
			t.Errorf("%q does not say %q", text, why)
		}
	}
	for name, r := range map[string]fapitest.Reply{
		"token": c.ClientCredentials(nil), "PAR": c.Push(nil), "introspection": c.Introspect(token, nil), "revocation": c.Revoke(token, nil),
	} {
		if r.Status != http.StatusUnauthorized || r.Text("error") != "invalid_client" {
			t.Errorf("%s: %d %s", name, r.Status, r.Raw)
		}
		said(r)
	}
	r := accounts(c, token)
	fapitest.WantError(t, r, http.StatusUnauthorized, "invalid_token")
	said(r)
	over := *m.Client // managed through the same node as the client
	over.HTTP = c.HTTP
	m.Client = &over
	r = m.read()
	fapitest.WantError(t, r, http.StatusForbidden, "access_denied")
	said(r)
	address := c.World.Issuer + "/authorize?" + url.Values{"client_id": {c.ID}, "request_uri": {"urn:ietf:params:oauth:request_uri:x"}}.Encode()
	response, body := c.World.Request(t, http.MethodGet, address, nil, "")
	if response.StatusCode < 400 || !strings.Contains(body, "no longer") && !strings.Contains(body, "lists") {
		t.Errorf("the authorization endpoint answers %d", response.StatusCode)
	}
}

// Covers: LD-18, LD-19, LD-22. A participant whom the directory suspends is refused at every endpoint of every node, with its
// tokens, until it is restored; the audit log has both.
func TestLD18Suspension(t *testing.T) {
	t.Parallel()
	e := newEcosystem(t, standin.Brazil, brazil)
	r := e.applicant.RegisteredSelf("", e.brazilian(nil))
	c := e.registered(r)
	m := managed{Client: e.applicant, token: r.Text("registration_access_token"), address: r.Text("registration_client_uri"), id: c.ID}
	token := tokenFor(t, c, "accounts")
	fapitest.WantOK(t, accounts(c, token))
	other := e.Node(nil) // reads nothing of the directory itself
	there := other.Client(c)
	fapitest.WantOK(t, accounts(there, token))
	for _, test := range []struct {
		name, status, why string
	}{
		{"one that has withdrawn", "Withdrawn", "lists the participant " + participant + " as Withdrawn"},
		{"one that is pending again", "Pending", "as Pending"},
		{"one that is no longer listed", "", "no longer lists the participant " + participant},
	} {
		t.Run("refuses "+test.name, func(t *testing.T) {
			e.directory.SetOrganisation("another", "Active") // the list does not shrink too much
			e.directory.SetOrganisation(participant, test.status)
			events := e.NewEvents(t, func() { e.Server.RefreshDirectories(t.Context()) })
			refusesEverywhere(t, m, c, token, test.why)
			other.SetTime(e.Clock.Now().Add(time.Second)) // SQLite has no notifications: nodes look again
			refusesEverywhere(t, m, there, token, test.why)
			wantStanding(t, events, "client_suspended", c.ID, test.why)
			e.Server.RefreshDirectories(t.Context())
			if again := e.NewEvents(t, func() { e.Server.RefreshDirectories(t.Context()) }); len(again) != 0 {
				t.Errorf("recorded again: %v", again)
			}
		})
		t.Run("refuses a new registration of "+test.name, func(t *testing.T) {
			if test.status == "" { // a statement is newer than the list, and has who is on none itself
				e.refuses(t, e.applicant, e.brazilian(with(map[string]any{"software_statement": e.statement(with(map[string]any{"org_status": "Withdrawn"}))})),
					http.StatusBadRequest, "unapproved_software_statement")
				return
			}
			e.refuses(t, e.applicant, e.brazilian(with(map[string]any{"software_statement": e.statement(with(map[string]any{"org_status": "Active"}))})),
				http.StatusBadRequest, "unapproved_software_statement")
		})
		t.Run("accepts it again when it is restored", func(t *testing.T) {
			e.directory.SetOrganisation(participant, "Active")
			events := e.NewEvents(t, func() { e.Server.RefreshDirectories(t.Context()) })
			other.SetTime(e.Clock.Now().Add(time.Second))
			fapitest.WantOK(t, accounts(c, token))
			fapitest.WantOK(t, accounts(there, token))
			tokenFor(t, c, "accounts")
			fapitest.WantOK(t, m.read())
			wantStanding(t, events, "client_restored", c.ID, "")
		})
	}
	t.Run("refuses who was suspended, on a node that starts while the directory is away", func(t *testing.T) {
		e.directory.SetOrganisation(participant, "Withdrawn")
		e.Server.RefreshDirectories(t.Context())
		e.directory.SetAway(true)
		started := e.Node(nil)
		started.Server.RefreshDirectories(t.Context())
		refusesEverywhere(t, m, started.Client(c), token, "as Withdrawn")
		claims := e.statement(with(map[string]any{"org_status": "Active"}))
		r := started.Client(e.applicant).RegisterSelf("", e.brazilian(with(map[string]any{"software_statement": claims})))
		fapitest.WantError(t, r, http.StatusBadRequest, "unapproved_software_statement")
	})
	if !strings.Contains(e.Logs.String(), `"msg":"client suspended by its directory","client_id":"`+c.ID) {
		t.Error("the log does not say it")
	}
}

// Covers: LD-19. Nodes on PostgreSQL are told, and refuse the client within a second, and serve it again.
func TestLD19Notified(t *testing.T) {
	t.Parallel()
	var url string
	e := newEcosystemOn(t, func(options ...fapitest.Option) (w *fapitest.World) {
		w, url = fapitest.NewPostgresWorld(t, nil, options...)
		return w
	}, standin.Brazil, brazil)
	c := e.registered(e.applicant.RegisterSelf("", e.brazilian(nil)))
	token := tokenFor(t, c, "accounts")
	node := e.Node(nil) // reads nothing of the directory itself
	there := node.Client(c)
	told := make(chan struct{}, 1)
	ears := fapitest.OpenPostgres(t, postgres.Config{URL: url, Now: node.Clock.Now, DatabaseNow: e.Clock.Now, MaxConnections: 1})
	watching, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	go ears.Watch(watching, func(change store.Change) {
		node.Server.OnChange(change)
		if (change == store.Change{}) {
			select {
			case told <- struct{}{}:
			default:
			}
		}
	})
	<-told
	within := func(status int) {
		t.Helper()
		for began := time.Now(); ; time.Sleep(time.Millisecond) {
			r := accounts(there, token)
			if r.Status == status {
				return
			}
			if took := time.Since(began); took > time.Second {
				t.Fatalf("after %s: %d %s", took, r.Status, r.Raw)
			}
		}
	}
	within(http.StatusOK)
	t.Run("refuses it within a second", func(t *testing.T) {
		e.directory.SetOrganisation(participant, "Withdrawn")
		e.Server.RefreshDirectories(t.Context())
		within(http.StatusUnauthorized)
	})
	t.Run("accepts it within a second when it is restored", func(t *testing.T) {
		e.directory.SetOrganisation(participant, "Active")
		e.Server.RefreshDirectories(t.Context())
		within(http.StatusOK)
	})
}

// wantStanding demands the one event about a client.
func wantStanding(t *testing.T, events []audit.Event, name, clientID, why string) {
	t.Helper()
	if len(events) != 1 {
		t.Fatalf("%d events: %v", len(events), events)
	}
	e := events[0]
	if e.ClientID != clientID || fmt.Sprint(e.Detail["event"]) != name || !strings.Contains(fmt.Sprint(e.Detail["reason"]), why) && why != "" ||
		fmt.Sprint(e.Detail["directory"]) != "example" {
		t.Errorf("%+v", e)
	}
}

// Covers: LD-20, LD-21. In Australia software is suspended too, and what was granted to it ends for good when it is removed; a
// status that means nothing changes nothing.
func TestLD20Removed(t *testing.T) {
	t.Parallel()
	e := newEcosystem(t, standin.CDR, "au-cdr")
	r := e.register(e.applicant, e.signedRequest(with(map[string]any{"scope": "openid bank:accounts.basic:read"})))
	c := e.registered(r)
	tokenFor(t, c, "bank:accounts.basic:read")
	revoked := func(want bool) {
		t.Helper()
		grants, err := e.Store.ListGrants(t.Context(), store.Filter{ClientID: c.ID, Limit: 100})
		if err != nil || len(grants) == 0 {
			t.Fatalf("%v, %v", grants, err)
		}
		first := grants[len(grants)-1] // the newest one is listed first
		if first.RevokedAt.IsZero() == want {
			t.Errorf("the first grant was revoked at %v", first.RevokedAt)
		}
	}
	alive := func(want bool) {
		t.Helper()
		_, err := e.Store.Client(t.Context(), c.ID)
		if err != nil {
			t.Fatal(err)
		}
		if r := c.ClientCredentials(nil); (r.Status == http.StatusOK) != want {
			t.Errorf("served: %d %s", r.Status, r.Raw)
		}
	}
	set := func(status string) {
		e.directory.SetSoftwareStatus(application, status)
		e.Clock.Advance(refresh)
		e.Server.RefreshDirectories(t.Context())
	}
	t.Run("refuses inactive software", func(t *testing.T) {
		set("INACTIVE")
		alive(false)
	})
	t.Run("refuses it still when the status means nothing", func(t *testing.T) {
		set("UNDEFINED")
		alive(false)
	})
	t.Run("accepts it again, and its token", func(t *testing.T) {
		set("ACTIVE")
		alive(true)
		revoked(false)
	})
	t.Run("accepts it when a list has nobody", func(t *testing.T) {
		e.directory.SetOrganisation(participant, "")
		set("ACTIVE")
		alive(true)
	})
	t.Run("refuses software of a suspended participant", func(t *testing.T) {
		e.directory.SetOrganisation(participant, "Suspended")
		set("ACTIVE")
		alive(false)
		e.directory.SetOrganisation(participant, "Active")
		set("ACTIVE")
		alive(true)
	})
	t.Run("refuses removed software, and its tokens for good", func(t *testing.T) {
		set("REMOVED")
		alive(false)
		revoked(true)
		set("ACTIVE") // no register does that
		alive(true)
		revoked(true)
	})
}

// Covers: LD-16, LD-17. The directory's keys are fetched once for many, again when it has a new one, and used for a while when it
// is away, also by a node that starts then.
func TestLD16Keys(t *testing.T) {
	t.Parallel()
	e := newEcosystem(t, standin.Brazil, brazil, func(c *fapitest.Config) { c.Directories[0].Quota = 1000 })
	register := func(c *fapitest.Client) fapitest.Reply { return c.RegisterSelf("", e.brazilian(nil)) }
	advance := func(d time.Duration) {
		e.Clock.Advance(d)
		e.applicant = e.Applicant(e.certificate(application, "OFBBR-"+participant)) // its certificate is short-lived
	}
	t.Run("accepts many with one fetch", func(t *testing.T) {
		before := e.directory.Requests("/jwks")
		advance(3 * refresh) // what was read is too old
		calls := make([]func() fapitest.Reply, 16)
		for i := range calls {
			body := e.brazilian(nil)
			calls[i] = func() fapitest.Reply { return e.applicant.RegisterSelf("", body) }
		}
		for _, r := range fapitest.Concurrently(calls...) {
			if r.Status != http.StatusCreated {
				t.Fatalf("%d %s", r.Status, r.Raw)
			}
		}
		if fetched := e.directory.Requests("/jwks") - before; fetched != 1 {
			t.Errorf("%d fetches", fetched)
		}
	})
	t.Run("accepts a statement of a new key at once", func(t *testing.T) {
		advance(31 * time.Second)
		if err := e.directory.Rotate(); err != nil {
			t.Fatal(err)
		}
		e.registered(register(e.applicant))
	})
	t.Run("accepts what it knew while the directory is away, and on a node that starts then", func(t *testing.T) {
		e.directory.SetAway(true)
		for range 5 {
			advance(outage/6 - time.Second)
			e.Server.RefreshDirectories(t.Context())
			e.registered(register(e.applicant))
		}
		node := e.Node(nil)
		e.registered(register(node.Client(e.applicant)))
	})
	t.Run("refuses statements when it has been away too long, and says so in the log", func(t *testing.T) {
		advance(outage / 3)
		for _, c := range []*fapitest.Client{e.applicant, e.Node(nil).Client(e.applicant)} {
			r := register(c)
			fapitest.WantError(t, r, http.StatusServiceUnavailable, "temporarily_unavailable")
			if r.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		}
		if n := strings.Count(e.Logs.String(), `"msg":"directory not read; what it said last counts"`); n < 2 || n > 8 {
			t.Errorf("%d lines", n)
		}
	})
	t.Run("accepts them again when it is back", func(t *testing.T) {
		e.directory.SetAway(false)
		advance(time.Minute)
		e.registered(register(e.applicant))
	})
}
