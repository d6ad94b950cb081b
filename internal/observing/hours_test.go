package observing_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"countersign/internal/availability"
	"countersign/internal/devsetup/setuptest"
	"countersign/internal/logbuffer"
)

// Covers: NM-20, NM-21. Two nodes on one store keep what they answered, without metrics too, and a report adds it; none of it is lost when
// they end.
func TestHours(t *testing.T) {
	i := setuptest.New(t)
	begin := time.Now()
	for node := range 2 {
		c := *i.Config
		c.Audit.Node = fmt.Sprint("node-", node)
		w := &world{t: t, config: &c, log: new(logbuffer.Buffer)}
		t.Run("accepts "+c.Audit.Node, func(t *testing.T) {
			w.t = t
			w.serve()
			client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: i.Roots}}}
			defer client.CloseIdleConnections()
			for path, want := range map[string]int{"/jwks": 200, "/health/live": 200, "/nowhere": 404, "/token": 405} {
				response, err := client.Get(i.Config.Issuer + path)
				if err != nil {
					t.Fatal(err)
				}
				if err := response.Body.Close(); err != nil || response.StatusCode != want {
					t.Errorf("%s: %s %v", path, response.Status, err)
				}
			}
		})
	}
	w := &world{t: t, config: i.Config}
	s := w.open(t)
	defer s.Close()
	hours, err := s.ServiceHours(context.Background(), begin.Add(-time.Hour), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	report, err := availability.New(i.Config.Issuer, begin.UTC().Format("2006-01"), time.UTC, hours, time.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("accepts the report of both", func(t *testing.T) {
		got := map[string][2]int{}
		for _, f := range report.Endpoints {
			got[f.Endpoint] = [2]int{f.Requests, f.Refused}
		}
		if fmt.Sprint(got) != "map[/jwks:[2 0] /token:[2 2]]" {
			t.Errorf("%v", got)
		}
		if strings.Join(report.Nodes, " ") != "node-0 node-1" || report.Uptime.Up < 1 {
			t.Errorf("%v, %+v", report.Nodes, report.Uptime)
		}
		var text bytes.Buffer
		if err := report.Text(&text); err != nil || !strings.Contains(text.String(), "/jwks") {
			t.Errorf("%v\n%s", err, text.String())
		}
	})
	t.Run("refuses names of users and clients", func(t *testing.T) {
		for _, hour := range hours {
			if hour.Endpoint != "" && !strings.HasPrefix(hour.Endpoint, "/") || hour.Hour != hour.Hour.Truncate(time.Hour) {
				t.Errorf("%+v", hour)
			}
		}
	})
}
