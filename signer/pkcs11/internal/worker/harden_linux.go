package worker

import "golang.org/x/sys/unix"

// Harden keeps the PIN out of core dumps and of the reach of a debugger of the same user.
func Harden() {
	// A kernel that refuses either leaves the worker as safe as any process: there is nothing better to do.
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}
