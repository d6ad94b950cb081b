//go:build linux && root

package postgres_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign/store"
	"countersign/store/postgres"
)

// fullVariable makes this binary the process that fills a disk, in a mount namespace of its own. Only root can give
// PostgreSQL's user a file system, so this test is built for root alone.
const fullVariable = "POSTGRES_FULL_DISK"

// TestDiskFull: when PostgreSQL's disk is really full, writes are refused as unavailable and leave nothing, nothing that was
// acknowledged is lost, and when there is space again all goes on with the same connections.
func TestDiskFull(t *testing.T) {
	if _, isChild := os.LookupEnv(fullVariable); isChild {
		fillDisk(t)
		return
	}
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// All above it has to let PostgreSQL's user pass, which a test's own folder does not.
	place, err := os.MkdirTemp("", "full")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(place); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(place, 0o755); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(executable, "-test.run", "^TestDiskFull$", "-test.v")
	command.Env = append(os.Environ(), fullVariable+"=yes", "TMPDIR="+place)
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	output, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "the disk was full and has space again") {
		t.Fatalf("%v\n%s", err, output)
	}
	t.Logf("%s", output)
}

func fillDisk(t *testing.T) {
	place := os.TempDir()
	// In a root that is no mount point, as chroot makes one, the kernel refuses this with EINVAL. The disk may be seen from
	// outside then, and goes with the test.
	if err := syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, ""); err != nil && !errors.Is(err, syscall.EINVAL) {
		t.Fatalf("keep mounts to this process: %v", err)
	}
	if err := syscall.Mount("tmpfs", place, "tmpfs", 0, "size=160m,mode=1777"); err != nil {
		t.Fatalf("mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(place, syscall.MNT_DETACH); err != nil { // PostgreSQL still runs on it
			t.Error(err)
		}
	})
	database := migrated(t, cluster.Database(t))
	s, err := postgres.Open(t.Context(), postgres.Config{URL: database})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ballast := filepath.Join(place, "ballast")
	fill, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for written := 0; written < 200<<20; written += 64 << 10 {
		if _, err := fill.Write(make([]byte, 64<<10)); err != nil {
			break // full
		}
	}
	if err := fill.Truncate(max(0, size(t, fill)-512<<10)); err != nil {
		t.Fatal(err)
	}
	if err := fill.Close(); err != nil {
		t.Fatal(err)
	}
	request := func(n int) store.Request {
		return store.Request{ID: store.DigestOf(fmt.Sprint("request ", n)), ClientID: "client", CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
			Parameters: json.RawMessage(`"` + strings.Repeat("x", 1500) + fmt.Sprint(n) + `"`)}
	}
	acknowledged, refused := 0, 0
	for refused < 20 && acknowledged < 10_000 {
		switch err := s.Push(t.Context(), request(acknowledged), oneUse(fmt.Sprint(acknowledged))); {
		case err == nil:
			acknowledged++
		case errors.Is(err, store.ErrUnavailable) && strings.Contains(err.Error(), "No space left"):
			refused++
		default:
			t.Fatalf("after %d writes: %v", acknowledged, err)
		}
	}
	if refused < 20 || acknowledged < 10 {
		t.Fatalf("%d writes were acknowledged and %d refused: the disk was not full", acknowledged, refused)
	}
	for n := range acknowledged { // reads go on
		if _, err := s.Open(t.Context(), request(n).ID, store.Digest{}); err != nil {
			t.Fatalf("request %d of %d on a full disk: %v", n, acknowledged, err)
		}
	}
	if _, err := s.Open(t.Context(), request(acknowledged).ID, store.Digest{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a refused write has left something: %v", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := s.Push(t.Context(), request(acknowledged), oneUse(fmt.Sprint(acknowledged))); err != nil {
		t.Fatalf("when there is space again: %v", err)
	}
	for n := range acknowledged + 1 {
		if err := s.ConsumeOneTime(context.Background(), oneUse(fmt.Sprint(n))); !errors.Is(err, store.ErrReplayed) {
			t.Fatalf("use %d of %d: %v", n, acknowledged, err)
		}
	}
	t.Logf("%d writes were acknowledged; then the disk was full and has space again", acknowledged)
}

func size(t *testing.T, file *os.File) int64 {
	t.Helper()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
