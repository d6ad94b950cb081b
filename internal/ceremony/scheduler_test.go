package ceremony_test

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/internal/ceremony"
	"countersign/internal/hsm"
	"countersign/signer"
)

// TestSchedulerNodes: two nodes that look at the same moment make one key, and at no moment is none active.
func TestSchedulerNodes(t *testing.T) {
	w := newWorld(t)
	w.must(w.ceremony().Generate(t.Context(), "PS256", nil, true))
	holder, s := w.holder(), w.store
	var log strings.Builder
	node := ceremony.Scheduler{
		Schedule: signer.Schedule{TokenLifetime: 10 * time.Minute, Every: 24 * time.Hour},
		Store:    s, Holder: holder, Now: w.clock, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	}

	// states counts the keys with PS256 in each state, after both nodes have looked.
	states := func(after time.Duration) map[string]int {
		t.Helper()
		w.advance(after)
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				if err := node.Step(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		keys, err := s.Keys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		count := map[string]int{}
		for _, k := range keys {
			if k.Algorithm == "PS256" {
				count[k.State]++
			}
		}
		return count
	}
	first := w.key("PS256", signer.Active)
	for _, step := range []struct {
		name                        string
		after                       time.Duration
		published, active, retiring int
	}{
		{"before its time", 23 * time.Hour, 0, 1, 0},
		{"the successor is published", 56 * time.Minute, 1, 1, 0},
		{"it waits for its time", time.Minute, 1, 1, 0},
		{"both sign", 10 * time.Minute, 0, 2, 0},
		{"the older retires", time.Minute, 0, 1, 1},
		{"and that is all", time.Hour, 0, 1, 1},
	} {
		got := states(step.after)
		if step.active == 2 && got["active"] == 1 && got["retiring"] == step.retiring+1 {
			// The node that looks after the other has activated the successor retires the older at once.
			got["active"], got["retiring"] = 2, step.retiring
		}
		if got["published"] != step.published || got["active"] != step.active || got["retiring"] != step.retiring {
			t.Fatalf("%s: %v, want %+v", step.name, got, step)
		}
	}
	second := w.key("PS256", signer.Active)
	if second.ID == first.ID {
		t.Error("the same key signs")
	}
	record, err := hsm.Record(second)
	if err != nil {
		t.Fatal(err)
	}
	if err := ceremony.Try(t.Context(), holder, record); err != nil {
		t.Error(err)
	}

	// The key that signs is copied to a second HSM; its successor has to be as well, and the log asks for that, once an hour.
	if err := s.SetKeyURIs(t.Context(), second.ID, second.URIs, append(slices.Clone(second.URIs), "pkcs11:token=other")); err != nil {
		t.Fatal(err)
	}
	const asks = "keys import-replica"
	if got := states(22*time.Hour + 55*time.Minute); got["published"] != 1 || strings.Contains(log.String(), asks) {
		t.Errorf("%v, log %s", got, log.String())
	}
	for hour := range 3 {
		for range 3 {
			if got := states(20 * time.Minute); got["published"] != 1 || got["active"] != 1 {
				t.Errorf("a key that is not on every HSM is taken: %v", got)
			}
		}
		if got := strings.Count(log.String(), asks); got != hour+1 {
			t.Errorf("in hour %d the log asked %d times for a copy", hour+1, got)
		}
	}
	keys, err := s.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if k.Algorithm == "PS256" && k.State == string(signer.Published) {
			if err := s.SetKeyURIs(t.Context(), k.ID, k.URIs, append(slices.Clone(k.URIs), "pkcs11:token=other")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := states(time.Minute); got["published"] != 0 || got["active"]+got["retiring"] != 3 {
		t.Errorf("with its copy the successor does not sign: %v", got)
	}
}
