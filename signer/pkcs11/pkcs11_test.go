package pkcs11_test

import (
	"bytes"
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	raw "github.com/miekg/pkcs11"

	"countersign/signer"
	"countersign/signer/pkcs11"
	"countersign/softhsm"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == pkcs11.WorkerCommand {
		os.Exit(pkcs11.RunWorker())
	}
	os.Exit(m.Run())
}

func newToken(t testing.TB, folder string) softhsm.Token {
	t.Helper()
	token, err := softhsm.Create(t.Context(), folder, "test", pkcs11.InitialiseToken)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func config(token softhsm.Token) pkcs11.Config {
	return pkcs11.Config{Module: token.Module, Token: token.URI, PINFile: token.PINFile, Environment: token.Environment}
}

func open(t testing.TB, c pkcs11.Config) *pkcs11.Backend {
	t.Helper()
	b, err := pkcs11.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func generate(t testing.TB, b *pkcs11.Backend, alg signer.Algorithm) signer.Record {
	t.Helper()
	record, err := b.Generate(t.Context(), alg)
	if err != nil {
		t.Fatal(err)
	}
	return record
}

func algorithms() []signer.Algorithm {
	return []signer.Algorithm{signer.PS256, signer.ES256, signer.EdDSA}
}

// TestSign makes signatures in SoftHSM2 and verifies them with Go's own cryptography. Enough ES256 ones are made that
// some have a leading zero in r or in s.
func TestSign(t *testing.T) {
	b := open(t, config(newToken(t, t.TempDir())))
	for _, alg := range algorithms() {
		t.Run(string(alg), func(t *testing.T) {
			record := generate(t, b, alg)
			if thumbprint, err := signer.Thumbprint(record.Public); err != nil || thumbprint != record.ID {
				t.Fatalf("kid %s, thumbprint %s, %v", record.ID, thumbprint, err)
			}
			rounds := map[signer.Algorithm]int{signer.PS256: 20, signer.ES256: 1500, signer.EdDSA: 50}[alg]
			for i := range rounds {
				message := fmt.Appendf(nil, "message %d", i)
				signature, err := b.Sign(t.Context(), record, message)
				if err != nil {
					t.Fatal(err)
				}
				if !signer.Verify(record.Public, alg, message, signature) {
					t.Fatalf("signature %d does not verify", i)
				}
				if signer.Verify(record.Public, alg, append(message, '!'), signature) {
					t.Fatal("the signature verifies another message")
				}
			}
		})
	}
}

// TestKeysSurvive finds the same keys in a second worker, with a strict policy on each.
func TestKeysSurvive(t *testing.T) {
	token := newToken(t, t.TempDir())
	first := open(t, config(token))
	made := map[string]signer.Algorithm{}
	for _, alg := range algorithms() {
		made[generate(t, first, alg).ID] = alg
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	keys, err := open(t, config(token)).List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if made[key.Record.ID] != key.Record.Algorithm || key.Refused != "" {
			t.Errorf("key %+v", key)
		}
	}
	if len(keys) != len(made) {
		t.Errorf("%d keys, want %d", len(keys), len(made))
	}
}

// inModule works on a token in this process, as another program on the machine would.
func inModule(t *testing.T, token softhsm.Token, work func(*raw.Ctx, raw.SessionHandle)) {
	t.Helper()
	for name, value := range token.Environment {
		t.Setenv(name, value)
	}
	module := raw.New(token.Module)
	if err := module.Initialize(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := module.Finalize(); err != nil {
			t.Error(err)
		}
		module.Destroy()
	}()
	slots, err := module.GetSlotList(true)
	if err != nil {
		t.Fatal(err)
	}
	session, err := module.OpenSession(slots[0], raw.CKF_SERIAL_SESSION|raw.CKF_RW_SESSION)
	if err != nil {
		t.Fatal(err)
	}
	pin, err := os.ReadFile(token.PINFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := module.Login(session, raw.CKU_USER, strings.TrimSpace(string(pin))); err != nil {
		t.Fatal(err)
	}
	work(module, session)
}

// TestPolicyOfNewKeys reads the attributes of a new key, and tries to misuse it.
func TestPolicyOfNewKeys(t *testing.T) {
	token := newToken(t, t.TempDir())
	generate(t, open(t, config(token)), signer.PS256)
	inModule(t, token, func(module *raw.Ctx, session raw.SessionHandle) {
		if err := module.FindObjectsInit(session, []*raw.Attribute{raw.NewAttribute(raw.CKA_CLASS, raw.CKO_PRIVATE_KEY)}); err != nil {
			t.Fatal(err)
		}
		keys, _, err := module.FindObjects(session, 10)
		if err != nil || len(keys) != 1 {
			t.Fatalf("%d private keys, %v", len(keys), err)
		}
		if err := module.FindObjectsFinal(session); err != nil {
			t.Fatal(err)
		}
		for attribute, want := range map[uint]byte{
			raw.CKA_PRIVATE: 1, raw.CKA_SENSITIVE: 1, raw.CKA_SIGN: 1, raw.CKA_EXTRACTABLE: 0, raw.CKA_MODIFIABLE: 0,
			raw.CKA_DECRYPT: 0, raw.CKA_UNWRAP: 0, raw.CKA_SIGN_RECOVER: 0, raw.CKA_DERIVE: 0, raw.CKA_NEVER_EXTRACTABLE: 1,
			raw.CKA_ALWAYS_SENSITIVE: 1,
		} {
			got, err := module.GetAttributeValue(session, keys[0], []*raw.Attribute{raw.NewAttribute(attribute, nil)})
			if err != nil || len(got[0].Value) != 1 || got[0].Value[0] != want {
				t.Errorf("attribute %#x: %v, %v, want %d", attribute, got, err, want)
			}
		}
		if _, err := module.GetAttributeValue(session, keys[0], []*raw.Attribute{raw.NewAttribute(raw.CKA_PRIVATE_EXPONENT, nil)}); err == nil {
			t.Error("the private exponent can be read")
		}
		if err := module.SetAttributeValue(session, keys[0], []*raw.Attribute{raw.NewAttribute(raw.CKA_DECRYPT, true)}); err == nil {
			t.Error("the key can be made to decrypt")
		}
		if err := module.SignInit(session, []*raw.Mechanism{raw.NewMechanism(raw.CKM_RSA_PKCS, nil)}, keys[0]); err == nil {
			t.Error("the key signs with another mechanism")
		}
	})
}

// TestWeakKey: a key that could leave the HSM is refused, and the attribute named.
func TestWeakKey(t *testing.T) {
	token := newToken(t, t.TempDir())
	inModule(t, token, func(module *raw.Ctx, session raw.SessionHandle) {
		id := raw.NewAttribute(raw.CKA_ID, []byte("weak"))
		_, _, err := module.GenerateKeyPair(session, []*raw.Mechanism{raw.NewMechanism(raw.CKM_RSA_PKCS_KEY_PAIR_GEN, nil)},
			[]*raw.Attribute{raw.NewAttribute(raw.CKA_TOKEN, true), id, raw.NewAttribute(raw.CKA_MODULUS_BITS, 2048), raw.NewAttribute(raw.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1})},
			[]*raw.Attribute{raw.NewAttribute(raw.CKA_TOKEN, true), id, raw.NewAttribute(raw.CKA_SIGN, true), raw.NewAttribute(raw.CKA_EXTRACTABLE, true), raw.NewAttribute(raw.CKA_SENSITIVE, true), raw.NewAttribute(raw.CKA_PRIVATE, true)})
		if err != nil {
			t.Fatal(err)
		}
	})
	b := open(t, config(token))
	keys, err := b.List(t.Context())
	if err != nil || len(keys) != 1 {
		t.Fatalf("%v, %v", keys, err)
	}
	if keys[0].Refused != "CKA_EXTRACTABLE must be false" {
		t.Errorf("refused because of %q", keys[0].Refused)
	}
	if _, err := b.Sign(t.Context(), keys[0].Record, []byte("m")); !errors.Is(err, signer.ErrNoKey) {
		t.Errorf("signed with a weak key: %v", err)
	}
}

// TestOperatorsMistakes: each is said in one line, and none shows a PIN.
func TestOperatorsMistakes(t *testing.T) {
	token := newToken(t, t.TempDir())
	wrong := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(wrong, []byte("9999-canary\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	loose := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(loose, []byte("9999-canary\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		change func(*pkcs11.Config)
		want   string
	}{
		"a wrong PIN":           {func(c *pkcs11.Config) { c.PINFile = wrong }, "refuses the PIN"},
		"a PIN all can read":    {func(c *pkcs11.Config) { c.PINFile = loose }, "chmod 600"},
		"no PIN file":           {func(c *pkcs11.Config) { c.PINFile = "/nowhere/pin" }, "PIN file"},
		"no such module":        {func(c *pkcs11.Config) { c.Module = "/nowhere/module.so" }, "cannot be loaded"},
		"no such token":         {func(c *pkcs11.Config) { c.Token = "pkcs11:token=other" }, `no token labelled "other"`},
		"no address":            {func(c *pkcs11.Config) { c.Token = "other" }, "RFC 7512"},
		"a PIN in the address":  {func(c *pkcs11.Config) { c.Token = "pkcs11:token=test?pin-value=9999-canary" }, "refused"},
		"a binary that is none": {func(c *pkcs11.Config) { c.Executable = "/nowhere/countersign" }, "start the worker"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := config(token)
			test.change(&c)
			b, err := pkcs11.Open(t.Context(), c)
			if err == nil {
				b.Close()
				t.Fatal("accepted")
			}
			if text := err.Error(); !strings.Contains(text, test.want) || strings.Contains(text, "\n") || strings.Contains(text, "canary") {
				t.Errorf("said %q, want one line with %q", text, test.want)
			}
		})
	}
}

// TestWorkerKilled kills workers under load: whatever comes out is right, and it goes on.
func TestWorkerKilled(t *testing.T) {
	b := open(t, config(newToken(t, t.TempDir())))
	record := generate(t, b, signer.ES256)
	stop := make(chan struct{})
	var good, failed atomic.Int64
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				message := fmt.Appendf(nil, "message %d", i)
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
				signature, err := b.Sign(ctx, record, message)
				cancel()
				switch {
				case err == nil && !signer.Verify(record.Public, signer.ES256, message, signature):
					t.Error("a wrong signature")
				case err == nil:
					good.Add(1)
				case !errors.Is(err, signer.ErrUnavailable):
					t.Errorf("error %v", err)
				default:
					failed.Add(1)
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	for range 5 {
		time.Sleep(200 * time.Millisecond)
		if pid := b.WorkerPID(); pid != 0 {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		}
	}
	time.Sleep(300 * time.Millisecond)
	before := good.Load()
	time.Sleep(300 * time.Millisecond)
	if good.Load() == before {
		t.Error("no signature after the last worker was killed")
	}
	close(stop)
	wait.Wait()
	t.Logf("%d signatures, %d refusals", good.Load(), failed.Load())
}

// stopWorker stops a worker and waits until every thread of it stands still.
func stopWorker(t *testing.T, b *pkcs11.Backend) {
	t.Helper()
	pid := b.WorkerPID()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for range 500 {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil || len(threads) == 0 {
			t.Fatalf("the worker's threads: %v, %v", threads, err)
		}
		moving := 0
		for _, thread := range threads {
			stat, err := os.ReadFile(thread)
			if err == nil && !strings.Contains(string(stat), ") T ") {
				moving++
			}
		}
		if moving == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("the worker did not stop")
}

// TestHang stops the worker: callers go at their deadline, and the next worker serves.
func TestHang(t *testing.T) {
	c := config(newToken(t, t.TempDir()))
	c.SignTimeout = 300 * time.Millisecond
	b := open(t, c)
	record := generate(t, b, signer.ES256)
	stopWorker(t, b)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := b.Sign(ctx, record, []byte("m"))
	if !errors.Is(err, signer.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if took := time.Since(began); took > 150*time.Millisecond {
		t.Errorf("the deadline of 100 ms was honoured after %s", took)
	}
	long, cancelLong := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancelLong()
	if _, err := b.Sign(long, record, []byte("m")); err != nil {
		t.Errorf("after the hang: %v", err)
	}
}

// TestOverload: what does not fit into the queue is refused at once.
func TestOverload(t *testing.T) {
	c := config(newToken(t, t.TempDir()))
	c.Queue = 2
	b := open(t, c)
	record := generate(t, b, signer.ES256)
	stopWorker(t, b)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	var wait sync.WaitGroup
	var overloaded atomic.Int64
	for range 10 {
		wait.Go(func() {
			if _, err := b.Sign(ctx, record, []byte("m")); errors.Is(err, signer.ErrOverloaded) {
				overloaded.Add(1)
			}
		})
	}
	wait.Wait()
	if overloaded.Load() != 8 {
		t.Errorf("%d of 10 refused, want 8", overloaded.Load())
	}
}

// TestOtherToken: a token made anew under the same label and PIN holds other keys, and none signs for the old kid.
func TestOtherToken(t *testing.T) {
	folder := t.TempDir()
	token := newToken(t, folder)
	b := open(t, config(token))
	record := generate(t, b, signer.ES256)
	if err := os.RemoveAll(filepath.Join(folder, "tokens")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(folder, "initialised")); err != nil {
		t.Fatal(err)
	}
	newToken(t, folder)
	other := open(t, config(token))
	generate(t, other, signer.ES256)
	if _, err := other.Sign(t.Context(), record, []byte("m")); !errors.Is(err, signer.ErrNoKey) {
		t.Errorf("a new worker: %v", err)
	}
	for range 3 { // the old worker notices that its objects are gone, and its successor finds other ones
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		signature, err := b.Sign(ctx, record, []byte("m"))
		cancel()
		if err == nil && !signer.Verify(record.Public, signer.ES256, []byte("m"), signature) {
			t.Error("the old worker signed with another key")
		}
	}
}

// TestPINLeavesNoTrace looks for the PIN where it must not be.
func TestPINLeavesNoTrace(t *testing.T) {
	token := newToken(t, t.TempDir())
	var log bytes.Buffer
	c := config(token)
	c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	b := open(t, c)
	generate(t, b, signer.ES256)
	pin, err := os.ReadFile(token.PINFile)
	if err != nil {
		t.Fatal(err)
	}
	pin = bytes.TrimSpace(pin)
	for _, file := range []string{"cmdline", "environ"} {
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", b.WorkerPID(), file))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, pin) {
			t.Errorf("the PIN is in /proc/PID/%s", file)
		}
		if file == "environ" && bytes.Contains(content, []byte("PATH=")) {
			t.Error("the worker inherited the environment")
		}
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", b.WorkerPID()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(limits)) {
		if fields := strings.Fields(line); strings.HasPrefix(line, "Max core file size") && fields[4] != "0" {
			t.Errorf("core dumps are possible: %s", line)
		}
	}
	if bytes.Contains(log.Bytes(), pin) {
		t.Error("the PIN is in the log")
	}
}

// TestWorkerEndsWithItsParent: no orphan keeps the HSM's session.
func TestWorkerEndsWithItsParent(t *testing.T) {
	b := open(t, config(newToken(t, t.TempDir())))
	pid := b.WorkerPID()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
			if _, err := b.Sign(t.Context(), signer.Record{ID: strings.Repeat("a", 43), Algorithm: signer.ES256}, nil); !errors.Is(err, signer.ErrUnavailable) {
				t.Errorf("after Close: %v", err)
			}
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("the worker is still there")
}

func TestDestroy(t *testing.T) {
	b := open(t, config(newToken(t, t.TempDir())))
	record := generate(t, b, signer.ES256)
	if err := b.Destroy(t.Context(), record.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Sign(t.Context(), record, []byte("m")); !errors.Is(err, signer.ErrNoKey) {
		t.Errorf("signed with a destroyed key: %v", err)
	}
	if err := b.Destroy(t.Context(), record.ID); !errors.Is(err, signer.ErrNoKey) {
		t.Errorf("destroyed twice: %v", err)
	}
}

func TestRSASize(t *testing.T) {
	record := generate(t, open(t, config(newToken(t, t.TempDir()))), signer.PS256)
	if key, ok := record.Public.(*rsa.PublicKey); !ok || key.N.BitLen() != 2048 || key.E != 65537 {
		t.Errorf("key %v", record.Public)
	}
}

func BenchmarkSign(b *testing.B) {
	backend := open(b, config(newToken(b, b.TempDir())))
	for _, alg := range algorithms() {
		record := generate(b, backend, alg)
		message := bytes.Repeat([]byte("m"), 700)
		b.Run(string(alg), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := backend.Sign(b.Context(), record, message); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(string(alg)+"/parallel", func(b *testing.B) {
			b.SetParallelism(8)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					if _, err := backend.Sign(context.Background(), record, message); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
