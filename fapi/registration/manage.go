package registration

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"countersign/fapi/client"
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/fapi/profile"
	"countersign/internal/oauth"
	"countersign/internal/outbound"
	"countersign/internal/random"
	"countersign/internal/strictjson"
	"countersign/mtls"
	"countersign/store"
)

// manage is the client configuration endpoint (RFC 7592 §2): a client reads, replaces or deletes its own registration
// with its registration access token, which stays the same as long as the client exists.
func (h *Handler) manage(w http.ResponseWriter, r *http.Request, at endpoint.At) error {
	record, token, err := h.authorized(r, at)
	if err != nil {
		return h.config.Limits.AuthenticationFailed(r, err)
	}
	event.Of(r.Context()).ClientID = record.ID
	if err := h.config.Limits.Authenticated(record.ID); err != nil {
		return err
	}
	switch r.Method {
	case http.MethodPut:
		return h.replace(w, r, at, record, token)
	case http.MethodDelete:
		return h.delete(r.Context(), w, record)
	}
	var metadata client.Metadata
	if err := strictjson.Decode(record.Metadata, &metadata); err != nil {
		return err
	}
	metadata.ApplyDefaults()
	return h.respond(w, http.StatusOK, record, metadata, token)
}

// replace is RFC 7592 §2.2: members that the request leaves out are removed.
func (h *Handler) replace(w http.ResponseWriter, r *http.Request, at endpoint.At, record store.Client, token string) error {
	ctx := r.Context()
	asked, err := h.read(w, r)
	if err != nil {
		return err
	}
	by, err := h.vouchAgain(r, at, record, asked)
	if err != nil {
		return err
	}
	owner := outbound.For(ctx, client.OrganisationOf(record.ID, record.Organisation))
	metadata, err := h.checkMetadata(owner, record.ID, record.Profile, by, asked.members, checkReplacement(record.ID, asked.members)...)
	if err != nil {
		return err
	}
	if record.Metadata, err = json.Marshal(metadata); err != nil {
		return err
	}
	if by != nil && len(by.oneTimes) > 0 {
		if err := h.config.Store.ConsumeOneTime(ctx, by.oneTimes...); err != nil {
			return registrarError(record.Organisation, err)
		}
	}
	record.Version++
	record.UpdatedAt = h.config.Now()
	err = h.config.Store.PutClient(ctx, record)
	if errors.Is(err, store.ErrConflict) {
		return oauth.Errorf(oauth.InvalidRequest,
			"the registration was changed by another request at the same moment; read it and try again").
			WithStatus(http.StatusConflict).Because(err)
	}
	if err != nil {
		return err
	}
	h.config.Clients.Invalidate(record.ID)
	h.changed(ctx, "client_replaced_its_registration", record)
	return h.respond(w, http.StatusOK, record, metadata, token)
}

// checkReplacement checks the members that a replacement must and must not have (RFC 7592 §2.2).
func checkReplacement(id string, members map[string]json.RawMessage) []error {
	var problems []error
	var named string
	if err := strictjson.Decode(orNull(members["client_id"]), &named); err != nil || named != id {
		problems = append(problems, problem("client_id", "must be given and be that of the address"))
	}
	for _, name := range []string{
		"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at",
	} {
		if _, ok := members[name]; ok {
			problems = append(problems, problem(name, "is set by the server and must not be sent (RFC 7592 §2.2)"))
		}
	}
	if _, ok := members["client_secret"]; ok {
		problems = append(problems, problem("client_secret", "must not be sent: this server issues no client secrets"))
	}
	return problems
}

func orNull(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return json.RawMessage("null")
	}
	return raw
}

// delete is RFC 7592 §2.3. The client's grants end with it.
func (h *Handler) delete(ctx context.Context, w http.ResponseWriter, record store.Client) error {
	err := h.config.Store.DeleteClient(ctx, record.ID, store.RevokedByClient)
	h.config.Clients.Invalidate(record.ID)
	if errors.Is(err, store.ErrNotFound) {
		return wrongToken(err) // deleted by another request at the same moment
	}
	if err != nil {
		return err
	}
	h.changed(ctx, "client_deleted_its_registration", record)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// authorized finds the client of the address and checks that the request may manage it. Every refusal is the
// same, so that it does not reveal whether a client exists or existed.
func (h *Handler) authorized(r *http.Request, at endpoint.At) (record store.Client, token string, err error) {
	token, err = bearer(r)
	if err != nil {
		return store.Client{}, "", err
	}
	id := r.PathValue("client_id")
	if !random.IsUUID(id) { // clients that registered themselves have a UUID
		return store.Client{}, "", wrongToken(nil)
	}
	record, err = h.config.Store.Client(r.Context(), id)
	if errors.Is(err, store.ErrNotFound) {
		return store.Client{}, "", wrongToken(err)
	}
	if err != nil {
		return store.Client{}, "", err
	}
	digest := store.DigestOf(token)
	right := !record.AccessToken.Zero() && subtle.ConstantTimeCompare(record.AccessToken[:], digest[:]) == 1
	if !right && !record.Disabled && h.managesByScope(r, record, at) {
		right, token = true, ""
	}
	if !right || record.Disabled {
		return store.Client{}, "", wrongToken(nil)
	}
	if err := h.checkOrganisation(r, record, at); err != nil {
		// The token is right but used by another party: it may be stolen.
		h.config.Log.WarnContext(r.Context(), "registration access token used without the certificate of its organisation",
			"correlation_id", event.Of(r.Context()).CorrelationID, "client_id", id,
			"organisation", record.Organisation, "error", err.Error())
		return store.Client{}, "", wrongToken(err)
	}
	if record.Suspended != "" {
		return store.Client{}, "", oauth.Errorf(oauth.AccessDenied, "%s", record.Suspended).WithStatus(http.StatusForbidden)
	}
	return record, token, nil
}

// managesByScope reports whether the request has an access token of the client itself, where the profile has it managed by that.
func (h *Handler) managesByScope(r *http.Request, record store.Client, at endpoint.At) bool {
	full, ok := profile.Lookup(record.Profile)
	scope := full.Registration.ManagementScope
	if !ok || scope == "" || record.Directory.Directory == "" {
		return false
	}
	caller, err := h.config.Token(r, scope, at)
	return err == nil && caller == record.ID
}

// checkOrganisation demands the certificate of the organisation that registered the client with one. The token alone
// does not suffice then.
func (h *Handler) checkOrganisation(r *http.Request, record store.Client, at endpoint.At) error {
	if record.Directory.Directory != "" {
		return h.isOrganisation(r, record, at)
	}
	subject, bound := strings.CutPrefix(record.Organisation, CertificateOrganisation)
	if !bound {
		return nil
	}
	if !at.MTLS {
		return errors.New("fapi: the request came in on the listener without certificates")
	}
	presented, err := h.organisationCertificate(r)
	if err != nil {
		return err
	}
	if presented == nil {
		return errors.New("fapi: the connection has no client certificate")
	}
	return mtls.Subject{DN: subject}.Match(presented.Leaf)
}

func wrongToken(cause error) error {
	return unauthorized("the registration access token is not one of this client", cause)
}
