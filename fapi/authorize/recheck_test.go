package authorize_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/store"
)

// changeRecord changes a client's stored registration, as another node does.
func changeRecord(t *testing.T, w *fapitest.World, id string, change func(*store.Client)) {
	t.Helper()
	record, err := w.Store.Client(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	change(&record)
	record.Version++
	if err := w.Store.PutClient(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(2 * time.Second) // nodes without notifications serve an older one for a moment
}

// withdrawn are changes of a registration after which a request that was checked before is not allowed, with the error
// that the client is sent; none when it cannot be sent any.
func withdrawn(w *fapitest.World) map[string]struct {
	change func(t *testing.T, c *fapitest.Client)
	code   string
} {
	member := func(name string, value any) func(*testing.T, *fapitest.Client) {
		return func(t *testing.T, c *fapitest.Client) {
			w.ChangeMember(c, name, value)
			w.Clock.Advance(2 * time.Second)
		}
	}
	type row = struct {
		change func(t *testing.T, c *fapitest.Client)
		code   string
	}
	return map[string]row{
		"another redirect_uri": {member("redirect_uris", []string{"https://other.example/cb"}), ""},
		"a scope less":         {member("scope", "openid"), "invalid_scope"},
		"no detail types":      {member("authorization_details_types", []string{}), "invalid_authorization_details"},
		"another profile": {func(t *testing.T, c *fapitest.Client) {
			changeRecord(t, w, c.ID, func(r *store.Client) { r.Profile = "fapi2-message-signing" })
		}, "invalid_request"},
		"a disabled client": {func(t *testing.T, c *fapitest.Client) {
			changeRecord(t, w, c.ID, func(r *store.Client) { r.Disabled = true })
		}, ""},
	}
}

func payment(t *testing.T) fapitest.Change {
	return fapitest.Changes(fapitest.Set("prompt", "consent"),
		fapitest.Set("authorization_details", "["+fapitest.ExampleDetail(t, "payment_initiation")+"]"))
}

// Covers: FD-01. What was checked at push is checked again when the request_uri is opened.
func TestFD01Open(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t, fapitest.AllProfiles)
	n := 0
	register := func() *fapitest.Client {
		n++
		return w.Register("client-"+string(rune('a'+n)), fapitest.All(fapitest.AllScopes,
			fapitest.SetMember("authorization_details_types", []string{"payment_initiation"})))
	}
	for name, test := range fapitest.Sorted(withdrawn(w)) {
		t.Run("refuses "+name, func(t *testing.T) {
			c := register()
			address := w.AuthorizeURL(c.ID, c.Push(payment(t)).Text("request_uri"))
			test.change(t, c)
			status, _, to := w.Browser().Visit(address)
			if test.code == "" {
				if to != nil || status < 400 {
					t.Errorf("%d, sent to %v", status, to)
				}
				return
			}
			if to == nil {
				t.Fatalf("%d without a redirect", status)
			}
			fapitest.WantRedirectError(t, to.Query(), test.code)
		})
	}
	t.Run("accepts another name", func(t *testing.T) {
		c := register()
		address := w.AuthorizeURL(c.ID, c.Push(payment(t)).Text("request_uri"))
		w.ChangeMember(c, "client_name", "Another")
		w.Clock.Advance(2 * time.Second)
		if _, _, to := w.Browser().Visit(address); to == nil || to.Query().Get("code") == "" {
			t.Errorf("sent to %v", to)
		}
	})
}

// Covers: FD-02. What was checked at push is checked again when the user decides, and a form allows what its page
// showed: when the client has changed, nothing is granted and the page is shown again.
func TestFD02Decide(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t, fapitest.AllProfiles, func(c *fapitest.Config) { c.Interactor = formInteractor{} })
	n := 0
	open := func(t *testing.T) (*fapitest.Client, *fapitest.Browser, string, string) {
		n++
		c := w.Register("client-"+string(rune('a'+n)), fapitest.All(fapitest.AllScopes,
			fapitest.SetMember("authorization_details_types", []string{"payment_initiation"})))
		b := w.Browser()
		interaction, token := begin(t, b, w.AuthorizeURL(c.ID, c.Push(payment(t)).Text("request_uri")))
		return c, b, interaction, token
	}
	for _, decision := range []string{"allow", "deny"} {
		for name, test := range fapitest.Sorted(withdrawn(w)) {
			t.Run("refuses to "+decision+" after "+name, func(t *testing.T) {
				c, b, interaction, token := open(t)
				test.change(t, c)
				status, to, err := press(b, interaction, token, decision)
				if err != nil {
					t.Fatal(err)
				}
				if test.code == "" {
					if to != nil || status < 400 {
						t.Errorf("%d, sent to %v", status, to)
					}
					return
				}
				if to == nil {
					t.Fatalf("%d without a redirect", status)
				}
				fapitest.WantRedirectError(t, to.Query(), test.code)
			})
		}
	}
	for name, value := range map[string]string{"client_name": "Evil Corp", "client_uri": "https://evil.example"} {
		t.Run("refuses a form that showed another "+name+", and shows the page again", func(t *testing.T) {
			c, b, interaction, token := open(t)
			w.ChangeMember(c, name, value)
			status, to, err := press(b, interaction, token, "allow")
			if err != nil || status != http.StatusSeeOther || to == nil || to.String() != interaction {
				t.Fatalf("%d, sent to %v, %v", status, to, err)
			}
			_, again := begin(t, b, interaction)
			if _, to, err := press(b, interaction, again, "allow"); err != nil || to == nil || to.Query().Get("code") == "" {
				t.Errorf("the new page: sent to %v, %v", to, err)
			}
		})
	}
	t.Run("refuses a form token with another time or content", func(t *testing.T) {
		_, b, interaction, token := open(t)
		for _, wrong := range []string{"0" + token, token + "0", "z." + token, token[1:], "", ".", "..", "a..b"} {
			if status, to, err := press(b, interaction, wrong, "allow"); err != nil || to != nil || status != http.StatusForbidden {
				t.Errorf("%q: %d, sent to %v, %v", wrong, status, to, err)
			}
		}
	})
	t.Run("accepts a decision about a client that has not changed", func(t *testing.T) {
		_, b, interaction, token := open(t)
		if _, to, err := press(b, interaction, token, "allow"); err != nil || to == nil || to.Query().Get("code") == "" {
			t.Errorf("sent to %v, %v", to, err)
		}
	})
}

// Covers: FD-03. A consent is as old as the page that it was given on.
func TestFD03ConsentTime(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t, func(c *fapitest.Config) { c.Interactor = formInteractor{} })
	for name, test := range map[string]struct {
		changed time.Duration // after the page was shown
		silent  bool
	}{
		"accepts a client that changed before its page": {-time.Second, true},
		"refuses a client that changed after its page":  {30 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := w.Register("client-"+test.changed.String(), fapitest.AllScopes)
			b := w.Browser()
			shownAt := w.Clock.Now()
			interaction, token := begin(t, b, w.AuthorizeURL(c.ID, c.Push(nil).Text("request_uri")))
			w.Clock.Advance(time.Minute)
			if _, to, err := press(b, interaction, token, "allow"); err != nil || to == nil || to.Query().Get("code") == "" {
				t.Fatalf("sent to %v, %v", to, err)
			}
			changeRecord(t, w, c.ID, func(r *store.Client) { r.UpdatedAt = shownAt.Add(test.changed) })
			var to *url.URL
			if _, _, to = b.Visit(w.AuthorizeURL(c.ID, c.Push(nil).Text("request_uri"))); (to != nil) != test.silent {
				t.Errorf("sent to %v", to)
			}
		})
	}
}
