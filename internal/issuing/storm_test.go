package issuing_test

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Covers: NM-199. The file of an issuer is written again and again, with a signal each time, under load: no request is lost at it or at
// another, and in the end it is served as was written last.
func TestStorm(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, "b")
	k := newKeys(t)
	w.register("b", "shared", k, nil)
	w.serve()
	const discovery = "/.well-known/openid-configuration"
	ask := func(through *http.Client, name string) (int, error) {
		response, err := through.Get(w.Issuers[name].Config.Issuer + discovery)
		if err != nil {
			return 0, err
		}
		return response.StatusCode, response.Body.Close()
	}
	var ended atomic.Bool
	var sent, lost atomic.Int64
	var problem atomic.Pointer[string]
	var load sync.WaitGroup
	for n := range 4 {
		through, name := &http.Client{Transport: w.Transport(nil), Timeout: 30 * time.Second}, []string{"main", "b"}[n%2]
		load.Go(func() {
			for !ended.Load() {
				sent.Add(1)
				if status, err := ask(through, name); err != nil || status != http.StatusOK {
					lost.Add(1)
					text := fmt.Sprint(name, " ", status, " ", err)
					problem.Store(&text)
				}
			}
		})
	}
	file := w.Issuers["b"].File
	text, err := os.ReadFile(file)
	must(t, err)
	lifetime := regexp.MustCompile(`(?m)^(# )?access_token_lifetime = .*$`)
	if !lifetime.Match(text) {
		t.Fatalf("no access_token_lifetime in\n%s", text)
	}
	t.Run("accepts one change after another, without waiting for any", func(t *testing.T) {
		for n := range 12 {
			must(t, os.WriteFile(file, lifetime.ReplaceAll(text, fmt.Appendf(nil, `access_token_lifetime = "%ds"`, 200+n)), 0o600))
			select {
			case w.reload <- os.Interrupt: // any signal: they come by the channel of SIGHUP
			default: // as signals that come while one waits
			}
			time.Sleep(40 * time.Millisecond)
		}
		w.told()
		until(t, "all that was replaced is closed, and what was written last is served", func() bool {
			return w.opened("b") > 1 && w.opened("b") == w.closed("b")+1
		})
		until(t, "what was written last is served", func() bool {
			tokens, err := w.client("b", "shared", k).Flow(t.Context(), w.browser("b"))
			must(t, err)
			return tokens.ExpiresIn == 211
		})
	})
	ended.Store(true)
	load.Wait()
	t.Run("refuses to lose a request", func(t *testing.T) {
		if text := problem.Load(); text != nil {
			t.Errorf("%d of %d requests lost: %s", lost.Load(), sent.Load(), *text)
		}
		if sent.Load() < 20 {
			t.Errorf("only %d requests were sent", sent.Load())
		}
	})
}

// opened is how often an issuer was opened and served, and closed how often it was closed.
func (w *world) opened(name string) int {
	return len(regexp.MustCompile(`msg=ready issuer_name=`+name+` `).FindAllString(w.log.String(), -1))
}

func (w *world) closed(name string) int {
	return len(regexp.MustCompile(`msg="issuer closed" issuer_name=`+name+`\b`).FindAllString(w.log.String(), -1))
}
