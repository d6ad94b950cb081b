//go:build cgo && !nopkcs11

package token

import (
	"encoding/asn1"
	"encoding/binary"
	"strconv"

	"github.com/miekg/pkcs11"

	"countersign/signer"
	"countersign/signer/pkcs11/internal/wire"
)

// rsaBits is the size of new RSA keys.
const rsaBits = 2048

// Generate makes a key for the algorithm with a number ([wire.AlgorithmOf]) and holds it to the policy.
func (t *Token) Generate(number byte) (wire.Key, error) {
	alg, err := wire.AlgorithmOf(number)
	if err != nil {
		return wire.Key{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	kid, err := t.makePair(alg)
	if err != nil {
		return wire.Key{}, err
	}
	keys, err := t.read()
	if err != nil {
		return wire.Key{}, err
	}
	for _, k := range keys {
		if k.ID == kid && k.Refused != "" {
			if err := t.remove(kid); err != nil {
				return wire.Key{}, wire.Failf(wire.FailRequest, "the module made a key that breaks the policy (%s), and it stays: %v", k.Refused, err)
			}
			return wire.Key{}, wire.Failf(wire.FailRequest, "the module made a key that breaks the policy: %s", k.Refused)
		}
		if k.ID == kid {
			return k, nil
		}
	}
	return wire.Key{}, wire.Failf(wire.FailModule, "the new key %s is not on the token", kid)
}

// templates gives the strictest attributes that a key can have.
func templates(alg signer.Algorithm) (mechanism []*pkcs11.Mechanism, public, private []*pkcs11.Attribute, err error) {
	public = []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, false),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, false),
		pkcs11.NewAttribute(pkcs11.CKA_VERIFY, !alg.Decrypts()),
		pkcs11.NewAttribute(pkcs11.CKA_ENCRYPT, alg.Unwraps()),
		pkcs11.NewAttribute(pkcs11.CKA_WRAP, false),
	}
	private = []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, false),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false),
		pkcs11.NewAttribute(pkcs11.CKA_SIGN, !alg.Decrypts()),
		// Said, because some modules take true when nothing is said.
		pkcs11.NewAttribute(pkcs11.CKA_DECRYPT, alg.Unwraps()),
		pkcs11.NewAttribute(pkcs11.CKA_UNWRAP, false),
		pkcs11.NewAttribute(pkcs11.CKA_SIGN_RECOVER, false),
		pkcs11.NewAttribute(pkcs11.CKA_DERIVE, alg == signer.ECDHES),
	}
	var generate uint
	switch alg {
	case signer.PS256, signer.RSAOAEP256, signer.RSAOAEP:
		generate = pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN
		public = append(public,
			pkcs11.NewAttribute(pkcs11.CKA_MODULUS_BITS, rsaBits),
			pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}))
	case signer.ES256, signer.ECDHES:
		generate = pkcs11.CKM_EC_KEY_PAIR_GEN
		curve, err := asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}) // P-256
		if err != nil {
			return nil, nil, nil, err
		}
		public = append(public, pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, curve))
	case signer.EdDSA:
		generate = mechanismEdGen
		curve, err := asn1.MarshalWithParams("edwards25519", "printable")
		if err != nil {
			return nil, nil, nil, err
		}
		public = append(public, pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, curve))
	}
	private = append(private, pkcs11.NewAttribute(pkcs11.CKA_ALLOWED_MECHANISMS, mechanismList(mechanismOf(alg))))
	return []*pkcs11.Mechanism{pkcs11.NewMechanism(generate, nil)}, public, private, nil
}

// mechanismList is an array of one CK_MECHANISM_TYPE of this machine.
func mechanismList(mechanism uint) []byte {
	if strconv.IntSize == 32 {
		return binary.NativeEndian.AppendUint32(nil, uint32(mechanism))
	}
	return binary.NativeEndian.AppendUint64(nil, uint64(mechanism))
}
