package fapi

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"countersign/store"
)

// pendingRequests lists what waits for a person, the oldest first.
func (s *Server) pendingRequests(ctx context.Context, subject string) ([]RequestView, error) {
	pending, err := s.BackchannelPending(ctx, subject)
	if err != nil {
		return nil, err
	}
	var views []RequestView
	for _, each := range pending {
		views = append(views, RequestView{BackchannelView: each, State: RequestWaiting})
	}
	return views, nil
}

// requestOfPerson reads a request of a person, whatever became of it. [ErrNotAsked] for another's, and for one whose
// client is gone.
func (s *Server) requestOfPerson(ctx context.Context, id store.Digest, subject string) (RequestView, error) {
	record, err := s.store.BackchannelRequest(ctx, id)
	if err == nil && (record.Subject == "" || record.Subject != subject) {
		err = store.ErrNotFound
	}
	var view RequestView
	if err == nil {
		view.BackchannelView, err = s.backchannelView(ctx, record)
	}
	if errors.Is(err, store.ErrNotFound) {
		return RequestView{}, fmt.Errorf("%w: %w", ErrNotAsked, err)
	}
	view.State = s.stateOf(record)
	return view, err
}

// stateOf is what became of a request.
func (s *Server) stateOf(record store.BackchannelRequest) RequestState {
	switch {
	case !record.DecidedAt.IsZero() && record.GrantID != "":
		return RequestApproved
	case !record.DecidedAt.IsZero():
		return RequestDenied
	case !s.now().Before(record.ExpiresAt):
		return RequestExpired
	}
	return RequestWaiting
}

// deviceRequest is a request as devices read it. All that a person is shown is in it, and nothing is that a person is not.
type deviceRequest struct {
	ID    string       `json:"request_id"`
	State RequestState `json:"state,omitempty"`
	// Client is named as in its registration (RFC 7591 §2).
	Client struct {
		ID        string `json:"client_id"`
		Name      string `json:"client_name,omitempty"`
		URI       string `json:"client_uri,omitempty"`
		PolicyURI string `json:"policy_uri,omitempty"`
		TermsURI  string `json:"tos_uri,omitempty"`
	} `json:"client"`
	Message   string         `json:"binding_message,omitempty"`
	Scopes    []deviceScope  `json:"scopes"`
	Details   []deviceDetail `json:"authorization_details,omitempty"`
	Resources []string       `json:"resource,omitempty"`
	// ACRs are the classes of which one, or a better one, has to be reached to approve.
	ACRs []string `json:"acr_values,omitempty"`
	// GrantLifetime is how long the client keeps the access, in seconds.
	GrantLifetime int64 `json:"grant_lifetime"`
	// CreatedAt and ExpiresAt are in seconds since 1970.
	CreatedAt int64 `json:"created_at"`
	ExpiresAt int64 `json:"expires_at"`
	// Approve and Deny are where it is decided, while it waits.
	Approve string `json:"approve,omitempty"`
	Deny    string `json:"deny,omitempty"`
}

type deviceScope struct {
	Name        string `json:"scope"`
	Description string `json:"description,omitempty"`
}

// deviceDetail is one object of authorization_details, in lines as people are shown it.
type deviceDetail struct {
	Type  string       `json:"type"`
	Title string       `json:"title,omitempty"`
	Lines []deviceLine `json:"lines"`
}

type deviceLine struct {
	Label string `json:"label"`
	Value string `json:"value"`
}

// shown is what a person is shown of a request, without what became of it.
func shown(view RequestView) deviceRequest {
	request := deviceRequest{
		ID: view.Reference, Message: view.Message, Scopes: []deviceScope{}, Resources: view.Resources, ACRs: view.ACRs,
		GrantLifetime: int64(view.GrantLifetime.Seconds()), CreatedAt: view.CreatedAt.Unix(), ExpiresAt: view.ExpiresAt.Unix(),
	}
	c := &request.Client
	c.ID, c.Name, c.URI, c.PolicyURI, c.TermsURI = view.Client.ID, view.Client.Name, view.Client.URI, view.Client.PolicyURI, view.Client.TermsURI
	for _, scope := range view.Scopes {
		request.Scopes = append(request.Scopes, deviceScope{scope.Name, scope.Description})
	}
	for _, detail := range view.Details {
		lines := []deviceLine{}
		for _, line := range detail.Lines {
			lines = append(lines, deviceLine(line))
		}
		request.Details = append(request.Details, deviceDetail{detail.Type, detail.Title, lines})
	}
	return request
}

// digestOf names everything that a person is shown of a request: what a decision is bound to.
func digestOf(view RequestView) (string, error) {
	encoded, err := json.Marshal(shown(view))
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256(encoded)
	return base64.RawURLEncoding.EncodeToString(digest[:]), nil
}
