package device_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"countersign/fapi/fapitest"
)

// payer is a client that asks for one payment on the device, in a world whose pages speak the language that is set.
func payer(t *testing.T) (w *fapitest.World, language *atomic.Value, ask func() string) {
	t.Helper()
	language = &atomic.Value{}
	language.Store("en")
	w, _ = fapitest.NewDeviceWorld(t, func(c *fapitest.Config) {
		c.AuthorizationDetailTypes = fapitest.DetailTypes()
		c.Language = func(*http.Request, string) string { return language.Load().(string) }
	})
	c := w.Register("payer", fapitest.All(fapitest.CIBAPoll, fapitest.SetMember("authorization_details_types", []string{"payment_initiation"})))
	return w, language, func() string {
		return fapitest.Reference(c.AuthReqID(fapitest.Changes(
			fapitest.Set("authorization_details", "["+fapitest.OnePayment+"]"), fapitest.Set("scope", "openid"))))
	}
}

// Covers: KC-10. What a passkey signs, and what a form decides, is the page as it was read, its language included.
func TestKC10PageIsDecidedInItsLanguage(t *testing.T) {
	t.Parallel()
	w, language, ask := payer(t)
	alice := w.PasskeyOwner(t, "alice")
	for _, decision := range []string{"approve", "deny"} {
		t.Run("refuses to "+decision+" what was read in another language", func(t *testing.T) {
			path := "/device/requests/" + ask()
			language.Store("en")
			on := alice.Visit(path)
			on.Has(t, http.StatusOK, "Pay", "€123.50", "Merchant A", "Pay <bdi>€123.50</bdi></button>")
			answer := alice.Passkey.Get(t, on.Options(t, "approve"))
			language.Store("de")
			again := alice.Send(on, path, decision, "passkey", answer)
			again.Has(t, http.StatusOK, "123,50\u00a0€", "zahlen?")
			if strings.Contains(again.Body, "€123.50") || !strings.Contains(again.Body, `id="approve"`) {
				t.Errorf("it is decided, or in English: %s", again.Body)
			}
			// The answer of the passkey is for the English page, whatever form it comes with.
			if page := alice.Send(again, path, "approve", "passkey", answer); !strings.Contains(page.Body, `id="approve"`) {
				t.Error("the passkey's answer for another language counts")
			}
		})
	}
	t.Run("accepts it in the language in which it was read", func(t *testing.T) {
		language.Store("de")
		id := ask()
		events := w.NewEvidence(t, func() { alice.Decide(id, "approve") })
		if len(events) == 0 || events[len(events)-1].Detail["language"] != "de" || events[len(events)-1].Detail["shown"] == "" {
			t.Errorf("kept %+v", events)
		}
	})
	t.Run("accepts amount and payee in the list", func(t *testing.T) {
		language.Store("en")
		ask()
		alice.Visit("/device").Has(t, http.StatusOK, `<bdi class="waiting-amount">€123.50</bdi> to <bdi>Merchant A</bdi>`)
	})
}

// Covers: KC-11. An application is handed the same words, in the language that it asks for, and its proof signs in which.
func TestKC11ApplicationsReadTheSameWords(t *testing.T) {
	t.Parallel()
	w, _, ask := payer(t)
	alice, id := enrolledApp(t, w, "alice"), ask()
	in := func(language string) fapitest.Reply {
		t.Helper()
		address := w.Issuer + "/device/api/requests/" + id
		alice.language = language
		return alice.call(address, alice.proof(http.MethodGet, address, nil, nil), nil)
	}
	english, german := in("en"), in("de-AT, en;q=0.5")
	t.Run("accepts either language", func(t *testing.T) {
		for want, got := range map[string]fapitest.Reply{"Pay €123.50 to Merchant A?": english, "123,50\u00a0€ an Merchant A zahlen?": german} {
			detail := got.Body["authorization_details"].([]any)[0].(map[string]any)
			if detail["title"] != want || detail["kind"] != "payment" || got.Body["once"] != true || detail["line"] == "" || detail["allow"] == "" {
				t.Errorf("%s, want %q", got.Raw, want)
			}
		}
		if english.Text("language") != "en" || german.Text("language") != "de" {
			t.Errorf("%s %s", english.Raw, german.Raw)
		}
	})
	t.Run("refuses the digest of one language as another", func(t *testing.T) {
		approve := german.Text("approve")
		for _, wrong := range []string{
			strings.Replace(approve, ".de/", ".en/", 1), strings.Replace(approve, ".de/", "./", 1), strings.Replace(approve, ".de/", "/", 1),
			strings.Replace(approve, ".de/", ".de-AT/", 1), strings.Replace(approve, ".de/", ".DE/", 1), strings.Replace(approve, ".de/", ".de.de/", 1),
		} {
			if wrong == approve {
				t.Fatal(approve)
			}
			refused(t, alice.post(wrong, byFinger), http.StatusConflict, "invalid_request")
		}
	})
	t.Run("accepts the decision in the language that was shown, whatever the header says", func(t *testing.T) {
		alice.language = "en"
		if r := alice.post(german.Text("approve"), byFinger); r.Text("state") != "approved" || r.Text("language") != "de" {
			t.Error(r.Raw)
		}
	})
}
