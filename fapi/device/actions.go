package device

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"countersign/fapi/browser"
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/internal/oauth"
)

// button is a button of a page's form: the value of the input "action".
type button struct {
	page   pageName
	action string
}

// action handles a button. It has answered, or the page is shown again, with a problem or a notice.
type action func(w http.ResponseWriter, r *http.Request, in *interaction) (answered bool, err error)

// actionTable lists the actions of all forms.
func (h *Handler) actionTable() map[button]action {
	s := h.settings
	b := blocks{requests: h.requests, evidence: h.evidence, limits: h.limits, log: h.log}
	return map[button]action{
		{signInPage, "sign-in"}: h.signIn,
		{signInPage, "passkey"}: h.signInWithPasskey,

		{homePage, "sign-out"}:     h.signOut,
		{requestPage, "sign-out"}:  h.signOut,
		{settingsPage, "sign-out"}: h.signOut,

		{homePage, "subscribe"}: h.subscribe,

		{requestPage, approve}: h.decide(approve),
		{requestPage, deny}:    h.decide(deny),
		{requestPage, choose}:  h.choose,
		{requestPage, "block"}: b.block,

		{settingsPage, "add-passkey"}:    s.change(s.addPasskey),
		{settingsPage, "remove-passkey"}: s.change(s.removePasskey),
		{settingsPage, "remove-last"}:    s.change(s.removeLastPasskey),
		{settingsPage, "remove-device"}:  s.change(s.removeDevice),
		{settingsPage, "keep-devices"}:   s.change(s.keepDevices),
		{settingsPage, "remove-devices"}: s.change(s.removeAsked),
		{settingsPage, "code"}:           s.change(s.makeCode),
		{settingsPage, "unblock"}:        b.unblock,
	}
}

// act dispatches on the form's action. answered reports whether the response is written.
func (h *Handler) act(w http.ResponseWriter, r *http.Request, in *interaction) (answered bool, err error) {
	do, known := h.actions[button{in.name, in.form.Get("action")}]
	switch {
	case known:
		return do(w, r, in)
	case in.name == signInPage:
		return false, oauth.Errorf(oauth.InvalidRequest, "sign in first").WithStatus(http.StatusForbidden)
	}
	return false, oauth.Errorf(oauth.InvalidRequest,
		"this form was sent without one of its buttons; go back and try again")
}

// signIn signs in with a user name and a password. Neither is logged.
func (h *Handler) signIn(w http.ResponseWriter, r *http.Request, in *interaction) (bool, error) {
	typed := in.form.Get("username")
	authentication, problem, err := h.password(w, r, strings.TrimSpace(typed), in.form.Get("password"))
	if err != nil {
		return false, err
	}
	if problem.Code != "" {
		in.page.Username, in.page.Problem = typed, problem
		return false, nil
	}
	return h.begin(w, r, in, authentication)
}

// signInWithPasskey signs in with a passkey, or shows the page with the problem.
func (h *Handler) signInWithPasskey(w http.ResponseWriter, r *http.Request, in *interaction) (bool, error) {
	authentication, err := h.passkeys.Prove(r.Context(), in.signInBinding(), in.form.Get("passkey"))
	if errors.Is(err, browser.ErrPasskeyRefused) {
		logPasskeyRefused(r.Context(), h.log, err)
		in.page.Problem = browser.PasskeyProblem(browser.PasskeyRefused, err)
		limited := endpoint.Allow(h.limits.signIns, endpoint.AddressOf(r), tooManyRefused)
		h.signInFailed(r.Context(), in.page.Problem, limited != nil)
		return false, limited
	}
	if err != nil {
		return false, err
	}
	return h.begin(w, r, in, authentication)
}

// begin starts a new session in the browser and redirects to the page (303).
func (h *Handler) begin(
	w http.ResponseWriter, r *http.Request, in *interaction, a browser.Authentication,
) (bool, error) {
	if err := h.sessions.Begin(w, r, a); err != nil {
		return false, err
	}
	browser.SeeOther(w, in.address)
	return true, nil
}

func (h *Handler) signOut(w http.ResponseWriter, r *http.Request, in *interaction) (bool, error) {
	if err := h.sessions.End(w, r, in.session.ID); err != nil {
		return false, err
	}
	browser.SeeOther(w, in.address)
	return true, nil
}

// subscribe subscribes this browser to notifications of new requests.
func (h *Handler) subscribe(_ http.ResponseWriter, r *http.Request, in *interaction) (bool, error) {
	subject := in.session.Subject
	if err := endpoint.Allow(h.limits.changes, subject, tooManyChanges); err != nil {
		return false, err
	}
	in.page.Notice = BrowserSubscribed
	return false, h.webPush.Subscribe(r.Context(), subject, in.form.Get("endpoint"))
}

// password checks a password, and sets Retry-After when there were too many attempts. The problem is for the user; an
// error is internal.
func (h *Handler) password(
	w http.ResponseWriter, r *http.Request, username, password string,
) (browser.Authentication, browser.Problem, error) {
	ctx := r.Context()
	log := h.log.With("correlation_id", event.Of(ctx).CorrelationID, "page", "device")
	authentication, problem, err := h.passwords.Authenticate(r, browser.Attempt{Username: username, Password: password})
	switch {
	case err != nil:
		if !event.HungUp(ctx, err) && !endpoint.NothingDone(err) {
			log.ErrorContext(ctx, "sign-in failed", "error", err.Error())
		}
		return browser.Authentication{}, browser.Problem{}, err
	case problem.Throttled():
		event.Of(ctx).Repeating("sign-in throttled", func(repeated int) {
			log.WarnContext(ctx, "sign-in throttled", "retry_after", problem.Wait, "reason", string(problem.Code), "repeated", repeated)
		})
		h.signInFailed(ctx, problem, true)
		problem.SetRetryAfter(w)
	case problem.Code == browser.WrongPassword:
		log.InfoContext(ctx, "sign-in refused")
		h.signInFailed(ctx, problem, false)
	case problem.Code != "":
		log.InfoContext(ctx, "sign-in refused")
	}
	return authentication, problem, nil
}

// signInFailed records a sign-in that was refused, or not looked at because there were too many: of those not each.
func (h *Handler) signInFailed(ctx context.Context, problem browser.Problem, limited bool) {
	detail := []string{"subject", problem.Subject, "reason", problem.Audited(), "page", "device"}
	if limited {
		h.evidence.ProvokedEvent(ctx, "", event.SignInThrottled, detail...)
		return
	}
	h.evidence.SecurityEvent(ctx, "", event.SignInFailed, detail...)
}

func logPasskeyRefused(ctx context.Context, log *slog.Logger, err error) {
	log.InfoContext(ctx, "passkey refused", "correlation_id", event.Of(ctx).CorrelationID, "error", err.Error())
}
