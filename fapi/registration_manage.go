package fapi

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/mtls"
	"countersign/store"
)

// manageClient is the client configuration endpoint (RFC 7592 §2): a client reads, replaces or deletes its own
// registration with the token that it got when it registered. The token stays the same as long as the client lives.
func (s *Server) manageClient(w http.ResponseWriter, r *http.Request, certificates bool) error {
	record, token, err := s.managed(r, certificates)
	if err != nil {
		return s.brakes.authenticationFailed(r, err)
	}
	eventOf(r.Context()).client = record.ID
	if err := s.brakes.authenticated(record.ID); err != nil {
		return err
	}
	switch r.Method {
	case http.MethodPut:
		return s.replaceClient(w, r, record, token)
	case http.MethodDelete:
		return s.deleteClient(r.Context(), w, record)
	}
	var metadata Metadata
	if err := jose.DecodeStrict(record.Metadata, &metadata); err != nil {
		return err
	}
	applyDefaults(&metadata)
	return s.answerRegistered(w, http.StatusOK, record, metadata, token)
}

// replaceClient is RFC 7592 §2.2: what the request does not have is gone afterwards.
func (s *Server) replaceClient(w http.ResponseWriter, r *http.Request, record store.Client, token string) error {
	ctx := r.Context()
	members, err := readMetadata(w, r)
	if err != nil {
		return err
	}
	metadata, err := s.checkMetadata(ctx, record.ID, record.Profile, members, checkReplacement(record.ID, members)...)
	if err != nil {
		return err
	}
	if record.Metadata, err = json.Marshal(metadata); err != nil {
		return err
	}
	record.Version++
	record.UpdatedAt = s.now()
	err = s.store.PutClient(ctx, record)
	if errors.Is(err, store.ErrConflict) {
		return oauth.Errorf(oauth.InvalidRequest, "the registration was changed by another request at the same moment; read it and try again").
			WithStatus(http.StatusConflict).Because(err)
	}
	if err != nil {
		return err
	}
	s.clients.forget(record.ID)
	s.noteRegistration(ctx, "client replaced its registration", record)
	return s.answerRegistered(w, http.StatusOK, record, metadata, token)
}

// checkReplacement checks the members that a replacement must and must not have (RFC 7592 §2.2).
func checkReplacement(id string, members map[string]json.RawMessage) []error {
	var mistakes []error
	var named string
	if err := jose.DecodeStrict(orNull(members["client_id"]), &named); err != nil || named != id {
		mistakes = append(mistakes, &memberMistake{"client_id", "must be given and be that of the address"})
	}
	for _, name := range []string{"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"} {
		if _, ok := members[name]; ok {
			mistakes = append(mistakes, &memberMistake{name, "is set by the server and must not be sent (RFC 7592 §2.2)"})
		}
	}
	if _, ok := members["client_secret"]; ok {
		mistakes = append(mistakes, &memberMistake{"client_secret", "must not be sent: this server gives out no secrets"})
	}
	return mistakes
}

func orNull(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return json.RawMessage("null")
	}
	return raw
}

// deleteClient is RFC 7592 §2.3. What the client was granted ends with it.
func (s *Server) deleteClient(ctx context.Context, w http.ResponseWriter, record store.Client) error {
	err := s.store.DeleteClient(ctx, record.ID)
	s.clients.forget(record.ID)
	if errors.Is(err, store.ErrNotFound) {
		return notManaged(err) // deleted by another request at the same moment
	}
	if err != nil {
		return err
	}
	s.noteRegistration(ctx, "client deleted its registration", record)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// managed finds the client of the address and checks that the request may manage it. Every refusal is the same:
// whoever has no right to a registration does not learn whether there is one, or there was.
func (s *Server) managed(r *http.Request, certificates bool) (store.Client, string, error) {
	token, err := bearer(r)
	if err != nil {
		return store.Client{}, "", err
	}
	id := r.PathValue("client_id")
	if !interactionID.MatchString(id) { // clients that registered themselves have a UUID
		return store.Client{}, "", notManaged(nil)
	}
	record, err := s.store.Client(r.Context(), id)
	if errors.Is(err, store.ErrNotFound) {
		return store.Client{}, "", notManaged(err)
	}
	if err != nil {
		return store.Client{}, "", err
	}
	digest := store.DigestOf(token)
	if record.AccessToken.Zero() || record.Disabled || subtle.ConstantTimeCompare(record.AccessToken[:], digest[:]) != 1 {
		return store.Client{}, "", notManaged(nil)
	}
	if err := s.checkOrganisation(r, record, certificates); err != nil {
		// Somebody else has the token of this client.
		s.log.WarnContext(r.Context(), "a registration access token came without the certificate of its organisation",
			"correlation_id", eventOf(r.Context()).correlationID, "client_id", id, "organisation", record.Organisation, "error", err.Error())
		return store.Client{}, "", notManaged(err)
	}
	return record, token, nil
}

// checkOrganisation demands the certificate of the organisation that registered the client with one. The token alone
// changes nothing then.
func (s *Server) checkOrganisation(r *http.Request, record store.Client, certificates bool) error {
	subject, bound := strings.CutPrefix(record.Organisation, CertificateOrganisation)
	if !bound {
		return nil
	}
	if !certificates {
		return errors.New("fapi: the request came in on the listener without certificates")
	}
	presented, err := s.organisationCertificate(r)
	if err != nil {
		return err
	}
	if presented == nil {
		return errors.New("fapi: the connection has no client certificate")
	}
	return mtls.Subject{DN: subject}.Match(presented.Leaf)
}

func notManaged(cause error) error {
	return unauthorised("the registration access token is not one of this client", cause)
}
