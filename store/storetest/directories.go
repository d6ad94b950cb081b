package storetest

import (
	"fmt"
	"time"

	"countersign/store"
)

// vouched makes a client that a directory vouches for.
func (f *fixture) vouched(software string) store.Client {
	c := f.registered()
	c.Organisation = "directory:one:org"
	c.Directory = store.DirectoryEntry{Directory: "one", Organisation: "org", Software: software, Subject: "CN=é"}
	return c
}

// testDirectoryClients: what a directory knows a client by is kept, also by changes, and lists the directory's clients alone.
func testDirectoryClients(f *fixture) {
	client, other := f.vouched("software"), f.vouched("software")
	other.Directory.Directory = "another"
	f.must(f.RegisterClient(f.Context(), client, store.Registrar{Quota: 3}))
	f.must(f.RegisterClient(f.Context(), other, store.Registrar{Quota: 3}))
	f.must(f.PutClient(f.Context(), f.registered())) // of no directory
	client.Version, client.Directory.Subject = 2, "CN=renewed"
	f.must(f.PutClient(f.Context(), client))
	got, err := f.Client(f.Context(), client.ID)
	f.must(err)
	f.equal(got, client)
	for directory, want := range map[string][]store.DirectoryClient{
		"one": {{ID: client.ID, Organisation: "org", Software: "software", CreatedAt: client.CreatedAt}}, "": nil, "third": nil,
	} {
		listed, err := f.DirectoryClients(f.Context(), directory)
		f.must(err)
		f.equal(append([]store.DirectoryClient{}, listed...), append([]store.DirectoryClient{}, want...))
	}
}

// testPutStanding: a client is suspended and restored, each with its evidence, and nothing but this changes it.
func testPutStanding(f *fixture) {
	client := f.vouched("software")
	client.ID = "client" // the one of the fixture's grants
	f.must(f.PutClient(f.Context(), client))
	grant, issued := f.redeemed()
	put := func(suspended string, end bool, at time.Time, want bool) store.Evidence {
		f.Helper()
		evidence := f.evidence("a")
		changed, err := f.PutStanding(f.Context(), store.Standing{
			ClientID: client.ID, Suspended: suspended, EndGrants: end, At: at, Evidence: []store.Evidence{evidence},
		})
		f.must(err)
		f.equal(changed, want)
		return evidence
	}
	first := f.clock.Now()
	put("", false, first, false) // is not suspended
	f.equal(len(f.waiting("a")), 0)
	one := put("suspended é", false, first, true)
	put("suspended é", false, first.Add(2*time.Second), false)
	put("", false, first.Add(time.Second), false) // older than what was said again
	f.wantEvidence("a", one)
	client.Suspended = "suspended é"
	changed := client
	changed.Suspended, changed.Version = "", 2
	f.must(f.PutClient(f.Context(), changed)) // does not restore it
	client.Version = 2
	got, err := f.Client(f.Context(), client.ID)
	f.must(err)
	f.equal(got, client)
	_, err = f.AccessGrant(f.Context(), issued.AccessToken.ID)
	f.must(err) // whoever serves it looks at the client

	put("", false, first.Add(-time.Second), false) // older
	two := put("", false, first.Add(time.Minute), true)
	f.wantEvidence("a", two)
	listed, err := f.DirectoryClients(f.Context(), "one")
	f.must(err)
	f.equal(listed, []store.DirectoryClient{{ID: client.ID, Organisation: "org", Software: "software", CreatedAt: client.CreatedAt}})
	f.must(f.Refresh(f.Context(), issued.RefreshToken.ID, f.accessToken(grant)))

	session := f.signedIn()
	f.consented(f.consent())
	put("removed", true, first.Add(2*time.Minute), true)
	_, err = f.AccessGrant(f.Context(), issued.AccessToken.ID)
	f.want(err, store.ErrRevoked)
	f.want(f.Refresh(f.Context(), issued.RefreshToken.ID, f.accessToken(grant)), store.ErrRevoked)
	if opened := f.opened(session, nil); opened.Consent != nil {
		f.Errorf("the consent is still there: %v", opened.Consent)
	}

	alone := f.registered() // of no directory
	f.must(f.PutClient(f.Context(), alone))
	for _, id := range []string{alone.ID, "unknown"} {
		changed, err := f.PutStanding(f.Context(), store.Standing{ClientID: id, Suspended: "x", At: first})
		f.want(err, store.ErrNotFound)
		f.equal(changed, false)
	}
}

// testDirectoryDocuments: the newest one stays.
func testDirectoryDocuments(f *fixture) {
	document := store.DirectoryDocument{Directory: "one", Kind: "keys", Body: []byte("{\x00}"), FetchedAt: f.clock.Now()}
	_, err := f.DirectoryDocument(f.Context(), "one", "keys")
	f.want(err, store.ErrNotFound)
	f.must(f.PutDirectoryDocument(f.Context(), document))
	older := document
	older.Body, older.FetchedAt = []byte("older"), document.FetchedAt.Add(-time.Second)
	f.must(f.PutDirectoryDocument(f.Context(), older))
	got, err := f.DirectoryDocument(f.Context(), "one", "keys")
	f.must(err)
	f.equal(got, document)
	document.Body, document.FetchedAt = []byte("newer"), document.FetchedAt.Add(time.Second)
	f.must(f.PutDirectoryDocument(f.Context(), document))
	got, err = f.DirectoryDocument(f.Context(), "one", "keys")
	f.must(err)
	f.equal(got, document)
	_, err = f.DirectoryDocument(f.Context(), "one", "participants")
	f.want(err, store.ErrNotFound)
}

// testRegisterClientStatement: one-time values are consumed with the registration and only then; a software has one client where
// it may have one only.
func testRegisterClientStatement(f *fixture) {
	token := f.initialToken(9)
	f.must(f.PutInitialToken(f.Context(), token))
	for _, by := range []store.Registrar{{Quota: 9}, {Token: token.ID}} {
		statement := f.oneTime()
		by.OneTimes, by.OnePerSoftware = []store.OneTime{statement}, true
		software := fmt.Sprint("software ", f.number())
		f.must(f.RegisterClient(f.Context(), f.vouched(software), by))
		f.want(f.RegisterClient(f.Context(), f.vouched("other "+software), by), store.ErrReplayed)

		by.OneTimes = []store.OneTime{f.oneTime()}
		f.want(f.RegisterClient(f.Context(), f.vouched(software), by), store.ErrConflict)
		elsewhere := f.vouched(software)
		elsewhere.Directory.Directory += " another"
		f.must(f.RegisterClient(f.Context(), elsewhere, by)) // what was refused consumed nothing
		f.want(f.ConsumeOneTime(f.Context(), by.OneTimes...), store.ErrReplayed)

		by.OneTimes, by.OnePerSoftware = nil, false
		f.must(f.RegisterClient(f.Context(), f.vouched(software), by))
	}
	got, err := f.InitialToken(f.Context(), token.ID)
	f.must(err)
	f.equal(got.Remaining, token.Remaining-3)

	full := f.vouched("software")
	statement := f.oneTime()
	f.want(f.RegisterClient(f.Context(), full, store.Registrar{Quota: 1, OneTimes: []store.OneTime{statement}}), store.ErrConsumed)
	f.must(f.ConsumeOneTime(f.Context(), statement))
}

// testRaceRegisterSoftware: of clients that one software registers at once, one gets in, whatever allows each.
func testRaceRegisterSoftware(f *fixture) {
	token := f.initialToken(racers)
	f.must(f.PutInitialToken(f.Context(), token))
	clients := make([]store.Client, racers)
	for i := range clients {
		clients[i] = f.vouched("raced")
	}
	f.winner(race(func(i int) error {
		by := store.Registrar{Quota: racers, OnePerSoftware: true}
		if i%2 == 1 {
			by = store.Registrar{Token: token.ID, OnePerSoftware: true}
		}
		return f.RegisterClient(f.Context(), clients[i], by)
	}), store.ErrConflict)
}

// testRacePutStanding: of nodes that find the same, one records it.
func testRacePutStanding(f *fixture) {
	client := f.vouched("software")
	f.must(f.PutClient(f.Context(), client))
	at, evidence := f.clock.Now(), f.evidence("a")
	var changes [racers]bool
	for _, err := range race(func(i int) (err error) {
		changes[i], err = f.PutStanding(f.Context(), store.Standing{ClientID: client.ID, Suspended: "s", At: at, Evidence: []store.Evidence{evidence}})
		return err
	}) {
		f.must(err)
	}
	f.wantEvidence("a", evidence)
	count := 0
	for _, changed := range changes {
		if changed {
			count++
		}
	}
	f.equal(count, 1)
}
