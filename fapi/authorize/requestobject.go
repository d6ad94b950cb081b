package authorize

import (
	"context"

	"countersign/fapi/authorize/object"
	"countersign/fapi/client"
	"countersign/internal/audit"
	"countersign/internal/oauth"
	"countersign/jar"
	"countersign/store"
)

// requestObject returns the parameters of an authorization request: those of its request object only, or those of the
// form when there is none and the client's profile allows that (RFC 9101 §6.3, RFC 9126 §3). A request object is
// recorded as evidence.
func (h *Handler) requestObject(
	ctx context.Context, caller *client.Client, form oauth.Form,
) (oauth.Form, []store.Evidence, error) {
	raw := form.Get("request")
	if err := object.Admit(caller, raw != ""); err != nil || raw == "" {
		return form, nil, err
	}
	opened, err := object.Open(ctx, h.signer, caller, raw)
	if err != nil {
		return form, nil, err
	}
	return h.checkObject(ctx, caller, opened)
}

// checkObject verifies a request object and returns its parameters and the evidence of it.
func (h *Handler) checkObject(
	ctx context.Context, caller *client.Client, opened *jar.Object,
) (oauth.Form, []store.Evidence, error) {
	verified, err := object.Rules{Issuer: h.addresses.Issuer, Keys: h.keys, Now: h.now()}.Check(ctx, caller, opened)
	if err != nil {
		return oauth.Form{}, nil, err
	}
	kept, err := h.evidence.Message(ctx, audit.RequestObject, caller.ID, opened.Compact(), verified.SignedBy)
	return verified.Form, []store.Evidence{kept}, err
}
