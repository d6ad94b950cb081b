package fapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"countersign/store"
)

// Errors of [Server.BackchannelPending] and [Server.DecideBackchannel], to be matched with errors.Is.
var (
	// ErrNotAsked: there is no such request, or it is another person's, or the person may not be asked any more.
	ErrNotAsked = errors.New("fapi: the person is not asked this")
	// ErrDecided: somebody has decided before.
	ErrDecided = errors.New("fapi: this was decided before")
	// ErrTooLate: the request has expired.
	ErrTooLate = errors.New("fapi: the time for the decision is over")
	// ErrStepUp: the person has to prove who they are again, or in a stronger way; see [BackchannelView].ACRs.
	ErrStepUp = errors.New("fapi: the person has to prove who they are for this, strongly enough")
)

// BackchannelView is a request as the person is shown it: who asks for what.
type BackchannelView struct {
	// Reference names the request. It is no secret: the SHA-256 of the auth_req_id in base64url.
	Reference string
	Client    ClientView
	// Message is the binding_message, checked to be plain text; empty for none. It is to be shown as text, and set off
	// from the words of the page.
	Message string
	// Scopes, Details and Resources are what the client will get, as in a [Turn].
	Scopes    []Scope
	Details   []DetailView
	Resources []string
	// ACRs are the authentication context classes of which one, or a better one, has to be reached to allow it. Empty
	// means any.
	ACRs                 []string
	CreatedAt, ExpiresAt time.Time
	// GrantLifetime is how long the client keeps the access that is asked for.
	GrantLifetime time.Duration
}

// BackchannelAnswer is what a person answers on a device that has proven whose it is.
type BackchannelAnswer struct {
	// Reference names the request.
	Reference string
	Allowed   bool
	// Authentication is who answers and how they proved it. Its Subject has to be who is asked.
	Authentication Authentication
	// AuthTime is when they proved it. To allow something it must have been for this request: after it came.
	AuthTime time.Time
	// Device names the device, for the record.
	Device string
}

// BackchannelReference is the reference of the request with an auth_req_id.
func BackchannelReference(authReqID string) string { return reference(store.DigestOf(authReqID)) }

func reference(id store.Digest) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

func readReference(text string) (store.Digest, bool) {
	var id store.Digest
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != len(id) || len(text) != 43 {
		return id, false
	}
	return store.Digest(raw), true
}

// BackchannelPending lists what waits for a person's decision, the oldest first.
func (s *Server) BackchannelPending(ctx context.Context, subject string) ([]BackchannelView, error) {
	pending, err := s.store.PendingBackchannel(ctx, subject)
	if err != nil {
		return nil, err
	}
	var views []BackchannelView
	for _, record := range pending {
		view, err := s.backchannelView(ctx, record)
		if errors.Is(err, store.ErrNotFound) {
			continue // the client is gone or disabled
		}
		if err != nil {
			return nil, err
		}
		views = append(views, view)
	}
	return views, nil
}

func (s *Server) backchannelView(ctx context.Context, record store.BackchannelRequest) (BackchannelView, error) {
	client, err := s.clients.get(ctx, record.ClientID)
	if err != nil {
		return BackchannelView{}, err
	}
	var request backchannelRequest
	if err := json.Unmarshal(record.Parameters, &request); err != nil {
		return BackchannelView{}, fmt.Errorf("fapi: a stored backchannel request: %w", err)
	}
	m := client.Metadata
	view := BackchannelView{
		Reference: reference(record.ID),
		Client:    ClientView{ID: client.ID, Name: m.ClientName, URI: m.ClientURI, LogoURI: m.LogoURI, PolicyURI: m.PolicyURI, TermsURI: m.TermsURI},
		Message:   request.Message, Details: request.Details.view(s.details), Resources: request.Resources,
		ACRs: intersect(s.config.ACRValues, request.ACRs), CreatedAt: record.CreatedAt, ExpiresAt: record.ExpiresAt,
		GrantLifetime: s.config.GrantLifetime,
	}
	for _, name := range request.Scopes {
		view.Scopes = append(view.Scopes, s.scope(name))
	}
	return view, nil
}

// DecideBackchannel records a person's answer. Of several answers to one request the first counts. Errors are
// [ErrNotAsked], [ErrDecided], [ErrTooLate] and [ErrStepUp], or the failure of the store. A refused answer changes
// nothing.
func (s *Server) DecideBackchannel(ctx context.Context, answer BackchannelAnswer) error {
	id, ok := readReference(answer.Reference)
	if !ok {
		return ErrNotAsked
	}
	record, err := s.store.BackchannelRequest(ctx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && (record.Subject == "" || record.Subject != answer.Authentication.Subject) {
		return ErrNotAsked
	}
	if err != nil {
		return err
	}
	decision := store.BackchannelDecision{Request: id, Subject: record.Subject, Device: answer.Device}
	if answer.Allowed {
		if decision.Grant, err = s.backchannelGrant(ctx, record, answer); err != nil {
			return err
		}
	}
	switch err := s.store.DecideBackchannel(ctx, decision); {
	case errors.Is(err, store.ErrNotFound):
		return ErrNotAsked
	case errors.Is(err, store.ErrConsumed):
		return ErrDecided
	case errors.Is(err, store.ErrExpired):
		return ErrTooLate
	case err != nil:
		return err
	}
	s.log.InfoContext(ctx, "backchannel request decided", "correlation_id", eventOf(ctx).correlationID, "client_id", record.ClientID,
		"allowed", answer.Allowed, "device", answer.Device, "acr", answer.Authentication.ACR)
	s.waits.wake(id)
	if s.notifier != nil {
		s.notifier.Wake()
	}
	return nil
}

// backchannelGrant is what an answer allows, once it is seen to be good enough for it.
func (s *Server) backchannelGrant(ctx context.Context, record store.BackchannelRequest, answer BackchannelAnswer) (*store.Grant, error) {
	client, err := s.clients.get(ctx, record.ClientID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrNotAsked
	}
	if err != nil {
		return nil, err
	}
	var request backchannelRequest
	if err := json.Unmarshal(record.Parameters, &request); err != nil {
		return nil, fmt.Errorf("fapi: a stored backchannel request: %w", err)
	}
	now, ahead := s.now(), client.Profile.MaxAhead
	switch {
	case answer.AuthTime.Before(record.CreatedAt.Add(-ahead)) || answer.AuthTime.After(now.Add(ahead)):
		return nil, ErrStepUp
	case !s.reaches(answer.Authentication.ACR, request.ACRs):
		return nil, ErrStepUp
	}
	detail, err := json.Marshal(grantDetail{Details: request.Details, Resources: request.Resources})
	if err != nil {
		return nil, err
	}
	return &store.Grant{
		ID: newUUID(), ClientID: record.ClientID, Subject: record.Subject, Scopes: request.Scopes, Detail: detail,
		AuthTime: answer.AuthTime, ACR: answer.Authentication.ACR, AMR: answer.Authentication.AMR,
		CreatedAt: now, ExpiresAt: now.Add(s.config.GrantLifetime),
	}, nil
}

// reaches tells whether an authentication context class is one of those asked for that can be reached here, or better.
func (s *Server) reaches(acr string, asked []string) bool {
	wanted := intersect(s.config.ACRValues, asked)
	if len(wanted) == 0 {
		return true
	}
	rank := slices.Index(s.config.ACRValues, acr) // best first
	return rank >= 0 && rank <= slices.Index(s.config.ACRValues, wanted[len(wanted)-1])
}
