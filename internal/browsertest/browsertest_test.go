package browsertest

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// recorded is a testing.TB that keeps failures to itself.
type recorded struct {
	testing.TB
	failures []string
}

func (r *recorded) Helper()                   {}
func (r *recorded) Error(arguments ...any)    { r.failures = append(r.failures, arguments[0].(string)) }
func (r *recorded) Errorf(f string, _ ...any) { r.failures = append(r.failures, f) }

// TestFindings: a browser that finds nothing is worth nothing. A bad page must be noticed for each of its faults.
func TestFindings(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'")
		_, _ = io.WriteString(w, `<!DOCTYPE html><title></title><link rel="icon" href="data:,">
			<h1>One</h1><h1>Two</h1><input><button></button>
			<p id="a" style="width: 5000px">wide</p><b id="a"></b><i aria-describedby="none"></i><a href="#nowhere">x</a>
			<pre>`+strings.Repeat("wide", 2000)+`</pre>
			<script>alert(1)</script>`)
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)

	faults := &recorded{TB: t}
	b := Open(t, server.Certificate())
	b.Visit(server.URL)
	b.t = faults
	b.CheckAccessibility()
	b.Done()
	found := strings.Join(faults.failures, "\n")
	for _, want := range []string{
		"has no name", "the page has %d of %q", "no title", "no language", "scrolls to the side", "a target is only",
		"is there twice", "nothing has the id none", "leads nowhere: #nowhere", "the browser complains",
	} {
		if !strings.Contains(found, want) {
			t.Errorf("%q was not noticed; found:\n%s", want, found)
		}
	}
}
