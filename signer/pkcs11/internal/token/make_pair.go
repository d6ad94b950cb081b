//go:build cgo && !nopkcs11

package token

import (
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/miekg/pkcs11"

	"countersign/signer"
	"countersign/signer/pkcs11/internal/wire"
)

// request is what a module is asked to make.
type request struct {
	mechanism       []*pkcs11.Mechanism
	public, private []*pkcs11.Attribute
}

// makePair makes a key in the strictest way that the module takes, and gives its kid. Each way out below is taken only
// for the answer of the module that needs it, and none is trusted: the new key is read back and held to the policy.
func (t *Token) makePair(alg signer.Algorithm) (string, error) {
	session, err := t.openSession(pkcs11.CKF_RW_SESSION)
	if err != nil {
		return "", err
	}
	defer t.closeSession(session)
	var r request
	if r.mechanism, r.public, r.private, err = templates(alg); err != nil {
		return "", err
	}
	kid, err := t.makeCopied(session, r)
	switch {
	case hasCode(err, pkcs11.CKR_ATTRIBUTE_TYPE_INVALID), hasCode(err, pkcs11.CKR_GENERAL_ERROR):
		// opencryptoki does not know the list of allowed mechanisms; NSS cannot store it and does not say why.
		r.private = without(r.private, pkcs11.CKA_ALLOWED_MECHANISMS)
		kid, err = t.makeCopied(session, r)
	case hasCode(err, pkcs11.CKR_ATTRIBUTE_VALUE_INVALID), hasCode(err, pkcs11.CKR_FUNCTION_NOT_SUPPORTED):
		// A key for the session only is nothing that a TPM has, nor is a copy.
		kid, err = t.makeInPlace(session, r)
		if hasCode(err, pkcs11.CKR_GENERAL_ERROR) && t.claimsDecrypt() && !alg.Decrypts() {
			r.public, r.private = without(r.public, pkcs11.CKA_ENCRYPT), without(r.private, pkcs11.CKA_DECRYPT)
			kid, err = t.makeInPlace(session, r)
		}
	}
	if err != nil {
		return "", wire.Failf(wire.FailRequest, "the module refuses to make a key for %s: %v", alg, err)
	}
	return kid, nil
}

// makeCopied makes the pair for the session first, because its kid is known only then; a copy with the kid as its name,
// and not modifiable, goes onto the token.
func (t *Token) makeCopied(session pkcs11.SessionHandle, r request) (string, error) {
	public, private, err := t.module.GenerateKeyPair(session, r.mechanism, r.public, r.private)
	if err != nil {
		return "", err
	}
	kid, id, err := t.nameOf(public)
	if err != nil {
		return "", err
	}
	kept := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
		pkcs11.NewAttribute(pkcs11.CKA_ID, id),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, kid),
		pkcs11.NewAttribute(pkcs11.CKA_MODIFIABLE, false),
	}
	// The public half first: alone it is no key, should the second copy fail.
	half, err := t.module.CopyObject(session, public, kept)
	if err != nil {
		return "", fmt.Errorf("store the new public key: %w", err)
	}
	if _, err := t.module.CopyObject(session, private, kept); err != nil {
		_ = t.module.DestroyObject(session, half) // what stays is no key
		return "", fmt.Errorf("store the new key: %w", err)
	}
	return kid, nil
}

// makeInPlace makes the pair on the token at once, under a chance name and not modifiable. Where the module lets it have
// its proper name afterwards, it gets it; where not, the key is found by its public half all the same.
func (t *Token) makeInPlace(session pkcs11.SessionHandle, r request) (string, error) {
	name := make([]byte, 32)
	rand.Read(name) // never fails
	born := func(template []*pkcs11.Attribute) []*pkcs11.Attribute {
		return append(without(template, pkcs11.CKA_TOKEN),
			pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
			pkcs11.NewAttribute(pkcs11.CKA_ID, name),
			pkcs11.NewAttribute(pkcs11.CKA_MODIFIABLE, false))
	}
	public, private, err := t.module.GenerateKeyPair(session, r.mechanism, born(r.public), born(r.private))
	if err != nil {
		return "", err
	}
	kid, id, err := t.nameOf(public)
	if err != nil {
		return "", err
	}
	proper := []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_ID, id), pkcs11.NewAttribute(pkcs11.CKA_LABEL, kid)}
	if err := t.module.SetAttributeValue(session, public, proper); err != nil {
		return kid, nil // not modifiable means just that
	}
	if err := t.module.SetAttributeValue(session, private, proper); err != nil {
		return "", fmt.Errorf("name the new key: %w", err)
	}
	return kid, nil
}

// nameOf gives the kid of a public key, and the CKA_ID that goes with it.
func (t *Token) nameOf(public pkcs11.ObjectHandle) (kid string, id []byte, err error) {
	made, _, err := t.publicKey(public)
	if err != nil {
		return "", nil, fmt.Errorf("read the new key: %w", err)
	}
	if kid, err = signer.Thumbprint(made); err != nil {
		return "", nil, err
	}
	id, err = wire.IDOf(kid)
	return kid, id, err
}

// claimsDecrypt tells a module that says CKA_DECRYPT of every private key, also of one that only signs: tpm2-pkcs11,
// as TPM keys are made for both. What such a key can do is then for CKA_ALLOWED_MECHANISMS to say.
func (t *Token) claimsDecrypt() bool {
	info, err := t.module.GetInfo()
	return err == nil && trim(info.ManufacturerID) == "tpm2-software.github.io"
}

// without is a template without an attribute.
func without(template []*pkcs11.Attribute, kind uint) []*pkcs11.Attribute {
	return slices.DeleteFunc(slices.Clone(template), func(a *pkcs11.Attribute) bool { return a.Type == kind })
}
