package pages

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"countersign/fapi/browser"
	"countersign/fapi/rar/display"
)

// choosingPages are pages with accounts to choose, and the answer to their forms: what was chosen.
func choosingPages(p *Pages, mux *http.ServeMux) {
	mux.HandleFunc("GET /accounts", func(w http.ResponseWriter, r *http.Request) {
		language := p.Language(r, "")
		in := asking(language, accounts(language))
		in.Problem.Code = browser.ProblemCode(r.URL.Query().Get("problem"))
		p.Consent(w, r, in)
	})
	mux.HandleFunc("GET /several", func(w http.ResponseWriter, r *http.Request) {
		language := p.Language(r, "")
		p.Consent(w, r, asking(language, paying(strings.Repeat("Fernhill Cycles ", 5)+"Ltd", language), accounts(language), accounts(language)))
	})
	mux.HandleFunc("POST /accounts", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(w, "<!DOCTYPE html><html lang=en><title>Chosen</title><body><p id=chosen>%s %s</p>", r.PostForm.Get("action"), display.Inputs(r.PostForm).Encode())
	})
}

// Covers: KC-28. Accounts are chosen by keyboard alone, and the page fits at each width in each direction of writing.
func TestKC28BrowserChoice(t *testing.T) {
	s := newSite(t)
	b := s.open()
	for _, language := range []string{"en", "pt-BR", "ar"} {
		for _, width := range []int64{320, 390, 1280} {
			b.Look(width, 844, false)
			for name, path := range map[string]string{"accounts": "/accounts?", "wrong": "/accounts?problem=nothing+chosen&", "several": "/several?"} {
				b.Visit(s.issuer.URL + path + "ui_locales=" + language)
				b.CheckAccessibility()
				save(t, fmt.Sprintf("choose-%s-%s-%d", name, language, width), b.Screenshot())
			}
		}
	}
	t.Run("accepts a choice by keyboard", func(t *testing.T) {
		b.Visit(s.issuer.URL + "/accounts?ui_locales=en")
		for range 40 {
			if b.Focused() == "choose-0-0-1" {
				break
			}
			b.Press(kb.Tab)
		}
		b.AwaitFocus("choose-0-0-1")
		b.Press(" ")
		for range 20 {
			if b.Focused() == "allow" {
				break
			}
			b.Press(kb.Tab)
		}
		b.AwaitFocus("allow")
		b.PressAndFollow(kb.Enter)
		if got := b.Text("#chosen"); got != "allow choose.0.%2Faccounts.1=1" {
			t.Errorf("%q", got)
		}
	})
	t.Run("refuses to choose beforehand", func(t *testing.T) {
		b.Visit(s.issuer.URL + "/accounts?ui_locales=en")
		b.Click("#allow")
		if got := b.Text("#chosen"); got != "allow" {
			t.Errorf("%q", got)
		}
	})
}
