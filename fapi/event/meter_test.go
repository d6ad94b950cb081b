package event_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"countersign/fapi/event"
	"countersign/internal/oauth"
)

// counted is what a meter was told.
type counted []string

func (c *counted) Arrived(_ context.Context, method string) { *c = append(*c, "arrived "+method) }

func (c *counted) Answered(_ context.Context, r event.Request) {
	*c = append(*c, fmt.Sprint(r.Method, " ", r.Route, " ", r.ClientID, " ", r.Outcome, " ", r.Status, " ", r.Took))
}

// Covers: NM-01. The meter is told of each request: by a method that is one, with the outcome and the status of the log.
func TestMeter(t *testing.T) {
	l, told := newLogged(), &counted{}
	l.Meter = told
	serve := func(method string, handler http.HandlerFunc) {
		ctx := t.Context()
		*told = nil
		l.Wrap(handler).ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, method, "/token?code=secret", nil))
	}
	for name, test := range map[string]struct {
		method  string
		handler http.HandlerFunc
		want    []string
	}{
		"an answer": {"POST", func(w http.ResponseWriter, r *http.Request) {
			e := event.Of(r.Context())
			e.Route, e.ClientID = "/token", "client"
			l.now = l.now.Add(time.Second)
			w.WriteHeader(http.StatusCreated)
		}, []string{"arrived POST", "POST /token client ok 201 1s"}},
		"a refusal": {"GET", func(w http.ResponseWriter, r *http.Request) {
			e := event.Of(r.Context())
			e.Failed(oauth.Errorf(oauth.InvalidGrant, "secret"))
			w.WriteHeader(http.StatusBadRequest)
		}, []string{"arrived GET", "GET   invalid_grant 400 0s"}},
		"a panic":          {"GET", func(http.ResponseWriter, *http.Request) { panic(errors.New("secret")) }, []string{"arrived GET", "GET   server_error 500 0s"}},
		"a made-up method": {"SECRET", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }, []string{"arrived _OTHER", "_OTHER   ok 200 0s"}},
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			if serve(test.method, test.handler); !slices.Equal(*told, test.want) {
				t.Errorf("told %q, want %q", *told, test.want)
			}
		})
	}
}
