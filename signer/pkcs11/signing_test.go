//go:build cgo && !nopkcs11

package pkcs11_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"countersign/signer"
	"countersign/signer/pkcs11"
)

// TestOneCallEach: a signature is one C_SignInit and one C_Sign. Sessions stay open, handles are not looked for again, and
// the module is not asked for the length.
func TestOneCallEach(t *testing.T) {
	m := newFaulty(t, buildFaulty(t), newToken(t, t.TempDir()))
	b := open(t, m.config)
	for _, alg := range algorithms() {
		record := generate(t, b, alg)
		for call, want := range map[string]int{"C_SignInit": 20, "C_Sign": 20, "C_SignLength": 0, "C_OpenSession": 0, "C_FindObjectsInit": 0, "C_Login": 0} {
			before := m.faults()
			m.fails(call + " note")
			for i := range 20 {
				message := fmt.Append(nil, i)
				if signature, err := b.Sign(t.Context(), record, message); err != nil || !signer.Verify(record.Public, alg, message, signature) {
					t.Fatalf("%s: %v", alg, err)
				}
			}
			if got := m.faults() - before; got != want {
				t.Errorf("20 signatures with %s took %d times %s, want %d", alg, got, call, want)
			}
			m.fails("")
		}
	}
}

// TestKeyOfAnotherProcess: a key that another process makes while this one's worker lives is found by that worker, soon.
func TestKeyOfAnotherProcess(t *testing.T) {
	token := newToken(t, t.TempDir())
	b, other := open(t, config(token)), open(t, config(token))
	worker := b.WorkerPID()
	for _, alg := range algorithms() {
		record := generate(t, other, alg)
		for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			signature, err := b.Sign(t.Context(), record, []byte("m"))
			if err == nil {
				if !signer.Verify(record.Public, alg, []byte("m"), signature) {
					t.Errorf("%s: a wrong signature", alg)
				}
				break
			}
			if !errors.Is(err, signer.ErrNoKey) || time.Since(began) > 5*time.Second {
				t.Fatalf("%s: %v", alg, err)
			}
		}
	}
	if now := b.WorkerPID(); now != worker {
		t.Errorf("worker %d, before %d", now, worker)
	}
}

// TestLengthOfDigest: nothing but a digest of SHA-256 reaches the module where one is signed. SoftHSM2 would call it a
// general error, which looks like trouble.
func TestLengthOfDigest(t *testing.T) {
	b := open(t, config(newToken(t, t.TempDir())))
	worker := b.WorkerPID()
	for _, alg := range []signer.Algorithm{signer.PS256, signer.ES256} {
		record := generate(t, b, alg)
		for _, length := range []int{0, 31, 33} {
			_, err := pkcs11.SignInput(t.Context(), b, record, make([]byte, length))
			if err == nil || errors.Is(err, signer.ErrUnavailable) || !strings.Contains(err.Error(), "SHA-256") {
				t.Errorf("%s, %d bytes: %v", alg, length, err)
			}
		}
		if _, err := pkcs11.SignInput(t.Context(), b, record, make([]byte, 32)); err != nil {
			t.Errorf("%s, 32 bytes: %v", alg, err)
		}
	}
	if now := b.WorkerPID(); now != worker {
		t.Errorf("worker %d, before %d", now, worker)
	}
}

// TestRubbishToWorker: a worker that is sent what is no request ends, says why, and is replaced.
func TestRubbishToWorker(t *testing.T) {
	b := open(t, config(newToken(t, t.TempDir())))
	record := generate(t, b, signer.ES256)
	for name, packet := range map[string][]byte{
		"a short one": {1}, "zeros": make([]byte, 80), "a long one": make([]byte, pkcs11.MaxMessage+100),
	} {
		worker := b.WorkerPID()
		if reason := pkcs11.SendToWorker(t, b, packet); !strings.Contains(reason, "broken frame") {
			t.Errorf("%s: the worker ended for %q", name, reason)
		}
		if signature, err := b.Sign(t.Context(), record, []byte("m")); err != nil || !signer.Verify(record.Public, record.Algorithm, []byte("m"), signature) {
			t.Errorf("after %s: %v", name, err)
		}
		if now := b.WorkerPID(); now == worker {
			t.Errorf("after %s it is the same worker", name)
		}
	}
}
