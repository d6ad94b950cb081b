//go:build cgo && !nopkcs11 && hsm

package pkcs11_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	raw "github.com/miekg/pkcs11"

	"countersign/signer"
	"countersign/signer/pkcs11"
	"countersign/signer/signertest"
	"countersign/softhsm"
)

// newTPM makes a TPM 2.0 in software (swtpm) with its resource manager, without which a TPM is out of memory after a few
// signatures at once, and a token of tpm2-pkcs11 in it.
func newTPM(t testing.TB) (c pkcs11.Config, store string) {
	t.Helper()
	modules, err := filepath.Glob("/usr/lib/*/libtpm2_pkcs11.so.1")
	if err != nil || len(modules) == 0 {
		t.Fatal("tpm2-pkcs11 is not installed; run: apt-get install swtpm swtpm-tools tpm2-tools libtpm2-pkcs11-1 libtpm2-pkcs11-tools tpm2-abrmd libtss2-tcti-tabrmd0 dbus")
	}
	folder, err := os.MkdirTemp("", "tpm") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	store = filepath.Join(folder, "store")
	state, bus := filepath.Join(folder, "state"), "unix:path="+filepath.Join(folder, "bus")
	for _, made := range []string{state, store} {
		if err := os.Mkdir(made, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	limited(t, nil, "swtpm_setup", "--tpm2", "--tpmstate", state, "--createek", "--pcr-banks", "sha256")
	port := twoPorts(t)
	chip := exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+state, "--flags", "not-need-init,startup-clear",
		"--server", fmt.Sprintf("type=tcp,port=%d", port), "--ctrl", fmt.Sprintf("type=tcp,port=%d", port+1))
	daemon(t, chip)
	daemon(t, exec.Command("dbus-daemon", "--session", "--address="+bus, "--nofork", "--nopidfile"))
	c = pkcs11.Config{Module: modules[0], Token: "pkcs11:token=lab", PINFile: written(t, filepath.Join(folder, "pin"), "12345678\n")}
	c.Environment = map[string]string{
		"DBUS_SESSION_BUS_ADDRESS": bus, "TPM2_PKCS11_STORE": store,
		"TPM2_PKCS11_TCTI": "tabrmd:bus_type=session", "TPM2TOOLS_TCTI": "tabrmd:bus_type=session",
	}
	waitFor(t, filepath.Join(folder, "bus"))
	manager := exec.Command("tpm2-abrmd", "--session", "--allow-root", "--flush-all",
		fmt.Sprintf("--tcti=swtpm:host=127.0.0.1,port=%d", port))
	manager.Env = append(os.Environ(), variables(c)...)
	daemon(t, manager)
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) { // the manager takes its time
		command := exec.Command("tpm2_getcap", "properties-fixed")
		command.Env = append(os.Environ(), variables(c)...)
		output, err := command.CombinedOutput()
		if err == nil {
			break
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("the TPM's resource manager does not answer: %v: %s", err, output)
		}
	}
	limited(t, variables(c), "tpm2_ptool", "init")
	limited(t, variables(c), "tpm2_ptool", "addtoken", "--pid=1", "--label=lab", "--sopin=87654321", "--userpin=12345678")
	return c, store
}

// variables are what the TPM's tools need, as the module does.
func variables(c pkcs11.Config) []string {
	var list []string
	for name, value := range c.Environment {
		list = append(list, name+"="+value)
	}
	return list
}

// limited runs a program that has to end within a minute.
func limited(t testing.TB, variables []string, name string, arguments ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, name, arguments...)
	command.Env = append(os.Environ(), variables...)
	ran(t, command)
}

// daemon starts a program that runs to the end of the test.
func daemon(t testing.TB, command *exec.Cmd) {
	t.Helper()
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill() // it may be gone
		_ = command.Wait()         // it ends by a signal
	})
}

func waitFor(t testing.TB, file string) {
	t.Helper()
	for range 500 {
		if _, err := os.Stat(file); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s did not appear", file)
}

// twoPorts finds a free port whose neighbour is free too, as the TPM's clients expect.
func twoPorts(t testing.TB) int {
	t.Helper()
	for range 100 {
		first, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		port := first.Addr().(*net.TCPAddr).Port
		second, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port + 1})
		first.Close()
		if err == nil {
			second.Close()
			return port
		}
	}
	t.Fatal("no two ports side by side are free")
	return 0
}

// tpm says of each private key that it decrypts, and cannot be told otherwise.
func tpm() candidate {
	return candidate{
		Module: signertest.Module{
			Name: "TPM 2.0 (swtpm)", Has: []signer.Algorithm{signer.PS256, signer.ES256}, ListsInVain: []signer.Algorithm{signer.RSAOAEP256, signer.RSAOAEP},
			ClaimsDecrypt: true,
		},
		install: func(t testing.TB) (pkcs11.Config, func(testing.TB) func()) {
			c, store := newTPM(t)
			return c, func(t testing.TB) func() { return moved(t, store) }
		},
	}
}

func TestContractTPM(t *testing.T) { tpm().hold(t) }

// TestTPMPolicy says what a TPM cannot hold: its keys have CKA_DECRYPT, and CKA_MODIFIABLE does not keep whoever has the
// PIN from allowing them more. Such a key, and one that was made with more, is refused.
func TestTPMPolicy(t *testing.T) {
	c, _ := newTPM(t)
	b := open(t, c)
	ours := generate(t, b, signer.PS256)
	limited(t, variables(c), "tpm2_ptool", "addkey", "--label=lab", "--userpin=12345678", "--algorithm=rsa2048")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	refused := func() map[string]string {
		t.Helper()
		b := open(t, c)
		defer b.Close()
		keys, err := b.List(t.Context())
		if err != nil || len(keys) != 2 {
			t.Fatalf("keys %+v, %v", keys, err)
		}
		found := map[string]string{}
		for _, key := range keys {
			found[key.Record.ID] = key.Refused
		}
		return found
	}
	for kid, why := range refused() {
		if want := map[bool]string{true: "", false: "CKA_DECRYPT must be false"}[kid == ours.ID]; why != want {
			t.Errorf("key %s (ours: %v) is refused with %q, want %q", kid, kid == ours.ID, why, want)
		}
	}
	id, err := base64.RawURLEncoding.DecodeString(ours.ID)
	if err != nil {
		t.Fatal(err)
	}
	inModule(t, softhsm.Token{Module: c.Module, PINFile: c.PINFile, Environment: c.Environment}, func(module *raw.Ctx, session raw.SessionHandle) {
		key := []*raw.Attribute{raw.NewAttribute(raw.CKA_CLASS, raw.CKO_PRIVATE_KEY), raw.NewAttribute(raw.CKA_ID, id)}
		if err := module.FindObjectsInit(session, key); err != nil {
			t.Fatal(err)
		}
		found, _, err := module.FindObjects(session, 2)
		if err != nil || len(found) != 1 {
			t.Fatalf("%d keys have the kid as CKA_ID, %v", len(found), err)
		}
		if err := module.FindObjectsFinal(session); err != nil {
			t.Fatal(err)
		}
		if err := module.SignInit(session, []*raw.Mechanism{raw.NewMechanism(raw.CKM_RSA_PKCS, nil)}, found[0]); err == nil {
			t.Error("the key signs with another mechanism")
		}
		if err := module.DecryptInit(session, []*raw.Mechanism{raw.NewMechanism(raw.CKM_RSA_PKCS, nil)}, found[0]); err == nil {
			t.Error("the key decrypts")
		}
		more := binary.NativeEndian.AppendUint64(binary.NativeEndian.AppendUint64(nil, raw.CKM_RSA_PKCS_PSS), raw.CKM_RSA_PKCS)
		if err := module.SetAttributeValue(session, found[0], []*raw.Attribute{raw.NewAttribute(raw.CKA_ALLOWED_MECHANISMS, more)}); err != nil {
			t.Errorf("the module holds CKA_MODIFIABLE by now: %v", err)
		}
	})
	if why := refused()[ours.ID]; why != "CKA_DECRYPT must be false" {
		t.Errorf("the key that was allowed more is refused with %q", why)
	}
}
