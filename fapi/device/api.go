package device

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"countersign/dpop"
	"countersign/fapi/backchannel"
	"countersign/fapi/browser"
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/fapi/rar/display"
	"countersign/internal/httpsig"
	"countersign/internal/oauth"
	"countersign/internal/random"
	"countersign/store"
)

// apiPath is the path of the API for approval apps, below the issuer. Each call is authenticated by a DPoP proof (RFC
// 9449 §4.2) of the enrolled key; there is no token that could be stolen. The URL of a decision contains the decision
// and the digest of the request that was shown, and the proof contains the digest of the body, so that it signs all three.
const apiPath = path + "/api"

// api serves the API for approval apps.
type api struct {
	decisions *decisions
	languages *display.Languages
	store     Store
	proofs    *endpoint.Proofs
	addresses endpoint.Addresses
	evidence  *event.Recorder
	// acrValues are the authentication context classes that there are, and policy is who may claim which.
	acrValues []string
	policy    AppPolicy
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

// proof verifies the DPoP proof of a call, and that it signs the body.
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
	if err != nil || r.Method != http.MethodPost {
		return proof, err
	}
	return proof, signsBody(w, r, proof)
}

// signsBody demands that a proof signs the body of its call, by the claim content_digest: a Content-Digest as in RFC 9530
// §2. A proof is refused before it is consumed: who changes a body on its way does
// not use up the proof.
func signsBody(w http.ResponseWriter, r *http.Request, proof dpop.Proof) error {
	body, err := oauth.ReadBody(w, r)
	if err != nil {
		return err
	}
	var claims struct {
		Digest string `json:"content_digest"`
	}
	if err := proof.Claims(&claims); err != nil {
		return oauth.Errorf(oauth.InvalidDPoPProof, "%s", err).Because(err)
	}
	if claims.Digest == "" {
		return oauth.Errorf(oauth.InvalidDPoPProof,
			"the DPoP proof must sign the body: its claim content_digest is missing, such as %s (RFC 9530 §2)",
			httpsig.Digest([]byte("body")))
	}
	if err := httpsig.CheckDigest(http.Header{"Content-Digest": {claims.Digest}}, body); err != nil {
		return oauth.Errorf(oauth.InvalidDPoPProof,
			"the content_digest of the DPoP proof is not that of the body of this request (RFC 9530 §2)").Because(err)
	}
	return nil
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
	// ACR and AMR are what the app may claim of an authentication.
	ACR []string `json:"acr_values"`
	AMR []string `json:"amr_values"`
}

// enrol enrols the key of the proof as a device of the user who got the code.
func (h *api) enrol(w http.ResponseWriter, r *http.Request, at endpoint.At) error {
	ctx := r.Context()
	proof, err := h.proof(w, r, at)
	if err != nil {
		return err
	}
	form, err := oauth.ReadForm(w, r)
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
	h.evidence.SecurityEvent(ctx, "", "device_enrolled", "subject", device.Subject, "device", device.ID, "jkt", device.JKT,
		"acr", device.ACR)
	claimable := h.policy.of(device)
	return endpoint.WriteJSON(w, http.StatusCreated, enrolled{
		DeviceID: device.ID, Name: device.Name, Username: user.Username, ACR: claimable.ACR, AMR: claimable.AMR,
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
	shownAs := digest + "." + view.Language
	address := fmt.Sprintf("%s%s/requests/%s/%s/", h.addresses.Issuer, apiPath, view.Reference, shownAs)
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
	language := h.languages.Choose(r, "")
	for _, view := range views {
		if view, err = view.In(language); err != nil {
			return nil, err
		}
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
	view, err := h.decisions.request(r.Context(), r.PathValue("id"), device.Subject, h.languages.Choose(r, ""))
	if err != nil {
		return nil, err
	}
	return h.forDevice(view)
}

// decideRequest decides a request for the device's user, whom the app has authenticated with the acr and amr of the
// form.
func (h *api) decideRequest(w http.ResponseWriter, r *http.Request, device store.Device) (any, error) {
	body, err := oauth.ReadBody(w, r)
	if err != nil {
		return nil, err
	}
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
	if err := h.checkAuthentication(r.Context(), device, authentication); err != nil {
		return nil, err
	}
	// The address of the decision says in which language the request was shown, and the proof signs the address.
	wanted, language, _ := strings.Cut(r.PathValue("digest"), ".")
	view, err := h.decisions.request(r.Context(), r.PathValue("id"), device.Subject, h.languages.Match(language))
	if err != nil {
		return nil, err
	}
	digest, err := digestOf(view)
	if err != nil {
		return nil, err
	}
	if digest != wanted || language != view.Language {
		return nil, oauth.Errorf(oauth.InvalidRequest,
			"the request has changed since it was shown; read it again and show it to the user again").
			WithStatus(http.StatusConflict)
	}
	if decision == approve {
		if view, err = view.Chosen(form.Values()); errors.Is(err, display.ErrNotChosen) {
			err = oauth.Errorf(oauth.InvalidRequest,
				"the user has to choose: send an input choose.OBJECT.POINTER for each list to choose from").Because(err)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := h.decisions.record(r.Context(), view, digest, authentication, decision == approve, "device "+device.ID,
		"proof", r.Header.Get("DPoP"), "body", string(body)); err != nil {
		return nil, decisionError(err)
	}
	view.State = backchannel.Denied
	if decision == approve {
		view.State = backchannel.Approved
	}
	return h.forDevice(view)
}

// checkAuthentication holds the acr and amr that an app sent to what the app may claim. What exceeds it is refused and not
// lowered: an app that says more than it may is wrong about its user, or is not what it seems.
func (h *api) checkAuthentication(ctx context.Context, device store.Device, a browser.Authentication) error {
	if err := checkForm(a, h.acrValues); err != nil {
		return err
	}
	allowed := h.policy.of(device)
	excess := allowed.beyond(a)
	if excess == "" {
		return nil
	}
	h.log.WarnContext(ctx, "approval app claimed more than it may", "correlation_id", event.Of(ctx).CorrelationID,
		"subject", device.Subject, "device_id", device.ID, "enrolled_acr", device.ACR, "reason", excess)
	return oauth.Errorf(oauth.AccessDenied,
		"this application may not claim %s: by the sign-in under which it was enrolled it may claim acr %s and amr %s; "+
			"enrolled again by a user who has signed in with a passkey it may claim more",
		excess, orNone(allowed.ACR), orNone(allowed.AMR)).WithStatus(http.StatusForbidden)
}

// orNone lists values in an error.
func orNone(values []string) string {
	if len(values) == 0 {
		return "none"
	}
	return strings.Join(values, " ")
}
