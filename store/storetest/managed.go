package storetest

import (
	"fmt"
	"time"

	"countersign/store"
)

// managed stores a grant with a name, and what its code was exchanged for.
func (f *fixture) managed() (store.Grant, store.Code, store.Issued) {
	f.Helper()
	grant := f.grant()
	grant.ManagedID = fmt.Sprint("managed ", f.number())
	code := f.code(grant)
	f.granted(grant, code)
	issued := f.issued(grant)
	f.must(f.RedeemCode(f.Context(), code.ID, issued))
	return grant, code, issued
}

// replacing is what answers a new interaction with a grant that takes the place of another.
func (f *fixture) replacing(former store.Grant) store.Finish {
	f.Helper()
	request, interaction := f.begun()
	grant := f.grant()
	grant.ManagedID = former.ManagedID
	code := f.code(grant)
	return store.Finish{
		Interaction: interaction.ID, Request: request.ID, Grant: &grant, Code: &code, Replaces: former.ID,
		Evidence: []store.Evidence{f.evidence("replacing")},
	}
}

// isManaged demands that a name is that of a grant.
func (f *fixture) isManaged(grant store.Grant) {
	f.Helper()
	got, err := f.ManagedGrant(f.Context(), grant.ClientID, grant.ManagedID)
	f.must(err)
	f.equal(got, grant)
}

// testManagedGrant: a grant is found by its name, by its client, while it is valid.
func testManagedGrant(f *fixture) {
	grant, _, issued := f.managed()
	plain, _ := f.withCode()
	f.isManaged(grant)
	read, err := f.AccessGrant(f.Context(), issued.AccessToken.ID)
	f.must(err)
	f.equal(read, grant)
	for _, of := range [][2]string{{"another", grant.ManagedID}, {"client", "none"}, {"client", ""}, {"client", grant.ID}, {"client", plain.ID}} {
		_, err := f.ManagedGrant(f.Context(), of[0], of[1])
		f.want(err, store.ErrNotFound)
	}
	f.putUser("subject", true)
	gone, err := f.ManagedGrant(f.Context(), "client", grant.ManagedID)
	f.must(err)
	f.equal(gone.UserGone, true)
	f.putUser("subject", false)

	f.must(f.EndClientGrant(f.Context(), "client", grant.ID, nil))
	_, err = f.ManagedGrant(f.Context(), "client", grant.ManagedID)
	f.want(err, store.ErrNotFound)
	late, _, _ := f.managed()
	f.clock.set(late.ExpiresAt.Add(-time.Microsecond))
	f.isManaged(late)
	f.clock.set(late.ExpiresAt)
	_, err = f.ManagedGrant(f.Context(), "client", late.ManagedID)
	f.want(err, store.ErrNotFound)
}

// testReplaceGrant: a grant takes the place of another, whose tokens end with it, and what was remembered of it; an account lists one.
func testReplaceGrant(f *fixture) {
	former, _, issued := f.managed()
	other, _, kept := f.managed()
	f.consented(f.consent())
	session := f.signedIn()
	f.clock.set(f.clock.Now().Add(time.Second))
	finish := f.replacing(former)
	evidence := finish.Evidence
	f.must(f.Finish(f.Context(), finish))
	f.isManaged(*finish.Grant)
	f.isManaged(other)
	f.ended(issued)
	_, err := f.AccessGrant(f.Context(), kept.AccessToken.ID)
	f.must(err)
	f.equal(f.waiting("replacing"), evidence)
	forgotten, err := f.Open(f.Context(), f.pushed().ID, session.ID)
	f.must(err)
	f.equal(forgotten.Consent == nil, true)
	given, err := f.ListGiven(f.Context(), "subject", "client", store.Page{Limit: 10})
	f.must(err)
	var listed []string
	for _, each := range given {
		if each.ManagedID == former.ManagedID {
			listed = append(listed, each.ID)
		}
	}
	f.equal(listed, []string{finish.Grant.ID})
	f.must(f.RedeemCode(f.Context(), finish.Code.ID, f.issued(*finish.Grant)))

	remembered := f.replacing(*finish.Grant) // what the same decision has remembered is kept
	consent := f.consent()
	remembered.Consent = &consent
	f.must(f.Finish(f.Context(), remembered))
	again, err := f.Open(f.Context(), f.pushed().ID, session.ID)
	f.must(err)
	f.equal(again.Consent != nil, true)
}

// testReplaceGrantRefused: what is not there, or not valid, or not of the same client, user and name, is not replaced, and nothing is
// stored.
func testReplaceGrantRefused(f *fixture) {
	former, _, issued := f.managed()
	another, _, _ := f.managed()
	f.putUser("another", false)
	for _, change := range []func(*store.Finish){
		func(finish *store.Finish) { finish.Replaces = "none" },
		func(finish *store.Finish) { finish.Replaces = another.ID },
		func(finish *store.Finish) { finish.Grant.ManagedID = another.ManagedID },
		func(finish *store.Finish) { finish.Grant.Subject = "another" },
		func(finish *store.Finish) { finish.Grant.ClientID, finish.Code.ClientID = "another", "another" },
	} {
		finish := f.replacing(former)
		change(&finish)
		f.want(f.Finish(f.Context(), finish), store.ErrConflict)
		_, _, err := f.CodeGrant(f.Context(), finish.Code.ID)
		f.want(err, store.ErrNotFound)
		f.must(f.Finish(f.Context(), store.Finish{Interaction: finish.Interaction, Request: finish.Request})) // it was not answered
	}
	f.equal(len(f.waiting("replacing")), 0)
	f.isManaged(former)
	_, err := f.AccessGrant(f.Context(), issued.AccessToken.ID)
	f.must(err)
	for _, change := range []func(*store.Finish){
		func(finish *store.Finish) { finish.Grant.ManagedID = "" },
		func(finish *store.Finish) { finish.Grant, finish.Code = nil, nil },
	} {
		finish := f.replacing(former)
		change(&finish)
		if err := f.Finish(f.Context(), finish); err == nil {
			f.Error("a grant was replaced by none, or by one without its name")
		}
	}
	f.isManaged(former)

	finish := f.replacing(former)
	f.must(f.Finish(f.Context(), finish))
	f.want(f.Finish(f.Context(), finish), store.ErrConsumed)
	f.want(f.Finish(f.Context(), f.replacing(former)), store.ErrConflict) // that version is over
	f.isManaged(*finish.Grant)
	f.must(f.EndClientGrant(f.Context(), "client", finish.Grant.ID, nil))
	f.want(f.Finish(f.Context(), f.replacing(*finish.Grant)), store.ErrConflict)
}

// testReplaceGrantBackchannel: a decision over the backchannel replaces a grant in the same way.
func testReplaceGrantBackchannel(f *fixture) {
	former, _, issued := f.managed()
	request, grant := f.asked(), f.grant()
	grant.ManagedID = former.ManagedID
	decision := allow(request, grant)
	decision.Replaces = "none"
	f.want(f.DecideBackchannel(f.Context(), decision), store.ErrConflict)
	f.isManaged(former)
	decision.Replaces = former.ID
	f.must(f.DecideBackchannel(f.Context(), decision))
	f.isManaged(grant)
	f.ended(issued)
	f.want(f.DecideBackchannel(f.Context(), decision), store.ErrConsumed)
	late := allow(f.asked(), f.grant())
	late.Grant.ManagedID, late.Replaces = former.ManagedID, former.ID
	f.want(f.DecideBackchannel(f.Context(), late), store.ErrConflict)
	f.isManaged(grant)
	bare := allow(f.asked(), f.grant())
	bare.Replaces = grant.ID
	if err := f.DecideBackchannel(f.Context(), bare); err == nil {
		f.Error("a grant was replaced by one without its name")
	}
	f.isManaged(grant)
}

// testReplaceGrantOfConsent: a consent that is authorised again may have a grant that takes the place of the one that it had; and one
// whose grant another takes the place of, without it, ends.
func testReplaceGrantOfConsent(f *fixture) {
	c := f.lodged()
	first := f.deciding(c)
	first.Grant.ManagedID = "managed by a consent"
	f.must(f.Finish(f.Context(), first))
	again := f.deciding(f.readConsent(c.ID))
	again.Grant.ManagedID, again.Replaces = first.Grant.ManagedID, first.Grant.ID
	f.must(f.Finish(f.Context(), again))
	got := f.readConsent(c.ID)
	f.equal([]any{got.Status, got.GrantID, got.Version}, []any{store.ConsentAuthorised, again.Grant.ID, 3})
	f.isManaged(*again.Grant)
	request, grant := f.asked(), f.grant()
	_, err := f.BindConsent(f.Context(), store.ConsentBinding{ID: c.ID, ClientID: c.ClientID, To: request.ID})
	f.must(err)
	grant.ManagedID = first.Grant.ManagedID
	decision := allow(request, grant)
	decision.Replaces = again.Grant.ID
	decision.Lodged = &store.ConsentDecision{ID: c.ID, ClientID: c.ClientID, Bound: request.ID, Version: got.Version, Subject: grant.Subject}
	f.must(f.DecideBackchannel(f.Context(), decision))
	f.equal(f.readConsent(c.ID).GrantID, grant.ID)
	f.isManaged(grant)
	given, err := f.ListGiven(f.Context(), "subject", "client", store.Page{Limit: 10})
	f.must(err)
	f.equal(len(given), 1) // the others were replaced

	f.must(f.Finish(f.Context(), f.replacing(grant)))
	got = f.readConsent(c.ID)
	f.equal([]any{got.Status, got.EndedBy}, []any{store.ConsentRevoked, store.RevokedByUser})
}

// testRaceReplaceGrant: of all that would take the place of one grant one wins; and of its end and a replacement both leave one grant
// at most, whose place is that of the former one.
func testRaceReplaceGrant(f *fixture) {
	former, _, issued := f.managed()
	finishes := make([]store.Finish, racers)
	for i := range finishes {
		finishes[i] = f.replacing(former)
	}
	winner := f.winner(race(func(i int) error { return f.Finish(f.Context(), finishes[i]) }), store.ErrConflict)
	f.isManaged(*finishes[winner].Grant)
	f.ended(issued)
	for i := range finishes {
		if _, _, err := f.CodeGrant(f.Context(), finishes[i].Code.ID); i != winner {
			f.want(err, store.ErrNotFound)
		}
	}
	for range 10 {
		former, _, issued := f.managed()
		finish := f.replacing(former)
		results := race(func(i int) error {
			if i%2 == 0 {
				return f.Finish(f.Context(), finish)
			}
			return f.EndClientGrant(f.Context(), "client", former.ID, nil)
		})
		replaced, ended := 0, 0
		for i, err := range results {
			switch {
			case err != nil:
			case i%2 == 0:
				replaced++
			default:
				ended++
			}
		}
		_, err := f.ManagedGrant(f.Context(), "client", former.ManagedID)
		if replaced+ended != 1 || (replaced == 1) != (err == nil) {
			f.Errorf("%d replacements and %d ends have won, and then: %v", replaced, ended, err)
		}
		f.ended(issued)
	}
}
