package servers

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is one of /proc, with the fields of its stat from the state on: proc_pid_stat(5).
type process struct {
	id   int
	stat []string
}

// number is a field of stat, counted from the state on.
func (p process) number(field int) int64 {
	n, _ := strconv.ParseInt(p.stat[field], 10, 64) // the kernel writes numbers
	return n
}

// tree lists processes and all below them, of whatever group.
func tree(roots ...int) []process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]process{}
	var found []process
	for _, entry := range entries {
		id, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", id))
		if err != nil {
			continue // it has ended
		}
		p := process{id, strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))}
		parent := int(p.number(1))
		children[parent] = append(children[parent], p)
		if slices.Contains(roots, id) {
			found = append(found, p)
		}
	}
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i].id]...)
	}
	return found
}

// KillTree kills a process and all that it started, without a word to any of them.
func KillTree(root int) {
	for _, p := range tree(root) {
		_ = syscall.Kill(p.id, syscall.SIGKILL) // it may be gone already
	}
}

// CPU is the time that the server's processes have used, those that have ended included. Of those that run it is exact:
// /proc counts in hundredths of a second, which is much in a slice of one.
func (s *Server) CPU() time.Duration {
	var sum time.Duration
	for _, p := range tree(s.Processes()...) {
		first := 13 // cutime and cstime, of children that were waited for
		if exact, err := processorTime(p.id); err == nil {
			sum += exact
		} else {
			first = 11 // utime and stime too
		}
		for field := first; field < 15; field++ {
			sum += time.Duration(p.number(field)) * time.Second / 100
		}
	}
	return sum
}

// processorTime is what a process has used so far, by its own clock (clock_getcpuclockid(3)).
func processorTime(id int) (time.Duration, error) {
	var used unix.Timespec
	if err := unix.ClockGettime(int32(^id<<3|2), &used); err != nil {
		return 0, err
	}
	return time.Duration(used.Nano()), nil
}

// Memory is what the server's processes have resident, in MiB. PostgreSQL's share of its buffers counts in each of its
// processes.
func (s *Server) Memory() float64 {
	var pages int64
	for _, p := range tree(s.Processes()...) {
		pages += p.number(21)
	}
	return float64(pages) * float64(os.Getpagesize()) / (1 << 20)
}

// Proportional is what the server's processes have resident, in MiB, with what they share counted once (PSS): each page as
// a share for each process that has it.
func (s *Server) Proportional() float64 {
	var kibibytes int64
	for _, p := range tree(s.Processes()...) {
		kibibytes += field(fmt.Sprintf("/proc/%d/smaps_rollup", p.id), "\nPss:")
	}
	return float64(kibibytes) / 1024
}

// field is a number behind a name in a file of /proc; 0 where the process has ended.
func field(file, name string) int64 {
	raw, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(raw), name)
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(fields[0], 10, 64) // the kernel writes numbers
	return n
}

// Peak is the sum of the most that each of the server's processes had resident, in MiB.
func (s *Server) Peak() float64 {
	var kibibytes int64
	for _, p := range tree(s.Processes()...) {
		kibibytes += field(fmt.Sprintf("/proc/%d/status", p.id), "VmHWM:")
	}
	return float64(kibibytes) / 1024
}

// Signers are the process ids of the server's PKCS#11 workers, the oldest first.
func (s *Server) Signers() []int {
	var found []int
	for _, p := range tree(s.Processes()...) {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.id))
		if err == nil && bytes.Contains(line, []byte("\x00pkcs11-worker\x00")) {
			found = append(found, p.id)
		}
	}
	slices.Sort(found)
	return found
}
