package fapi

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"countersign/internal/oauth"
	"countersign/internal/passkey"
)

// RequestState is what became of a request.
type RequestState string

// The states of a request.
const (
	RequestWaiting  RequestState = "waiting"
	RequestApproved RequestState = "approved"
	RequestDenied   RequestState = "denied"
	RequestExpired  RequestState = "expired"
)

// RequestView is a backchannel authentication request with what became of it.
type RequestView struct {
	BackchannelView
	State RequestState
}

// fillRequest reads what the page of one request shows.
func (s *Server) fillRequest(ctx context.Context, visit *DeviceVisit, id string) error {
	view, err := s.requestOf(ctx, id, visit.session.Subject)
	if err != nil {
		return err
	}
	visit.Request, visit.Version = &view, versionOf([]RequestView{view})
	if view.State != RequestWaiting || s.passkeys == nil {
		return nil
	}
	passkeys, err := s.store.Passkeys(ctx, visit.session.Subject)
	if err != nil || len(passkeys) == 0 {
		return err
	}
	for action, options := range map[string]*string{"approve": &visit.Approve, "deny": &visit.Deny} {
		binding, err := visit.decideBinding(view, action)
		if err != nil {
			return err
		}
		if *options, err = s.passkeyOptions(binding, passkeys); err != nil {
			return err
		}
	}
	return nil
}

// requestOf reads a request of a person by its ID.
func (s *Server) requestOf(ctx context.Context, id, subject string) (RequestView, error) {
	digest, ok := readReference(id)
	if !ok {
		return RequestView{}, refusalOf(ErrNotAsked)
	}
	view, err := s.requestOfPerson(ctx, digest, subject)
	return view, refusalOf(err)
}

// refusalOf gives the errors of decisions their OAuth codes. Others pass unchanged.
func refusalOf(err error) error {
	switch {
	case errors.Is(err, ErrNotAsked):
		return oauth.Errorf(oauth.InvalidRequest, "there is no such request for you; it may be too old").WithStatus(http.StatusNotFound).Because(err)
	case errors.Is(err, ErrDecided):
		return oauth.Errorf(oauth.InvalidRequest, "this request was decided before").WithStatus(http.StatusConflict).Because(err)
	case errors.Is(err, ErrTooLate):
		return oauth.Errorf(oauth.InvalidRequest, "the time for this decision is over").WithStatus(http.StatusConflict).Because(err)
	case errors.Is(err, ErrStepUp):
		return oauth.Errorf(oauth.UnmetAuthentication, "to approve this, the person has to be authenticated for it in one of the ways of acr_values, or a better one").WithStatus(http.StatusForbidden).Because(err)
	}
	return err
}

// decideBinding is what a passkey confirms: one decision about one request, with everything that the person was shown of
// it, in this browser under this sign-in.
func (v *DeviceVisit) decideBinding(view RequestView, action string) (passkey.Binding, error) {
	digest, err := digestOf(view)
	return passkey.Binding{
		Purpose: purposeDecide, Browser: v.browser + " " + base64.RawURLEncoding.EncodeToString(v.session.ID[:]),
		Subject: v.session.Subject, Content: action + " " + digest,
	}, err
}

// decideByForm takes a decision with a passkey. Somebody who has none gives a password, which the pages verify.
func (s *Server) decideByForm(w http.ResponseWriter, r *http.Request, visit *DeviceVisit, action string) (bool, error) {
	ctx := r.Context()
	if err := s.fillRequest(ctx, visit, r.PathValue("id")); err != nil {
		return false, err
	}
	if visit.Approve == "" {
		return false, nil // by password, or not any more
	}
	form := visit.Form
	visit.Form = nil
	binding, err := visit.decideBinding(*visit.Request, action)
	if err != nil {
		return false, err
	}
	authentication, err := s.provePasskey(ctx, binding, form.Get("passkey"))
	if errors.Is(err, ErrPasskeyRefused) {
		s.log.InfoContext(ctx, "passkey refused", "correlation_id", eventOf(ctx).correlationID, "cause", err.Error())
		visit.Problem = "Nothing was decided: your passkey was not accepted. Try again."
		return false, refusedAt(s.devices.refused, visit.session.Subject, nil)
	}
	if err != nil {
		return false, err
	}
	return true, visit.decide(w, r, authentication, action == "approve")
}

// DecisionRefused counts a wrong password that was given to decide. Its error is for the person when there were too many.
func (v *DeviceVisit) DecisionRefused() error {
	return refusedAt(v.server.devices.refused, v.session.Subject, nil)
}

// Decide decides as the form's action says, for somebody without a passkey whose password the pages have verified, and
// sends the browser back to the page of the request (303).
func (v *DeviceVisit) Decide(w http.ResponseWriter, r *http.Request, a Authentication) {
	action := v.Form.Get("action")
	var err error
	switch {
	case v.Request == nil || v.Approve != "" || a.Subject != v.session.Subject || action != "approve" && action != "deny":
		err = oauth.Errorf(oauth.AccessDenied, "nothing was decided: this is not the way for you to decide this").WithStatus(http.StatusForbidden)
	default:
		err = v.decide(w, r, a, action == "approve")
	}
	if err != nil {
		v.server.showError(w, r, err)
	}
}

// decide records a decision. Of several only the first counts; what became of the request is on its page.
func (v *DeviceVisit) decide(w http.ResponseWriter, r *http.Request, a Authentication, allow bool) error {
	err := v.server.decideOnDevice(r.Context(), *v.Request, a, allow, "device page")
	if err != nil && !errors.Is(err, ErrDecided) && !errors.Is(err, ErrTooLate) {
		return refusalOf(err)
	}
	seeOther(w, v.server.config.Issuer+v.below())
	return nil
}

// decideOnDevice records a decision of a person who was authenticated for it just now, and in the audit log what it was
// about: the digest of all that was shown. Errors are those of [Server.DecideBackchannel], and that there were too many
// decisions.
func (s *Server) decideOnDevice(ctx context.Context, view RequestView, a Authentication, allow bool, device string) error {
	if err := s.devices.decide(a.Subject); err != nil {
		return err
	}
	digest, err := digestOf(view)
	if err != nil {
		return err
	}
	err = s.DecideBackchannel(ctx, BackchannelAnswer{Reference: view.Reference, Allowed: allow, Authentication: a, AuthTime: s.now(), Device: device})
	if err == nil {
		s.note(ctx, view.Client.ID, "backchannel_decided", "request", view.Reference, "shown", digest, "allowed", strconv.FormatBool(allow),
			"device", device, "acr", a.ACR, "amr", strings.Join(a.AMR, " "))
	}
	return err
}
