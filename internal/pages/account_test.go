package pages

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"countersign/fapi/account"
	"countersign/fapi/browser"
	"countersign/fapi/rar/display"
	"countersign/fapi/scope"
	"countersign/internal/browsertest"
)

// accountPage is what a user sees who gave something to three applications, in a language.
func accountPage(language string) account.Page {
	day := 24 * time.Hour
	before := harnessTime.Add(-40 * day)
	client := func(name string) browser.Client {
		return browser.Client{ID: strings.ToLower(name), Name: name, URI: "https://orchid.example", PolicyURI: "https://orchid.example/privacy"}
	}
	sharing := account.Grant{
		ID: "01a22bb7-26a8-796b-a544-033b7e4c6928", State: account.Active, GivenAt: before, ExpiresAt: before.Add(90 * day), UsedAt: harnessTime.Add(-5 * time.Hour),
		Scopes:  []scope.Scope{{Name: "openid", Standard: true}, {Name: "offline_access", Standard: true}},
		Details: []display.View{accounts(language)},
		Claims:  []string{"birthdate"}, Resources: []string{"https://api.orchid.example"}, ResourceNames: []string{"Orchid accounts"},
	}
	over := sharing
	over.State, over.EndedAt, over.ID = account.EndedByUser, harnessTime.Add(-day), "01a22bb7-26a8-7829-ae8e-721cf57585a1"
	paying := account.Grant{
		ID: "01a22bb7-26a8-7829-ae8e-721cf57585a2", State: account.Active, GivenAt: harnessTime.Add(-day), ExpiresAt: harnessTime.Add(80 * day),
		Scopes: []scope.Scope{{Name: "openid", Standard: true}}, Details: []display.View{paying("Merchant A", language)},
	}
	return account.Page{
		FormToken: "token", Confirms: true, SignedIn: browser.SignedIn{Subject: "sub-alice", Username: "alice"}, Language: language, Fresh: true,
		Access: []account.Access{
			{ID: "AAAA", Client: client("Orchid Budget"), Count: 2, GivenAt: before, LastAt: before, UsedAt: sharing.UsedAt, ExpiresAt: sharing.ExpiresAt, Grants: []account.Grant{sharing}},
			{ID: "BBBB", Client: client("Quillmere Ledger"), Count: 1, GivenAt: before, LastAt: before, ExpiresAt: harnessTime.Add(4 * day), Grants: []account.Grant{{
				State: account.Active, Scopes: []scope.Scope{{Name: "profile", Standard: true}, {Name: "email", Standard: true}, {Name: "phone", Standard: true}, {Name: "address", Standard: true}},
			}}},
			{ID: "CCCC", Client: client("Fernhill Cycles"), Count: 1, GivenAt: paying.GivenAt, LastAt: paying.GivenAt, ExpiresAt: paying.ExpiresAt, Grants: []account.Grant{paying}},
		},
		MoreAccess: "next",
		Passkeys: []account.Passkey{
			{ID: "a", Name: "Phone", Synced: true, CreatedAt: before, UsedAt: harnessTime}, {ID: "b", Name: "Laptop", CreatedAt: before},
		},
		Applications: []account.Application{{ID: "c", Name: "Bank App", CreatedAt: before, UsedAt: harnessTime}},
		Sessions: []account.Session{
			{ID: "d", Browser: "Firefox", System: "Linux", SignedInAt: harnessTime.Add(-time.Hour), Method: account.WithPasskey, Current: true},
			{ID: "e", Browser: "Safari", System: "iPhone", SignedInAt: harnessTime.Add(-day), Method: account.WithPassword}, {ID: "f", SignedInAt: harnessTime.Add(-2 * day), Method: account.WithSomething},
		},
		Notified: []account.Notified{{ID: "g", Service: "push.services.example", CreatedAt: before}},
		Known: []account.Known{
			{ID: "h", Browser: "Firefox", System: "Linux", CreatedAt: before, UsedAt: harnessTime}, {ID: "i", CreatedAt: before, UsedAt: before},
		},
		ForgottenAt: before,
		One: &account.Access{
			ID: "AAAA", Client: client("Orchid Budget"), Count: 2, GivenAt: before, LastAt: before, UsedAt: sharing.UsedAt, ExpiresAt: sharing.ExpiresAt,
			Grants: []account.Grant{sharing, {ID: "old", State: account.Active, Unreadable: true, GivenAt: before, ExpiresAt: before.Add(90 * day)}, over},
		},
	}
}

// accountStates are the pages of the account, in the states in which they look different.
func accountStates() map[string]func(p *Pages, w http.ResponseWriter, r *http.Request) {
	in := func(show func(AccountPages, http.ResponseWriter, *http.Request, account.Page), change func(*account.Page)) func(p *Pages, w http.ResponseWriter, r *http.Request) {
		return func(p *Pages, w http.ResponseWriter, r *http.Request) {
			page := accountPage(p.Language(r, ""))
			change(&page)
			show(p.Account(), w, r, page)
		}
	}
	ended := func(p *account.Page) {
		p.One.EndedAt, p.One.Grants = harnessTime, p.One.Grants[2:]
		p.Notice = account.AccessIsOver
		for i := range p.Access {
			p.Access[i].EndedAt, p.Access[i].Grants = harnessTime, nil
		}
	}
	nothing := func(p *account.Page) {
		p.Access, p.Passkeys, p.Applications, p.Sessions, p.Notified, p.ForgottenAt, p.MoreAccess = nil, nil, nil, p.Sessions[:1], nil, time.Time{}, ""
		p.Known = nil
	}
	return map[string]func(p *Pages, w http.ResponseWriter, r *http.Request){
		"account":       in(AccountPages.Overview, func(*account.Page) {}),
		"account-first": in(AccountPages.Overview, nothing),
		"account-again": in(AccountPages.Overview, func(p *account.Page) {
			p.Fresh, p.Passkeys[0].Last, p.Passkeys, p.Problem.Code, p.Confirms, p.MoreSessions = false, true, p.Passkeys[:1], browser.SignInAgain, false, true
		}),
		"account-access": in(AccountPages.Access, func(*account.Page) {}),
		"account-access-one": in(AccountPages.Access, func(p *account.Page) {
			p.One.Grants, p.One.ExpiresAt, p.One.Client.PolicyURI = p.One.Grants[:1], harnessTime.Add(time.Hour), ""
		}),
		"account-access-consent": in(AccountPages.Access, func(p *account.Page) { p.One.Count, p.One.Grants = 0, nil }),
		"account-access-over":    in(AccountPages.Access, ended),
		"account-ended":          in(AccountPages.Ended, ended),
		"account-ended-none":     in(AccountPages.Ended, nothing),
	}
}

// accountSite serves these pages, and remembers the button of the last form.
type accountSite struct {
	*httptest.Server
	mu      sync.Mutex
	pressed []string
}

func newAccountSite(t *testing.T) *accountSite {
	t.Helper()
	s := &accountSite{}
	mux := http.NewServeMux()
	s.Server = httptest.NewUnstartedServer(mux)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	p, err := New(Config{Issuer: s.URL, Now: func() time.Time { return harnessTime }})
	if err != nil {
		t.Fatal(err)
	}
	for name, show := range accountStates() {
		mux.HandleFunc("GET /page/"+name, func(w http.ResponseWriter, r *http.Request) { show(p, w, r) })
		mux.HandleFunc("POST /page/"+name, func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.pressed = append(s.pressed, r.PostFormValue("action")+" "+r.PostFormValue("id"))
			answer(w, "<h1>pressed</h1>")
		})
	}
	return s
}

// Covers: KF-18. Every page of the account, in three languages, on narrow and wide screens: with names for screen readers, targets
// to touch, and nothing that sticks out.
func TestKF18Accessible(t *testing.T) {
	s := newAccountSite(t)
	for _, language := range []string{"en", "pt-BR", "ar"} {
		t.Run("accepts "+language, func(t *testing.T) {
			b := browsertest.Open(t, s.Certificate())
			for name := range accountStates() {
				for _, look := range []struct {
					name  string
					width int64
					dark  bool
				}{{"320", 320, false}, {"390", 390, false}, {"1280", 1280, false}, {"1280-dark", 1280, true}} {
					b.Look(look.width, 900, look.dark)
					b.Visit(s.URL + "/page/" + name + "?ui_locales=" + language)
					b.CheckAccessibility()
					if filled := b.Primary(); len(filled) > 1 {
						t.Errorf("%s has %v filled", name, filled)
					}
					save(t, strings.Join([]string{name, language, look.name}, "_"), b.Screenshot())
				}
			}
			b.Done()
		})
	}
}

// Covers: KF-18. Everything on the pages can be ended by keys alone, each by one press.
func TestKF18Keyboard(t *testing.T) {
	s := newAccountSite(t)
	b := browsertest.Open(t, s.Certificate())
	for page, want := range map[string][]string{
		"account": {
			"sign-out ", "remove-passkey a", "remove-passkey b", "remove-application c", "end-session d", "end-session e", "end-session f", "end-sessions ",
			"stop-notifying g", "forget-browser h", "forget-browser i", "forget-browsers ",
		},
		"account-access": {"sign-out ", "end-grant 01a22bb7-26a8-796b-a544-033b7e4c6928", "end-grant old", "end "},
	} {
		t.Run("accepts "+page, func(t *testing.T) {
			s.pressed = nil
			for i := range want {
				b.Visit(s.URL + "/page/" + page)
				for buttons, tabs := -1, 0; buttons < i && tabs < 60; tabs++ {
					b.Press(kb.Tab)
					if onButton(b) {
						buttons++
					}
				}
				b.PressAndFollow(" ")
			}
			if !slices.Equal(s.pressed, want) {
				t.Errorf("pressed %q, want %q", s.pressed, want)
			}
		})
	}
	b.Done()
}

// onButton reports whether a button has the focus.
func onButton(b *browsertest.Browser) bool {
	focused := b.Focused()
	return focused == "BUTTON" || slices.Contains([]string{"sign-out", "end-sessions", "forget", "end-access"}, focused)
}

// Covers: KF-01. Nothing on the pages has a word that only developers know, and their forms stay with the server.
func TestKF01Words(t *testing.T) {
	p := newPages(t)
	developers := regexp.MustCompile(`(?i)client.?id|scope\b|token(?:s)?\b|UTC|consent|grant\b|revok`)
	for name, show := range accountStates() {
		t.Run("accepts "+name, func(t *testing.T) {
			w := httptest.NewRecorder()
			show(p, w, httptest.NewRequest(http.MethodGet, "/account", nil))
			_, body, _ := strings.Cut(w.Body.String(), "</style>")
			text := regexp.MustCompile(`<[^>]*>`).ReplaceAllString(body, " ")
			if found := developers.FindString(text); found != "" {
				t.Errorf("it says %q", found)
			}
			if policy := w.Header().Get("Content-Security-Policy"); !strings.HasSuffix(policy, "form-action 'self'") || strings.Contains(policy, "script-src") {
				t.Errorf("the policy is %q", policy)
			}
		})
	}
}

// Covers: KF-17. The page on which a user decides says where to end it.
func TestKF17ConsentLeadsToAccount(t *testing.T) {
	p := newPages(t)
	w := httptest.NewRecorder()
	p.Consent(w, httptest.NewRequest(http.MethodGet, "/interaction/x", nil), signedIn())
	t.Run("accepts the link", func(t *testing.T) {
		if !strings.Contains(w.Body.String(), `<a id="account" href="/account" target="_blank" rel="noopener noreferrer">your account</a>`) {
			t.Errorf("there is no link:\n%s", w.Body)
		}
	})
	t.Run("refuses to name an address that it does not know", func(t *testing.T) {
		p, err := New(Config{Now: func() time.Time { return harnessTime }})
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		p.Consent(w, httptest.NewRequest(http.MethodGet, "/interaction/x", nil), signedIn())
		if strings.Contains(w.Body.String(), `id="account"`) {
			t.Errorf("there is a link:\n%s", w.Body)
		}
	})
}

// TestAccountHostileTexts: what clients and browsers say of themselves is shown as text that moves no other.
func TestAccountHostileTexts(t *testing.T) {
	page := accountPage("en")
	const hostile = `<b>x</b>` + "\u202e"
	page.One.Client.Name, page.Access[0].Client.Name = hostile, hostile
	page.Sessions[0].Browser, page.Passkeys[0].Name, page.Applications[0].Name, page.Notified[0].Service = hostile, hostile, hostile, hostile
	page.SignedIn.Username = hostile
	pages := newPages(t).Account()
	for _, show := range []func(http.ResponseWriter, *http.Request, account.Page){pages.Overview, pages.Access, pages.Ended} {
		w := httptest.NewRecorder()
		show(w, httptest.NewRequest(http.MethodGet, "/account", nil), page)
		if body := w.Body.String(); strings.Contains(body, "<b>") || strings.Contains(body, "\u202e") || !strings.Contains(body, "&lt;b&gt;") {
			t.Errorf("it is not shown as text:\n%s", body)
		}
	}
}

// TestDecidedIsNoChoice: what was chosen is read as it is, with resource servers by name; nothing is left to choose.
func TestDecidedIsNoChoice(t *testing.T) {
	s := newAccountSite(t)
	b := browsertest.Open(t, s.Certificate())
	b.Visit(s.URL + "/page/account-access")
	text := b.Text("main")
	if !strings.Contains(text, "Orchid accounts") || strings.Contains(text, "api.orchid.example") || !strings.Contains(text, "DE02 1001") {
		t.Errorf("the page says %q", text)
	}
	if found := b.Eval(`String(document.querySelectorAll("fieldset, input[type=checkbox], input[type=radio]").length)`); found != "0" {
		t.Errorf("%s things can be chosen", found)
	}
}
