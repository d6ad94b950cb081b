package sqlite_test

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
	"countersign/store/sqlite"
)

// fullVariable makes this binary the process that fills a disk: in a mount namespace of its own, where it may mount a small
// one.
const fullVariable = "SQLITE_FULL_DISK"

// TestDiskFull: on a disk that is really full, writes are refused as unavailable and change nothing, reads go on, nothing
// that was acknowledged is lost, and when there is space again all goes on, without a restart. Readiness sees both.
//
// Covers: FD-102.
func TestDiskFull(t *testing.T) {
	if folder, isChild := os.LookupEnv(fullVariable); isChild {
		fillDisk(t, folder)
		return
	}
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	output, err := inMountNamespace(executable, t.TempDir()).CombinedOutput()
	if os.Getuid() != 0 && (err != nil && len(output) == 0 || strings.Contains(string(output), noMount)) {
		// Without user namespaces, which a chroot and some systems do not give, sudo may do.
		output, err = exec.Command("sudo", "-n", "unshare", "--mount", "--propagation", "unchanged",
			"env", fullVariable+"="+t.TempDir(), executable, "-test.run", "^TestDiskFull$", "-test.v").CombinedOutput()
	}
	if err != nil || !strings.Contains(string(output), "the disk was full and has space again") {
		t.Fatalf("a process with a small disk of its own (it needs root, user namespaces, or sudo without a password): %v\n%s", err, output)
	}
	t.Logf("%s", output)
}

// inMountNamespace is this test as the process that fills a disk mounted at folder: in a user namespace too when it is not
// root's.
func inMountNamespace(executable, folder string) *exec.Cmd {
	command := exec.Command(executable, "-test.run", "^TestDiskFull$", "-test.v")
	command.Env = append(os.Environ(), fullVariable+"="+folder)
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		command.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		command.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		command.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return command
}

// noMount is what the process says that may not mount.
const noMount = "mount a small disk"

func fillDisk(t *testing.T, folder string) {
	// In a root that is no mount point, as chroot makes one, the kernel refuses this with EINVAL. The disk may be seen from
	// outside then, and goes with the test.
	if err := syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, ""); err != nil && !errors.Is(err, syscall.EINVAL) {
		t.Fatalf("%s: keep it to this process: %v", noMount, err)
	}
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=4m"); err != nil {
		t.Fatalf("%s: %v", noMount, err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	config := sqlite.Config{File: filepath.Join(folder, "store.db")}
	if _, err := sqlite.Migrate(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(folder, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	request := func(n int) store.Request {
		return store.Request{ID: store.DigestOf(fmt.Sprint("request ", n)), ClientID: "client", CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
			Parameters: json.RawMessage(`"` + strings.Repeat("x", 4000) + `"`)}
	}
	oneTime := func(n int) store.OneTime {
		return store.OneTime{Kind: "dpop", Key: store.DigestOf(fmt.Sprint("jti ", n)), Until: time.Now().Add(time.Hour)}
	}
	acknowledged, refused := 0, 0
	for refused < 20 && acknowledged < 10_000 {
		switch err := s.Push(t.Context(), request(acknowledged), oneTime(acknowledged)); {
		case err == nil:
			acknowledged++
		case errors.Is(err, store.ErrUnavailable) && strings.Contains(err.Error(), "disk is full"):
			refused++
		default:
			t.Fatalf("after %d writes: %v", acknowledged, err)
		}
	}
	if refused < 20 || acknowledged < 10 {
		t.Fatalf("%d writes were acknowledged and %d refused: the disk was not full", acknowledged, refused)
	}
	if err := s.Ping(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a full disk is taken for one that is well: %v", err)
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
	if err := s.Push(t.Context(), request(acknowledged), oneTime(acknowledged)); err != nil {
		t.Fatalf("when there is space again: %v", err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("a disk with space again is not taken for one that is well: %v", err)
	}
	for n := range acknowledged + 1 {
		if err := s.ConsumeOneTime(context.Background(), oneTime(n)); !errors.Is(err, store.ErrReplayed) {
			t.Fatalf("use %d of %d: %v", n, acknowledged, err)
		}
	}
	t.Logf("%d writes were acknowledged; then the disk was full and has space again", acknowledged)
}
