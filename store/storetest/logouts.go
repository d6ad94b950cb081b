package storetest

import (
	"fmt"
	"sync/atomic"
	"time"

	"countersign/store"
)

// named is a session with a SID.
func (f *fixture) named() store.Session {
	f.Helper()
	session := f.session()
	session.SID = fmt.Sprint("sid ", f.number())
	return session
}

// told stores a grant with its code, and redeems that for a client that is to be told of the end of a session.
func (f *fixture) told(session store.Session, clientID string) {
	f.Helper()
	grant := f.grant()
	grant.ClientID = clientID
	code := f.code(grant)
	f.granted(grant, code)
	issued := f.issued(grant)
	issued.Session = &store.SessionClient{SID: session.SID, ExpiresAt: session.ExpiresAt, Subject: "pairwise " + clientID}
	f.must(f.RedeemCode(f.Context(), code.ID, issued))
}

// claimed leases due notices for a minute.
func (f *fixture) claimed(limit int) []store.Logout {
	f.Helper()
	due, err := f.ClaimLogouts(f.Context(), limit, time.Minute)
	f.must(err)
	return due
}

// notice is the notice of a session for a client, as it is first delivered.
func (f *fixture) notice(session store.Session, clientID string) store.Logout {
	return store.Logout{
		SID: session.SID, ClientID: clientID, Subject: "pairwise " + clientID, Attempt: 1, ExpiresAt: f.clock.Now().Add(store.LogoutsLast),
	}
}

// testLogouts: whoever got an ID token in a session is told of its end, by each of the verbs that end one, and nobody else is.
func testLogouts(f *fixture) {
	verbs := []struct {
		name string
		end  func(store.Session) error
	}{
		{"EndSession", func(s store.Session) error { return f.EndSession(f.Context(), s.ID) }},
		{"EndSessions", func(s store.Session) error { return f.EndSessions(f.Context(), s.Subject) }},
		{"SignIn as another", func(s store.Session) error {
			request := f.pushed()
			interaction := f.interaction(request)
			interaction.Session = s.ID
			f.must(f.BeginInteraction(f.Context(), interaction))
			f.putUser("other", false)
			next := f.named()
			next.Subject = "other"
			return f.SignIn(f.Context(), interaction.ID, next)
		}},
		{"SignIn as another, in a new interaction", func(s store.Session) error {
			_, interaction := f.begun()
			next := f.named()
			next.Subject, next.Former = "other", s.ID
			return f.SignIn(f.Context(), interaction.ID, next)
		}},
		{"StartSession as another", func(s store.Session) error {
			next := f.named()
			next.Subject = "other"
			return f.StartSession(f.Context(), next, s.ID)
		}},
		{"EndUpstream", func(s store.Session) error {
			_, err := f.EndUpstream(f.Context(), s.Upstream)
			return err
		}},
		{"EndSessionOf", func(s store.Session) error { return f.EndSessionOf(f.Context(), s.Subject, s.ID) }},
		{"EndOtherSessions", func(s store.Session) error {
			_, err := f.EndOtherSessions(f.Context(), s.Subject, f.digest())
			return err
		}},
		{"EraseUser", func(s store.Session) error { return f.EraseUser(f.Context(), s.Subject) }},
	}
	for _, verb := range verbs {
		session := f.named()
		session.Upstream = f.digest()
		f.must(f.StartSession(f.Context(), session, store.Digest{}))
		f.equal(len(f.claimed(10)), 0)
		f.told(session, "client")
		f.equal(len(f.claimed(10)), 0)
		if err := verb.end(session); err != nil {
			f.Fatalf("%s: %v", verb.name, err)
		}
		due := f.claimed(10)
		if len(due) != 1 || due[0] != f.notice(session, "client") {
			f.Errorf("%s: got %+v", verb.name, due)
			continue
		}
		f.must(f.LogoutDone(f.Context(), due[0]))
		f.must(verbs[0].end(session)) // has ended
		f.equal(len(f.claimed(10)), 0)
	}
}

// testLogoutsNone: nobody is told of a session that ends by its time, or whose clients want to know nothing of it, or that has no SID.
func testLogoutsNone(f *fixture) {
	session := f.named()
	f.must(f.StartSession(f.Context(), session, store.Digest{}))
	f.redeemed()
	f.must(f.EndSession(f.Context(), session.ID))
	f.equal(len(f.claimed(10)), 0)

	session = f.session()
	f.must(f.StartSession(f.Context(), session, store.Digest{}))
	evidence := f.evidence("z")
	f.must(f.EndSession(f.Context(), session.ID, evidence))
	f.equal(len(f.claimed(10)), 0)
	f.equal(f.waiting("z"), []store.Evidence{evidence})
	f.must(f.EndSession(f.Context(), session.ID, f.evidence("z"))) // has ended
	f.equal(f.waiting("z"), []store.Evidence{evidence})

	session = f.named()
	f.must(f.StartSession(f.Context(), session, store.Digest{}))
	f.told(session, "client")
	f.clock.set(session.ExpiresAt)
	_, err := f.Purge(f.Context(), 1000)
	f.must(err)
	f.must(f.EndSession(f.Context(), session.ID))
	f.equal(len(f.claimed(10)), 0)
	// Nor is a client that redeems its code when the time of the session is over.
	f.told(session, "late")
	f.equal(len(f.claimed(10)), 0)
}

// testLogoutsCarried: a sign-in of the same user goes on with the session, under the same SID; its clients are told at the end of
// that.
func testLogoutsCarried(f *fixture) {
	first := f.named()
	f.must(f.StartSession(f.Context(), first, store.Digest{}))
	f.told(first, "client")
	second := f.named()
	second.ExpiresAt = second.ExpiresAt.Add(time.Hour)
	f.must(f.StartSession(f.Context(), second, first.ID))
	got, err := f.Session(f.Context(), second.ID)
	f.must(err)
	f.equal(got.SID, first.SID)
	f.told(got, "another")

	_, interaction := f.begun()
	third := f.named()
	third.Former, third.ExpiresAt = second.ID, second.ExpiresAt.Add(time.Hour)
	f.must(f.SignIn(f.Context(), interaction.ID, third))
	got, err = f.Session(f.Context(), third.ID)
	f.must(err)
	f.equal(got.SID, first.SID)
	_, err = f.Session(f.Context(), second.ID)
	f.want(err, store.ErrNotFound)
	f.equal(len(f.claimed(10)), 0)

	// They are known as long as the session now lives.
	f.clock.set(second.ExpiresAt)
	_, err = f.Purge(f.Context(), 1000)
	f.must(err)
	f.must(f.EndSession(f.Context(), third.ID))
	f.equal(len(f.claimed(10)), 2)
}

// testLogoutsLate: a client that redeems its code when its session has just ended is told at once, also again.
func testLogoutsLate(f *fixture) {
	session := f.named()
	f.must(f.StartSession(f.Context(), session, store.Digest{}))
	f.must(f.EndSession(f.Context(), session.ID))
	f.told(session, "client")
	f.equal(f.claimed(10), []store.Logout{f.notice(session, "client")})
	f.told(session, "client")
	want := f.notice(session, "client")
	want.Attempt = 3
	// What is being delivered was not about this sign-in: that it is done says nothing.
	f.must(f.LogoutDone(f.Context(), f.notice(session, "client"), f.evidence("z")))
	f.equal(len(f.waiting("z")), 0)
	f.equal(f.claimed(10), []store.Logout{want})
}

// testLogoutsDelivered: notices are leased, failed, and done with their evidence, each by the one caller that has the lease.
func testLogoutsDelivered(f *fixture) {
	session := f.named()
	f.must(f.StartSession(f.Context(), session, store.Digest{}))
	f.told(session, "one")
	f.told(session, "two")
	listed, err := f.SessionClients(f.Context(), session.SID)
	f.must(err)
	f.equal(listed, []string{"one", "two"})
	f.must(f.EndSession(f.Context(), session.ID))
	start := f.clock.Now()
	if first := f.claimed(1); len(first) != 1 || len(f.claimed(10)) != 1 || len(f.claimed(10)) != 0 {
		f.Fatalf("each is leased once: %v", first)
	}
	one, two := f.notice(session, "one"), f.notice(session, "two")
	listed, err = f.SessionClients(f.Context(), session.SID)
	f.must(err)
	f.equal(len(listed), 0)
	f.must(f.LogoutFailed(f.Context(), one, start.Add(time.Second)))
	f.equal(len(f.claimed(10)), 0)
	f.clock.set(start.Add(time.Second))
	one.Attempt = 2
	f.equal(f.claimed(10), []store.Logout{one})
	// The caller of the second dies, and another takes it when the lease is over. What the first says then is not heard.
	f.clock.set(start.Add(time.Minute))
	stale := two
	two.Attempt = 2
	f.equal(f.claimed(10), []store.Logout{two})
	f.must(f.LogoutDone(f.Context(), stale, f.evidence("z")))
	f.must(f.LogoutFailed(f.Context(), stale, start))
	f.equal(len(f.waiting("z"))+len(f.claimed(10)), 0)
	evidence := f.evidence("z")
	f.must(f.LogoutDone(f.Context(), two, evidence))
	f.equal(f.waiting("z"), []store.Evidence{evidence})
	f.must(f.LogoutDone(f.Context(), two, f.evidence("z")))
	f.equal(f.waiting("z"), []store.Evidence{evidence})
	// What has expired is given out, so that somebody says so, and is not removed before.
	f.clock.set(one.ExpiresAt.Add(time.Hour))
	_, err = f.Purge(f.Context(), 1000)
	f.must(err)
	one.Attempt = 3
	f.equal(f.claimed(10), []store.Logout{one})
}

// testRaceLogouts: sessions end while codes are redeemed in them. Each client whose redemption came through is told once.
func testRaceLogouts(f *fixture) {
	for range 10 {
		session := f.named()
		f.must(f.StartSession(f.Context(), session, store.Digest{}))
		codes, issued := make([]store.Code, racers), make([]store.Issued, racers)
		for i := range racers {
			grant := f.grant()
			grant.ClientID = fmt.Sprint("client ", i)
			codes[i], issued[i] = f.code(grant), f.issued(grant)
			issued[i].Session = &store.SessionClient{SID: session.SID, ExpiresAt: session.ExpiresAt, Subject: "pairwise " + grant.ClientID}
			f.granted(grant, codes[i])
		}
		for _, err := range race(func(racer int) error {
			if racer == racers/2 {
				return f.EndSession(f.Context(), session.ID)
			}
			return f.RedeemCode(f.Context(), codes[racer].ID, issued[racer])
		}) {
			f.must(err)
		}
		due := f.claimed(2 * racers)
		f.equal(len(due), racers-1)
		for _, notice := range due {
			f.equal(notice.Subject, "pairwise "+notice.ClientID)
			f.must(f.LogoutDone(f.Context(), notice))
		}
	}
}

// testRaceClaimLogouts: of many nodes each notice is leased by one.
func testRaceClaimLogouts(f *fixture) {
	session := f.named()
	f.must(f.StartSession(f.Context(), session, store.Digest{}))
	for i := range 20 {
		f.told(session, fmt.Sprint("client ", i))
	}
	f.must(f.EndSession(f.Context(), session.ID))
	var total atomic.Int64
	for _, err := range race(func(int) error {
		due, err := f.ClaimLogouts(f.Context(), 3, time.Minute)
		total.Add(int64(len(due)))
		return err
	}) {
		f.must(err)
	}
	for rest := f.claimed(100); len(rest) > 0; rest = f.claimed(100) { // nodes that raced may have skipped some
		total.Add(int64(len(rest)))
	}
	f.equal(total.Load(), int64(20))
}
