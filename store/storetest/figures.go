package storetest

import (
	"time"

	"countersign/store"
)

// backlogs reads all backlogs.
func (f *fixture) backlogs() map[string]store.Backlog {
	f.Helper()
	all, err := f.Backlogs(f.Context())
	f.must(err)
	kinds, by := []string{}, map[string]store.Backlog{}
	for _, backlog := range all {
		kinds, by[backlog.Kind] = append(kinds, backlog.Kind), backlog
	}
	f.equal(kinds, []string{store.BacklogPings, store.BacklogLogouts, store.BacklogConsentNotices, store.BacklogEvidence})
	return by
}

// testBacklogs: what is to be delivered counts from when it is due, and evidence until it is in a chain.
func testBacklogs(f *fixture) {
	for _, none := range f.backlogs() {
		f.equal(none, store.Backlog{Kind: none.Kind})
	}
	first := f.clock.Now()
	_, _ = f.allowed() // with a ping
	session := f.named()
	f.must(f.StartSession(f.Context(), session, store.Digest{}))
	f.told(session, "client")
	f.told(session, "another")
	f.must(f.EndSession(f.Context(), session.ID))
	f.clock.set(first.Add(time.Second))
	_, _, _ = f.authorised() // with a notice
	second := f.clock.Now()
	f.must(f.Record(f.Context(), f.evidence("a"), f.evidence("b")))
	waiting, err := f.WaitingEvidence(f.Context(), "a", second.Add(time.Second), 100)
	f.must(err)
	got := f.backlogs()
	f.equal(got[store.BacklogPings], store.Backlog{Kind: store.BacklogPings, Waiting: 1, Oldest: first})
	f.equal(got[store.BacklogLogouts], store.Backlog{Kind: store.BacklogLogouts, Waiting: 2, Oldest: first})
	f.equal(got[store.BacklogConsentNotices], store.Backlog{Kind: store.BacklogConsentNotices, Waiting: 1, Oldest: second})
	f.equal(got[store.BacklogEvidence], store.Backlog{Kind: store.BacklogEvidence, Waiting: len(waiting), Oldest: waiting[0].At})

	_, err = f.ClaimPings(f.Context(), 10, time.Minute) // is delivered, or due again in a minute
	f.must(err)
	f.claimed(1)
	got = f.backlogs()
	f.equal(got[store.BacklogPings], store.Backlog{Kind: store.BacklogPings})
	f.equal(got[store.BacklogLogouts].Waiting, 1)
	f.clock.set(first.Add(time.Minute + time.Second))
	f.equal(f.backlogs()[store.BacklogLogouts].Waiting, 2)
	for i, e := range waiting {
		f.must(f.AppendAudit(f.Context(), []store.AuditLine{line("a", uint64(i+1))}, e.ID))
	}
	f.equal(f.backlogs()[store.BacklogEvidence], store.Backlog{Kind: store.BacklogEvidence})
}

// serviceHour is an hour in which everything is different.
func (f *fixture) serviceHour(hour time.Time, endpoint, node string) store.ServiceHour {
	return store.ServiceHour{
		Node: node, Hour: hour, Endpoint: endpoint, Requests: 66, Refused: 5, Failed: 3, Took: 12345678 * time.Microsecond,
		Latency: [10]int{1, 2, 3, 4, 5, 6, 7, 8, 9, 21}, Minutes: 0b1011,
	}
}

// testServiceHours: what is added to an hour is added to its counts, and its minutes are united; others are apart.
func testServiceHours(f *fixture) {
	hour := f.clock.Now().Truncate(time.Hour)
	token, other := f.serviceHour(hour, "/token", "node é"), f.serviceHour(hour, "/token", "b")
	node := store.ServiceHour{Node: "node é", Hour: hour, Minutes: 1 << 59}
	next := f.serviceHour(hour.Add(time.Hour), "/par", "b")
	f.must(f.AddServiceHours(f.Context()))
	f.must(f.AddServiceHours(f.Context(), token, node, next, other))
	list := func(from, until time.Time) []store.ServiceHour {
		f.Helper()
		listed, err := f.ServiceHours(f.Context(), from, until)
		f.must(err)
		return listed
	}
	f.equal(list(hour, hour.Add(2*time.Hour)), []store.ServiceHour{node, other, token, next})
	f.equal(list(hour, hour.Add(time.Hour)), []store.ServiceHour{node, other, token})
	f.equal(list(hour.Add(time.Hour), hour.Add(2*time.Hour)), []store.ServiceHour{next})
	f.equal(len(list(hour.Add(2*time.Hour), hour.Add(3*time.Hour))), 0)

	more := token
	more.Minutes = 0b0100
	f.must(f.AddServiceHours(f.Context(), more))
	want := token
	want.Requests, want.Refused, want.Failed, want.Took, want.Minutes = 132, 10, 6, 2*token.Took, 0b1111
	for i := range want.Latency {
		want.Latency[i] *= 2
	}
	f.equal(list(hour, hour.Add(time.Hour)), []store.ServiceHour{node, other, want})
}

// testRaceServiceHours: nothing is lost of what is added at the same time.
func testRaceServiceHours(f *fixture) {
	hour := f.clock.Now().Truncate(time.Hour)
	results := race(func(racer int) error {
		return f.AddServiceHours(f.Context(), store.ServiceHour{Node: "a", Hour: hour, Endpoint: "/token", Requests: 1, Minutes: 1 << (racer % 60)})
	})
	for _, err := range results {
		f.must(err)
	}
	listed, err := f.ServiceHours(f.Context(), hour, hour.Add(time.Hour))
	f.must(err)
	f.equal(listed, []store.ServiceHour{{Node: "a", Hour: hour, Endpoint: "/token", Requests: racers, Minutes: 1<<60 - 1}})
}

// testPurgeServiceHours: they go when their time is over.
func testPurgeServiceHours(f *fixture) {
	hour := f.clock.Now().Truncate(time.Hour)
	f.must(f.AddServiceHours(f.Context(), f.serviceHour(hour, "/token", "a"), f.serviceHour(hour.Add(time.Hour), "/token", "a")))
	f.clock.set(hour.Add(store.ServiceHoursLast - time.Microsecond))
	f.purge(10, 0)
	f.clock.set(hour.Add(store.ServiceHoursLast))
	f.purge(10, 1)
	listed, err := f.ServiceHours(f.Context(), hour, hour.Add(2*time.Hour))
	f.must(err)
	f.equal(listed, []store.ServiceHour{f.serviceHour(hour.Add(time.Hour), "/token", "a")})
}
