//go:build !linux

package doctor

// clockSynchronised reports whether something keeps the clock, and whether that can be known.
func clockSynchronised() (synchronised, known bool) { return false, false }
