package upstream

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"countersign/fapi/authorize"
	"countersign/fapi/browser"
	"countersign/fapi/event"
	"countersign/internal/oauth"
	"countersign/rp/client"
	"countersign/store"
)

// callback is where the provider sends the browser back to.
func (h *Handler) callback(w http.ResponseWriter, r *http.Request) {
	answer, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		h.showError(w, r, oauth.Errorf(oauth.InvalidRequest, "the address is not readable").Because(err))
		return
	}
	begun, err := h.recall(w, r, answer.Get("state"))
	if err != nil {
		h.showError(w, r, err)
		return
	}
	provider, err := h.provider.client(r.Context())
	if err != nil {
		h.showError(w, r, err)
		return
	}
	tokens, err := provider.Callback(r.Context(), begun.Client, answer)
	var about json.RawMessage
	if err == nil && h.Settings.UserInfo {
		var info *client.UserInfo
		if info, err = provider.UserInfo(r.Context(), tokens); err == nil {
			about = info.Raw
		}
	}
	if err != nil {
		h.failed(w, r, begun, err)
		return
	}
	signed, err := h.Settings.read(tokens.Identity, about)
	if err != nil {
		h.failed(w, r, begun, err)
		return
	}
	if h.Settings.KnownOnly {
		switch _, err := h.Store.User(r.Context(), signed.Subject); {
		case errors.Is(err, store.ErrNotFound):
			h.deny(w, r, begun, oauth.AccessDenied, "the user is not known here: "+signed.Subject)
			return
		case err != nil:
			h.showError(w, r, err)
			return
		}
	}
	h.answer(w, r, begun, signed, tokens.IDToken)
}

// errUnmet is a sign-in that is not what was asked for.
var errUnmet = errors.New("the sign-in at the provider is of no class that it may claim")

// failed ends a sign-in that is none. What the provider says about the user ends the interaction, too; what is wrong with its answer, or
// that it is away, does not: the user can try again.
func (h *Handler) failed(w http.ResponseWriter, r *http.Request, begun transaction, err error) {
	said, isAnswer := errors.AsType[*client.AuthorizationError](err)
	check, isCheck := errors.AsType[*client.CheckError](err)
	switch {
	case isAnswer:
		h.deny(w, r, begun, refusalOf(said.Code), err.Error())
	case errors.Is(err, errUnmet) || isCheck && (check.Check == "acr" || check.Check == "auth_time"):
		h.deny(w, r, begun, oauth.UnmetAuthentication, err.Error())
	default:
		h.Evidence.ProvokedEvent(r.Context(), "", event.SignInFailed, "reason", "upstream: "+err.Error(), "interaction", begun.Interaction)
		h.refused(w, r, err)
	}
}

// refused shows what the provider refused or got wrong, while nothing is decided.
func (h *Handler) refused(w http.ResponseWriter, r *http.Request, err error) {
	if client.Temporary(err) {
		h.Log.WarnContext(r.Context(), "upstream provider is away", "issuer", h.Settings.Issuer, "error", err.Error())
		h.showError(w, r, unavailable(err))
		return
	}
	h.Log.WarnContext(r.Context(), "upstream sign-in refused", "issuer", h.Settings.Issuer, "error", err.Error())
	h.showError(w, r, oauth.Errorf(oauth.AccessDenied,
		"the sign-in at the identity provider could not be verified; nothing was allowed, and you can start again in the application").
		WithStatus(http.StatusBadRequest).Because(err))
}

// refusalOf is what the client is told of an error of the provider's. One about this server's own request is the operator's to mend: for
// the user and the client the sign-in is not possible at the moment.
func refusalOf(code string) string {
	switch code {
	case oauth.AccessDenied, oauth.LoginRequired, oauth.InteractionRequired, oauth.UnmetAuthentication:
		return code
	case "account_selection_required", oauth.ConsentRequired: // consent to this server, not to the client
		return oauth.InteractionRequired
	}
	return oauth.TemporarilyUnavailable
}

// deny answers that nobody signed in, and why.
func (h *Handler) deny(w http.ResponseWriter, r *http.Request, begun transaction, code, cause string) {
	h.Evidence.ProvokedEvent(r.Context(), "", event.SignInFailed, "reason", "upstream: "+cause, "interaction", begun.Interaction)
	h.Log.WarnContext(r.Context(), "upstream sign-in refused", "issuer", h.Settings.Issuer, "error", cause)
	asked, err := h.Interactions.HandedOff(r, begun.Handle)
	if err == nil {
		var returned authorize.Returned
		if returned, err = h.Interactions.AnswerHandOff(r, begun.Handle, authorize.Answer{Digest: asked.Digest, Error: code}); err == nil {
			browser.SeeOther(w, returned.To)
			return
		}
	}
	h.showError(w, r, err)
}

// answer answers who signed in, and sends the browser back to its interaction.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, begun transaction, signed authorize.Answer, idToken string) {
	asked, err := h.Interactions.HandedOff(r, begun.Handle)
	if err != nil {
		h.showError(w, r, err)
		return
	}
	signed.Digest = asked.Digest
	returned, err := h.Interactions.AnswerHandOff(r, begun.Handle, signed)
	if errors.Is(err, store.ErrConflict) { // somebody else here is called so
		signed.Username = ""
		returned, err = h.Interactions.AnswerHandOff(r, begun.Handle, signed)
	}
	refusal, wrong := errors.AsType[*oauth.Error](err)
	switch {
	case err == nil:
		h.keepHint(w, idToken)
		browser.SeeOther(w, returned.To)
	case errors.Is(err, store.ErrRevoked):
		h.deny(w, r, begun, oauth.AccessDenied, "the user is disabled or erased here")
	case wrong && refusal.HTTPStatus() == http.StatusBadRequest: // who signed in is known, and not as was demanded
		h.deny(w, r, begun, oauth.UnmetAuthentication, refusal.Description)
	default:
		h.showError(w, r, err)
	}
}
