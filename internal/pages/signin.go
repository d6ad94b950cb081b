package pages

import (
	"net/http"

	"countersign/fapi/authorize"
	"countersign/fapi/browser"
)

// problem is why a sign-in form is shown again, in words; the zero value is none.
type problem struct {
	// Summary says what is wrong with the whole, or is empty.
	Summary string
	// Both is true when the summary is about both fields.
	Both bool
	// Username and Password say what is wrong with a field, or are empty.
	Username, Password string
	// Hint says what will happen next, or is empty.
	Hint string
}

// Any reports whether there is a problem.
func (p problem) Any() bool { return p != problem{} }

// viewProblem puts a problem with signing in into words.
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

// summary is the sentence for a problem with a whole sign-in form, or empty. That for a wrong password is the same
// for a name that does not exist.
func summary(wrong browser.Problem) string {
	switch wrong.Code {
	case browser.WrongPassword:
		return "The user name and the password do not belong together. Check both, then try again."
	case browser.TooManyAttempts:
		return "There were too many attempts to sign in. Wait " + inWords(wrong.Wait) + ", then try again."
	case browser.PasskeyRefused:
		return "The passkey was not accepted. Try again, or sign in with your password."
	case browser.SignInEnded:
		return "Your sign-in has ended. Sign in again to decide."
	}
	return ""
}

// signInView is what the sign-in page shows.
type signInView struct {
	Client    clientView
	FormToken string
	Username  string
	Problem   problem
	// Passkey are the options to sign in with a passkey, or empty.
	Passkey string
	// PasskeyOnly leaves the password out; Settings is where passkeys are made.
	PasskeyOnly bool
	Settings    string
	// FocusPassword: the name is there already.
	FocusPassword bool
	// Current is the name of the user who is signed in and wants to be somebody else, or empty.
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
	if p.issuer != "" { // the script is allowed by its whole address
		view.Settings = p.base + "/device/settings"
		view.Passkey, view.PasskeyOnly = in.Passkey, in.Passkey != "" && in.PasskeyOnly
	}
	if plain(view.Username, maxUsername) != view.Username {
		view.Username = "" // it would not be seen as what it is
	}
	view.FocusPassword = view.Username != "" && view.Problem.Username == ""
	title, status := "Sign in", http.StatusOK
	if view.Problem.Any() {
		title = "Problem: " + title
	}
	if in.Problem.Code == browser.TooManyAttempts {
		status = http.StatusTooManyRequests
	}
	if view.Passkey == "" {
		p.render(w, status, "signin", title, p.policy.withForm(in.Client.RedirectHost), view)
		return
	}
	policy := p.policy.withPasskey(in.Client.RedirectHost, p.issuer)
	p.renderFrame(w, status, "signin", policy, view, frame{Title: title, Scripts: []string{p.base + passkeyScript}})
}
