package storetest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"countersign/store"
)

// given stores a grant of a user to a client, with its tokens.
func (f *fixture) given(subject, client string) (store.Grant, store.Issued) {
	f.Helper()
	grant := f.grant()
	grant.Subject, grant.ClientID = subject, client
	code := f.code(grant)
	f.granted(grant, code)
	issued := f.issued(grant)
	f.must(f.RedeemCode(f.Context(), code.ID, issued))
	return grant, issued
}

// access lists what a user gave.
func (f *fixture) access(subject string, ended bool) []store.Access {
	f.Helper()
	given, err := f.ListAccess(f.Context(), store.AccessFilter{Subject: subject, Ended: ended}, store.Page{Limit: 10})
	f.must(err)
	return given
}

// minute moves the clock.
func (f *fixture) minute() time.Time {
	f.clock.set(f.clock.Now().Add(time.Minute))
	return f.clock.Now()
}

// testListAccess: what a user gave is listed by client while any of it is left, and as ended afterwards; the pages have each once.
func testListAccess(f *fixture) {
	f.equal(len(f.access("subject", false))+len(f.access("subject", true)), 0)
	first, _ := f.given("subject", "a")
	start := f.clock.Now()
	at := f.minute()
	f.given("subject", "b")
	f.given("other", "b")
	later := f.minute()
	f.given("subject", "a")
	f.must(f.IssueToken(f.Context(), store.Grant{ID: "alone", ClientID: "a", CreatedAt: later, ExpiresAt: later.Add(time.Hour)}, f.accessToken(first)))
	day := 24 * time.Hour
	a := store.Access{ClientID: "a", Grants: 2, GivenAt: start, LastAt: later, ExpiresAt: later.Add(day)}
	b := store.Access{ClientID: "b", Grants: 1, GivenAt: at, LastAt: at, ExpiresAt: at.Add(day)}
	f.equal(f.access("subject", false), []store.Access{a, b})
	f.equal(f.access("other", false), []store.Access{b})
	f.equal(len(f.access("", false))+len(f.access("nobody", false))+len(f.access("subject", true)), 0)

	at = f.minute()
	consent := f.consent() // counts for a client, by itself too
	consent.ClientID, consent.ExpiresAt = "c", at.Add(time.Minute)
	f.consented(consent)
	c := store.Access{ClientID: "c", GivenAt: at, LastAt: at, ExpiresAt: at.Add(time.Minute)}
	f.equal(f.access("subject", false), []store.Access{c, a, b})

	for _, want := range []store.Access{a, c} {
		only, err := f.ListAccess(f.Context(), store.AccessFilter{Subject: "subject", ClientID: want.ClientID}, store.Page{Limit: 10})
		f.must(err)
		f.equal(only, []store.Access{want})
	}
	var paged []store.Access
	var page store.Page
	for range 3 {
		page.Limit = 1
		some, err := f.ListAccess(f.Context(), store.AccessFilter{Subject: "subject"}, page)
		f.must(err)
		paged = append(paged, some...)
		page.At, page.Key = some[0].Position()
	}
	f.equal(paged, []store.Access{c, a, b})
	rest, err := f.ListAccess(f.Context(), store.AccessFilter{Subject: "subject"}, page)
	f.must(err)
	f.equal(len(rest), 0)

	f.clock.set(start.Add(day)) // of a one has expired, and so has the consent
	a.Grants, a.GivenAt = 1, later
	f.equal(f.access("subject", false), []store.Access{a, b})
	f.equal(len(f.access("subject", true)), 0)
	f.clock.set(later.Add(day))
	a.Grants, a.GivenAt, a.EndedAt, b.EndedAt = 2, start, a.ExpiresAt, b.ExpiresAt
	f.equal(len(f.access("subject", false)), 0)
	f.equal(f.access("subject", true), []store.Access{a, b})
	for _, client := range []string{"b", "c"} {
		only, err := f.ListAccess(f.Context(), store.AccessFilter{Subject: "subject", ClientID: client, Ended: true}, store.Page{Limit: 10})
		f.must(err)
		if client == "b" {
			f.equal(only, []store.Access{b})
		} else {
			f.equal(len(only), 0)
		}
	}
	paged, err = f.ListAccess(f.Context(), store.AccessFilter{Subject: "subject", Ended: true}, store.Page{At: a.EndedAt, Key: "a", Limit: 10})
	f.must(err)
	f.equal(paged, []store.Access{b})
}

// testListGiven: the grants to one client, with their ends and uses, in pages.
func testListGiven(f *fixture) {
	first, issued := f.given("subject", "client")
	f.given("subject", "elsewhere")
	f.given("other", "client")
	second, _ := f.given("subject", "client") // at the same time: the identifier decides
	third, refreshed := f.given("subject", "client")
	list := func(page store.Page) []store.GivenGrant {
		f.Helper()
		page.Limit = 2
		given, err := f.ListGiven(f.Context(), "subject", "client", page)
		f.must(err)
		return given
	}
	f.equal(list(store.Page{}), []store.GivenGrant{{Grant: third}, {Grant: second}})
	f.equal(list(store.Page{At: second.CreatedAt, Key: second.ID}), []store.GivenGrant{{Grant: first}})

	use := func() {
		f.Helper()
		f.must(f.Refresh(f.Context(), refreshed.RefreshToken.ID, f.accessToken(third)))
	}
	start := f.clock.Now()
	f.clock.set(start.Add(store.UsedEvery - time.Microsecond)) // within the time that is not recorded
	use()
	f.equal(list(store.Page{})[0], store.GivenGrant{Grant: third})
	f.clock.set(start.Add(store.UsedEvery))
	use()
	used := f.clock.Now()
	f.equal(list(store.Page{})[0], store.GivenGrant{Grant: third, UsedAt: used})
	f.clock.set(used.Add(store.UsedEvery - time.Microsecond))
	use()
	f.equal(list(store.Page{})[0].UsedAt, used)
	f.clock.set(used.Add(store.UsedEvery))
	use()
	f.equal(list(store.Page{})[0].UsedAt, f.clock.Now())
	f.equal(f.access("subject", false)[1].UsedAt, f.clock.Now())

	_, err := f.EndAccess(f.Context(), store.Ending{Subject: "subject", ClientID: "client", GrantID: first.ID, By: store.RevokedByUser})
	f.must(err)
	first.RevokedAt = f.clock.Now()
	f.equal(list(store.Page{At: second.CreatedAt, Key: second.ID}), []store.GivenGrant{{Grant: first, RevokedBy: store.RevokedByUser}})
	f.want(f.Refresh(f.Context(), issued.RefreshToken.ID, f.accessToken(first)), store.ErrRevoked)
	f.must(f.RevokeGrant(f.Context(), second.ID, store.RevokedByOperator, nil))
	second.RevokedAt = f.clock.Now()
	f.equal(list(store.Page{})[1], store.GivenGrant{Grant: second, RevokedBy: store.RevokedByOperator})
}

// testRevokedBy: who ended a grant is the first who did.
func testRevokedBy(f *fixture) {
	by := func(grant store.Grant) string {
		f.Helper()
		given, err := f.ListGiven(f.Context(), grant.Subject, grant.ClientID, store.Page{Limit: 100})
		f.must(err)
		for _, each := range given {
			if each.ID == grant.ID {
				return each.RevokedBy
			}
		}
		f.Fatalf("%s is not listed", grant.ID)
		return ""
	}
	grant, _ := f.redeemed()
	f.equal(by(grant), "")
	f.must(f.RevokeGrant(f.Context(), grant.ID, store.RevokedByClient, nil))
	f.must(f.RevokeGrant(f.Context(), grant.ID, store.RevokedByOperator, nil))
	_, err := f.EndAccess(f.Context(), store.Ending{Subject: grant.Subject, ClientID: grant.ClientID, By: store.RevokedByUser})
	f.must(err)
	f.equal(by(grant), store.RevokedByClient)

	replayed, code := f.withCode()
	f.must(f.RedeemCode(f.Context(), code.ID, f.issued(replayed)))
	f.want(f.RedeemCode(f.Context(), code.ID, f.issued(replayed)), store.ErrConsumed)
	f.equal(by(replayed), store.RevokedByServer)

	client := f.registered()
	client.ID = grant.ClientID
	f.must(f.PutClient(f.Context(), client))
	last, _ := f.redeemed()
	f.must(f.DeleteClient(f.Context(), client.ID, store.RevokedByClient))
	f.equal([]string{by(grant), by(replayed), by(last)}, []string{store.RevokedByClient, store.RevokedByServer, store.RevokedByClient})
}

// testEndAccess: all that a user gave a client ends at once, with the evidence; nobody else's does.
func testEndAccess(f *fixture) {
	lost, ended, single := f.evidence("a"), f.evidence("a"), f.evidence("a")
	end := func(want error, count int, subject, client, grant string, evidence store.Evidence) {
		f.Helper()
		got, err := f.EndAccess(f.Context(), store.Ending{
			Subject: subject, ClientID: client, GrantID: grant, By: store.RevokedByUser, Evidence: []store.Evidence{evidence},
		})
		f.want(err, want)
		f.equal(got, count)
	}
	first, one := f.given("subject", "client")
	second, two := f.given("subject", "client")
	_, elsewhere := f.given("subject", "elsewhere")
	others, theirs := f.given("other", "client")
	third := f.grant()
	code := f.code(third)
	f.granted(third, code)
	consent := f.consent()
	f.consented(consent)
	other := consent
	other.Subject = "other"
	f.consented(other)
	f.must(f.IssueToken(f.Context(), store.Grant{ID: "alone", ClientID: "client", CreatedAt: f.clock.Now(), ExpiresAt: f.clock.Now().Add(time.Hour)}, f.accessToken(first)))

	end(store.ErrNotFound, 0, "nobody", "client", "", lost)
	end(store.ErrNotFound, 0, "subject", "nothing", "", lost)
	end(store.ErrNotFound, 0, "", "client", "", lost)
	end(store.ErrNotFound, 0, "subject", "client", others.ID, lost)
	end(store.ErrNotFound, 0, "subject", "elsewhere", first.ID, lost)
	f.equal(len(f.waiting("a")), 0)
	_, err := f.AccessGrant(f.Context(), one.AccessToken.ID)
	f.must(err)

	end(nil, 1, "subject", "client", second.ID, single)
	f.wantEvidence("a", single)
	_, err = f.AccessGrant(f.Context(), two.AccessToken.ID)
	f.want(err, store.ErrRevoked)
	_, err = f.AccessGrant(f.Context(), one.AccessToken.ID)
	f.must(err)
	consents := func(subject string) int {
		f.Helper()
		all, err := f.ListConsents(f.Context(), store.Filter{Subject: subject, Limit: 10})
		f.must(err)
		return len(all)
	}
	f.equal(consents("subject"), 0) // the user is asked again
	f.consented(consent)
	end(nil, 0, "subject", "client", second.ID, lost) // again
	f.equal(consents("subject"), 1)

	end(nil, 2, "subject", "client", "", ended)
	f.wantEvidence("a", ended)
	f.equal(consents("subject"), 0)
	f.equal(consents("other"), 1)
	_, err = f.AccessGrant(f.Context(), one.AccessToken.ID)
	f.want(err, store.ErrRevoked)
	f.want(f.Refresh(f.Context(), one.RefreshToken.ID, f.accessToken(first)), store.ErrRevoked)
	f.want(f.RedeemCode(f.Context(), code.ID, store.Issued{AccessToken: f.accessToken(third)}), store.ErrRevoked)
	for _, token := range []store.Digest{elsewhere.AccessToken.ID, theirs.AccessToken.ID} {
		_, err = f.AccessGrant(f.Context(), token)
		f.must(err)
	}
	end(nil, 0, "subject", "client", "", lost)
	f.consented(consent) // a consent alone
	end(nil, 0, "subject", "client", "", single)
	f.wantEvidence("a", single)
	f.equal(consents("subject"), 0)
	f.equal(f.access("subject", true)[0].EndedAt, f.clock.Now())
	f.equal(len(f.access("subject", false)), 1)

	expired, _ := f.given("subject", "late") // what has expired is not revoked
	f.clock.set(expired.ExpiresAt)
	end(nil, 0, "subject", "late", "", lost)
	given, err := f.ListGiven(f.Context(), "subject", "late", store.Page{Limit: 1})
	f.must(err)
	f.equal(given, []store.GivenGrant{{Grant: expired}})
	f.equal(len(f.waiting("a")), 0)
}

// testRaceEndAccess: of all callers one ends a grant, while others refresh it; nothing that they got outlives it.
func testRaceEndAccess(f *fixture) {
	for range 5 {
		grant, issued := f.given("subject", "client")
		ends := f.evidence("a")
		tokens := make([]store.AccessToken, racers)
		for i := range tokens {
			tokens[i] = f.accessToken(grant)
		}
		f.clock.set(f.clock.Now().Add(store.UsedEvery))
		for i := range tokens {
			tokens[i].ExpiresAt = f.clock.Now().Add(time.Minute)
		}
		var count atomic.Int64
		for i, err := range race(func(racer int) error {
			if racer%2 == 0 {
				return f.Refresh(f.Context(), issued.RefreshToken.ID, tokens[racer])
			}
			n, err := f.EndAccess(f.Context(), store.Ending{
				Subject: "subject", ClientID: "client", By: store.RevokedByUser, Evidence: []store.Evidence{ends},
			})
			count.Add(int64(n))
			return err
		}) {
			if err != nil && (i%2 == 1 || !errors.Is(err, store.ErrRevoked)) {
				f.Errorf("racer %d: %v", i, err)
			}
		}
		f.equal(count.Load(), int64(1))
		f.wantEvidence("a", ends)
		for i, token := range tokens {
			if _, err := f.AccessGrant(f.Context(), token.ID); err == nil {
				f.Errorf("the token of racer %d is still valid", i)
			}
		}
	}
}

// testListSessions: the sessions of a user are listed in pages while they last, and ended one by one or all at once.
func testListSessions(f *fixture) {
	var all []store.Session
	for i := range 4 {
		session := f.session()
		session.Agent = fmt.Sprint("Firefox/Linux ", i)
		if i == 2 {
			session.AuthTime = all[0].AuthTime // at the same time: the identifier decides
		}
		f.must(f.StartSession(f.Context(), session, store.Digest{}))
		all = append([]store.Session{session}, all...)
		f.minute()
	}
	_, interaction := f.begun()
	through := f.session()
	through.Agent = "Safari/iPhone"
	f.must(f.SignIn(f.Context(), interaction.ID, through))
	pending, err := f.Interaction(f.Context(), interaction.ID, interaction.Browser)
	f.must(err)
	f.equal(*pending.Session, through)
	f.putUser("other", false)
	others := f.session()
	others.Subject = "other"
	f.must(f.StartSession(f.Context(), others, store.Digest{}))

	list := func(limit int) (sessions []store.Session) {
		f.Helper()
		page := store.Page{Limit: limit}
		for {
			some, err := f.ListSessions(f.Context(), "subject", page)
			f.must(err)
			sessions = append(sessions, some...)
			if len(some) < limit {
				return sessions
			}
			last := some[len(some)-1]
			page.At, page.Key = last.AuthTime, string(last.ID[:])
		}
	}
	whole := list(10)
	f.equal(len(whole), 5)
	f.equal(whole[0], through)
	f.equal(list(1), whole)
	f.equal(list(2), whole)

	lost, ended := f.evidence("a"), f.evidence("a")
	f.want(f.EndSessionOf(f.Context(), "other", through.ID, lost), store.ErrNotFound)
	f.want(f.EndSessionOf(f.Context(), "subject", f.digest(), lost), store.ErrNotFound)
	f.equal(len(f.waiting("a")), 0)
	f.must(f.EndSessionOf(f.Context(), "subject", through.ID, ended))
	f.wantEvidence("a", ended)
	_, err = f.Session(f.Context(), through.ID)
	f.want(err, store.ErrNotFound)
	f.equal(list(10), whole[1:])
	f.clock.set(whole[4].ExpiresAt) // of the oldest
	f.equal(len(list(10)) < 4, true)

	f.must(f.PutEnrolment(f.Context(), f.enrolment("subject")))
	kept, late := f.session(), f.session()
	user, err := f.User(f.Context(), "subject")
	f.must(err)
	kept.Epoch, late.Epoch = user.Epoch, user.Epoch
	f.must(f.StartSession(f.Context(), kept, store.Digest{}))
	kept.Epoch = 0
	ended = f.evidence("a")
	count, err := f.EndOtherSessions(f.Context(), "subject", kept.ID, ended)
	f.must(err)
	f.equal(count, 4)
	f.wantEvidence("a", ended)
	f.equal(list(10), []store.Session{kept})
	f.must(f.StartSession(f.Context(), late, store.Digest{})) // of a sign-in that began before
	f.equal(list(10), []store.Session{kept})
	_, err = f.Session(f.Context(), kept.ID)
	f.must(err)
	data, err := f.UserData(f.Context(), "subject")
	f.must(err)
	f.equal(len(data.Enrolments), 0)
	count, err = f.EndOtherSessions(f.Context(), "subject", store.Digest{})
	f.must(err)
	f.equal(count, 2)
	_, err = f.Session(f.Context(), others.ID)
	f.must(err)
}

// testForgetBrowsers: the time is the user's own, stays when the user changes, and goes when the user is erased.
func testForgetBrowsers(f *fixture) {
	lost, forgot := f.evidence("a"), f.evidence("a")
	f.want(f.ForgetBrowsers(f.Context(), "subject", lost), store.ErrNotFound)
	f.putUser("subject", false)
	f.putUser("other", false)
	f.must(f.ForgetBrowsers(f.Context(), "subject", forgot))
	f.wantEvidence("a", forgot)
	at := f.clock.Now()
	f.minute()
	f.putUser("subject", true)
	for subject, want := range map[string]time.Time{"subject": at, "other": {}} {
		user, err := f.User(f.Context(), subject)
		f.must(err)
		f.equal(user.BrowsersFrom, want)
	}
	f.must(f.EraseUser(f.Context(), "subject"))
	f.want(f.ForgetBrowsers(f.Context(), "subject", lost), store.ErrNotFound)
	user, err := f.User(f.Context(), "subject")
	f.must(err)
	f.equal(user.BrowsersFrom, time.Time{})
}
