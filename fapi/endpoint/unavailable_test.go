package endpoint_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"countersign/fapi/endpoint"
	"countersign/internal/oauth"
	"countersign/internal/queue"
	"countersign/signer"
	"countersign/store"
)

// Covers: FD-109. What is away or has too much to do is answered 503 with Retry-After, in words for what it is: a store that is
// waited for is not an HSM that cannot sign. What is neither stays an error of the server.
func TestWhatIsUnavailable(t *testing.T) {
	t.Parallel()
	refused := &queue.RefusedError{Wait: 4 * time.Second}
	for name, test := range map[string]struct {
		err         error
		status      int
		retryAfter  time.Duration
		says        string
		nothingDone bool
	}{
		"accepts to come again: store away":              {store.ErrUnavailable, 503, time.Second, "its database", false},
		"accepts to come again: store too slow":          {fmt.Errorf("%w: waiting to write: %w", store.ErrOverloaded, context.DeadlineExceeded), 503, time.Second, "its database", true},
		"accepts to come again: store's queue":           {fmt.Errorf("%w: %w", store.ErrOverloaded, refused), 503, 4 * time.Second, "its database", true},
		"accepts to come again: HSM away":                {signer.ErrUnavailable, 503, 2 * time.Second, "cannot sign", false},
		"accepts to come again: HSM's queue":             {fmt.Errorf("%w: %w", signer.ErrOverloaded, refused), 503, 4 * time.Second, "more is to be signed", true},
		"accepts to come again: HSM hangs":               {fmt.Errorf("%w: %w", signer.ErrUnavailable, context.DeadlineExceeded), 503, 2 * time.Second, "cannot sign", false},
		"accepts to come again: passwords' queue":        {fmt.Errorf("directory: %w", refused), 503, 4 * time.Second, "more to do", true},
		"accepts to come again: something took too long": {context.DeadlineExceeded, 503, 2 * time.Second, "in time", false},
		"refuses what is broken":                         {errors.New("no such table"), http.StatusInternalServerError, 0, "operator", false},
	} {
		t.Run(name, func(t *testing.T) {
			e := oauth.AsError(endpoint.Translate(test.err))
			if e.HTTPStatus() != test.status || e.RetryAfter != test.retryAfter || !strings.Contains(e.Description, test.says) || !errors.Is(e, test.err) {
				t.Errorf("%d, %s, %q", e.HTTPStatus(), e.RetryAfter, e.Description)
			}
			if done := endpoint.NothingDone(test.err); done != test.nothingDone {
				t.Errorf("nothing done: %t", done)
			}
		})
	}
}
