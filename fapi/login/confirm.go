package login

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"countersign/fapi/backchannel"
	"countersign/fapi/browser"
	"countersign/fapi/endpoint"
	"countersign/fapi/managed"
	"countersign/fapi/rar/display"
	"countersign/internal/oauth"
)

// confirmationsPath is the path of what waits for a user's decision without a browser, below the issuer.
const confirmationsPath = "/login/v1/confirmations"

// Confirmations are backchannel requests (CIBA), which users decide in an application of the operator's own;
// [*backchannel.Handler] has them.
type Confirmations interface {
	Pending(ctx context.Context, subject string) ([]backchannel.View, error)
	Request(ctx context.Context, reference, subject string) (backchannel.View, error)
	Decide(ctx context.Context, decision backchannel.Decision) error
}

// confirmation is a backchannel request as the login's backend reads it (docs/api/login-v1.yaml).
type confirmation struct {
	ID        string            `json:"confirmation_id"`
	State     backchannel.State `json:"state"`
	ExpiresIn int64             `json:"expires_in"`
	Digest    string            `json:"request_digest"`
	Message   string            `json:"binding_message,omitempty"`
	Client    viewClient        `json:"client"`
	Language  string            `json:"language"`
	Once      bool              `json:"once,omitempty"`
	Scopes    []viewScope       `json:"scopes"`
	Details   []viewDetail      `json:"authorization_details"`
	Consents  []viewDetail      `json:"consents,omitempty"`
	Claims    []string          `json:"claims,omitempty"`
	Resources []string          `json:"resources"`
	ACRValues []string          `json:"acr_values"`
	viewLife
	// Change is what the request does to a grant that the user allowed before.
	Change *managed.Lines `json:"grant_change,omitempty"`
}

// confirmationOf makes it of a request, in a language. The digest is the same in each.
func (h *Handler) confirmationOf(found backchannel.View, language string) (confirmation, error) {
	found, err := found.In(language)
	if err != nil {
		return confirmation{}, err
	}
	c := confirmation{
		ID: found.Reference, Message: found.Message, Client: clientOf(found.Client), Scopes: scopesOf(found.Scopes),
		Claims: found.Claims, Resources: some(found.Resources), ACRValues: some(found.ACRs),
		viewLife: lifeOf(found.GrantLifetime, found.GrantUntil),
	}
	raw, err := json.Marshal(struct {
		Same    confirmation
		Details []json.RawMessage
		Consent []json.RawMessage `json:",omitempty"`
	}{c, found.Values, found.ConsentValues})
	if err != nil {
		return confirmation{}, err
	}
	digest := sha256.Sum256(raw)
	c.Digest = base64.RawURLEncoding.EncodeToString(digest[:])
	c.State, c.ExpiresIn = found.State, max(0, endpoint.Seconds(found.ExpiresAt.Sub(h.Now())))
	c.Language, c.Once, c.Details = found.Language, found.Once(), detailsOf(found.Details[:len(found.Values)], found.Values)
	c.Change = found.Change.Lines()
	if len(found.ConsentValues) > 0 {
		c.Consents = detailsOf(found.Details[len(found.Values):], found.ConsentValues)
	}
	return c, nil
}

// subjectOf is the parameter subject, which says whose requests are meant.
func subjectOf(r *http.Request) (string, error) {
	query, err := oauth.ReadQuery(r)
	if err != nil {
		return "", err
	}
	if query.Get("subject") == "" {
		return "", oauth.Errorf(oauth.InvalidRequest, "the parameter subject is missing: say whose requests are meant")
	}
	return query.Get("subject"), nil
}

// confirmations lists what waits for a user's decision, the oldest first.
func (h *Handler) confirmations(w http.ResponseWriter, r *http.Request) error {
	subject, err := subjectOf(r)
	if err != nil {
		return err
	}
	pending, err := h.Confirmations.Pending(r.Context(), subject)
	if err != nil {
		return err
	}
	list := struct {
		Confirmations []confirmation `json:"confirmations"`
	}{[]confirmation{}}
	for _, each := range pending {
		read, err := h.confirmationOf(each, h.Language(r, ""))
		if err != nil {
			return err
		}
		list.Confirmations = append(list.Confirmations, read)
	}
	return endpoint.WriteJSON(w, http.StatusOK, list)
}

// confirmation serves one: GET reads it, in any state, and POST decides it.
func (h *Handler) confirmation(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodPost {
		return h.confirm(w, r)
	}
	subject, err := subjectOf(r)
	if err != nil {
		return err
	}
	found, err := h.Confirmations.Request(r.Context(), r.PathValue("id"), subject)
	if err != nil {
		return confirmationError(err)
	}
	read, err := h.confirmationOf(found, h.Language(r, ""))
	if err != nil {
		return err
	}
	return endpoint.WriteJSON(w, http.StatusOK, read)
}

// confirm records the user's decision about what was shown. Only the first one about a request counts.
func (h *Handler) confirm(w http.ResponseWriter, r *http.Request) error {
	var m struct {
		Digest   string   `json:"request_digest"`
		Subject  string   `json:"subject"`
		Decision string   `json:"decision"`
		ACR      string   `json:"acr"`
		AMR      []string `json:"amr"`
		AuthTime *int64   `json:"auth_time"`
		// Chosen are the inputs of what the user chose of lists; see [display.Offer.Input].
		Chosen map[string][]string `json:"chosen"`
		// Accounts are those that the login offers, of which Chosen says which.
		Accounts []display.Offered `json:"accounts"`
	}
	if _, err := readMessage(w, r, &m, "request_digest", "subject", "decision", "acr", "amr", "auth_time", "chosen", "accounts"); err != nil {
		return err
	}
	if m.Decision != "allow" && m.Decision != "deny" {
		return oauth.Errorf(oauth.InvalidRequest, "decision must be allow or deny")
	}
	decision := backchannel.Decision{
		Reference: r.PathValue("id"), Allowed: m.Decision == "allow", Device: "login",
		Authentication: browser.Authentication{Subject: m.Subject, ACR: m.ACR, AMR: m.AMR},
	}
	var err error
	if decision.AuthTime, err = authTime(m.AuthTime); err != nil {
		return err
	}
	if decision.Allowed || m.ACR != "" || len(m.AMR) > 0 || m.AuthTime != nil {
		if err := h.Settings.HandOff.CheckSignIn(m.ACR, m.AMR, decision.AuthTime, h.Now()); err != nil {
			return err
		}
	}
	found, err := h.Confirmations.Request(r.Context(), decision.Reference, m.Subject)
	if err != nil {
		return confirmationError(err)
	}
	read, err := h.confirmationOf(found, h.Language(r, ""))
	if err != nil {
		return err
	}
	if m.Digest != read.Digest {
		return oauth.Errorf(oauth.InvalidRequest, "request_digest is not that of this request as it is now; read it again and show it again")
	}
	if m.Accounts != nil {
		if found, err = found.Offered(m.Accounts); err != nil {
			return err
		}
		decision.Accounts = m.Accounts
	}
	if decision.Allowed {
		if found, err = found.Chosen(m.Chosen); errors.Is(err, display.ErrNotChosen) {
			err = oauth.Errorf(oauth.InvalidRequest, "the user has to choose: chosen lacks an input for a list to choose from").Because(err)
		}
		if err != nil {
			return err
		}
		decision.Picks = found.Picks
	}
	decision.Digest, decision.Proof = found.Digest, []string{"shown", m.Digest}
	if err := h.Confirmations.Decide(r.Context(), decision); err != nil {
		return confirmationError(err)
	}
	read.State = backchannel.Denied
	if decision.Allowed {
		read.State = backchannel.Approved
	}
	return endpoint.WriteJSON(w, http.StatusOK, read)
}

// confirmationError translates errors of package backchannel.
func confirmationError(err error) error {
	switch {
	case errors.Is(err, backchannel.ErrNotFound):
		return oauth.Errorf(oauth.InvalidRequest, "this user has no such request").WithStatus(http.StatusNotFound).Because(err)
	case errors.Is(err, backchannel.ErrDecided):
		return oauth.Errorf(oauth.InvalidRequest, "this request is decided already; no other decision counts").
			WithStatus(http.StatusConflict).Because(err)
	case errors.Is(err, backchannel.ErrExpired):
		return oauth.Errorf(oauth.InvalidRequest, "the time for this request is over; the application has to ask again").
			WithStatus(http.StatusGone).Because(err)
	case errors.Is(err, backchannel.ErrChanged):
		return oauth.Errorf(oauth.InvalidRequest, "this request is not what was shown; read it again and show it again").
			WithStatus(http.StatusConflict).Because(err)
	case errors.Is(err, backchannel.ErrStepUp):
		return oauth.Errorf(oauth.InvalidRequest,
			"the user has to authenticate after the request was made, and with one of acr_values or a better one").Because(err)
	}
	return err
}

// authTime reads a number of seconds since 1970; nil is no time.
func authTime(seconds *int64) (time.Time, error) {
	if seconds == nil {
		return time.Time{}, nil
	}
	if *seconds <= 0 || *seconds > maxAuthTime {
		return time.Time{}, oauth.Errorf(oauth.InvalidRequest, "auth_time is not a number of seconds since 1970")
	}
	return time.Unix(*seconds, 0), nil
}
