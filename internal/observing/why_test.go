package observing_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/internal/devsetup/setuptest"
	"countersign/internal/logbuffer"
	"countersign/internal/usercommands"
	"countersign/internal/watchcommands"
	"countersign/store"
)

// Covers: NM-30, NM-32. Whatever node refused a request, the command explains it by the correlation id, without what the request held.
func TestWhy(t *testing.T) {
	i := setuptest.New(t)
	c := *i.Config
	c.Audit.Node = "node-1"
	w := &world{t: t, config: &c, log: new(logbuffer.Buffer)}
	const secret = "s3cr3t-of-the-request-0123456789"
	var id string
	t.Run("accepts a refusal", func(t *testing.T) {
		w.t = t
		w.serve()
		client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: i.Roots}}}
		defer client.CloseIdleConnections()
		response, err := client.PostForm(c.Issuer+"/token", url.Values{
			"grant_type": {"authorization_code"}, "code": {secret}, "client_assertion": {secret}, "code_verifier": {secret},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusUnauthorized {
			t.Fatalf("%s %v", response.Status, err)
		}
		id = response.Header.Get("X-Correlation-Id")
	})
	w = &world{t: t, config: i.Config}
	s := w.open(t)
	defer s.Close()
	ask := func(command watchcommands.Why) (string, error) {
		var out bytes.Buffer
		err := command.Run(t.Context(), &usercommands.Program{
			Stdout: &out, WithStore: func(_ context.Context, work func(store.Store) error) error { return work(s) },
		})
		return out.String(), err
	}
	t.Run("accepts to explain it", func(t *testing.T) {
		text, err := ask(watchcommands.Why{ID: id})
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"node node-1", "client   none was recognised", "request  POST /token", "answer   401 invalid_client", "RFC 7523 §3", "remedy   Compare"} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
		object, err := ask(watchcommands.Why{ID: id, JSON: true})
		if err != nil || !strings.Contains(object, fmt.Sprintf(`{"correlation_id":%q,`, id)) || strings.Count(object, "\n") != 1 {
			t.Errorf("%v %s", err, object)
		}
		if strings.Contains(text+object, secret) {
			t.Error("it holds what was sent")
		}
	})
	t.Run("refuses an id that nothing has", func(t *testing.T) {
		if text, err := ask(watchcommands.Why{ID: "6f1c1f60-8d2f-4a49-9a43-0c7f1d9a3f55"}); err == nil || text != "" || !strings.Contains(err.Error(), "no refusal has the correlation id") {
			t.Errorf("%v %s", err, text)
		}
	})
}
