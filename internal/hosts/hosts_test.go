package hosts_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"countersign/internal/hosts"
)

// site is one of an issuer, which answers a number.
func site(number int) *hosts.Site {
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, number) })
	return &hosts.Site{
		Issuer: "b", Hosts: []string{"b.example"}, Browsers: answer, Certificates: answer, Ready: func(context.Context) bool { return true },
	}
}

// Covers: NM-199. A request that has found a site which ends meanwhile is answered by the one in its place; where none is, it is refused.
func TestReplaced(t *testing.T) {
	current := site(0)
	table, err := hosts.New(current)
	if err != nil {
		t.Fatal(err)
	}
	handler := table.Handler(false, func() bool { return true })
	ask := func() int {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://b.example/", nil))
		return answer.Code
	}
	t.Run("accepts each request while sites replace each other", func(t *testing.T) {
		var ended atomic.Bool
		var lost, sent atomic.Int64
		var load sync.WaitGroup
		for range 8 {
			load.Go(func() {
				for !ended.Load() {
					sent.Add(1)
					if ask() != http.StatusOK {
						lost.Add(1)
					}
				}
			})
		}
		for n := range 2000 {
			next := site(n + 1)
			if err := table.Set(next); err != nil {
				t.Error(err)
			}
			if !current.End(t.Context()) {
				t.Error("it has not ended")
			}
			current = next
		}
		ended.Store(true)
		load.Wait()
		if lost.Load() > 0 || sent.Load() == 0 {
			t.Errorf("%d of %d requests lost", lost.Load(), sent.Load())
		}
	})
	t.Run("refuses it when there is none", func(t *testing.T) {
		if !current.End(t.Context()) {
			t.Error("it has not ended")
		}
		if status := ask(); status != http.StatusMisdirectedRequest {
			t.Error(status)
		}
	})
}
