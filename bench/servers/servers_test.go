package servers

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestConfigure(t *testing.T) {
	file := filepath.Join(t.TempDir(), "countersign.toml")
	if err := os.WriteFile(file, []byte("driver = \"sqlite\"\nfile = \"x\"\n# client_burst = 20\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := configure(file, map[string]string{"driver": `"postgres"`, "file": "", "client_burst": "9"}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := "driver = \"postgres\"\n\nclient_burst = 9\n"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if configure(file, map[string]string{"unknown": "1"}) == nil {
		t.Error("a key that the file does not have was set")
	}
}

// TestTree finds this very process below its parent.
func TestTree(t *testing.T) {
	for _, p := range tree(os.Getppid()) {
		if p.id == os.Getpid() {
			return
		}
	}
	t.Error("the tree of the parent does not hold this process")
}

// TestProcess: a process is killed with its children, and its end and its words are known.
func TestProcess(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	p, err := Run(exec.Command("sh", "-c", "echo here; sleep 60 & sleep 60"), log)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Await(t.Context(), 10*time.Millisecond, 10*time.Second, func(context.Context) bool { return p.Said() == "here" && len(tree(p.ID())) == 3 }); err != nil {
		t.Fatal(err)
	}
	children := tree(p.ID())
	p.Kill()
	for _, child := range children[1:] {
		for deadline := time.Now().Add(10 * time.Second); alive(child.id); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("child %d runs still", child.id)
			}
		}
	}
	if p.Failure() == nil {
		t.Error("the kill is no failure")
	}
	early, err := Run(exec.Command("sh", "-c", "echo gone"), log)
	if err != nil {
		t.Fatal(err)
	}
	if err := early.Await(t.Context(), 10*time.Millisecond, 10*time.Second, func(context.Context) bool { return false }); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Error(err)
	}
	early.End(syscall.SIGTERM)
	if err := early.Failure(); err != nil {
		t.Error(err)
	}
}

// alive reports whether a process runs. Nobody here waits for grandchildren: one may be dead and be there.
func alive(id int) bool {
	state, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(id), "stat"))
	return err == nil && !strings.Contains(string(state), ") Z ")
}
