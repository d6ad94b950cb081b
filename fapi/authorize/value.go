package authorize

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	"countersign/fapi/authorize/object"
	"countersign/fapi/browser"
	"countersign/fapi/client"
	"countersign/fapi/decrypt"
	"countersign/fapi/endpoint"
	"countersign/fapi/request"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/jar"
	"countersign/store"
)

// authorizeByValue serves a request with a request object by value (RFC 9101 §5.1). It is stored like a pushed request,
// once for each browser that brings it, but its client has not authenticated: whoever has seen the object can send it
// again. So what it costs is counted by address before anything counts against the client.
func (h *Handler) authorizeByValue(
	w http.ResponseWriter, r *http.Request, caller *client.Client, form oauth.Form, back redirectTarget,
) {
	ctx := r.Context()
	if err := h.mayOpen(r, digestText(store.DigestOf(caller.ID+"\x00"+form.Get("request")))); err != nil {
		h.showError(w, r, err)
		return
	}
	// A redirect_uri outside of the request object does not replace a missing one inside (RFC 9101 §6.3).
	raw, err := h.decryptByValue(r, caller, form.Get("request"))
	var signed *jar.Object
	if err == nil {
		signed, err = object.Parse(caller, raw)
	}
	if err != nil {
		if isSigned(back.mode) {
			back.uri = "" // there is nothing in it that its client is known to have signed: nothing is signed for it either
		}
		h.redirectError(w, r, back, err)
		return
	}
	back = refusalTarget(caller, signed.Unverified, true)
	digest := digestOf(caller, signed)
	if raw != form.Get("request") { // anybody can encrypt it again
		if err := h.mayOpen(r, digestText(digest)); err != nil {
			h.showError(w, r, err)
			return
		}
	}
	inside, evidence, err := h.checkByValue(r, caller, signed)
	if err != nil {
		h.redirectError(w, r, back, err)
		return
	}
	if err := h.countObject(caller, digest); err != nil {
		h.showError(w, r, err)
		return
	}
	checked, err := h.checker.Check(ctx, request.ByValue, caller, inside)
	if err != nil {
		h.redirectError(w, r, back, err)
		return
	}
	if _, err := h.consents.Check(ctx, caller, checked.Consent, checked.Scopes); err != nil {
		h.redirectError(w, r, back, err)
		return
	}
	record, _, err := h.newRequest(caller, checked, evidence)
	if err != nil {
		h.redirectError(w, r, back, err)
		return
	}
	// The same browser finds the same request again, for as long as it may take to decide.
	secret := browser.Secret(w, r)
	record.ID = store.DigestOf("by value\x00" + secret + "\x00" + digestText(digest))
	record.ExpiresAt = record.CreatedAt.Add(h.interactionLifetime)
	if err := h.pushOnce(ctx, caller, record, digest); err != nil {
		h.redirectError(w, r, back, err)
		return
	}
	h.openRequest(w, r, caller, opening{id: record.ID, browser: secret}, back)
}

// digestOf returns the digest of what a client signed. The signature does not count, since anybody can write some in two
// ways.
func digestOf(caller *client.Client, opened *jar.Object) store.Digest {
	signed := opened.Compact()
	return store.DigestOf(caller.ID + "\x00" + signed[:strings.LastIndexByte(signed, '.')])
}

func digestText(digest store.Digest) string { return base64.RawURLEncoding.EncodeToString(digest[:]) }

// mayOpen counts that a request or an object, named by its digest, comes from the address of r. Few browsers at one
// address open one request; somebody who saw it must not fill the store with it, and at another address keeps nobody from
// it.
func (h *Handler) mayOpen(r *http.Request, what string) error {
	return endpoint.Allow(h.openings, endpoint.AddressOf(r)+"\x00"+what, "this request was opened too often from this address")
}

// decryptByValue decrypts a request object, where it is encrypted. What the header and the shape tell is refused at no
// cost.
func (h *Handler) decryptByValue(r *http.Request, caller *client.Client, raw string) (string, error) {
	if !jose.IsEncrypted(raw) {
		return raw, nil
	}
	keys, err := decrypt.Keys(r.Context(), h.signer)
	if err != nil {
		return "", err
	}
	if err := decrypt.Check(raw, keys, caller.Profile, oauth.InvalidRequestObject); err != nil {
		return "", err
	}
	if err := h.limits.Stranger(r); err != nil {
		return "", err
	}
	const decryption = "encrypted by value"
	if err := h.limits.Unauthenticated(decryption, caller.ID); err != nil {
		return "", err
	}
	decrypted, err := decrypt.Open(r.Context(), raw, keys, caller.Profile, oauth.InvalidRequestObject)
	if err == nil {
		h.limits.Forgive(r)
		h.limits.ForgiveClient(decryption, caller.ID)
	}
	return decrypted, err
}

// checkByValue is checkObject for an object that a stranger may have made.
func (h *Handler) checkByValue(r *http.Request, caller *client.Client, opened *jar.Object) (oauth.Form, []store.Evidence, error) {
	if err := h.limits.Stranger(r); err != nil {
		return oauth.Form{}, nil, err
	}
	inside, evidence, err := h.checkObject(r.Context(), caller, opened)
	if err == nil {
		h.limits.Forgive(r)
	}
	return inside, evidence, err
}

// countObject counts an object that its client has signed against the client, however often it is replayed only once.
func (h *Handler) countObject(caller *client.Client, digest store.Digest) error {
	key := digestText(digest)
	if first, _ := h.objects.Allow(key); !first {
		return nil
	}
	err := h.limits.Unauthenticated("by value", caller.ID)
	if err != nil {
		h.objects.Refund(key)
	}
	return err
}

const (
	// kindEvidence is of the one-time values by which evidence of an object is recorded once, however often it is replayed.
	kindEvidence = "request_object_evidence"
	// kindOpened is of those by which an object makes one request in each browser.
	kindOpened = "request_object_browser"
)

// pushOnce stores the request that an object makes in a browser, unless it is stored already, with the evidence of the
// object unless that was recorded before: in the same transaction, so that no request is without.
func (h *Handler) pushOnce(ctx context.Context, caller *client.Client, record store.Request, digest store.Digest) error {
	until := h.now().Add(caller.Profile.MaxAhead + caller.Profile.MaxRequestObjectLifetime + endpoint.ClockDifference)
	opened := store.OneTime{Kind: kindOpened, Key: record.ID, Until: until}
	err := h.store.Push(ctx, record, opened, store.OneTime{Kind: kindEvidence, Key: digest, Until: until})
	if !errors.Is(err, store.ErrReplayed) {
		return err
	}
	record.Evidence = nil
	if err = h.store.Push(ctx, record, opened); errors.Is(err, store.ErrReplayed) {
		return nil
	}
	return err
}
