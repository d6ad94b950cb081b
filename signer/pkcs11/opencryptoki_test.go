//go:build cgo && !nopkcs11 && (hsm || opencryptoki)

package pkcs11_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign/signer"
	"countersign/signer/pkcs11"
	"countersign/signer/signertest"
)

// Where opencryptoki keeps its software token, and what a token that was made here is told by.
const (
	cryptokiState = "/var/lib/opencryptoki/swtok"
	cryptokiOurs  = cryptokiState + "/made-by-countersign-test"
)

// openCryptoki's software token has RSA only. It lists elliptic curves where its OpenSSL has them, as Debian's has not.
func openCryptoki() candidate {
	return candidate{
		Module: signertest.Module{
			Name: "opencryptoki", Has: []signer.Algorithm{signer.PS256, signer.RSAOAEP256, signer.RSAOAEP}, Unpinned: true,
		},
		install: newOpenCryptoki,
	}
}

func TestContractOpenCryptoki(t *testing.T) { openCryptoki().hold(t) }

// newOpenCryptoki makes the software token again if a test made it before. The token and its daemon belong to the machine:
// this wants root, and leaves a token alone that is not ours.
func newOpenCryptoki(t testing.TB) (pkcs11.Config, func(testing.TB) func()) {
	t.Helper()
	modules, err := filepath.Glob("/usr/lib/*/opencryptoki/libopencryptoki.so*")
	if err != nil || len(modules) == 0 {
		t.Fatal("opencryptoki's module is not installed; run: apt-get install opencryptoki")
	}
	if os.Geteuid() != 0 {
		t.Fatal("opencryptoki's daemon wants root")
	}
	lockOpenCryptoki(t)
	clearOpenCryptoki(t)
	start := func() (stop func()) { return startSlotDaemon(t) }
	stop := start()
	t.Cleanup(func() { stop() })
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) { // the daemon takes its time
		err := configureCryptoki(t, "87654321\nlab\n", "-I")
		if err == nil {
			break
		}
		if time.Since(began) > 20*time.Second {
			t.Fatal(err)
		}
	}
	for _, step := range [][]string{
		{"87654321\n76543210\n76543210\n", "-P"}, {"76543210\n11111111\n11111111\n", "-u"}, {"11111111\n24681357\n24681357\n", "-p"},
	} {
		if err := configureCryptoki(t, step[0], step[1]); err != nil {
			t.Fatal(err)
		}
	}
	pin := written(t, filepath.Join(t.TempDir(), "pin"), "24681357\n")
	away := func(t testing.TB) func() {
		stop()
		return func() { stop = start() }
	}
	return pkcs11.Config{Module: modules[0], Token: "pkcs11:token=lab", PINFile: pin}, away
}

// lockOpenCryptoki waits for another test on this machine to be done with the token.
func lockOpenCryptoki(t testing.TB) {
	t.Helper()
	file, err := os.OpenFile("/var/lock/countersign-opencryptoki.lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return
		}
		if time.Since(began) > 2*time.Minute {
			t.Fatalf("another test holds opencryptoki's token: %v", err)
		}
	}
}

// clearOpenCryptoki removes what an earlier test left.
func clearOpenCryptoki(t testing.TB) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(cryptokiState, "NVTOK.DAT")); err == nil {
		if _, err := os.Stat(cryptokiOurs); err != nil {
			t.Fatalf("this machine has an opencryptoki token of its own in %s, which is not touched; run this where there is none", cryptokiState)
		}
	}
	for _, folder := range []string{"/var/lock/opencryptoki/swtok", cryptokiState + "/TOK_OBJ"} {
		if err := os.MkdirAll(folder, 0o770); err != nil {
			t.Fatal(err)
		}
	}
	written(t, cryptokiOurs, "This token is made anew by a test.\n")
	for _, pattern := range []string{"/*.DAT", "/MK_*", "/TOK_OBJ/*"} {
		files, err := filepath.Glob(cryptokiState + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// startSlotDaemon starts the daemon that every use of the module needs, and gives the way to end it.
func startSlotDaemon(t testing.TB) (stop func()) {
	t.Helper()
	daemon := exec.Command("pkcsslotd", "-f")
	daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := daemon.Start(); err != nil {
		t.Fatalf("%v; run: apt-get install opencryptoki", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = daemon.Wait() // it ends by a signal
		close(ended)
	}()
	return func() {
		select {
		case <-ended:
			t.Error("pkcsslotd ended by itself; if this machine runs another one, stop that: systemctl stop pkcsslotd")
		default:
		}
		_ = daemon.Process.Signal(syscall.SIGTERM)                                  // it may be gone
		late := time.AfterFunc(2*time.Second, func() { _ = daemon.Process.Kill() }) // it does not always listen
		<-ended
		late.Stop()
	}
}

func configureCryptoki(t testing.TB, input string, arguments ...string) error {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // it waits for a daemon that hangs
	defer cancel()
	command := exec.CommandContext(ctx, "pkcsconf", append([]string{"-c", "3"}, arguments...)...)
	command.Stdin = strings.NewReader(input)
	output, err := command.CombinedOutput()
	if err != nil || strings.Contains(string(output), "Error") { // its exit code does not tell
		return fmt.Errorf("pkcsconf %v: %v: %s", arguments, err, output)
	}
	return nil
}
