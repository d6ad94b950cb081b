//go:build !cgo || nopkcs11

package token

import "countersign/signer/pkcs11/internal/wire"

// Built reports whether this binary can load PKCS#11 modules.
const Built = false

// unsignedFailure is for answers that no worker gives.
func unsignedFailure(kid string, where byte, code uint64) *wire.Failure {
	return wire.Failf(wire.FailModule, "no signature with key %s: %d, %#x", kid, where, code)
}
