package fapi_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	onePayment = `{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":"123.50"},"creditorName":"Merchant A"}`
	twoActions = `{"type":"account_information","actions":["list_accounts","read_balances"]}`
	oneAction  = `{"type":"account_information","actions":["list_accounts"]}`
)

// withDetails asks for authorization_details.
func withDetails(list ...string) change {
	return set("authorization_details", "["+strings.Join(list, ",")+"]")
}

// wantDetails compares authorization_details, in any order of their members.
func wantDetails(t *testing.T, place string, got any, want ...string) {
	t.Helper()
	list, _ := got.([]any)
	var gotTexts, wantTexts []string
	for _, one := range list {
		gotTexts = append(gotTexts, jsonText(one))
	}
	for _, one := range want {
		wantTexts = append(wantTexts, jsonText(parsed(t, one)))
	}
	if diff := cmp.Diff(wantTexts, gotTexts); diff != "" {
		t.Errorf("%s (-want +got):\n%s", place, diff)
	}
}

// Covers: RA-01, RULE-23, ATTACK-43. authorization_details is an array of objects, each of a type that exists, is registered
// for the client, and with the members that the type has; anything else is refused when it is pushed.
func TestRA01Form(t *testing.T) {
	w, _ := wholeWorld(t)
	c, few := w.register("client-1", wide), w.register("client-2", member("authorization_details_types", []string{"account_information"}))
	none := w.register("client-3", nil)
	payment := func(alter string) string { return strings.Replace(onePayment, `"creditorName":"Merchant A"`, alter, 1) }
	const wrong = "invalid_authorization_details"
	tryAll(t, c.push,
		good("one object", withDetails(onePayment)),
		good("two objects of two types", withDetails(onePayment, twoActions)),
		good("two objects of one type", withDetails(onePayment, strings.Replace(onePayment, "Merchant A", "Merchant B", 1))),
		good("details without a scope", changes(withDetails(onePayment), unset("scope"))),
		good("members in another order, with spaces", set("authorization_details", ` [ { "actions" : [ "list_accounts" ] , "type" : "account_information" } ] `)),
		good("a member written with an escape", withDetails(payment(`"creditorName":"M\u00fcller"`))),
		bad("an object without an array", set("authorization_details", onePayment), 400, wrong),
		bad("text", set("authorization_details", `"payment_initiation"`), 400, wrong),
		bad("what is no JSON", set("authorization_details", `[{"type":`), 400, wrong),
		bad("an empty array", set("authorization_details", `[]`), 400, wrong),
		bad("null in the array", set("authorization_details", `[null]`), 400, wrong),
		bad("text in the array", set("authorization_details", `["payment_initiation"]`), 400, wrong),
		bad("something after the array", set("authorization_details", `[`+onePayment+`] x`), 400, wrong),
		bad("no type", withDetails(strings.Replace(onePayment, `"type":"payment_initiation",`, "", 1)), 400, wrong),
		bad("a type that is no text", withDetails(`{"type":1}`), 400, wrong),
		bad("an unknown type", withDetails(`{"type":"colour"}`), 400, wrong),
		bad("a type in other letters", withDetails(strings.Replace(onePayment, "payment_initiation", "Payment_Initiation", 1)), 400, wrong),
		bad("an unknown type beside a known one", withDetails(onePayment, `{"type":"colour"}`), 400, wrong),
		bad("a member that the type has not", withDetails(payment(`"creditorName":"Merchant A","urgent":true`)), 400, wrong),
		bad("a member that is missing", withDetails(`{"type":"payment_initiation","creditorName":"Merchant A"}`), 400, wrong),
		bad("a number for text", withDetails(strings.Replace(onePayment, `"123.50"`, "123.50", 1)), 400, wrong),
		bad("a value that is not one of the list", withDetails(strings.Replace(oneAction, "list_accounts", "delete_accounts", 1)), 400, wrong),
		bad("an object for a list", withDetails(`{"type":"account_information","actions":{"0":"list_accounts"}}`), 400, wrong),
		bad("a member twice", withDetails(payment(`"creditorName":"Merchant A","creditorName":"Mallory"`)), 400, wrong),
		bad("a member twice, one escaped", withDetails(payment(`"creditorName":"Merchant A","creditor\u004eame":"Mallory"`)), 400, wrong),
		bad("the type twice", withDetails(strings.Replace(oneAction, "{", `{"type":"payment_initiation",`, 1)), 400, wrong),
		bad("text that is too long", withDetails(payment(`"creditorName":"`+strings.Repeat("x", 71)+`"`)), 400, wrong),
		bad("deep nesting", withDetails(`{"type":"account_information","actions":`+strings.Repeat("[", 500)+strings.Repeat("]", 500)+`}`), 400, wrong),
		bad("text that is not UTF-8", withDetails(payment(`"creditorName":"\ud800"`)), 400, wrong),
		bad("a hundred objects", withDetails(slices.Repeat([]string{oneAction}, 100)...), 400, wrong),
		bad("the parameter twice", func(f url.Values, _ http.Header) {
			f["authorization_details"] = []string{"[" + onePayment + "]", "[" + oneAction + "]"}
		}, 400, "invalid_request"),
	)
	tryAll(t, few.push,
		good("a type that the client registered", withDetails(oneAction)),
		bad("a type that the client did not register", withDetails(onePayment), 400, wrong),
		bad("one of each", withDetails(oneAction, onePayment), 400, wrong),
	)
	tryAll(t, none.push, bad("any type for a client that registered none", withDetails(oneAction), 400, wrong))
}

// Covers: RA-02, ATTACK-43. What is pushed is what the person sees, what is granted, and what the token stands for; a client
// that acts for itself asks for details at the token endpoint.
func TestRA02FromRequestToToken(t *testing.T) {
	w, p := wholeWorld(t)
	c, self := w.register("client-1", wide), w.resourceServer("self", w.issuer)
	t.Run("accepts the same details from the push to the resource", func(t *testing.T) {
		spaced := strings.ReplaceAll(onePayment, ":", " :\n ")
		issued := c.tokensFor(withDetails(spaced, twoActions))
		wantDetails(t, "token response", issued.body["authorization_details"], onePayment, twoActions)
		token := issued.text("access_token")
		wantDetails(t, "access token", claimsIn(t, token)["authorization_details"], onePayment, twoActions)
		wantDetails(t, "introspection", self.introspect(token, nil).body["authorization_details"], onePayment, twoActions)
		if shown := jsonText(p.sees().details); !strings.Contains(shown, "Make one payment") || !strings.Contains(shown, "See accounts") ||
			!strings.Contains(shown, "Merchant A") || !strings.Contains(shown, "123.50") || !strings.Contains(shown, "read_balances") {
			t.Errorf("the person saw %s", shown)
		}
		again := c.refresh(issued.text("refresh_token"), nil)
		wantDetails(t, "refreshed token", claimsIn(t, again.text("access_token"))["authorization_details"], onePayment, twoActions)
		wantDetails(t, "refresh response", again.body["authorization_details"], onePayment, twoActions)
	})
	t.Run("accepts a grant of details alone", func(t *testing.T) {
		issued := c.tokensFor(changes(withDetails(onePayment), unset("scope")))
		if issued.text("scope") != "" || issued.body["id_token"] != nil {
			t.Errorf("answered %s", issued.raw)
		}
		wantDetails(t, "token response", issued.body["authorization_details"], onePayment)
	})
	t.Run("accepts details at the token endpoint of a client for itself", func(t *testing.T) {
		alone := w.register("machine", all(machine, member("authorization_details_types", []string{"account_information"})))
		r := alone.clientCredentials(withDetails(twoActions))
		wantActive(t, r)
		wantDetails(t, "token response", r.body["authorization_details"], twoActions)
		wantDetails(t, "introspection", self.introspect(r.text("access_token"), nil).body["authorization_details"], twoActions)
		wantError(t, alone.clientCredentials(withDetails(onePayment)), 400, "invalid_authorization_details")
	})
	t.Run("accepts what an operator registered as the default of a client for itself", func(t *testing.T) {
		alone := w.register("machine-2", all(machine, member("authorization_details_types", []string{"account_information"}),
			func(_ *client, m map[string]any) { m["default_authorization_details"] = []any{parsed(t, oneAction)} }))
		r := alone.clientCredentials(nil)
		wantActive(t, r)
		wantDetails(t, "token response", r.body["authorization_details"], oneAction)
	})
	t.Run("refuses to remember a decision about details: the person is asked each time", func(t *testing.T) {
		b := w.browser()
		for range 2 {
			p.asked()
			c.through(b, withDetails(onePayment))
			if _, pages := p.asked(); pages != 1 {
				t.Errorf("the person was asked %d times", pages)
			}
		}
	})
	t.Run("refuses to take a decision about details for one about scopes", func(t *testing.T) {
		another, b := w.register("client-2", wide), w.browser()
		another.through(b, withDetails(onePayment))
		wantSent(t, another.through(b, set("prompt", "none")), "consent_required")
	})
	t.Run("refuses to hide a member from the person, even an empty one", func(t *testing.T) {
		c.tokensFor(withDetails(`{"type":"account_information","actions":[],"datatypes":["a,b","c"]}`))
		var labels []string
		for _, line := range p.sees().details[0].Lines {
			labels = append(labels, line.Label)
		}
		if shown := strings.Join(labels, " "); !strings.Contains(shown, "actions") || !strings.Contains(shown, "datatypes") {
			t.Errorf("the person saw %q", labels)
		}
	})
	t.Run("refuses details outside of the pushed request", func(t *testing.T) {
		pushed := c.push(withDetails(oneAction)).text("request_uri")
		more := "&authorization_details=" + url.QueryEscape("["+onePayment+"]")
		_, _, sentTo := w.browser().visit(w.authorizeURL(c.id, pushed) + more)
		if sentTo == nil {
			t.Fatal("the browser was not sent back")
		}
		wantDetails(t, "token response", c.redeem(sentTo.Query().Get("code"), nil).body["authorization_details"], oneAction)
	})
	t.Run("refuses the person's refusal into a token", func(t *testing.T) {
		p.does("deny")
		defer p.does("allow")
		wantSent(t, c.through(w.browser(), withDetails(onePayment)), "access_denied")
	})
}

// Covers: RA-03. A token says of the details what concerns its resources; a resource server is told its own.
func TestRA03ForEachResource(t *testing.T) {
	w, _ := wholeWorld(t)
	c := w.register("client-1", wide)
	ledger, payments := w.resourceServer("ledger", ledgerAPI), w.resourceServer("payments", paymentAPI)
	at := func(detail, location string) string {
		return strings.TrimSuffix(detail, "}") + `,"locations":["` + location + `"]}`
	}
	account, payment := at(oneAction, ledgerAPI), at(onePayment, paymentAPI)
	resources := func(list ...string) change {
		return func(form url.Values, _ http.Header) { form["resource"] = list }
	}
	issued := c.tokensFor(changes(withDetails(account, payment), resources(ledgerAPI, paymentAPI)))
	t.Run("accepts both in a token for both, and tells each its own", func(t *testing.T) {
		token := issued.text("access_token")
		wantDetails(t, "access token", claimsIn(t, token)["authorization_details"], account, payment)
		wantDetails(t, "ledger", ledger.introspect(token, nil).body["authorization_details"], account)
		wantDetails(t, "payments", payments.introspect(token, nil).body["authorization_details"], payment)
	})
	t.Run("accepts a token for one of them with its part only", func(t *testing.T) {
		one := c.refresh(issued.text("refresh_token"), resources(paymentAPI))
		wantActive(t, one)
		wantDetails(t, "access token", claimsIn(t, one.text("access_token"))["authorization_details"], payment)
		wantDetails(t, "response", one.body["authorization_details"], payment)
		wantInactive(t, ledger.introspect(one.text("access_token"), nil))
	})
	tryAll(t, c.push,
		good("details for one of two resources", changes(withDetails(account), resources(ledgerAPI, paymentAPI))),
		good("details for this server", withDetails(at(oneAction, w.issuer))),
		bad("details for a resource that is not asked for, which would be in no token", changes(withDetails(account), resources(paymentAPI)), 400, "invalid_target"),
		bad("details for another resource where none is asked for", withDetails(account), 400, "invalid_target"),
		bad("details for an unknown place beside good ones", changes(withDetails(account, at(onePayment, "https://other.example")), resources(ledgerAPI)), 400, "invalid_target"),
	)
	t.Run("refuses a token where nothing is left for the resource", func(t *testing.T) {
		only := c.tokensFor(changes(withDetails(payment), unset("scope"), resources(ledgerAPI, paymentAPI)))
		wantError(t, c.refresh(only.text("refresh_token"), resources(ledgerAPI)), 400, "invalid_target")
		wantActive(t, c.refresh(only.text("refresh_token"), resources(paymentAPI)))
	})
}

// Covers: RA-04. At the token endpoint details can become fewer, never more or other ones.
func TestRA04OnlyNarrower(t *testing.T) {
	w, _ := wholeWorld(t)
	c := w.register("client-1", wide)
	const wrong = "invalid_authorization_details"
	attempts := []attempt{
		good("what was granted", withDetails(onePayment, twoActions)),
		good("one of two", withDetails(onePayment)),
		good("the other of two", withDetails(twoActions)),
		good("them in another order", withDetails(twoActions, onePayment)),
		bad("another amount", withDetails(strings.Replace(onePayment, "123.50", "1123.50", 1)), 400, wrong),
		bad("another person to be paid", withDetails(strings.Replace(onePayment, "Merchant A", "Mallory", 1)), 400, wrong),
		bad("one action more", withDetails(strings.Replace(twoActions, `"read_balances"`, `"read_balances","read_transactions"`, 1)), 400, wrong),
		bad("a member more", withDetails(strings.Replace(twoActions, `}`, `,"datatypes":["x"]}`, 1)), 400, wrong),
		bad("the same payment twice", withDetails(onePayment, onePayment), 400, wrong),
		bad("an unknown type", withDetails(`{"type":"colour"}`), 400, wrong),
		bad("what is no JSON", set("authorization_details", "["), 400, wrong),
	}
	asking := withDetails(onePayment, twoActions)
	t.Run("accepts no less for a code", func(t *testing.T) {
		tryAll(t, func(alter change) reply {
			return c.redeem(c.through(w.browser(), asking).Get("code"), alter)
		}, attempts...)
	})
	issued := c.tokensFor(asking)
	t.Run("accepts no less for a refresh token", func(t *testing.T) {
		tryAll(t, func(alter change) reply { return c.refresh(issued.text("refresh_token"), alter) }, attempts...)
	})
	t.Run("accepts all of it again after it was narrowed once", func(t *testing.T) {
		less := c.refresh(issued.text("refresh_token"), withDetails(onePayment))
		wantDetails(t, "narrowed", less.body["authorization_details"], onePayment)
		wantDetails(t, "its token", claimsIn(t, less.text("access_token"))["authorization_details"], onePayment)
		wantDetails(t, "the next", c.refresh(issued.text("refresh_token"), nil).body["authorization_details"], onePayment, twoActions)
	})
	t.Run("refuses details where none were granted", func(t *testing.T) {
		plain := c.tokens()
		wantError(t, c.refresh(plain.text("refresh_token"), withDetails(oneAction)), 400, wrong)
		wantError(t, c.redeem(c.authorize(), withDetails(oneAction)), 400, wrong)
	})
}

// Covers: RA-05. The types are advertised, and a client registers those that it may ask for.
func TestRA05Metadata(t *testing.T) {
	w, _ := wholeWorld(t)
	t.Run("accepts the types of the configuration in the metadata", func(t *testing.T) {
		want := []any{"payment_initiation", "account_information"}
		got, _ := w.document()["authorization_details_types_supported"].([]any)
		if len(got) != len(want) || !slices.Contains(got, want[0]) || !slices.Contains(got, want[1]) {
			t.Errorf("advertised %v", got)
		}
	})
	t.Run("accepts a client that registers one", func(t *testing.T) {
		c := w.register("client-1", member("authorization_details_types", []string{"account_information"}))
		c.tokensFor(withDetails(oneAction))
	})
	t.Run("accepts a client without scopes that registers one", func(t *testing.T) {
		c := w.register("client-2", all(member("authorization_details_types", []string{"account_information"}), member("scope", nil)))
		c.tokensFor(changes(withDetails(oneAction), unset("scope")))
	})
	t.Run("refuses a client that registered none", func(t *testing.T) {
		wantError(t, w.register("client-3", nil).push(withDetails(oneAction)), 400, "invalid_authorization_details")
	})
	t.Run("refuses to advertise types that are not configured", func(t *testing.T) {
		bare, _ := wholeWorld(t, func(c *fapiConfig, _ *autoInteractor) { c.AuthorizationDetailTypes = nil })
		if _, there := bare.document()["authorization_details_types_supported"]; there {
			t.Error("types are advertised")
		}
		wantError(t, bare.register("client-1", wide).push(withDetails(oneAction)), 400, "invalid_authorization_details")
	})
}
