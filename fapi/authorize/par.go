package authorize

import (
	"context"
	"encoding/json"
	"net/http"

	"countersign/fapi/client"
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/fapi/request"
	"countersign/internal/oauth"
	"countersign/store"
)

// requestURIPrefix begins every request_uri that this server issues (RFC 9126 §2.2). No other is accepted, and
// none is fetched.
const requestURIPrefix = "urn:ietf:params:oauth:request_uri:"

// pushAuthorizationRequest is the pushed authorization request endpoint (RFC 9126 §2). All checks are made
// here, before the user sees a page.
func (h *Handler) pushAuthorizationRequest(ctx context.Context, c *endpoint.Call) (endpoint.Answer, error) {
	if c.Form.Has("request_uri") {
		return endpoint.Answer{}, oauth.Errorf(oauth.InvalidRequest,
			"request_uri is what this endpoint answers with; it must not be sent to it (RFC 9126 §2.1)")
	}
	form, evidence, err := h.requestObject(ctx, c.Client, c.Form)
	if err != nil {
		return endpoint.Answer{}, err
	}
	checked, err := h.checker.Check(ctx, request.Pushed, c.Client, form)
	if err != nil {
		return endpoint.Answer{}, err
	}
	if _, err := h.consents.Check(ctx, c.Client, checked.Consent, checked.Scopes); err != nil {
		return endpoint.Answer{}, err
	}
	if c.Proof != nil {
		// RFC 9449 §10.1: the proof binds the code just as dpop_jkt does, and the two must agree.
		if checked.JKT != "" && checked.JKT != c.Proof.JKT {
			return endpoint.Answer{}, oauth.Errorf(oauth.InvalidDPoPProof,
				"dpop_jkt is not the thumbprint of the key of the DPoP proof")
		}
		checked.JKT = c.Proof.JKT
	}
	pushed, requestURI, err := h.newRequest(c.Client, checked, evidence)
	if err != nil {
		return endpoint.Answer{}, err
	}
	if err := h.store.Push(ctx, pushed, c.OneTimes()...); err != nil {
		return endpoint.Answer{}, err
	}
	return endpoint.Answer{Status: http.StatusCreated, Body: pushedResponse{
		RequestURI: requestURI, ExpiresIn: endpoint.Seconds(pushed.ExpiresAt.Sub(pushed.CreatedAt)),
	}}, nil
}

// newRequest makes the record of a checked request, with its evidence, and the request_uri that names it.
func (h *Handler) newRequest(
	caller *client.Client, checked *request.Request, evidence []store.Evidence,
) (made store.Request, requestURI string, err error) {
	checked.Unsigned, checked.Message = len(evidence) == 0, event.Reference(evidence)
	parameters, err := json.Marshal(checked)
	if err != nil {
		return store.Request{}, "", err
	}
	requestURI = requestURIPrefix + h.tokens.Identifiers.Secret()
	now := h.now()
	return store.Request{
		ID: store.IssuedDigest(requestURI), ClientID: caller.ID, Parameters: parameters, Evidence: evidence,
		CreatedAt: now, ExpiresAt: now.Add(max(min(h.requestURILifetime, caller.Profile.MaxRequestURILifetime), caller.Profile.MinRequestURILifetime)),
	}, requestURI, nil
}

// pushedResponse is the response of RFC 9126 §2.2.
type pushedResponse struct {
	RequestURI string `json:"request_uri"`
	ExpiresIn  int64  `json:"expires_in"`
}
