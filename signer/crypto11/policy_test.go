//go:build cgo && !nopkcs11

package crypto11_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	raw "github.com/miekg/pkcs11"

	"countersign/signer"
	"countersign/signer/pkcs11"
)

// foreign is a program of somebody else that makes keys on a token.
type foreign struct {
	t       *testing.T
	module  *raw.Ctx
	session raw.SessionHandle
}

func newForeign(t *testing.T, c pkcs11.Config) foreign {
	t.Helper()
	for name, value := range c.Environment {
		t.Setenv(name, value)
	}
	f := foreign{t: t, module: raw.New(copied(t, c.Module))}
	pin, pinErr := c.UserPIN()
	initErr := f.module.Initialize()
	slots, slotErr := f.module.GetSlotList(true)
	if err := errors.Join(pinErr, initErr, slotErr); err != nil {
		t.Fatal(err)
	}
	var err error
	if f.session, err = f.module.OpenSession(slots[0], raw.CKF_SERIAL_SESSION|raw.CKF_RW_SESSION); err != nil {
		t.Fatal(err)
	}
	if err := f.module.Login(f.session, raw.CKU_USER, pin); err != nil {
		t.Fatal(err)
	}
	return f
}

// pair makes a P-256 key that obeys the policy but for what is changed, under the CKA_ID of named, or its own.
func (f foreign) pair(named string, change map[uint]any) signer.Record {
	f.t.Helper()
	curve, err := asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7})
	if err != nil {
		f.t.Fatal(err)
	}
	values := map[uint]any{
		raw.CKA_TOKEN: false, raw.CKA_PRIVATE: true, raw.CKA_SENSITIVE: true, raw.CKA_EXTRACTABLE: false, raw.CKA_SIGN: true,
		raw.CKA_DECRYPT: false, raw.CKA_UNWRAP: false, raw.CKA_SIGN_RECOVER: false, raw.CKA_DERIVE: false,
	}
	for attribute, value := range change {
		values[attribute] = value
	}
	var private []*raw.Attribute
	for attribute, value := range values {
		private = append(private, raw.NewAttribute(attribute, value))
	}
	publicHalf, privateHalf, err := f.module.GenerateKeyPair(f.session, []*raw.Mechanism{raw.NewMechanism(raw.CKM_EC_KEY_PAIR_GEN, nil)},
		[]*raw.Attribute{raw.NewAttribute(raw.CKA_TOKEN, false), raw.NewAttribute(raw.CKA_EC_PARAMS, curve), raw.NewAttribute(raw.CKA_VERIFY, true)}, private)
	if err != nil {
		f.t.Fatal(err)
	}
	got, err := f.module.GetAttributeValue(f.session, publicHalf, []*raw.Attribute{raw.NewAttribute(raw.CKA_EC_POINT, nil)})
	if err != nil {
		f.t.Fatal(err)
	}
	var point []byte
	if _, err := asn1.Unmarshal(got[0].Value, &point); err != nil {
		f.t.Fatal(err)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		f.t.Fatal(err)
	}
	kid, err := signer.Thumbprint(public)
	if err != nil {
		f.t.Fatal(err)
	}
	if named == "" {
		named = kid
	}
	id, err := base64.RawURLEncoding.DecodeString(named)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, half := range []raw.ObjectHandle{publicHalf, privateHalf} {
		if _, err := f.module.CopyObject(f.session, half, []*raw.Attribute{
			raw.NewAttribute(raw.CKA_TOKEN, true), raw.NewAttribute(raw.CKA_ID, id), raw.NewAttribute(raw.CKA_MODIFIABLE, false),
		}); err != nil {
			f.t.Fatal(err)
		}
	}
	return signer.Record{ID: kid, Algorithm: signer.ES256, Public: public}
}

// TestWeakKey: a key of another program signs if it keeps the policy, and is refused by the name of what is wrong if not.
// Which attributes those are is tested where the policy is, in signer/pkcs11.
func TestWeakKey(t *testing.T) {
	c := newConfig(t)
	b := open(t, c)
	f := newForeign(t, c)
	good := f.pair("", map[uint]any{raw.CKA_ALLOWED_MECHANISMS: mechanism(raw.CKM_ECDSA)})
	if _, err := b.Sign(t.Context(), good, []byte("m")); err != nil {
		t.Errorf("a key that keeps the policy: %v", err)
	}
	for name, test := range map[string]struct {
		change map[uint]any
		want   string
	}{
		"can leave": {map[uint]any{raw.CKA_EXTRACTABLE: true, raw.CKA_ALLOWED_MECHANISMS: mechanism(raw.CKM_ECDSA)}, "CKA_EXTRACTABLE must be false"},
		"derives":   {map[uint]any{raw.CKA_DERIVE: true, raw.CKA_ALLOWED_MECHANISMS: mechanism(raw.CKM_ECDSA)}, "CKA_DERIVE must be false"},
		"signs with what it likes": {map[uint]any{raw.CKA_ALLOWED_MECHANISMS: append(mechanism(raw.CKM_ECDSA), mechanism(raw.CKM_ECDSA_SHA1)...)},
			"CKA_ALLOWED_MECHANISMS must be CKM_ECDSA alone"},
	} {
		_, err := b.Sign(t.Context(), f.pair("", test.change), []byte("m"))
		if !errors.Is(err, signer.ErrNoKey) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("one that %s: %v, want %s", name, err, test.want)
		}
	}
}

// TestOtherKey: what bears the name of a key and is another one is not signed with, nor is one of two with one name.
func TestOtherKey(t *testing.T) {
	c := newConfig(t)
	f := newForeign(t, c)
	allowed := map[uint]any{raw.CKA_ALLOWED_MECHANISMS: mechanism(raw.CKM_ECDSA)}
	first := f.pair("", allowed)
	f.pair(first.ID, allowed)
	absent := first
	absent.ID = strings.Repeat("A", 43)
	f.pair(absent.ID, allowed)
	b := open(t, c)
	for want, record := range map[string]signer.Record{"holds 2 keys with the CKA_ID": first, "is another one": absent} {
		if _, err := b.Sign(t.Context(), record, []byte("m")); !errors.Is(err, signer.ErrNoKey) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// mechanism is an array of one CK_MECHANISM_TYPE.
func mechanism(number uint) []byte { return raw.NewAttribute(raw.CKA_ALLOWED_MECHANISMS, number).Value }
