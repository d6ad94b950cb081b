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
	// memoryBase is what the server needs beside passwords that are verified, in bytes, and memoryFactor how much more than
	// what is alive it may take at least: caches grow with what is registered. Together they are when the collector works
	// harder. Nothing fails beyond it.
	memoryBase   = 48 << 20
	memoryFactor = 2
	// memoryEvery is how often the memory is looked after, and resting how much is allocated at most in that time, in bytes,
	// by a server that rests. returned is what is worth returning to the system.
	memoryEvery = 10 * time.Second
	resting     = 4 << 20
	returned    = 16 << 20
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

// memoryLimit is the soft limit of the heap while so many bytes of it are alive. What a hash leaves is half a hash for each
// that runs.
func memoryLimit(passwords int, alive uint64) int64 {
	fixed := int64(memoryBase + passwords*directory.HashMemory*3/2)
	return max(fixed, memoryFactor*int64(alive))
}

// keeper holds the heap to a limit that follows what is alive, and returns what a server that rests does not need.
type keeper struct {
	// passwords is how many are verified at once, now.
	passwords func() int
	// limited is false where the operator has set the limit (GOMEMLIMIT).
	limited bool
	samples []metrics.Sample
	// allocated is all that was ever allocated, and rested what was in use after memory was returned.
	allocated, rested uint64
}

func newKeeper(passwords func() int) *keeper {
	k := &keeper{passwords: passwords, limited: os.Getenv("GOMEMLIMIT") == "", samples: []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"},
	}}
	k.release()
	return k
}

// read gives what was alive at the last collection, what was ever allocated, and what this process has of the system.
func (k *keeper) read() (alive, allocated, taken uint64) {
	metrics.Read(k.samples)
	return k.samples[0].Value.Uint64(), k.samples[1].Value.Uint64(), k.samples[2].Value.Uint64() - k.samples[3].Value.Uint64()
}

// release returns to the system what is not alive.
func (k *keeper) release() {
	debug.FreeOSMemory()
	var alive uint64
	alive, k.allocated, k.rested = k.read()
	if k.limited {
		debug.SetMemoryLimit(memoryLimit(k.passwords(), alive))
	}
}

// look is done from time to time. It reports whether memory was returned.
func (k *keeper) look() bool {
	alive, allocated, taken := k.read()
	if k.limited {
		debug.SetMemoryLimit(memoryLimit(k.passwords(), alive))
	}
	rests := allocated-k.allocated < resting
	k.allocated = allocated
	if !rests || taken < k.rested+returned {
		return false
	}
	k.release()
	return true
}

// Keep looks after the memory until ctx ends. passwords is how many are verified at once, now.
func Keep(ctx context.Context, passwords func() int) { newKeeper(passwords).run(ctx) }

// run looks after the memory until ctx ends.
func (k *keeper) run(ctx context.Context) {
	for pause.For(ctx, memoryEvery) == nil {
		k.look()
	}
}
