package servers

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

// Where opencryptoki keeps its software token, and what one that was made by us is told by, as in the tests of signer/pkcs11.
const (
	cryptokiState = "/var/lib/opencryptoki/swtok"
	cryptokiOurs  = cryptokiState + "/made-by-countersign-test"
	// cryptokiLock is held by who uses the token. It stays: who waits for it has it open.
	cryptokiLock = "/var/lock/countersign-opencryptoki.lock"
)

// CryptokiToken is opencryptoki's software token, of which a machine has one.
type CryptokiToken struct {
	Module, Label, PIN string

	daemon *Process
	lock   *os.File
}

// NoCryptoki says why opencryptoki cannot be used here; nil when it can.
func NoCryptoki() error {
	if modules, err := filepath.Glob("/usr/lib/*/opencryptoki/libopencryptoki.so.0"); err != nil || len(modules) != 1 {
		return errors.New("opencryptoki is not installed: make packages-hsm installs it")
	}
	if os.Geteuid() != 0 {
		return errors.New("opencryptoki's daemon wants root")
	}
	_, there := os.Stat(filepath.Join(cryptokiState, "NVTOK.DAT"))
	if _, ours := os.Stat(cryptokiOurs); there == nil && ours != nil {
		return fmt.Errorf("this machine has an opencryptoki token of its own in %s, which is not touched", cryptokiState)
	}
	return nil
}

// NewCryptoki starts opencryptoki's daemon and makes its software token again. Nobody else has it until it is closed.
func (l *Lab) NewCryptoki(ctx context.Context) (*CryptokiToken, error) {
	if err := NoCryptoki(); err != nil {
		return nil, err
	}
	modules, err := filepath.Glob("/usr/lib/*/opencryptoki/libopencryptoki.so.0")
	if err != nil {
		return nil, err
	}
	t := &CryptokiToken{Module: modules[0], Label: "lab", PIN: "24681357"}
	if t.lock, err = os.OpenFile(cryptokiLock, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(t.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("a test or another benchmark holds opencryptoki's token: %w", err), t.lock.Close())
	}
	if err := t.make(ctx, filepath.Join(l.Folder, "pkcsslotd.log")); err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

func (t *CryptokiToken) make(ctx context.Context, log string) error {
	if err := clearCryptoki(); err != nil {
		return err
	}
	command := exec.Command("pkcsslotd", "-f")
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	var err error
	if t.daemon, err = Run(command, log); err != nil {
		return err
	}
	initialised := func(ctx context.Context) bool { return configureCryptoki(ctx, "87654321\n"+t.Label+"\n", "-I") == nil }
	if err := t.daemon.Await(ctx, 100*time.Millisecond, 20*time.Second, initialised); err != nil {
		return err
	}
	return errors.Join(
		configureCryptoki(ctx, "87654321\n76543210\n76543210\n", "-P"),
		configureCryptoki(ctx, "76543210\n11111111\n11111111\n", "-u"),
		configureCryptoki(ctx, "11111111\n"+t.PIN+"\n"+t.PIN+"\n", "-p"))
}

// clearCryptoki removes the token that we made before.
func clearCryptoki() error {
	for _, folder := range []string{"/var/lock/opencryptoki/swtok", cryptokiState + "/TOK_OBJ"} {
		if err := os.MkdirAll(folder, 0o770); err != nil {
			return err
		}
	}
	if err := os.WriteFile(cryptokiOurs, []byte("This token is made anew by a test.\n"), 0o600); err != nil {
		return err
	}
	for _, pattern := range []string{"/*.DAT", "/MK_*", "/TOK_OBJ/*"} {
		files, err := filepath.Glob(cryptokiState + pattern)
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

func configureCryptoki(ctx context.Context, input string, arguments ...string) error {
	limited, cancel := context.WithTimeout(ctx, 10*time.Second) // it waits for a daemon that hangs
	defer cancel()
	command := exec.CommandContext(limited, "pkcsconf", append([]string{"-c", "3"}, arguments...)...)
	command.Stdin = strings.NewReader(input)
	output, err := command.CombinedOutput()
	if err != nil || strings.Contains(string(output), "Error") { // its exit code does not tell
		return fmt.Errorf("pkcsconf %v: %v: %s", arguments, err, output)
	}
	return nil
}

// close ends the daemon, which does not always listen.
func (t *CryptokiToken) close() error {
	if t.daemon != nil {
		late := time.AfterFunc(2*time.Second, t.daemon.Kill)
		t.daemon.End(syscall.SIGTERM)
		late.Stop()
	}
	return t.lock.Close()
}

// OwnCryptoki has opencryptoki's daemon count for the server, and end with it.
func (s *Server) OwnCryptoki(t *CryptokiToken) {
	s.serves(t.daemon.ID)
	s.onClose(func() {
		if err := t.close(); err != nil {
			fmt.Fprintln(os.Stderr, "bench: opencryptoki's token was not left:", err)
		}
	})
}

// UseCryptoki has the installation sign with keys in the token, of which it has none yet.
func (i *Installation) UseCryptoki(t *CryptokiToken) error {
	pin := filepath.Join(i.Folder, "opencryptoki-pin")
	if err := os.WriteFile(pin, []byte(t.PIN+"\n"), 0o600); err != nil {
		return err
	}
	return configure(i.Config, map[string]string{
		"signer.module": fmt.Sprintf("%q", t.Module), "signer.token": fmt.Sprintf("%q", t.Label), "signer.pin_file": fmt.Sprintf("%q", pin),
	})
}
