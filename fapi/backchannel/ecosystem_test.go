package backchannel_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/backchannel"
	"countersign/fapi/consent"
	"countersign/fapi/fapitest"
	"countersign/fapi/rar"
	"countersign/fapi/rar/ready"
	"countersign/internal/jose"
	"countersign/signer"
)

const card = "4111111111111111"

// cardHolder finds alice by her card, as a bank's login does.
func cardHolder(b *backchannel.Settings) {
	b.ResolveHint = func(_ context.Context, hint backchannel.Hint) (string, error) {
		if hint.Value == card {
			return "sub-alice", nil
		}
		return "", backchannel.ErrUnknownUser
	}
}

// newConnectID starts a world with a client of ConnectID's backchannel authentication.
func newConnectID(t *testing.T) (*fapitest.World, *fapitest.Client) {
	t.Helper()
	w := fapitest.NewWorld(t, fapitest.Offering("au-connectid", "fapi2-message-signing"), fapitest.WithBackchannel(cardHolder))
	w.AddUser("sub-alice", "alice", `{"given_name":"Alice","verified_claims":{"verification":{"trust_framework":"au_connectid"},"claims":{"over18":true}}}`)
	return w, w.Register("client-1", fapitest.All(fapitest.OfEcosystem("au-connectid"), fapitest.CIBAPoll, fapitest.KeysAt(t)))
}

// asking signs a request of ConnectID with changes.
func asking(changes ...func(fapitest.Claims)) func(fapitest.Claims) {
	return func(claims fapitest.Claims) {
		claims["login_hint"], claims["binding_message"] = card, "To see that you are 18"
		fapitest.ChangeClaims(changes...)(claims)
	}
}

// tryAll sends requests, each as a subtest.
func tryAll(t *testing.T, c *fapitest.Client, code string, changes map[string]func(fapitest.Claims)) {
	t.Helper()
	for name, change := range fapitest.Sorted(changes) {
		verb := "refuses "
		if code == "" {
			verb = "accepts "
		}
		t.Run(verb+name, func(t *testing.T) {
			r := c.BackchannelSigned(asking(change))
			if code == "" {
				fapitest.WantOK(t, r)
				return
			}
			fapitest.WantError(t, r, http.StatusBadRequest, code)
		})
	}
}

// Covers: LR-30, LX-01. ConnectID demands a binding_message of 3 to 300 characters.
func TestLR30BindingMessage(t *testing.T) {
	t.Parallel()
	_, c := newConnectID(t)
	tryAll(t, c, "", map[string]func(fapitest.Claims){
		"3 characters": fapitest.SetClaim("binding_message", "Why"), "300 characters": fapitest.SetClaim("binding_message", strings.Repeat("abc ", 75)),
	})
	tryAll(t, c, "invalid_binding_message", map[string]func(fapitest.Claims){
		"2 characters":   fapitest.SetClaim("binding_message", "No"),
		"301 characters": fapitest.SetClaim("binding_message", strings.Repeat("abc ", 75)+"d"), "text that turns around": fapitest.SetClaim("binding_message", "Pay \u202e05"),
	})
	// A required parameter that is missing, as the conformance suite has it (CIBA Core §13).
	tryAll(t, c, "invalid_request", map[string]func(fapitest.Claims){"none": fapitest.SetClaim("binding_message", nil)})
}

// Covers: LX-02. A payment by card of ConnectID is shown to the user and granted; an incomplete or malformed one is refused.
func TestLX02CardPayment(t *testing.T) {
	t.Parallel()
	const kind = "3ds:payment_authorisation"
	schema, err := ready.Schema("connectid-card-payment", kind)
	if err != nil {
		t.Fatal(err)
	}
	w := fapitest.NewWorld(t, fapitest.Offering("au-connectid"), fapitest.WithBackchannel(cardHolder), func(c *fapitest.Config) {
		c.AuthorizationDetailTypes = []rar.Type{{Type: kind, Schema: schema}}
	})
	c := w.Register("client-1", fapitest.All(fapitest.OfEcosystem("au-connectid"), fapitest.CIBAPoll, fapitest.KeysAt(t),
		fapitest.SetMember("authorization_details_types", []string{kind})))
	paying := func(change func(payment map[string]any)) func(fapitest.Claims) {
		return func(claims fapitest.Claims) {
			payment := map[string]any{
				"type": kind, "instructed_amount": map[string]any{"amount": 10.5, "currency": "AUD"}, "source_account": card,
				"beneficiary_name": "Test Merchant", "payment_desc": "Two tickets",
			}
			change(payment)
			claims["authorization_details"] = []any{payment}
		}
	}
	t.Run("accepts one, shows it and grants it", func(t *testing.T) {
		r := c.BackchannelSigned(asking(paying(func(map[string]any) {})))
		fapitest.WantOK(t, r)
		waiting := pendingOf(w, "sub-alice")
		if len(waiting) != 1 || len(waiting[0].Values) != 1 {
			t.Fatalf("shown %+v", waiting)
		}
		w.Decide(r.Text("auth_req_id"), true)
		answer := c.Poll(r.Text("auth_req_id"), nil)
		fapitest.WantOK(t, answer)
		granted, _ := answer.Body["authorization_details"].([]any)
		if len(granted) != 1 || granted[0].(map[string]any)["beneficiary_name"] != "Test Merchant" {
			t.Errorf("granted %v", answer.Raw)
		}
	})
	amount := func(member string, value any) func(map[string]any) {
		return func(payment map[string]any) {
			instructed := payment["instructed_amount"].(map[string]any)
			if instructed[member] = value; value == nil {
				delete(instructed, member)
			}
		}
	}
	refused := map[string]func(fapitest.Claims){
		"an amount that is no number": paying(amount("amount", "not-an-amount")), "no amount": paying(amount("amount", nil)), "an amount of nothing": paying(amount("amount", 0)),
		"a currency that is none": paying(amount("currency", "NOT_A_CURRENCY")), "no currency": paying(amount("currency", nil)),
		"another type": paying(func(payment map[string]any) { payment["type"] = "3ds:other" }), "a card that is none": paying(func(payment map[string]any) { payment["source_account"] = "me" }),
		"a member besides": paying(func(payment map[string]any) { payment["more"] = true }),
	}
	for _, member := range []string{"instructed_amount", "source_account", "beneficiary_name", "payment_desc"} {
		refused["no "+member] = paying(func(payment map[string]any) { delete(payment, member) })
	}
	tryAll(t, c, "invalid_authorization_details", refused)
}

// Covers: LR-31. Hints are of the kinds and of the form of the ecosystem.
func TestLR31Hints(t *testing.T) {
	t.Parallel()
	w, c := newConnectID(t)
	tryAll(t, c, "", map[string]func(fapitest.Claims){"a card number": func(fapitest.Claims) {}, "the card of nobody, as of anybody": fapitest.SetClaim("login_hint", "5555555555554444")})
	without := fapitest.SetClaim("login_hint", nil)
	tryAll(t, c, "invalid_request", map[string]func(fapitest.Claims){
		"what is no card number": fapitest.SetClaim("login_hint", "not-a-card-primary-account-number"), "a card number in a text": fapitest.SetClaim("login_hint", "my "+card),
		"a login_hint_token": fapitest.ChangeClaims(without, fapitest.SetClaim("login_hint_token", "a.b.c")),
		"an id_token_hint":   fapitest.ChangeClaims(without, fapitest.SetClaim("id_token_hint", "a.b.c")),
	})
	other := w.Register("client-2", fapitest.All(fapitest.OfEcosystem("fapi2-message-signing"), fapitest.CIBAPoll))
	t.Run("accepts any of a client whose profile has no rule", func(t *testing.T) {
		fapitest.WantOK(t, other.BackchannelSigned(fapitest.SetClaim("login_hint", "alice")))
	})
}

// Covers: LR-32, LR-33. The claims parameter counts where the profile has it: users are shown what is asked, and it is released. The ID
// token has no acr, and has a txn.
func TestLR32ClaimsParameter(t *testing.T) {
	t.Parallel()
	w, c := newConnectID(t)
	claims := fapitest.SetClaim("claims", `{"id_token":{"given_name":{"essential":true},"verified_claims":{"verification":{"trust_framework":{"value":"au_connectid"}},"claims":{"over18":null}}}}`)
	t.Run("accepts it, shows it and releases it", func(t *testing.T) {
		r := c.BackchannelSigned(asking(claims))
		fapitest.WantOK(t, r)
		waiting := pendingOf(w, "sub-alice")
		if len(waiting) != 1 || !cmp.Equal(waiting[0].Claims, []string{"given_name", "over18"}) {
			t.Errorf("shown %+v", waiting)
		}
		w.Decide(r.Text("auth_req_id"), true)
		_, body := w.Verify(c.Poll(r.Text("auth_req_id"), nil).Text("id_token"))
		want := map[string]any{"verification": map[string]any{"trust_framework": "au_connectid"}, "claims": map[string]any{"over18": true}}
		if body["given_name"] != "Alice" || !cmp.Equal(body["verified_claims"], any(want)) {
			t.Errorf("%v", body)
		}
		if txn, _ := body["txn"].(string); len(txn) != 36 || body["acr"] != nil || body["amr"] == nil {
			t.Errorf("txn %v, acr %v", body["txn"], body["acr"])
		}
	})
	tryAll(t, c, "invalid_request", map[string]func(fapitest.Claims){"one that cannot be read": fapitest.SetClaim("claims", `{"id_token":[]}`)})
	t.Run("refuses to read it where the profile has none", func(t *testing.T) {
		other := w.Register("client-2", fapitest.All(fapitest.OfEcosystem("fapi2-message-signing"), fapitest.CIBAPoll, fapitest.SetMember("scope", "openid profile")))
		r := other.BackchannelSigned(fapitest.ChangeClaims(claims, fapitest.SetClaim("login_hint", card)))
		fapitest.WantOK(t, r)
		w.Decide(r.Text("auth_req_id"), true)
		_, body := w.Verify(other.Poll(r.Text("auth_req_id"), nil).Text("id_token"))
		if body["given_name"] != nil || body["txn"] != nil || body["acr"] == nil {
			t.Errorf("%v", body)
		}
	})
}

// Covers: LR-35. Only what the ecosystem has is announced and registered: PS256, poll.
func TestLR35Offered(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.Offering("au-connectid"), fapitest.WithBackchannel())
	document := w.Document()
	for member, want := range map[string][]any{
		"backchannel_token_delivery_modes_supported": {"poll"}, "backchannel_authentication_request_signing_alg_values_supported": {"PS256"},
		"subject_types_supported": {"pairwise"}, "trust_frameworks_supported": {"au_connectid"},
	} {
		t.Run("accepts "+member, func(t *testing.T) {
			if diff := cmp.Diff(any(want), document[member]); diff != "" {
				t.Error(diff)
			}
		})
	}
	if document["verified_claims_supported"] != true {
		t.Errorf("verified_claims_supported %v", document["verified_claims_supported"])
	}
	t.Run("refuses a request that is signed with ES256", func(t *testing.T) {
		c := w.Register("client-1", fapitest.All(fapitest.OfEcosystem("au-connectid"), fapitest.CIBAPoll, fapitest.KeysAt(t)))
		other := *c
		other.Key = fapitest.NewKey(t, jose.ES256)
		fapitest.WantError(t, c.Post("/backchannel", url.Values{"request": {other.Sign(other.Key, "", c.BackchannelClaims(c.BackchannelForm(), asking()))}}, nil), 400, "invalid_request")
	})
}

// newBrazil starts a world with a client of Brazil's backchannel authentication, which names a consent of alice by login_hint; ask sends
// a request with changes.
func newBrazil(t *testing.T) (w *fapitest.World, c *fapitest.Client, recipient fapitest.Recipient, ask func(...func(fapitest.Claims)) fapitest.Reply) {
	t.Helper()
	w = fapitest.NewWorld(t, fapitest.WithConsents, fapitest.Offering("brazil-openfinance", "brazil-openfinance/fapi2-security"), fapitest.WithBackchannel())
	w.AddUser("sub-alice", "11111111111", `{"cpf":"11111111111"}`)
	recipient = fapitest.NewRecipient(t, jose.RSAOAEP)
	notified := w.NotificationEndpoint(fapitest.Answer(http.StatusNoContent))
	c = w.Register("client-1", fapitest.All(fapitest.OfEcosystem("brazil-openfinance"), fapitest.EncryptedTo(recipient, jose.RSAOAEP),
		fapitest.CIBAPing(notified.URL), fapitest.KeysAt(t)))
	return w, c, recipient, func(changes ...func(fapitest.Claims)) fapitest.Reply {
		lodged := w.Lodge(c, func(l *consent.Consent) { l.Hints = map[string]string{"cpf": "11111111111"} })
		return c.BackchannelSigned(fapitest.ChangeClaims(append(changes, fapitest.SetClaim("login_hint", lodged.ID),
			fapitest.SetClaim("client_notification_token", fapitest.NotificationToken))...))
	}
}

// Covers: LR-34. requested_expiry is left out of account where the ecosystem has it so; one that is none is refused all the same.
func TestLR34RequestedExpiry(t *testing.T) {
	t.Parallel()
	_, _, _, ask := newBrazil(t)
	t.Run("accepts it and answers with the server's own", func(t *testing.T) {
		if r := ask(fapitest.SetClaim("requested_expiry", "13")); r.Body["expires_in"] != 120.0 {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
	t.Run("refuses what is no time", func(t *testing.T) {
		fapitest.WantError(t, ask(fapitest.SetClaim("requested_expiry", "soon")), 400, "invalid_request")
	})
}

// addDecryption makes a key in SoftHSM2 to which requests are encrypted, and returns the key set of the server with it.
func addDecryption(w *fapitest.World, alg signer.Algorithm) jose.KeySet {
	w.T.Helper()
	record, err := fapitest.SharedBackend(w.T).(interface {
		Generate(context.Context, signer.Algorithm) (signer.Record, error)
	}).Generate(w.T.Context(), alg)
	if err != nil {
		w.T.Fatal(err)
	}
	record.State, record.Uses = signer.Active, []signer.Use{signer.UseRequestObject}
	fapitest.AddKey(w.T, w.Store, record)
	w.Clock.Advance(11 * time.Second)
	_, document, _ := w.Browser().Visit(w.Issuer + "/jwks")
	published, err := jose.ParseKeySet([]byte(document))
	if err != nil {
		w.T.Fatal(err)
	}
	return published
}

// Covers: LX-03. An HSM that has RSA-OAEP with SHA-1 alone, as SoftHSM2, serves an ecosystem that names it: it is announced, and opens
// requests; nothing else is.
func TestLX03BrazilEncrypts(t *testing.T) {
	t.Parallel()
	w, c, _, _ := newBrazil(t)
	if before := w.Document(); before["request_object_encryption_alg_values_supported"] != nil {
		t.Fatalf("announced without a key: %v", before["request_object_encryption_alg_values_supported"])
	}
	published := addDecryption(w, signer.RSAOAEP)
	document := w.Document()
	for member, want := range map[string]string{"request_object_encryption_alg_values_supported": jose.RSAOAEP, "request_object_encryption_enc_values_supported": jose.A256GCM} {
		t.Run("accepts "+member, func(t *testing.T) {
			if diff := cmp.Diff(any([]any{want}), document[member]); diff != "" {
				t.Error(diff)
			}
		})
	}
	send := func(enc string) fapitest.Reply {
		lodged := w.Lodge(c, func(l *consent.Consent) { l.Hints = map[string]string{"cpf": "11111111111"} })
		signed := c.Sign(c.Key, "", c.BackchannelClaims(c.BackchannelForm(), fapitest.ChangeClaims(fapitest.SetClaim("login_hint", lodged.ID),
			fapitest.SetClaim("client_notification_token", fapitest.NotificationToken))))
		sealed, err := published.Encrypt([]byte(signed), jose.RSAOAEP, enc, "JWT")
		if err != nil {
			t.Fatal(err)
		}
		return c.Post("/backchannel", url.Values{"request": {sealed}}, nil)
	}
	t.Run("accepts a request that is encrypted with it", func(t *testing.T) { fapitest.WantOK(t, send(jose.A256GCM)) })
	t.Run("refuses another encryption of the content", func(t *testing.T) {
		fapitest.WantError(t, send(jose.A128GCM), http.StatusBadRequest, "invalid_request")
	})
}

// Covers: LR-36. An encrypted backchannel request is opened by a key in the HSM, and held to the algorithms of the profile.
func TestLR36EncryptedRequest(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles())
	published := addDecryption(w, signer.ECDHES)
	c := w.Register("client-1", fapitest.CIBAAdvanced)
	send := func(change func(sealed string) string) fapitest.Reply {
		signed := c.Sign(c.Key, "", c.BackchannelClaims(c.BackchannelForm(), nil))
		sealed, err := published.Encrypt([]byte(signed), jose.ECDHES, jose.A256GCM, "JWT")
		if err != nil {
			t.Fatal(err)
		}
		return c.Post("/backchannel", url.Values{"request": {change(sealed)}}, nil)
	}
	t.Run("accepts one", func(t *testing.T) { fapitest.WantOK(t, send(func(sealed string) string { return sealed })) })
	for name, change := range map[string]func(string) string{
		"one that was changed": func(sealed string) string {
			parts := strings.Split(sealed, ".")
			parts[3] = strings.Repeat("A", len(parts[3])-len(parts[3])%4)
			return strings.Join(parts, ".")
		},
		"what is none": func(string) string { return "a.b.c.d.e" },
	} {
		t.Run("refuses "+name, func(t *testing.T) { fapitest.WantError(t, send(change), 400, "invalid_request") })
	}
}

// Covers: LR-12. ID tokens live within the bounds of the ecosystem, those of backchannel authentication within their own.
func TestLR12IDTokenLifetime(t *testing.T) {
	t.Parallel()
	w, c, recipient, ask := newBrazil(t)
	browser := w.Register("client-2", fapitest.All(fapitest.OfEcosystem("brazil-openfinance/fapi2-security"), fapitest.KeysAt(t)))
	lives := func(token string) time.Duration {
		_, body := w.Verify(token)
		return time.Duration(body["exp"].(float64)-body["iat"].(float64)) * time.Second
	}
	t.Run("accepts 180 days over the backchannel", func(t *testing.T) {
		r := ask()
		fapitest.WantOK(t, r)
		w.Decide(r.Text("auth_req_id"), true)
		if life := lives(recipient.Open(t, c.Poll(r.Text("auth_req_id"), nil).Text("id_token"))); life != 180*24*time.Hour {
			t.Errorf("it lives %s", life)
		}
	})
	t.Run("refuses so long a life through the browser", func(t *testing.T) {
		if life := lives(browser.Tokens().Text("id_token")); life != 5*time.Minute {
			t.Errorf("it lives %s", life)
		}
	})
}

// Covers: LR-06. The backchannel authentication endpoint serves clients of an ecosystem with mutual TLS everywhere without a
// certificate, as theirs call it; the token endpoint does not.
func TestLR06AnyListener(t *testing.T) {
	t.Parallel()
	w, c := newConnectID(t)
	plain := *c
	plain.Certificate = nil
	plain.HTTP = w.Transport(&plain)
	r := plain.BackchannelSigned(asking())
	t.Run("accepts a backchannel request", func(t *testing.T) { fapitest.WantOK(t, r) })
	t.Run("refuses the poll", func(t *testing.T) {
		fapitest.WantError(t, plain.Poll(r.Text("auth_req_id"), nil), http.StatusBadRequest, "invalid_request")
	})
}
