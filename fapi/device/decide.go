package device

import (
	"context"
	"errors"
	"net/http"

	"countersign/fapi/backchannel"
	"countersign/fapi/browser"
	"countersign/fapi/endpoint"
	"countersign/fapi/rar/display"
	"countersign/internal/oauth"
	"countersign/internal/passkey"
)

// The two decisions, as named in forms and in URLs of the API.
const (
	approve = "approve"
	deny    = "deny"
)

// choose is the action that says what of a request is decided about.
const choose = "choose"

// fillRequest reads what the page of one request shows.
func (h *Handler) fillRequest(ctx context.Context, in *interaction) error {
	view, err := h.decisions.request(ctx, in.reference, in.session.Subject, in.page.Language)
	if err != nil {
		return err
	}
	if view.State == backchannel.Waiting && view.HasChoice() {
		chosen, err := view.Chosen(in.picks)
		in.page.Choosing, in.page.Chosen = errors.Is(err, display.ErrNotChosen), in.picks
		if err != nil && !in.page.Choosing {
			return err
		}
		view = chosen
	}
	in.page.Request, in.page.Version = &view, versionOf(view)
	in.page.Approve = ""
	if view.State != backchannel.Waiting {
		return nil
	}
	if in.digest, err = digestOf(view); err != nil {
		return err
	}
	// The form decides about what its page showed.
	in.page.FormToken = formToken(in.browser, in.session) + "." + in.digest
	if h.passkeys == nil || in.page.Choosing {
		return nil
	}
	passkeys, err := h.store.Passkeys(ctx, in.session.Subject)
	if err != nil || len(passkeys) == 0 {
		return err
	}
	binding, err := in.approvalBinding(view)
	if err != nil {
		return err
	}
	in.page.Approve, err = h.passkeys.Options(binding, passkeys)
	return err
}

// decisionError translates errors of decisions to *oauth.Error. Others pass unchanged.
func decisionError(err error) error {
	switch {
	case errors.Is(err, backchannel.ErrNotFound):
		return oauth.Errorf(oauth.InvalidRequest, "there is no such request for you; it may be too old").
			WithStatus(http.StatusNotFound).Because(err)
	case errors.Is(err, backchannel.ErrDecided):
		return oauth.Errorf(oauth.InvalidRequest, "this request was decided before").
			WithStatus(http.StatusConflict).Because(err)
	case errors.Is(err, backchannel.ErrExpired):
		return oauth.Errorf(oauth.InvalidRequest, "the time for this decision is over").
			WithStatus(http.StatusConflict).Because(err)
	case errors.Is(err, backchannel.ErrChanged):
		return oauth.Errorf(oauth.InvalidRequest, "this request is not what was shown; read it again").
			WithStatus(http.StatusConflict).Because(err)
	case errors.Is(err, backchannel.ErrStepUp):
		return oauth.Errorf(oauth.UnmetAuthentication,
			"approval requires that the user authenticates for it with one of acr_values, or a better one").
			WithStatus(http.StatusForbidden).Because(err)
	}
	return err
}

// approvalBinding binds a passkey challenge to the approval of one request as it was shown, in this browser and session.
func (in *interaction) approvalBinding(view backchannel.View) (passkey.Binding, error) {
	digest, err := digestOf(view)
	return passkey.Binding{
		Purpose: browser.PurposeDecide, Browser: in.browser + " " + sessionID(in.session),
		Subject: in.session.Subject, Content: approve + " " + digest,
	}, err
}

// decide is the action for a decision. Approving takes a passkey, or the password of a user who has none. Denying takes
// the sign-in alone: nobody gains by it, and who sees a request that they did not begin shall not be kept from ending it.
// Only the first decision counts; the page shows the state of the request.
func (h *Handler) decide(decision string) action {
	return func(w http.ResponseWriter, r *http.Request, in *interaction) (bool, error) {
		ctx := r.Context()
		if err := h.fillRequest(ctx, in); err != nil {
			return false, err
		}
		if in.page.Request.State != backchannel.Waiting {
			return false, nil
		}
		if in.shown != in.digest {
			in.page.Problem = browser.Problem{Code: browser.RequestChanged}
			return false, nil
		}
		if decision == approve && in.page.Choosing {
			in.page.Problem = browser.Problem{Code: browser.NothingChosen}
			return false, nil
		}
		prove := h.proveByPassword
		switch {
		case decision == deny:
			prove = h.signedIn
		case in.page.Approve != "":
			prove = h.proveByPasskey
		}
		authentication, problem, err := prove(w, r, in)
		if err != nil {
			return false, err
		}
		if problem.Code != "" {
			in.page.Problem = problem
			limited := endpoint.Allow(h.limits.refused, in.session.Subject, tooManyRefused)
			if problem.Code == browser.NotDecidedPasskey { // of passwords it is recorded where they are checked
				h.signInFailed(ctx, problem, limited != nil)
			}
			return false, limited
		}
		err = h.decisions.record(ctx, *in.page.Request, in.digest, authentication, decision == approve, "device page")
		if err != nil && !errors.Is(err, backchannel.ErrDecided) && !errors.Is(err, backchannel.ErrExpired) {
			return false, decisionError(err)
		}
		browser.SeeOther(w, in.address)
		return true, nil
	}
}

// choose is the action for a choice among what is requested: the page of only that is shown, on which it is decided, so that this is
// what a passkey signs.
func (h *Handler) choose(_ http.ResponseWriter, r *http.Request, in *interaction) (bool, error) {
	if err := h.fillRequest(r.Context(), in); err != nil {
		return false, err
	}
	if in.page.Choosing {
		in.page.Problem = browser.Problem{Code: browser.NothingChosen}
	}
	return false, nil
}

// signedIn is the authentication of the session.
func (h *Handler) signedIn(_ http.ResponseWriter, _ *http.Request, in *interaction) (browser.Authentication, browser.Problem, error) {
	s := in.session
	return browser.Authentication{Subject: s.Subject, ACR: s.ACR, AMR: s.AMR}, browser.Problem{}, nil
}

// proveByPasskey authenticates a user for an approval with a passkey.
func (h *Handler) proveByPasskey(
	w http.ResponseWriter, r *http.Request, in *interaction,
) (browser.Authentication, browser.Problem, error) {
	binding, err := in.approvalBinding(*in.page.Request)
	if err != nil {
		return browser.Authentication{}, browser.Problem{}, err
	}
	authentication, err := h.passkeys.Prove(r.Context(), binding, in.form.Get("passkey"))
	if errors.Is(err, browser.ErrPasskeyRefused) {
		logPasskeyRefused(r.Context(), h.log, err)
		return browser.Authentication{}, browser.PasskeyProblem(browser.NotDecidedPasskey, err), nil
	}
	if err == nil {
		browser.NotePasskeyChange(w, authentication)
	}
	return authentication, browser.Problem{}, err
}

// proveByPassword authenticates a user for an approval with the password.
func (h *Handler) proveByPassword(
	w http.ResponseWriter, r *http.Request, in *interaction,
) (browser.Authentication, browser.Problem, error) {
	authentication, problem, err := h.password(w, r, in.page.SignedIn.Username, in.form.Get("password"))
	switch {
	case err != nil:
		return browser.Authentication{}, browser.Problem{}, err
	case problem.Throttled():
		return browser.Authentication{}, problem, nil
	case problem.Code != "":
		return browser.Authentication{}, browser.Problem{Code: browser.NotDecidedPassword}, nil
	case authentication.Subject != in.session.Subject:
		return browser.Authentication{}, browser.Problem{},
			oauth.Errorf(oauth.AccessDenied, "nothing was decided: the password is that of another user").
				WithStatus(http.StatusForbidden)
	}
	return authentication, browser.Problem{}, nil
}
