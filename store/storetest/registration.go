package storetest

import (
	"encoding/json"
	"fmt"
	"time"

	"countersign/store"
)

// registered makes a client that registered itself.
func (f *fixture) registered() store.Client {
	return store.Client{
		ID: fmt.Sprint("client ", f.number()), Profile: "fapi2-security", Metadata: json.RawMessage(`{"client_name": "é <b>"}`),
		AccessToken: f.digest(), Organisation: "Example Ltd", Version: 1, CreatedAt: f.clock.Now(), UpdatedAt: f.clock.Now(),
	}
}

func (f *fixture) initialToken(remaining int) store.InitialToken {
	return store.InitialToken{
		ID: f.digest(), Organisation: fmt.Sprint("Organisation ", f.number()), Remaining: remaining,
		CreatedAt: f.clock.Now(), ExpiresAt: f.clock.Now().Add(time.Hour),
	}
}

// testRegisteredClient: what dynamic registration adds to a client is kept through changes.
func testRegisteredClient(f *fixture) {
	client := f.registered()
	f.must(f.PutClient(f.Context(), client))
	got, err := f.Client(f.Context(), client.ID)
	f.must(err)
	f.equal(got, client)
	client.Version, client.Disabled, client.AccessToken, client.Organisation = 2, true, store.Digest{}, ""
	f.must(f.PutClient(f.Context(), client))
	got, err = f.Client(f.Context(), client.ID)
	f.must(err)
	f.equal(got, client)
}

func testRegisterClientByToken(f *fixture) {
	token := f.initialToken(2)
	f.must(f.PutInitialToken(f.Context(), token))
	by := store.Registrar{Token: token.ID}
	first := f.registered()
	f.must(f.RegisterClient(f.Context(), first, by))
	got, err := f.Client(f.Context(), first.ID)
	f.must(err)
	f.equal(got, first)

	// A registration that fails takes nothing.
	f.want(f.RegisterClient(f.Context(), first, by), store.ErrConflict)
	f.must(f.RegisterClient(f.Context(), f.registered(), by))
	last := f.registered()
	f.want(f.RegisterClient(f.Context(), last, by), store.ErrConsumed)
	_, err = f.Client(f.Context(), last.ID)
	f.want(err, store.ErrNotFound)
	f.want(f.RegisterClient(f.Context(), last, store.Registrar{Token: f.digest()}), store.ErrNotFound)

	late := f.initialToken(1)
	f.must(f.PutInitialToken(f.Context(), late))
	f.clock.set(late.ExpiresAt)
	f.want(f.RegisterClient(f.Context(), last, store.Registrar{Token: late.ID}), store.ErrExpired)
	f.clock.set(late.ExpiresAt.Add(-time.Microsecond))
	f.must(f.RegisterClient(f.Context(), last, store.Registrar{Token: late.ID}))
}

func testRegisterClientByQuota(f *fixture) {
	by := store.Registrar{Quota: 2}
	first := f.registered()
	f.must(f.RegisterClient(f.Context(), first, by))
	f.must(f.RegisterClient(f.Context(), f.registered(), by))
	f.want(f.RegisterClient(f.Context(), f.registered(), by), store.ErrConsumed)
	other := f.registered()
	other.Organisation = "another"
	f.must(f.RegisterClient(f.Context(), other, by))
	for range 3 { // those of nobody in particular are not counted: an operator's are among them
		nobodys := f.registered()
		nobodys.Organisation = ""
		f.must(f.RegisterClient(f.Context(), nobodys, by))
	}
	f.must(f.DeleteClient(f.Context(), first.ID, store.RevokedByOperator))
	f.must(f.RegisterClient(f.Context(), f.registered(), by))
}

// testDeleteClient: everything that was granted to a client goes with it, and nothing else.
func testDeleteClient(f *fixture) {
	client := f.registered()
	client.ID = "client" // the one of the fixture's grants
	f.must(f.PutClient(f.Context(), client))
	session := f.signedIn()
	f.consented(f.consent())
	grant, issued := f.redeemed()
	notConsumed, code := f.withCode()
	others := f.grant()
	others.ClientID = "another"
	othersCode := f.code(others)
	f.granted(others, othersCode)

	f.must(f.DeleteClient(f.Context(), client.ID, store.RevokedByOperator))
	_, err := f.Client(f.Context(), client.ID)
	f.want(err, store.ErrNotFound)
	_, err = f.AccessGrant(f.Context(), issued.AccessToken.ID)
	f.want(err, store.ErrRevoked)
	f.want(f.Refresh(f.Context(), issued.RefreshToken.ID, f.accessToken(grant)), store.ErrRevoked)
	f.want(f.RedeemCode(f.Context(), code.ID, f.issued(notConsumed)), store.ErrRevoked)
	if opened := f.opened(session, nil); opened.Consent != nil {
		f.Errorf("the consent is still there: %v", opened.Consent)
	}
	f.must(f.RedeemCode(f.Context(), othersCode.ID, f.issued(others)))
	f.want(f.DeleteClient(f.Context(), client.ID, store.RevokedByOperator), store.ErrNotFound)
}

func testInitialTokens(f *fixture) {
	second, first, consumed := f.initialToken(1), f.initialToken(7), f.initialToken(0)
	first.Organisation, second.Organisation, consumed.Organisation = "A", "B", "C"
	first.Profile = "profile"
	for _, token := range []store.InitialToken{second, first, consumed} {
		f.must(f.PutInitialToken(f.Context(), token))
	}
	got, err := f.InitialToken(f.Context(), first.ID)
	f.must(err)
	f.equal(got, first)
	got, err = f.InitialToken(f.Context(), consumed.ID)
	f.want(err, store.ErrConsumed)
	f.equal(got, consumed)
	_, err = f.InitialToken(f.Context(), f.digest())
	f.want(err, store.ErrNotFound)
	all, err := f.InitialTokens(f.Context())
	f.must(err)
	f.equal(all, []store.InitialToken{first, second, consumed})

	replaced := f.initialToken(3)
	replaced.Organisation = first.Organisation
	f.must(f.PutInitialToken(f.Context(), replaced))
	_, err = f.InitialToken(f.Context(), first.ID)
	f.want(err, store.ErrNotFound)
	got, err = f.InitialToken(f.Context(), replaced.ID)
	f.must(err)
	f.equal(got, replaced)

	f.must(f.DeleteInitialToken(f.Context(), "A"))
	_, err = f.InitialToken(f.Context(), replaced.ID)
	f.want(err, store.ErrNotFound)
	f.want(f.DeleteInitialToken(f.Context(), "A"), store.ErrNotFound)
	f.clock.set(second.ExpiresAt)
	got, err = f.InitialToken(f.Context(), second.ID)
	f.want(err, store.ErrExpired)
	f.equal(got, second)
}

func testSeed(f *fixture) {
	seed, err := f.Seed(f.Context(), "one", []byte("first"))
	f.must(err)
	f.equal(seed, []byte("first"))
	seed, err = f.Seed(f.Context(), "one", []byte("second"))
	f.must(err)
	f.equal(seed, []byte("first"))
	seed, err = f.Seed(f.Context(), "two", []byte{0, 0xff})
	f.must(err)
	f.equal(seed, []byte{0, 0xff})
}

func testPurgeRegistration(f *fixture) {
	token := f.initialToken(1)
	f.must(f.PutInitialToken(f.Context(), token))
	f.consented(f.consent())
	f.clock.set(f.clock.Now().Add(3 * time.Hour))
	for removed := 1; removed > 0; {
		var err error
		removed, err = f.Purge(f.Context(), 100)
		f.must(err)
	}
	all, err := f.InitialTokens(f.Context())
	f.must(err)
	if len(all) != 0 {
		f.Errorf("initial tokens are left: %v", all)
	}
}

func testRaceRegisterClient(f *fixture) {
	token := f.initialToken(1)
	f.must(f.PutInitialToken(f.Context(), token))
	clients := make([]store.Client, racers)
	for i := range clients {
		clients[i] = f.registered()
	}
	f.winner(race(func(i int) error {
		return f.RegisterClient(f.Context(), clients[i], store.Registrar{Token: token.ID})
	}), store.ErrConsumed)

	for i := range clients {
		clients[i] = f.registered()
		clients[i].Organisation = "racers"
	}
	f.winner(race(func(i int) error {
		return f.RegisterClient(f.Context(), clients[i], store.Registrar{Quota: 1})
	}), store.ErrConsumed)
}

func testRaceSeed(f *fixture) {
	seeds := make([]string, racers)
	for i, err := range race(func(i int) error {
		seed, err := f.Seed(f.Context(), "raced", fmt.Append(nil, i))
		seeds[i] = string(seed)
		return err
	}) {
		f.must(err)
		f.equal(seeds[i], seeds[0])
	}
}
