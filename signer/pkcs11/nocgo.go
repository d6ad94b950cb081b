//go:build !cgo || nopkcs11

package pkcs11

// Built reports whether this binary can load PKCS#11 modules.
const Built = false

// serve refuses: a module can only be loaded with cgo.
func serve(frame) (service, error) {
	return nil, failf(failFatal, "this binary was built without cgo and has no PKCS#11; build it with CGO_ENABLED=1 and a C compiler")
}

// unsignedFailure is for answers that no worker gives.
func unsignedFailure(kid string, where byte, code uint64) *failure {
	return failf(failModule, "no signature with key %s: %d, %#x", kid, where, code)
}
