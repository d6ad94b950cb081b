//go:build !linux

package pkcs11

// harden does nothing where the calls do not exist.
func harden() {}
