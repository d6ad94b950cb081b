package rar_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/fapitest"
)

// withDetails asks for authorization_details.
func withDetails(list ...string) fapitest.Change {
	return fapitest.Set("authorization_details", "["+strings.Join(list, ",")+"]")
}

// wantDetails compares authorization_details, in any order of their members.
func wantDetails(t *testing.T, place string, got any, want ...string) {
	t.Helper()
	list, _ := got.([]any)
	var gotTexts, wantTexts []string
	for _, one := range list {
		gotTexts = append(gotTexts, fapitest.JSON(one))
	}
	for _, one := range want {
		wantTexts = append(wantTexts, fapitest.JSON(parsed(t, one)))
	}
	if diff := cmp.Diff(wantTexts, gotTexts); diff != "" {
		t.Errorf("%s (-want +got):\n%s", place, diff)
	}
}

// Covers: RA-01, RULE-23, ATTACK-43. authorization_details is an array of objects, each of a type that exists, is registered
// for the client, and with the members that the type has; anything else is refused when it is pushed.
func TestRA01Form(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	c, few := w.Register("client-1", fapitest.AllScopes), w.Register("client-2", fapitest.SetMember("authorization_details_types", []string{"account_information"}))
	none := w.Register("client-3", nil)
	payment := func(alter string) string {
		return strings.Replace(fapitest.OnePayment, `"creditorName":"Merchant A"`, alter, 1)
	}
	const wrong = "invalid_authorization_details"
	fapitest.TryAll(t, c.Push,
		fapitest.Good("one object", withDetails(fapitest.OnePayment)),
		fapitest.Good("two objects of two types", withDetails(fapitest.OnePayment, fapitest.TwoActions)),
		fapitest.Good("two objects of one type", withDetails(fapitest.OnePayment, strings.Replace(fapitest.OnePayment, "Merchant A", "Merchant B", 1))),
		fapitest.Good("details without a scope", fapitest.Changes(withDetails(fapitest.OnePayment), fapitest.Unset("scope"))),
		fapitest.Good("members in another order, with spaces", fapitest.Set("authorization_details", ` [ { "actions" : [ "list_accounts" ] , "type" : "account_information" } ] `)),
		fapitest.Good("a member written with an escape", withDetails(payment(`"creditorName":"M\u00fcller"`))),
		fapitest.Bad("an object without an array", fapitest.Set("authorization_details", fapitest.OnePayment), 400, wrong),
		fapitest.Bad("text", fapitest.Set("authorization_details", `"payment_initiation"`), 400, wrong),
		fapitest.Bad("what is no JSON", fapitest.Set("authorization_details", `[{"type":`), 400, wrong),
		fapitest.Bad("an empty array", fapitest.Set("authorization_details", `[]`), 400, wrong),
		fapitest.Bad("null in the array", fapitest.Set("authorization_details", `[null]`), 400, wrong),
		fapitest.Bad("text in the array", fapitest.Set("authorization_details", `["payment_initiation"]`), 400, wrong),
		fapitest.Bad("something after the array", fapitest.Set("authorization_details", `[`+fapitest.OnePayment+`] x`), 400, wrong),
		fapitest.Bad("no type", withDetails(strings.Replace(fapitest.OnePayment, `"type":"payment_initiation",`, "", 1)), 400, wrong),
		fapitest.Bad("a type that is no text", withDetails(`{"type":1}`), 400, wrong),
		fapitest.Bad("an unknown type", withDetails(`{"type":"colour"}`), 400, wrong),
		fapitest.Bad("a type in other letters", withDetails(strings.Replace(fapitest.OnePayment, "payment_initiation", "Payment_Initiation", 1)), 400, wrong),
		fapitest.Bad("an unknown type beside a known one", withDetails(fapitest.OnePayment, `{"type":"colour"}`), 400, wrong),
		fapitest.Bad("a member that the type has not", withDetails(payment(`"creditorName":"Merchant A","urgent":true`)), 400, wrong),
		fapitest.Bad("a member that is missing", withDetails(`{"type":"payment_initiation","creditorName":"Merchant A"}`), 400, wrong),
		fapitest.Bad("a number for text", withDetails(strings.Replace(fapitest.OnePayment, `"123.50"`, "123.50", 1)), 400, wrong),
		fapitest.Bad("a value that is not one of the list", withDetails(strings.Replace(fapitest.OneAction, "list_accounts", "delete_accounts", 1)), 400, wrong),
		fapitest.Bad("an object for a list", withDetails(`{"type":"account_information","actions":{"0":"list_accounts"}}`), 400, wrong),
		fapitest.Bad("a member twice", withDetails(payment(`"creditorName":"Merchant A","creditorName":"Mallory"`)), 400, wrong),
		fapitest.Bad("a member twice, one escaped", withDetails(payment(`"creditorName":"Merchant A","creditor\u004eame":"Mallory"`)), 400, wrong),
		fapitest.Bad("the type twice", withDetails(strings.Replace(fapitest.OneAction, "{", `{"type":"payment_initiation",`, 1)), 400, wrong),
		fapitest.Bad("text that is too long", withDetails(payment(`"creditorName":"`+strings.Repeat("x", 71)+`"`)), 400, wrong),
		fapitest.Bad("deep nesting", withDetails(`{"type":"account_information","actions":`+strings.Repeat("[", 500)+strings.Repeat("]", 500)+`}`), 400, wrong),
		fapitest.Bad("text that is not UTF-8", withDetails(payment(`"creditorName":"\ud800"`)), 400, wrong),
		fapitest.Bad("a hundred objects", withDetails(slices.Repeat([]string{fapitest.OneAction}, 100)...), 400, wrong),
		fapitest.Bad("the parameter twice", func(f url.Values, _ http.Header) {
			f["authorization_details"] = []string{"[" + fapitest.OnePayment + "]", "[" + fapitest.OneAction + "]"}
		}, 400, "invalid_request"),
	)
	fapitest.TryAll(t, few.Push,
		fapitest.Good("a type that the client registered", withDetails(fapitest.OneAction)),
		fapitest.Bad("a type that the client did not register", withDetails(fapitest.OnePayment), 400, wrong),
		fapitest.Bad("one of each", withDetails(fapitest.OneAction, fapitest.OnePayment), 400, wrong),
	)
	fapitest.TryAll(t, none.Push, fapitest.Bad("any type for a client that registered none", withDetails(fapitest.OneAction), 400, wrong))
}

// Covers: RA-02, ATTACK-43. What is pushed is what the user sees, what is granted, and what the token grants; a client
// that acts for itself asks for details at the token endpoint.
func TestRA02FromRequestToToken(t *testing.T) {
	t.Parallel()
	w, p := fapitest.NewFullWorld(t)
	c, self := w.Register("client-1", fapitest.AllScopes), w.ResourceServer("self", w.Issuer)
	t.Run("accepts the same details from the push to the resource", func(t *testing.T) {
		spaced := strings.ReplaceAll(fapitest.OnePayment, ":", " :\n ")
		issued := c.TokensFor(withDetails(spaced, fapitest.TwoActions))
		wantDetails(t, "token response", issued.Body["authorization_details"], fapitest.OnePayment, fapitest.TwoActions)
		token := issued.Text("access_token")
		wantDetails(t, "access token", fapitest.UnverifiedClaims(t, token)["authorization_details"], fapitest.OnePayment, fapitest.TwoActions)
		wantDetails(t, "introspection", self.Introspect(token, nil).Body["authorization_details"], fapitest.OnePayment, fapitest.TwoActions)
		if shown := p.Sees().Details; shown[0].Heading.String() != "Pay €123.50 to Merchant A?" ||
			!strings.HasPrefix(shown[1].Heading.String(), "Share account information with ") || !strings.Contains(fapitest.JSON(shown[1]), "Balances") {
			t.Errorf("the user saw %v", shown)
		}
		again := c.Refresh(issued.Text("refresh_token"), nil)
		wantDetails(t, "refreshed token", fapitest.UnverifiedClaims(t, again.Text("access_token"))["authorization_details"], fapitest.OnePayment, fapitest.TwoActions)
		wantDetails(t, "refresh response", again.Body["authorization_details"], fapitest.OnePayment, fapitest.TwoActions)
	})
	t.Run("accepts a grant of details alone", func(t *testing.T) {
		issued := c.TokensFor(fapitest.Changes(withDetails(fapitest.OnePayment), fapitest.Unset("scope")))
		if issued.Text("scope") != "" || issued.Body["id_token"] != nil {
			t.Errorf("answered %s", issued.Raw)
		}
		wantDetails(t, "token response", issued.Body["authorization_details"], fapitest.OnePayment)
	})
	t.Run("accepts details at the token endpoint of a client for itself", func(t *testing.T) {
		alone := w.Register("machine", fapitest.All(fapitest.ClientCredentialsOnly, fapitest.SetMember("authorization_details_types", []string{"account_information"})))
		r := alone.ClientCredentials(withDetails(fapitest.TwoActions))
		fapitest.WantOK(t, r)
		wantDetails(t, "token response", r.Body["authorization_details"], fapitest.TwoActions)
		wantDetails(t, "introspection", self.Introspect(r.Text("access_token"), nil).Body["authorization_details"], fapitest.TwoActions)
		fapitest.WantError(t, alone.ClientCredentials(withDetails(fapitest.OnePayment)), 400, "invalid_authorization_details")
	})
	t.Run("accepts what an operator registered as the default of a client for itself", func(t *testing.T) {
		alone := w.Register("machine-2", fapitest.All(fapitest.ClientCredentialsOnly, fapitest.SetMember("authorization_details_types", []string{"account_information"}),
			func(_ *fapitest.Client, m map[string]any) {
				m["default_authorization_details"] = []any{parsed(t, fapitest.OneAction)}
			}))
		r := alone.ClientCredentials(nil)
		fapitest.WantOK(t, r)
		wantDetails(t, "token response", r.Body["authorization_details"], fapitest.OneAction)
	})
	t.Run("refuses to remember a decision about details: the user is asked each time", func(t *testing.T) {
		b := w.Browser()
		for range 2 {
			p.Asked()
			c.AuthorizeIn(b, withDetails(fapitest.OnePayment))
			if _, pages := p.Asked(); pages != 1 {
				t.Errorf("the user was asked %d times", pages)
			}
		}
	})
	t.Run("refuses to take a decision about details for one about scopes", func(t *testing.T) {
		another, b := w.Register("client-2", fapitest.AllScopes), w.Browser()
		another.AuthorizeIn(b, withDetails(fapitest.OnePayment))
		fapitest.WantRedirectError(t, another.AuthorizeIn(b, fapitest.Set("prompt", "none")), "consent_required")
	})
	t.Run("refuses to hide a member from the user, even an empty one", func(t *testing.T) {
		c.TokensFor(withDetails(`{"type":"account_information","actions":[],"datatypes":["a,b","c"]}`))
		var lines []string
		for _, line := range p.Sees().Details[0].Groups[0].Lines {
			lines = append(lines, line.Label+": "+line.Value)
		}
		if diff := cmp.Diff([]string{"What it will see: None", "Kinds of data (1): a,b", "Kinds of data (2): c"}, lines); diff != "" {
			t.Errorf("the user saw otherwise (-want +got):\n%s", diff)
		}
	})
	t.Run("refuses details outside of the pushed request", func(t *testing.T) {
		pushed := c.Push(withDetails(fapitest.OneAction)).Text("request_uri")
		more := "&authorization_details=" + url.QueryEscape("["+fapitest.OnePayment+"]")
		_, _, sentTo := w.Browser().Visit(w.AuthorizeURL(c.ID, pushed) + more)
		if sentTo == nil {
			t.Fatal("the browser was not sent back")
		}
		wantDetails(t, "token response", c.Redeem(sentTo.Query().Get("code"), nil).Body["authorization_details"], fapitest.OneAction)
	})
	t.Run("refuses the user's refusal into a token", func(t *testing.T) {
		p.Does("deny")
		defer p.Does("allow")
		fapitest.WantRedirectError(t, c.AuthorizeIn(w.Browser(), withDetails(fapitest.OnePayment)), "access_denied")
	})
}

// Covers: RA-03. A token says of the details what concerns its resources; a resource server is told its own.
func TestRA03ForEachResource(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	c := w.Register("client-1", fapitest.AllScopes)
	ledger, payments := w.ResourceServer("ledger", fapitest.LedgerAPI), w.ResourceServer("payments", fapitest.PaymentAPI)
	at := func(detail, location string) string {
		return strings.TrimSuffix(detail, "}") + `,"locations":["` + location + `"]}`
	}
	account, payment := at(fapitest.OneAction, fapitest.LedgerAPI), at(fapitest.OnePayment, fapitest.PaymentAPI)
	resources := func(list ...string) fapitest.Change {
		return func(form url.Values, _ http.Header) { form["resource"] = list }
	}
	issued := c.TokensFor(fapitest.Changes(withDetails(account, payment), resources(fapitest.LedgerAPI, fapitest.PaymentAPI)))
	t.Run("accepts both in a token for both, and tells each its own", func(t *testing.T) {
		token := issued.Text("access_token")
		wantDetails(t, "access token", fapitest.UnverifiedClaims(t, token)["authorization_details"], account, payment)
		wantDetails(t, "ledger", ledger.Introspect(token, nil).Body["authorization_details"], account)
		wantDetails(t, "payments", payments.Introspect(token, nil).Body["authorization_details"], payment)
	})
	t.Run("accepts a token for one of them with its part only", func(t *testing.T) {
		one := c.Refresh(issued.Text("refresh_token"), resources(fapitest.PaymentAPI))
		fapitest.WantOK(t, one)
		wantDetails(t, "access token", fapitest.UnverifiedClaims(t, one.Text("access_token"))["authorization_details"], payment)
		wantDetails(t, "response", one.Body["authorization_details"], payment)
		fapitest.WantInactive(t, ledger.Introspect(one.Text("access_token"), nil))
	})
	fapitest.TryAll(t, c.Push,
		fapitest.Good("details for one of two resources", fapitest.Changes(withDetails(account), resources(fapitest.LedgerAPI, fapitest.PaymentAPI))),
		fapitest.Good("details for this server", withDetails(at(fapitest.OneAction, w.Issuer))),
		fapitest.Bad("details for a resource that is not asked for, which would be in no token", fapitest.Changes(withDetails(account), resources(fapitest.PaymentAPI)), 400, "invalid_target"),
		fapitest.Bad("details for another resource where none is asked for", withDetails(account), 400, "invalid_target"),
		fapitest.Bad("details for an unknown place beside good ones", fapitest.Changes(withDetails(account, at(fapitest.OnePayment, "https://other.example")), resources(fapitest.LedgerAPI)), 400, "invalid_target"),
	)
	t.Run("refuses a token where nothing is left for the resource", func(t *testing.T) {
		only := c.TokensFor(fapitest.Changes(withDetails(payment), fapitest.Unset("scope"), resources(fapitest.LedgerAPI, fapitest.PaymentAPI)))
		fapitest.WantError(t, c.Refresh(only.Text("refresh_token"), resources(fapitest.LedgerAPI)), 400, "invalid_target")
		fapitest.WantOK(t, c.Refresh(only.Text("refresh_token"), resources(fapitest.PaymentAPI)))
	})
}

// Covers: RA-04. At the token endpoint details can become fewer, never more or other ones.
func TestRA04OnlyNarrower(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	c := w.Register("client-1", fapitest.AllScopes)
	const wrong = "invalid_authorization_details"
	attempts := []fapitest.Attempt{
		fapitest.Good("what was granted", withDetails(fapitest.OnePayment, fapitest.TwoActions)),
		fapitest.Good("one of two", withDetails(fapitest.OnePayment)),
		fapitest.Good("the other of two", withDetails(fapitest.TwoActions)),
		fapitest.Good("them in another order", withDetails(fapitest.TwoActions, fapitest.OnePayment)),
		fapitest.Bad("another amount", withDetails(strings.Replace(fapitest.OnePayment, "123.50", "1123.50", 1)), 400, wrong),
		fapitest.Bad("another user to be paid", withDetails(strings.Replace(fapitest.OnePayment, "Merchant A", "Mallory", 1)), 400, wrong),
		fapitest.Bad("one action more", withDetails(strings.Replace(fapitest.TwoActions, `"read_balances"`, `"read_balances","read_transactions"`, 1)), 400, wrong),
		fapitest.Bad("a member more", withDetails(strings.Replace(fapitest.TwoActions, `}`, `,"datatypes":["x"]}`, 1)), 400, wrong),
		fapitest.Bad("the same payment twice", withDetails(fapitest.OnePayment, fapitest.OnePayment), 400, wrong),
		fapitest.Bad("an unknown type", withDetails(`{"type":"colour"}`), 400, wrong),
		fapitest.Bad("what is no JSON", fapitest.Set("authorization_details", "["), 400, wrong),
	}
	asking := withDetails(fapitest.OnePayment, fapitest.TwoActions)
	t.Run("accepts no less for a code", func(t *testing.T) {
		fapitest.TryAll(t, func(alter fapitest.Change) fapitest.Reply {
			return c.Redeem(c.AuthorizeIn(w.Browser(), asking).Get("code"), alter)
		}, attempts...)
	})
	issued := c.TokensFor(asking)
	t.Run("accepts no less for a refresh token", func(t *testing.T) {
		fapitest.TryAll(t, func(alter fapitest.Change) fapitest.Reply { return c.Refresh(issued.Text("refresh_token"), alter) }, attempts...)
	})
	t.Run("accepts all of it again after it was restricted once", func(t *testing.T) {
		less := c.Refresh(issued.Text("refresh_token"), withDetails(fapitest.OnePayment))
		wantDetails(t, "narrowed", less.Body["authorization_details"], fapitest.OnePayment)
		wantDetails(t, "its token", fapitest.UnverifiedClaims(t, less.Text("access_token"))["authorization_details"], fapitest.OnePayment)
		wantDetails(t, "the next", c.Refresh(issued.Text("refresh_token"), nil).Body["authorization_details"], fapitest.OnePayment, fapitest.TwoActions)
	})
	t.Run("refuses details where none were granted", func(t *testing.T) {
		plain := c.Tokens()
		fapitest.WantError(t, c.Refresh(plain.Text("refresh_token"), withDetails(fapitest.OneAction)), 400, wrong)
		fapitest.WantError(t, c.Redeem(c.Authorize(), withDetails(fapitest.OneAction)), 400, wrong)
	})
}

// Covers: RA-05. The types are advertised, and a client registers those that it may ask for.
func TestRA05Metadata(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	t.Run("accepts the types of the configuration in the metadata", func(t *testing.T) {
		want := []any{"payment_initiation", "account_information"}
		got, _ := w.Document()["authorization_details_types_supported"].([]any)
		if len(got) != len(want) || !slices.Contains(got, want[0]) || !slices.Contains(got, want[1]) {
			t.Errorf("advertised %v", got)
		}
	})
	t.Run("accepts a client that registers one", func(t *testing.T) {
		c := w.Register("client-1", fapitest.SetMember("authorization_details_types", []string{"account_information"}))
		c.TokensFor(withDetails(fapitest.OneAction))
	})
	t.Run("accepts a client without scopes that registers one", func(t *testing.T) {
		c := w.Register("client-2", fapitest.All(fapitest.SetMember("authorization_details_types", []string{"account_information"}), fapitest.SetMember("scope", nil)))
		c.TokensFor(fapitest.Changes(withDetails(fapitest.OneAction), fapitest.Unset("scope")))
	})
	t.Run("refuses a client that registered none", func(t *testing.T) {
		fapitest.WantError(t, w.Register("client-3", nil).Push(withDetails(fapitest.OneAction)), 400, "invalid_authorization_details")
	})
	t.Run("refuses to advertise types that are not configured", func(t *testing.T) {
		t.Parallel()
		bare, _ := fapitest.NewFullWorld(t, func(c *fapitest.Config) { c.AuthorizationDetailTypes = nil })
		if _, there := bare.Document()["authorization_details_types_supported"]; there {
			t.Error("types are advertised")
		}
		fapitest.WantError(t, bare.Register("client-1", fapitest.AllScopes).Push(withDetails(fapitest.OneAction)), 400, "invalid_authorization_details")
	})
}

// parsed is a JSON object.
func parsed(t *testing.T, text string) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return object
}
