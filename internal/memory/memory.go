// Package memory looks after the memory of the server: it holds the heap to what is alive, and returns what a server that rests does not need.
package memory

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"countersign/internal/directory"
	"countersign/internal/pause"
)

const (
	// garbagePercent trades memory for time: little is alive at any moment, and to collect it at the runtime's own pace takes a
	// tenth of all CPU time.
	garbagePercent = 300
	// garbage is how much of it may gather, in bytes, beside what is alive, before the collector works harder. At the pace of
	// garbagePercent alone it would be half as much again.
	garbage = 20 << 20
	// memoryBase is what a server that verifies passwords needs beside their hashes, in bytes, and memoryFactor how much more
	// than what else is alive it may take at least: caches grow with what is registered. Nothing fails beyond it.
	memoryBase   = 48 << 20
	memoryFactor = 2
	// memoryStep is what limits are multiples of, in bytes: each change of one stops the program for a moment.
	memoryStep = 2 << 20
	// holdEvery is how often the limit follows what is alive, and calm for how many times in a row less has to be alive before
	// the limit is lowered: hashes of passwords come in bursts.
	holdEvery = time.Second
	calm      = 10
	// lookEvery, counted in these times, is how often it is looked whether the server rests, and resting how much is allocated
	// at most in that time, in bytes, by a server that rests. returned is what is worth returning to the system.
	lookEvery = 10
	resting   = 4 << 20
	returned  = 16 << 20
)

// Tune sets the garbage collector of this process, unless the operator has (GOGC).
func Tune() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
}

// PasswordsAtOnce is how many passwords are verified at once, of which all together may take so many MiB: as many as there
// are processors, since a hash keeps one busy, and at least one.
func PasswordsAtOnce(mebibytes int) int {
	return max(min(mebibytes<<20/directory.HashMemory, runtime.GOMAXPROCS(0)), 1)
}

// memoryLimit is the soft limit of the runtime's memory, while so many bytes are alive, and it has so many others that are no
// heap, such as stacks. A heap in which less is alive than a hash takes is that of a server which verifies no password, and is
// held to little. What a hash leaves is half a hash for each that runs.
func memoryLimit(passwords int, alive, others uint64) int64 {
	hashes := int64(passwords * directory.HashMemory * 3 / 2)
	limit := max(memoryBase, memoryFactor*(int64(alive)-hashes)) + hashes
	if alive < directory.HashMemory {
		limit = min(limit, int64(alive+others)+garbage)
	}
	return (limit + memoryStep - 1) / memoryStep * memoryStep
}

// keeper holds the heap to a limit that follows what is alive, and returns what a server that rests does not need.
type keeper struct {
	// passwords is how many are verified at once, now.
	passwords func() int
	// limited is false where the operator has set the limit (GOMEMLIMIT).
	limited bool
	samples []metrics.Sample
	// limit is what was set, and lower how often in a row less would have done.
	limit int64
	lower int
	// allocated is all that was ever allocated, and rested what was in use after memory was returned.
	allocated, rested uint64
}

func newKeeper(passwords func() int) *keeper {
	k := &keeper{passwords: passwords, limited: os.Getenv("GOMEMLIMIT") == "", samples: []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"},
	}}
	k.release()
	return k
}

// usage is what the runtime has, in bytes.
type usage struct {
	// alive was so at the last collection, and allocated is all that ever was.
	alive, allocated uint64
	// taken is what this process has of the system, and others what of it is no heap.
	taken, others uint64
}

func (k *keeper) read() usage {
	metrics.Read(k.samples)
	at := func(i int) uint64 { return k.samples[i].Value.Uint64() }
	taken := at(2) - at(3)
	return usage{alive: at(0), allocated: at(1), taken: taken, others: taken - at(4) - at(5) - at(6)}
}

func (k *keeper) wanted(now usage) int64 { return memoryLimit(k.passwords(), now.alive, now.others) }

// release returns to the system what is not alive.
func (k *keeper) release() {
	debug.FreeOSMemory()
	now := k.read()
	k.allocated, k.rested = now.allocated, now.taken
	k.set(k.wanted(now))
}

// set sets the limit, which stops the program for a moment, if it is another.
func (k *keeper) set(limit int64) {
	k.lower = 0
	if k.limited && limit != k.limit {
		debug.SetMemoryLimit(limit)
		k.limit = limit
	}
}

// hold has the limit follow what was alive at the last collection: up at once, and down when it has been calm.
func (k *keeper) hold() {
	limit := k.wanted(k.read())
	if k.lower++; limit >= k.limit || k.lower >= calm {
		k.set(limit)
	}
}

// look is done from time to time. It reports whether memory was returned.
func (k *keeper) look() bool {
	now := k.read()
	rests := now.allocated-k.allocated < resting
	k.allocated = now.allocated
	if !rests || now.taken < k.rested+returned {
		return false
	}
	k.release()
	return true
}

// Keep looks after the memory until ctx ends. passwords is how many are verified at once, now.
func Keep(ctx context.Context, passwords func() int) { newKeeper(passwords).run(ctx) }

// run looks after the memory until ctx ends.
func (k *keeper) run(ctx context.Context) {
	for held := 1; pause.For(ctx, holdEvery) == nil; held++ {
		k.hold()
		if held%lookEvery == 0 {
			k.look()
		}
	}
}
