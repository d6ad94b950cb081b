package pages

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"countersign/fapi/authorize"
	"countersign/fapi/browser"
	"countersign/fapi/rar"
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
	in.Details = []rar.View{{Type: "payment_initiation", Title: "Make this payment", Lines: []rar.Line{
		{Label: "creditor account › iban", Value: "DE02100100109307118603"}, {Label: "creditor name", Value: "Merchant A \u202e"},
		{Label: "instructed amount › amount", Value: "123.50"}, {Label: "instructed amount › currency", Value: "EUR"},
	}}}
	in.Claims = []string{"birthdate", "phone_number"}
	in.Resources = []string{"https://api.orchid.example"}
	return in
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

// failurePage renders the error page.
func failurePage(t testing.TB, failure browser.Failure) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	newPages(t).Fail(w, httptest.NewRequest(http.MethodGet, "/authorize", nil), failure)
	return w
}
