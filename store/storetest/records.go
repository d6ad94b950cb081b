package storetest

import (
	"time"

	"countersign/store"
)

// testRecords: grants and consents are found by user, client and date, the newest first.
func testRecords(f *fixture) {
	start := f.clock.Now()
	var grants []store.Grant
	var consents []store.Consent
	for i, of := range []struct{ subject, client string }{{"a", "1"}, {"b", "1"}, {"a", "2"}, {"a", "1"}, {"b", "2"}} {
		f.clock.set(start.Add(time.Duration(i) * time.Hour))
		grant := f.grant()
		grant.Subject, grant.ClientID = of.subject, of.client
		f.granted(grant, f.code(grant))
		grants = append([]store.Grant{grant}, grants...)
		consent := f.consent()
		consent.Subject, consent.ClientID = of.subject, of.client
		f.consented(consent)
		if i == 3 { // replaces the first
			consents = consents[:len(consents)-1]
		}
		consents = append([]store.Consent{consent}, consents...)
	}
	f.must(f.RevokeGrant(f.Context(), grants[4].ID, store.RevokedByOperator, nil)) // is listed, with the time; its consent is gone
	grants[4].RevokedAt = f.clock.Now()
	consents = append(consents[:1], consents[2:]...)

	hour := func(n int) time.Time { return start.Add(time.Duration(n) * time.Hour) }
	for name, test := range map[string]struct {
		filter  store.Filter
		matches func(subject, client string, at time.Time) bool
	}{
		"all":    {store.Filter{}, func(string, string, time.Time) bool { return true }},
		"user":   {store.Filter{Subject: "a"}, func(s, _ string, _ time.Time) bool { return s == "a" }},
		"client": {store.Filter{ClientID: "1"}, func(_, c string, _ time.Time) bool { return c == "1" }},
		"both":   {store.Filter{Subject: "b", ClientID: "2"}, func(s, c string, _ time.Time) bool { return s == "b" && c == "2" }},
		"date":   {store.Filter{Since: hour(1), Until: hour(4)}, func(_, _ string, at time.Time) bool { return !at.Before(hour(1)) && at.Before(hour(4)) }},
		"since":  {store.Filter{Subject: "a", Since: hour(2)}, func(s, _ string, at time.Time) bool { return s == "a" && !at.Before(hour(2)) }},
		"nobody": {store.Filter{Subject: "nobody"}, func(string, string, time.Time) bool { return false }},
	} {
		var wantGrants []store.Grant
		for _, g := range grants {
			if test.matches(g.Subject, g.ClientID, g.CreatedAt) {
				wantGrants = append(wantGrants, g)
			}
		}
		var wantConsents []store.Consent
		for _, k := range consents {
			if test.matches(k.Subject, k.ClientID, k.CreatedAt) {
				wantConsents = append(wantConsents, k)
			}
		}
		test.filter.Limit = 10
		gotGrants, err := f.ListGrants(f.Context(), test.filter)
		f.must(err)
		gotConsents, err := f.ListConsents(f.Context(), test.filter)
		f.must(err)
		if len(gotGrants) != len(wantGrants) || len(gotConsents) != len(wantConsents) {
			f.Errorf("%s: %d grants and %d consents, want %d and %d", name, len(gotGrants), len(gotConsents), len(wantGrants), len(wantConsents))
			continue
		}
		for i := range wantGrants {
			f.equal(gotGrants[i], wantGrants[i])
		}
		for i := range wantConsents {
			f.equal(gotConsents[i], wantConsents[i])
		}
	}
	first, err := f.ListGrants(f.Context(), store.Filter{Limit: 2})
	f.must(err)
	f.equal(first, grants[:2])
}

// testGrantByID: a grant is read with what became of it, also one that has ended; another is not found.
func testGrantByID(f *fixture) {
	grant := f.grant()
	grant.ManagedID = "managed"
	f.granted(grant, f.code(grant))
	read := func(id string) store.GivenGrant {
		f.Helper()
		got, err := f.GrantByID(f.Context(), id)
		f.must(err)
		return got
	}
	f.equal(read(grant.ID), store.GivenGrant{Grant: grant})
	f.must(f.RevokeGrant(f.Context(), grant.ID, store.RevokedByOperator, nil))
	grant.RevokedAt = f.clock.Now()
	f.equal(read(grant.ID), store.GivenGrant{Grant: grant, RevokedBy: store.RevokedByOperator})
	own := f.grant()
	own.Subject, own.Scopes, own.AMR, own.AuthTime = "", nil, nil, time.Time{}
	f.must(f.IssueToken(f.Context(), own, store.AccessToken{ID: f.digest(), GrantID: own.ID, ExpiresAt: own.ExpiresAt}))
	f.equal(read(own.ID), store.GivenGrant{Grant: own})
	_, err := f.GrantByID(f.Context(), "another")
	f.want(err, store.ErrNotFound)
}
