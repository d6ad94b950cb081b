package storetest

import (
	"time"

	"countersign/store"
)

func testPush(f *fixture) {
	request := f.request()
	f.must(f.Push(f.Context(), request, f.oneTime(), f.oneTime()))
	got, session, err := f.open(request.ID, store.Digest{})
	f.must(err)
	f.equal(got, request)
	if session != nil {
		f.Errorf("got a session: %v", session)
	}

	bare := f.request()
	bare.Parameters = nil
	f.must(f.Push(f.Context(), bare))
	got, _, err = f.open(bare.ID, store.Digest{})
	f.must(err)
	f.equal(got, bare)

	f.want(f.Push(f.Context(), request), store.ErrConflict)
}

func testPushAllOrNothing(f *fixture) {
	seen, fresh := f.oneTime(), f.oneTime()
	f.must(f.ConsumeOneTime(f.Context(), seen))
	request := f.request()
	f.want(f.Push(f.Context(), request, fresh, seen), store.ErrReplayed)
	_, _, err := f.open(request.ID, store.Digest{})
	f.want(err, store.ErrNotFound)
	f.must(f.ConsumeOneTime(f.Context(), fresh))

	twice := f.oneTime()
	f.want(f.Push(f.Context(), request, twice, twice), store.ErrReplayed)

	f.must(f.Push(f.Context(), request))
	unclaimed := f.oneTime()
	f.want(f.Push(f.Context(), request, unclaimed), store.ErrConflict)
	f.must(f.ConsumeOneTime(f.Context(), unclaimed))
}

func testOpen(f *fixture) {
	_, _, err := f.open(f.digest(), store.Digest{})
	f.want(err, store.ErrNotFound)

	request, interaction := f.begun()
	f.clock.set(request.ExpiresAt.Add(-time.Microsecond))
	got, _, err := f.open(request.ID, store.Digest{})
	f.must(err)
	f.equal(got, request)
	f.clock.set(request.ExpiresAt)
	got, _, err = f.open(request.ID, store.Digest{})
	f.want(err, store.ErrExpired)
	f.equal(got, request)

	f.must(f.Finish(f.Context(), store.Finish{Interaction: interaction.ID, Request: request.ID}))
	request.FinishedAt = f.clock.Now()
	got, _, err = f.open(request.ID, store.Digest{})
	f.want(err, store.ErrConsumed)
	f.equal(got, request)
}

func testOpenSession(f *fixture) {
	request, interaction := f.begun()
	session := f.session()
	session.ExpiresAt = f.clock.Now().Add(time.Second)
	f.must(f.SignIn(f.Context(), interaction.ID, session))

	_, got, err := f.open(request.ID, session.ID)
	f.must(err)
	f.equal(got, &session)
	_, got, err = f.open(request.ID, f.digest())
	f.must(err)
	f.equal(got, (*store.Session)(nil))

	f.clock.set(session.ExpiresAt.Add(-time.Microsecond))
	_, got, err = f.open(request.ID, session.ID)
	f.must(err)
	f.equal(got, &session)
	f.clock.set(session.ExpiresAt)
	_, got, err = f.open(request.ID, session.ID)
	f.must(err)
	f.equal(got, (*store.Session)(nil))
}

// testPrecision: all times come back in UTC and cut to the microsecond.
func testPrecision(f *fixture) {
	elsewhere := time.FixedZone("elsewhere", 3600)
	request := f.request()
	request.CreatedAt = time.Date(1969, 7, 20, 20, 17, 40, 123456789, elsewhere)
	request.ExpiresAt = time.Date(2099, 1, 2, 3, 4, 5, 999999999, elsewhere)
	f.must(f.Push(f.Context(), request))
	got, _, err := f.open(request.ID, store.Digest{})
	f.must(err)
	request.CreatedAt = time.Date(1969, 7, 20, 19, 17, 40, 123456000, time.UTC)
	request.ExpiresAt = time.Date(2099, 1, 2, 2, 4, 5, 999999000, time.UTC)
	f.equal(got, request)
	for _, t := range []time.Time{got.CreatedAt, got.ExpiresAt} {
		if t.Location() != time.UTC {
			f.Errorf("%v is not in UTC", t)
		}
	}
}

func testInteraction(f *fixture) {
	request, interaction := f.begun()
	want := store.Pending{Interaction: interaction, Request: request}
	got, err := f.Interaction(f.Context(), interaction.ID, interaction.Browser)
	f.must(err)
	f.equal(got, want)

	_, err = f.Interaction(f.Context(), f.digest(), interaction.Browser)
	f.want(err, store.ErrNotFound)
	_, err = f.Interaction(f.Context(), interaction.ID, f.digest())
	f.want(err, store.ErrNotFound)
	f.want(f.BeginInteraction(f.Context(), interaction), store.ErrConflict)
	f.want(f.BeginInteraction(f.Context(), f.interaction(f.request())), store.ErrNotFound)

	// The request's own time does not matter to an interaction that has begun.
	f.clock.set(interaction.ExpiresAt.Add(-time.Microsecond))
	got, err = f.Interaction(f.Context(), interaction.ID, interaction.Browser)
	f.must(err)
	f.equal(got, want)
	f.clock.set(interaction.ExpiresAt)
	got, err = f.Interaction(f.Context(), interaction.ID, interaction.Browser)
	f.want(err, store.ErrExpired)
	f.equal(got, want)

	request, interaction = f.begun()
	f.must(f.Finish(f.Context(), store.Finish{Interaction: interaction.ID, Request: request.ID}))
	request.FinishedAt = f.clock.Now()
	got, err = f.Interaction(f.Context(), interaction.ID, interaction.Browser)
	f.want(err, store.ErrConsumed)
	f.equal(got, store.Pending{Interaction: interaction, Request: request})
}

func testSignIn(f *fixture) {
	request, interaction := f.begun()
	first, second := f.session(), f.session()
	second.AMR = nil
	f.must(f.SignIn(f.Context(), interaction.ID, first))
	f.must(f.SignIn(f.Context(), interaction.ID, second))
	_, ended, err := f.open(request.ID, first.ID)
	f.must(err)
	f.equal(ended, (*store.Session)(nil))
	got, err := f.Interaction(f.Context(), interaction.ID, interaction.Browser)
	f.must(err)
	interaction.Session = second.ID
	f.equal(got, store.Pending{Interaction: interaction, Request: request, Session: &second, Username: "subject"})

	// An interaction may begin with a session that is there already.
	another := f.interaction(request)
	another.Session = second.ID
	f.must(f.BeginInteraction(f.Context(), another))
	got, err = f.Interaction(f.Context(), another.ID, another.Browser)
	f.must(err)
	f.equal(got, store.Pending{Interaction: another, Request: request, Session: &second, Username: "subject"})

	f.must(f.EndSession(f.Context(), second.ID))
	f.must(f.EndSession(f.Context(), second.ID))
	got, err = f.Interaction(f.Context(), interaction.ID, interaction.Browser)
	f.must(err)
	f.equal(got, store.Pending{Interaction: interaction, Request: request})

	third := f.session()
	f.must(f.SignIn(f.Context(), interaction.ID, third))
	f.want(f.SignIn(f.Context(), interaction.ID, third), store.ErrConflict)
	f.want(f.SignIn(f.Context(), f.digest(), f.session()), store.ErrNotFound)
	f.clock.set(interaction.ExpiresAt)
	late := f.session()
	f.want(f.SignIn(f.Context(), interaction.ID, late), store.ErrExpired)
	fresh := f.pushed()
	_, stored, err := f.open(fresh.ID, late.ID)
	f.must(err)
	f.equal(stored, (*store.Session)(nil))
	_, stored, err = f.open(fresh.ID, third.ID)
	f.must(err)
	f.equal(stored, &third)
}

func testSignInFailed(f *fixture) {
	_, interaction := f.begun()
	for want := 1; want <= 3; want++ {
		got, err := f.SignInFailed(f.Context(), interaction.ID)
		f.must(err)
		f.equal(got, want)
	}
	got, err := f.Interaction(f.Context(), interaction.ID, interaction.Browser)
	f.must(err)
	f.equal(got.Interaction.SignInFailures, 3)
	_, err = f.SignInFailed(f.Context(), f.digest())
	f.want(err, store.ErrNotFound)
}

func testFinish(f *fixture) {
	request, interaction := f.begun()
	grant := f.grant()
	code := f.code(grant)
	finish := store.Finish{Interaction: interaction.ID, Request: request.ID, Grant: &grant, Code: &code}
	// One microsecond before the interaction's end, long after the request_uri's.
	f.clock.set(interaction.ExpiresAt.Add(-time.Microsecond))
	f.must(f.Finish(f.Context(), finish))
	gotCode, gotGrant, err := f.CodeGrant(f.Context(), code.ID)
	f.must(err)
	f.equal(gotCode, code)
	f.equal(gotGrant, grant)

	// A second answer changes nothing, in time and later.
	other := f.grant()
	otherCode := f.code(other)
	finish.Grant, finish.Code = &other, &otherCode
	f.want(f.Finish(f.Context(), finish), store.ErrConsumed)
	f.clock.set(interaction.ExpiresAt)
	f.want(f.Finish(f.Context(), finish), store.ErrConsumed)
	_, _, err = f.CodeGrant(f.Context(), otherCode.ID)
	f.want(err, store.ErrNotFound)
}

func testFinishRefused(f *fixture) {
	request, interaction := f.begun()
	otherRequest, otherInteraction := f.begun()
	grant := f.grant()
	code := f.code(grant)
	for _, finish := range []store.Finish{
		{Interaction: f.digest(), Request: request.ID, Grant: &grant, Code: &code},
		{Interaction: interaction.ID, Request: f.digest(), Grant: &grant, Code: &code},
		{Interaction: otherInteraction.ID, Request: request.ID, Grant: &grant, Code: &code},
		{Interaction: interaction.ID, Request: otherRequest.ID, Grant: &grant, Code: &code},
	} {
		f.want(f.Finish(f.Context(), finish), store.ErrNotFound)
	}
	finish := store.Finish{Interaction: interaction.ID, Request: request.ID, Grant: &grant, Code: &code}
	f.clock.set(interaction.ExpiresAt)
	f.want(f.Finish(f.Context(), finish), store.ErrExpired)
	_, _, err := f.CodeGrant(f.Context(), code.ID)
	f.want(err, store.ErrNotFound)
	pending, err := f.Interaction(f.Context(), interaction.ID, interaction.Browser)
	f.want(err, store.ErrExpired)
	f.equal(pending.Request, request)
}

func testFinishAllOrNothing(f *fixture) {
	_, taken := f.withCode()
	request, interaction := f.begun()
	grant := f.grant()
	code := f.code(grant)
	finish := store.Finish{Interaction: interaction.ID, Request: request.ID, Grant: &grant, Code: &code}

	code.ID = taken.ID
	f.want(f.Finish(f.Context(), finish), store.ErrConflict)
	code.ID, code.GrantID = f.digest(), "another grant"
	if err := f.Finish(f.Context(), finish); err == nil {
		f.Error("a code was stored with another grant than its own")
	}
	finish.Grant = nil
	if err := f.Finish(f.Context(), finish); err == nil {
		f.Error("a code was stored without a grant")
	}
	// Nothing of it remains: the grant's identifier and the request are still free.
	finish.Grant, code.GrantID = &grant, grant.ID
	f.must(f.Finish(f.Context(), finish))
}
