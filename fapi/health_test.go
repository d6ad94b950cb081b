package fapi_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"countersign/signer"
)

type health struct {
	Status string            `json:"status"`
	Parts  map[string]string `json:"parts"`
}

func (w *world) health(path string) (int, health) {
	w.t.Helper()
	status, body, _ := w.browser().visit(w.issuer + path)
	var report health
	if err := json.Unmarshal([]byte(body), &report); err != nil {
		w.t.Fatalf("%s answered %s", path, body)
	}
	return status, report
}

func TestHealth(t *testing.T) {
	w := newWorld(t)
	if status, report := w.health("/health/live"); status != http.StatusOK || report.Status != "ok" {
		t.Errorf("live: %d %v", status, report)
	}
	status, report := w.health("/health/ready")
	if status != http.StatusOK || report.Status != "ok" || report.Parts["store"] != "ok" || report.Parts["signer"] != "ok" {
		t.Errorf("ready: %d %v", status, report)
	}
}

// TestReadyNeedsTheHSM: a signature is really made, and a finding is good for a second only.
func TestReadyNeedsTheHSM(t *testing.T) {
	w := newWorld(t)
	w.health("/health/ready")
	w.backend.fail(signer.ErrUnavailable)
	if status, _ := w.health("/health/ready"); status != http.StatusOK {
		t.Errorf("a second has not passed: %d", status)
	}
	w.clock.Advance(time.Second)
	status, report := w.health("/health/ready")
	if status != http.StatusServiceUnavailable || report.Parts["signer"] != "unavailable" || report.Parts["store"] != "ok" {
		t.Errorf("without the HSM: %d %v", status, report)
	}
	if status, _ := w.health("/health/live"); status != http.StatusOK {
		t.Errorf("the process is alive all the same: %d", status)
	}
	w.backend.fail(nil)
	w.clock.Advance(time.Second)
	if status, report := w.health("/health/ready"); status != http.StatusOK {
		t.Errorf("with the HSM back: %d %v", status, report)
	}
}

// TestReadyNeedsTheStore: a store that does not answer makes the node not ready.
func TestReadyNeedsTheStore(t *testing.T) {
	w := newWorld(t)
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	if status, report := w.health("/health/ready"); status != http.StatusServiceUnavailable || report.Parts["store"] != "unavailable" {
		t.Errorf("without the store: %d %v", status, report)
	}
}

// TestDrain: a node that is about to end says so, and answers what still comes.
func TestDrain(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", nil)
	w.server.Drain()
	if status, report := w.health("/health/ready"); status != http.StatusServiceUnavailable || report.Status != "draining" {
		t.Errorf("ready while draining: %d %v", status, report)
	}
	if r := c.push(nil); r.status != http.StatusCreated {
		t.Errorf("a request while draining: %d %s", r.status, r.raw)
	}
}
