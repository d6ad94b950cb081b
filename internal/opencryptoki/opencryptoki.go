// Package opencryptoki makes the software token of opencryptoki, of which a machine has one, for tests and benchmarks. It wants root, and
// leaves a token alone that it did not make.
package opencryptoki

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// state is where opencryptoki keeps the token, and ours tells one that was made here.
	state = "/var/lib/opencryptoki/swtok"
	ours  = state + "/made-by-countersign-test"
	// held is locked by who uses the token. It stays: who waits for it has it open.
	held = "/var/lock/countersign-opencryptoki.lock"
	// pinOfOfficer is that of the token's security officer, and slot its place.
	pinOfOfficer = "76543210"
	slot         = "3"
)

// Module finds opencryptoki's module. An error says why it, or its token, cannot be used here.
func Module() (string, error) {
	modules, err := filepath.Glob("/usr/lib/*/opencryptoki/libopencryptoki.so.0")
	if err != nil || len(modules) == 0 {
		return "", errors.New("opencryptoki's module is not installed; run: apt-get install opencryptoki")
	}
	if os.Geteuid() != 0 {
		return "", errors.New("opencryptoki's daemon wants root")
	}
	_, there := os.Stat(filepath.Join(state, "NVTOK.DAT"))
	if _, made := os.Stat(ours); there == nil && made != nil {
		return "", fmt.Errorf("this machine has an opencryptoki token of its own in %s, which is not touched; run this where there is none", state)
	}
	return modules[0], nil
}

// Lock takes the token for this process, until what it returns is closed; [syscall.EWOULDBLOCK] when another process has it.
func Lock() (*os.File, error) {
	file, err := os.OpenFile(held, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("a test or a benchmark holds opencryptoki's token: %w", err), file.Close())
	}
	return file, nil
}

// Clear removes the token that was made before, while no daemon runs. Only who has the lock may call it.
func Clear() error {
	for _, folder := range []string{"/var/lock/opencryptoki/swtok", state + "/TOK_OBJ"} {
		if err := os.MkdirAll(folder, 0o770); err != nil {
			return err
		}
	}
	if err := os.WriteFile(ours, []byte("This token is made anew by a test.\n"), 0o600); err != nil {
		return err
	}
	for _, pattern := range []string{"/*.DAT", "/MK_*", "/TOK_OBJ/*"} {
		files, err := filepath.Glob(state + pattern)
		if err != nil {
			return err
		}
		for _, file := range files {
			if err := os.Remove(file); err != nil {
				return err
			}
		}
	}
	return nil
}

// Daemon is what every use of the module needs to run. It ends with this process, and does not always listen to SIGTERM.
func Daemon() *exec.Cmd {
	command := exec.Command("pkcsslotd", "-f")
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	return command
}

// Format makes the token by a label. It fails until the daemon is there, which takes its time.
func Format(ctx context.Context, label string) error { return configure(ctx, "-I", "87654321", label) }

// SetPIN sets the PIN of the token's user, after [Format].
func SetPIN(ctx context.Context, pin string) error {
	const first = "11111111"
	return errors.Join(
		configure(ctx, "-P", "87654321", pinOfOfficer, pinOfOfficer),
		configure(ctx, "-u", pinOfOfficer, first, first),
		configure(ctx, "-p", first, pin, pin))
}

// configure has pkcsconf do something, and answers what it asks.
func configure(ctx context.Context, action string, answers ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second) // it waits for a daemon that hangs
	defer cancel()
	command := exec.CommandContext(ctx, "pkcsconf", "-c", slot, action)
	command.Stdin = strings.NewReader(strings.Join(answers, "\n") + "\n")
	output, err := command.CombinedOutput()
	if err != nil || strings.Contains(string(output), "Error") { // its exit code does not tell
		return fmt.Errorf("pkcsconf %s: %v: %s", action, err, output)
	}
	return nil
}
