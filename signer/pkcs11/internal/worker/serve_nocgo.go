//go:build !cgo || nopkcs11

package worker

import "countersign/signer/pkcs11/internal/wire"

// serve refuses: a module can only be loaded with cgo.
func serve(wire.Frame) (Service, error) {
	return nil, wire.Failf(wire.FailFatal, "this binary was built without cgo and has no PKCS#11; build it with CGO_ENABLED=1 and a C compiler")
}
