package authorize_test

import (
	"html"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
)

// spoken is a page with the language that it is in.
type spoken struct {
	language, body, address string
	status                  int
}

// speak opens an address with an Accept-Language.
func speak(t *testing.T, b *fapitest.Browser, address, accept string) spoken {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "text/html")
	if accept != "" {
		request.Header.Set("Accept-Language", accept)
	}
	response, err := b.HTTP.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), `<html lang="`)
	language, _, _ := strings.Cut(rest, `"`)
	_, body, _ := strings.Cut(rest, "</style>")
	if got := response.Header.Get("Content-Language"); got != language {
		t.Errorf("Content-Language is %q and the page says %q", got, language)
	}
	return spoken{language, html.UnescapeString(body), response.Request.URL.String(), response.StatusCode}
}

// Covers: KD-14, KD-15, KD-16. TestKD14Languages: a page is in the language that was chosen on it, else in one that the client asks
// for, else in the one chosen before in this browser, else in one of the browser's own; and what it says of the client is, too.
func TestKD14Languages(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewDeviceWorld(t)
	c := w.Register("client-l", func(_ *fapitest.Client, m map[string]any) {
		m["client_name"], m["client_name#pt"], m["client_name#ar"] = "Orchid Payments", "Orquídea Pagamentos", "أوركيد للمدفوعات"
		m["tos_uri"], m["tos_uri#pt-BR"] = "https://client.example/terms", "https://client.example/termos"
	})
	address := func(locales string) string {
		change := fapitest.Nothing
		if locales != "" {
			change = fapitest.Set("ui_locales", locales)
		}
		return w.AuthorizeURL(c.ID, c.Push(change).Text("request_uri"))
	}
	for name, one := range map[string]struct{ locales, accept, want string }{
		"nothing, by the first of the list":                  {"", "", "en"},
		"the browser's own":                                  {"", "de-AT, en;q=0.5", "de"},
		"the browser's weights":                              {"", "fr;q=0.3, es;q=0.9, xx", "es"},
		"what the client asks for":                           {"es", "de", "es"},
		"the best of what the client asks for":               {"ja pt de", "fr", "pt-BR"},
		"the browser's, when the client asks for none of us": {"ja ko", "fr", "fr"},
		"another region":                                     {"pt-PT", "", "pt-BR"},
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			if page := speak(t, w.Browser(), address(one.locales), one.accept); page.language != one.want {
				t.Errorf("%s: %s", page.language, page.body)
			}
		})
	}
	for name, one := range map[string]struct{ locales, accept string }{
		"markup in ui_locales": {`"><script>alert(1)</script>`, ""}, "a ui_locales without end": {strings.Repeat("de-", 200), ""},
		"an Accept-Language without end": {"", strings.Repeat("x-", 3000)}, "an Accept-Language of many": {"", strings.Repeat("zz,", 1000) + "de"},
		"an Accept-Language that is none": {"", ";;;q=,"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			page := speak(t, w.Browser(), address(one.locales), one.accept)
			if page.language != "en" || strings.Contains(page.body, "alert(1)") {
				t.Errorf("%s: %s", page.language, page.body)
			}
		})
	}
	t.Run("accepts a client's name in the language of the page", func(t *testing.T) {
		for locales, want := range map[string]string{"pt-BR": "Orquídea Pagamentos", "ar": "أوركيد للمدفوعات", "de": "Orchid Payments", "en": "Orchid Payments"} {
			page := speak(t, w.Browser(), address(locales), "")
			if !strings.Contains(page.body, want) || want != "Orchid Payments" && strings.Contains(page.body, "Orchid Payments") {
				t.Errorf("%s does not say %s: %s", locales, want, page.body)
			}
		}
	})
	t.Run("accepts the language chosen in the menu, and goes on with the interaction", func(t *testing.T) {
		b := w.Browser()
		first := speak(t, b, address("es"), "de")
		chosen := speak(t, b, first.address+"?ui_locales=pt-BR", "de")
		if first.language != "es" || chosen.language != "pt-BR" || chosen.address != first.address {
			t.Fatalf("%s, then %s at %s", first.language, chosen.language, chosen.address)
		}
		token := fapitest.Page{Body: chosen.body}.One(t, `name="form_token" value="([^"]*)"`)
		response, err := b.HTTP.PostForm(first.address, url.Values{
			"form_token": {token}, "action": {"sign-in"}, "username": {"alice"}, "password": {"right"},
		})
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if consent := speak(t, b, first.address, "de"); consent.language != "pt-BR" || !strings.Contains(consent.body, "Orquídea Pagamentos") ||
			!strings.Contains(consent.body, "https://client.example/termos") {
			t.Errorf("%s: %s", consent.language, consent.body)
		}
		if other := speak(t, b, address(""), "de"); other.language != "pt-BR" {
			t.Errorf("elsewhere it counts for less than the browser's: %s", other.language)
		}
		if other := speak(t, b, address("es"), "de"); other.language != "es" {
			t.Errorf("elsewhere it counts for more than what the client asks for: %s", other.language)
		}
		cookies := b.HTTP.Jar.Cookies(fapitest.MustURL(t, w.Issuer))
		if !slices.ContainsFunc(cookies, func(c *http.Cookie) bool { return c.Name == "__Host-countersign-language" }) {
			t.Errorf("%v", cookies)
		}
	})
	t.Run("accepts a cookie that is this host's alone", func(t *testing.T) {
		b := w.Browser()
		page := speak(t, b, address(""), "")
		response, err := (&http.Client{Transport: b.HTTP.Transport, Jar: b.HTTP.Jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).
			Get(page.address + "?ui_locales=ar&x=1")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if to := response.Header.Get("Location"); response.StatusCode != http.StatusSeeOther || !strings.HasSuffix(to, "?x=1") || strings.Contains(to, "://") {
			t.Errorf("%d, %s", response.StatusCode, to)
		}
		for _, cookie := range response.Cookies() {
			if !strings.HasPrefix(cookie.Name, "__Host-") || !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" {
				t.Errorf("%s", cookie.Raw)
			}
		}
		if len(response.Cookies()) != 1 {
			t.Errorf("%v", response.Cookies())
		}
	})
	t.Run("accepts right to left", func(t *testing.T) {
		page := speak(t, w.Browser(), address("ar"), "")
		if _, rest, _ := strings.Cut(page.body, `<main`); page.language != "ar" || !strings.Contains(rest, "<bdi>أوركيد للمدفوعات</bdi>") {
			t.Errorf("%s: %s", page.language, rest)
		}
	})
	for name, value := range map[string]string{
		"a cookie with another language": "xx.y", "a cookie with markup": "<b>.x", "a cookie without end": strings.Repeat("pt", 100), "a cookie of a page without a language": ".",
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			b := w.Browser()
			b.HTTP.Jar.SetCookies(fapitest.MustURL(t, w.Issuer), []*http.Cookie{{Name: "__Host-countersign-language", Value: value, Path: "/", Secure: true}})
			if page := speak(t, b, address(""), "fr"); page.language != "fr" || page.status != http.StatusOK {
				t.Errorf("%d %s", page.status, page.language)
			}
		})
	}
	t.Run("refuses a menu at the address where parameters are the client's", func(t *testing.T) {
		page := speak(t, w.Browser(), address("es")+"&ui_locales=ar", "")
		if page.language != "es" {
			t.Error(page.language)
		}
	})
}

// Covers: KD-17. TestKD17RegisteredByLanguage: members by language are held to what holds for those without.
func TestKD17RegisteredByLanguage(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct{ member, value, wrong string }{
		"a name":                        {"client_name#pt-BR", "Orquídea", ""},
		"an address":                    {"tos_uri#ar", "https://client.example/ar", ""},
		"a logo":                        {"logo_uri#de", "https://client.example/de.png", ""},
		"no language":                   {"client_name#", "Orquídea", "client_name#"},
		"what is no language":           {"client_name#<b>", "Orquídea", "client_name#<b>"},
		"an address without https":      {"tos_uri#ar", "http://client.example/ar", "tos_uri#ar"},
		"a script in place of the page": {"client_uri#en", "javascript:alert(1)", "client_uri#en"},
		"a name without end":            {"client_name#ar", strings.Repeat("x", 5000), "client_name#ar"},
	} {
		fapitest.TryRegistration(t, name, fapitest.SetClaim(one.member, one.value), one.wrong)
	}
	fapitest.TryRegistration(t, "more languages than there are", func(m map[string]any) {
		for i := range 101 {
			m["client_name#x"+string(rune('a'+i/26))+string(rune('a'+i%26))] = "Name"
		}
	}, "client_name")
}
