package storetest

import (
	"fmt"
	"time"

	"countersign/store"
)

func (f *fixture) refusal(correlationID string) store.Refusal {
	return store.Refusal{
		CorrelationID: correlationID, At: f.clock.Now(), Node: "node é", ClientID: "client", Method: "POST", Endpoint: "/token", Status: 400,
		Code: "invalid_grant", Cause: fmt.Sprint("é <&> number ", f.number()),
	}
}

func (f *fixture) refusals(correlationID string) []store.Refusal {
	f.Helper()
	found, err := f.Refusals(f.Context(), correlationID)
	f.must(err)
	return append([]store.Refusal{}, found...)
}

// testRefusals: what was refused is found by its correlation id alone; several of one id are, in their order.
func testRefusals(f *fixture) {
	bounds := store.RefusalBounds{Most: 100, Since: f.clock.Now().Add(-time.Hour)}
	one, two, again := f.refusal("one"), f.refusal("two"), f.refusal("one")
	two.ClientID, two.Endpoint, two.Status = "", "", 401
	f.must(f.AddRefusals(f.Context(), bounds))
	f.must(f.AddRefusals(f.Context(), bounds, one, two))
	f.must(f.AddRefusals(f.Context(), bounds, again))
	f.equal(f.refusals("one"), []store.Refusal{one, again})
	f.equal(f.refusals("two"), []store.Refusal{two})
	f.equal(f.refusals("three"), []store.Refusal{})
}

// testRefusalsBounded: the newest are kept, and none that is too old.
func testRefusalsBounded(f *fixture) {
	start := f.clock.Now()
	bounds := store.RefusalBounds{Most: 5, Since: start.Add(-time.Hour)}
	for i := range 20 {
		f.must(f.AddRefusals(f.Context(), bounds, f.refusal(fmt.Sprint(i))))
	}
	for i := range 20 {
		f.equal(len(f.refusals(fmt.Sprint(i))) == 1, i >= 15)
	}
	bounds.Most, bounds.Since = 1000, start.Add(time.Minute)
	f.clock.set(start.Add(time.Hour))
	for i := 20; i < 30; i++ {
		f.must(f.AddRefusals(f.Context(), bounds, f.refusal(fmt.Sprint(i))))
	}
	for i := range 30 {
		f.equal(len(f.refusals(fmt.Sprint(i))) == 1, i >= 20)
	}
}

// testRaceRefusals: nodes that add and remove at the same time lose nothing that is within the bounds.
func testRaceRefusals(f *fixture) {
	bounds := store.RefusalBounds{Most: 10 * racers, Since: f.clock.Now().Add(-time.Hour)}
	results := race(func(racer int) error {
		return f.AddRefusals(f.Context(), bounds, store.Refusal{CorrelationID: fmt.Sprint(racer), At: bounds.Since.Add(time.Minute), Code: "x"})
	})
	for racer, err := range results {
		f.must(err)
		f.equal(len(f.refusals(fmt.Sprint(racer))), 1)
	}
}
