package logout_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/audit"
	"countersign/internal/jose"
)

const afterwards = "https://client.example/signed-out"

// signedOut reports whether the client finds that nobody is signed in in a browser.
func signedOut(t *testing.T, c *fapitest.Client, b *fapitest.Browser) bool {
	t.Helper()
	return c.AuthorizeIn(b, fapitest.Set("prompt", "none")).Get("error") == "login_required"
}

// Covers: LO-01. The endpoint takes GET and POST. It ends the session at once for who has an ID token of that very session, and
// otherwise asks, and ends nothing before the answer.
func TestLO01EndSession(t *testing.T) {
	t.Parallel()
	w, p := fapitest.NewFullWorld(t)
	c := w.Register("client-1", fapitest.All(fapitest.AllScopes, fapitest.Told("", afterwards)))
	pairwise := w.Register("client-2", fapitest.All(fapitest.AllScopes, fapitest.Told("", afterwards), fapitest.SetMember("subject_type", "pairwise")))
	// begin signs in, and returns the browser with an ID token of its session.
	begin := func(t *testing.T, c *fapitest.Client) (*fapitest.Browser, string) {
		t.Helper()
		b := w.Browser()
		return b, c.TokensIn(b, nil).Text("id_token")
	}
	leaves := func(t *testing.T, page fapitest.SignOutPage, to string) {
		t.Helper()
		if page.SentTo == nil || page.Status != http.StatusSeeOther || page.SentTo.String() != to {
			t.Errorf("%d, sent to %v: %s", page.Status, page.SentTo, page.Body)
		}
	}
	for name, c := range map[string]*fapitest.Client{"public": c, "pairwise": pairwise} {
		t.Run("accepts an ID token of the session by GET, "+name, func(t *testing.T) {
			b, hint := begin(t, c)
			leaves(t, b.EndSession(t, url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {afterwards}, "state": {"a&b é"}}), afterwards+"?state=a%26b+%C3%A9")
			if !signedOut(t, c, b) {
				t.Error("the session goes on")
			}
		})
	}
	t.Run("accepts it by POST of another site, with client_id", func(t *testing.T) {
		b, hint := begin(t, c)
		leaves(t, b.PostTo(t, w.Issuer+"/end-session", url.Values{"id_token_hint": {hint}, "client_id": {c.ID}, "post_logout_redirect_uri": {afterwards}}, "https://client.example"), afterwards)
		if !signedOut(t, c, b) {
			t.Error("the session goes on")
		}
	})
	t.Run("accepts it when it has expired", func(t *testing.T) {
		b, hint := begin(t, c)
		w.Clock.Advance(30 * time.Minute)
		leaves(t, b.EndSession(t, url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {afterwards}}), afterwards)
	})
	t.Run("accepts it without an address to go to", func(t *testing.T) {
		b, hint := begin(t, c)
		page := b.EndSession(t, url.Values{"id_token_hint": {hint}, "state": {"s"}})
		if page.SentTo != nil || !strings.Contains(page.Body, "You are signed out") || !signedOut(t, c, b) {
			t.Errorf("%d, sent to %v: %s", page.Status, page.SentTo, page.Body)
		}
	})
	t.Run("accepts it again when the session has ended", func(t *testing.T) {
		b, hint := begin(t, c)
		for range 2 {
			leaves(t, b.EndSession(t, url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {afterwards}}), afterwards)
		}
	})
	t.Run("accepts an answer, and leaves evidence of who gave it", func(t *testing.T) {
		for _, test := range []struct {
			name string
			ask  url.Values
			to   string
		}{
			{"nothing", nil, ""},
			{"state alone", url.Values{"state": {"s"}}, ""},
			{"a client", url.Values{"client_id": {c.ID}, "post_logout_redirect_uri": {afterwards}, "state": {"s"}}, afterwards + "?state=s"},
		} {
			b, _ := begin(t, c)
			page := b.EndSession(t, test.ask)
			if !page.Asks() || signedOut(t, c, b) {
				t.Fatalf("%s: %d %v %s", test.name, page.Status, page.SentTo, page.Body)
			}
			if stayed := b.Answer(t, page, "stay"); stayed.SentTo != nil || !strings.Contains(stayed.Body, "still signed in") || signedOut(t, c, b) {
				t.Errorf("%s: %d %v %s", test.name, stayed.Status, stayed.SentTo, stayed.Body)
			}
			page = b.EndSession(t, test.ask)
			kept := w.NewEvidence(t, func() {
				left := b.Answer(t, page, "sign-out")
				if test.to == "" && !strings.Contains(left.Body, "You are signed out") || test.to != "" && (left.SentTo == nil || left.SentTo.String() != test.to) {
					t.Errorf("%s: %d %v %s", test.name, left.Status, left.SentTo, left.Body)
				}
			})
			fapitest.WantKinds(t, kept, audit.SecurityEvent)
			if kept[0].Detail["event"] != "signed_out" || kept[0].Detail["subject"] != "sub-alice" || kept[0].Detail["by"] != "user" || kept[0].ClientID != test.ask.Get("client_id") {
				t.Errorf("%s: %+v", test.name, kept[0])
			}
			if !signedOut(t, c, b) {
				t.Errorf("%s: the session goes on", test.name)
			}
		}
	})
	asks := func(t *testing.T, b *fapitest.Browser, hint string) {
		t.Helper()
		page := b.EndSession(t, url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {afterwards}})
		if !page.Asks() || !strings.Contains(page.Body, "alice") || signedOut(t, c, b) {
			t.Errorf("%d %v %s", page.Status, page.SentTo, page.Body)
		}
	}
	t.Run("refuses to end without asking by an ID token of another session of the user", func(t *testing.T) {
		_, hint := begin(t, c)
		b, _ := begin(t, c)
		asks(t, b, hint)
	})
	t.Run("refuses it by one of another person", func(t *testing.T) {
		p.Is("sub-bob", fapitest.ACRPassword)
		_, hint := begin(t, c)
		p.Is("sub-alice", fapitest.ACRPassword)
		b, _ := begin(t, c)
		asks(t, b, hint)
	})
	t.Run("refuses it by one of another client, with a sid that is not its own", func(t *testing.T) {
		b, hint := begin(t, pairwise)
		own := c.TokensIn(b, nil).Text("id_token")
		if a, b := fapitest.UnverifiedClaims(t, hint)["sid"], fapitest.UnverifiedClaims(t, own)["sid"]; a == nil || b == nil || a == b {
			t.Errorf("the clients know the session as %v and %v", a, b)
		}
	})
	t.Run("refuses what is no ID token of this server, and ends nothing", func(t *testing.T) {
		b, hint := begin(t, c)
		parts := strings.Split(hint, ".")
		none := fapitest.HandSigned(t, fapitest.Claims{"alg": "none"}, fapitest.UnverifiedClaims(t, hint), func([]byte) []byte { return nil })
		stranger := fapitest.NewKey(t, jose.ES256)
		forged, err := jose.Sign(t.Context(), stranger.SigningKey(), "JWT", fapitest.UnverifiedClaims(t, hint))
		if err != nil {
			t.Fatal(err)
		}
		access := c.TokensIn(b, nil).Text("access_token")
		for name, asked := range map[string]url.Values{
			"alg none": {"id_token_hint": {none}}, "another key": {"id_token_hint": {forged}}, "no token": {"id_token_hint": {"x"}},
			"an access token":           {"id_token_hint": {access}},
			"another payload":           {"id_token_hint": {parts[0] + "." + strings.Split(forged, ".")[1] + "." + parts[2][1:] + "A"}},
			"another client's":          {"id_token_hint": {hint}, "client_id": {pairwise.ID}},
			"a client that there isn't": {"client_id": {"nobody"}},
			"an address without client": {"post_logout_redirect_uri": {afterwards}},
			"a state that is too long":  {"state": {strings.Repeat("s", 2049)}},
			"a parameter twice":         {"client_id": {c.ID, c.ID}},
		} {
			if asked.Get("post_logout_redirect_uri") == "" && asked.Get("id_token_hint") != "" {
				asked.Set("post_logout_redirect_uri", afterwards)
			}
			page := b.EndSession(t, asked)
			if page.SentTo != nil || page.Status < 400 || page.Status >= 500 || !strings.Contains(page.Body, `href="/end-session"`) && name != "a parameter twice" || signedOut(t, c, b) {
				t.Errorf("%s: %d %v", name, page.Status, page.SentTo)
			}
		}
	})
	t.Run("refuses to be answered by another site, or with the form of another page or session", func(t *testing.T) {
		b, _ := begin(t, c)
		page := b.EndSession(t, nil)
		form := url.Values{"action": {"sign-out"}, "form_token": {"x"}}
		if r := b.PostTo(t, page.Address, form, "https://evil.example"); r.Status != http.StatusForbidden {
			t.Errorf("another site: %d", r.Status)
		}
		if r := b.PostTo(t, page.Address, form, w.Issuer); !r.Asks() || !strings.Contains(r.Body, "Somebody else has signed in") {
			t.Errorf("another form: %d %s", r.Status, r.Body)
		}
		other, _ := begin(t, c)
		if r := other.PostTo(t, page.Address, url.Values{"action": {"sign-out"}, "form_token": {"x"}}, w.Issuer); !r.Asks() {
			t.Errorf("another browser: %d", r.Status)
		}
		if r := b.Answer(t, page, "no button"); r.Status != http.StatusBadRequest {
			t.Errorf("no button: %d", r.Status)
		}
		if signedOut(t, c, b) || signedOut(t, c, other) {
			t.Error("a session has ended")
		}
	})
	t.Run("refuses a page that was altered, or is too old", func(t *testing.T) {
		b, _ := begin(t, c)
		page := b.EndSession(t, nil)
		if status, _, _ := b.Visit(fapitest.Altered(page.Address)); status != http.StatusNotFound {
			t.Errorf("altered: %d", status)
		}
		w.Clock.Advance(10 * time.Minute)
		if r := b.Answer(t, page, "sign-out"); r.Status != http.StatusBadRequest || signedOut(t, c, b) {
			t.Errorf("too old: %d", r.Status)
		}
	})
	t.Run("refuses to do anything for HEAD", func(t *testing.T) {
		b, hint := begin(t, c)
		for _, address := range []string{w.Issuer + "/end-session?id_token_hint=" + hint, b.EndSession(t, nil).Address} {
			r, err := b.HTTP.Head(address)
			if err != nil || r.StatusCode != http.StatusOK || r.Header.Get("Location") != "" || signedOut(t, c, b) {
				t.Errorf("%v %v", r, err)
			}
		}
	})
	t.Run("refuses to send a browser on that nobody is signed in to, for whoever names a client", func(t *testing.T) {
		page := w.Browser().EndSession(t, url.Values{"client_id": {c.ID}, "post_logout_redirect_uri": {afterwards}})
		if page.SentTo != nil || page.Status != http.StatusOK || !strings.Contains(page.Body, `href="`+afterwards+`"`) {
			t.Errorf("%d %v %s", page.Status, page.SentTo, page.Body)
		}
	})
	t.Run("accepts a question in the language that is asked for, which names who else is signed out", func(t *testing.T) {
		told := w.Register("told", fapitest.All(fapitest.AllScopes, fapitest.Told("https://told.example/out"), fapitest.SetMember("client_name", "Orchid Budget")))
		b, _ := begin(t, told)
		page := b.EndSession(t, url.Values{"ui_locales": {"pt-BR"}, "client_id": {c.ID}})
		if !page.Asks() || !strings.Contains(page.Body, "Continuar conectado") || !strings.Contains(page.Body, "Orchid Budget") {
			t.Errorf("%d %s", page.Status, page.Body)
		}
	})
}

// Covers: LO-01. An ID token is a hint also when its key has been retired and destroyed.
func TestLO01DestroyedKey(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	c := w.Register("client-1", fapitest.All(fapitest.AllScopes, fapitest.Told("", afterwards)))
	b := w.Browser()
	hint := c.TokensIn(b, nil).Text("id_token")
	var header struct{ Kid string }
	head, _, _ := strings.Cut(hint, ".")
	if err := json.Unmarshal(fapitest.Payload(t, "."+head+"."), &header); err != nil {
		t.Fatal(err)
	}
	now := w.Clock.Now()
	for _, move := range [][2]string{{"active", "retiring"}, {"retiring", "destroyed"}} {
		if err := w.Store.MoveKey(t.Context(), header.Kid, move[0], move[1], now); err != nil {
			t.Fatal(err)
		}
	}
	n := w.Node(nil) // it reads the keys as they are now
	there := n.Browser(b)
	t.Run("accepts it", func(t *testing.T) {
		page := there.EndSession(t, url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {afterwards}})
		if page.SentTo == nil || page.SentTo.String() != afterwards {
			t.Errorf("%d %v %s", page.Status, page.SentTo, page.Body)
		}
	})
	t.Run("refuses another token that names the key", func(t *testing.T) {
		page := there.EndSession(t, url.Values{"id_token_hint": {fapitest.Altered(hint)}})
		if page.Status != http.StatusBadRequest {
			t.Errorf("%d %v", page.Status, page.SentTo)
		}
	})
}

// Covers: LO-02. The browser is sent to a registered address alone, compared to the byte, with the state; otherwise a page is shown.
func TestLO02PostLogoutRedirectURI(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	withQuery := "https://client.example/out?a=b"
	c := w.Register("client-1", fapitest.All(fapitest.AllScopes, fapitest.Told("", afterwards, withQuery)))
	for _, test := range []struct{ asked, state, to string }{
		{afterwards, "", afterwards}, {afterwards, "x=1", afterwards + "?state=x%3D1"}, {withQuery, "s", withQuery + "&state=s"},
		{c.RedirectURI, "s", ""}, {afterwards + "/", "s", ""}, {afterwards + "?a=b", "s", ""}, {afterwards + "#f", "", ""},
		{strings.ToUpper(afterwards), "", ""}, {"https://client.example:443/signed-out", "", ""}, {"https://client.example/signed%2Dout", "", ""},
		{"https://evil.example/signed-out", "", ""}, {"javascript:alert(1)", "", ""}, {"//client.example/signed-out", "", ""},
		{withQuery + "&c=d", "", ""},
	} {
		name := "accepts " + test.asked + " " + test.state
		if test.to == "" {
			name = "refuses " + test.asked
		}
		t.Run(name, func(t *testing.T) {
			b := w.Browser()
			hint := c.TokensIn(b, nil).Text("id_token")
			page := b.EndSession(t, url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {test.asked}, "state": {test.state}})
			switch {
			case test.to != "" && (page.SentTo == nil || page.SentTo.String() != test.to):
				t.Errorf("%d, sent to %v", page.Status, page.SentTo)
			case test.to == "" && (page.SentTo != nil || page.Status != http.StatusBadRequest || !strings.Contains(page.Body, "post_logout_redirect_uri") || signedOut(t, c, b)):
				t.Errorf("%d, sent to %v: %s", page.Status, page.SentTo, page.Body)
			}
		})
	}
	t.Run("refuses an address that was registered when it was asked for, and is not any more", func(t *testing.T) {
		b := w.Browser()
		c.TokensIn(b, nil)
		page := b.EndSession(t, url.Values{"client_id": {c.ID}, "post_logout_redirect_uri": {afterwards}})
		w.ChangeMember(c, "post_logout_redirect_uris", []string{withQuery})
		left := b.Answer(t, page, "sign-out")
		if left.SentTo != nil || !strings.Contains(left.Body, "You are signed out") {
			t.Errorf("%d, sent to %v", left.Status, left.SentTo)
		}
	})
	fapitest.TryRegistration(t, "an address for the browser", func(m map[string]any) {
		m["post_logout_redirect_uris"] = []string{afterwards, "http://127.0.0.1:8000/out"}
	}, "")
	for _, bad := range []string{"http://client.example/out", afterwards + "#f", "/out", "https://a@client.example/"} {
		fapitest.TryRegistration(t, bad, func(m map[string]any) { m["post_logout_redirect_uris"] = []string{bad} }, "post_logout_redirect_uris")
	}
}

// Covers: LO-06. What a user allowed does not end with a session, with or without offline_access: the client, which is told, gives
// its refresh token back if it has no use for it.
func TestLO06RefreshTokens(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	b := w.NotificationEndpoint(fapitest.Answer(http.StatusOK))
	c := w.Register("client-1", fapitest.All(fapitest.AllScopes, fapitest.Told(b.URL+"/out", afterwards)))
	at := w.Browser()
	issued := c.TokensIn(at, fapitest.Set("scope", "openid accounts"))
	if page := at.EndSession(t, url.Values{"id_token_hint": {issued.Text("id_token")}, "post_logout_redirect_uri": {afterwards}}); page.SentTo == nil {
		t.Fatalf("%d %s", page.Status, page.Body)
	}
	if sent, err := w.SendLogouts(); sent != 1 || err != nil || len(b.Received()) != 1 {
		t.Fatalf("%d sent, %v", sent, err)
	}
	t.Run("accepts the refresh token afterwards", func(t *testing.T) { fapitest.WantOK(t, c.Refresh(issued.Text("refresh_token"), nil)) })
	t.Run("refuses it when the client has given it back", func(t *testing.T) {
		if r := c.Revoke(issued.Text("refresh_token"), nil); r.Status != http.StatusOK {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
		fapitest.WantError(t, c.Refresh(issued.Text("refresh_token"), nil), 400, "invalid_grant")
	})
}

// The session that a sign-in replaces in a browser is ended: nobody could end it any more.
func TestReplacedSession(t *testing.T) {
	t.Parallel()
	w, p := fapitest.NewFullWorld(t)
	c := w.Register("client-1", fapitest.All(fapitest.AllScopes, fapitest.Told("https://client.example/out")))
	sid := func(b *fapitest.Browser, alter fapitest.Change) any {
		t.Helper()
		return fapitest.UnverifiedClaims(t, c.TokensIn(b, alter).Text("id_token"))["sid"]
	}
	due := func() int {
		t.Helper()
		due, err := w.Store.ClaimLogouts(t.Context(), 10, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		for _, notice := range due {
			if err := w.Store.LogoutDone(t.Context(), notice); err != nil {
				t.Fatal(err)
			}
		}
		return len(due)
	}
	b := w.Browser()
	first := sid(b, nil)
	t.Run("accepts the same user again, in the same session", func(t *testing.T) {
		w.Clock.Advance(time.Second)
		if again := sid(b, fapitest.Set("prompt", "login")); again != first || due() != 0 {
			t.Errorf("sid %v, then %v", first, again)
		}
	})
	t.Run("refuses to leave the session of another user open", func(t *testing.T) {
		p.Is("sub-bob", fapitest.ACRPassword)
		w.Clock.Advance(time.Second)
		if another := sid(b, fapitest.Set("prompt", "login")); another == first || due() != 1 {
			t.Errorf("sid %v, then %v", first, another)
		}
		if data, err := w.Store.UserData(t.Context(), "sub-alice"); err != nil || len(data.Sessions) != 0 {
			t.Errorf("%v: %v", data.Sessions, err)
		}
	})
}
