package fapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi"
	"countersign/internal/audit"
	"countersign/internal/auditlog"
	"countersign/internal/jose"
	"countersign/signer"
	"countersign/store"
)

// kept gives the events that wait for their chain, without what operators did, and takes them for seen.
func (w *world) kept(t *testing.T) []audit.Event {
	t.Helper()
	waiting, err := w.store.WaitingEvidence(t.Context(), w.config.AuditChain, w.clock.Now().Add(time.Hour), 1000)
	if err != nil {
		t.Fatal(err)
	}
	var events []audit.Event
	for _, e := range waiting {
		var event audit.Event
		if err := json.Unmarshal(e.Body, &event); err != nil {
			t.Fatal(err)
		}
		if event.CorrelationID == "" && event.Kind != audit.SecurityEvent {
			t.Errorf("an event without a correlation id: %s", e.Body)
		}
		events = append(events, event)
	}
	return events
}

// newly gives the events that do adds, in order.
func (w *world) newly(t *testing.T, do func()) []audit.Event {
	t.Helper()
	before := len(w.kept(t))
	do()
	return w.kept(t)[before:]
}

func wantKinds(t *testing.T, events []audit.Event, kinds ...audit.Kind) {
	t.Helper()
	var got []audit.Kind
	for _, event := range events {
		got = append(got, event.Kind)
	}
	if len(got) != len(kinds) {
		t.Fatalf("kept %v, want %v", got, kinds)
	}
	for i, kind := range kinds {
		if got[i] != kind {
			t.Fatalf("kept %v, want %v", got, kinds)
		}
	}
}

func (w *world) sealer(t *testing.T) *auditlog.Sealer {
	t.Helper()
	keys, err := signer.New(t.Context(), signer.Config{Catalogue: catalogue{w.store}, Replicas: []signer.Replica{{Backend: w.backend}}, Now: w.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	return &auditlog.Sealer{
		Store: w.store, Signer: keys, Chain: w.config.AuditChain, Every: time.Minute, Entries: 1000, Now: w.clock.Now, Log: slog.New(slog.DiscardHandler),
	}
}

// audited verifies the whole log with the server's keys.
func (w *world) audited(t *testing.T) (audit.Report, string) {
	t.Helper()
	keys, err := auditlog.Keys(t.Context(), w.store)
	if err != nil {
		t.Fatal(err)
	}
	verifier, all := audit.NewVerifier(audit.Options{Keys: keys}), ""
	err = auditlog.Each(t.Context(), w.store, auditlog.Position{}, func(line store.AuditLine) error {
		verifier.Add([]byte(line.Text))
		all += line.Text + "\n"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return verifier.Report(), all
}

func chained(c *fapiConfig, _ *autoInteractor) { c.AuditChain = "node-1" }

// Covers: MS-11. Each signed message of a client and to a client is kept with its key, so that it proves itself
// when the client has changed its keys, and without a secret.
func TestMS11Evidence(t *testing.T) {
	w := newWorld(t, offering, chained)
	c := w.register("client-1", ofProfile("fapi2-message-signing"))
	var code, sent string
	t.Run("accepts nothing less than the request and the response, each verbatim", func(t *testing.T) {
		var object string
		var response string
		events := w.newly(t, func() {
			pushed := c.push(func(form url.Values, header http.Header) {
				c.signing(claim("response_mode", "jwt"))(form, header)
				object = form.Get("request")
			})
			_, _, sentTo := w.browser().visit(w.authorizeURL(c.id, pushed.text("request_uri")))
			response = sentTo.Query().Get("response")
		})
		wantKinds(t, events, audit.RequestObject, audit.AuthorizationResponse)
		request, answer := events[0], events[1]
		if request.Message.JWS != object || request.ClientID != c.id || request.Key != c.key.Key().Thumbprint() {
			t.Errorf("kept %+v of the request object", request)
		}
		if answer.Message.Withheld == nil || !answer.Message.Is(response) || answer.Key == "" {
			t.Errorf("kept %+v of the response", answer)
		}
		if state := string(answer.Message.Withheld.Claims["state"]); state != `"state-1"` {
			t.Errorf("kept the state %s", state)
		}
		code, _ = w.verified(t, response, "oauth-authz-resp+jwt")["code"].(string)
		sent = response
		wantActive(t, c.redeem(code, nil))
	})
	t.Run("accepts proof with keys that the client has no more", func(t *testing.T) {
		c.key = newKey(t, jose.ES256)
		w.change(c, "jwks", json.RawMessage(`{"keys":[`+string(c.key.PublicJWK())+`]}`))
		if err := w.sealer(t).Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		report, all := w.audited(t)
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
		keys, err := auditlog.Keys(t.Context(), w.store)
		if err != nil {
			t.Fatal(err)
		}
		_, all := w.audited(t)
		another := c.signed(c.key, "oauth-authz-req+jwt", c.requestObject(c.request(), nil))
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
	w := newWorld(t, offering, chained)
	first := w.register("first", advanced)
	t.Run("accepts a request by value and its detached signature", func(t *testing.T) {
		var idToken string
		events := w.newly(t, func() {
			_, _, sentTo := w.browser().visit(first.byValue(claimed(claim("response_type", "code id_token"))))
			idToken = fragment(t, sentTo).Get("id_token")
		})
		wantKinds(t, events, audit.RequestObject, audit.IDToken)
		if events[1].Message.JWS != idToken || idToken == "" {
			t.Errorf("kept %+v", events[1])
		}
	})
	plain := w.register("plain", signedUserInfo)
	token := plain.tokens().text("access_token")
	t.Run("accepts UserInfo, without what it says about the person", func(t *testing.T) {
		var answer string
		events := w.newly(t, func() { answer = plain.get("/userinfo", token, nil).raw })
		wantKinds(t, events, audit.UserInfo)
		body, err := json.Marshal(events[0])
		if err != nil || strings.Contains(string(body), "alice@example.com") || strings.Contains(string(body), "Alice Example") || !events[0].Message.Is(answer) {
			t.Errorf("kept %s, %v", body, err)
		}
		if string(events[0].Message.Withheld.Claims["sub"]) == "" || string(events[0].Message.Withheld.Claims["email"]) != `{"withheld":true}` {
			t.Errorf("kept %s", body)
		}
	})
	t.Run("accepts signed introspection", func(t *testing.T) {
		self, answer := w.resourceServer("self", w.issuer), ""
		events := w.newly(t, func() {
			answer = self.introspect(token, setHeader("Accept", "application/token-introspection+jwt")).raw
		})
		wantKinds(t, events, audit.Introspection)
		if events[0].Message.JWS != answer || events[0].ClientID != self.id {
			t.Errorf("kept %+v", events[0])
		}
	})
	signing := w.register("signing", ofProfile("fapi2-message-signing"))
	t.Run("refuses to keep what was refused, and what nobody signed", func(t *testing.T) {
		events := w.newly(t, func() {
			wantError(t, signing.push(signing.signing(claim("aud", "https://other.example"))), 400, "invalid_request_object")
			wantError(t, signing.push(signing.signing(claim("scope", "unknown"))), 400, "invalid_scope")
			plain.tokens()
			// Anybody can ask for this error.
			query := url.Values{"client_id": {signing.id}, "request_uri": {"urn:ietf:params:oauth:request_uri:x"}, "redirect_uri": {signing.redirectURI}, "response_mode": {"jwt"}}
			if _, _, sentTo := w.browser().visit(w.issuer + "/authorize?" + query.Encode()); sentTo == nil || !sentTo.Query().Has("response") {
				t.Errorf("sent to %v", sentTo)
			}
		})
		wantKinds(t, events)
	})
	t.Run("refuses a request that comes twice, with its evidence", func(t *testing.T) {
		assertion := signing.clientAssertion(nil)
		push := func() reply {
			return signing.push(func(form url.Values, header http.Header) {
				signing.signing(nil)(form, header)
				form.Set("client_assertion", assertion)
			})
		}
		events := w.newly(t, func() {
			push()
			wantError(t, push(), 400, "invalid_request")
		})
		wantKinds(t, events, audit.RequestObject)
	})
}

// Covers: MS-11. Signed CIBA requests are kept, without what a person or a client has to keep to itself.
func TestMS11BackchannelRequests(t *testing.T) {
	w := newWorld(t, offersBackchannel(), chained)
	c := w.register("client-1", asksAdvanced)
	t.Run("accepts one", func(t *testing.T) {
		events := w.newly(t, func() {
			if r := c.askSigned(claim("binding_message", "Pay 7")); r.status != http.StatusOK {
				t.Fatalf("answered %d %s", r.status, r.raw)
			}
		})
		wantKinds(t, events, audit.BackchannelRequest)
		if events[0].Message.JWS == "" || events[0].Key != c.key.Key().Thumbprint() {
			t.Errorf("kept %+v", events[0])
		}
	})
	t.Run("refuses to keep what was refused", func(t *testing.T) {
		wantKinds(t, w.newly(t, func() { wantError(t, c.askSigned(claim("aud", "https://other.example")), 400, "invalid_request") }))
	})
}

// TestSecurityEvents: what clients do to registrations and grants is in the audit log.
func TestSecurityEvents(t *testing.T) {
	w, _ := wholeWorld(t, offersRegistration, chained)
	c := w.register("client-1", nil)
	code := c.authorize()
	issued := c.redeem(code, nil)
	for name, test := range map[string]struct {
		do   func()
		want string
	}{
		"a grant that is revoked":    {func() { c.revoke(c.tokens().text("refresh_token"), nil) }, "grant_revoked"},
		"a code that is used twice":  {func() { wantError(t, c.redeem(code, nil), 400, "invalid_grant") }, "code_used_twice"},
		"an access token that ends":  {func() { c.revoke(issued.text("access_token"), nil) }, ""},
		"a grant that is used again": {func() { c.tokens() }, ""},
	} {
		events := w.newly(t, test.do)
		if test.want == "" && len(events) == 0 {
			continue
		}
		if len(events) != 1 || events[0].Detail["event"] != test.want || events[0].ClientID != c.id {
			t.Errorf("%s: %+v, want %s", name, events, test.want)
		}
	}
	a := w.applicant(nil)
	var id string
	events := w.newly(t, func() {
		made := a.enrolled(w.initialToken("bank", 1), enrolment(newKey(t, jose.ES256), nil))
		id = made.text("client_id")
		r := a.send(http.MethodDelete, made.text("registration_client_uri"), made.text("registration_access_token"), nil, nil)
		if r.status != http.StatusNoContent {
			t.Fatalf("answered %d %s", r.status, r.raw)
		}
	})
	wantKinds(t, events, audit.SecurityEvent, audit.SecurityEvent)
	if events[0].Detail["event"] != "client_registered" || events[0].Detail["organisation"] != "bank" || events[0].ClientID != id ||
		events[1].Detail["event"] != "client_deleted_its_registration" {
		t.Errorf("kept %+v", events)
	}
}

// forgetful is a store that can keep no evidence on its own.
type forgetful struct{ store.Store }

var errFull = errors.New("the disk is full")

// Record implements store.Audit.
func (forgetful) Record(context.Context, ...store.Evidence) error { return errFull }

// Covers: MS-11. No signed message leaves whose evidence cannot be kept.
func TestMS11NothingWithoutEvidence(t *testing.T) {
	w := newWorld(t, offering, chained, deciding("deny"), func(c *fapiConfig, _ *autoInteractor) { c.Store = forgetful{c.Store} })
	c, self := w.register("client-1", ofProfile("fapi2-message-signing")), w.resourceServer("self", w.issuer)
	t.Run("refuses a signed error response", func(t *testing.T) {
		pushed := c.push(c.signing(claim("response_mode", "jwt")))
		if status, body, sentTo := w.browser().visit(w.authorizeURL(c.id, pushed.text("request_uri"))); sentTo != nil || status != http.StatusInternalServerError {
			t.Errorf("answered %d %s, sent to %v", status, body, sentTo)
		}
	})
	t.Run("refuses signed introspection", func(t *testing.T) {
		wantError(t, self.introspect("unknown", setHeader("Accept", "application/token-introspection+jwt")), 500, "server_error")
	})
	t.Run("accepts introspection that nobody signs", func(t *testing.T) { wantInactive(t, self.introspect("unknown", nil)) })
}

// Covers: MS-11. Of those who answer one request at once one wins, and only the winner's response is evidence.
func TestMS11Race(t *testing.T) {
	w := newWorld(t, offering, chained)
	c := w.register("client-1", ofProfile("fapi2-message-signing"))
	pushed := c.push(c.signing(claim("response_mode", "jwt")))
	address := w.authorizeURL(c.id, pushed.text("request_uri"))
	t.Run("accepts one", func(t *testing.T) {
		events := w.newly(t, func() {
			done := make(chan struct{})
			for range 8 {
				go func() {
					defer func() { done <- struct{}{} }()
					w.browser().visit(address)
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

// TestNobodyFloodsTheHSM: what anybody can have signed or opened in the name of a client is bounded, and takes nothing from
// what the client itself may send.
func TestNobodyFloodsTheHSM(t *testing.T) {
	const burst = 5
	w := newWorld(t, offering, chained, func(c *fapiConfig, _ *autoInteractor) {
		c.Limits = fapi.Limits{ClientPerSecond: 0.001, ClientBurst: burst}
	})
	c := w.register("client-1", ofProfile("fapi2-message-signing"))
	first := w.register("first", advanced)
	const jwe = "x.x.x.x.x"
	for name, query := range map[string]url.Values{
		"signed refusals":           {"client_id": {c.id}, "request_uri": {"urn:ietf:params:oauth:request_uri:x"}, "redirect_uri": {c.redirectURI}, "response_mode": {"jwt"}},
		"encrypted request objects": {"client_id": {first.id}, "request": {jwe}},
	} {
		t.Run(name, func(t *testing.T) {
			answered := 0
			for range 2 * burst {
				if status, _, _ := w.browser().visit(w.issuer + "/authorize?" + query.Encode()); status != http.StatusTooManyRequests {
					answered++
				}
			}
			if answered != burst {
				t.Errorf("%d were answered, want %d", answered, burst)
			}
		})
	}
	if r := c.push(c.signing(nil)); r.status != http.StatusCreated {
		t.Errorf("the client itself gets %d %s", r.status, r.raw)
	}
}
