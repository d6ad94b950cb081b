//go:build !linux

package worker

// Harden does nothing where the calls do not exist.
func Harden() {}
