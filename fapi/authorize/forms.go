package authorize

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"countersign/fapi/browser"
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/internal/oauth"
)

// Pages render what [Forms] decides to show. They read no form and change no state.
type Pages interface {
	// SignIn shows the sign-in page, with the interaction's problem, if it has one. A user who is signed in already can
	// continue with that session.
	SignIn(w http.ResponseWriter, r *http.Request, in Interaction)
	// Consent shows the request to the signed-in user. Its form sends the user's subject back as "signed_in_as".
	Consent(w http.ResponseWriter, r *http.Request, in Interaction)
	browser.ErrorPage
}

// ACRValues are the authentication context classes that [Forms] reaches without passkeys, best first.
func ACRValues() []string { return []string{browser.PasswordACR} }

// Forms is the [Interactor] of the built-in pages: HTML forms with passwords and passkeys. The form's
// "action" is the button that was pressed.
type Forms struct {
	pages     Pages
	passwords browser.Passwords
	log       *slog.Logger
	buttons   map[string]func(http.ResponseWriter, *http.Request, Interaction, Actions)
}

var _ Interactor = (*Forms)(nil)

// NewForms makes the interactor of pages. It returns an error unless passwords has a directory and its errors.
func NewForms(pages Pages, passwords browser.Passwords, log *slog.Logger) (*Forms, error) {
	if passwords.Directory == nil || passwords.Refused == nil || passwords.Throttled == nil {
		return nil, errors.New("authorize: Passwords needs Directory and its errors Refused and Throttled")
	}
	f := &Forms{pages: pages, passwords: passwords, log: log}
	f.buttons = map[string]func(http.ResponseWriter, *http.Request, Interaction, Actions){
		"sign-in": f.signIn,
		"passkey": f.signInWithPasskey,
		"switch":  f.switchUser,
		"allow":   f.allow,
		"deny":    deny,
		"cancel":  deny,
		"leave":   leave,
	}
	return f, nil
}

// Fail implements [Interactor].
func (f *Forms) Fail(w http.ResponseWriter, r *http.Request, failure browser.Failure) {
	f.pages.Fail(w, r, failure)
}

// Interact implements [Interactor].
func (f *Forms) Interact(w http.ResponseWriter, r *http.Request, in Interaction, actions Actions) {
	switch {
	case in.SignInFailures >= MaxSignInFailures:
		actions.Deny(w, r)
	case in.Form != nil:
		f.press(w, r, in, actions)
	case in.SignedIn == nil:
		f.pages.SignIn(w, r, in)
	default:
		f.showConsent(w, r, in, actions)
	}
}

// showConsent shows the request to the user, and records that first.
func (f *Forms) showConsent(w http.ResponseWriter, r *http.Request, in Interaction, actions Actions) {
	if in.Unoffered.Code != "" { // nothing can be decided
		in.Problem = in.Unoffered
		f.pages.Consent(w, r, in)
		return
	}
	if err := actions.ConsentShown(r.Context()); err != nil {
		f.failInternally(w, r, in, err)
		return
	}
	f.pages.Consent(w, r, in)
}

// press dispatches on the button that was pressed.
func (f *Forms) press(w http.ResponseWriter, r *http.Request, in Interaction, actions Actions) {
	press, known := f.buttons[in.Form.Get("action")]
	if !known {
		browser.ShowError(f.pages, w, r, oauth.Errorf(oauth.InvalidRequest,
			"this form was sent without one of its buttons; go back and try again"))
		return
	}
	press(w, r, in, actions)
}

// signIn checks the user name and the password. Neither is logged: users type passwords into the wrong field.
func (f *Forms) signIn(w http.ResponseWriter, r *http.Request, in Interaction, actions Actions) {
	in.LoginHint = strings.TrimSpace(in.Form.Get("username")) // phone keyboards add a space
	proven, problem, err := f.passwords.Authenticate(r, browser.Attempt{
		Username: in.LoginHint, Password: in.Form.Get("password"), Interaction: in.ID, Tries: MaxSignInFailures,
	})
	log := f.logger(r, in)
	if err != nil {
		f.failInternally(w, r, in, err)
		return
	}
	switch problem.Code {
	case "":
		log.InfoContext(r.Context(), "signed in", "subject", proven.Subject)
		actions.SignIn(w, r, proven)
	case browser.WrongPassword:
		f.tryAgain(w, r, in, actions, problem)
	case browser.TooManyAttempts, browser.Locked:
		event.Of(r.Context()).Repeating("sign-in throttled", func(repeated int) {
			log.WarnContext(r.Context(), "sign-in throttled", "retry_after", problem.Wait, "reason", string(problem.Code), "repeated", repeated)
		})
		actions.SignInThrottled(r.Context(), problem)
		problem.SetRetryAfter(w)
		f.showSignIn(w, r, in, problem)
	default: // a field is empty
		f.showSignIn(w, r, in, problem)
	}
}

// signInWithPasskey counts a refused passkey as a failed sign-in.
func (f *Forms) signInWithPasskey(w http.ResponseWriter, r *http.Request, in Interaction, actions Actions) {
	err := actions.SignInWithPasskey(w, r)
	if errors.Is(err, browser.ErrPasskeyRefused) {
		f.logger(r, in).InfoContext(r.Context(), "passkey refused", "error", err.Error())
		f.tryAgain(w, r, in, actions, browser.PasskeyProblem(browser.PasskeyRefused, err))
		return
	}
	if err != nil {
		f.failInternally(w, r, in, err)
	}
}

// tryAgain counts a failed sign-in and shows the page again, or denies after [MaxSignInFailures].
func (f *Forms) tryAgain(
	w http.ResponseWriter, r *http.Request, in Interaction, actions Actions, problem browser.Problem,
) {
	failures, err := actions.SignInFailed(r.Context(), problem)
	if err != nil {
		f.failInternally(w, r, in, err)
		return
	}
	f.logger(r, in).InfoContext(r.Context(), "sign-in refused", "failures", failures)
	if failures >= MaxSignInFailures {
		actions.Deny(w, r)
		return
	}
	problem.TriesLeft = MaxSignInFailures - failures
	f.showSignIn(w, r, in, problem)
}

// switchUser shows the sign-in page for another user.
func (f *Forms) switchUser(w http.ResponseWriter, r *http.Request, in Interaction, _ Actions) {
	in.LoginHint = "" // the hint was wrong
	f.pages.SignIn(w, r, in)
}

// allow grants, if the user whose name was on the page is still signed in and the page showed what is granted. Another
// user may have signed in in another tab of the browser, and the client may have changed its registration.
func (f *Forms) allow(w http.ResponseWriter, r *http.Request, in Interaction, actions Actions) {
	switch {
	case in.SignedIn == nil:
		f.showSignIn(w, r, in, browser.Problem{Code: browser.SignInEnded})
	case in.Form.Get("signed_in_as") != in.SignedIn.Subject:
		in.Problem = browser.Problem{Code: browser.AnotherUser}
		f.showConsent(w, r, in, actions)
	case in.Changed:
		in.Problem = browser.Problem{Code: browser.RequestChanged}
		f.showConsent(w, r, in, actions)
	case in.Unchosen:
		in.Problem = browser.Problem{Code: browser.NothingChosen}
		f.showConsent(w, r, in, actions)
	default:
		actions.Allow(w, r)
	}
}

func leave(w http.ResponseWriter, r *http.Request, _ Interaction, actions Actions) {
	actions.Leave(w, r)
}

func deny(w http.ResponseWriter, r *http.Request, _ Interaction, actions Actions) { actions.Deny(w, r) }

func (f *Forms) showSignIn(w http.ResponseWriter, r *http.Request, in Interaction, problem browser.Problem) {
	in.Problem = problem
	f.pages.SignIn(w, r, in)
}

// failInternally shows the error page for an error that is not the user's, and logs it; that there was too much to do is in
// the line of the request only.
func (f *Forms) failInternally(w http.ResponseWriter, r *http.Request, in Interaction, err error) {
	if !event.HungUp(r.Context(), err) && !endpoint.NothingDone(err) {
		f.logger(r, in).ErrorContext(r.Context(), "sign-in failed", "error", err.Error())
	}
	browser.ShowError(f.pages, w, r, err)
}

func (f *Forms) logger(r *http.Request, in Interaction) *slog.Logger {
	return f.log.With("correlation_id", event.Of(r.Context()).CorrelationID, "client_id", in.Client.ID)
}
