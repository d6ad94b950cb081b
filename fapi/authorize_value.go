package fapi

import (
	"net/http"
	"slices"

	"countersign/internal/jose"
	"countersign/internal/oauth"
)

// authorizeByValue takes a request whose signed request object the browser brings (RFC 9101 §5.1). From here on it is
// as if it had been pushed, but that its client has not proven itself yet.
func (s *Server) authorizeByValue(w http.ResponseWriter, r *http.Request, client *Client, form oauth.Form, back redirectTarget) {
	ctx := r.Context()
	if jose.IsEncrypted(form.Get("request")) { // the HSM would open it for anybody
		if err := s.brakes.unproven("encrypted by value", client.ID); err != nil {
			s.showError(w, r, err)
			return
		}
	}
	// Without a registered address inside, none beside it helps: what stands there does not count (RFC 9101 §6.3).
	object, err := s.parseObject(ctx, client, form.Get("request"))
	if err != nil {
		s.redirectError(w, r, back, err)
		return
	}
	back = refusalTarget(client, object.Unverified, true)
	inside, kept, err := s.checkObject(ctx, client, object)
	if err != nil {
		s.redirectError(w, r, back, err)
		return
	}
	// An object that somebody else saw can be brought again: that must not use up what the client itself may send.
	if err := s.brakes.unproven("by value", client.ID); err != nil {
		s.showError(w, r, err)
		return
	}
	request, err := s.readRequest(ctx, client, inside, false)
	if err != nil {
		s.redirectError(w, r, back, err)
		return
	}
	record, _, err := s.newRequest(client, request)
	if err == nil {
		record.Evidence = kept
		err = s.store.Push(ctx, record)
	}
	if err != nil {
		s.redirectError(w, r, back, err)
		return
	}
	s.openRequest(w, r, client, record.ID, back)
}

// refusalTarget is where an error goes as long as the request is not understood: an address that the request names, if
// it is registered for its client, and otherwise none. Whole tells that these are all the parameters of the request.
func refusalTarget(client *Client, parameter func(string) string, whole bool) redirectTarget {
	back := redirectTarget{
		state: parameter("state"), client: client,
		mode: refusalMode(client, parameter("response_type"), parameter("response_mode"), whole),
	}
	if address := parameter("redirect_uri"); slices.Contains(client.Metadata.RedirectURIs, address) {
		back.uri = address
	}
	return back
}
