package measure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// maxLoad is from which load on, over the last minute, a machine is not quiet, and maxShare which share of one
	// processor another process may have.
	maxLoad  = 1.0
	maxShare = 0.05
	// watched is how long it is looked at before anything is measured.
	watched = 3 * time.Second
	// ticks a second are what /proc counts in on Linux (USER_HZ).
	ticks = 100
	// kthreadd is the parent of the kernel's threads.
	kthreadd = 2
)

// Machine is a machine by its /proc.
type Machine struct {
	// Proc is the folder, "/proc".
	Proc string
	// Own is the process whose children are no strangers, and itself.
	Own int
}

// ThisMachine is the one that this process runs on.
func ThisMachine() Machine { return Machine{Proc: "/proc", Own: os.Getpid()} }

// used is what one process has used of the processors, in ticks.
type used struct {
	name   string
	parent int
	// ticks are its own, and waited those of its children that have ended.
	ticks, waited int64
	started       string
}

// Snapshot is what all processes have used until now.
type Snapshot struct {
	at        time.Time
	processes map[int]used
	// busy are the ticks that all used, those that have ended included, and stolen those that a hypervisor gave to others.
	busy, stolen int64
}

// Snapshot reads all processes.
func (m Machine) Snapshot(now time.Time) (Snapshot, error) {
	s := Snapshot{at: now, processes: map[int]used{}}
	entries, err := os.ReadDir(m.Proc)
	if err != nil {
		return s, err
	}
	for _, entry := range entries {
		id, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(m.Proc, entry.Name(), "stat"))
		if err != nil {
			continue // it has ended
		}
		if one, ok := parseStat(string(raw)); ok {
			s.processes[id] = one
		}
	}
	raw, err := os.ReadFile(filepath.Join(m.Proc, "stat"))
	if err != nil {
		return s, err
	}
	first, _, _ := strings.Cut(string(raw), "\n")
	if fields := strings.Fields(first); len(fields) > 8 {
		number := func(i int) int64 {
			n, _ := strconv.ParseInt(fields[i], 10, 64) // the kernel writes numbers
			return n
		}
		s.busy, s.stolen = number(1)+number(2)+number(3), number(8) // user, nice and system
	}
	return s, nil
}

// parseStat reads proc_pid_stat(5).
func parseStat(raw string) (used, bool) {
	open, end := strings.IndexByte(raw, '('), strings.LastIndexByte(raw, ')')
	if open < 0 || end < open {
		return used{}, false
	}
	fields := strings.Fields(raw[end+1:])
	if len(fields) < 20 {
		return used{}, false
	}
	number := func(i int) int64 {
		n, _ := strconv.ParseInt(fields[i], 10, 64) // the kernel writes numbers
		return n
	}
	return used{name: raw[open+1 : end], parent: int(number(1)), ticks: number(11) + number(12), waited: number(13) + number(14), started: fields[19]}, true
}

// Stranger is a process that is none of ours, with its share of one processor.
type Stranger struct {
	ID    int
	Name  string
	Share float64
	// Kernel is set for a thread of the kernel.
	Kernel bool
}

// String names the process.
func (s Stranger) String() string {
	return fmt.Sprintf("process %d (%s) used %.0f %% of a processor", s.ID, s.Name, 100*s.Share)
}

// Strangers are the processes that used the processors between two snapshots and are none of ours, the busiest first.
// One that began and ended in between is not seen.
func (m Machine) Strangers(before, after Snapshot) []Stranger {
	var found []Stranger
	seconds := after.at.Sub(before.at).Seconds()
	if seconds <= 0 {
		return nil
	}
	for id, now := range after.processes {
		if m.ours(id, after) || m.ours(id, before) {
			continue
		}
		ran := now.ticks
		if then, ok := before.processes[id]; ok && then.started == now.started {
			ran -= then.ticks
		}
		if ran > 0 {
			found = append(found, Stranger{id, now.name, float64(ran) / ticks / seconds, id == kthreadd || now.parent == kthreadd})
		}
	}
	slices.SortFunc(found, func(a, b Stranger) int {
		if a.Share != b.Share {
			if a.Share > b.Share {
				return -1
			}
			return 1
		}
		return a.ID - b.ID
	})
	return found
}

// ours reports whether a process is this one or below it.
func (m Machine) ours(id int, s Snapshot) bool {
	for range len(s.processes) + 1 {
		if id == m.Own {
			return true
		}
		one, ok := s.processes[id]
		if !ok || one.parent == id {
			return false
		}
		id = one.parent
	}
	return false
}

// unseen is the share of one processor that nobody of ours used and no thread of the kernel, as the kernel counts it: those
// too that began and ended in between. It counts by sampling and comes to some hundredths more or less.
func (m Machine) unseen(before, after Snapshot) float64 {
	seconds := after.at.Sub(before.at).Seconds()
	if seconds <= 0 {
		return 0
	}
	sum := func(s Snapshot) (ticks int64) {
		for id, one := range s.processes {
			switch {
			case m.ours(id, s):
				ticks += one.ticks + one.waited
			case one.parent == kthreadd:
				ticks += one.ticks
			}
		}
		return ticks
	}
	known := sum(after) - sum(before)
	return max(0, float64(after.busy-before.busy-known)/ticks/seconds)
}

// stolen is the share of one processor that a hypervisor gave to others.
func stolen(before, after Snapshot) float64 {
	seconds := after.at.Sub(before.at).Seconds()
	if seconds <= 0 {
		return 0
	}
	return float64(after.stolen-before.stolen) / ticks / seconds
}

// NotQuietError says why nothing that is measured on a machine is worth writing down.
type NotQuietError struct{ Reasons []string }

// Error implements error.
func (e *NotQuietError) Error() string {
	return "the machine is not quiet: " + strings.Join(e.Reasons, "; ")
}

// judge is the error for what was seen, or nil. Of the kernel's threads only those count that worked before we began:
// later they may work for us, at the disk.
func judge(load float64, strangers []Stranger, stolen float64, kernel bool) error {
	var reasons []string
	if load >= maxLoad {
		reasons = append(reasons, fmt.Sprintf("its load over the last minute is %.2f, and should be below %.0f", load, maxLoad))
	}
	for _, s := range strangers {
		if s.Share > maxShare && (kernel || !s.Kernel) {
			reasons = append(reasons, s.String())
		}
	}
	if stolen > maxShare {
		reasons = append(reasons, fmt.Sprintf("its hypervisor took %.0f %% of a processor away", 100*stolen))
	}
	if reasons == nil {
		return nil
	}
	return &NotQuietError{reasons}
}

// load is the load over the last minute.
func (m Machine) load() (float64, error) {
	raw, err := os.ReadFile(filepath.Join(m.Proc, "loadavg"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(raw), " ")
	return strconv.ParseFloat(first, 64)
}

// Before looks at the machine for some seconds, before anything is measured. A [NotQuietError] says why it is not quiet.
func (m Machine) Before(ctx context.Context) error {
	load, err := m.load()
	if err != nil {
		return err
	}
	before, err := m.Snapshot(time.Now())
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(watched):
	}
	after, err := m.Snapshot(time.Now())
	if err != nil {
		return err
	}
	return judge(load, m.Strangers(before, after), stolen(before, after), true)
}

// Ready looks at the machine before something is measured. Where it is to be written down, it waits for a quiet machine and
// gives up after some time, with a [NotQuietError]: what was compiled just now is still in the load. Otherwise it only says
// that the machine is not quiet.
func (m Machine) Ready(ctx context.Context, written bool, patience time.Duration, out io.Writer) error {
	for deadline := time.Now().Add(patience); ; {
		err := m.Before(ctx)
		var noisy *NotQuietError
		switch {
		case !errors.As(err, &noisy):
			return err
		case !written:
			fmt.Fprintf(out, "%s. What comes is an indication.\n", err)
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%w. Nothing is measured to be written then; without -write it is", err)
		}
		fmt.Fprintf(out, "waiting: %s\n", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Second):
		}
	}
}

// Watch waits as [Machine.Ready] does, and returns what judges at the end what others did in the meantime, as
// [Machine.During] does.
func (m Machine) Watch(ctx context.Context, written bool, patience time.Duration, out io.Writer) (func() (string, error), error) {
	if err := m.Ready(ctx, written, patience, out); err != nil {
		return nil, err
	}
	before, err := m.Snapshot(time.Now())
	if err != nil {
		return nil, err
	}
	return func() (string, error) {
		after, err := m.Snapshot(time.Now())
		if err != nil {
			return "", err
		}
		return m.During(before, after)
	}, nil
}

// maxUnseen is which share of one processor all others may have together while something is measured.
const maxUnseen = 0.2

// During judges what others did while something was measured, and says it in a sentence.
func (m Machine) During(before, after Snapshot) (string, error) {
	strangers, others, away := m.Strangers(before, after), m.unseen(before, after), stolen(before, after)
	var sum float64
	for _, s := range strangers {
		if !s.Kernel {
			sum += s.Share
		}
	}
	others = max(others, sum)
	said := fmt.Sprintf("While it ran, processes that do not belong to it used %.0f %% of one processor", 100*others)
	if away > 0 {
		said += fmt.Sprintf(", and the hypervisor took %.1f %% away", 100*away)
	}
	err := judge(0, strangers, away, false)
	if err == nil && others > maxUnseen {
		err = &NotQuietError{[]string{fmt.Sprintf("processes that came and went used %.0f %% of a processor", 100*others)}}
	}
	return said + ".", err
}
