package storetest

import (
	"sync"
	"time"

	"countersign/store"
)

// hourly is a rate that no test lives to see refilled.
func (f *fixture) hourly(burst int) store.Rate {
	return store.Rate{Key: f.digest(), Interval: time.Hour, Burst: burst}
}

// allow wants events to be allowed, or not, and returns how long to wait for each.
func (f *fixture) allow(want bool, rates ...store.Rate) []time.Duration {
	f.Helper()
	waits, err := f.Allow(f.Context(), rates...)
	f.must(err)
	if len(waits) != len(rates) {
		f.Fatalf("%d waits for %d rates", len(waits), len(rates))
	}
	if allowed(waits) != want {
		f.Fatalf("allowed is %t, want %t: waits %v", !want, want, waits)
	}
	return waits
}

func allowed(waits []time.Duration) bool {
	for _, wait := range waits {
		if wait > 0 {
			return false
		}
	}
	return true
}

func (f *fixture) taken(want int, rate store.Rate) {
	f.Helper()
	got, err := f.Taken(f.Context(), rate)
	f.must(err)
	f.equal(got, []int{want})
}

func testAllow(f *fixture) {
	rate, other := f.hourly(3), f.hourly(1)
	f.taken(0, rate)
	for n := range 3 {
		f.allow(true, rate)
		f.taken(n+1, rate)
	}
	for range 2 { // a refusal takes nothing
		waits := f.allow(false, rate)
		if waits[0] < 59*time.Minute || waits[0] > time.Hour {
			f.Errorf("to wait is %s, want about an hour", waits[0])
		}
	}
	f.taken(3, rate)
	f.allow(true, other)
	f.allow(true)
	both, err := f.Taken(f.Context(), other, f.hourly(1), rate)
	f.must(err)
	f.equal(both, []int{1, 0, 3})
}

// testAllowAllOrNothing: of several allowances each loses an event, or none does, in whatever order they are given.
func testAllowAllOrNothing(f *fixture) {
	wide, narrow := f.hourly(10), f.hourly(2)
	f.allow(true, wide, narrow)
	f.allow(true, narrow, wide)
	waits := f.allow(false, wide, narrow)
	if waits[0] != 0 || waits[1] == 0 {
		f.Errorf("waits are %v, want one for the second", waits)
	}
	f.allow(false, narrow, wide)
	f.taken(2, wide)
	f.allow(true, wide)
	f.taken(3, wide)
}

// testAllowAgain: an event is allowed after the time that was named, and not before.
func testAllowAgain(f *fixture) {
	rate := f.hourly(1)
	for range 3 {
		f.allow(true, rate)
		f.equal(f.allow(false, rate)[0], time.Hour)
		f.clock.set(f.clock.Now().Add(time.Hour - time.Microsecond))
		f.equal(f.allow(false, rate)[0], time.Microsecond)
		f.clock.set(f.clock.Now().Add(time.Microsecond))
	}
}

// testAllowTightened: nobody waits for what an earlier configuration gave.
func testAllowTightened(f *fixture) {
	rate := store.Rate{Key: f.digest(), Interval: 10 * time.Hour, Burst: 100}
	for range 5 {
		f.allow(true, rate)
	}
	rate.Interval, rate.Burst = time.Hour, 2
	waits := f.allow(false, rate)
	if waits[0] > time.Hour {
		f.Errorf("to wait is %s, want an hour at most", waits[0])
	}
	f.taken(2, rate)
}

func testAllowRefuses(f *fixture) {
	good := f.hourly(1)
	for _, bad := range [][]store.Rate{
		{good, good}, {{Key: f.digest(), Interval: time.Hour}}, {{Key: f.digest(), Burst: 1}},
		{{Key: f.digest(), Interval: time.Microsecond + 1, Burst: 1}}, {{Key: f.digest(), Interval: 3 * 365 * 24 * time.Hour, Burst: 100}},
	} {
		if _, err := f.Allow(f.Context(), bad...); err == nil {
			f.Errorf("%v was counted", bad)
		}
		if err := f.Refund(f.Context(), bad); err == nil {
			f.Errorf("%v was given back", bad)
		}
	}
	f.taken(0, good)
	lasting := store.Rate{Key: f.digest(), Interval: 3 * 365 * 24 * time.Hour, Burst: 90}
	for n := range 90 {
		f.allow(true, lasting)
		f.taken(n+1, lasting)
	}
	f.allow(false, lasting)
}

func testRefund(f *fixture) {
	rate, other, unknown := f.hourly(3), f.hourly(2), f.hourly(1)
	for range 2 {
		f.allow(true, rate, other)
	}
	f.must(f.Refund(f.Context(), []store.Rate{rate, unknown}))
	f.taken(1, rate)
	f.taken(2, other)
	f.taken(0, unknown)
	f.must(f.Refund(f.Context(), []store.Rate{rate}, other.Key, unknown.Key))
	f.taken(0, rate)
	f.taken(0, other)
	// What was not taken is not given back: the burst stays what it is.
	for range 3 {
		f.must(f.Refund(f.Context(), []store.Rate{rate}))
	}
	for range 3 {
		f.allow(true, rate)
	}
	f.allow(false, rate)
}

// testPurgeAllowances: what is whole again goes, and nothing else does.
func testPurgeAllowances(f *fixture) {
	kept := f.hourly(1)
	f.allow(true, kept)
	short := store.Rate{Interval: time.Millisecond, Burst: 1}
	for range 5 {
		short.Key = f.digest()
		f.allow(true, short)
	}
	f.clock.set(f.clock.Now().Add(time.Millisecond))
	f.purge(2, 2)
	f.purge(10, 3)
	f.purge(10, 0)
	f.allow(false, kept)
}

// testRaceAllow: callers at once get no more than the burst, of a key that nobody has used before too.
func testRaceAllow(f *fixture) {
	for range 5 {
		rate := f.hourly(7)
		f.won(7, func(int) []store.Rate { return []store.Rate{rate} })
		f.taken(7, rate)
	}
}

// testRaceAllowSeveral: callers that take several allowances in different orders neither wait for each other for ever nor
// take one of them without the others.
func testRaceAllowSeveral(f *fixture) {
	wide, narrow, own := f.hourly(racers), f.hourly(5), make([]store.Rate, racers)
	for i := range own {
		own[i] = f.hourly(1)
	}
	f.won(5, func(i int) []store.Rate {
		if i%2 == 0 {
			return []store.Rate{wide, own[i], narrow}
		}
		return []store.Rate{narrow, own[i], wide}
	})
	f.taken(5, wide)
	taken, err := f.Taken(f.Context(), own...)
	f.must(err)
	sum := 0
	for _, n := range taken {
		sum += n
	}
	f.equal(sum, 5)
}

// testRaceRefund: what some give back while others take is not lost.
func testRaceRefund(f *fixture) {
	rate, took := f.hourly(racers), make([]bool, racers)
	for _, err := range race(func(i int) error {
		if !took[i] {
			if _, err := f.Allow(f.Context(), rate); err != nil {
				return err
			}
			took[i] = true
		}
		if i%2 == 0 {
			return nil
		}
		return f.Refund(f.Context(), []store.Rate{rate})
	}) {
		f.must(err)
	}
	f.taken(racers/2, rate)
}

// won races callers and wants a number of them to be allowed.
func (f *fixture) won(want int, rates func(i int) []store.Rate) {
	f.Helper()
	var lock sync.Mutex
	winners := 0
	for _, err := range race(func(i int) error {
		waits, err := f.Allow(f.Context(), rates(i)...)
		if err == nil && allowed(waits) {
			lock.Lock()
			defer lock.Unlock()
			winners++
		}
		return err
	}) {
		f.must(err)
	}
	f.equal(winners, want)
}
