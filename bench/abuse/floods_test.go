//go:build !race

package main

import (
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Covers: FD-63. Beside 200 connections of wrong passwords, from one address and from many, honest users sign in within a
// second.
func TestPasswordFloods(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "countersign")
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../cmd/countersign").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	for _, f := range passwordFloods() {
		t.Run("accepts honest users beside "+f.name, func(t *testing.T) {
			var err error
			for range 3 { // what else the machine does must not count
				var r result
				if r, err = (settings{binary: binary, length: 4 * time.Second}).flood(t.Context(), "sqlite", f); err != nil {
					t.Fatal(err)
				}
				t.Log(r)
				if throttled := r.answers[http.StatusTooManyRequests]; throttled < r.sent/4 {
					t.Errorf("%d of %d guesses were throttled: the flood is not held back", throttled, r.sent)
				}
				if err = faults([]result{r}); err == nil {
					return
				}
			}
			t.Error(err)
		})
	}
}
