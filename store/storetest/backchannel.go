package storetest

import (
	"encoding/json"
	"errors"
	"sync"
	"time"

	"countersign/store"
)

// backchannelLimits are far from every test that is not about them.
func backchannelLimits() store.BackchannelLimits {
	return store.BackchannelLimits{User: 100, Organisation: 100, Client: 100}
}

func (f *fixture) backchannelRequest() store.BackchannelRequest {
	return store.BackchannelRequest{
		ID:           f.digest(),
		ClientID:     "client",
		Organisation: "bank",
		Subject:      "subject",
		UserKey:      store.DigestOf("subject"),
		Parameters:   json.RawMessage(` {"z": "<&> é", "a": [1.0, null] } `),
		Ping:         []byte{0, 0xff, 1},
		CreatedAt:    f.clock.Now(),
		ExpiresAt:    f.clock.Now().Add(2 * time.Minute),
		Interval:     5 * time.Second,
		NextPollAt:   f.clock.Now(),
	}
}

// asked stores a backchannel request to a user who is there.
func (f *fixture) asked() store.BackchannelRequest {
	f.Helper()
	f.whoIsAsked(false)
	request := f.backchannelRequest()
	f.must(f.StartBackchannel(f.Context(), request, backchannelLimits()))
	return request
}

// whoIsAsked stores who is asked.
func (f *fixture) whoIsAsked(disabled bool) {
	f.Helper()
	f.must(f.PutUser(f.Context(), store.User{Subject: "subject", Username: "subject", UserCode: "hash", Disabled: disabled,
		CreatedAt: f.clock.Now(), UpdatedAt: f.clock.Now()}))
}

// allowed stores a backchannel request that its user has allowed.
func (f *fixture) allowed() (store.BackchannelRequest, store.Grant) {
	f.Helper()
	request, grant := f.asked(), f.grant()
	f.must(f.DecideBackchannel(f.Context(), allow(request, grant)))
	request.DecidedAt, request.GrantID, request.Device, request.NextPollAt = f.clock.Now(), grant.ID, "a phone", f.clock.Now()
	return request, grant
}

func allow(request store.BackchannelRequest, grant store.Grant) store.BackchannelDecision {
	return store.BackchannelDecision{Request: request.ID, Subject: request.Subject, Grant: &grant, Device: "a phone"}
}

func deny(request store.BackchannelRequest) store.BackchannelDecision {
	return store.BackchannelDecision{Request: request.ID, Subject: request.Subject, Device: "a phone"}
}

// poll polls and checks the error.
func (f *fixture) poll(id store.Digest, want error) store.BackchannelPoll {
	f.Helper()
	got, err := f.PollBackchannel(f.Context(), id, "client")
	f.want(err, want)
	return got
}

func testStartBackchannel(f *fixture) {
	f.whoIsAsked(false)
	request, oneTime := f.backchannelRequest(), f.oneTime()
	f.must(f.StartBackchannel(f.Context(), request, backchannelLimits(), oneTime))
	got, err := f.BackchannelRequest(f.Context(), request.ID)
	f.must(err)
	f.equal(got, request)
	f.want(f.ConsumeOneTime(f.Context(), oneTime), store.ErrReplayed)
	_, err = f.BackchannelRequest(f.Context(), f.digest())
	f.want(err, store.ErrNotFound)

	again, fresh := f.backchannelRequest(), f.oneTime()
	f.want(f.StartBackchannel(f.Context(), again, backchannelLimits(), fresh, oneTime), store.ErrReplayed)
	_, err = f.BackchannelRequest(f.Context(), again.ID)
	f.want(err, store.ErrNotFound)
	f.want(f.StartBackchannel(f.Context(), request, backchannelLimits(), fresh), store.ErrConflict)
	f.must(f.ConsumeOneTime(f.Context(), fresh))
}

func testStartBackchannelLimits(f *fixture) {
	f.whoIsAsked(false)
	limits := store.BackchannelLimits{User: 3, Organisation: 3, Client: 2}
	start := func(clientID, user string, want error) store.BackchannelRequest {
		f.Helper()
		request, oneTime := f.backchannelRequest(), f.oneTime()
		request.ClientID, request.UserKey = clientID, store.DigestOf(user)
		f.want(f.StartBackchannel(f.Context(), request, limits, oneTime), want)
		if want != nil {
			_, err := f.BackchannelRequest(f.Context(), request.ID)
			f.want(err, store.ErrNotFound)
			f.must(f.ConsumeOneTime(f.Context(), oneTime))
		}
		return request
	}
	first := start("one", "ann", nil)
	start("one", "ann", nil)
	start("one", "ann", store.ErrConsumed)
	start("one", "bea", nil)
	start("two", "ann", nil)
	start("two", "ann", store.ErrConsumed)
	// What was decided does not count, and neither does what is over.
	f.must(f.DecideBackchannel(f.Context(), deny(first)))
	start("one", "ann", nil)
	start("one", "ann", store.ErrConsumed)
	f.clock.set(first.ExpiresAt)
	start("one", "ann", nil)

	// Those of one organisation count together, so that others keep places.
	limits = store.BackchannelLimits{User: 4, Organisation: 2, Client: 2}
	of := func(clientID, organisation string, want error) {
		f.Helper()
		request := f.backchannelRequest()
		request.ClientID, request.Organisation, request.UserKey = clientID, organisation, store.DigestOf("cleo")
		f.want(f.StartBackchannel(f.Context(), request, limits), want)
	}
	of("one", "acme", nil)
	of("two", "acme", nil)
	of("three", "acme", store.ErrConsumed)
	of("four", "bank", nil)
	of("five", "shop", nil)
	of("six", "club", store.ErrConsumed)
}

func testPendingBackchannel(f *fixture) {
	first := f.asked()
	f.clock.set(f.clock.Now().Add(time.Second))
	second := f.asked()
	other, nobody := f.backchannelRequest(), f.backchannelRequest()
	other.Subject, nobody.Subject = "another", ""
	f.must(f.StartBackchannel(f.Context(), other, backchannelLimits()))
	f.must(f.StartBackchannel(f.Context(), nobody, backchannelLimits()))
	pending := func(subject string, want ...store.BackchannelRequest) {
		f.Helper()
		got, err := f.PendingBackchannel(f.Context(), subject)
		f.must(err)
		if len(got) != 0 || len(want) != 0 {
			f.equal(got, want)
		}
	}
	pending("subject", first, second)
	pending("another") // of whom the directory knows nothing
	pending("")
	f.whoIsAsked(true)
	pending("subject")
	f.whoIsAsked(false)
	f.clock.set(first.ExpiresAt)
	pending("subject", second)
	f.must(f.DecideBackchannel(f.Context(), deny(second)))
	pending("subject")
}

func testDecideBackchannel(f *fixture) {
	request, grant := f.allowed()
	got, err := f.BackchannelRequest(f.Context(), request.ID)
	f.must(err)
	f.equal(got, request)
	f.want(f.DecideBackchannel(f.Context(), deny(request)), store.ErrConsumed)
	polled := f.poll(request.ID, nil)
	f.equal(polled, store.BackchannelPoll{Request: request, Grant: &grant})

	denied := f.asked()
	f.must(f.DecideBackchannel(f.Context(), deny(denied)))
	f.want(f.DecideBackchannel(f.Context(), allow(denied, f.grant())), store.ErrConsumed)
	polled = f.poll(denied.ID, nil)
	if polled.Grant != nil || polled.Early || polled.Request.DecidedAt.IsZero() || polled.Request.GrantID != "" {
		f.Errorf("a denied request: %+v", polled)
	}
}

// testDecideBackchannelRefused: a decision that is refused leaves neither grant nor ping.
func testDecideBackchannelRefused(f *fixture) {
	request := f.asked()
	refused := func(decision store.BackchannelDecision, want error) {
		f.Helper()
		grant := f.grant()
		decision.Grant = &grant
		f.want(f.DecideBackchannel(f.Context(), decision), want)
		f.want(f.RevokeGrant(f.Context(), grant.ID, store.RevokedByOperator, nil), store.ErrNotFound)
		pings, err := f.ClaimPings(f.Context(), 10, time.Minute)
		f.must(err)
		f.equal(len(pings), 0)
	}
	foreign, unknown := deny(request), deny(request)
	foreign.Subject, unknown.Request = "another", f.digest()
	refused(foreign, store.ErrNotFound)
	refused(unknown, store.ErrNotFound)
	nobody := f.backchannelRequest()
	nobody.Subject = ""
	f.must(f.StartBackchannel(f.Context(), nobody, backchannelLimits()))
	refused(deny(nobody), store.ErrNotFound)
	f.whoIsAsked(true)
	refused(deny(request), store.ErrNotFound)
	f.whoIsAsked(false)
	f.clock.set(request.ExpiresAt)
	refused(deny(request), store.ErrExpired)
	f.clock.set(request.ExpiresAt.Add(-time.Microsecond))
	taken, _ := f.withCode()
	decision := deny(request)
	decision.Grant = &taken
	f.want(f.DecideBackchannel(f.Context(), decision), store.ErrConflict)
	f.must(f.DecideBackchannel(f.Context(), deny(request)))
}

func testPollBackchannel(f *fixture) {
	request := f.asked()
	start := f.clock.Now()
	for _, step := range []struct {
		after    time.Duration // since the start
		early    bool
		interval time.Duration
	}{
		{0, false, 5 * time.Second},
		{5*time.Second - time.Microsecond, true, 10 * time.Second},
		{10 * time.Second, true, 15 * time.Second},
		{25 * time.Second, false, 15 * time.Second},
		{40*time.Second - time.Microsecond, true, 20 * time.Second},
		{65 * time.Second, false, 20 * time.Second},
	} {
		f.clock.set(start.Add(step.after))
		got := f.poll(request.ID, nil)
		request.Interval, request.NextPollAt = step.interval, f.clock.Now().Add(step.interval)
		f.equal(got, store.BackchannelPoll{Request: request, Early: step.early})
	}
	_, err := f.PollBackchannel(f.Context(), request.ID, "another")
	f.want(err, store.ErrNotFound)
	f.poll(f.digest(), store.ErrNotFound)
	got, err := f.BackchannelRequest(f.Context(), request.ID)
	f.must(err)
	f.equal(got, request)

	f.clock.set(request.ExpiresAt)
	f.equal(f.poll(request.ID, store.ErrExpired).Request, request)
	// No user who may be asked: it looks the same.
	nobody := f.backchannelRequest()
	nobody.Subject = ""
	f.must(f.StartBackchannel(f.Context(), nobody, backchannelLimits()))
	f.equal(f.poll(nobody.ID, nil).Early, false)
	f.equal(f.poll(nobody.ID, nil).Early, true)
}

func testRedeemBackchannel(f *fixture) {
	request, grant := f.allowed()
	issued, oneTime := f.issued(grant), f.oneTime()
	f.clock.set(request.ExpiresAt.Add(-time.Microsecond))
	f.must(f.RedeemBackchannel(f.Context(), request.ID, issued, oneTime))
	got, err := f.AccessGrant(f.Context(), issued.AccessToken.ID)
	f.must(err)
	f.equal(got, grant)
	token, _, err := f.RefreshGrant(f.Context(), issued.RefreshToken.ID)
	f.must(err)
	f.equal(token, *issued.RefreshToken)
	f.want(f.ConsumeOneTime(f.Context(), oneTime), store.ErrReplayed)
	request.ConsumedAt = f.clock.Now()
	f.equal(f.poll(request.ID, store.ErrConsumed).Request, request)

	// A second redemption issues nothing and revokes nothing.
	second, fresh := f.issued(grant), f.oneTime()
	f.want(f.RedeemBackchannel(f.Context(), request.ID, second, fresh), store.ErrConsumed)
	_, err = f.AccessGrant(f.Context(), second.AccessToken.ID)
	f.want(err, store.ErrNotFound)
	f.must(f.ConsumeOneTime(f.Context(), fresh))
	_, err = f.AccessGrant(f.Context(), issued.AccessToken.ID)
	f.must(err)

	request, grant = f.allowed()
	issued = f.issued(grant)
	refresh := issued.RefreshToken.ID
	issued.RefreshToken = nil
	f.must(f.RedeemBackchannel(f.Context(), request.ID, issued))
	_, _, err = f.RefreshGrant(f.Context(), refresh)
	f.want(err, store.ErrNotFound)
}

func testRedeemBackchannelRefused(f *fixture) {
	refused := func(request store.BackchannelRequest, want error) {
		f.Helper()
		issued, oneTime := f.issued(store.Grant{ID: request.GrantID, ExpiresAt: f.clock.Now().Add(time.Hour)}), f.oneTime()
		f.want(f.RedeemBackchannel(f.Context(), request.ID, issued, oneTime), want)
		_, err := f.AccessGrant(f.Context(), issued.AccessToken.ID)
		f.want(err, store.ErrNotFound)
		f.must(f.ConsumeOneTime(f.Context(), oneTime))
	}
	pending := f.asked()
	refused(pending, store.ErrNotFound)
	f.must(f.DecideBackchannel(f.Context(), deny(pending)))
	refused(pending, store.ErrNotFound)
	refused(f.backchannelRequest(), store.ErrNotFound)

	request, _ := f.allowed()
	f.whoIsAsked(true)
	refused(request, store.ErrRevoked)
	polled := f.poll(request.ID, nil)
	if polled.Grant == nil || polled.Grant.RevokedAt.IsZero() {
		f.Errorf("the user is disabled, and a poll says %+v", polled)
	}
	f.whoIsAsked(false)
	seen := f.oneTime()
	f.must(f.ConsumeOneTime(f.Context(), seen))
	f.want(f.RedeemBackchannel(f.Context(), request.ID, f.issued(f.grant()), seen), store.ErrReplayed)
	f.clock.set(request.ExpiresAt)
	refused(request, store.ErrExpired)
	f.poll(request.ID, store.ErrExpired)

	request, grant := f.allowed()
	f.must(f.RevokeGrant(f.Context(), grant.ID, store.RevokedByOperator, nil))
	refused(request, store.ErrRevoked)
	if polled := f.poll(request.ID, nil); polled.Grant.RevokedAt.IsZero() {
		f.Error("a poll does not say that the grant was revoked")
	}
}

func testPings(f *fixture) {
	claim := func(limit int) []store.Ping {
		f.Helper()
		pings, err := f.ClaimPings(f.Context(), limit, time.Minute)
		f.must(err)
		return pings
	}
	f.equal(len(claim(10)), 0)
	quiet := f.backchannelRequest()
	quiet.Ping = nil
	f.whoIsAsked(false)
	f.must(f.StartBackchannel(f.Context(), quiet, backchannelLimits()))
	f.must(f.DecideBackchannel(f.Context(), deny(quiet)))
	f.equal(len(claim(10)), 0)

	request, _ := f.allowed()
	want := store.Ping{Request: request.ID, ClientID: "client", Sealed: request.Ping, Attempt: 1, ExpiresAt: request.ExpiresAt}
	f.equal(claim(10), []store.Ping{want})
	f.equal(len(claim(10)), 0) // another holds it
	f.must(f.PingFailed(f.Context(), request.ID, 1, f.clock.Now().Add(time.Second)))
	f.equal(len(claim(10)), 0)
	f.clock.set(f.clock.Now().Add(time.Second))
	want.Attempt = 2
	f.equal(claim(10), []store.Ping{want})
	// Its caller dies, and another takes it when the lease is over. The first one's result comes too late.
	f.clock.set(f.clock.Now().Add(time.Minute))
	want.Attempt = 3
	f.equal(claim(10), []store.Ping{want})
	f.must(f.PingFailed(f.Context(), request.ID, 2, f.clock.Now()))
	f.equal(len(claim(10)), 0)
	f.must(f.PingDone(f.Context(), request.ID))
	f.must(f.PingDone(f.Context(), request.ID))
	f.clock.set(f.clock.Now().Add(time.Hour))
	f.equal(len(claim(10)), 0)

	denied := f.asked()
	f.must(f.DecideBackchannel(f.Context(), deny(denied)))
	f.clock.set(f.clock.Now().Add(time.Second))
	f.allowed()
	if first := claim(1); len(first) != 1 || first[0].Request != denied.ID {
		f.Errorf("the oldest goes first: got %v", first)
	}
	f.equal(len(claim(10)), 1)
	// An expired request is not notified.
	f.clock.set(denied.ExpiresAt)
	f.must(f.PingFailed(f.Context(), denied.ID, 1, denied.ExpiresAt))
	f.equal(len(claim(10)), 1)
}

func testPurgeBackchannel(f *fixture) {
	start := f.clock.Now()
	request, _ := f.allowed() // with a ping and a grant of a day
	f.clock.set(request.ExpiresAt.Add(-time.Microsecond))
	f.purge(100, 0)
	f.clock.set(request.ExpiresAt)
	f.purge(100, 1) // the ping
	f.clock.set(request.ExpiresAt.Add(time.Hour - time.Microsecond))
	f.purge(100, 0)
	f.poll(request.ID, store.ErrExpired)
	f.clock.set(request.ExpiresAt.Add(time.Hour))
	f.purge(100, 1)
	f.poll(request.ID, store.ErrNotFound)
	f.clock.set(start)
}

// testDeleteClientBackchannel: the pending requests of a deleted client are not listed.
func testDeleteClientBackchannel(f *fixture) {
	client := f.registered()
	client.ID = "client"
	f.must(f.PutClient(f.Context(), client))
	decided, _ := f.allowed()
	f.asked()
	other := f.backchannelRequest()
	other.ClientID = "another"
	f.must(f.StartBackchannel(f.Context(), other, backchannelLimits()))
	f.must(f.DeleteClient(f.Context(), client.ID, store.RevokedByOperator))
	f.poll(decided.ID, store.ErrNotFound)
	pings, err := f.ClaimPings(f.Context(), 10, time.Minute)
	f.must(err)
	f.equal(len(pings), 0)
	pending, err := f.PendingBackchannel(f.Context(), "subject")
	f.must(err)
	f.equal(pending, []store.BackchannelRequest{other})
}

func testRaceStartBackchannel(f *fixture) {
	f.whoIsAsked(false)
	requests := make([]store.BackchannelRequest, racers)
	for i := range requests {
		requests[i] = f.backchannelRequest()
	}
	f.winner(race(func(i int) error {
		return f.StartBackchannel(f.Context(), requests[i], store.BackchannelLimits{User: 1, Organisation: 1, Client: 1})
	}), store.ErrConsumed)
}

func testRaceDecideBackchannel(f *fixture) {
	request := f.asked()
	grants := make([]store.Grant, racers)
	for i := range grants {
		grants[i] = f.grant()
	}
	winner := f.winner(race(func(i int) error {
		if i%2 == 1 {
			return f.DecideBackchannel(f.Context(), deny(request))
		}
		return f.DecideBackchannel(f.Context(), allow(request, grants[i]))
	}), store.ErrConsumed)
	got, err := f.BackchannelRequest(f.Context(), request.ID)
	f.must(err)
	if want := map[bool]string{true: grants[winner].ID}[winner%2 == 0]; got.GrantID != want {
		f.Errorf("racer %d won, and the grant is %q", winner, got.GrantID)
	}
	for i, grant := range grants {
		if err := f.RevokeGrant(f.Context(), grant.ID, store.RevokedByOperator, nil); (err == nil) != (i == winner && i%2 == 0) {
			f.Errorf("racer %d of winner %d: its grant: %v", i, winner, err)
		}
	}
	pings, err := f.ClaimPings(f.Context(), 10, time.Minute)
	f.must(err)
	f.equal(len(pings), 1)
}

// testRacePollBackchannel: of concurrent polls one is in time, and each of the others adds its five seconds.
func testRacePollBackchannel(f *fixture) {
	request := f.asked()
	var lock sync.Mutex
	inTime := 0
	for i, err := range race(func(int) error {
		got, err := f.PollBackchannel(f.Context(), request.ID, "client")
		lock.Lock()
		defer lock.Unlock()
		if err == nil && !got.Early { // one that was refused, because too many wait, races on
			inTime++
		}
		return err
	}) {
		if err != nil {
			f.Fatalf("racer %d: %v", i, err)
		}
	}
	f.equal(inTime, 1)
	got, err := f.BackchannelRequest(f.Context(), request.ID)
	f.must(err)
	f.equal(got.Interval, request.Interval+(racers-1)*store.SlowDown)
}

func testRaceRedeemBackchannel(f *fixture) {
	request, grant := f.allowed()
	issued := make([]store.Issued, racers)
	for i := range issued {
		issued[i] = f.issued(grant)
	}
	winner := f.winner(race(func(i int) error { return f.RedeemBackchannel(f.Context(), request.ID, issued[i]) }), store.ErrConsumed)
	for i, b := range issued {
		_, err := f.AccessGrant(f.Context(), b.AccessToken.ID)
		if i == winner {
			f.want(err, nil)
		} else {
			f.want(err, store.ErrNotFound)
		}
	}
}

// testRaceBackchannel has everything at once: polls, decisions and redemptions of one request end in one token at most.
func testRaceBackchannel(f *fixture) {
	for range 10 {
		request, grant := f.asked(), f.grant()
		issued := make([]store.Issued, racers)
		for i := range issued {
			issued[i] = f.issued(grant)
		}
		results := race(func(i int) error {
			switch i % 4 {
			case 0:
				return f.DecideBackchannel(f.Context(), allow(request, grant))
			case 1:
				_, err := f.PollBackchannel(f.Context(), request.ID, "client")
				return err
			default:
				return f.RedeemBackchannel(f.Context(), request.ID, issued[i])
			}
		})
		redeemed := 0
		for i, err := range results {
			switch {
			case err == nil && i%4 > 1:
				redeemed++
			case err != nil && !errors.Is(err, store.ErrConsumed) && !errors.Is(err, store.ErrNotFound):
				f.Fatalf("racer %d: %v", i, err)
			}
		}
		if err := f.RedeemBackchannel(f.Context(), request.ID, f.issued(grant)); err == nil {
			redeemed++
		}
		f.equal(redeemed, 1)
	}
}

// testRaceClaimPings: each ping is handed to one.
func testRaceClaimPings(f *fixture) {
	for range racers {
		f.allowed()
	}
	var lock sync.Mutex
	claimed := map[store.Digest]int{}
	for i, err := range race(func(int) error {
		pings, err := f.ClaimPings(f.Context(), 3, time.Minute)
		lock.Lock()
		defer lock.Unlock()
		for _, ping := range pings {
			claimed[ping.Request]++
		}
		return err
	}) {
		if err != nil {
			f.Fatalf("racer %d: %v", i, err)
		}
	}
	for id, times := range claimed {
		if times != 1 {
			f.Errorf("%x was handed to %d", id[:4], times)
		}
	}
	rest, err := f.ClaimPings(f.Context(), racers, time.Minute)
	f.must(err)
	f.equal(len(claimed)+len(rest), racers)
}
