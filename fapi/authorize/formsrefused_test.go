package authorize_test

import (
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"countersign/fapi/authorize"
	"countersign/fapi/browser"
)

// TestUniformRefusal: the page must not distinguish a name that exists from one that does not.
func TestUniformRefusal(t *testing.T) {
	t.Parallel()
	typedFields := cmpopts.IgnoreFields(authorize.Interaction{}, "Form", "LoginHint")
	page := func(username string) authorize.Interaction {
		shown, _ := interact(t, typed(username, "wrong"), &recorder{}, silent())
		return shown.in
	}
	if diff := cmp.Diff(page("alice"), page("mallory"), typedFields); diff != "" {
		t.Errorf("the pages differ:\n%s", diff)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for username, want := range map[string]string{"busy": "90", "busy, who knows how long": "60"} {
		shown, header := interact(t, typed(username, "right"), &recorder{}, silent())
		if got := header.Get("Retry-After"); got != want || shown.in.Problem.Code != browser.TooManyAttempts {
			t.Errorf("%s: Retry-After %q, want %s; %+v", username, got, want, shown.in.Problem)
		}
	}
}

// TestTypedIsNeverLogged: neither the password nor what was typed as the user name.
func TestTypedIsNeverLogged(t *testing.T) {
	t.Parallel()
	var logs strings.Builder
	log := slog.New(slog.NewTextHandler(io.Writer(&logs), nil))
	for _, username := range []string{"alice", "busy", "broken", ""} {
		interact(t, typed(username, "s3cret-phrase"), &recorder{}, log)
	}
	interact(t, typed("s3cret-phrase", "x"), &recorder{}, log)
	if strings.Contains(logs.String(), "s3cret-phrase") {
		t.Errorf("the log holds what was typed:\n%s", logs.String())
	}
	for _, want := range []string{
		"sign-in refused", "sign-in throttled", "sign-in failed", "correlation_id=" + correlation, "client_id=orchid-payments",
	} {
		if !strings.Contains(logs.String(), want) {
			t.Errorf("the log does not hold %q:\n%s", want, logs.String())
		}
	}
}
