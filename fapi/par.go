package fapi

import (
	"context"
	"encoding/json"
	"net/http"

	"countersign/internal/oauth"
	"countersign/store"
)

// requestURIPrefix begins every request_uri that this server issues (RFC 9126 §2.2). No other is ever opened,
// and nothing is ever fetched from one.
const requestURIPrefix = "urn:ietf:params:oauth:request_uri:"

// push is the pushed authorization request endpoint (RFC 9126 §2). Everything that can be refused is refused here,
// before a person sees a page.
func (s *Server) push(ctx context.Context, c *call) (answer, error) {
	if c.form.Has("request_uri") {
		return answer{}, oauth.Errorf(oauth.InvalidRequest, "request_uri is what this endpoint answers with; it must not be sent to it (RFC 9126 §2.1)")
	}
	form, kept, err := s.requestObject(ctx, c.client, c.form)
	if err != nil {
		return answer{}, err
	}
	request, err := s.readRequest(ctx, c.client, form, true)
	if err != nil {
		return answer{}, err
	}
	if c.proof != nil {
		// RFC 9449 §10.1: the proof binds the code just as dpop_jkt does, and the two must agree.
		if request.JKT != "" && request.JKT != c.proof.JKT {
			return answer{}, oauth.Errorf(oauth.InvalidDPoPProof, "dpop_jkt is not the thumbprint of the key of the DPoP proof")
		}
		request.JKT = c.proof.JKT
	}
	pushed, requestURI, err := s.newRequest(c.client, request)
	if err != nil {
		return answer{}, err
	}
	pushed.Evidence = kept
	if err := s.store.Push(ctx, pushed, c.uses...); err != nil {
		return answer{}, err
	}
	life := pushed.ExpiresAt.Sub(pushed.CreatedAt)
	return answer{status: http.StatusCreated, body: pushedResponse{RequestURI: requestURI, ExpiresIn: seconds(life)}}, nil
}

// newRequest makes the record of a validated request and the request_uri that stands for it.
func (s *Server) newRequest(client *Client, request *authorizationRequest) (store.Request, string, error) {
	parameters, err := json.Marshal(request)
	if err != nil {
		return store.Request{}, "", err
	}
	requestURI := requestURIPrefix + newSecret()
	now := s.now()
	return store.Request{
		ID: store.DigestOf(requestURI), ClientID: client.ID, Parameters: parameters,
		CreatedAt: now, ExpiresAt: now.Add(lifetime(s.config.RequestURILifetime, client.Profile.MaxRequestURILifetime)),
	}, requestURI, nil
}

// pushedResponse is the answer of RFC 9126 §2.2.
type pushedResponse struct {
	RequestURI string `json:"request_uri"`
	ExpiresIn  int64  `json:"expires_in"`
}
