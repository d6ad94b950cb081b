package pages

import (
	"net/http"

	"countersign/fapi/authorize"
	"countersign/fapi/browser"
	"countersign/internal/words"
)

// problem is why the sign-in form is shown again, in words; the zero value is none.
type problem struct {
	// Summary is about the form as a whole, or empty.
	Summary string
	// Both reports whether the summary is about both fields.
	Both bool
	// Username and Password are about one field, or empty.
	Username, Password string
	// Hint is what happens next, or empty.
	Hint string
}

// Any reports whether there is a problem.
func (p problem) Any() bool { return p != problem{} }

// viewProblem describes a sign-in problem.
func viewProblem(l *words.Language, wrong browser.Problem) problem {
	view := problem{Summary: summary(l, wrong), Both: wrong.Code == browser.WrongPassword}
	if wrong.Code == browser.NoUsername || wrong.Code == browser.NeitherGiven {
		view.Username = l.Text("problem.no_username")
	}
	if wrong.Code == browser.NoPassword || wrong.Code == browser.NeitherGiven {
		view.Password = l.Text("problem.no_password")
	}
	if wrong.TriesLeft == 1 || wrong.TriesLeft == 2 {
		view.Hint = l.Text("problem.tries", "count", wrong.TriesLeft)
	}
	return view
}

// summary returns the sentence for a problem with the whole form, or "". It is the same for a wrong password and an
// unknown user name.
func summary(l *words.Language, wrong browser.Problem) string {
	switch wrong.Code {
	case browser.WrongPassword:
		return l.Text("problem.wrong_password")
	case browser.TooManyAttempts:
		return l.Text("problem.too_many", "duration", l.Duration(wrong.Wait))
	case browser.Locked:
		return l.Text("problem.locked")
	case browser.PasskeyRefused:
		return l.Text("problem.passkey")
	case browser.SignInEnded:
		return l.Text("problem.ended")
	}
	return ""
}

// statusOf is the status of a page with a problem.
func statusOf(wrong browser.Problem) int {
	if wrong.Throttled() {
		return http.StatusTooManyRequests
	}
	return http.StatusOK
}

// signInView is the content of the sign-in page.
type signInView struct {
	Client    clientView
	FormToken string
	Username  string
	// Bank is the name of the service, RedirectHost where Cancel leads, or empty.
	Bank, RedirectHost string
	Problem            problem
	// Passkey are the options of navigator.credentials.get, or empty.
	Passkey string
	// PasskeyOnly hides the password; Settings is the page on which passkeys are added.
	PasskeyOnly bool
	Settings    string
	// FocusPassword: the user name is filled in.
	FocusPassword bool
	// Current is the name of the signed-in user who wants to sign in as another, or empty.
	Current string
}

// SignIn implements [authorize.Pages].
func (p *Pages) SignIn(w http.ResponseWriter, r *http.Request, in authorize.Interaction) {
	l := p.language(r, in.UILocales)
	view := signInView{
		Client: viewClient(l, in.Client), FormToken: in.FormToken, Username: in.LoginHint, Problem: viewProblem(l, in.Problem),
		Bank: p.name(l), RedirectHost: plain(in.Client.RedirectHost, hostLimit),
	}
	if in.SignedIn != nil {
		view.Current = plain(in.SignedIn.Username, nameLimit)
	}
	if p.issuer != "" { // the script is allowed by its whole URL
		view.Settings = p.base + "/device/settings"
		view.Passkey, view.PasskeyOnly = in.Passkey, in.Passkey != "" && in.PasskeyOnly
	}
	if plain(view.Username, maxUsername) != view.Username {
		view.Username = "" // it would be displayed differently
	}
	view.FocusPassword = view.Username != "" && view.Problem.Username == ""
	title, status := l.Text("signin.title"), statusOf(in.Problem)
	if view.Problem.Any() {
		title = l.Text("title.problem", "page", title)
	}
	if view.Passkey == "" {
		p.render(w, r, shown{l, status, "signin", p.policy.withForm(in.Client.RedirectHost), view}, title)
		return
	}
	policy := p.policy.withPasskey(in.Client.RedirectHost, p.issuer)
	p.renderFrame(w, r, shown{l, status, "signin", policy, view}, frame{Title: title, Scripts: []string{p.base + passkeyScript}})
}
