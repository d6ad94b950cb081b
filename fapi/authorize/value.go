package authorize

import (
	"net/http"

	"countersign/fapi/client"
	"countersign/fapi/request"
	"countersign/internal/jose"
	"countersign/internal/oauth"
)

// authorizeByValue takes a request whose signed request object the browser brings (RFC 9101 §5.1). From here on it is
// as if it had been pushed, but that its client has not authenticated yet.
func (h *Handler) authorizeByValue(
	w http.ResponseWriter, r *http.Request, caller *client.Client, form oauth.Form, back redirectTarget,
) {
	ctx := r.Context()
	if jose.IsEncrypted(form.Get("request")) { // the HSM would decrypt it for anybody
		if err := h.limits.Unauthenticated("encrypted by value", caller.ID); err != nil {
			h.showError(w, r, err)
			return
		}
	}
	// Without a registered address inside, none beside it helps: what is there does not count (RFC 9101 §6.3).
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
	// An object that somebody else saw can be brought again: that must not use up what the client itself may send.
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
