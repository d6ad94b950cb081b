package pages

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"countersign/fapi/authorize"
	"countersign/fapi/browser"
	"countersign/fapi/logout"
	"countersign/fapi/rar/display"
	"countersign/fapi/scope"
)

// harnessTime is the time on pages.
var harnessTime = time.Date(2026, 11, 29, 18, 46, 45, 0, time.UTC)

var harnessPages = sync.OnceValues(func() (*Pages, error) {
	return New(Config{Issuer: "https://id.bank.example", Now: func() time.Time { return harnessTime }})
})

func newPages(t testing.TB) *Pages {
	t.Helper()
	p, err := harnessPages()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// newInteraction is what a browser is shown at first.
func newInteraction() authorize.Interaction {
	return authorize.Interaction{
		Client: browser.Client{
			ID: "orchid-payments", Name: "Orchid Payments", URI: "https://orchid.example",
			PolicyURI: "https://orchid.example/privacy", TermsURI: "https://orchid.example/terms",
			LogoURI: "https://orchid.example/logo.svg", RedirectHost: "app.orchid.example",
		},
		Scopes: []scope.Scope{
			{Name: "openid", Description: "Know who you are: a stable identifier of your account"},
			{Name: "accounts", Description: "See your accounts and their balances"},
			{Name: "payments", Description: "Prepare payments, each of which you confirm"},
		},
		FormToken: "form-token-of-this-browser", GrantLifetime: 90 * 24 * time.Hour,
	}
}

// signedIn is what a user who has signed in is shown.
func signedIn() authorize.Interaction {
	in := newInteraction()
	in.SignedIn = &browser.SignedIn{Subject: "sub-alice", Username: "alice"}
	return in
}

// payment is an interaction in which one payment is requested.
func payment() authorize.Interaction {
	in := signedIn()
	in.Details = []display.View{paying("Merchant A \u202e", "en")}
	in.Claims = []string{"birthdate", "phone_number"}
	in.ResourceNames = []string{"api.orchid.example"}
	return in
}

// paying is a payment of the development set-up to a payee, in a language.
func paying(payee, language string) display.View {
	return viewOf("payment_initiation", map[string]any{
		"type": "payment_initiation", "instructedAmount": map[string]string{"amount": "123.50", "currency": "EUR"}, "creditorName": payee,
		"creditorAccount": map[string]string{"iban": "DE02100100109307118603"}, "remittanceInformationUnstructured": payee,
	}, language)
}

// viewOf is an object of a type of the development set-up as it is read.
func viewOf(name string, object map[string]any, language string) display.View {
	schema, err := os.ReadFile("../devsetup/authorization-details/" + name + ".json")
	if err != nil {
		panic(err)
	}
	languages, err := display.NewLanguages(nil, nil, nil)
	if err != nil {
		panic(err)
	}
	of, err := display.Parse(name, schema, languages)
	if err != nil {
		panic(err)
	}
	raw, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	view, err := of.View(raw, language, display.Asker{Name: "Orchid Payments"})
	if err != nil {
		panic(err)
	}
	return view
}

// signInPage renders the sign-in page.
func signInPage(t testing.TB, in authorize.Interaction) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	newPages(t).SignIn(w, httptest.NewRequest(http.MethodGet, "/interaction/handle", nil), in)
	return w
}

// consentPage renders the consent page.
func consentPage(t testing.TB, in authorize.Interaction) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	newPages(t).Consent(w, httptest.NewRequest(http.MethodGet, "/interaction/handle", nil), in)
	return w
}

// signOut is what the pages about signing out show at most.
func signOut() logout.View {
	client := newInteraction().Client
	return logout.View{
		Client: &client, Username: "alice", FormToken: newInteraction().FormToken,
		Others: []browser.Client{{ID: "ledger", Name: "Quillmere Ledger"}, {ID: "nameless"}}, Back: "https://app.orchid.example/out?state=a%26b",
	}
}

// signOutPage renders one of the pages about signing out.
func signOutPage(
	t testing.TB, view logout.View, page func(*Pages, http.ResponseWriter, *http.Request, logout.View),
) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	page(newPages(t), w, httptest.NewRequest(http.MethodGet, "/end-session/handle", nil), view)
	return w
}

// failurePage renders the error page.
func failurePage(t testing.TB, failure browser.Failure) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	newPages(t).Fail(w, httptest.NewRequest(http.MethodGet, "/authorize", nil), failure)
	return w
}
