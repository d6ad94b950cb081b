package pages

import (
	"net/http"
	"time"
	"unicode"
	"unicode/utf8"

	"strings"

	"countersign/fapi/browser"
	"countersign/fapi/logout"
	"countersign/internal/words"
)

// failureView is the content of the error page. What only helps those who build the application is behind a summary.
type failureView struct {
	Heading, Sentence string
	// Nothing says that nothing was shared, where that is certain; or it is empty.
	Nothing string
	// Next is what the user can do, and SignOut the address where, if it is to sign out.
	Next, SignOut string
	// Description is that of the error, in English, and Code its code; CorrelationID finds it in the log.
	Description, Code, CorrelationID string
	// When and Moment are the time, for people and for machines.
	When, Moment string
}

// failure is how an error is told, by the keys of its messages.
type failure struct {
	heading, next string
	// nothing reports that nothing was shared.
	nothing bool
}

// told returns how a failure is told.
func told(f browser.Failure) failure {
	switch {
	case f.Reason == browser.NotSignedOut:
		return failure{"failure.signout", "failure.signout_next", false}
	case f.Reason == browser.NoCookies:
		return failure{"failure.cookies", "failure.start_again", true}
	case f.Reason == browser.Expired:
		return failure{"failure.expired", "failure.start_again", true}
	case f.Reason == browser.Answered:
		return failure{"failure.answered", "failure.answered_next", false}
	case f.Status == http.StatusServiceUnavailable || f.Status == http.StatusTooManyRequests:
		return failure{"failure.busy", "failure.busy_next", false}
	case f.Status >= 500:
		return failure{"failure.broken", "failure.broken_next", false}
	case f.Status == http.StatusForbidden:
		return failure{"failure.elsewhere", "failure.elsewhere_next", false}
	case f.Status == http.StatusNotFound:
		return failure{"failure.expired", "failure.start_again", true}
	}
	return failure{"failure.application", "failure.application_next", true}
}

// Fail implements [browser.ErrorPage].
func (p *Pages) Fail(w http.ResponseWriter, r *http.Request, failure browser.Failure) {
	if failure.Status < 400 || failure.Status > 599 {
		failure.Status = http.StatusInternalServerError
	}
	p.fail(w, r, failure, told(failure))
}

func (p *Pages) fail(w http.ResponseWriter, r *http.Request, from browser.Failure, as failure) {
	l := p.language(r, r.URL.Query().Get(languageParameter))
	now := p.now()
	view := failureView{
		Heading: l.Text(as.heading), Sentence: l.Text(as.heading + "_sentence"), Next: l.Text(as.next),
		Description: sentence(plain(from.Description, sentenceLimit)), Code: plain(from.Code, idLimit),
		CorrelationID: plain(from.CorrelationID, idLimit),
		When:          words.Capital(l.When(now, now)), Moment: now.UTC().Format(time.RFC3339),
	}
	if from.Reason == browser.NotSignedOut {
		view.SignOut = p.base + logout.Path
	}
	if as.nothing {
		view.Nothing = l.Text("failure.nothing")
	}
	p.render(w, r, shown{l, from.Status, "failure", p.policy.withoutForm(), view}, view.Heading)
}

// welcomeView is the content of the page at the issuer's own address.
type welcomeView struct {
	Base, Discovery string
	// Known reports whether the issuer's address is known, and with it the others.
	Known bool
}

// Welcome implements [browser.StrayPages].
func (p *Pages) Welcome(w http.ResponseWriter, r *http.Request) {
	l := p.language(r, "")
	view := welcomeView{Base: p.base + "/device", Discovery: p.issuer + "/.well-known/openid-configuration", Known: p.issuer != ""}
	p.render(w, r, shown{l, http.StatusOK, "welcome", p.policy.withoutForm(), view}, l.Text("welcome.title"))
}

// Stray implements [browser.StrayPages].
func (p *Pages) Stray(w http.ResponseWriter, r *http.Request, from browser.Failure) {
	from.Description = ""
	if from.Status == http.StatusMethodNotAllowed {
		p.fail(w, r, from, failure{"failure.method", "failure.stray_next", false})
		return
	}
	p.fail(w, r, from, failure{"failure.stray", "failure.stray_next", false})
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
