package event_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
	"countersign/signer"
	"countersign/store"
)

// leaving has a client hang up once the server waits for something, and gives what the server answered to nobody.
type leaving struct {
	handler http.Handler
	began   chan struct{}
}

// RoundTrip implements [http.RoundTripper].
func (l leaving) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, hangUp := context.WithCancel(r.Context())
	defer hangUp()
	go func() {
		<-l.began
		hangUp()
	}()
	sent := r.Clone(ctx)
	sent.RemoteAddr, sent.RequestURI = "192.0.2.1:4711", r.URL.RequestURI()
	answer := httptest.NewRecorder()
	l.handler.ServeHTTP(answer, sent)
	return answer.Result(), nil
}

// slowStore is a database that does not answer.
type slowStore struct {
	store.Store
	began chan struct{}
}

func (s slowStore) RedeemCode(ctx context.Context, _ store.Digest, _ store.Issued, _ ...store.OneTime) error {
	close(s.began)
	<-ctx.Done()
	return fmt.Errorf("sqlite: RedeemCode: waiting to write: %w", ctx.Err())
}

// slowHSM is an HSM that does not answer.
type slowHSM struct {
	signer.Backend
	began chan struct{}
}

func (s slowHSM) Sign(ctx context.Context, _ signer.Record, _ []byte) ([]byte, error) {
	close(s.began)
	<-ctx.Done()
	return nil, fmt.Errorf("%w: %w", signer.ErrUnavailable, context.Cause(ctx))
}

// Covers: FD-124. At the token endpoint, while the HSM or the database does not answer.
func TestHangUpAtToken(t *testing.T) {
	t.Parallel()
	for _, waits := range []string{"HSM", "database"} {
		t.Run("accepts while the "+waits+" waits", func(t *testing.T) {
			t.Parallel()
			began := make(chan struct{})
			w := fapitest.NewWorld(t, func(c *fapitest.Config) {
				if waits == "database" {
					c.Store = slowStore{c.Store, began}
				}
			})
			c := w.Register("client-1", nil)
			code := c.Authorize()
			if waits == "HSM" {
				w.Backend.Backend = slowHSM{w.Backend.Backend, began}
			}
			before := len(w.Logs.String())
			usual := c.HTTP.Transport
			c.HTTP.Transport = leaving{w.Server.Handler(), began}
			c.Redeem(code, nil)
			c.HTTP.Transport = usual
			lines := w.Logs.String()[before:]
			if !strings.Contains(lines, `"status":499,"outcome":"client_closed"`) || strings.Contains(lines, `"level":"ERROR"`) || strings.Contains(lines, `"level":"WARN"`) {
				t.Errorf("logged %s", lines)
			}
		})
	}
}
