package standin

import (
	"testing"
	"time"
)

// TestKinds: a directory is of a kind that there is; another would serve statements in Brazil's words, and no list.
func TestKinds(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{UK, Brazil, CDR} {
		t.Run("accepts "+kind, func(t *testing.T) {
			if _, err := New(kind, "Example directory", time.Now); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("refuses another", func(t *testing.T) {
		if _, err := New("au", "Example directory", time.Now); err == nil {
			t.Error("made")
		}
	})
}
