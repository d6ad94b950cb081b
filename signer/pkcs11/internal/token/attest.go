//go:build cgo && !nopkcs11

package token

import (
	"fmt"
	"slices"

	"github.com/miekg/pkcs11"

	"countersign/signer"
	"countersign/signer/pkcs11/attest"
	"countersign/signer/pkcs11/internal/wire"
)

// Attest reads what the token says of itself and of a key; the failure is wire.FailNoKey for an unknown one.
func (t *Token) Attest(kid string) (attest.Attestation, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	pairs, err := t.readPairs()
	if err != nil {
		return attest.Attestation{}, err
	}
	i := slices.IndexFunc(pairs, func(p pair) bool { return p.kid == kid })
	if i < 0 {
		return attest.Attestation{}, wire.Failf(wire.FailNoKey, "the token %q holds no key %s", t.label, kid)
	}
	a := attest.Attestation{KID: kid, Refused: pairs[i].refused, Attributes: map[string]bool{}}
	info, err := t.module.GetInfo()
	if err != nil {
		return attest.Attestation{}, wire.Failf(wire.FailModule, "ask the module about itself: %v", err)
	}
	a.Module = attest.Description{
		Description: trim(info.LibraryDescription), Manufacturer: trim(info.ManufacturerID), Version: version(info.LibraryVersion),
	}
	about, err := tokenInfo(t.module, t.slot)
	if err != nil {
		return attest.Attestation{}, wire.Failf(wire.FailModule, "ask the token about itself: %v", err)
	}
	a.Token = attest.Description{
		Label: trim(about.Label), Manufacturer: trim(about.ManufacturerID), Model: trim(about.Model), Serial: trim(about.SerialNumber),
		Version: version(about.HardwareVersion), Firmware: version(about.FirmwareVersion),
	}
	for name, attribute := range map[string]uint{
		"CKA_TOKEN": pkcs11.CKA_TOKEN, "CKA_PRIVATE": pkcs11.CKA_PRIVATE, "CKA_SENSITIVE": pkcs11.CKA_SENSITIVE,
		"CKA_ALWAYS_SENSITIVE": pkcs11.CKA_ALWAYS_SENSITIVE, "CKA_EXTRACTABLE": pkcs11.CKA_EXTRACTABLE,
		"CKA_NEVER_EXTRACTABLE": pkcs11.CKA_NEVER_EXTRACTABLE, "CKA_LOCAL": pkcs11.CKA_LOCAL, "CKA_MODIFIABLE": pkcs11.CKA_MODIFIABLE,
		"CKA_SIGN": pkcs11.CKA_SIGN, "CKA_SIGN_RECOVER": pkcs11.CKA_SIGN_RECOVER, "CKA_DECRYPT": pkcs11.CKA_DECRYPT,
		"CKA_UNWRAP": pkcs11.CKA_UNWRAP, "CKA_DERIVE": pkcs11.CKA_DERIVE, "CKA_ALWAYS_AUTHENTICATE": pkcs11.CKA_ALWAYS_AUTHENTICATE,
	} {
		value, err := t.attribute(pairs[i].private, attribute)
		if err := trouble(err); err != nil {
			return attest.Attestation{}, err
		}
		if err == nil && len(value) == 1 { // others are not known to the module
			a.Attributes[name] = value[0] != 0
		}
	}
	if a.Offered, err = t.offered(); err != nil {
		return attest.Attestation{}, err
	}
	a.Mechanisms, err = t.allowedMechanisms(pairs[i].private)
	return a, err
}

// offered reads the token's list of mechanisms: an algorithm is on it when its mechanism is, for the use that is made of
// it (PKCS #11 v3.1 §5.5, C_GetMechanismInfo).
func (t *Token) offered() ([]signer.Algorithm, error) {
	listed, err := t.module.GetMechanismList(t.slot)
	if err != nil {
		return nil, wire.Failf(wire.FailModule, "ask the token for its mechanisms: %v", err)
	}
	has := func(mechanism, use uint) (bool, error) {
		i := slices.IndexFunc(listed, func(m *pkcs11.Mechanism) bool { return m.Mechanism == mechanism })
		if i < 0 {
			return false, nil
		}
		about, err := t.module.GetMechanismInfo(t.slot, []*pkcs11.Mechanism{listed[i]})
		if err != nil {
			return false, wire.Failf(wire.FailModule, "ask the token about a mechanism: %v", err)
		}
		return about.Flags&use != 0, nil
	}
	var offered []signer.Algorithm
	for _, alg := range wire.Algorithms() {
		use := map[signer.Algorithm]uint{signer.ECDHES: pkcs11.CKF_DERIVE, signer.RSAOAEP256: pkcs11.CKF_DECRYPT, signer.RSAOAEP: pkcs11.CKF_DECRYPT}[alg]
		if use == 0 {
			use = pkcs11.CKF_SIGN
		}
		found, err := has(mechanismOf(alg), use)
		if err != nil {
			return nil, err
		}
		if found {
			offered = append(offered, alg)
		}
	}
	return offered, nil
}

// allowedMechanisms reads CKA_ALLOWED_MECHANISMS; nil when the module does not know or does not restrict.
func (t *Token) allowedMechanisms(private pkcs11.ObjectHandle) ([]string, error) {
	raw, err := t.attribute(private, pkcs11.CKA_ALLOWED_MECHANISMS)
	if err != nil {
		// p11-kit 0.24 cannot pass a list on and says that the device failed. A device that did fails again.
		_, again := t.attribute(private, pkcs11.CKA_SIGN)
		return nil, trouble(again)
	}
	size := len(mechanismList(0))
	var names []string
	for chunk := range slices.Chunk(raw, size) {
		if len(chunk) == size {
			names = append(names, mechanismName(ulong(chunk)))
		}
	}
	return names, nil
}

func mechanismName(number uint) string {
	switch number {
	case pkcs11.CKM_RSA_PKCS_PSS:
		return "CKM_RSA_PKCS_PSS"
	case pkcs11.CKM_ECDSA:
		return "CKM_ECDSA"
	case mechanismEdDSA:
		return "CKM_EDDSA"
	case pkcs11.CKM_ECDH1_DERIVE:
		return "CKM_ECDH1_DERIVE"
	case pkcs11.CKM_RSA_PKCS_OAEP:
		return "CKM_RSA_PKCS_OAEP"
	}
	return fmt.Sprintf("%#x", number)
}

func version(v pkcs11.Version) string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }
