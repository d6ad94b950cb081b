package doctor

import "syscall"

// timeError is the clock state of a kernel whose clock nobody keeps (TIME_ERROR, adjtimex(2)).
const timeError = 5

// clockSynchronised reports whether something keeps the clock, and whether that can be known.
func clockSynchronised() (synchronised, known bool) {
	var state syscall.Timex
	code, err := syscall.Adjtimex(&state)
	return code != timeError, err == nil
}
