//go:build cgo && !nopkcs11

package token

import (
	"errors"

	"github.com/miekg/pkcs11"

	"countersign/signer"
	"countersign/signer/pkcs11/internal/wire"
)

// sharedSecretSize is the size of an ECDH secret on P-256, in bytes.
const sharedSecretSize = 32

// Agree derives the shared secret of a key and a point, as the payload of [wire.UsePayload] has them. The secret is derived as an object of the session, read and destroyed.
func (t *Token) Agree(payload []byte) ([]byte, error) {
	k, peer, err := t.using(payload, signer.ECDHES, signer.ECDHES)
	if err != nil {
		return nil, err
	}
	if _, err := parseP256(peer); err != nil {
		return nil, wire.Failf(wire.FailCiphertext, "the other key is not a point of P-256")
	}
	session, back, err := t.session()
	if err != nil {
		return nil, err
	}
	defer back()
	mechanism := []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_ECDH1_DERIVE, pkcs11.NewECDH1DeriveParams(pkcs11.CKD_NULL, nil, peer))}
	secret, err := t.module.DeriveKey(session, mechanism, k.handle, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, false),
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_GENERIC_SECRET),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, false),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, true),
		pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, sharedSecretSize),
	})
	if err != nil {
		return nil, wire.Failf(classifyDecryption(err), "agree with key: %v", err)
	}
	value, err := t.module.GetAttributeValue(session, secret, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_VALUE, nil)})
	if endErr := t.module.DestroyObject(session, secret); err == nil {
		err = endErr
	}
	if err != nil {
		return nil, wire.Failf(wire.FailModule, "read the secret that was agreed on: %v", err)
	}
	return value[0].Value, nil
}

// Unwrap decrypts what was encrypted for an RSA key, as the payload of [wire.UsePayload] has it.
func (t *Token) Unwrap(payload []byte) ([]byte, error) {
	alg, _, _, err := wire.ParseUse(payload)
	if err != nil {
		return nil, err
	}
	k, wrapped, err := t.using(payload, alg, signer.RSAOAEP256)
	if err != nil {
		return nil, err
	}
	oaep := pkcs11.NewOAEPParams(pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256, pkcs11.CKZ_DATA_SPECIFIED, nil)
	switch alg {
	case signer.RSAOAEP256:
	case signer.RSAOAEP:
		oaep = pkcs11.NewOAEPParams(pkcs11.CKM_SHA_1, pkcs11.CKG_MGF1_SHA1, pkcs11.CKZ_DATA_SPECIFIED, nil)
	default:
		return nil, wire.Failf(wire.FailRequest, "nothing is unwrapped with %s", alg)
	}
	session, back, err := t.session()
	if err != nil {
		return nil, err
	}
	defer back()
	mechanism := []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_OAEP, oaep)}
	if err := t.module.DecryptInit(session, mechanism, k.handle); err != nil {
		what := classifyDecryption(err)
		if what == wire.FailCiphertext {
			what = wire.FailRequest // nothing of the ciphertext was shown yet
		}
		return nil, wire.Failf(what, "begin to decrypt: %v", err)
	}
	secret, err := t.module.Decrypt(session, wrapped)
	if err != nil {
		return nil, wire.Failf(classifyDecryption(err), "decrypt: %v", err)
	}
	return secret, nil
}

// using reads a request to use a key of one algorithm, as another perhaps.
func (t *Token) using(payload []byte, as, want signer.Algorithm) (heldKey, []byte, error) {
	alg, kid, input, err := wire.ParseUse(payload)
	if err != nil {
		return heldKey{}, nil, err
	}
	k, err := t.key(kid)
	if err != nil {
		return heldKey{}, nil, err
	}
	if alg != as || k.algorithm != want {
		return heldKey{}, nil, wire.Failf(wire.FailRequest, "key %s is for %s and not for %s", kid, k.algorithm, want)
	}
	return k, input, nil
}

// classifyDecryption tells trouble of the module from input that does not fit. Modules name the latter in many ways, and
// it is a stranger's: it must not end the worker. So only what surely speaks of the module counts as its trouble
// (kryoptic answers CKR_DEVICE_ERROR to a damaged ciphertext; a device that is in trouble fails at the next signature).
func classifyDecryption(err error) wire.Code {
	found, ok := errors.AsType[pkcs11.Error](err)
	if !ok {
		return wire.FailModule
	}
	switch uint(found) {
	case pkcs11.CKR_DEVICE_REMOVED, pkcs11.CKR_HOST_MEMORY,
		pkcs11.CKR_SESSION_CLOSED, pkcs11.CKR_SESSION_HANDLE_INVALID, pkcs11.CKR_USER_NOT_LOGGED_IN, pkcs11.CKR_TOKEN_NOT_PRESENT,
		pkcs11.CKR_KEY_HANDLE_INVALID, pkcs11.CKR_OBJECT_HANDLE_INVALID, pkcs11.CKR_OPERATION_ACTIVE,
		pkcs11.CKR_OPERATION_NOT_INITIALIZED, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED:
		return wire.FailModule
	case pkcs11.CKR_MECHANISM_INVALID, pkcs11.CKR_KEY_TYPE_INCONSISTENT, pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED,
		pkcs11.CKR_TEMPLATE_INCONSISTENT, pkcs11.CKR_TEMPLATE_INCOMPLETE, pkcs11.CKR_FUNCTION_NOT_SUPPORTED:
		return wire.FailRequest
	}
	return wire.FailCiphertext
}
