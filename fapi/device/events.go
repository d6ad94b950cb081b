package device

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"countersign/fapi/browser"
	"countersign/fapi/endpoint"
	"countersign/internal/oauth"
	"countersign/store"
)

const (
	// lookEvery is how often the store is read for changes during a long poll.
	lookEvery = time.Second
	// maxWait bounds a long poll; it is shorter than the time limit of requests.
	maxWait = 15 * time.Second
)

// events tells a page when to reload (server-sent events). Each message is the version of the page, without its
// content. The stream ends with the session, or after maxWait, and the browser reconnects.
func (h *Handler) events(w http.ResponseWriter, r *http.Request, _ endpoint.At) error {
	query, err := oauth.ReadQuery(r)
	if err != nil {
		return err
	}
	reference := query.Get("request")
	known, err := h.version(r, reference)
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // nginx would buffer the messages
	controller := http.NewResponseController(w)
	end := time.NewTimer(maxWait)
	defer end.Stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		if _, err := fmt.Fprintf(w, "retry: 1000\ndata: %s\n\n", known); err != nil || controller.Flush() != nil {
			return nil // response already started; error ignored
		}
		for now := known; now == known; {
			select {
			case <-r.Context().Done():
				return nil
			case <-end.C:
				return nil
			case <-look.C:
			}
			if now, err = h.version(r, reference); err != nil || h.draining() {
				return nil // response already started; the browser reconnects and gets the error
			}
			if now != known {
				known = now
				break
			}
		}
	}
}

// version returns the version of a page: of one request, or without a reference of the home page. It reads the
// session each time, because the stream ends with the session.
func (h *Handler) version(r *http.Request, reference string) (string, error) {
	session, err := h.store.Session(r.Context(), browser.Session(r))
	if errors.Is(err, store.ErrNotFound) {
		return "", oauth.Errorf(oauth.LoginRequired, "sign in at %s%s first", h.addresses.Issuer, path).
			WithStatus(http.StatusUnauthorized).Because(err)
	}
	if err != nil {
		return "", err
	}
	if reference != "" {
		view, err := h.requests.Request(r.Context(), reference, session.Subject)
		return versionOf(view), decisionError(err)
	}
	requests, err := h.requests.Pending(r.Context(), session.Subject)
	return versionOf(requests...), err
}
