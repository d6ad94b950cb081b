package pages

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"countersign/internal/brand"
)

func bankPages(t *testing.T, change func(*Brand)) *Pages {
	t.Helper()
	b := bankBrand(t)
	if change != nil {
		change(&b)
	}
	p, err := New(Config{Brand: b, Issuer: "https://id.bank.example/tenant"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// signInIn is the sign-in page for a browser with a language.
func signInIn(p *Pages, accept string) (body string, header http.Header) {
	r := httptest.NewRequest(http.MethodGet, "/interaction/handle", nil)
	r.Header.Set("Accept-Language", accept)
	w := httptest.NewRecorder()
	p.SignIn(w, r, newInteraction())
	return w.Body.String(), w.Header()
}

// Covers: KD-09, KD-10. TestKD09Brand: name, logo, colour and links are the bank's, by language; images have the digest of their content
// in their address, are there, and are the only ones that the policy allows; Countersign's name is nowhere.
func TestKD09Brand(t *testing.T) {
	p := bankPages(t, nil)
	assets, err := p.Assets()
	if err != nil {
		t.Fatal(err)
	}
	served := map[string]string{}
	for _, asset := range assets {
		served["/tenant"+asset.Path] = string(asset.Body)
		if strings.HasPrefix(asset.Path, brandFolder) && !asset.Immutable {
			t.Errorf("%s is not for good", asset.Path)
		}
	}
	logo, dark := string(bankBrand(t).Logo.Body), string(bankBrand(t).LogoDark.Body)
	for accept, want := range map[string]struct{ name, title, help, logo, dark string }{
		"en":    {"Harbour Bank", "Sign in – Harbour Bank", "https://bank.example/help", logo, dark},
		"pt-BR": {"Banco do Porto", "Banco do Porto", "https://bank.example/pt/ajuda", logo, dark},
		"ar":    {"بنك المرفأ", "بنك المرفأ", "https://bank.example/help", dark, ""},
	} {
		t.Run("accepts "+accept, func(t *testing.T) {
			body, header := signInIn(p, accept)
			for _, text := range []string{"<bdi>" + want.name + "</bdi>", want.title, want.help, "https://bank.example/privacy", "https://bank.example/accessibility"} {
				if !strings.Contains(body, text) {
					t.Errorf("it does not say %s", text)
				}
			}
			if strings.Contains(body, "Countersign") {
				t.Error("it says Countersign")
			}
			source := regexp.MustCompile(`<img src="(/tenant/brand/[0-9a-f]{16}\.svg)" alt="" width="72" height="36">`).FindStringSubmatch(body)
			if source == nil || served[source[1]] != want.logo {
				t.Errorf("the logo is %v", source)
			}
			other := regexp.MustCompile(`<source srcset="([^"]*)" media="\(prefers-color-scheme: dark\)">`).FindStringSubmatch(body)
			if (other != nil) != (want.dark != "") || other != nil && served[other[1]] != want.dark {
				t.Errorf("the dark logo is %v", other)
			}
			if policy := header.Get("Content-Security-Policy"); !strings.Contains(policy, "; img-src data: https://id.bank.example/tenant/brand/; ") {
				t.Errorf("the policy is %s", policy)
			}
			if !strings.Contains(body, "--brand-accent: #7a1f5c;") {
				t.Error("the colour is another")
			}
		})
	}
	t.Run("accepts another address for another content", func(t *testing.T) {
		changed, err := brand.ParseImage([]byte(strings.Replace(logo, "#7a1f5c", "#000000", 1)))
		if err != nil {
			t.Fatal(err)
		}
		if imagePath(changed) == imagePath(bankBrand(t).Logo) {
			t.Error("it is the same")
		}
	})
	t.Run("accepts a manifest of the bank", func(t *testing.T) {
		for path, body := range served {
			if strings.HasSuffix(path, ".webmanifest") && (!strings.Contains(body, "Harbour Bank") || strings.Contains(body, "Countersign")) {
				t.Error(body)
			}
		}
	})
	t.Run("refuses images where there are none", func(t *testing.T) {
		plain := bankPages(t, func(b *Brand) { *b = Brand{Name: "Plain Bank", Accent: "#000080"} })
		body, header := signInIn(plain, "en")
		if policy := header.Get("Content-Security-Policy"); !strings.Contains(policy, "; img-src data:; ") || strings.Contains(body, "<img") {
			t.Errorf("%s: %s", policy, body)
		}
	})
	for name, change := range map[string]func(*Brand){
		"help without https":  func(b *Brand) { b.HelpURI = "http://bank.example" },
		"help with a script":  func(b *Brand) { b.Languages["ar"] = BrandLanguage{HelpURI: "javascript:alert(1)"} },
		"a colour with CSS":   func(b *Brand) { b.Accent = "#fff;}*{display:none" },
		"an unknown language": func(b *Brand) { b.Locales = []string{"tlh"} },
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			b := bankBrand(t)
			change(&b)
			if _, err := New(Config{Brand: b, Issuer: "https://id.bank.example"}); err == nil {
				t.Error("there are pages")
			}
		})
	}
	t.Run("refuses a name with markup or hidden characters", func(t *testing.T) {
		body, _ := signInIn(bankPages(t, func(b *Brand) { b.Name = "Bank <script>\u202e" }), "en")
		if strings.Contains(body, "<script>") || strings.Contains(body, "\u202e") {
			t.Error(body)
		}
	})
}

// Covers: KD-27, KD-28. TestKD27Words: in every language, a page with a time of day names its zone, and no page has words for
// developers in what it says to people.
func TestKD27Words(t *testing.T) {
	p := bankPages(t, nil)
	zones := map[string]string{"en": "Brasília time", "pt-BR": "horário de Brasília", "ar": "توقيت برازيليا"}
	times := 0
	for _, language := range languages() {
		t.Run("accepts "+language, func(t *testing.T) {
			for name, show := range everyPage() {
				r := httptest.NewRequest(http.MethodGet, "/page/"+name, nil)
				r.Header.Set("Accept-Language", language)
				w := httptest.NewRecorder()
				show(p, w, r)
				_, body, _ := strings.Cut(w.Body.String(), "</style>")
				text := regexp.MustCompile(`(?s)<title>.*?</title>|<time.*?</time>|<[^>]*>`).ReplaceAllString(body, " ")
				if regexp.MustCompile(`[0-9]{1,2}:[0-9]{2}`).MatchString(text) {
					times++
					if !strings.Contains(strings.ToLower(text), strings.ToLower(zones[language])) {
						t.Errorf("%s does not say %s: %s", name, zones[language], text)
					}
				}
				people := regexp.MustCompile(`(?s)<details class="more">.*?</details>|<[^>]*>`).ReplaceAllString(body, " ")
				if found := regexp.MustCompile(`(?i)\bscopes?\b|client[_ ]id|request_uri|\bUTC\b|\btoken\b|\bOAuth\b|%!`).FindString(people); found != "" {
					t.Errorf("%s says %q", name, found)
				}
			}
		})
	}
	if times < 3*4 {
		t.Errorf("%d pages have a time", times)
	}
}
