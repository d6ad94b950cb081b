package authorize_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/fapi/rar"
	"countersign/fapi/rar/display"
	"countersign/fapi/rar/ready"
	"countersign/store"
)

// Covers: KC-22. What is allowed ends when its details say: the grant, its refresh token and the last access token of it.
func TestKC22EndsWithItsDetails(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	c, api := w.Register("client-1", fapitest.AllScopes), w.ResourceServer("rs-1", w.Issuer)
	until := func(end time.Time) fapitest.Change {
		return fapitest.Set("authorization_details", fmt.Sprintf(
			`[{"type":"account_information","actions":["list_accounts"],"validUntil":%q},%s]`, end.UTC().Format(time.RFC3339), fapitest.OnePayment))
	}
	end := w.Clock.Now().Add(2 * time.Hour)
	issued := c.TokensFor(until(end))
	t.Run("accepts an access token that ends before", func(t *testing.T) {
		if life, ok := issued.Body["expires_in"].(float64); !ok || life <= 0 || life > 3600 {
			t.Errorf("%v", issued.Body["expires_in"])
		}
	})
	t.Run("accepts a refresh, with a token that ends with it", func(t *testing.T) {
		w.Clock.Advance(2*time.Hour - 90*time.Second)
		again := c.Refresh(issued.Text("refresh_token"), nil)
		fapitest.WantOK(t, again)
		if exp := fapitest.UnverifiedClaims(t, again.Text("access_token"))["exp"]; exp != float64(end.Unix()) || again.Body["expires_in"] != 90.0 {
			t.Errorf("ends at %v after %v s, and not at %d", exp, again.Body["expires_in"], end.Unix())
		}
		if !api.Introspect(again.Text("access_token"), nil).Body["active"].(bool) {
			t.Error("it is not active")
		}
		w.Clock.Advance(91 * time.Second)
		fapitest.WantInactive(t, api.Introspect(again.Text("access_token"), nil))
	})
	t.Run("refuses a refresh after it", func(t *testing.T) {
		fapitest.WantError(t, c.Refresh(issued.Text("refresh_token"), nil), http.StatusBadRequest, "invalid_grant")
	})
	t.Run("refuses what has ended when it is asked for", func(t *testing.T) {
		fapitest.WantError(t, c.Push(until(w.Clock.Now())), http.StatusBadRequest, "invalid_authorization_details")
		fapitest.WantError(t, c.Push(until(w.Clock.Now().Add(-time.Hour))), http.StatusBadRequest, "invalid_authorization_details")
	})
	t.Run("refuses what has ended when the browser comes", func(t *testing.T) {
		pushed := c.Push(until(w.Clock.Now().Add(20 * time.Second)))
		if pushed.Status != http.StatusCreated {
			t.Fatal(pushed.Raw)
		}
		w.Clock.Advance(30 * time.Second)
		_, _, to := w.Browser().Visit(w.AuthorizeURL(c.ID, pushed.Text("request_uri")))
		if to == nil {
			t.Fatal("not sent back")
		}
		fapitest.WantRedirectError(t, to.Query(), "invalid_authorization_details")
	})
}

// Covers: KX-10. The page, the grant, its refresh token and its access tokens last as long as the ready type has it, whatever the longest
// life of grants is.
func TestKX10LastsAsItsType(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		detail string
		life   time.Duration
	}{
		"brazil-payment": {
			`{"type":"t","creditor":{"personType":"PESSOA_JURIDICA","cpfCnpj":"58764789000137","name":"Padaria Sol"},"payment":{"type":"PIX","amount":"100.12",` +
				`"currency":"BRL","ibgeTownCode":"5300108","details":{"localInstrument":"MANU","creditorAccount":{"ispb":"12345678","issuer":"1774","number":"1234567890","accountType":"CACC"}}}}`,
			time.Hour,
		},
		"uk-payment": {
			`{"type":"t","InstructionIdentification":"ACME412","EndToEndIdentification":"FRESCO.21302.GFX.20","InstructedAmount":{"Amount":"165.88","Currency":"GBP"},` +
				`"CreditorAccount":{"SchemeName":"UK.OBIE.SortCodeAccountNumber","Identification":"08080021325698","Name":"ACME Inc"}}`,
			24 * time.Hour,
		},
		"berlin-group-payment": {
			`{"type":"t","instructedAmount":{"amount":"1234.5","currency":"EUR"},"creditorName":"Fernhill Cycles","creditorAccount":{"iban":"DE19999999990000123456"}}`,
			24 * time.Hour,
		},
		"uae-payment": {
			`{"type":"t","Amount":{"Amount":"1234.50","Currency":"AED"},"Creditor":{"Name":"Palm Books","IBAN":"AE070331234567890123456"},"PaymentPurposeCode":"ACM"}`,
			24 * time.Hour,
		},
		"berlin-group-accounts": {
			`{"type":"t","access":{"balances":[{"iban":"DE19999999990000123456"}]},"recurringIndicator":true,"validUntil":"2099-02-27"}`,
			180 * 24 * time.Hour,
		},
	} {
		schema, err := ready.Schema(name, "t")
		if err != nil {
			t.Fatal(err)
		}
		w, user := fapitest.NewFullWorld(t, func(c *fapitest.Config) {
			c.AuthorizationDetailTypes = []rar.Type{{Type: "t", Schema: schema}}
			c.GrantLifetime = 400 * 24 * time.Hour
		})
		client := w.Register("client-1", fapitest.All(fapitest.AllScopes, fapitest.SetMember("authorization_details_types", []string{"t"})))
		began := w.Clock.Now()
		issued := client.TokensFor(fapitest.Set("authorization_details", "["+c.detail+"]"))
		fapitest.WantOK(t, issued)
		var again fapitest.Reply
		t.Run("accepts "+name+" until then", func(t *testing.T) {
			page := user.Sees()
			shown := display.Life{For: page.GrantLifetime, Until: page.GrantUntil}
			grants, err := w.Store.ListGrants(t.Context(), store.Filter{Subject: "sub-alice", Limit: 1})
			if err != nil || len(grants) != 1 {
				t.Fatal(grants, err)
			}
			end := grants[0].ExpiresAt
			if !end.Equal(began.Add(c.life)) || !shown.End(began).Equal(end) {
				t.Errorf("the grant lasts until %v, and the page says %v; want %v", end, shown.End(began), began.Add(c.life))
			}
			w.Clock.Advance(c.life - 30*time.Second)
			again = client.Refresh(issued.Text("refresh_token"), nil)
			fapitest.WantOK(t, again)
			if exp := fapitest.UnverifiedClaims(t, again.Text("access_token"))["exp"]; exp != float64(end.Unix()) {
				t.Errorf("the token lasts until %v, and the grant until %d", exp, end.Unix())
			}
		})
		t.Run("refuses "+name+" after it", func(t *testing.T) {
			w.Clock.Advance(31 * time.Second)
			fapitest.WantError(t, client.Get("/userinfo", again.Text("access_token"), nil), http.StatusUnauthorized, "invalid_token")
			fapitest.WantError(t, client.Refresh(issued.Text("refresh_token"), nil), http.StatusBadRequest, "invalid_grant")
		})
	}
}
