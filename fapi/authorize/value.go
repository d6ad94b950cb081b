package authorize

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"countersign/fapi/client"
	"countersign/fapi/endpoint"
	"countersign/fapi/request"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/jar"
	"countersign/store"
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
	if err := h.pushOnce(ctx, caller, record, object); err != nil {
		h.redirectError(w, r, back, err)
		return
	}
	h.openRequest(w, r, caller, record.ID, back)
}

// kindEvidence is of the one-time values by which evidence of an object is recorded once, however often it is replayed.
const kindEvidence = "request_object_evidence"

// pushOnce stores a request, with the evidence of its object unless that was recorded before: in the same transaction,
// so that no request is without. What is signed decides, since anybody can write some signatures in two ways.
func (h *Handler) pushOnce(ctx context.Context, caller *client.Client, record store.Request, object *jar.Object) error {
	signed := object.Compact()
	lasts := caller.Profile.MaxAhead + caller.Profile.MaxRequestObjectLifetime + endpoint.ClockDifference
	err := h.store.Push(ctx, record, store.OneTime{
		Kind: kindEvidence, Key: store.DigestOf(caller.ID + "\x00" + signed[:strings.LastIndexByte(signed, '.')]),
		Until: h.now().Add(lasts),
	})
	if errors.Is(err, store.ErrReplayed) {
		record.Evidence = nil
		return h.store.Push(ctx, record)
	}
	return err
}
