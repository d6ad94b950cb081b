// Package keykind names kinds of public keys, those that are not accepted too.
package keykind

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
)

// RSAPSS is the object identifier of RSASSA-PSS keys (RFC 4055 §1.2).
const RSAPSS = "1.2.840.113549.1.1.10"

const (
	oidRSA = "1.2.840.113549.1.1.1"
	oidEC  = "1.2.840.10045.2.1"
)

// names are kinds of keys and curves by their object identifiers.
var names = map[string]string{
	oidRSA: "RSA", RSAPSS: "RSASSA-PSS", oidEC: "on an elliptic curve that is not named", "1.2.840.10040.4.1": "DSA",
	"1.3.101.110": "X25519", "1.3.101.111": "X448", "1.3.101.112": "Ed25519", "1.3.101.113": "Ed448",
	"1.2.840.10045.3.1.1": "P-192", "1.3.132.0.33": "P-224", "1.2.840.10045.3.1.7": "P-256", "1.3.132.0.34": "P-384", "1.3.132.0.35": "P-521",
	"1.3.132.0.10": "secp256k1", "1.2.156.10197.1.301": "SM2",
	"1.3.36.3.3.2.8.1.1.7": "brainpoolP256r1", "1.3.36.3.3.2.8.1.1.8": "brainpoolP256t1",
	"1.3.36.3.3.2.8.1.1.11": "brainpoolP384r1", "1.3.36.3.3.2.8.1.1.12": "brainpoolP384t1",
	"1.3.36.3.3.2.8.1.1.13": "brainpoolP512r1", "1.3.36.3.3.2.8.1.1.14": "brainpoolP512t1",
	"1.2.643.7.1.1.1.1": "GOST R 34.10-2012", "1.2.643.7.1.1.1.2": "GOST R 34.10-2012",
	"2.16.840.1.101.3.4.3.17": "ML-DSA-44", "2.16.840.1.101.3.4.3.18": "ML-DSA-65", "2.16.840.1.101.3.4.3.19": "ML-DSA-87",
}

// Of names the kind of a key by its SubjectPublicKeyInfo (RFC 5280 §4.1.2.7): the curve, or else the algorithm,
// with the object identifier of what is not usual.
func Of(subjectPublicKeyInfo []byte) string {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		PublicKey asn1.BitString
	}
	if _, err := asn1.Unmarshal(subjectPublicKeyInfo, &info); err != nil {
		return "of a kind that cannot be read"
	}
	id := info.Algorithm.Algorithm.String()
	var curve asn1.ObjectIdentifier
	if rest, err := asn1.Unmarshal(info.Algorithm.Parameters.FullBytes, &curve); id == oidEC && err == nil && len(rest) == 0 {
		id = curve.String()
	}
	name, known := names[id]
	if !known {
		return "of the kind " + id
	}
	if id == oidRSA || strings.HasPrefix(name, "on ") {
		return name
	}
	return name + " (" + id + ")"
}
