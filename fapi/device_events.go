package fapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"countersign/internal/oauth"
	"countersign/store"
)

const (
	// lookEvery is how often the store is asked for what is new while somebody waits.
	lookEvery = time.Second
	// maxWait is how long one answer may wait; it is shorter than requestTimeout.
	maxWait = 15 * time.Second
)

// awaitRequests reads what waits for a person until it is not of the known version any more, or the time is over.
func (s *Server) awaitRequests(ctx context.Context, subject, known string, wait time.Duration) ([]RequestView, error) {
	end := time.NewTimer(min(wait, maxWait))
	defer end.Stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		requests, err := s.pendingRequests(ctx, subject)
		if err != nil || versionOf(requests) != known || s.health.draining.Load() {
			return requests, err
		}
		select {
		case <-ctx.Done():
			return requests, ctx.Err()
		case <-end.C:
			return requests, nil
		case <-look.C:
		}
	}
}

// deviceEvents tells a page when to load again (server-sent events): each message is the version of what the page would
// show. It names nothing of it. The stream ends with the sign-in, or after a while, and the browser comes back.
func (s *Server) deviceEvents(w http.ResponseWriter, r *http.Request, _ bool) error {
	query, err := oauth.ReadQuery(r)
	if err != nil {
		return err
	}
	version := func() (string, error) {
		session, err := s.store.Session(r.Context(), sessionOf(r)) // each time: a stream ends with its sign-in
		if errors.Is(err, store.ErrNotFound) {
			err = oauth.Errorf(oauth.LoginRequired, "sign in at %s%s first", s.config.Issuer, devicePath).WithStatus(http.StatusUnauthorized).Because(err)
		}
		if err != nil {
			return "", err
		}
		if id := query.Get("request"); id != "" {
			view, err := s.requestOf(r.Context(), id, session.Subject)
			return versionOf([]RequestView{view}), err
		}
		requests, err := s.pendingRequests(r.Context(), session.Subject)
		return versionOf(requests), err
	}
	known, err := version()
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // nginx would keep the messages until the end
	controller := http.NewResponseController(w)
	send := func() bool {
		_, err := fmt.Fprintf(w, "retry: 1000\ndata: %s\n\n", known)
		return err == nil && controller.Flush() == nil
	}
	end := time.NewTimer(maxWait)
	defer end.Stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for send() {
		for now := known; now == known; {
			select {
			case <-r.Context().Done():
				return nil
			case <-end.C:
				return nil
			case <-look.C:
			}
			if now, err = version(); err != nil || s.health.draining.Load() {
				return nil // the stream has begun: the browser comes back, and is told then
			}
			if now != known {
				known = now
				break
			}
		}
	}
	return nil
}
