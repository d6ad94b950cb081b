//go:build cgo && !nopkcs11

package pkcs11_test

import (
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"

	raw "github.com/miekg/pkcs11"

	"countersign/signer"
	"countersign/softhsm"
)

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

// TestRefusedMechanism: a key that the module does not let sign is its own trouble. The worker and the other keys stay.
func TestRefusedMechanism(t *testing.T) {
	token := newToken(t, t.TempDir())
	inModule(t, token, func(module *raw.Ctx, session raw.SessionHandle) {
		id := raw.NewAttribute(raw.CKA_ID, []byte("other"))
		private := []*raw.Attribute{raw.NewAttribute(raw.CKA_TOKEN, true), id, raw.NewAttribute(raw.CKA_SIGN, true),
			raw.NewAttribute(raw.CKA_SENSITIVE, true), raw.NewAttribute(raw.CKA_PRIVATE, true),
			raw.NewAttribute(raw.CKA_ALLOWED_MECHANISMS, binary.NativeEndian.AppendUint64(nil, raw.CKM_RSA_PKCS))}
		for _, no := range []uint{raw.CKA_EXTRACTABLE, raw.CKA_DECRYPT, raw.CKA_UNWRAP, raw.CKA_SIGN_RECOVER, raw.CKA_DERIVE} {
			private = append(private, raw.NewAttribute(no, false))
		}
		_, _, err := module.GenerateKeyPair(session, []*raw.Mechanism{raw.NewMechanism(raw.CKM_RSA_PKCS_KEY_PAIR_GEN, nil)},
			[]*raw.Attribute{raw.NewAttribute(raw.CKA_TOKEN, true), id, raw.NewAttribute(raw.CKA_MODULUS_BITS, 2048), raw.NewAttribute(raw.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1})},
			private)
		if err != nil {
			t.Fatal(err)
		}
	})
	b := open(t, config(token))
	keys, err := b.List(t.Context())
	if err != nil || len(keys) != 1 || keys[0].Refused != "" {
		t.Fatalf("%+v, %v", keys, err)
	}
	good := generate(t, b, signer.ES256)
	pid := b.WorkerPID()
	for range 3 {
		if _, err := b.Sign(t.Context(), keys[0].Record, []byte("m")); err == nil || errors.Is(err, signer.ErrUnavailable) || !strings.Contains(err.Error(), "CKR_MECHANISM_INVALID") {
			t.Errorf("error %v", err)
		}
		if _, err := b.Sign(t.Context(), good, []byte("m")); err != nil {
			t.Errorf("the good key: %v", err)
		}
	}
	if b.WorkerPID() != pid {
		t.Error("the worker was replaced")
	}
}
