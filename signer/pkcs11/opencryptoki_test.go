//go:build cgo && !nopkcs11 && (hsm || opencryptoki)

package pkcs11_test

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"countersign/internal/opencryptoki"
	"countersign/signer"
	"countersign/signer/pkcs11"
	"countersign/signer/signertest"
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
	module, err := opencryptoki.Module()
	if err != nil {
		t.Fatal(err)
	}
	lockOpenCryptoki(t)
	if err := opencryptoki.Clear(); err != nil {
		t.Fatal(err)
	}
	start := func() (stop func()) { return startSlotDaemon(t) }
	stop := start()
	t.Cleanup(func() { stop() })
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) { // the daemon takes its time
		err := opencryptoki.Format(t.Context(), "lab")
		if err == nil {
			break
		}
		if time.Since(began) > 20*time.Second {
			t.Fatal(err)
		}
	}
	if err := opencryptoki.SetPIN(t.Context(), "24681357"); err != nil {
		t.Fatal(err)
	}
	pin := written(t, filepath.Join(t.TempDir(), "pin"), "24681357\n")
	away := func(t testing.TB) func() {
		stop()
		return func() { stop = start() }
	}
	return pkcs11.Config{Module: module, Token: "pkcs11:token=lab", PINFile: pin}, away
}

// lockOpenCryptoki waits for another test on this machine to be done with the token.
func lockOpenCryptoki(t testing.TB) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		file, err := opencryptoki.Lock()
		if err == nil {
			t.Cleanup(func() { file.Close() })
			return
		}
		if time.Since(began) > 2*time.Minute {
			t.Fatal(err)
		}
	}
}

// startSlotDaemon starts the daemon that every use of the module needs, and gives the way to end it.
func startSlotDaemon(t testing.TB) (stop func()) {
	t.Helper()
	daemon := opencryptoki.Daemon()
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
