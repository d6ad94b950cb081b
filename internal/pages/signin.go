package pages

import (
	"net/http"

	"countersign/fapi/authorize"
	"countersign/fapi/browser"
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
func viewProblem(wrong browser.Problem) problem {
	view := problem{Summary: summary(wrong), Both: wrong.Code == browser.WrongPassword}
	if wrong.Code == browser.NoUsername || wrong.Code == browser.NeitherGiven {
		view.Username = "Enter your user name."
	}
	if wrong.Code == browser.NoPassword || wrong.Code == browser.NeitherGiven {
		view.Password = "Enter your password."
	}
	switch wrong.TriesLeft {
	case 1:
		view.Hint = "You have one more try. After that you are sent back to the application."
	case 2:
		view.Hint = "You have 2 more tries. After that you are sent back to the application."
	}
	return view
}

// summary returns the sentence for a problem with the whole form, or "". It is the same for a wrong password and an
// unknown user name.
func summary(wrong browser.Problem) string {
	switch wrong.Code {
	case browser.WrongPassword:
		return "The user name and the password do not belong together. Check both, then try again."
	case browser.TooManyAttempts:
		return "There were too many attempts to sign in. Wait " + inWords(wrong.Wait) + ", then try again."
	case browser.Locked:
		return "There were too many wrong passwords for this user name, and none is looked at in this browser any more. Sign in " +
			"in a browser in which you have signed in before, or with a passkey, or ask for help where you got your user name."
	case browser.PasskeyRefused:
		return "The passkey was not accepted. Try again, or sign in with your password."
	case browser.SignInEnded:
		return "Your sign-in has ended. Sign in again to decide."
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
	Problem   problem
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
func (p *Pages) SignIn(w http.ResponseWriter, _ *http.Request, in authorize.Interaction) {
	view := signInView{
		Client: viewClient(in.Client), FormToken: in.FormToken, Username: in.LoginHint, Problem: viewProblem(in.Problem),
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
	title, status := "Sign in", statusOf(in.Problem)
	if view.Problem.Any() {
		title = "Problem: " + title
	}
	if view.Passkey == "" {
		p.render(w, status, "signin", title, p.policy.withForm(in.Client.RedirectHost), view)
		return
	}
	policy := p.policy.withPasskey(in.Client.RedirectHost, p.issuer)
	p.renderFrame(w, status, "signin", policy, view, frame{Title: title, Scripts: []string{p.base + passkeyScript}})
}
