package device

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"countersign/dpop"
	"countersign/fapi/backchannel"
	"countersign/fapi/browser"
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/internal/oauth"
	"countersign/internal/random"
	"countersign/store"
)

// apiPath is the path of the API for approval apps, below the issuer. Each call is authenticated by a DPoP proof (RFC
// 9449 §4.2) of the enrolled key; there is no token that could be stolen. The URL of a decision contains the decision
// and the digest of the request that was shown, so that the proof signs both.
const apiPath = path + "/api"

// api serves the API for approval apps.
type api struct {
	decisions *decisions
	store     Store
	proofs    *endpoint.Proofs
	addresses endpoint.Addresses
	evidence  *event.Recorder
	// acrValues are the authentication context classes that applications may name.
	acrValues []string
	limits    *limits
	now       func() time.Time
	log       *slog.Logger
}

func (h *api) routes() []endpoint.Route {
	return []endpoint.Route{
		{Methods: endpoint.Post(), Path: apiPath + "/enrol", Alias: true, Serve: endpoint.Direct(h.enrol)},
		{Methods: endpoint.Get(), Path: apiPath + "/requests", Alias: true, Serve: h.call(h.listRequests)},
		{Methods: endpoint.Get(), Path: apiPath + "/requests/{id}", Alias: true, Serve: h.call(h.showRequest)},
		{Methods: endpoint.Post(), Path: apiPath + "/requests/{id}/{digest}/{decision}", Alias: true,
			Serve: h.call(h.decideRequest)},
	}
}

// proof verifies the DPoP proof of a call.
func (h *api) proof(w http.ResponseWriter, r *http.Request, at endpoint.At) (dpop.Proof, error) {
	h.proofs.OfferNonce(w)
	if r.URL.RawPath != "" { // one URL in two encodings: the signed one could differ from the routed one
		return dpop.Proof{}, oauth.Errorf(oauth.InvalidRequest, "the address has characters that are escaped without need")
	}
	// htu is the URL called, which contains the request and the decision.
	below := strings.TrimPrefix(r.URL.EscapedPath(), h.addresses.Path())
	proof, err := h.proofs.Verify(r, []string{h.addresses.At(at, below)}, "")
	if errors.Is(err, endpoint.ErrNoProof) {
		return dpop.Proof{}, endpoint.Challenge("DPoP",
			oauth.Errorf(oauth.InvalidDPoPProof, "a device authenticates with a DPoP proof of its key (RFC 9449 §4.2)").
				Because(err))
	}
	return proof, err
}

// authenticate returns the device whose key made the proof of a call, and consumes the proof. The user must be enabled.
func (h *api) authenticate(w http.ResponseWriter, r *http.Request, at endpoint.At) (store.Device, error) {
	proof, err := h.proof(w, r, at)
	if err != nil {
		return store.Device{}, err
	}
	device, err := h.store.DeviceByKey(r.Context(), proof.JKT)
	if err != nil {
		return store.Device{}, deviceError(err)
	}
	if err := endpoint.Allow(h.limits.calls, device.ID, "this device sends too many requests"); err != nil {
		return store.Device{}, err
	}
	return device, deviceError(h.store.UseDevice(r.Context(), device.ID, endpoint.OneTimeOf(proof)))
}

// deviceError translates errors of the store about a device or its proof to *oauth.Error.
func deviceError(err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return endpoint.InvalidToken("DPoP", "no device has this key, or its user is disabled; enrol it with a new code", err)
	case errors.Is(err, store.ErrReplayed):
		return oauth.Errorf(oauth.InvalidDPoPProof, "the DPoP proof was used before").Because(err)
	}
	return err
}

// call serves a call of an authenticated device, with a response in JSON.
func (h *api) call(answer func(http.ResponseWriter, *http.Request, store.Device) (any, error)) endpoint.Serve {
	return endpoint.Direct(func(w http.ResponseWriter, r *http.Request, at endpoint.At) error {
		device, err := h.authenticate(w, r, at)
		if err != nil {
			return err
		}
		body, err := answer(w, r, device)
		if err != nil {
			return err
		}
		return endpoint.WriteJSON(w, http.StatusOK, body)
	})
}

// enrolled is the response to an enrolment.
type enrolled struct {
	DeviceID string `json:"device_id"`
	Name     string `json:"name"`
	Username string `json:"username"`
}

// enrol enrols the key of the proof as a device of the user who got the code.
func (h *api) enrol(w http.ResponseWriter, r *http.Request, at endpoint.At) error {
	ctx := r.Context()
	form, err := oauth.ReadForm(w, r)
	if err != nil {
		return err
	}
	proof, err := h.proof(w, r, at)
	if err != nil {
		return err
	}
	if err := CheckName(form.Get("name")); err != nil {
		return oauth.Errorf(oauth.InvalidRequest, "name: %s", err).Because(err)
	}
	code := strings.ToUpper(strings.NewReplacer(" ", "", "-", "").Replace(form.Get("code")))
	device := store.Device{ID: random.UUID(), Name: form.Get("name"), JKT: proof.JKT, CreatedAt: h.now()}
	device, err = h.store.Enrol(ctx, store.DigestOf(code), device, endpoint.OneTimeOf(proof))
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrExpired):
		if limited := endpoint.Allow(h.limits.enrolments, endpoint.AddressOf(r), tooManyRefused); limited != nil {
			return limited
		}
		return oauth.Errorf(oauth.InvalidGrant,
			"the code is unknown, was used before or has expired; the user gets a new one at %s%s/settings",
			h.addresses.Issuer, path).Because(err)
	case errors.Is(err, store.ErrConflict):
		return oauth.Errorf(oauth.InvalidRequest, "this key belongs to a device already; make a new one").Because(err)
	case err != nil:
		return deviceError(err)
	}
	user, err := h.store.User(ctx, device.Subject)
	if err != nil {
		return err
	}
	h.log.InfoContext(ctx, "device enrolled", "correlation_id", event.Of(ctx).CorrelationID,
		"subject", device.Subject, "device_id", device.ID)
	h.evidence.SecurityEvent(ctx, "", "device_enrolled", "subject", device.Subject, "device", device.ID, "jkt", device.JKT)
	return endpoint.WriteJSON(w, http.StatusCreated, enrolled{
		DeviceID: device.ID, Name: device.Name, Username: user.Username,
	})
}

// requestList lists the pending requests of a user. Sent back as the parameter version, Version waits for a change.
type requestList struct {
	Requests []shownRequest `json:"requests"`
	Version  string         `json:"version"`
}

// forDevice returns a request as devices read it, with the URLs of the decisions while it is pending.
func (h *api) forDevice(view backchannel.View) (shownRequest, error) {
	request := shown(view)
	request.State = view.State
	if view.State != backchannel.Waiting {
		return request, nil
	}
	digest, err := digestOf(view)
	address := fmt.Sprintf("%s%s/requests/%s/%s/", h.addresses.Issuer, apiPath, view.Reference, digest)
	request.Approve, request.Deny = address+approve, address+deny
	return request, err
}

// listRequests answers with the pending requests of the device's user. With wait (in seconds) and version it answers
// when the list has another version, or after that time (long polling).
func (h *api) listRequests(_ http.ResponseWriter, r *http.Request, device store.Device) (any, error) {
	query, err := oauth.ReadQuery(r)
	if err != nil {
		return nil, err
	}
	wait, err := readWait(query.Get("wait"))
	if err != nil {
		return nil, err
	}
	views, err := h.decisions.await(r.Context(), device.Subject, query.Get("version"), wait)
	if err != nil {
		return nil, err
	}
	list := requestList{Requests: []shownRequest{}, Version: versionOf(views...)}
	for _, view := range views {
		request, err := h.forDevice(view)
		if err != nil {
			return nil, err
		}
		list.Requests = append(list.Requests, request)
	}
	return list, nil
}

// readWait reads a number of seconds; empty is 0.
func readWait(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 0 || seconds > 3600 {
		return 0, oauth.Errorf(oauth.InvalidRequest,
			"wait must be a number of seconds from 0 to 3600; the server waits %d at most", int(maxWait/time.Second))
	}
	return time.Duration(seconds) * time.Second, nil
}

// showRequest answers with one request of the device's user, in any state.
func (h *api) showRequest(_ http.ResponseWriter, r *http.Request, device store.Device) (any, error) {
	view, err := h.decisions.request(r.Context(), r.PathValue("id"), device.Subject)
	if err != nil {
		return nil, err
	}
	return h.forDevice(view)
}

// decideRequest decides a request for the device's user, whom the app has authenticated with the acr and amr of the
// form.
func (h *api) decideRequest(w http.ResponseWriter, r *http.Request, device store.Device) (any, error) {
	form, err := oauth.ReadForm(w, r)
	if err != nil {
		return nil, err
	}
	decision := r.PathValue("decision")
	if decision != approve && decision != deny {
		return nil, oauth.Errorf(oauth.InvalidRequest, "a decision is approve or deny").WithStatus(http.StatusNotFound)
	}
	authentication := browser.Authentication{
		Subject: device.Subject, ACR: form.Get("acr"), AMR: strings.Fields(form.Get("amr")),
	}
	if err := h.checkAuthentication(authentication); err != nil {
		return nil, err
	}
	view, err := h.decisions.request(r.Context(), r.PathValue("id"), device.Subject)
	if err != nil {
		return nil, err
	}
	digest, err := digestOf(view)
	if err != nil {
		return nil, err
	}
	if digest != r.PathValue("digest") {
		return nil, oauth.Errorf(oauth.InvalidRequest,
			"the request has changed since it was shown; read it again and show it to the user again").
			WithStatus(http.StatusConflict)
	}
	if err := h.decisions.record(r.Context(), view, authentication, decision == approve, "device "+device.ID); err != nil {
		return nil, decisionError(err)
	}
	view.State = backchannel.Denied
	if decision == approve {
		view.State = backchannel.Approved
	}
	return h.forDevice(view)
}

// methods returns the authentication method references that an app may send (RFC 8176 §2).
func methods() []string {
	return []string{
		"face", "fpt", "geo", "hwk", "iris", "kba", "mca", "mfa", "otp", "pin", "pop", "pwd", "rba", "retina", "sc", "sms",
		"swk", "tel", "user", "vbm", "wia",
	}
}

// checkAuthentication checks the acr and amr that an app sent.
func (h *api) checkAuthentication(a browser.Authentication) error {
	if a.ACR != "" && !slices.Contains(h.acrValues, a.ACR) {
		return oauth.Errorf(oauth.InvalidRequest, "acr must be one of acr_values_supported: %s",
			strings.Join(h.acrValues, ", "))
	}
	if len(a.AMR) == 0 {
		return oauth.Errorf(oauth.InvalidRequest,
			"amr must name how the user was authenticated for this decision, such as \"hwk fpt\" (RFC 8176 §2)")
	}
	for i, method := range a.AMR {
		if !slices.Contains(methods(), method) || slices.Contains(a.AMR[:i], method) {
			return oauth.Errorf(oauth.InvalidRequest, "amr must be different values of RFC 8176 §2, separated by spaces")
		}
	}
	return nil
}
