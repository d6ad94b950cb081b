// Package machine runs a minimal Debian with a systemd of its own, in namespaces of this machine, for tests. It wants root, and the base
// system that `make packages-test` keeps.
package machine

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

//go:embed boot.sh
var boot string

// Machine is a Debian below a folder.
type Machine struct {
	// Root is the folder.
	Root string
	// init is the number of its systemd here; 0 before [Machine.Boot].
	init int
}

// base is the tarball of the system: of the release of this machine where that is a Debian, so that its C library fits.
func base() (string, error) {
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		cache = filepath.Join(home, ".cache")
	}
	name := filepath.Join(cache, "countersign", "debian-base.tar")
	if _, err := os.Stat(name); err != nil {
		return "", fmt.Errorf("the minimal Debian is missing; make packages-test as root gets it: %w", err)
	}
	return name, nil
}

// New unpacks a system that has never run.
func New(t *testing.T) *Machine {
	t.Helper()
	archive, err := base()
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(t.TempDir(), "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.CommandContext(t.Context(), "tar", "--numeric-owner", "-xpf", archive, "-C", root).CombinedOutput(); err != nil {
		t.Fatalf("unpack: %v: %s", err, output)
	}
	return &Machine{Root: root}
}

// Boot starts its systemd, in namespaces for processes, mounts, the network and all else, and waits until it is up. The end of
// the test ends everything in it.
func (m *Machine) Boot(t *testing.T) {
	t.Helper()
	group := "countersign-test-" + strconv.Itoa(os.Getpid())
	script := filepath.Join(t.TempDir(), "boot.sh")
	if err := os.WriteFile(script, []byte(boot), 0o644); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "boot.log"))
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command("unshare", "--pid", "--mount", "--uts", "--ipc", "--net", "--cgroup", "--fork", "--kill-child", "sh", script, m.Root, group)
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill() // and with it, by --kill-child, the systemd and all that it runs
		_ = command.Wait()
		for range 50 {
			if removeGroups(group) == nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Errorf("groups of processes are left in %s", group)
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for ; ctx.Err() == nil; time.Sleep(200 * time.Millisecond) {
		if m.init == 0 {
			m.init = child(command.Process.Pid)
			continue
		}
		state, _ := m.run(ctx, "systemctl is-system-running").CombinedOutput() // fails until it is up
		if word := strings.TrimSpace(string(state)); word == "running" || word == "degraded" {
			return
		}
	}
	text, err := os.ReadFile(log.Name())
	t.Fatalf("the systemd is not up: %s, %v", text, err)
}

// child is the one child of a process; 0 while there is none.
func child(of int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", of))
	if err != nil {
		return 0
	}
	number, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return number
}

// removeGroups removes what the systemd made of cgroups.
func removeGroups(name string) error {
	var problems []error
	for _, top := range []string{"/sys/fs/cgroup/systemd", "/sys/fs/cgroup"} {
		folder := filepath.Join(top, name)
		if _, err := os.Stat(folder); err != nil {
			continue
		}
		output, err := exec.Command("find", folder, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";").CombinedOutput()
		if err != nil || len(output) > 0 {
			problems = append(problems, fmt.Errorf("%w: %s", errors.Join(err, errors.New("not empty")), output))
		}
	}
	return errors.Join(problems...)
}

// run is a script in the machine.
func (m *Machine) run(ctx context.Context, script string) *exec.Cmd {
	environment := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"}
	shell := []string{"bash", "-e", "-u", "-o", "pipefail", "-c", "cd /root\n" + script}
	var command *exec.Cmd
	if m.init == 0 {
		command = exec.CommandContext(ctx, "chroot", append([]string{m.Root}, shell...)...)
	} else {
		arguments := []string{"--target", strconv.Itoa(m.init), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd"}
		command = exec.CommandContext(ctx, "nsenter", append(arguments, shell...)...)
	}
	command.Env = environment
	return command
}

// Try runs a script as root, and returns what it wrote and why it failed.
func (m *Machine) Try(t *testing.T, script string) (string, error) {
	t.Helper()
	output, err := m.run(t.Context(), script).CombinedOutput()
	return string(output), err
}

// Run is [Machine.Try] for what must not fail.
func (m *Machine) Run(t *testing.T, script string) string {
	t.Helper()
	output, err := m.Try(t, script)
	if err != nil {
		t.Fatalf("%s\n%v: %s", script, err, output)
	}
	return output
}
