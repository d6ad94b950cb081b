package fapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"countersign/dpop"
	"countersign/internal/oauth"
	"countersign/store"
)

// deviceAPI is where applications confirm, below the issuer. An application proves itself with each call by a DPoP proof
// (RFC 9449 §4.2) of the key that was enrolled, and by nothing else: there is no token that could be taken from it. The
// address of a decision holds the decision and the digest of what it is about, so that the proof signs both.
const deviceAPI = devicePath + "/api"

// apiRoutes are the routes of the devices' API.
func (s *Server) apiRoutes() []route {
	get, post := []string{"GET"}, []string{"POST"}
	return []route{
		{methods: post, path: deviceAPI + "/enrol", kind: direct, direct: s.enrolDevice, alias: true},
		{methods: get, path: deviceAPI + "/requests", kind: direct, direct: s.withDevice(s.listRequests), alias: true},
		{methods: get, path: deviceAPI + "/requests/{id}", kind: direct, direct: s.withDevice(s.showRequest), alias: true},
		{methods: post, path: deviceAPI + "/requests/{id}/{digest}/{decision}", kind: direct, direct: s.withDevice(s.decideRequest), alias: true},
	}
}

// deviceProof verifies the proof of a call.
func (s *Server) deviceProof(w http.ResponseWriter, r *http.Request) (dpop.Proof, error) {
	s.offerNonce(w)
	raw, present, err := dpop.FromHeader(r.Header)
	if err == nil && !present {
		return dpop.Proof{}, challenge("DPoP", oauth.Errorf(oauth.InvalidDPoPProof, "a device proves itself by a DPoP proof of its key (RFC 9449 §4.2)").WithStatus(http.StatusUnauthorized))
	}
	if err != nil {
		return dpop.Proof{}, proofError(err)
	}
	path := strings.TrimPrefix(r.URL.EscapedPath(), pathOf(s.config.Issuer))
	if r.URL.RawPath != "" { // an address that can be written in two ways could be signed in one and read in the other
		return dpop.Proof{}, oauth.Errorf(oauth.InvalidRequest, "the address has characters that are escaped without need")
	}
	proof, err := s.proofs.Verify(raw, dpop.Request{Method: r.Method, URLs: s.addresses(path)})
	if err != nil {
		return dpop.Proof{}, proofError(err)
	}
	return proof, s.checkNonce(proof)
}

// withDevice lets a call through that a device of an enabled person proves to be its own.
func (s *Server) withDevice(next func(http.ResponseWriter, *http.Request, store.Device) (any, error)) func(http.ResponseWriter, *http.Request, bool) error {
	return func(w http.ResponseWriter, r *http.Request, _ bool) error {
		proof, err := s.deviceProof(w, r)
		if err != nil {
			return err
		}
		device, err := s.store.DeviceByKey(r.Context(), proof.JKT)
		if err == nil {
			err = s.devices.call(device)
		}
		if err == nil {
			err = s.store.UseDevice(r.Context(), device.ID, proofUse(proof))
		}
		switch {
		case errors.Is(err, store.ErrNotFound):
			return challenge("DPoP", oauth.Errorf(oauth.InvalidToken, "this key belongs to no device, or its person cannot sign in; enrol it with a new code").WithStatus(http.StatusUnauthorized).Because(err))
		case errors.Is(err, store.ErrReplayed):
			return oauth.Errorf(oauth.InvalidDPoPProof, "the DPoP proof was used before").Because(err)
		case err != nil:
			return err
		}
		body, err := next(w, r, device)
		if err != nil {
			return err
		}
		return writeJSON(w, http.StatusOK, body)
	}
}

func writeJSON(w http.ResponseWriter, status int, body any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(encoded) // nobody is left to be told
	return nil
}

// enrolled is the answer to a code.
type enrolled struct {
	DeviceID string `json:"device_id"`
	Name     string `json:"name"`
	Username string `json:"username"`
}

// enrolDevice makes the key of the proof a device of the person who has shown the code.
func (s *Server) enrolDevice(w http.ResponseWriter, r *http.Request, _ bool) error {
	form, err := oauth.ReadForm(w, r)
	if err != nil {
		return err
	}
	proof, err := s.deviceProof(w, r)
	if err != nil {
		return err
	}
	if err := CheckDeviceName(form.Get("name")); err != nil {
		return oauth.Errorf(oauth.InvalidRequest, "name: %s", err).Because(err)
	}
	code := strings.ToUpper(strings.NewReplacer(" ", "", "-", "").Replace(form.Get("code")))
	device := store.Device{ID: newUUID(), Name: form.Get("name"), JKT: proof.JKT, CreatedAt: s.now()}
	device, err = s.store.Enrol(r.Context(), store.DigestOf(code), device, proofUse(proof))
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrExpired):
		refusal := oauth.Errorf(oauth.InvalidGrant, "the code is not known, was used before or is too old; have the person make a new one at %s%s/settings", s.config.Issuer, devicePath).Because(err)
		return refusedAt(s.devices.enrolments, addressOf(r), refusal)
	case errors.Is(err, store.ErrConflict):
		return oauth.Errorf(oauth.InvalidRequest, "this key belongs to a device already; make a new one").Because(err)
	case errors.Is(err, store.ErrReplayed):
		return oauth.Errorf(oauth.InvalidDPoPProof, "the DPoP proof was used before").Because(err)
	case err != nil:
		return err
	}
	user, err := s.store.User(r.Context(), device.Subject)
	if err != nil {
		return err
	}
	s.log.InfoContext(r.Context(), "device enrolled", "subject", device.Subject, "device", device.ID)
	s.note(r.Context(), "", "device_enrolled", "subject", device.Subject, "device", device.ID, "jkt", device.JKT)
	return writeJSON(w, http.StatusCreated, enrolled{DeviceID: device.ID, Name: device.Name, Username: user.Username})
}

// deviceRequests is what waits for a person. Version is given back to wait for a change.
type deviceRequests struct {
	Requests []deviceRequest `json:"requests"`
	Version  string          `json:"version"`
}

func (s *Server) forDevice(view RequestView) (deviceRequest, error) {
	request := shown(view)
	request.State = view.State
	if view.State != RequestWaiting {
		return request, nil
	}
	digest, err := digestOf(view)
	address := fmt.Sprintf("%s%s/requests/%s/%s/", s.config.Issuer, deviceAPI, view.Reference, digest)
	request.Approve, request.Deny = address+"approve", address+"deny"
	return request, err
}

// listRequests answers with what waits for the device's person. With wait (in seconds) and version it answers when there
// is something else than that version, or when the time is over.
func (s *Server) listRequests(_ http.ResponseWriter, r *http.Request, device store.Device) (any, error) {
	query, err := oauth.ReadQuery(r)
	if err != nil {
		return nil, err
	}
	var wait time.Duration
	if text := query.Get("wait"); text != "" {
		seconds, err := strconv.Atoi(text)
		if err != nil || seconds < 0 || seconds > 3600 {
			return nil, oauth.Errorf(oauth.InvalidRequest, "wait must be a number of seconds from 0 to 3600; the server waits %d at most", int(maxWait/time.Second))
		}
		wait = time.Duration(seconds) * time.Second
	}
	views, err := s.awaitRequests(r.Context(), device.Subject, query.Get("version"), wait)
	if err != nil {
		return nil, err
	}
	answer := deviceRequests{Requests: []deviceRequest{}, Version: versionOf(views)}
	for _, view := range views {
		request, err := s.forDevice(view)
		if err != nil {
			return nil, err
		}
		answer.Requests = append(answer.Requests, request)
	}
	return answer, nil
}

// showRequest answers with one request of the device's person, whatever became of it.
func (s *Server) showRequest(_ http.ResponseWriter, r *http.Request, device store.Device) (any, error) {
	view, err := s.requestOf(r.Context(), r.PathValue("id"), device.Subject)
	if err != nil {
		return nil, err
	}
	return s.forDevice(view)
}

// decideRequest decides a request for the device's person, whom the application has authenticated in the way that it
// says.
func (s *Server) decideRequest(w http.ResponseWriter, r *http.Request, device store.Device) (any, error) {
	form, err := oauth.ReadForm(w, r)
	if err != nil {
		return nil, err
	}
	decision := r.PathValue("decision")
	if decision != "approve" && decision != "deny" {
		return nil, oauth.Errorf(oauth.InvalidRequest, "a decision is approve or deny").WithStatus(http.StatusNotFound)
	}
	authentication := Authentication{Subject: device.Subject, ACR: form.Get("acr"), AMR: strings.Fields(form.Get("amr"))}
	if err := s.checkVouched(authentication); err != nil {
		return nil, err
	}
	view, err := s.requestOf(r.Context(), r.PathValue("id"), device.Subject)
	if err != nil {
		return nil, err
	}
	digest, err := digestOf(view)
	if err != nil {
		return nil, err
	}
	if digest != r.PathValue("digest") {
		return nil, oauth.Errorf(oauth.InvalidRequest, "the request is not what the decision is about; read it again and ask the person again").WithStatus(http.StatusConflict)
	}
	if err := s.decideOnDevice(r.Context(), view, authentication, decision == "approve", "device "+device.ID); err != nil {
		return nil, refusalOf(err)
	}
	view.State = map[bool]RequestState{true: RequestApproved, false: RequestDenied}[decision == "approve"]
	return s.forDevice(view)
}

// methods are the authentication method references that an application may vouch for (RFC 8176 §2).
var methods = []string{"face", "fpt", "geo", "hwk", "iris", "kba", "mca", "mfa", "otp", "pin", "pop", "pwd", "rba", "retina", "sc", "sms", "swk", "tel", "user", "vbm", "wia"}

// checkVouched holds what an application says about its person against what there is.
func (s *Server) checkVouched(a Authentication) error {
	if a.ACR != "" && !slices.Contains(s.config.ACRValues, a.ACR) {
		return oauth.Errorf(oauth.InvalidRequest, "acr must be one of acr_values_supported: %s", strings.Join(s.config.ACRValues, ", "))
	}
	if len(a.AMR) == 0 {
		return oauth.Errorf(oauth.InvalidRequest, "amr must say how the person was authenticated for this decision, such as \"hwk fpt\" (RFC 8176 §2)")
	}
	for i, method := range a.AMR {
		if !slices.Contains(methods, method) || slices.Contains(a.AMR[:i], method) {
			return oauth.Errorf(oauth.InvalidRequest, "amr must be different values of RFC 8176 §2, separated by spaces")
		}
	}
	return nil
}
