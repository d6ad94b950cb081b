package pages

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"countersign/fapi"
	"countersign/internal/oauth"
)

// problem is why a sign-in form is shown again; the zero value is none.
type problem struct {
	// Summary says what is wrong with the whole, or is empty.
	Summary string
	// Both tells that the summary is about both fields.
	Both bool
	// Username and Password say what is wrong with a field, or are empty.
	Username, Password string
	// Hint says what will happen next, or is empty.
	Hint string
	// wait is set when there is nothing to correct but the time.
	wait time.Duration
}

// Any tells whether there is a problem.
func (p problem) Any() bool { return p != problem{} }

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
	// Current is the name of the person who is signed in and wants to be somebody else, or empty.
	Current string
}

func (p *Pages) showSignIn(w http.ResponseWriter, turn *fapi.Turn, problem problem) {
	view := signInView{Client: viewClient(turn.Client), FormToken: turn.FormToken, Problem: problem}
	if turn.SignedIn != nil {
		view.Current = plain(turn.SignedIn.Username, nameLimit)
	}
	if p.issuer != "" { // the script is allowed by its whole address
		view.Settings = p.base + "/device/settings"
		view.Passkey, view.PasskeyOnly = turn.Passkey, turn.Passkey != "" && turn.PasskeyOnly
	}
	view.Username = turn.LoginHint
	if turn.Form.Get("action") == "sign-in" {
		view.Username = typedUsername(turn)
	}
	if plain(view.Username, maxUsername) != view.Username {
		view.Username = "" // it would not be seen as what it is
	}
	view.FocusPassword = view.Username != "" && problem.Username == ""
	title, status := "Sign in", http.StatusOK
	if problem.Any() {
		title = "Problem: " + title
	}
	if problem.wait > 0 {
		status = http.StatusTooManyRequests
		w.Header().Set("Retry-After", strconv.Itoa(seconds(problem.wait)))
	}
	if view.Passkey == "" {
		p.render(w, status, "signin", title, p.policy.withForm(turn.Client.RedirectHost), view)
		return
	}
	policy := p.policy.withPasskey(turn.Client.RedirectHost, p.issuer)
	p.renderFrame(w, status, "signin", policy, view, frame{Title: title, Scripts: []string{p.base + passkeyScript}})
}

// typedUsername is what the person typed, without the space that phones like to add.
func typedUsername(turn *fapi.Turn) string { return strings.TrimSpace(turn.Form.Get("username")) }

// signIn checks what the person typed. What is typed is never logged: people type passwords into the wrong field.
func (p *Pages) signIn(w http.ResponseWriter, r *http.Request, turn *fapi.Turn, end ending) {
	username, password := typedUsername(turn), turn.Form.Get("password")
	var missing problem
	if username == "" {
		missing.Username = "Enter your user name."
	}
	if password == "" {
		missing.Password = "Enter your password."
	}
	if missing.Any() {
		p.showSignIn(w, turn, missing)
		return
	}
	subject, err := p.directory.Authenticate(r.Context(), username, password)
	log := p.log.With("correlation_id", correlationID(w), "client_id", turn.Client.ID)
	switch {
	case err == nil:
		log.InfoContext(r.Context(), "signed in", "subject", subject)
		end.SignIn(w, r, fapi.Authentication{Subject: subject, ACR: passwordACR, AMR: []string{"pwd"}})
	case errors.Is(err, p.throttled):
		wait := retryAfter(err)
		log.WarnContext(r.Context(), "sign-in throttled", "wait", wait)
		p.showSignIn(w, turn, problem{Summary: "There were too many attempts to sign in. Wait " + inWords(wait) + ", then try again.", wait: wait})
	case errors.Is(err, p.refused):
		p.signInRefused(w, r, turn, end)
	default:
		log.ErrorContext(r.Context(), "sign-in failed", "error", err.Error())
		p.failInternally(w, r)
	}
}

// signInWithPasskey counts what is not accepted as a wrong password is.
func (p *Pages) signInWithPasskey(w http.ResponseWriter, r *http.Request, turn *fapi.Turn, end ending) {
	err := end.SignInWithPasskey(w, r)
	log := p.log.With("correlation_id", correlationID(w), "client_id", turn.Client.ID)
	switch {
	case err == nil:
	case errors.Is(err, fapi.ErrPasskeyRefused):
		log.InfoContext(r.Context(), "passkey refused", "cause", err.Error())
		p.tryAgain(w, r, turn, end, problem{Summary: "The passkey was not accepted. Try again, or sign in with your password."})
	default:
		log.ErrorContext(r.Context(), "sign-in failed", "error", err.Error())
		p.failInternally(w, r)
	}
}

// signInRefused is for a wrong password. The text is the same for a name that does not exist.
func (p *Pages) signInRefused(w http.ResponseWriter, r *http.Request, turn *fapi.Turn, end ending) {
	p.tryAgain(w, r, turn, end, problem{Summary: "The user name and the password do not belong together. Check both, then try again.", Both: true})
}

// tryAgain counts a sign-in that was refused and shows the page again, if there may be another.
func (p *Pages) tryAgain(w http.ResponseWriter, r *http.Request, turn *fapi.Turn, end ending, wrong problem) {
	log := p.log.With("correlation_id", correlationID(w), "client_id", turn.Client.ID)
	failures, err := end.SignInFailed(r.Context())
	if err != nil {
		log.ErrorContext(r.Context(), "sign-in not counted", "error", err.Error())
		p.failInternally(w, r)
		return
	}
	log.InfoContext(r.Context(), "sign-in refused", "failures", failures)
	left := fapi.MaxSignInFailures - failures
	switch {
	case left <= 0:
		end.Deny(w, r)
		return
	case left == 1:
		wrong.Hint = "You have one more try. After that you are sent back to the application."
	case left == 2:
		wrong.Hint = fmt.Sprintf("You have %d more tries. After that you are sent back to the application.", left)
	}
	p.showSignIn(w, turn, wrong)
}

func (p *Pages) failInternally(w http.ResponseWriter, r *http.Request) {
	refusal := oauth.AsError(nil)
	p.Fail(w, r, fapi.Failure{
		Status: refusal.HTTPStatus(), Code: refusal.Code, Description: refusal.Description, CorrelationID: correlationID(w),
	})
}
