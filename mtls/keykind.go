package mtls

import (
	"crypto/x509"

	"countersign/mtls/internal/keykind"
)

// acceptedKeys goes on after a semicolon.
const acceptedKeys = "accepted are RSA of 2048 bits or more, P-256, P-384, P-521 and Ed25519"

// KeyKind names the kind of a certificate's key, such as "P-256" or "brainpoolP256r1", with its object identifier.
func KeyKind(certificate *x509.Certificate) string {
	return keykind.Of(certificate.RawSubjectPublicKeyInfo)
}
