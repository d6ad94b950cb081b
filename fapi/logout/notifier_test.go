package logout_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/audit"
	"countersign/internal/jose"
)

// logoutToken reads the token of a notice, which is the only parameter of a form.
func logoutToken(t *testing.T, n fapitest.Notification) string {
	t.Helper()
	form, err := url.ParseQuery(n.Body)
	if err != nil || len(form) != 1 || n.ContentType != "application/x-www-form-urlencoded" || n.Authorization != "" {
		t.Fatalf("the client got %+v: %v", n, err)
	}
	return form.Get("logout_token")
}

// signedIn signs in, and returns the ID token.
func signedIn(t *testing.T, c *fapitest.Client, b *fapitest.Browser) string {
	t.Helper()
	issued := c.TokensIn(b, nil)
	fapitest.WantOK(t, issued)
	return issued.Text("id_token")
}

func endSessions(t *testing.T, w *fapitest.World) {
	t.Helper()
	if err := w.Store.EndSessions(t.Context(), "sub-alice"); err != nil {
		t.Fatal(err)
	}
}

// send sends what is due, and demands how many notices that are.
func send(t *testing.T, w *fapitest.World, want int) {
	t.Helper()
	if sent, err := w.SendLogouts(); sent != want || err != nil {
		t.Fatalf("%d notices were due, want %d: %v", sent, want, err)
	}
}

// Covers: LO-03. A logout token is signed and encrypted like the client's ID tokens, of its own type, for two minutes at most, and
// names user and session as the ID token did; it is no ID token.
func TestLO03LogoutToken(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	received := w.NotificationEndpoint(fapitest.Answer(http.StatusOK))
	told := fapitest.All(fapitest.AllScopes, fapitest.Told(received.URL+"/out"))
	for i, test := range []struct {
		name, member string
		value        any
		alg          string
	}{
		{"with a public subject", "subject_type", "public", "PS256"}, {"with a pairwise subject", "subject_type", "pairwise", "PS256"},
		{"with ES256", "id_token_signed_response_alg", "ES256", "ES256"}, {"with EdDSA", "id_token_signed_response_alg", "EdDSA", "EdDSA"},
		{"that needs the sid", "backchannel_logout_session_required", true, "PS256"},
	} {
		c := w.Register("client-"+string(rune('a'+i)), fapitest.All(told, fapitest.SetMember(test.member, test.value)))
		t.Run("accepts a client "+test.name, func(t *testing.T) {
			known, before := fapitest.UnverifiedClaims(t, signedIn(t, c, w.Browser())), len(received.Received())
			endSessions(t, w)
			kept := w.NewEvidence(t, func() { send(t, w, 1) })
			token := logoutToken(t, received.Received()[before])
			header, claims := w.Verify(token)
			if header.Type != "logout+jwt" || header.Algorithm != test.alg {
				t.Errorf("header %+v", header)
			}
			now := w.Clock.Now().Unix()
			events, _ := claims["events"].(map[string]any)
			event, _ := events["http://schemas.openid.net/event/backchannel-logout"].(map[string]any)
			if claims["iss"] != w.Issuer || claims["aud"] != c.ID || claims["sub"] != known["sub"] || claims["sid"] != known["sid"] || known["sid"] == nil ||
				claims["iat"] != float64(now) || claims["exp"].(float64) > float64(now+120) || claims["jti"] == "" ||
				len(events) != 1 || event == nil || len(event) != 0 || claims["nonce"] != nil || len(claims) != 8 {
				t.Errorf("claims %v, of an ID token with %v", claims, known)
			}
			fapitest.WantKinds(t, kept, audit.LogoutToken, audit.SecurityEvent)
			if kept[0].Message.JWS != token || kept[1].Detail["event"] != "logout_delivered" || kept[1].ClientID != c.ID {
				t.Errorf("kept %+v", kept)
			}
			fapitest.WantError(t, c.Push(fapitest.Set("id_token_hint", token)), 400, "invalid_request")
			if page := w.Browser().EndSession(t, url.Values{"id_token_hint": {token}}); page.Status != http.StatusBadRequest {
				t.Errorf("it passes for an ID token: %d", page.Status)
			}
		})
	}
	t.Run("accepts a client with encrypted ID tokens", func(t *testing.T) {
		recipient := fapitest.NewRecipient(t, jose.ECDHES)
		c := w.Register("encrypted", fapitest.All(told, func(c *fapitest.Client, m map[string]any) {
			m["jwks"], m["id_token_encrypted_response_alg"] = fapitest.KeySet(c.Key.PublicJWK(), recipient.Public), jose.ECDHES
		}))
		signedIn(t, c, w.Browser())
		before := len(received.Received())
		endSessions(t, w)
		send(t, w, 1)
		header, claims := w.Verify(recipient.Open(t, logoutToken(t, received.Received()[before])))
		if header.Type != "logout+jwt" || claims["aud"] != c.ID {
			t.Errorf("%+v %v", header, claims)
		}
	})
	t.Run("accepts a detached signature without a sid, which passes through the browser", func(t *testing.T) {
		w := fapitest.NewWorld(t, fapitest.AllProfiles, fapitest.WithLogout)
		c := w.Register("fapi1", fapitest.All(fapitest.FAPI1Advanced, fapitest.Told(received.URL+"/out")))
		status, body, sentTo := w.Browser().Visit(c.ByValue(fapitest.SetClaim("response_type", "code id_token")))
		front := fapitest.Fragment(t, sentTo).Get("id_token")
		if front == "" || fapitest.UnverifiedClaims(t, front)["sid"] != nil {
			t.Errorf("%d %v %s", status, sentTo, body)
		}
	})
}

// Covers: LO-04. A notice is posted once to each client that got an ID token in the session, and again while its receiver is away,
// longer each time, for a day; what the receiver refuses is not repeated, and no redirect is followed. What becomes of it is evidence.
func TestLO04Delivery(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	var status atomic.Int64
	status.Store(http.StatusOK)
	received := w.NotificationEndpoint(func(rw http.ResponseWriter) {
		rw.Header().Set("Location", "https://127.0.0.1/elsewhere")
		rw.WriteHeader(int(status.Load()))
	})
	c := w.Register("client-1", fapitest.All(fapitest.AllScopes, fapitest.Told(received.URL+"/out")))
	quiet := w.Register("client-2", fapitest.AllScopes)
	outcome := func(t *testing.T, events []audit.Event) (last map[string]string) {
		t.Helper()
		for _, e := range events {
			if e.Kind == audit.SecurityEvent {
				last = e.Detail
			}
		}
		return last
	}
	t.Run("accepts several clients of a session, and tells none that has not asked for it", func(t *testing.T) {
		other := w.Register("client-3", fapitest.All(fapitest.AllScopes, fapitest.Told(received.URL+"/other")))
		b := w.Browser()
		for _, each := range []*fapitest.Client{c, c, other, quiet} {
			signedIn(t, each, b)
		}
		signedIn(t, w.Register("client-4", fapitest.All(fapitest.AllScopes, fapitest.Told(received.URL+"/no-id-token"))), w.Browser())
		if r := c.TokensFor(fapitest.Set("scope", "accounts")); r.Text("id_token") != "" { // in a session of its own
			t.Fatal("an ID token without openid")
		}
		endSessions(t, w)
		before := len(received.Received())
		send(t, w, 3)
		if got := len(received.Received()) - before; got != 3 {
			t.Errorf("%d notices", got)
		}
		send(t, w, 0)
	})
	for name, test := range map[string]struct {
		status  int
		outcome string
	}{
		"accepts 204":                    {http.StatusNoContent, "logout_delivered"},
		"refuses to repeat a 400":        {http.StatusBadRequest, "logout_not_delivered"},
		"refuses to repeat a 404":        {http.StatusNotFound, "logout_not_delivered"},
		"refuses to follow a redirect":   {http.StatusTemporaryRedirect, "logout_not_delivered"},
		"refuses a 201, which says less": {http.StatusCreated, "logout_not_delivered"},
	} {
		t.Run(name, func(t *testing.T) {
			signedIn(t, c, w.Browser())
			endSessions(t, w)
			status.Store(int64(test.status))
			before := len(received.Received())
			told := outcome(t, w.NewEvidence(t, func() { send(t, w, 1) }))
			if told["event"] != test.outcome || len(received.Received()) != before+1 {
				t.Errorf("%v, after %d notices", told, len(received.Received())-before)
			}
			w.Clock.Advance(time.Hour)
			send(t, w, 0)
		})
	}
	for _, away := range []int{http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusRequestTimeout} {
		t.Run("accepts a receiver that comes back, after "+http.StatusText(away), func(t *testing.T) {
			signedIn(t, c, w.Browser())
			endSessions(t, w)
			status.Store(int64(away))
			before := len(received.Received())
			send(t, w, 1)
			send(t, w, 0) // not at once
			status.Store(http.StatusOK)
			w.Clock.Advance(time.Second)
			told := outcome(t, w.NewEvidence(t, func() { send(t, w, 1) }))
			if told["event"] != "logout_delivered" || told["attempt"] != "2" || len(received.Received()) != before+2 {
				t.Errorf("%v, after %d notices", told, len(received.Received())-before)
			}
			first, second := logoutToken(t, received.Received()[before]), logoutToken(t, received.Received()[before+1])
			if fapitest.UnverifiedClaims(t, first)["jti"] == fapitest.UnverifiedClaims(t, second)["jti"] {
				t.Error("the second token repeats the jti of the first, which a receiver may refuse")
			}
		})
	}
	t.Run("refuses to go on after a day", func(t *testing.T) {
		signedIn(t, c, w.Browser())
		endSessions(t, w)
		status.Store(http.StatusServiceUnavailable)
		start, tries := w.Clock.Now(), 0
		var told map[string]string
		for told["event"] == "" && tries < 1000 {
			told = outcome(t, w.NewEvidence(t, func() {
				sent, err := w.SendLogouts()
				if err != nil {
					t.Fatal(err)
				}
				tries += sent
			}))
			if tries < 10 {
				w.Clock.Advance(30 * time.Second)
			} else {
				w.Clock.Advance(10 * time.Minute)
			}
		}
		if lasted := w.Clock.Now().Sub(start); told["event"] != "logout_not_delivered" || told["reason"] == "" || lasted < 24*time.Hour || lasted > 24*time.Hour+30*time.Minute {
			t.Errorf("%v after %v", told, lasted)
		}
		if tries < 100 || tries > 200 {
			t.Errorf("%d tries in a day", tries)
		}
		send(t, w, 0)
	})
	t.Run("refuses to tell a client that is gone, or does not want it any more", func(t *testing.T) {
		status.Store(http.StatusOK)
		for name, change := range map[string]func(*fapitest.Client){
			"silent": func(c *fapitest.Client) { w.ChangeMember(c, "backchannel_logout_uri", "") },
			"gone": func(c *fapitest.Client) {
				if err := w.Store.DeleteClient(t.Context(), c.ID, "operator"); err != nil {
					t.Fatal(err)
				}
			},
		} {
			leaving := w.Register(name, fapitest.All(fapitest.AllScopes, fapitest.Told(received.URL+"/gone")))
			signedIn(t, leaving, w.Browser())
			change(leaving)
			endSessions(t, w)
			before := len(received.Received())
			told := outcome(t, w.NewEvidence(t, func() { send(t, w, 1) }))
			if told["event"] != "logout_not_delivered" || len(received.Received()) != before {
				t.Errorf("%s: %v", name, told)
			}
		}
	})
}

// Covers: LO-04. Addresses are held to what the server may reach, when they are registered and when they are used.
func TestLO04Addresses(t *testing.T) {
	t.Parallel()
	fapitest.TryRegistration(t, "an address on the Internet", func(m map[string]any) { m["backchannel_logout_uri"] = "https://client.example/out?a=b" }, "")
	for _, bad := range []string{"http://client.example/out", "https://client.example/out#f", "https://10.0.0.1/out", "https://169.254.169.254/latest", "https://a@client.example/", "https://client.example:25/", "/out"} {
		fapitest.TryRegistration(t, bad, func(m map[string]any) { m["backchannel_logout_uri"] = bad }, "backchannel_logout_uri")
	}
	fapitest.TryRegistration(t, "a session without an address", func(m map[string]any) { m["backchannel_logout_session_required"] = true }, "backchannel_logout_session_required")
}

// Covers: LO-04. A node that dies while it delivers loses nothing, and two nodes deliver once.
func TestLO04Nodes(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	received := w.NotificationEndpoint(fapitest.Answer(http.StatusOK))
	c := w.Register("client-1", fapitest.All(fapitest.AllScopes, fapitest.Told(received.URL+"/out")))
	t.Run("accepts the death of a node that has leased a notice", func(t *testing.T) {
		signedIn(t, c, w.Browser())
		endSessions(t, w)
		leased, err := w.Store.ClaimLogouts(t.Context(), 10, 30*time.Second) // and is not heard of again
		if err != nil || len(leased) != 1 {
			t.Fatalf("%v: %v", leased, err)
		}
		send(t, w, 0)
		w.Clock.Advance(30 * time.Second)
		send(t, w, 1)
		received.Await(t, 1)
	})
	t.Run("accepts two nodes that deliver at once", func(t *testing.T) {
		const sessions = 20
		for range sessions {
			signedIn(t, c, w.Browser())
		}
		endSessions(t, w)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var running sync.WaitGroup
		for range 2 {
			n := w.Node(nil)
			running.Go(func() { n.Server.RunLogouts(ctx) })
		}
		all := received.Await(t, 1+sessions)
		seen := map[any]bool{}
		for _, each := range all {
			seen[fapitest.UnverifiedClaims(t, logoutToken(t, each))["sid"]] = true
		}
		if len(seen) != 1+sessions {
			t.Errorf("told of %d sessions, want %d", len(seen), 1+sessions)
		}
		stop()
		running.Wait()
		send(t, w, 0)
		received.Await(t, 1+sessions)
	})
	t.Run("refuses to let a receiver that hangs hold up another", func(t *testing.T) {
		release := make(chan struct{})
		hanging := w.NotificationEndpoint(func(rw http.ResponseWriter) { <-release })
		defer close(release)
		slow := w.Register("slow", fapitest.All(fapitest.AllScopes, fapitest.Told(hanging.URL+"/out")))
		before := len(received.Received())
		for range 12 {
			b := w.Browser()
			signedIn(t, slow, b)
			signedIn(t, c, b)
		}
		endSessions(t, w)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		n := w.Node(nil)
		running.Go(func() { n.Server.RunLogouts(ctx) })
		received.Await(t, before+12)
		stop()
		release <- struct{}{}
		for range len(hanging.Received()) - 1 {
			release <- struct{}{}
		}
		running.Wait()
	})
}

// Covers: LO-05. The discovery document says what is supported, and ID tokens have a sid that differs from client to client and from
// session to session, and is no secret of the browser.
func TestLO05Metadata(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	document := w.Document()
	t.Run("accepts back-channel logout with sessions, and an address to sign out", func(t *testing.T) {
		if document["end_session_endpoint"] != w.Issuer+"/end-session" || document["backchannel_logout_supported"] != true || document["backchannel_logout_session_supported"] != true {
			t.Errorf("%v", document)
		}
	})
	t.Run("refuses front-channel logout", func(t *testing.T) {
		if document["frontchannel_logout_supported"] != nil {
			t.Errorf("%v", document)
		}
	})
	told := fapitest.All(fapitest.AllScopes, fapitest.Told("https://client.example/told"))
	c, other := w.Register("client-1", told), w.Register("client-2", told)
	b := w.Browser()
	sid := func(c *fapitest.Client, b *fapitest.Browser) string {
		t.Helper()
		sid, _ := fapitest.UnverifiedClaims(t, signedIn(t, c, b))["sid"].(string)
		return sid
	}
	first := sid(c, b)
	t.Run("accepts the same sid in one session", func(t *testing.T) {
		if again := sid(c, b); first == "" || again != first {
			t.Errorf("%q, then %q", first, again)
		}
	})
	t.Run("refuses the same sid for another client or another session", func(t *testing.T) {
		if a, b := sid(other, b), sid(c, w.Browser()); a == first || b == first || a == "" || b == "" {
			t.Errorf("%q, %q, %q", first, a, b)
		}
	})
	t.Run("refuses to name the session by its cookie", func(t *testing.T) {
		for _, cookie := range b.HTTP.Jar.Cookies(fapitest.MustURL(t, w.Issuer)) {
			data, err := w.Store.UserData(t.Context(), "sub-alice")
			if err != nil || len(data.Sessions) == 0 {
				t.Fatal(err)
			}
			for _, session := range data.Sessions {
				if session.SID == cookie.Value || session.SID == first || strings.Contains(cookie.Value, first) || session.SID == "" {
					t.Errorf("session %q, cookie %q, sid %q", session.SID, cookie.Value, first)
				}
			}
		}
	})
}
