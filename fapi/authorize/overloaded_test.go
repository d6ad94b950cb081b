package authorize_test

import (
	"fmt"
	"strings"
	"testing"

	"countersign/fapi/authorize"
	"countersign/store"
)

// Covers: FD-109. A store that is away, or too much to do, while somebody signs in is a page with 503 and Retry-After, which
// says whose fault it is and not what the cause is; what is broken stays 500.
func TestSignInWhileOverloaded(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		in         authorize.Interaction
		actions    recorder
		status     int
		retryAfter string
		says       string
	}{
		"accepts to come again when the store is away": {typed("unlucky", "right"), recorder{}, 503, "1", "database"},
		"accepts to come again when passwords wait":    {typed("crowded", "right"), recorder{}, 503, "3", "more to do"},
		"accepts to come again when a failure cannot be counted": {
			typed("alice", "wrong"), recorder{countErr: fmt.Errorf("%w: locked", store.ErrOverloaded)}, 503, "1", "database",
		},
		"accepts to come again when a passkey cannot be read": {byPasskey(), recorder{passkeyErr: store.ErrUnavailable}, 503, "1", "database"},
		"refuses what is broken":                              {typed("broken", "right"), recorder{}, 500, "", "operator"},
	} {
		t.Run(name, func(t *testing.T) {
			shown, header := interact(t, test.in, &test.actions, silent())
			if shown.failure.Status != test.status || header.Get("Retry-After") != test.retryAfter ||
				!strings.Contains(shown.failure.Description, test.says) {
				t.Errorf("%+v, Retry-After %q", shown.failure, header.Get("Retry-After"))
			}
		})
	}
}
