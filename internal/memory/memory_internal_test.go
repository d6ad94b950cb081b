package memory

import (
	"runtime"
	"runtime/debug"
	"testing"

	"countersign/internal/directory"
)

func TestPasswordsAtOnce(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	for mebibytes, want := range map[int]int{1: 1, 19: 1, 37: 1, 38: 2, 75: 3, 76: 4, 152: 4, 65536: 4} {
		if got := PasswordsAtOnce(mebibytes); got != want {
			t.Errorf("%d MiB: %d at once, want %d", mebibytes, got, want)
		}
	}
}

// TestMemoryLimitFollows: caches that have grown must not have the collector run all the time.
func TestMemoryLimitFollows(t *testing.T) {
	const mebibyte = 1 << 20
	for _, test := range []struct {
		passwords int
		alive     uint64
		least     int64
		most      int64
	}{
		{2, 0, 20 * mebibyte, 30 * mebibyte},
		{2, 8 * mebibyte, 32 * mebibyte, 36 * mebibyte}, // flows: nothing of what hashes would take
		{8, 8 * mebibyte, 32 * mebibyte, 36 * mebibyte},
		{2, 18 * mebibyte, 42 * mebibyte, 46 * mebibyte},   // many connections: as much garbage
		{2, 27 * mebibyte, 104 * mebibyte, 108 * mebibyte}, // a hash is running
		{8, 27 * mebibyte, 270 * mebibyte, 280 * mebibyte},
		{8, 150 * mebibyte, 270 * mebibyte, 280 * mebibyte},
		{2, 84 * mebibyte, 104 * mebibyte, 112 * mebibyte}, // hashes, two of them dead since
		{2, 500 * mebibyte, 940 * mebibyte, 950 * mebibyte},
	} {
		if got := memoryLimit(test.passwords, test.alive, 4*mebibyte); got < test.least || got > test.most {
			t.Errorf("%d passwords, %d bytes alive: %d", test.passwords, test.alive, got)
		}
	}
}

// TestMemoryLimitIsHeld: hashes of passwords raise the limit at once, and it falls when there were none for a while, so that flows
// are held to what flows need.
func TestMemoryLimitIsHeld(t *testing.T) {
	old := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(old) })
	t.Setenv("GOMEMLIMIT", "")
	k := newKeeper(func() int { return 2 })
	const most = memoryBase + 2*directory.HashMemory*3/2
	held := func(name string, least, most int64) {
		t.Helper()
		if got := debug.SetMemoryLimit(-1); got < least || got > most {
			t.Errorf("%s: the limit is %d, want %d to %d", name, got, least, most)
		}
	}
	k.hold()
	held("nothing", garbage, most/2)
	hashes := [2][]byte{make([]byte, directory.HashMemory), make([]byte, directory.HashMemory)}
	runtime.GC()
	k.hold()
	held("two hashes", most, most+memoryStep)
	runtime.KeepAlive(hashes)
	hashes = [2][]byte{}
	runtime.GC()
	for range calm - 1 {
		k.hold()
	}
	held("shortly after", most, most+memoryStep)
	k.hold()
	held("calm", garbage, most/2)
}

// TestRestingServerReturnsMemory: what a busy hour took is the system's again, and a server that is busy is left alone.
func TestRestingServerReturnsMemory(t *testing.T) {
	old := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(old) })
	t.Setenv("GOMEMLIMIT", "")
	k := newKeeper(func() int { return 2 })
	if got := debug.SetMemoryLimit(-1); got < garbage || got == old {
		t.Errorf("the limit is %d", got)
	}
	if k.look() {
		t.Error("there was nothing to return")
	}
	held := make([][]byte, 8) // all at once, so that the heap grows whatever the collector does
	for i := range held {
		held[i] = make([]byte, 16<<20)
	}
	runtime.KeepAlive(held)
	if k.look() {
		t.Error("memory was returned by a server at work")
	}
	before := k.read().taken
	if !k.look() {
		t.Error("a server that rests kept its memory")
	}
	if after := k.read().taken; after+returned > before {
		t.Errorf("%d bytes before, %d after", before, after)
	}
}

// TestOperatorsMemoryLimit: GOMEMLIMIT is the operator's.
func TestOperatorsMemoryLimit(t *testing.T) {
	old := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(old) })
	t.Setenv("GOMEMLIMIT", "300MiB")
	newKeeper(func() int { return 2 }).look()
	if got := debug.SetMemoryLimit(-1); got != old {
		t.Errorf("the limit became %d", got)
	}
}
