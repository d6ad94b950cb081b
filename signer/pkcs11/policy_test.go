//go:build cgo && !nopkcs11

package pkcs11_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	raw "github.com/miekg/pkcs11"

	"countersign/signer"
	"countersign/signer/pkcs11"
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

// TestWeakKey: a key that breaks the policy in one attribute is refused, the attribute named; one that keeps it signs.
//
// Covers: FD-90.
func TestWeakKey(t *testing.T) {
	type attributes map[uint]any
	cases := []struct {
		name   string
		change attributes
		public attributes
		want   string
	}{
		{"accepts a key that keeps the policy", nil, nil, ""},
		{"refuses one that can leave", attributes{raw.CKA_EXTRACTABLE: true}, nil, "CKA_EXTRACTABLE must be false"},
		{"refuses one that can be read", attributes{raw.CKA_SENSITIVE: false}, nil, "CKA_SENSITIVE must be true"},
		{"refuses one that anybody can use", attributes{raw.CKA_PRIVATE: false}, nil, "CKA_PRIVATE must be true"},
		{"refuses one that decrypts", attributes{raw.CKA_DECRYPT: true}, nil, "CKA_DECRYPT must be false"},
		{"refuses one that unwraps", attributes{raw.CKA_UNWRAP: true}, nil, "CKA_UNWRAP must be false"},
		{"refuses one that signs with recovery", attributes{raw.CKA_SIGN_RECOVER: true}, nil, "CKA_SIGN_RECOVER must be false"},
		{"refuses one that derives", attributes{raw.CKA_DERIVE: true}, nil, "CKA_DERIVE must be false"},
		{"refuses one that can be changed", attributes{raw.CKA_MODIFIABLE: true}, nil, "CKA_MODIFIABLE must be false"},
		{"refuses one that does not sign", attributes{raw.CKA_SIGN: false}, nil, "CKA_SIGN must be true"},
		{"refuses one that wants a PIN each time", attributes{raw.CKA_ALWAYS_AUTHENTICATE: true}, nil, "CKA_ALWAYS_AUTHENTICATE must be false"},
		{"refuses one of another mechanism", attributes{raw.CKA_ALLOWED_MECHANISMS: numbers(raw.CKM_RSA_PKCS)}, nil, "CKA_ALLOWED_MECHANISMS must be CKM_RSA_PKCS_PSS alone"},
		{"refuses one of two mechanisms", attributes{raw.CKA_ALLOWED_MECHANISMS: numbers(raw.CKM_RSA_PKCS_PSS, raw.CKM_RSA_PKCS)}, nil, "CKA_ALLOWED_MECHANISMS must be CKM_RSA_PKCS_PSS alone"},
		{"accepts one whose list of mechanisms is empty", attributes{raw.CKA_ALLOWED_MECHANISMS: nil}, nil, ""},
		{"refuses a small one", nil, attributes{raw.CKA_MODULUS_BITS: 1024}, "the key is smaller or larger than allowed, or has another exponent than 65537"},
		{"refuses one with a small exponent", nil, attributes{raw.CKA_PUBLIC_EXPONENT: []byte{3}}, "the key is smaller or larger than allowed, or has another exponent than 65537"},
	}
	token := newToken(t, t.TempDir())
	inModule(t, token, func(module *raw.Ctx, session raw.SessionHandle) {
		for i, test := range cases {
			private := attributes{
				raw.CKA_TOKEN: true, raw.CKA_ID: []byte{byte(i + 1)}, raw.CKA_SIGN: true, raw.CKA_SENSITIVE: true, raw.CKA_PRIVATE: true,
				raw.CKA_EXTRACTABLE: false, raw.CKA_DECRYPT: false, raw.CKA_UNWRAP: false, raw.CKA_SIGN_RECOVER: false, raw.CKA_DERIVE: false,
				raw.CKA_MODIFIABLE: false, raw.CKA_ALLOWED_MECHANISMS: numbers(raw.CKM_RSA_PKCS_PSS),
			}
			public := attributes{raw.CKA_TOKEN: true, raw.CKA_ID: []byte{byte(i + 1)}, raw.CKA_MODULUS_BITS: 2048, raw.CKA_PUBLIC_EXPONENT: []byte{1, 0, 1}}
			maps.Copy(private, test.change)
			maps.Copy(public, test.public)
			list := func(from attributes) (template []*raw.Attribute) {
				for kind, value := range from {
					if value != nil {
						template = append(template, raw.NewAttribute(kind, value))
					}
				}
				return template
			}
			if _, _, err := module.GenerateKeyPair(session, []*raw.Mechanism{raw.NewMechanism(raw.CKM_RSA_PKCS_KEY_PAIR_GEN, nil)}, list(public), list(private)); err != nil {
				t.Fatalf("%s: %v", test.name, err)
			}
		}
	})
	b := open(t, config(token))
	keys, err := b.List(t.Context())
	if err != nil || len(keys) != len(cases) {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	for i, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			at := slices.IndexFunc(keys, func(k pkcs11.Key) bool {
				uri, err := pkcs11.ParseURI(k.Record.URIs[0])
				return err == nil && string(uri.ID) == string([]byte{byte(i + 1)})
			})
			if at < 0 {
				t.Fatal("it is not listed")
			}
			if keys[at].Refused != test.want {
				t.Errorf("refused because of %q, want %q", keys[at].Refused, test.want)
			}
			_, err := b.Sign(t.Context(), keys[at].Record, []byte("m"))
			if test.want == "" && err != nil || test.want != "" && !errors.Is(err, signer.ErrNoKey) {
				t.Errorf("signing gave %v", err)
			}
			attested, err := b.Attest(t.Context(), keys[at].Record.ID)
			if err != nil || attested.Refused != test.want || attested.Token.Label != token.Label || attested.Token.Serial == "" || attested.Module.Manufacturer == "" {
				t.Errorf("it is attested as %+v, %v", attested, err)
			}
			for kind, value := range test.change {
				name := map[uint]string{raw.CKA_EXTRACTABLE: "CKA_EXTRACTABLE", raw.CKA_MODIFIABLE: "CKA_MODIFIABLE", raw.CKA_SIGN: "CKA_SIGN"}[kind]
				if name != "" && attested.Attributes[name] != value {
					t.Errorf("%s is attested as %v", name, attested.Attributes[name])
				}
			}
		})
	}
}

// numbers is a list of CK_MECHANISM_TYPE.
func numbers(mechanisms ...uint64) (list []byte) {
	for _, m := range mechanisms {
		list = binary.NativeEndian.AppendUint64(list, m)
	}
	return list
}

// TestPolicyAfterReconnection: a token that comes back with the same key under a weaker policy signs nothing.
func TestPolicyAfterReconnection(t *testing.T) {
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := pair.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	point, err := pair.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	kid, err := signer.Thumbprint(&pair.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	record := signer.Record{ID: kid, Algorithm: signer.ES256, Public: &pair.PublicKey}
	put := func(token softhsm.Token, extractable bool) {
		inModule(t, token, func(module *raw.Ctx, session raw.SessionHandle) {
			common := []*raw.Attribute{
				raw.NewAttribute(raw.CKA_TOKEN, true), raw.NewAttribute(raw.CKA_ID, []byte("one")), raw.NewAttribute(raw.CKA_KEY_TYPE, raw.CKK_EC),
				raw.NewAttribute(raw.CKA_EC_PARAMS, []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}),
			}
			for _, template := range [][]*raw.Attribute{
				{raw.NewAttribute(raw.CKA_CLASS, raw.CKO_PUBLIC_KEY), raw.NewAttribute(raw.CKA_EC_POINT, append([]byte{4, byte(len(point))}, point...))},
				{
					raw.NewAttribute(raw.CKA_CLASS, raw.CKO_PRIVATE_KEY), raw.NewAttribute(raw.CKA_VALUE, secret),
					raw.NewAttribute(raw.CKA_PRIVATE, true), raw.NewAttribute(raw.CKA_SENSITIVE, true), raw.NewAttribute(raw.CKA_EXTRACTABLE, extractable),
					raw.NewAttribute(raw.CKA_SIGN, true), raw.NewAttribute(raw.CKA_DECRYPT, false), raw.NewAttribute(raw.CKA_UNWRAP, false),
					raw.NewAttribute(raw.CKA_SIGN_RECOVER, false), raw.NewAttribute(raw.CKA_DERIVE, false), raw.NewAttribute(raw.CKA_MODIFIABLE, false),
					raw.NewAttribute(raw.CKA_ALLOWED_MECHANISMS, numbers(raw.CKM_ECDSA)),
				},
			} {
				if _, err := module.CreateObject(session, append(template, common...)); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	folder := t.TempDir()
	token := newToken(t, folder)
	put(token, false)
	b := open(t, config(token))
	if signature, err := b.Sign(t.Context(), record, []byte("m")); err != nil || !signer.Verify(record.Public, record.Algorithm, []byte("m"), signature) {
		t.Fatalf("under the policy: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(folder, "tokens")); err != nil {
		t.Fatal(err)
	}
	put(newToken(t, folder), true)
	killWorker(t, b)
	if signature, err := b.Sign(t.Context(), record, []byte("m")); !errors.Is(err, signer.ErrNoKey) || signature != nil {
		t.Errorf("a key that can leave: %x, %v", signature, err)
	}
	keys, err := b.List(t.Context())
	if err != nil || len(keys) != 1 || keys[0].Record.ID != kid || keys[0].Refused != "CKA_EXTRACTABLE must be false" {
		t.Errorf("it is listed as %+v, %v", keys, err)
	}
}
