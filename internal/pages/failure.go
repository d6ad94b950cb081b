package pages

import (
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"countersign/fapi/browser"
)

// failureView is the content of the error page.
type failureView struct {
	Heading string
	// Sentence is the description of the error.
	Sentence            string
	Code, CorrelationID string
}

// Fail implements [browser.ErrorPage].
func (p *Pages) Fail(w http.ResponseWriter, _ *http.Request, failure browser.Failure) {
	if failure.Status < 400 || failure.Status > 599 {
		failure.Status = http.StatusInternalServerError
	}
	view := failureView{
		Heading: heading(failure.Status), Sentence: sentence(plain(failure.Description, sentenceLimit)),
		Code: plain(failure.Code, idLimit), CorrelationID: plain(failure.CorrelationID, idLimit),
	}
	p.render(w, failure.Status, "failure", view.Heading, p.policy.withoutForm(), view)
}

// welcomeView is the content of the page at the issuer's own address.
type welcomeView struct {
	Base, Discovery string
	// Known reports whether the issuer's address is known, and with it the others.
	Known bool
}

// Welcome implements [browser.StrayPages].
func (p *Pages) Welcome(w http.ResponseWriter, _ *http.Request) {
	view := welcomeView{Base: p.base + "/device", Discovery: p.issuer + "/.well-known/openid-configuration", Known: p.issuer != ""}
	p.render(w, http.StatusOK, "welcome", "Sign-in", p.policy.withoutForm(), view)
}

// Stray implements [browser.StrayPages].
func (p *Pages) Stray(w http.ResponseWriter, _ *http.Request, failure browser.Failure) {
	view := failureView{Code: plain(failure.Code, idLimit), CorrelationID: plain(failure.CorrelationID, idLimit)}
	switch failure.Status {
	case http.StatusMethodNotAllowed:
		view.Heading, view.Sentence = "This address is for applications", "Applications call it by themselves. There is nothing to see here."
	default:
		view.Heading, view.Sentence = "There is no such page", "Check the address, or begin again in the application that you came from."
	}
	p.render(w, failure.Status, "failure", view.Heading, p.policy.withoutForm(), view)
}

func heading(status int) string {
	switch {
	case status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests:
		return "Please try again in a moment"
	case status >= 500:
		return "Something went wrong on our side"
	case status == http.StatusNotFound:
		return "This page is no longer valid"
	case status == http.StatusForbidden:
		return "This was not allowed"
	default:
		return "This request cannot continue"
	}
}

// sentence adds a capital letter and a full stop to an error description.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	word, _, _ := strings.Cut(text, " ")
	if !strings.Contains(word, "_") { // the name of a parameter keeps its small letters
		first, size := utf8.DecodeRuneInString(text)
		text = string(unicode.ToUpper(first)) + text[size:]
	}
	switch last, _ := utf8.DecodeLastRuneInString(text); last {
	case '.', '!', '?', '…':
		return text
	}
	return text + "."
}
