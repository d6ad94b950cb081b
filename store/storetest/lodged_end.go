package storetest

import (
	"slices"
	"time"

	"countersign/store"
)

// noticesOf leases the due notices, and returns their statuses for a consent.
func (f *fixture) noticesOf(id string) (statuses []store.ConsentStatus) {
	f.Helper()
	due, err := f.ClaimConsentNotices(f.Context(), 100, time.Minute)
	f.must(err)
	for _, notice := range due {
		if notice.ConsentID == id {
			statuses = append(statuses, notice.Status)
		}
	}
	return statuses
}

// testEndConsent: the end of a consent ends its grant, with the evidence, and is told; it ends once.
func testEndConsent(f *fixture) {
	c, grant, issued := f.authorised()
	f.equal(f.noticesOf(c.ID), []store.ConsentStatus{store.ConsentAuthorised})
	for _, ending := range []store.ConsentEnding{{ID: c.ID, ClientID: "another"}, {ID: c.ID, Subject: "other"}, {ID: "none"}} {
		ending.Evidence = []store.Evidence{f.evidence("x")}
		_, err := f.EndConsent(f.Context(), ending)
		f.want(err, store.ErrNotFound)
	}
	got, err := f.EndConsent(f.Context(), store.ConsentEnding{ID: c.ID, Due: true, Evidence: []store.Evidence{f.evidence("x")}})
	f.want(err, store.ErrConsumed)
	f.equal(got, c)
	f.clock.set(f.clock.Now().Add(time.Second))
	evidence := f.evidence("z")
	got, err = f.EndConsent(f.Context(), store.ConsentEnding{
		ID: c.ID, ClientID: "client", Subject: "subject", By: store.RevokedByUser, Reason: "why", Evidence: []store.Evidence{evidence},
	})
	f.must(err)
	c.Status, c.ChangedAt, c.Version, c.EndedBy, c.Reason = store.ConsentRevoked, f.clock.Now(), 3, store.RevokedByUser, "why"
	f.equal(got, c)
	f.equal(f.readConsent(c.ID), c)
	f.ended(issued)
	given, err := f.ListGiven(f.Context(), grant.Subject, grant.ClientID, store.Page{Limit: 1})
	f.must(err)
	f.equal(given[0].RevokedBy, store.RevokedByUser)
	got, err = f.EndConsent(f.Context(), store.ConsentEnding{ID: c.ID, By: store.EndedByBank, Evidence: []store.Evidence{f.evidence("x")}})
	f.want(err, store.ErrConsumed)
	f.equal(got, c)
	f.equal(f.waiting("z"), []store.Evidence{evidence})
	f.equal(len(f.waiting("x")), 0)
	f.equal(f.noticesOf(c.ID), []store.ConsentStatus{store.ConsentRevoked})

	awaiting := f.lodged()
	got, err = f.EndConsent(f.Context(), store.ConsentEnding{ID: awaiting.ID, By: store.EndedByClient})
	f.must(err)
	f.equal(got.Status, store.ConsentRejected)
	quiet := f.lodged(func(c *store.LodgedConsent) { c.Notify = false })
	_, err = f.EndConsent(f.Context(), store.ConsentEnding{ID: quiet.ID, By: store.EndedByClient})
	f.must(err)
	f.equal(len(f.noticesOf(quiet.ID)), 0)

	for by, revokedBy := range map[string]string{
		store.EndedByBank: store.RevokedByOperator, store.EndedByClient: store.RevokedByClient, store.EndedByTime: "",
	} {
		c, grant, _ := f.authorised()
		_, err := f.EndConsent(f.Context(), store.ConsentEnding{ID: c.ID, By: by})
		f.must(err)
		given, err := f.ListGiven(f.Context(), grant.Subject, grant.ClientID, store.Page{Limit: 100})
		f.must(err)
		i := slices.IndexFunc(given, func(g store.GivenGrant) bool { return g.ID == grant.ID })
		f.equal(given[i].RevokedBy, revokedBy)
	}
}

// testDueConsents: a consent whose time is over is read as expired at once, is listed until it is ended, and ends its grant.
func testDueConsents(f *fixture) {
	late, lasting := f.lodged(), f.lodged(func(c *store.LodgedConsent) { c.ExpiresAt = c.ExpiresAt.Add(time.Hour) })
	c, grant, _ := f.authorised(func(c *store.LodgedConsent) { c.EndsAt = c.ExpiresAt })
	endless, _, _ := f.authorised(func(c *store.LodgedConsent) { c.EndsAt = time.Time{} })
	f.clock.set(late.ExpiresAt.Add(-time.Microsecond))
	due, err := f.DueConsents(f.Context(), 10)
	f.must(err)
	f.equal(len(due), 0)
	f.clock.set(late.ExpiresAt)
	if due, err = f.DueConsents(f.Context(), 10); err != nil || len(due) != 2 || due[0].ID != c.ID || due[1].ID != late.ID {
		f.Fatalf("due are %+v (%v)", due, err)
	}
	f.equal(f.readConsent(c.ID).Status, store.ConsentExpired)
	f.noticesOf(c.ID)
	for _, each := range due {
		got, err := f.EndConsent(f.Context(), store.ConsentEnding{ID: each.ID, Due: true, By: store.EndedByTime})
		f.must(err)
		f.equal(got.Status, store.ConsentExpired)
		f.equal(f.noticesOf(each.ID), []store.ConsentStatus{store.ConsentExpired})
		f.clock.set(f.clock.Now().Add(time.Second))
	}
	given, err := f.ListGiven(f.Context(), grant.Subject, grant.ClientID, store.Page{Limit: 10})
	f.must(err)
	for _, g := range given {
		f.equal(g.RevokedAt.IsZero(), g.ID != grant.ID)
	}
	due, err = f.DueConsents(f.Context(), 10)
	f.must(err)
	f.equal(len(due), 0)
	f.equal(f.readConsent(lasting.ID).Status, store.ConsentAwaiting)
	f.equal(f.readConsent(endless.ID).Status, store.ConsentAuthorised)
}

// testConsentEndsWithGrant: each verb that ends a grant ends the consent that it was made by, in the same transaction, and that is told.
func testConsentEndsWithGrant(f *fixture) {
	for name, verb := range map[string]struct {
		end func(store.Grant, store.Issued) error
		by  string
	}{
		"RevokeGrant": {func(g store.Grant, _ store.Issued) error {
			return f.RevokeGrant(f.Context(), g.ID, store.RevokedByOperator, nil)
		}, store.EndedByBank},
		"EndClientGrant": {func(g store.Grant, _ store.Issued) error {
			return f.EndClientGrant(f.Context(), g.ClientID, g.ID, nil)
		}, store.EndedByClient},
		"EndAccess": {func(g store.Grant, _ store.Issued) error {
			_, err := f.EndAccess(f.Context(), store.Ending{Subject: g.Subject, ClientID: g.ClientID, GrantID: g.ID, By: store.RevokedByUser})
			return err
		}, store.RevokedByUser},
	} {
		c, grant, issued := f.authorised()
		f.noticesOf(c.ID)
		if err := verb.end(grant, issued); err != nil {
			f.Fatalf("%s: %v", name, err)
		}
		got := f.readConsent(c.ID)
		if got.Status != store.ConsentRevoked || got.Version != 3 || !got.ChangedAt.Equal(f.clock.Now()) || got.EndedBy != verb.by || got.Reason == "" {
			f.Errorf("%s: %+v", name, got)
		}
		f.equal(f.noticesOf(c.ID), []store.ConsentStatus{store.ConsentRevoked})
	}
	// A code that is used twice ends its grant.
	c := f.lodged()
	finish := f.deciding(c)
	f.must(f.Finish(f.Context(), finish))
	f.must(f.RedeemCode(f.Context(), finish.Code.ID, f.issued(*finish.Grant)))
	f.want(f.RedeemCode(f.Context(), finish.Code.ID, f.issued(*finish.Grant)), store.ErrConsumed)
	f.equal(f.readConsent(c.ID).Status, store.ConsentRevoked)
	f.equal(f.readConsent(c.ID).EndedBy, store.EndedByBank)

	var awaiting store.LodgedConsent
	for by, want := range map[string]string{store.RevokedByOperator: store.EndedByBank, store.RevokedByClient: store.EndedByClient} {
		f.must(f.PutClient(f.Context(), f.client("client")))
		c, _, _ = f.authorised()
		awaiting = f.lodged()
		f.must(f.DeleteClient(f.Context(), "client", by))
		f.equal(f.readConsent(c.ID).Status, store.ConsentRevoked)
		f.equal(f.readConsent(c.ID).EndedBy, want)
		f.equal(f.readConsent(c.ID).Reason, "client deleted")
		f.equal(f.readConsent(awaiting.ID).Status, store.ConsentRejected)
		f.equal(f.readConsent(awaiting.ID).EndedBy, want)
	}

	f.noticesOf(c.ID)
	c, _, _ = f.authorised()
	data, err := f.UserData(f.Context(), "subject")
	f.must(err)
	if len(data.Lodged) == 0 || !slices.ContainsFunc(data.Lodged, func(l store.LodgedConsent) bool { return l.ID == c.ID }) {
		f.Errorf("the user's data are %+v", data.Lodged)
	}
	f.noticesOf(c.ID)
	f.must(f.EraseUser(f.Context(), "subject"))
	got := f.readConsent(c.ID)
	f.equal(got.EndedBy, store.EndedByBank)
	if got.Status != store.ConsentRevoked || got.Content != nil || got.Shown != nil || got.Hints != nil || got.Subject != "" {
		f.Errorf("of an erased user is left: %+v", got)
	}
	f.equal(f.noticesOf(c.ID), []store.ConsentStatus{store.ConsentRevoked})
}

// testConsentNotices: notices are leased, failed, and done with their evidence, each by the one caller that has the lease.
func testConsentNotices(f *fixture) {
	c, grant, _ := f.authorised()
	start := f.clock.Now()
	want := store.ConsentNotice{
		ConsentID: c.ID, ClientID: "client", Kind: "account-access", Status: store.ConsentAuthorised, Version: 2, At: start,
		GrantID: grant.ID, Attempt: 1, ExpiresAt: start.Add(store.ConsentNoticesLast),
	}
	claim := func() []store.ConsentNotice {
		f.Helper()
		due, err := f.ClaimConsentNotices(f.Context(), 10, time.Minute)
		f.must(err)
		return due
	}
	f.equal(claim(), []store.ConsentNotice{want})
	f.equal(len(claim()), 0)
	f.must(f.ConsentNoticeFailed(f.Context(), want, start.Add(time.Second)))
	f.clock.set(start.Add(time.Second))
	stale := want
	want.Attempt = 2
	f.equal(claim(), []store.ConsentNotice{want})
	f.must(f.ConsentNoticeDone(f.Context(), stale, f.evidence("x")))
	f.must(f.ConsentNoticeFailed(f.Context(), stale, start))
	f.equal(len(claim())+len(f.waiting("x")), 0)
	evidence := f.evidence("z")
	f.must(f.ConsentNoticeDone(f.Context(), want, evidence))
	f.must(f.ConsentNoticeDone(f.Context(), want, f.evidence("x")))
	f.equal(f.waiting("z"), []store.Evidence{evidence})
	f.equal(len(f.waiting("x")), 0)
	f.clock.set(start.Add(time.Hour))
	f.equal(len(claim()), 0)

	for range racers {
		f.must(f.RevokeGrant(f.Context(), func() string { _, g, _ := f.authorised(); return g.ID }(), store.RevokedByOperator, nil))
	}
	taken := make([]int, racers)
	race(func(i int) error {
		due, err := f.ClaimConsentNotices(f.Context(), 4, time.Minute)
		taken[i] = len(due)
		return err
	})
	sum := 0
	for _, n := range taken {
		sum += n
	}
	f.equal(sum, 2*racers)
}

// testPurgeConsents: a consent stays known while it is not over, and as long as its grant; then it is removed.
func testPurgeConsents(f *fixture) {
	rejected, awaiting := f.lodged(), f.lodged(func(c *store.LodgedConsent) { c.ExpiresAt = c.ExpiresAt.Add(1000 * time.Hour) })
	_, err := f.EndConsent(f.Context(), store.ConsentEnding{ID: rejected.ID, By: store.EndedByClient})
	f.must(err)
	c, grant, _ := f.authorised()
	f.must(f.RevokeGrant(f.Context(), grant.ID, store.RevokedByOperator, nil))
	f.clock.set(f.clock.Now().Add(2 * time.Hour))
	f.purged()
	_, err = f.LodgedConsent(f.Context(), "", rejected.ID)
	f.want(err, store.ErrNotFound)
	f.equal(f.readConsent(awaiting.ID).Status, store.ConsentAwaiting)
	f.equal(f.readConsent(c.ID).Status, store.ConsentRevoked)
	f.clock.set(grant.ExpiresAt.Add(2 * time.Hour))
	f.purged()
	f.purged()
	_, err = f.LodgedConsent(f.Context(), "", c.ID)
	f.want(err, store.ErrNotFound)
}
