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
