package storetest

import (
	"bytes"
	"time"

	"countersign/store"
)

// testExamined: whether a value was used is read without using it, and a seed without making one.
func testExamined(f *fixture) {
	until := f.clock.Now().Add(5 * time.Minute)
	value := store.OneTime{Kind: store.KindAssertion, Key: f.digest(), Until: until}
	otherKind, otherKey := value, value
	otherKind.Kind, otherKey.Key = store.KindDPoP, f.digest()
	used := func(of store.OneTime) bool {
		f.Helper()
		used, err := f.OneTimeUsed(f.Context(), of)
		f.must(err)
		return used
	}
	for range 2 { // looking uses nothing
		f.equal(used(value), false)
	}
	f.must(f.ConsumeOneTime(f.Context(), value))
	for range 2 {
		f.equal(used(value), true)
	}
	f.equal(used(otherKind), false)
	f.equal(used(otherKey), false)
	f.clock.set(f.clock.Now().Add(4 * time.Minute)) // another ten minutes, perhaps
	f.equal(used(value), true)
	later := value
	later.Until = until.Add(time.Minute)
	f.equal(used(later), true)

	_, err := f.KnownSeed(f.Context(), "nobody's")
	f.want(err, store.ErrNotFound)
	_, err = f.KnownSeed(f.Context(), "nobody's")
	f.want(err, store.ErrNotFound)
	fresh := bytes.Repeat([]byte{7}, 32)
	made, err := f.Seed(f.Context(), "examined", fresh)
	f.must(err)
	known, err := f.KnownSeed(f.Context(), "examined")
	f.must(err)
	f.equal(known, made)
}
