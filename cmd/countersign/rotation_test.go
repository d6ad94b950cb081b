package main

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/internal/config"
	"countersign/signer"
	"countersign/store"
)

// TestRotationByNodes: two nodes that look at the same moment make one key, and nobody is ever without an active one.
func TestRotationByNodes(t *testing.T) {
	i := newInstallation(t)
	c, err := config.Load(i.config())
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	now := time.Now()
	clock := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}
	d, err := newDatabase(c, clock, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	backend, err := openBackend(t.Context(), c.Signer, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { backend.Close() })
	plan := schedule(c)
	plan.Every = 24 * time.Hour
	var log strings.Builder
	node := rotation{schedule: plan, store: s, backend: backend, now: clock, log: slog.New(slog.NewTextHandler(&log, nil))}

	// states counts the keys with PS256 in each state, after both nodes have looked.
	states := func(after time.Duration) map[string]int {
		t.Helper()
		mu.Lock()
		now = now.Add(after)
		mu.Unlock()
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				if err := node.step(t.Context()); err != nil {
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
	first := active(t, s)
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
	second := active(t, s)
	if second.ID == first.ID {
		t.Error("the same key signs")
	}
	record, err := recordOf(second)
	if err != nil {
		t.Fatal(err)
	}
	if err := try(t.Context(), backend, record); err != nil {
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

// active is the active PS256 key.
func active(t *testing.T, s store.Keys) store.Key {
	t.Helper()
	keys, err := s.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if k.Algorithm == "PS256" && k.State == string(signer.Active) {
			return k
		}
	}
	t.Fatal("no active key")
	return store.Key{}
}
