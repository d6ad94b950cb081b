package httpsig_test

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"countersign/internal/httpsig"
)

// TestHeld: an answer is held whole up to its bound, and nothing of it is left when it is dropped.
func TestHeld(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("X-Before", "1")
	held := httpsig.Hold(w, 4)
	held.Header().Set("Content-Length", "8")
	held.Header().Add("X-Before", "2")
	held.WriteHeader(http.StatusEarlyHints)
	held.WriteHeader(http.StatusCreated)
	held.WriteHeader(http.StatusOK)
	if _, err := io.WriteString(held, "four"); err != nil || held.TooLarge {
		t.Fatalf("%v, %t", err, held.TooLarge)
	}
	if w.Code != http.StatusOK || w.Body.Len() > 0 || w.Header().Get("Content-Length") != "8" {
		t.Errorf("sent: %d %q %v", w.Code, w.Body, w.Header())
	}
	if _, err := io.WriteString(held, "5"); !errors.Is(err, httpsig.ErrTooLarge) || !held.TooLarge {
		t.Errorf("%v, %t", err, held.TooLarge)
	}
	if held.Status != http.StatusCreated || held.Body.String() != "four" {
		t.Errorf("held: %d %q", held.Status, held.Body.String())
	}
	held.Drop()
	if left := slices.Sorted(maps.Keys(w.Header())); !slices.Equal(left, []string{"X-Before"}) || !slices.Equal(w.Header()["X-Before"], []string{"1"}) {
		t.Errorf("left: %v", w.Header())
	}
	unbound := httpsig.Hold(httptest.NewRecorder(), 0)
	if _, err := io.WriteString(unbound, "more than four"); err != nil || unbound.Status != http.StatusOK {
		t.Errorf("%v, %d", err, unbound.Status)
	}
}
