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

// testListRefusals: refusals are listed in pages, the newest first, and by client, endpoint and code.
func testListRefusals(f *fixture) {
	bounds := store.RefusalBounds{Most: 100, Since: f.clock.Now().Add(-time.Hour)}
	var all []store.Refusal
	for i, of := range []struct{ client, endpoint, code string }{
		{"a", "/token", "invalid_grant"}, {"b", "/token", "invalid_client"}, {"a", "/par", "invalid_request"}, {"", "/par", "invalid_client"},
		{"a", "/token", "invalid_client"},
	} {
		r := f.refusal(fmt.Sprint(i))
		r.ClientID, r.Endpoint, r.Code = of.client, of.endpoint, of.code
		f.must(f.AddRefusals(f.Context(), bounds, r))
		all = append([]store.Refusal{r}, all...)
	}
	list := func(filter store.RefusalFilter) []store.Refusal {
		f.Helper()
		found, err := f.ListRefusals(f.Context(), filter)
		f.must(err)
		last := filter.Before
		for i := range found {
			if found[i].ID <= 0 || last > 0 && found[i].ID >= last {
				f.Errorf("the ID %d is listed after %d", found[i].ID, last)
			}
			last, found[i].ID = found[i].ID, 0
		}
		return append([]store.Refusal{}, found...)
	}
	f.equal(list(store.RefusalFilter{Limit: 10}), all)
	f.equal(list(store.RefusalFilter{Limit: 2}), all[:2])
	f.equal(list(store.RefusalFilter{ClientID: "a", Limit: 10}), []store.Refusal{all[0], all[2], all[4]})
	f.equal(list(store.RefusalFilter{Endpoint: "/par", Limit: 10}), []store.Refusal{all[1], all[2]})
	f.equal(list(store.RefusalFilter{Code: "invalid_client", Limit: 10}), []store.Refusal{all[0], all[1], all[3]})
	f.equal(list(store.RefusalFilter{ClientID: "a", Endpoint: "/token", Code: "invalid_grant", Limit: 10}), []store.Refusal{all[4]})
	f.equal(list(store.RefusalFilter{ClientID: "nobody", Limit: 10}), []store.Refusal{})
	first, err := f.ListRefusals(f.Context(), store.RefusalFilter{Limit: 3})
	f.must(err)
	f.equal(list(store.RefusalFilter{Before: first[2].ID, Limit: 10}), all[3:])
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
