package memory

import (
	"runtime"
	"runtime/debug"
	"testing"
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
		{2, 10 * mebibyte, 100 * mebibyte, 110 * mebibyte},
		{8, 10 * mebibyte, 270 * mebibyte, 280 * mebibyte},
		{2, 500 * mebibyte, 1000 * mebibyte, 1000 * mebibyte},
	} {
		if got := memoryLimit(test.passwords, test.alive); got < test.least || got > test.most {
			t.Errorf("%d passwords, %d bytes alive: %d", test.passwords, test.alive, got)
		}
	}
}

// TestRestingServerReturnsMemory: what a busy hour took is the system's again, and a server that is busy is left alone.
func TestRestingServerReturnsMemory(t *testing.T) {
	old := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(old) })
	t.Setenv("GOMEMLIMIT", "")
	k := newKeeper(func() int { return 2 })
	if got := debug.SetMemoryLimit(-1); got < memoryBase || got == old {
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
	_, _, before := k.read()
	if !k.look() {
		t.Error("a server that rests kept its memory")
	}
	if _, _, after := k.read(); after+returned > before {
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
