package pages

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"countersign/fapi/browser"
	"countersign/fapi/rar/display"
)

// ownAccounts is a request whose accounts are offered, in a language.
func ownAccounts(language string) display.View {
	languages, err := display.NewLanguages(nil, nil, nil)
	if err != nil {
		panic(err)
	}
	of, err := display.Parse("own", json.RawMessage(`{
		"x-display": {"kind": "access", "times": "until", "heading": {"en": "Share account information with {client}?", "pt-BR": "Compartilhar dados da conta com {client}?", "ar": "هل تشارك معلومات الحساب مع {client}؟"}},
		"type": "object", "additionalProperties": false, "required": ["type", "accounts"], "properties": {
			"type": {"const": "own"},
			"accounts": {"type": "array", "maxItems": 10, "items": {"type": "string"}, "x-display": {
				"label": {"en": "Which accounts", "pt-BR": "Quais contas", "ar": "أي حسابات"}, "role": "account", "format": "ending", "choose": "some", "offer": true
			}}
		}}`), languages)
	if err != nil {
		panic(err)
	}
	offered := []display.Offered{
		{Type: "own", Value: json.RawMessage(`"DE02100100109307118603"`), Name: "Everyday", Number: "DE•• 8603",
			Kind:    display.Words{"en": "Current account", "pt-BR": "Conta corrente", "ar": "حساب جارٍ"},
			Balance: &display.Balance{Amount: "1234.50", Currency: "EUR"}},
		{Type: "own", Value: json.RawMessage(`"GB33BUKB20201555555555"`), Name: strings.Repeat("Savings for a house ", 5)},
	}
	filled, err := of.Filled(json.RawMessage(`{"type":"own","accounts":[]}`), []json.RawMessage{offered[0].Value, offered[1].Value})
	if err != nil {
		panic(err)
	}
	view, err := of.Knowing(offered).View(filled, language, display.Asker{Name: "Orchid"})
	if err != nil {
		panic(err)
	}
	return view
}

// offeringPages are pages with accounts that are offered.
func offeringPages(p *Pages, mux *http.ServeMux) {
	mux.HandleFunc("GET /own", func(w http.ResponseWriter, r *http.Request) {
		language := p.Language(r, "")
		in := asking(language, ownAccounts(language))
		in.Problem.Code = browser.ProblemCode(r.URL.Query().Get("problem"))
		p.Consent(w, r, in)
	})
	mux.HandleFunc("POST /own", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(w, "<!DOCTYPE html><html lang=en><title>Chosen</title><body><p id=chosen>%s %s</p>", r.PostForm.Get("action"), display.Inputs(r.PostForm).Encode())
	})
}

// Covers: KX-07. Offered accounts are chosen by keyboard alone, with name, kind, number and balance; while none can be offered the page
// says so and leads back. Both fit at each width in each direction of writing.
func TestKX07BrowserOffered(t *testing.T) {
	s := newSite(t)
	b := s.open()
	for _, language := range []string{"en", "pt-BR", "ar"} {
		for _, width := range []int64{320, 390, 1280} {
			b.Look(width, 844, false)
			for name, path := range map[string]string{"offered": "/own?", "away": "/own?problem=accounts+away&", "none": "/own?problem=nothing+offered&"} {
				b.Visit(s.issuer.URL + path + "ui_locales=" + language)
				b.CheckAccessibility()
				save(t, fmt.Sprintf("offered-%s-%s-%d", name, language, width), b.Screenshot())
			}
		}
	}
	reach := func(t *testing.T, id string) {
		t.Helper()
		for range 60 {
			if b.Focused() == id {
				break
			}
			b.Press(kb.Tab)
		}
		b.AwaitFocus(id)
	}
	t.Run("accepts a choice by keyboard", func(t *testing.T) {
		b.Visit(s.issuer.URL + "/own?ui_locales=en")
		if text := b.Text("fieldset"); !strings.Contains(text, "Everyday") || !strings.Contains(text, "Current account · DE•• 8603 · ending 8603") || !strings.Contains(text, "€1,234.50") {
			t.Errorf("the page says %q", text)
		}
		reach(t, "choose-0-0-1")
		b.Press(" ")
		reach(t, "allow")
		b.PressAndFollow(kb.Enter)
		if got := b.Text("#chosen"); got != "allow choose.0.%2Faccounts.1=1" {
			t.Errorf("%q", got)
		}
	})
	t.Run("accepts to leave by keyboard while nothing can be offered", func(t *testing.T) {
		b.Visit(s.issuer.URL + "/own?problem=accounts+away&ui_locales=en")
		reach(t, "again")
		reach(t, "leave")
		b.PressAndFollow(kb.Enter)
		if got := b.Text("#chosen"); got != "leave" {
			t.Errorf("%q", got)
		}
	})
	t.Run("refuses to show what could be allowed then", func(t *testing.T) {
		b.Visit(s.issuer.URL + "/own?problem=nothing+offered&ui_locales=en")
		if body := b.Text("body"); strings.Contains(body, "Everyday") || !strings.Contains(body, "You have nothing here") {
			t.Errorf("the page says %q", body)
		}
	})
}
