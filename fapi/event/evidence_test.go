package event_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"countersign/fapi/endpoint"
	"countersign/fapi/fapitest"
	"countersign/internal/audit"
	"countersign/internal/auditlog"
	"countersign/internal/jose"
)

// Covers: MS-11. Each signed message of a client and to a client is kept with its key, so that it proves itself
// when the client has changed its keys, and without a secret.
func TestMS11Evidence(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.AllProfiles, fapitest.WithAuditChain)
	c := w.Register("client-1", fapitest.OfProfile("fapi2-message-signing"))
	var code, sent string
	t.Run("accepts nothing less than the request and the response, each verbatim", func(t *testing.T) {
		var object string
		var response string
		events := w.NewEvidence(t, func() {
			pushed := c.Push(func(form url.Values, header http.Header) {
				c.Signing(fapitest.SetClaim("response_mode", "jwt"))(form, header)
				object = form.Get("request")
			})
			_, _, sentTo := w.Browser().Visit(w.AuthorizeURL(c.ID, pushed.Text("request_uri")))
			response = sentTo.Query().Get("response")
		})
		fapitest.WantKinds(t, events, audit.RequestObject, audit.AuthorizationResponse)
		request, answer := events[0], events[1]
		if request.Message.JWS != object || request.ClientID != c.ID || request.Key != c.Key.Key().Thumbprint() {
			t.Errorf("kept %+v of the request object", request)
		}
		if answer.Message.Withheld == nil || !answer.Message.Is(response) || answer.Key == "" {
			t.Errorf("kept %+v of the response", answer)
		}
		if state := string(answer.Message.Withheld.Claims["state"]); state != `"state-1"` {
			t.Errorf("kept the state %s", state)
		}
		code, _ = w.VerifyType(t, response, "oauth-authz-resp+jwt")["code"].(string)
		sent = response
		fapitest.WantOK(t, c.Redeem(code, nil))
	})
	t.Run("accepts proof with keys that the client has no more", func(t *testing.T) {
		c.Key = fapitest.NewKey(t, jose.ES256)
		w.ChangeMember(c, "jwks", json.RawMessage(`{"keys":[`+string(c.Key.PublicJWK())+`]}`))
		if err := w.Sealer(t).Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		report, all := w.Audited(t)
		if len(report.Findings) != 0 || report.Unsealed != 0 || report.Entries < 3 {
			t.Errorf("verified as %+v", report)
		}
		for name, secret := range map[string]string{"code": code, "response": sent} {
			if secret == "" || strings.Contains(all, secret) {
				t.Errorf("the %s is in the log: %s", name, all)
			}
		}
	})
	t.Run("refuses a message that was exchanged", func(t *testing.T) {
		keys, err := auditlog.Keys(t.Context(), w.Store)
		if err != nil {
			t.Fatal(err)
		}
		_, all := w.Audited(t)
		another := c.Sign(c.Key, "oauth-authz-req+jwt", c.RequestObjectClaims(c.AuthorizationForm(), nil))
		verifier := audit.NewVerifier(audit.Options{Keys: keys})
		for text := range strings.Lines(all) {
			entry, err := audit.ParseEntry([]byte(strings.TrimSpace(text)))
			if err != nil {
				t.Fatal(err)
			}
			if entry.Kind == audit.RequestObject {
				text = strings.Replace(text, entry.Message.JWS, another, 1)
			}
			verifier.Add([]byte(strings.TrimSpace(text)))
		}
		found := map[audit.Fault]bool{}
		for _, finding := range verifier.Report().Findings {
			found[finding.Fault] = true
		}
		if !found[audit.Unproven] || !found[audit.Changed] {
			t.Errorf("found %v", found)
		}
	})
}

// Covers: MS-11, F1-01, F1-10. What is kept of the other kinds of messages.
func TestMS11EveryKind(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.AllProfiles, fapitest.WithAuditChain)
	first := w.Register("first", fapitest.FAPI1Advanced)
	t.Run("accepts a request by value and its detached signature", func(t *testing.T) {
		var idToken string
		events := w.NewEvidence(t, func() {
			_, _, sentTo := w.Browser().Visit(first.ByValue(fapitest.ChangeClaims(fapitest.SetClaim("response_type", "code id_token"))))
			idToken = fapitest.Fragment(t, sentTo).Get("id_token")
		})
		fapitest.WantKinds(t, events, audit.RequestObject, audit.IDToken)
		if events[1].Message.JWS != idToken || idToken == "" {
			t.Errorf("kept %+v", events[1])
		}
	})
	plain := w.Register("plain", fapitest.SignedUserInfo)
	token := plain.Tokens().Text("access_token")
	t.Run("accepts UserInfo, without what it says about the user", func(t *testing.T) {
		var answer string
		events := w.NewEvidence(t, func() { answer = plain.Get("/userinfo", token, nil).Raw })
		fapitest.WantKinds(t, events, audit.UserInfo)
		body, err := json.Marshal(events[0])
		if err != nil || strings.Contains(string(body), "alice@example.com") || strings.Contains(string(body), "Alice Example") || !events[0].Message.Is(answer) {
			t.Errorf("kept %s, %v", body, err)
		}
		if string(events[0].Message.Withheld.Claims["sub"]) == "" || string(events[0].Message.Withheld.Claims["email"]) != `{"withheld":true}` {
			t.Errorf("kept %s", body)
		}
	})
	t.Run("accepts signed introspection", func(t *testing.T) {
		self, answer := w.ResourceServer("self", w.Issuer), ""
		events := w.NewEvidence(t, func() {
			answer = self.Introspect(token, fapitest.SetHeader("Accept", "application/token-introspection+jwt")).Raw
		})
		fapitest.WantKinds(t, events, audit.Introspection)
		if events[0].Message.JWS != answer || events[0].ClientID != self.ID {
			t.Errorf("kept %+v", events[0])
		}
	})
	signing := w.Register("signing", fapitest.OfProfile("fapi2-message-signing"))
	t.Run("refuses to keep what was refused, and what nobody signed", func(t *testing.T) {
		events := w.NewEvidence(t, func() {
			fapitest.WantError(t, signing.Push(signing.Signing(fapitest.SetClaim("aud", "https://other.example"))), 400, "invalid_request_object")
			fapitest.WantError(t, signing.Push(signing.Signing(fapitest.SetClaim("scope", "unknown"))), 400, "invalid_scope")
			plain.Tokens()
			// Anybody can ask for this error.
			query := url.Values{"client_id": {signing.ID}, "request_uri": {"urn:ietf:params:oauth:request_uri:x"}, "redirect_uri": {signing.RedirectURI}, "response_mode": {"jwt"}}
			if _, _, sentTo := w.Browser().Visit(w.Issuer + "/authorize?" + query.Encode()); sentTo != nil {
				t.Errorf("sent to %v", sentTo)
			}
		})
		fapitest.WantKinds(t, events)
	})
	t.Run("refuses a request that comes twice, with its evidence", func(t *testing.T) {
		assertion := signing.ClientAssertion(nil)
		push := func() fapitest.Reply {
			return signing.Push(func(form url.Values, header http.Header) {
				signing.Signing(nil)(form, header)
				form.Set("client_assertion", assertion)
			})
		}
		events := w.NewEvidence(t, func() {
			push()
			fapitest.WantError(t, push(), 401, "invalid_client")
		})
		fapitest.WantKinds(t, events, audit.RequestObject)
	})
}

// Covers: MS-11. Signed CIBA requests are kept, without what a user or a client has to keep to itself.
func TestMS11BackchannelRequests(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles(), fapitest.WithAuditChain)
	c := w.Register("client-1", fapitest.CIBAAdvanced)
	t.Run("accepts one", func(t *testing.T) {
		events := w.NewEvidence(t, func() {
			if r := c.BackchannelSigned(fapitest.SetClaim("binding_message", "Pay 7")); r.Status != http.StatusOK {
				t.Fatalf("answered %d %s", r.Status, r.Raw)
			}
		})
		fapitest.WantKinds(t, events, audit.BackchannelRequest)
		if events[0].Message.JWS == "" || events[0].Key != c.Key.Key().Thumbprint() {
			t.Errorf("kept %+v", events[0])
		}
	})
	t.Run("refuses to keep what was refused", func(t *testing.T) {
		fapitest.WantKinds(t, w.NewEvidence(t, func() {
			fapitest.WantError(t, c.BackchannelSigned(fapitest.SetClaim("aud", "https://other.example")), 400, "invalid_request")
		}))
	})
}

// TestSecurityEvents: what clients do to registrations and grants is in the audit log.
func TestSecurityEvents(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t, fapitest.WithRegistration, fapitest.WithAuditChain)
	c := w.Register("client-1", nil)
	code := c.Authorize()
	issued := c.Redeem(code, nil)
	for name, test := range map[string]struct {
		do   func()
		want string
	}{
		"a grant that is revoked":    {func() { c.Revoke(c.Tokens().Text("refresh_token"), nil) }, "grant_revoked"},
		"a code that is used twice":  {func() { fapitest.WantError(t, c.Redeem(code, nil), 400, "invalid_grant") }, "code_used_twice"},
		"an access token that ends":  {func() { c.Revoke(issued.Text("access_token"), nil) }, ""},
		"a grant that is used again": {func() { c.Tokens() }, ""},
	} {
		events := w.NewEvidence(t, test.do)
		if test.want == "" && len(events) == 0 {
			continue
		}
		if len(events) != 1 || events[0].Detail["event"] != test.want || events[0].ClientID != c.ID {
			t.Errorf("%s: %+v, want %s", name, events, test.want)
		}
	}
	a := w.Applicant(nil)
	var id string
	events := w.NewEvidence(t, func() {
		made := a.RegisteredSelf(w.InitialToken("bank", 1), fapitest.RegistrationRequest(fapitest.NewKey(t, jose.ES256), nil))
		id = made.Text("client_id")
		r := a.SendJSON(http.MethodDelete, made.Text("registration_client_uri"), made.Text("registration_access_token"), nil, nil)
		if r.Status != http.StatusNoContent {
			t.Fatalf("answered %d %s", r.Status, r.Raw)
		}
	})
	fapitest.WantKinds(t, events, audit.SecurityEvent, audit.SecurityEvent)
	if events[0].Detail["event"] != "client_registered" || events[0].Detail["organisation"] != "bank" || events[0].ClientID != id ||
		events[1].Detail["event"] != "client_deleted_its_registration" {
		t.Errorf("kept %+v", events)
	}
}

// Covers: MS-11. No signed message leaves whose evidence cannot be kept.
func TestMS11NothingWithoutEvidence(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.AllProfiles, fapitest.WithAuditChain, fapitest.Deciding("deny"), func(c *fapitest.Config) { c.Store = fapitest.FailingAudit{Store: c.Store} })
	c, self := w.Register("client-1", fapitest.OfProfile("fapi2-message-signing")), w.ResourceServer("self", w.Issuer)
	t.Run("refuses a signed error response", func(t *testing.T) {
		pushed := c.Push(c.Signing(fapitest.SetClaim("response_mode", "jwt")))
		if status, body, sentTo := w.Browser().Visit(w.AuthorizeURL(c.ID, pushed.Text("request_uri"))); sentTo != nil || status != http.StatusInternalServerError {
			t.Errorf("answered %d %s, sent to %v", status, body, sentTo)
		}
	})
	t.Run("refuses signed introspection", func(t *testing.T) {
		fapitest.WantError(t, self.Introspect("unknown", fapitest.SetHeader("Accept", "application/token-introspection+jwt")), 500, "server_error")
	})
	t.Run("accepts introspection that nobody signs", func(t *testing.T) { fapitest.WantInactive(t, self.Introspect("unknown", nil)) })
}

// Covers: MS-11. Of those who answer one request at once one wins, and only the winner's response is evidence.
func TestMS11Race(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.AllProfiles, fapitest.WithAuditChain)
	c := w.Register("client-1", fapitest.OfProfile("fapi2-message-signing"))
	pushed := c.Push(c.Signing(fapitest.SetClaim("response_mode", "jwt")))
	address := w.AuthorizeURL(c.ID, pushed.Text("request_uri"))
	t.Run("accepts one", func(t *testing.T) {
		events := w.NewEvidence(t, func() {
			done := make(chan struct{})
			for range 8 {
				go func() {
					defer func() { done <- struct{}{} }()
					w.Browser().Visit(address)
				}()
			}
			for range 8 {
				<-done
			}
		})
		codes := 0
		for _, event := range events {
			if event.Message.Withheld != nil && event.Message.Withheld.Claims["code"] != nil {
				codes++
			}
		}
		if codes != 1 {
			t.Errorf("%d responses with a code are kept, want 1", codes)
		}
	})
}

// TestNobodyFloodsTheHSM: what anybody can have signed in the name of a client, by sending again what the client once signed,
// is bounded by address, and takes nothing from what the client itself may send.
func TestNobodyFloodsTheHSM(t *testing.T) {
	t.Parallel()
	const burst = 5
	w := fapitest.NewWorld(t, fapitest.AllProfiles, fapitest.WithAuditChain, func(c *fapitest.Config) {
		c.Limits = endpoint.Limits{
			ClientPerSecond: 0.001, ClientBurst: burst, AddressFailuresPerSecond: 0.001, AddressFailureBurst: burst,
		}
	})
	c := w.Register("client-1", fapitest.OfProfile("fapi2-message-signing"))
	first := w.Register("first", fapitest.FAPI1Advanced)
	refused := first.ByValue(func(claims fapitest.Claims) {
		claims["response_type"], claims["response_mode"], claims["scope"] = "code", "jwt", "openid nothing"
	})
	signed := 0
	for range 2 * burst {
		status, page, to := w.Browser().Visit(refused)
		if to != nil && strings.Contains(to.String(), "response=ey") {
			signed++
		} else if status != http.StatusTooManyRequests {
			t.Errorf("answered %d %v %s", status, to, page)
		}
	}
	if signed != burst {
		t.Errorf("%d refusals were signed, want %d", signed, burst)
	}
	if r := c.Push(c.Signing(nil)); r.Status != http.StatusCreated {
		t.Errorf("the client itself gets %d %s", r.Status, r.Raw)
	}
}
