//go:build cgo && !nopkcs11

package crypto11_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"countersign/signer"
	"countersign/signer/crypto11"
	"countersign/signer/pkcs11"
	"countersign/signer/signertest"
	"countersign/softhsm"
)

// newConfig makes a token. A module reads its configuration once in a process, so each token has a copy of the module,
// which has a state of its own.
func newConfig(t *testing.T) pkcs11.Config {
	t.Helper()
	token, err := softhsm.Create(t.Context(), t.TempDir(), "test", pkcs11.InitialiseToken)
	if err != nil {
		t.Fatal(err)
	}
	return pkcs11.Config{Module: copied(t, token.Module), Token: token.URI, PINFile: token.PINFile, Environment: token.Environment}
}

func copied(t *testing.T, module string) string {
	t.Helper()
	code, err := os.ReadFile(module)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "module.so")
	if err := os.WriteFile(file, code, 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}

func open(t *testing.T, c pkcs11.Config) *crypto11.Backend {
	t.Helper()
	b, err := crypto11.Prepare(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := b.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestContract(t *testing.T) {
	signertest.Run(t, open(t, newConfig(t)), signertest.Module{
		Name: "crypto11", Has: []signer.Algorithm{signer.PS256, signer.ES256, signer.ECDHES, signer.RSAOAEP},
		ListsInVain: []signer.Algorithm{signer.EdDSA, signer.RSAOAEP256}, // the token has them, crypto11 has not
	})
}

// TestSignsHere: signatures come from this process and not from the worker, which is not even started.
func TestSignsHere(t *testing.T) {
	c := newConfig(t)
	maker := open(t, c)
	record, err := maker.Generate(t.Context(), signer.ES256)
	if err != nil {
		t.Fatal(err)
	}
	if maker.WorkerPID() == 0 {
		t.Error("the key was not made by a worker")
	}
	b := open(t, c)
	for range 2 { // with the key looked for, and remembered
		signature, err := b.Sign(t.Context(), record, []byte("m"))
		if err != nil || !signer.Verify(record.Public, record.Algorithm, []byte("m"), signature) {
			t.Fatal(err)
		}
	}
	if pid := b.WorkerPID(); pid != 0 {
		t.Errorf("the worker %d was started to sign", pid)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Sign(t.Context(), record, []byte("m")); !errors.Is(err, signer.ErrUnavailable) {
		t.Errorf("after Close: %v, want ErrUnavailable", err)
	}
}

func TestEdDSA(t *testing.T) {
	b := open(t, newConfig(t))
	record, err := b.Backend.Generate(t.Context(), signer.EdDSA) // the token has it, crypto11 does not
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Sign(t.Context(), record, []byte("m")); err == nil || !strings.Contains(err.Error(), "crypto11 does not know Ed25519") {
		t.Errorf("signing says %v", err)
	}
	other, err := b.Generate(t.Context(), signer.ES256)
	if err != nil {
		t.Fatal(err)
	}
	refused := map[string]string{}
	listed, err := b.List(t.Context())
	for _, key := range listed {
		refused[key.Record.ID] = key.Refused
	}
	if want := map[string]string{record.ID: "crypto11 does not know EdDSA", other.ID: ""}; err != nil || !maps.Equal(refused, want) {
		t.Errorf("listed %v, %v, want %v", refused, err, want)
	}
	if _, err := b.Generate(t.Context(), signer.EdDSA); err == nil || !strings.Contains(err.Error(), `signer.backend = "worker"`) {
		t.Errorf("making a key says %v", err)
	}
}

// TestOpen: what keeps a token from being opened is said, and neither a PIN nor a second try follows.
func TestOpen(t *testing.T) {
	good := newConfig(t)
	write := func(content string, mode os.FileMode) string {
		file := filepath.Join(t.TempDir(), "pin")
		if err := os.WriteFile(file, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for name, test := range map[string]struct {
		change func(*pkcs11.Config)
		want   string
	}{
		"module is missing":  {func(c *pkcs11.Config) { c.Module = "/none.so" }, "cannot be loaded"},
		"not a module":       {func(c *pkcs11.Config) { c.Module = write("text", 0o700) }, "cannot be loaded"},
		"another token":      {func(c *pkcs11.Config) { c.Token = "pkcs11:token=other" }, "no token labelled"},
		"another serial":     {func(c *pkcs11.Config) { c.Token = "pkcs11:token=test;serial=0" }, "no token labelled"},
		"wrong PIN":          {func(c *pkcs11.Config) { c.PINFile = write("47114711", 0o600) }, "CKR_PIN_INCORRECT"},
		"PIN open to others": {func(c *pkcs11.Config) { c.PINFile = write("47114711", 0o644) }, "others can read it"},
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			test.change(&c)
			b, err := crypto11.Prepare(c)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			err = b.Connect(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("said %v, want %s", err, test.want)
			}
			if strings.Contains(err.Error(), "4711") {
				t.Errorf("the error shows the PIN: %v", err)
			}
			if again := b.Connect(t.Context()); again != err {
				t.Errorf("the second time said %v: the token was asked again", again)
			}
		})
	}
	pin, err := os.ReadFile(good.PINFile)
	if err != nil {
		t.Fatal(err)
	}
	c := good
	if c.PIN, err = pkcs11.NewPIN(strings.TrimSpace(string(pin))); err != nil {
		t.Fatal(err)
	}
	c.PINFile = ""
	open(t, c)
}

// TestUnknownNames: a name that is no kid is not looked for.
func TestUnknownNames(t *testing.T) {
	b := open(t, newConfig(t))
	for _, kid := range []string{"", "AA", strings.Repeat("A", 42) + "=", strings.Repeat("A", 42) + "B"} {
		if _, err := b.Sign(t.Context(), signer.Record{ID: kid, Algorithm: signer.PS256}, nil); !errors.Is(err, signer.ErrNoKey) {
			t.Errorf("%q: %v, want ErrNoKey", kid, err)
		}
	}
	if _, err := b.Sign(t.Context(), signer.Record{ID: strings.Repeat("A", 43), Algorithm: "RS256"}, nil); err == nil || !strings.Contains(err.Error(), "not one of PS256 and ES256") {
		t.Errorf("RS256: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	unopened, err := crypto11.Prepare(newConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	defer unopened.Close()
	if _, err := unopened.SignNow(ctx, signer.Record{ID: strings.Repeat("A", 43), Algorithm: signer.PS256}, nil); !errors.Is(err, signer.ErrUnavailable) {
		t.Errorf("before it is open: %v, want ErrUnavailable", err)
	}
}
