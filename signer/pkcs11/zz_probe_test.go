package pkcs11_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	raw "github.com/miekg/pkcs11"

	"countersign/signer"
)

func TestProbeFull(t *testing.T) {
	b := open(t, config(newToken(t, t.TempDir())))
	record := generate(t, b, signer.ES256)
	syscall.Kill(b.WorkerPID(), syscall.SIGSTOP)
	var wait sync.WaitGroup
	var mu sync.Mutex
	var worst time.Duration
	message := make([]byte, 4000)
	for range 200 {
		wait.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			defer cancel()
			began := time.Now()
			b.Sign(ctx, record, message)
			mu.Lock()
			worst = max(worst, time.Since(began))
			mu.Unlock()
		})
	}
	wait.Wait()
	t.Logf("worst %s for a deadline of 100ms", worst)
}

func TestProbeAway(t *testing.T) {
	folder := t.TempDir()
	b := open(t, config(newToken(t, folder)))
	record := generate(t, b, signer.ES256)
	os.Rename(filepath.Join(folder, "tokens"), filepath.Join(folder, "away"))
	os.Mkdir(filepath.Join(folder, "tokens"), 0o700)
	for range 3 {
		_, err := b.Sign(t.Context(), record, []byte("m"))
		t.Log("away:", err)
		time.Sleep(100 * time.Millisecond)
	}
	os.Remove(filepath.Join(folder, "tokens"))
	os.Rename(filepath.Join(folder, "away"), filepath.Join(folder, "tokens"))
	for range 5 {
		time.Sleep(500 * time.Millisecond)
		_, err := b.Sign(t.Context(), record, []byte("m"))
		t.Log("back:", err)
	}
}

func TestProbeBig(t *testing.T) {
	b := open(t, config(newToken(t, t.TempDir())))
	record := generate(t, b, signer.ES256)
	pid := b.WorkerPID()
	_, err := b.Sign(t.Context(), record, make([]byte, 300<<10))
	t.Log(err, pid, b.WorkerPID())
}

func TestProbeRequest(t *testing.T) {
	token := newToken(t, t.TempDir())
	inModule(t, token, func(module *raw.Ctx, session raw.SessionHandle) {
		id := raw.NewAttribute(raw.CKA_ID, []byte("x"))
		f := func(a uint) *raw.Attribute { return raw.NewAttribute(a, false) }
		_, _, err := module.GenerateKeyPair(session, []*raw.Mechanism{raw.NewMechanism(raw.CKM_RSA_PKCS_KEY_PAIR_GEN, nil)},
			[]*raw.Attribute{raw.NewAttribute(raw.CKA_TOKEN, true), id, raw.NewAttribute(raw.CKA_MODULUS_BITS, 2048), raw.NewAttribute(raw.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1})},
			[]*raw.Attribute{raw.NewAttribute(raw.CKA_TOKEN, true), id, raw.NewAttribute(raw.CKA_SIGN, true), f(raw.CKA_EXTRACTABLE), raw.NewAttribute(raw.CKA_SENSITIVE, true), raw.NewAttribute(raw.CKA_PRIVATE, true),
				f(raw.CKA_DECRYPT), f(raw.CKA_UNWRAP), f(raw.CKA_SIGN_RECOVER), f(raw.CKA_DERIVE), raw.NewAttribute(raw.CKA_ALLOWED_MECHANISMS, []byte{1, 0, 0, 0, 0, 0, 0, 0})})
		if err != nil {
			t.Fatal(err)
		}
	})
	b := open(t, config(token))
	keys, err := b.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pid := b.WorkerPID()
	_, err = b.Sign(t.Context(), keys[0].Record, []byte("m"))
	time.Sleep(50 * time.Millisecond)
	t.Log(keys[0].Refused, err, errors.Is(err, signer.ErrUnavailable), pid, b.WorkerPID())
}
