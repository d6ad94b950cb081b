//go:build cgo && !nopkcs11

package pkcs11_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"countersign/signer"
	"countersign/signer/pkcs11"
	"countersign/signer/signertest"
)

// candidate is a module that is held to the contract.
type candidate struct {
	signertest.Module
	// install makes an empty token of its own for the test. away takes it away, as a device that is unplugged, and gives
	// the way back.
	install func(t testing.TB) (config pkcs11.Config, away func(t testing.TB) (back func()))
}

// outcome is what a candidate did.
type outcome struct {
	kept         map[signer.Algorithm]bool
	killed, away bool
}

// hold holds a candidate to the contract, and then kills its worker and takes its token away.
func (c candidate) hold(t *testing.T) outcome {
	config, away := c.install(t)
	b := open(t, config)
	result := outcome{kept: signertest.Run(t, b, c.Module)}
	result.killed = t.Run("signs after its worker is killed", func(t *testing.T) {
		record := generate(t, b, c.Has[0])
		for range 3 {
			killWorker(t, b)
			signsAgain(t, b, record)
		}
	})
	result.away = t.Run("fails closed while its token is away, and signs when it is back", func(t *testing.T) {
		record := generate(t, b, c.Has[0])
		back := away(t)
		killWorker(t, b)
		if signature, err := b.Sign(t.Context(), record, []byte("m")); !errors.Is(err, signer.ErrUnavailable) {
			t.Errorf("while the token was away: signature %x, %v", signature, err)
		}
		back()
		signsAgain(t, b, record)
	})
	return result
}

// moved takes a file or folder away and gives the way back.
func moved(t testing.TB, here string) (back func()) {
	t.Helper()
	if err := os.Rename(here, here+".away"); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := os.RemoveAll(here); err != nil { // a module may have left something in its place
			t.Fatal(err)
		}
		if err := os.Rename(here+".away", here); err != nil {
			t.Fatal(err)
		}
	}
}

// signsAgain waits for a good signature; what comes before it says that the HSM is unavailable, and nothing else.
func signsAgain(t testing.TB, b *pkcs11.Backend, record signer.Record) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		signature, err := b.Sign(t.Context(), record, []byte("m"))
		switch {
		case err == nil && signer.Verify(record.Public, record.Algorithm, []byte("m"), signature):
			return
		case err == nil:
			t.Fatalf("a wrong signature: %x", signature)
		case !errors.Is(err, signer.ErrUnavailable):
			t.Fatal(err)
		case time.Since(began) > 20*time.Second:
			t.Fatalf("it does not sign: %v", err)
		}
	}
}
