package authorize_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"countersign/fapi/authorize"
	"countersign/fapi/browser"
)

// told is a directory that remembers what it was told.
type told struct{ attempt browser.Attempt }

func (d *told) Authenticate(_ context.Context, attempt browser.Attempt) (browser.Proven, error) {
	d.attempt = attempt
	return browser.Proven{}, errRefused
}

// Covers: FD-65. The directory counts the passwords of an interaction before it looks at them.
func TestFormsNameTheInteraction(t *testing.T) {
	t.Parallel()
	d := &told{}
	forms, err := authorize.NewForms(&pages{}, browser.Passwords{Directory: d, Refused: errRefused, Throttled: errThrottled}, silent())
	if err != nil {
		t.Fatal(err)
	}
	in := typed("alice", "wrong")
	in.ID = "the digest of a handle"
	forms.Interact(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/interaction/handle", nil), in, &recorder{})
	if d.attempt.Interaction != in.ID || d.attempt.Tries != authorize.MaxSignInFailures || d.attempt.Username != "alice" {
		t.Errorf("the directory was told %+v", d.attempt)
	}
}
