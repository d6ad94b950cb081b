//go:build cgo && !nopkcs11

package token

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"

	"github.com/miekg/pkcs11"

	"countersign/signer"
	"countersign/signer/pkcs11/internal/wire"
)

// atOnce is how many objects are asked for in one call, and maxObjects how many a search may find: a module that never
// comes to its end is in trouble.
const (
	atOnce     = 256
	maxObjects = 100_000
)

// pair is a private key with its public half.
type pair struct {
	private, public pkcs11.ObjectHandle
	id              []byte
	kid             string
	algorithm       signer.Algorithm
	pkix            []byte
	// refused names what is wrong with the key, or is empty.
	refused string
}

// readPairs reads every private key that has its public key beside it, under the same CKA_ID. The kid is computed from
// the public key that is there now: a token that was made again under an old label holds other kids.
func (t *Token) readPairs() ([]pair, error) {
	privates, err := t.find(pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY))
	if err != nil {
		return nil, err
	}
	publics, err := t.find(pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY))
	if err != nil {
		return nil, err
	}
	halves := map[string][]pkcs11.ObjectHandle{}
	for _, public := range publics {
		id, err := t.attribute(public, pkcs11.CKA_ID)
		if err := trouble(err); err != nil {
			return nil, err
		}
		halves[string(id)] = append(halves[string(id)], public)
	}
	var pairs []pair
	for _, private := range privates {
		id, err := t.attribute(private, pkcs11.CKA_ID)
		if err := trouble(err); err != nil {
			return nil, err
		}
		half := halves[string(id)]
		if len(id) == 0 || len(half) != 1 {
			continue // not one of ours, or ambiguous, or without a public half: it cannot be published
		}
		p, err := t.describe(private, half[0])
		if err := trouble(err); err != nil {
			return nil, err
		}
		if err != nil {
			continue // of a kind that is not used
		}
		p.id = id
		pairs = append(pairs, p)
	}
	return pairs, nil
}

// trouble passes on an error that speaks of the module and not of one object: an object that cannot be read because the
// device is gone must not look like one that is not there.
func trouble(err error) error {
	found, ok := errors.AsType[pkcs11.Error](err)
	if !ok {
		return nil
	}
	switch uint(found) {
	case pkcs11.CKR_ATTRIBUTE_TYPE_INVALID, pkcs11.CKR_ATTRIBUTE_SENSITIVE:
		return nil
	}
	return wire.Failf(wire.FailModule, "read the token's keys: %v", err)
}

func (t *Token) describe(private, public pkcs11.ObjectHandle) (pair, error) {
	key, alg, err := t.publicKey(public)
	if err != nil {
		return pair{}, err
	}
	if alg, err = t.purpose(private, alg); err != nil {
		return pair{}, err
	}
	kid, err := signer.Thumbprint(key)
	if err != nil {
		return pair{}, err
	}
	// PKIX and not a JWK: a key that is too weak to be used is listed all the same.
	pkix, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return pair{}, err
	}
	return pair{private: private, public: public, kid: kid, algorithm: alg, pkix: pkix, refused: Weakness(t.reader(private), key, alg, t.claimsDecrypt())}, nil
}

// purpose tells a key that decrypts from one that signs. A key that can do both is taken for one that signs, which the
// policy then refuses. An RSA key that decrypts does not say with which hash (PKCS #11 v3.1 §6.1.8 has that in the parameters of the
// mechanism): it is listed for RSA-OAEP-256, and the store knows one that is for RSA-OAEP alone.
func (t *Token) purpose(private pkcs11.ObjectHandle, alg signer.Algorithm) (signer.Algorithm, error) {
	can := map[signer.Algorithm]uint{signer.ES256: pkcs11.CKA_DERIVE, signer.PS256: pkcs11.CKA_DECRYPT}
	attribute, ok := can[alg]
	if !ok {
		return alg, nil
	}
	var able [2]bool
	for i, kind := range []uint{pkcs11.CKA_SIGN, attribute} {
		value, err := t.attribute(private, kind)
		if err := trouble(err); err != nil {
			return alg, err
		}
		able[i] = err == nil && len(value) == 1 && value[0] != 0
	}
	if signs, decrypts := able[0], able[1]; signs || !decrypts {
		return alg, nil
	}
	if alg == signer.ES256 {
		return signer.ECDHES, nil
	}
	return signer.RSAOAEP256, nil
}

// reader reads the attributes of one object.
func (t *Token) reader(object pkcs11.ObjectHandle) func(kind uint) ([]byte, error) {
	return func(kind uint) ([]byte, error) { return t.attribute(object, kind) }
}

// Weakness holds a private key to the policy and names the first attribute that breaks it, or nothing. read gives an
// attribute of the private key by its number in PKCS #11. An attribute that the module does not know counts as broken
// only where the key would be exposed. claimsDecrypt is true of a module that says CKA_DECRYPT of keys that only sign.
func Weakness(read func(kind uint) ([]byte, error), public crypto.PublicKey, alg signer.Algorithm, claimsDecrypt bool) string {
	if !signer.Fits(public, alg) {
		return "the key is smaller or larger than allowed, or has another exponent than 65537"
	}
	allowed, err := read(pkcs11.CKA_ALLOWED_MECHANISMS)
	// A list that is empty says as little as none at all: modules answer so for keys that were made without one.
	reported := err == nil && len(allowed) > 0
	pinned := reported && bytes.Equal(allowed, mechanismList(mechanismOf(alg)))
	for _, rule := range []struct {
		attribute uint
		name      string
		want      bool
		demanded  bool
	}{
		{pkcs11.CKA_PRIVATE, "CKA_PRIVATE", true, true},
		{pkcs11.CKA_SENSITIVE, "CKA_SENSITIVE", true, true},
		{pkcs11.CKA_EXTRACTABLE, "CKA_EXTRACTABLE", false, true},
		{pkcs11.CKA_SIGN, "CKA_SIGN", !alg.Decrypts(), true},
		{pkcs11.CKA_DECRYPT, "CKA_DECRYPT", alg.Unwraps(), alg.Unwraps()},
		{pkcs11.CKA_UNWRAP, "CKA_UNWRAP", false, false},
		{pkcs11.CKA_SIGN_RECOVER, "CKA_SIGN_RECOVER", false, false},
		{pkcs11.CKA_DERIVE, "CKA_DERIVE", alg == signer.ECDHES, alg == signer.ECDHES},
		// A modifiable key could be made to decrypt later.
		{pkcs11.CKA_MODIFIABLE, "CKA_MODIFIABLE", false, false},
		// A PIN for each signature is a person's, not a server's.
		{pkcs11.CKA_ALWAYS_AUTHENTICATE, "CKA_ALWAYS_AUTHENTICATE", false, false},
	} {
		value, err := read(rule.attribute)
		switch {
		case err != nil && rule.demanded:
			return fmt.Sprintf("%s cannot be read", rule.name)
		case err != nil:
		case rule.attribute == pkcs11.CKA_DECRYPT && pinned && claimsDecrypt: // the one mechanism only signs
		case len(value) == 0 || (value[0] != 0) != rule.want:
			return fmt.Sprintf("%s must be %v", rule.name, rule.want)
		}
	}
	if reported && !pinned {
		return fmt.Sprintf("CKA_ALLOWED_MECHANISMS must be %s alone", mechanismName(mechanismOf(alg)))
	}
	return ""
}

// mechanismOf is the one mechanism that an algorithm's keys may be used with.
func mechanismOf(alg signer.Algorithm) uint {
	switch alg {
	case signer.PS256:
		return pkcs11.CKM_RSA_PKCS_PSS
	case signer.ES256:
		return pkcs11.CKM_ECDSA
	case signer.ECDHES:
		return pkcs11.CKM_ECDH1_DERIVE
	case signer.RSAOAEP256, signer.RSAOAEP:
		return pkcs11.CKM_RSA_PKCS_OAEP
	default:
		return mechanismEdDSA
	}
}

func (t *Token) find(template ...*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error) {
	if err := t.module.FindObjectsInit(t.keep, template); err != nil {
		return nil, wire.Failf(wire.FailModule, "search the token: %v", err)
	}
	found, err := t.findAll()
	if endErr := t.module.FindObjectsFinal(t.keep); err == nil {
		err = endErr
	}
	if err != nil {
		return nil, wire.Failf(wire.FailModule, "search the token: %v", err)
	}
	return found, nil
}

// findAll asks for objects until there are none: a module may give fewer at a time than there is room for
// (PKCS #11 v3.1 §5.7.8).
func (t *Token) findAll() (found []pkcs11.ObjectHandle, err error) {
	for len(found) <= maxObjects {
		some, _, err := t.module.FindObjects(t.keep, atOnce)
		if err != nil || len(some) == 0 {
			return found, err
		}
		found = append(found, some...)
	}
	return nil, fmt.Errorf("it finds more than %d objects", maxObjects)
}

func (t *Token) attribute(object pkcs11.ObjectHandle, kind uint) ([]byte, error) {
	got, err := t.module.GetAttributeValue(t.keep, object, []*pkcs11.Attribute{pkcs11.NewAttribute(kind, nil)})
	if err != nil {
		return nil, err
	}
	return got[0].Value, nil
}

// publicKey reads a public key object.
func (t *Token) publicKey(object pkcs11.ObjectHandle) (crypto.PublicKey, signer.Algorithm, error) {
	raw, err := t.attribute(object, pkcs11.CKA_KEY_TYPE)
	if err != nil {
		return nil, "", err
	}
	switch kind := ulong(raw); kind {
	case pkcs11.CKK_RSA:
		modulus, errN := t.attribute(object, pkcs11.CKA_MODULUS)
		exponent, errE := t.attribute(object, pkcs11.CKA_PUBLIC_EXPONENT)
		e := new(big.Int).SetBytes(exponent)
		if err := errors.Join(errN, errE); err != nil || !e.IsInt64() || e.Int64() > 1<<31-1 {
			return nil, "", errors.New("pkcs11: an RSA key without a usable modulus and exponent")
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(e.Int64())}, signer.PS256, nil
	case pkcs11.CKK_EC:
		point, err := t.point(object)
		if err != nil {
			return nil, "", err
		}
		key, err := parseP256(point)
		return key, signer.ES256, err
	case keyTypeEdwards:
		point, err := t.point(object)
		if err != nil {
			return nil, "", err
		}
		key, err := parseEd25519(point)
		return key, signer.EdDSA, err
	default:
		return nil, "", fmt.Errorf("pkcs11: key type %#x is not used", kind)
	}
}

func (t *Token) point(object pkcs11.ObjectHandle) ([]byte, error) {
	return t.attribute(object, pkcs11.CKA_EC_POINT)
}

// unwrapPoint gives the point inside a DER OCTET STRING, or the bytes as they are: modules do either.
func unwrapPoint(raw []byte, size int) []byte {
	var inner []byte
	if rest, err := asn1.Unmarshal(raw, &inner); err == nil && len(rest) == 0 && len(inner) == size {
		return inner
	}
	return raw
}

func parseP256(raw []byte) (*ecdsa.PublicKey, error) {
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), unwrapPoint(raw, 65))
}

func parseEd25519(raw []byte) (ed25519.PublicKey, error) {
	point := unwrapPoint(raw, ed25519.PublicKeySize)
	if len(point) != ed25519.PublicKeySize {
		return nil, errors.New("pkcs11: an Ed25519 public key has 32 bytes")
	}
	return bytes.Clone(point), nil
}

// ulong reads a CK_ULONG of this machine.
func ulong(raw []byte) uint {
	switch len(raw) {
	case 8:
		return uint(binary.NativeEndian.Uint64(raw))
	case 4:
		return uint(binary.NativeEndian.Uint32(raw))
	}
	return ^uint(0)
}
