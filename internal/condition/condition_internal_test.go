package condition

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"countersign/store"
)

// Covers: FD-111, FD-114, FD-115. What changes about the connection to the store is in the log, once, and so is its end.
func TestFD111Logged(t *testing.T) {
	var logged strings.Builder
	log := slog.New(slog.NewTextHandler(&logged, nil))
	wrong := store.Condition{
		Clock: &store.ClockError{Ahead: 5 * time.Minute}, Notifications: store.ErrUnavailable, Address: store.ErrUnavailable,
	}
	steps := []struct {
		now  store.Condition
		want []string
	}{
		{store.Condition{}, nil},
		{wrong, []string{
			`level=ERROR msg="clock differs from the database's; not serving" error="the clock of this machine is 5m0s ahead of the database's`,
			`level=WARN msg="database notifications do not arrive; polling for changes"`, `level=ERROR msg="file reload failed; keeping previous" key=store.url_file`,
		}},
		{wrong, nil},
		{store.Condition{}, []string{`msg="clock agrees with the database's again; serving"`, `msg="database notifications arrive again"`, "event=files_reloaded"}},
	}
	var before store.Condition
	for i, step := range steps {
		logged.Reset()
		before = differ(t.Context(), log, before, step.now)
		if strings.Count(logged.String(), "\n") != len(step.want) {
			t.Errorf("step %d:\n%s", i, logged.String())
		}
		for _, want := range step.want {
			if !strings.Contains(logged.String(), want) {
				t.Errorf("step %d lacks %s:\n%s", i, want, logged.String())
			}
		}
	}
}
