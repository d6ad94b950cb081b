package issuing_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"countersign/internal/config"
	"countersign/internal/devsetup/setuptest"
	"countersign/internal/issuers"
)

// measured is a world whose metrics are read at an address; one of its issuers cannot be opened.
func measured(t *testing.T) (w *world, address string, open func()) {
	t.Helper()
	ports, err := setuptest.FreePorts(1)
	must(t, err)
	address = fmt.Sprintf("127.0.0.1:%d", ports[0])
	var hidden string
	w = newWorld(t, func(name string, c *config.Config) {
		switch name {
		case issuers.Main:
			c.Metrics.Listen = address
		case "c":
			hidden = c.Store.File.Path()
			must(t, os.Rename(hidden, hidden+".hidden"))
		}
	}, "b", "c")
	return w, address, func() { must(t, os.Rename(hidden+".hidden", hidden)) }
}

// figures are the metrics as Prometheus reads them.
func figures(t *testing.T, address string) string {
	t.Helper()
	response, err := http.Get("http://" + address + "/metrics")
	must(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	must(t, err)
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", response.StatusCode, text)
	}
	return string(text)
}

// series are the lines of a metric with all of some labels.
func series(text, metric string, labels ...string) (found []string) {
next:
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, metric+"{") {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(line, label) {
				continue next
			}
		}
		found = append(found, strings.TrimSpace(line))
	}
	return found
}

// TestMetricsByIssuer: the metrics of several issuers are served together, each with the name of its issuer, and what one counts is
// nothing of another's.
//
// Covers: NM-190, NM-191, NM-192.
func TestMetricsByIssuer(t *testing.T) {
	t.Parallel()
	w, address, open := measured(t)
	k := newKeys(t)
	w.register("main", "shared", k, nil)
	w.register("b", "shared", k, nil)
	w.serve()
	_, err := w.client("b", "shared", k).Flow(t.Context(), w.browser("b"))
	must(t, err)
	const tokens = "http_server_request_duration_seconds_count"
	t.Run("accepts what an issuer counts, with its name", func(t *testing.T) {
		text := figures(t, address)
		if found := series(text, tokens, `http_route="/token"`, `issuer="b"`, `oauth_outcome="ok"`); len(found) != 1 {
			t.Errorf("%v", found)
		}
		if found := series(text, "countersign_client_requests_total", `oauth_client_id="shared"`, `issuer="b"`); len(found) == 0 {
			t.Error("no client is counted")
		}
		for line := range strings.Lines(text) {
			of := strings.HasPrefix(line, "countersign_") || strings.HasPrefix(line, "http_") || strings.HasPrefix(line, "db_")
			if of && !strings.Contains(line, `issuer="`) {
				t.Errorf("no issuer: %s", line)
			}
		}
	})
	t.Run("refuses to count it at another", func(t *testing.T) {
		text := figures(t, address)
		for _, other := range []string{"main", "c"} {
			if found := series(text, tokens, `http_route="/token"`, `issuer="`+other+`"`); len(found) != 0 {
				t.Errorf("%s: %v", other, found)
			}
		}
		if strings.Count(text, "\ngo_goroutines ") != 1 || strings.Count(text, "\ntarget_info{") != 1 {
			t.Error("what is of the process is not there once")
		}
	})
	t.Run("refuses to hide an issuer that is not open", func(t *testing.T) {
		text := figures(t, address)
		for name, want := range map[string]string{"main": "1", "b": "1", "c": "0"} {
			if found := series(text, "countersign_issuer_open", `issuer="`+name+`"`); len(found) != 1 || !strings.HasSuffix(found[0], "} "+want) {
				t.Errorf("%s: %v", name, found)
			}
		}
		if found := series(text, "countersign_ready", `issuer="c"`); len(found) != 0 {
			t.Errorf("what is not open has metrics: %v", found)
		}
	})
	t.Run("accepts it when it is open", func(t *testing.T) {
		open()
		w.logs("issuer_name=c version=test", 1)
		until(t, "c is shown", func() bool {
			found := series(figures(t, address), "countersign_issuer_open", `issuer="c"`)
			return len(found) == 1 && strings.HasSuffix(found[0], "} 1")
		})
	})
	t.Run("accepts that a changed issuer begins anew, and is shown once", func(t *testing.T) {
		w.change(t, "b", `# access_token_lifetime = "5m"`, `access_token_lifetime = "4m"`)
		w.logs("issuer_name=b version=test", 2)
		w.logs(`msg="issuer closed" issuer_name=b`, 1)
		text := figures(t, address)
		if found := series(text, "countersign_build", `issuer="b"`); len(found) != 1 {
			t.Errorf("%v", found)
		}
		if found := series(text, tokens, `http_route="/token"`, `issuer="b"`, `oauth_outcome="ok"`); len(found) != 0 {
			t.Errorf("%v", found)
		}
	})
	t.Run("refuses a wrong file, and shows that it is not in use", func(t *testing.T) {
		w.change(t, "b", `access_token_lifetime = "4m"`, `access_token_lifetime = "4 apples"`)
		w.logs("issuers not changed; keeping previous", 1)
		until(t, "the configuration of b is not in use", func() bool { // metrics show it within a quarter of a minute
			found := series(figures(t, address), "countersign_configuration_in_use", `issuer="b"`)
			return len(found) == 1 && strings.HasSuffix(found[0], "} 0")
		})
	})
}

// change changes the file of an issuer, and has it read.
func (w *world) change(t *testing.T, name, before, after string) {
	t.Helper()
	file := w.Issuers[name].File
	text, err := os.ReadFile(file)
	must(t, err)
	if !strings.Contains(string(text), before) {
		t.Fatalf("%s has no %s", file, before)
	}
	must(t, os.WriteFile(file, []byte(strings.Replace(string(text), before, after, 1)), 0o600))
	w.told()
}
