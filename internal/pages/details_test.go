package pages

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/authorize"
	"countersign/fapi/backchannel"
	"countersign/fapi/browser"
	"countersign/fapi/rar/display"
	"countersign/fapi/scope"
)

// accounts is access to accounts as it is read, in a language.
func accounts(language string) display.View {
	return viewOf("account_information", map[string]any{
		"type": "account_information", "actions": []string{"list_accounts", "read_transactions"},
		"accounts": []any{map[string]string{"iban": "DE02100100109307118603"}, map[string]string{"iban": "DE19999999990000123456"}},
	}, language)
}

// asking is an interaction of the details alone.
func asking(language string, details ...display.View) authorize.Interaction {
	in := signedIn()
	in.Scopes = []scope.Scope{{Name: "openid", Standard: true}}
	in.Details, in.Language = details, language
	return in
}

// textOf is the text of the only element that a pattern finds, its <bdi> and <span> removed.
func textOf(t *testing.T, body, pattern string) string {
	t.Helper()
	found := regexp.MustCompile(`(?s)`+pattern).FindAllStringSubmatch(body, -1)
	if len(found) != 1 {
		t.Fatalf("%s is there %d times: %s", pattern, len(found), body)
	}
	return regexp.MustCompile(`<[^>]*>`).ReplaceAllString(found[0][1], "")
}

const (
	heading     = `<h1[^>]*>(.*?)</h1>`
	windowTitle = `<title>(.*?)</title>`
)

// Covers: KC-07. A payment says amount and payee in the heading, in the title and (the amount) on the button, in the language of
// the page, and shows no lifetime.
func TestKC07Payment(t *testing.T) {
	for language, want := range map[string]struct{ question, allow, deny, account string }{
		"en":    {"Pay €123.50 to Fernhill Cycles?", "Pay €123.50", "Do not pay", "To account"},
		"pt-BR": {"Pagar €\u00a0123,50 a Fernhill Cycles?", "Pagar €\u00a0123,50", "Não pagar", "Para a conta"},
		"de":    {"123,50\u00a0€ an Fernhill Cycles zahlen?", "123,50\u00a0€ zahlen", "Nicht zahlen", "Auf das Konto"},
		"ar":    {"هل تدفع 123.50\u00a0€ إلى Fernhill Cycles؟", "ادفع 123.50\u00a0€", "لا تدفع", "إلى الحساب"},
	} {
		view := paying("Fernhill Cycles", language)
		page := onDevice()
		page.Language = language
		page.Request.Details, page.Request.Scopes, page.Request.Language = []display.View{view}, nil, language
		for name, of := range map[string]struct{ body, allow, deny string }{
			"consent":        {consentPage(t, asking(language, view)).Body.String(), "allow", "deny"},
			"device request": {shownOnDevice(t, "request", page).Body.String(), "approve", "deny"},
		} {
			t.Run("accepts "+language+" on "+name, func(t *testing.T) {
				for what, pair := range map[string][2]string{
					"heading": {textOf(t, of.body, heading), want.question},
					"allow":   {textOf(t, of.body, `<button[^>]* id="`+of.allow+`"[^>]*>(.*?)</button>`), want.allow},
					"deny":    {textOf(t, of.body, `<button[^>]* id="`+of.deny+`"[^>]*>(.*?)</button>`), want.deny},
				} {
					if pair[0] != pair[1] {
						t.Errorf("%s is %q, want %q", what, pair[0], pair[1])
					}
				}
				if title := textOf(t, of.body, windowTitle); !strings.HasPrefix(title, want.question) {
					t.Errorf("the title is %q", title)
				}
				for _, text := range []string{want.account, "DE02 1001 0010 9307 1186 03", `lang="` + language + `"`} {
					if !strings.Contains(of.body, text) {
						t.Errorf("lacks %q", text)
					}
				}
				for _, text := range []string{"creditorName", "instructedAmount", "payment_initiation", "90 "} {
					if strings.Contains(of.body, text) {
						t.Errorf("has %q: %s", text, of.body)
					}
				}
			})
		}
		t.Run("accepts "+language+" in the list", func(t *testing.T) {
			page.Requests = []backchannel.View{*page.Request}
			line := textOf(t, shownOnDevice(t, "home", page).Body.String(), `<h2><a [^>]*>(.*?)</a></h2>`)
			if line != view.Line.String() || !strings.Contains(line, "123") || !strings.Contains(line, "Fernhill Cycles") {
				t.Errorf("%q", line)
			}
		})
	}
	t.Run("accepts what is allowed once, and says so", func(t *testing.T) {
		page := onDevice()
		page.Request.Details, page.Request.Scopes = []display.View{paying("Fernhill Cycles", "en")}, nil
		for name, body := range map[string]string{
			"consent": consentPage(t, asking("en", paying("Fernhill Cycles", "en"))).Body.String(), "device": shownOnDevice(t, "request", page).Body.String(),
		} {
			if strings.Count(body, "Once, and not again.") != 1 || strings.Contains(body, "How long") {
				t.Errorf("%s: %s", name, body)
			}
		}
	})
	t.Run("accepts a lifetime beside a scope that lasts", func(t *testing.T) {
		in := asking("en", paying("Fernhill Cycles", "en"))
		in.Scopes = append(in.Scopes, scope.Scope{Name: "accounts", Description: "See your accounts"})
		if body := consentPage(t, in).Body.String(); !strings.Contains(body, "90 days") {
			t.Error(body)
		}
	})
}

// Covers: KC-08. Access shows what it sees, which accounts and until when; several things are headed each.
func TestKC08AccessAndSeveral(t *testing.T) {
	t.Run("accepts access", func(t *testing.T) {
		body := consentPage(t, asking("en", accounts("en"))).Body.String()
		if got := textOf(t, body, heading); got != "Share account information with Orchid Payments?" {
			t.Errorf("%q", got)
		}
		for _, text := range []string{
			"What it will see", "Payments in and out", "who paid or was paid", "DE02 1001 0010 9307 1186 03", "<legend>Which accounts</legend>", "90 days", ">Share</button>", ">Do not share</button>",
		} {
			if !strings.Contains(body, text) {
				t.Errorf("lacks %q: %s", text, body)
			}
		}
	})
	t.Run("accepts several, each with its own heading", func(t *testing.T) {
		in := asking("en", paying("Fernhill Cycles", "en"), accounts("en"))
		body := consentPage(t, in).Body.String()
		if got := textOf(t, body, heading); got != "Allow access for Orchid Payments?" {
			t.Errorf("%q", got)
		}
		for _, text := range []string{"<h2>Pay <bdi>€123.50</bdi> to <bdi>Fernhill Cycles</bdi>?</h2>", "<h2>Share account information", ">Allow</button>", "90 days"} {
			if !strings.Contains(body, text) {
				t.Errorf("lacks %q: %s", text, body)
			}
		}
	})
	t.Run("accepts the language that the server has bound, whatever the browser's is", func(t *testing.T) {
		r := httptest.NewRequest(http.MethodGet, "/interaction/handle", nil)
		r.Header.Set("Accept-Language", "fr")
		w := httptest.NewRecorder()
		newPages(t).Consent(w, r, asking("de", paying("Fernhill Cycles", "de")))
		if body := w.Body.String(); !strings.Contains(body, `lang="de"`) || strings.Contains(body, "Payer") {
			t.Error(body)
		}
	})
}

// Covers: KC-23. Access says its last day: the end that its details name, or that of any grant if that is earlier.
func TestKC23Until(t *testing.T) {
	for name, c := range map[string]struct {
		until time.Time
		want  string
	}{
		"the end of a day":  {time.Date(2026, 12, 25, 0, 0, 0, 0, time.UTC), "Until <bdi>24 December 2026</bdi>, which is <bdi>26 days</bdi>"},
		"a later end":       {time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC), "Until <bdi>27 February 2027</bdi>, which is <bdi>90 days</bdi>"},
		"an end of an hour": {harnessTime.Add(time.Hour), "Until <bdi>29 November 2026</bdi>, which is <bdi>60 minutes</bdi>"},
		"no end of its own": {time.Time{}, "Until <bdi>27 February 2027</bdi>, which is <bdi>90 days</bdi>"},
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			in := asking("en", accounts("en"))
			in.GrantUntil = c.until
			if body := consentPage(t, in).Body.String(); !strings.Contains(body, c.want) || strings.Contains(body, "Once,") {
				t.Errorf("%s", body)
			}
		})
	}
}

// Covers: KC-17. Which accounts are shared is chosen on the page, none beforehand; who chooses nothing is told where.
func TestKC17AccountsAreChosen(t *testing.T) {
	boxes := regexp.MustCompile(`<input type="checkbox" form="decision" id="([^"]*)" name="([^"]*)" value="([^"]*)"( checked)?>`)
	consent := func(form url.Values, problem browser.ProblemCode) string {
		in := asking("en", accounts("en"), paying("Fernhill Cycles", "en"), accounts("en"))
		in.Form, in.Problem = form, browser.Problem{Code: problem}
		return consentPage(t, in).Body.String()
	}
	t.Run("accepts a box for each account, with none ticked", func(t *testing.T) {
		body := consent(nil, "")
		var got []string
		for _, match := range boxes.FindAllStringSubmatch(body, -1) {
			got = append(got, strings.Join(match[2:], " "))
		}
		want := []string{"choose.0./accounts.0 0 ", "choose.0./accounts.1 1 ", "choose.2./accounts.0 0 ", "choose.2./accounts.1 1 "}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if strings.Contains(body, `class="wrong"`) || strings.Count(body, `<form id="decision"`) != 1 {
			t.Error(body)
		}
	})
	t.Run("refuses nothing chosen, and keeps what was", func(t *testing.T) {
		body := consent(url.Values{"choose.0./accounts.1": {"1"}}, browser.NothingChosen)
		matches := boxes.FindAllStringSubmatch(body, -1)
		if len(matches) != 4 || matches[1][4] == "" || matches[0][4]+matches[2][4]+matches[3][4] != "" {
			t.Errorf("%q", matches)
		}
		for text, times := range map[string]int{
			"Choose at least one, or press “Do not allow”.": 1, `<a href="#choose-2-0-0">`: 1, `id="choose-2-0-0"`: 1, `<p class="wrong">Choose at least one</p>`: 1,
			`class="choice group-wrong" id="choose-2-0"`: 1, `role="alert"`: 1,
		} {
			if got := strings.Count(body, text); got != times {
				t.Errorf("%q is there %d times: %s", text, got, body)
			}
		}
	})
	t.Run("accepts the device, which asks before it is approved", func(t *testing.T) {
		page := onDevice()
		page.Request.Details, page.Choosing, page.Approve = []display.View{accounts("en")}, true, ""
		page.Problem = browser.Problem{Code: browser.NothingChosen}
		body := shownOnDevice(t, "request", page).Body.String()
		if len(boxes.FindAllString(body, -1)) != 2 || strings.Contains(body, `id="approve"`) || !strings.Contains(body, ">Use this choice</button>") || !strings.Contains(body, "press “Deny”") {
			t.Error(body)
		}
	})
}

// Covers: KC-26. The words of developers stand on no page for people, but for what is folded away for those who build applications.
func TestKC26NoDevelopersWords(t *testing.T) {
	device := onDevice()
	device.Requests = []backchannel.View{*device.Request}
	in := asking("en", accounts("en"), paying("Fernhill Cycles", "en"))
	in.ResourceNames = []string{"Bank accounts"}
	for name, body := range map[string]string{
		"sign-in": signInPage(t, newInteraction()).Body.String(), "consent": consentPage(t, in).Body.String(), "payment": consentPage(t, payment()).Body.String(),
		"device request": shownOnDevice(t, "request", device).Body.String(), "device list": shownOnDevice(t, "home", device).Body.String(),
		"failure": failurePage(t, browser.Failure{Status: 400, Code: "invalid_request", Description: "request_uri is unknown", CorrelationID: "c-1"}).Body.String(),
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			text := regexp.MustCompile(`(?s)<style.*?</style>|<script.*?</script>|<details class="more">.*?</details>|<[^>]*>`).ReplaceAllString(body, " ")
			for _, word := range []string{
				"scope", "client_id", "Client ID", "request_uri", "UTC", "authorization_details", "grant", "token", "redirect", "consent", "urn:", "OAuth", "invalid_", "payment_initiation", "resource",
			} {
				if strings.Contains(text, word) {
					t.Errorf("says %q: %s", word, strings.Join(strings.Fields(text), " "))
				}
			}
		})
	}
}

// Covers: KC-29. On a page from right to left a label that there is only in English is marked as English, from left to right.
func TestKC29ForeignOnPage(t *testing.T) {
	view := display.View{
		Language: "ar", Heading: display.Sentence{{Text: "Share?", Lang: "en"}},
		Groups: []display.Group{{Label: "Rest", Lang: "en", Lines: []display.Line{
			{Label: "How often", Lang: "en", Value: "Each month", ValueLang: "en"}, {Label: "متى", Value: "اليوم"},
			{Label: "List", Value: "A", Items: []display.Item{{Label: "A", Lang: "en", Detail: "B", DetailLang: "en"}}},
		}}},
	}
	body := consentPage(t, asking("ar", view)).Body.String()
	const english = ` lang="en" dir="ltr">`
	t.Run("accepts what is in another language with its mark", func(t *testing.T) {
		for _, want := range []string{
			"<span" + english + "Share?</span>", "<h2" + english + "Rest</h2>", "<dt><bdi" + english + "How often</bdi></dt>",
			"<bdi" + english + "Each month</bdi>", "<li><bdi" + english + "A</bdi>", "<bdi" + english + "B</bdi>",
		} {
			if !strings.Contains(body, want) {
				t.Errorf("no %s in %s", want, body)
			}
		}
	})
	t.Run("refuses to mark what is in the page's", func(t *testing.T) {
		for _, want := range []string{"<dt><bdi>متى</bdi></dt>", "<bdi>اليوم</bdi>"} {
			if !strings.Contains(body, want) {
				t.Errorf("no %s in %s", want, body)
			}
		}
	})
}

// TestEntriesWhole: whatever an entry of a list has to show is on the page, whether it is chosen, decided, or only read.
func TestEntriesWhole(t *testing.T) {
	entry := display.Item{Label: "Household", Detail: "Shared", Lines: []display.Line{{Label: "Number", Value: "DE51 9999"}, {Label: "Held by", Value: "Sam and Alex"}}}
	for name, line := range map[string]display.Line{
		"chosen":  {Label: "Which accounts", Items: []display.Item{entry}, Choose: display.Some, At: "/accounts"},
		"listed":  {Label: "Which accounts", Items: []display.Item{entry}},
		"heading": {Label: "Sees", Items: []display.Item{entry}},
	} {
		view := display.View{Language: "en", Groups: []display.Group{{Label: "Sees", Lines: []display.Line{line}}}}
		body := consentPage(t, asking("en", view)).Body.String()
		for _, want := range []string{"Household", "Shared", "Number</bdi>: <bdi>DE51 9999", "Held by</bdi>: <bdi>Sam and Alex"} {
			if !strings.Contains(body, want) {
				t.Errorf("%s: no %q in %s", name, want, body)
			}
		}
	}
}
