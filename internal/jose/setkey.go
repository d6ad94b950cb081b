package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"countersign/internal/strictjson"
)

// useTLS is the use that directories give to the keys of certificates.
const useTLS = "tls"

// errPrivateKey is a key of a set that should have been kept by its owner.
var errPrivateKey = fmt.Errorf("%w: the key has private members; send the public key only", ErrMalformed)

// readSetKey reads one key of a set. The key that comes with an error has the kid, where that can be read. The error is
// errPrivateKey if the set is to be refused.
func readSetKey(element strictjson.Element) (Key, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(element.Raw, &members); err != nil || members == nil {
		return Key{}, fmt.Errorf("%w: not a JSON object", ErrMalformed)
	}
	var wire wireKey
	err := wire.readMembers(members)
	if len(wire.ID) > MaxKeyID {
		wire.ID, err = "", fmt.Errorf("%w: a kid may have %d bytes", ErrMalformed, MaxKeyID)
	}
	named := Key{ID: wire.ID}
	switch {
	case hasPrivate(members, wire.Type == "oct"):
		return named, errPrivateKey
	case element.Fault != nil:
		return named, element.Fault
	case err != nil:
		return named, err
	case wire.Type == "oct":
		return named, fmt.Errorf("%w: symmetric keys are not accepted; whoever can read the set knows this one", ErrMalformed)
	}
	key := Key{ID: wire.ID, Algorithm: wire.Algorithm, Use: wire.Use, operations: wire.Operations}
	if key.Public, err = wire.looseKey(); err != nil {
		return named, err
	}
	if key.thumbprint, err = Thumbprint(key.Public); err != nil { // refuses Ed25519 points of low order
		return named, err
	}
	if len(wire.Certificates) > 0 {
		if err := checkLooseCertificate(wire.Certificates[0], key.Public); err != nil {
			return named, err
		}
	}
	return key, nil
}

// hasPrivate reports whether a key has a member that only its owner may know. Null is none. The k of a symmetric key is
// no reason to refuse the keys beside it.
func hasPrivate(members map[string]json.RawMessage, symmetric bool) bool {
	private := []string{"d", "p", "q", "dp", "dq", "qi", "oth", "priv"} // RFC 7518 §6.2.2, §6.3.2; RFC 9964
	if !symmetric {
		private = append(private, "k")
	}
	return slices.ContainsFunc(private, func(name string) bool {
		value, ok := members[name]
		return ok && string(value) != "null"
	})
}

// readMembers reads the public members and names the first that has the wrong type.
func (w *wireKey) readMembers(members map[string]json.RawMessage) error {
	var wrong error
	for _, member := range []struct {
		name string
		into any
	}{
		{"kid", &w.ID}, {"kty", &w.Type}, {"use", &w.Use}, {"key_ops", &w.Operations}, {"alg", &w.Algorithm},
		{"crv", &w.Curve}, {"x", &w.X}, {"y", &w.Y}, {"n", &w.Modulus}, {"e", &w.Exponent},
	} {
		raw, ok := members[member.name]
		if ok && json.Unmarshal(raw, member.into) != nil && wrong == nil {
			wrong = fmt.Errorf("%w: the member %s has the wrong JSON type", ErrMalformed, member.name)
		}
	}
	raw, ok := members["x5c"]
	if !ok || wrong != nil || json.Unmarshal(raw, &w.Certificates) == nil {
		return wrong
	}
	var single string
	if json.Unmarshal(raw, &single) != nil {
		return fmt.Errorf("%w: the member x5c has the wrong JSON type", ErrMalformed)
	}
	w.Certificates = []string{single}
	return nil
}

// looseKey makes the public key of what was written in any of the usual ways. The number or the point is the same in each
// of them, and so is the thumbprint.
func (w *wireKey) looseKey() (crypto.PublicKey, error) {
	switch w.Type {
	case "":
		return nil, fmt.Errorf("%w: the key has no kty", ErrMalformed)
	case "RSA":
		n, err := looseNumber("n", w.Modulus)
		if err != nil {
			return nil, err
		}
		e, err := looseNumber("e", w.Exponent)
		if err != nil {
			return nil, err
		}
		return rsaPublic(n, e)
	case "EC":
		if curve := curveOf(w.Curve); curve != nil {
			return w.looseEC(curve)
		}
	case "OKP":
		if w.Curve == "Ed25519" {
			x, err := decodeLoose("x", w.X)
			if err != nil {
				return nil, err
			}
			return ed25519Public(x)
		}
	}
	return nil, fmt.Errorf("%w: keys of this kty and crv are not used here", ErrMalformed)
}

// curveOf is a curve by its name in JWK, or nil. Signatures are verified on P-256 only.
func curveOf(name string) elliptic.Curve {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		if curve.Params().Name == name {
			return curve
		}
	}
	return nil
}

func (w *wireKey) looseEC(curve elliptic.Curve) (crypto.PublicKey, error) {
	coordinate := func(member, encoded string) ([]byte, error) {
		octets, err := looseNumber(member, encoded)
		if size := coordinateSize(curve); err == nil && len(octets) < size {
			octets = slices.Concat(make([]byte, size-len(octets)), octets)
		}
		return octets, err
	}
	x, err := coordinate("x", w.X)
	if err != nil {
		return nil, err
	}
	y, err := coordinate("y", w.Y)
	if err != nil {
		return nil, err
	}
	return ecPublic(curve, x, y)
}

// looseNumber decodes a number and drops its leading zeros, which Java's BigInteger writes.
func looseNumber(member, encoded string) ([]byte, error) {
	octets, err := decodeLoose(member, encoded)
	if err != nil {
		return nil, err
	}
	if len(octets) == 0 {
		return nil, fmt.Errorf("%w: the member %s is missing or empty", ErrMalformed, member)
	}
	return bytes.TrimLeft(octets, "\x00"), nil
}

// decodeLoose decodes base64url or base64, padded or not, with white space in it.
func decodeLoose(member, encoded string) ([]byte, error) {
	plain := strings.Map(func(r rune) rune {
		switch r {
		case '+':
			return '-'
		case '/':
			return '_'
		case ' ', '\t', '\r', '\n':
			return -1
		}
		return r
	}, encoded)
	octets, err := strictBase64.DecodeString(strings.TrimRight(plain, "="))
	if err != nil {
		return nil, fmt.Errorf("%w: the member %s is not base64url", ErrMalformed, member)
	}
	return octets, nil
}

// checkLooseCertificate reads the first entry of x5c, which must hold the key itself (RFC 7517 §4.7). Nothing else is
// taken from it, so that it need not be a certificate that crypto/x509 reads.
func checkLooseCertificate(encoded string, public crypto.PublicKey) error {
	der, err := decodeLoose("x5c", withoutArmour(encoded))
	if err != nil {
		return err
	}
	certified, ok := certifiedKey(der)
	if !ok {
		return fmt.Errorf("%w: x5c does not begin with a certificate", ErrMalformed)
	}
	own, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return fmt.Errorf("%w: the public key is not a valid one", ErrMalformed)
	}
	var info publicKeyInfo
	if _, err := asn1.Unmarshal(own, &info); err != nil || !bytes.Equal(info.Key.RightAlign(), certified) {
		return errOtherCertificate
	}
	return nil
}

// withoutArmour takes the first body out of PEM, or returns what has no armour (RFC 7468 §2). One of the two lines may be
// missing.
func withoutArmour(text string) string {
	const begin, end, line = "-----BEGIN ", "-----END ", "-----"
	if _, after, ok := strings.Cut(text, begin); ok {
		if _, body, ok := strings.Cut(after, line); ok {
			text = body
		}
	}
	body, _, _ := strings.Cut(text, end)
	return body
}

// publicKeyInfo is a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7).
type publicKeyInfo struct {
	Algorithm asn1.RawValue
	Key       asn1.BitString
}

// certifiedKey takes the key out of a certificate (RFC 5280 §4.1) or a SubjectPublicKeyInfo, whatever else is in it.
func certifiedKey(der []byte) ([]byte, bool) {
	var info publicKeyInfo
	if rest, err := asn1.Unmarshal(der, &info); err == nil && len(rest) == 0 {
		return info.Key.RightAlign(), true
	}
	var certificate struct {
		Signed struct {
			Version       asn1.RawValue `asn1:"optional,explicit,tag:0"`
			SerialNumber  asn1.RawValue
			Signature     asn1.RawValue
			Issuer        asn1.RawValue
			Validity      asn1.RawValue
			Subject       asn1.RawValue
			PublicKeyInfo publicKeyInfo
		}
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if rest, err := asn1.Unmarshal(der, &certificate); err != nil || len(rest) != 0 {
		return nil, false
	}
	return certificate.Signed.PublicKeyInfo.Key.RightAlign(), true
}

// certifies reports whether the key may be that of a self-signed certificate: unlike the algorithm of a signature, that of
// TLS is not one of ours.
func (k Key) certifies() bool {
	signs := k.Algorithm == "" || canonicalAlgorithm(k.Algorithm) == EdDSA ||
		len(k.Algorithm) == 5 && slices.Contains([]string{"RS", "PS", "ES"}, k.Algorithm[:2])
	return signs && (k.Use == "" || k.Use == "sig" || k.Use == useTLS) &&
		(k.operations == nil || slices.Contains(k.operations, "verify"))
}

// whyNotVerifying is why a correct key verifies no signature here.
func (k Key) whyNotVerifying() string {
	own := ownAlgorithm(k.Public)
	switch {
	case k.Use != "" && k.Use != "sig":
		return "its use is " + quoted(k.Use)
	case !fits(own, k.Public):
		return "keys on " + k.Public.(*ecdsa.PublicKey).Curve.Params().Name + " verify no signatures here, only certificates"
	case k.Algorithm != "" && canonicalAlgorithm(k.Algorithm) != own:
		return "its alg is " + quoted(k.Algorithm) + "; a key of its kind is used with " + own
	}
	return "its key_ops do not hold verify"
}
