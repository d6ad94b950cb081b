package main

import (
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestKillReplicas: with one of two HSM replicas killed every second, no request fails and no signature is wrong.
func TestKillReplicas(t *testing.T) {
	folder := t.TempDir()
	binary := filepath.Join(folder, "countersign")
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../cmd/countersign").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	m := &machine{settings: settings{binary: binary, workers: 4}, folder: folder}
	total, err := m.killReplicas(t.Context(), 5*time.Second)
	if err != nil {
		t.Error(err)
	}
	if total.Killed < 2 || total.Flows == 0 || total.Failed != 0 || total.WrongSignatures != 0 {
		t.Error(total)
	}
	t.Log(total)
}
