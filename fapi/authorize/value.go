package authorize

import (
	"net/http"

	"countersign/fapi/client"
	"countersign/fapi/request"
	"countersign/internal/jose"
	"countersign/internal/oauth"
)

// authorizeByValue serves a request with a request object by value (RFC 9101 §5.1). It is stored like a pushed
// request, but its client has not authenticated yet.
func (h *Handler) authorizeByValue(
	w http.ResponseWriter, r *http.Request, caller *client.Client, form oauth.Form, back redirectTarget,
) {
	ctx := r.Context()
	if jose.IsEncrypted(form.Get("request")) { // decrypted for unauthenticated requests: limited
		if err := h.limits.Unauthenticated("encrypted by value", caller.ID); err != nil {
			h.showError(w, r, err)
			return
		}
	}
	// A redirect_uri outside of the request object does not replace a missing one inside (RFC 9101 §6.3).
	object, err := h.parseObject(ctx, caller, form.Get("request"))
	if err != nil {
		h.redirectError(w, r, back, err)
		return
	}
	back = refusalTarget(caller, object.Unverified, true)
	inside, evidence, err := h.checkObject(ctx, caller, object)
	if err != nil {
		h.redirectError(w, r, back, err)
		return
	}
	// A request object can be replayed by others: that must not use up the client's own limit.
	if err := h.limits.Unauthenticated("by value", caller.ID); err != nil {
		h.showError(w, r, err)
		return
	}
	checked, err := h.checker.Check(ctx, request.ByValue, caller, inside)
	if err != nil {
		h.redirectError(w, r, back, err)
		return
	}
	record, _, err := h.newRequest(caller, checked, evidence)
	if err != nil {
		h.redirectError(w, r, back, err)
		return
	}
	if err := h.store.Push(ctx, record); err != nil {
		h.redirectError(w, r, back, err)
		return
	}
	h.openRequest(w, r, caller, record.ID, back)
}
