package storetest

import (
	"time"

	"countersign/store"
)

// knownBrowser makes a browser in which somebody signs in now.
func (f *fixture) knownBrowser() store.KnownBrowser {
	now := f.clock.Now()
	return store.KnownBrowser{ID: f.digest(), Agent: "Firefox/Linux", CreatedAt: now, UsedAt: now, ExpiresAt: now.Add(time.Hour)}
}

// testKnownBrowsers: each is known to its user until it expires or is forgotten, by itself or with all others.
func testKnownBrowsers(f *fixture) {
	f.putUser("subject", false)
	f.putUser("other", false)
	listed := func(subject string, want ...store.KnownBrowser) {
		f.Helper()
		got, err := f.ListBrowsers(f.Context(), subject)
		f.must(err)
		f.equal(got, want)
	}
	knows := func(subject string, id store.Digest, want bool) {
		f.Helper()
		got, err := f.KnowsBrowser(f.Context(), subject, id)
		f.must(err)
		f.equal(got, want)
	}
	first := f.knownBrowser()
	f.want(f.KnowBrowser(f.Context(), "nobody", first), store.ErrNotFound)
	listed("nobody")
	f.must(f.KnowBrowser(f.Context(), "subject", first))
	f.must(f.KnowBrowser(f.Context(), "other", first)) // somebody else in the same browser
	knows("subject", first.ID, true)
	knows("subject", f.digest(), false)
	f.clock.set(f.clock.Now().Add(time.Minute))
	second := f.knownBrowser()
	f.must(f.KnowBrowser(f.Context(), "subject", second))
	listed("subject", second, first)

	f.clock.set(f.clock.Now().Add(time.Minute))
	again := f.knownBrowser()
	again.ID, again.Agent = first.ID, "Chrome/Linux"
	f.must(f.KnowBrowser(f.Context(), "subject", again))
	again.CreatedAt = first.CreatedAt
	listed("subject", again, second)

	lost, forgotten := f.evidence("a"), f.evidence("a")
	f.want(f.ForgetBrowser(f.Context(), "subject", f.digest(), lost), store.ErrNotFound)
	f.want(f.ForgetBrowser(f.Context(), "other", second.ID, lost), store.ErrNotFound)
	f.must(f.ForgetBrowser(f.Context(), "subject", again.ID, forgotten))
	f.wantEvidence("a", forgotten)
	f.want(f.ForgetBrowser(f.Context(), "subject", again.ID, lost), store.ErrNotFound)
	knows("subject", again.ID, false)
	knows("other", first.ID, true)
	listed("subject", second)

	f.clock.set(second.ExpiresAt)
	knows("subject", second.ID, false)
	listed("subject")
	f.want(f.ForgetBrowser(f.Context(), "subject", second.ID, lost), store.ErrNotFound)
	f.purged()
	data, err := f.UserData(f.Context(), "subject")
	f.must(err)
	f.equal(len(data.Browsers), 0)
	third := f.knownBrowser()
	f.must(f.KnowBrowser(f.Context(), "subject", third))
	f.must(f.KnowBrowser(f.Context(), "other", third))
	f.must(f.ForgetBrowsers(f.Context(), "subject"))
	listed("subject")
	knows("other", third.ID, true)
	f.must(f.EraseUser(f.Context(), "other"))
	listed("other")
	f.want(f.KnowBrowser(f.Context(), "other", third), store.ErrNotFound)
}

// testKnownBrowsersBounded: of too many, those that were not used for the longest time are unknown again.
func testKnownBrowsersBounded(f *fixture) {
	f.putUser("subject", false)
	var all []store.KnownBrowser
	for range store.MaxKnownBrowsers + 2 {
		f.clock.set(f.clock.Now().Add(time.Second))
		all = append(all, f.knownBrowser())
		f.must(f.KnowBrowser(f.Context(), "subject", all[len(all)-1]))
		if len(all) == store.MaxKnownBrowsers { // the first one is used again
			all[0].UsedAt = f.clock.Now()
			f.must(f.KnowBrowser(f.Context(), "subject", all[0]))
		}
	}
	got, err := f.ListBrowsers(f.Context(), "subject")
	f.must(err)
	f.equal(len(got), store.MaxKnownBrowsers)
	for i, browser := range all {
		known, err := f.KnowsBrowser(f.Context(), "subject", browser.ID)
		f.must(err)
		f.equal(known, i != 1 && i != 2)
	}
}
