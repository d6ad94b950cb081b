package storetest

import (
	"encoding/json"
	"fmt"
	"time"

	"countersign/store"
)

// lodgedConsent is a consent that awaits a decision for an hour, and lasts a day.
func (f *fixture) lodgedConsent() store.LodgedConsent {
	now := f.clock.Now()
	return store.LodgedConsent{
		ID: fmt.Sprint("urn:bank:", f.number()), ClientID: "client", Organisation: "organisation", Kind: "account-access",
		Status: store.ConsentAwaiting, Content: json.RawMessage(`{"b":1,"a":"é"}`), Shown: json.RawMessage(`{"type":"x"}`),
		Permissions: []string{"ReadBalances", `a "quoted" one`}, Scopes: []string{"accounts"}, Hints: map[string]string{"cpf": "12345678901"},
		Notify: true, CreatedAt: now, ChangedAt: now, Version: 1, ExpiresAt: now.Add(time.Hour), EndsAt: now.Add(24 * time.Hour),
	}
}

// lodged stores a consent.
func (f *fixture) lodged(change ...func(*store.LodgedConsent)) store.LodgedConsent {
	f.Helper()
	c := f.lodgedConsent()
	for _, each := range change {
		each(&c)
	}
	f.must(f.LodgeConsent(f.Context(), c, store.ConsentQuota{}))
	return c
}

func once(c *store.LodgedConsent) { c.Once = true }

// readConsent reads a consent.
func (f *fixture) readConsent(id string) store.LodgedConsent {
	f.Helper()
	c, err := f.LodgedConsent(f.Context(), "", id)
	f.must(err)
	return c
}

// deciding binds a consent to a new interaction, and returns what decides about it, with a grant of the subject.
func (f *fixture) deciding(c store.LodgedConsent) store.Finish {
	f.Helper()
	request, interaction := f.begun()
	_, err := f.BindConsent(f.Context(), store.ConsentBinding{ID: c.ID, ClientID: c.ClientID, To: interaction.ID})
	f.must(err)
	grant := f.grant()
	code := f.code(grant)
	return store.Finish{
		Interaction: interaction.ID, Request: request.ID, Grant: &grant, Code: &code,
		Lodged: &store.ConsentDecision{ID: c.ID, ClientID: c.ClientID, Bound: interaction.ID, Version: c.Version, Subject: grant.Subject},
	}
}

// authorised stores a consent that is authorised, with what its code was exchanged for.
func (f *fixture) authorised(change ...func(*store.LodgedConsent)) (store.LodgedConsent, store.Grant, store.Issued) {
	f.Helper()
	c := f.lodged(change...)
	finish := f.deciding(c)
	f.must(f.Finish(f.Context(), finish))
	issued := f.issued(*finish.Grant)
	f.must(f.RedeemCode(f.Context(), finish.Code.ID, issued))
	return f.readConsent(c.ID), *finish.Grant, issued
}

// ended demands that nothing can be done any more with what was issued.
func (f *fixture) ended(issued store.Issued) {
	f.Helper()
	_, err := f.AccessGrant(f.Context(), issued.AccessToken.ID)
	f.want(err, store.ErrRevoked)
	f.want(f.Refresh(f.Context(), issued.RefreshToken.ID, f.accessToken(store.Grant{ID: issued.AccessToken.GrantID, ExpiresAt: f.clock.Now()})), store.ErrRevoked)
}

// testLodgeConsent: a consent is stored as it is, for its client, within the quota, and with its one-time values; or nothing is.
func testLodgeConsent(f *fixture) {
	c, value := f.lodgedConsent(), f.oneTime()
	c.Evidence = []store.Evidence{f.evidence("z")}
	f.must(f.LodgeConsent(f.Context(), c, store.ConsentQuota{Client: 1, Organisation: 1}, value))
	f.equal(f.waiting("z"), c.Evidence)
	c.Evidence = nil
	got, err := f.LodgedConsent(f.Context(), "client", c.ID)
	f.must(err)
	f.equal(got, c)
	_, err = f.LodgedConsent(f.Context(), "another", c.ID)
	f.want(err, store.ErrNotFound)
	bare := store.LodgedConsent{
		ID: "bare", ClientID: "bare", Status: store.ConsentAwaiting, Permissions: []string{}, Lasts: time.Minute, Elsewhere: true,
		CreatedAt: c.CreatedAt, ChangedAt: c.ChangedAt, Version: 1, ExpiresAt: c.ExpiresAt,
	}
	f.must(f.LodgeConsent(f.Context(), bare, store.ConsentQuota{}))
	f.equal(f.readConsent("bare"), bare)

	next := f.lodgedConsent()
	next.Evidence = []store.Evidence{f.evidence("y")}
	f.want(f.LodgeConsent(f.Context(), next, store.ConsentQuota{Client: 1}), store.ErrConsumed)
	f.want(f.LodgeConsent(f.Context(), next, store.ConsentQuota{}, value), store.ErrReplayed)
	other := next
	other.ID, other.ClientID = "another", "another"
	f.want(f.LodgeConsent(f.Context(), other, store.ConsentQuota{Client: 1, Organisation: 1}), store.ErrConsumed)
	again := c
	again.Evidence = next.Evidence
	f.want(f.LodgeConsent(f.Context(), again, store.ConsentQuota{}), store.ErrConflict)
	f.equal(len(f.waiting("y")), 0)
	_, err = f.LodgedConsent(f.Context(), "", next.ID)
	f.want(err, store.ErrNotFound)
	f.must(f.LodgeConsent(f.Context(), other, store.ConsentQuota{Client: 1, Organisation: 2}))
	// One whose time for the decision is over does not count.
	f.clock.set(c.ExpiresAt)
	f.equal(f.readConsent(c.ID).Status, store.ConsentExpired)
	f.must(f.LodgeConsent(f.Context(), next, store.ConsentQuota{Client: 1, Organisation: 1}))
}

// testRaceLodgeConsent: the quota holds however many are lodged at once, and an ID is lodged once.
func testRaceLodgeConsent(f *fixture) {
	consents := make([]store.LodgedConsent, racers)
	for i := range consents {
		consents[i] = f.lodgedConsent()
	}
	f.winner(race(func(i int) error { return f.LodgeConsent(f.Context(), consents[i], store.ConsentQuota{Client: 1}) }), store.ErrConsumed)
	same := f.lodgedConsent()
	same.ClientID, same.Organisation = "another", ""
	f.winner(race(func(int) error { return f.LodgeConsent(f.Context(), same, store.ConsentQuota{}) }), store.ErrConflict)
	for i := range consents {
		consents[i] = f.lodgedConsent()
		consents[i].ClientID, consents[i].Organisation = fmt.Sprint("client ", i), "together"
	}
	f.winner(race(func(i int) error {
		return f.LodgeConsent(f.Context(), consents[i], store.ConsentQuota{Organisation: 1})
	}), store.ErrConsumed)
}

// testBindConsent: the last that binds decides; nobody binds another client's, one that has ended, or one of another subject.
func testBindConsent(f *fixture) {
	c := f.lodged()
	first, second := f.digest(), f.digest()
	for _, to := range []store.Digest{first, second} {
		got, err := f.BindConsent(f.Context(), store.ConsentBinding{ID: c.ID, ClientID: "client", To: to, Subject: "subject"})
		f.must(err)
		c.Bound = to
		f.equal(got, c)
	}
	_, err := f.BindConsent(f.Context(), store.ConsentBinding{ID: c.ID, ClientID: "another", To: first})
	f.want(err, store.ErrNotFound)
	_, err = f.BindConsent(f.Context(), store.ConsentBinding{ID: "none", ClientID: "client", To: first})
	f.want(err, store.ErrNotFound)
	f.equal(f.readConsent(c.ID), c)

	kept, _, _ := f.authorised()
	_, err = f.BindConsent(f.Context(), store.ConsentBinding{ID: kept.ID, ClientID: "client", To: first, Subject: "other"})
	f.want(err, store.ErrConsumed)
	for _, subject := range []string{"subject", ""} {
		_, err = f.BindConsent(f.Context(), store.ConsentBinding{ID: kept.ID, ClientID: "client", To: first, Subject: subject})
		f.must(err)
	}
	single, _, _ := f.authorised(once)
	got, err := f.BindConsent(f.Context(), store.ConsentBinding{ID: single.ID, ClientID: "client", To: first, Subject: "subject"})
	f.want(err, store.ErrConsumed)
	f.equal(got, single)
	f.clock.set(c.ExpiresAt)
	got, err = f.BindConsent(f.Context(), store.ConsentBinding{ID: c.ID, ClientID: "client", To: first})
	f.want(err, store.ErrExpired)
	f.equal(got.Status, store.ConsentExpired)
}

// testDecideConsent: a consent is authorised with its grant or rejected, and authorised again in place of the grant before.
func testDecideConsent(f *fixture) {
	c := f.lodged(func(c *store.LodgedConsent) { c.Lasts = time.Minute })
	finish := f.deciding(c)
	f.clock.set(f.clock.Now().Add(time.Second))
	f.must(f.Finish(f.Context(), finish))
	c.Status, c.ChangedAt, c.Version, c.Subject, c.GrantID = store.ConsentAuthorised, f.clock.Now(), 2, "subject", finish.Grant.ID
	c.Bound, c.EndsAt = finish.Interaction, f.clock.Now().Add(time.Minute)
	f.equal(f.readConsent(c.ID), c)
	f.equal(f.noticesOf(c.ID), []store.ConsentStatus{store.ConsentAuthorised})

	kept, _, issued := f.authorised()
	again := f.deciding(kept)
	f.must(f.Finish(f.Context(), again))
	f.ended(issued)
	got := f.readConsent(kept.ID)
	if got.Status != store.ConsentAuthorised || got.GrantID != again.Grant.ID || got.Version != 3 {
		f.Errorf("authorised again: %+v", got)
	}
	fresh := f.issued(*again.Grant)
	f.must(f.RedeemCode(f.Context(), again.Code.ID, fresh))
	// Denying that leaves it as it is.
	denied := f.deciding(got)
	denied.Grant, denied.Code = nil, nil
	f.must(f.Finish(f.Context(), denied))
	f.equal(f.readConsent(kept.ID).Status, store.ConsentAuthorised)
	_, err := f.AccessGrant(f.Context(), fresh.AccessToken.ID)
	f.must(err)

	refused := f.lodged()
	denied = f.deciding(refused)
	denied.Grant, denied.Code = nil, nil
	f.must(f.Finish(f.Context(), denied))
	got = f.readConsent(refused.ID)
	if got.Status != store.ConsentRejected || got.GrantID != "" || got.Subject != "" || got.EndedBy != store.RevokedByUser {
		f.Errorf("denied: %+v", got)
	}
	f.equal(f.noticesOf(refused.ID), []store.ConsentStatus{store.ConsentRejected})
}

// testDecideConsentRefused: nothing is stored of a decision about a consent that has changed, was bound elsewhere, is another
// client's, or has ended.
func testDecideConsentRefused(f *fixture) {
	for name, change := range map[string]func(c store.LodgedConsent, finish *store.Finish){
		"bound by another": func(c store.LodgedConsent, _ *store.Finish) {
			_, err := f.BindConsent(f.Context(), store.ConsentBinding{ID: c.ID, ClientID: c.ClientID, To: f.digest()})
			f.must(err)
		},
		"another version":  func(_ store.LodgedConsent, finish *store.Finish) { finish.Lodged.Version++ },
		"another client's": func(_ store.LodgedConsent, finish *store.Finish) { finish.Lodged.ClientID = "another" },
		"ended": func(c store.LodgedConsent, _ *store.Finish) {
			_, err := f.EndConsent(f.Context(), store.ConsentEnding{ID: c.ID, By: store.EndedByClient})
			f.must(err)
		},
		"unknown": func(_ store.LodgedConsent, finish *store.Finish) { finish.Lodged.ID = "none" },
	} {
		c := f.lodged()
		finish := f.deciding(c)
		finish.Evidence = []store.Evidence{f.evidence("x")}
		change(c, &finish)
		if err := f.Finish(f.Context(), finish); err == nil {
			f.Errorf("%s: decided", name)
		} else {
			f.want(err, store.ErrConflict)
		}
		_, _, err := f.CodeGrant(f.Context(), finish.Code.ID)
		f.want(err, store.ErrNotFound)
		f.equal(len(f.waiting("x")), 0)
		if got := f.readConsent(c.ID); got.Status == store.ConsentAuthorised || got.GrantID != "" {
			f.Errorf("%s: %+v", name, got)
		}
		// The request is open, and can be denied.
		finish.Grant, finish.Code, finish.Lodged, finish.Evidence = nil, nil, nil, nil
		f.must(f.Finish(f.Context(), finish))
	}
	c := f.lodged()
	finish := f.deciding(c)
	f.must(f.Finish(f.Context(), finish))
	f.want(f.Finish(f.Context(), finish), store.ErrConsumed)
	late := f.lodged(func(c *store.LodgedConsent) { c.ExpiresAt = f.clock.Now().Add(time.Second) })
	finish = f.deciding(late)
	f.clock.set(late.ExpiresAt)
	f.want(f.Finish(f.Context(), finish), store.ErrConflict)
}

// testRaceDecideConsent: of all decisions of one consent, in whatever interactions, one wins, and of the end and the decision both
// leave nothing that is valid.
func testRaceDecideConsent(f *fixture) {
	c := f.lodged(once)
	finishes := make([]store.Finish, racers)
	_, first := f.begun()
	for i := range finishes {
		finishes[i] = f.deciding(c)
		finishes[i].Lodged.Bound = first.ID
	}
	_, err := f.BindConsent(f.Context(), store.ConsentBinding{ID: c.ID, ClientID: c.ClientID, To: first.ID})
	f.must(err)
	winner := f.winner(race(func(i int) error { return f.Finish(f.Context(), finishes[i]) }), store.ErrConflict)
	f.equal(f.readConsent(c.ID).GrantID, finishes[winner].Grant.ID)
	for i := range finishes {
		if _, _, err := f.CodeGrant(f.Context(), finishes[i].Code.ID); i != winner {
			f.want(err, store.ErrNotFound)
		}
	}
	for range 10 {
		c := f.lodged()
		finish := f.deciding(c)
		race(func(i int) error {
			if i%2 == 0 {
				return f.Finish(f.Context(), finish)
			}
			_, err := f.EndConsent(f.Context(), store.ConsentEnding{ID: c.ID, By: store.EndedByClient})
			return err
		})
		got := f.readConsent(c.ID)
		_, grant, err := f.CodeGrant(f.Context(), finish.Code.ID)
		switch {
		case got.Status == store.ConsentRejected:
			f.want(err, store.ErrNotFound)
		case got.Status != store.ConsentRevoked || err != nil || grant.RevokedAt.IsZero():
			f.Errorf("%s, with a grant that is revoked at %s (%v)", got.Status, grant.RevokedAt, err)
		}
	}
}

// testSpendConsent: an authorised consent is consumed once, by its client or by whoever names none, and its grant goes on.
func testSpendConsent(f *fixture) {
	c, grant, issued := f.authorised(once)
	_, err := f.SpendConsent(f.Context(), "another", c.ID)
	f.want(err, store.ErrNotFound)
	spent := f.evidence("z")
	f.winner(race(func(int) error { _, err := f.SpendConsent(f.Context(), "client", c.ID, spent); return err }), store.ErrConsumed)
	f.equal(len(f.waiting("z")), 1)
	f.equal(f.readConsent(c.ID).Status, store.ConsentConsumed)
	_, err = f.AccessGrant(f.Context(), issued.AccessToken.ID)
	f.must(err)
	f.must(f.RevokeGrant(f.Context(), grant.ID, store.RevokedByOperator, nil))
	f.equal(f.readConsent(c.ID).Status, store.ConsentConsumed)
	awaiting := f.lodged()
	got, err := f.SpendConsent(f.Context(), "", awaiting.ID)
	f.want(err, store.ErrConsumed)
	f.equal(got, awaiting)
	c, _, _ = f.authorised(once)
	f.clock.set(c.EndsAt)
	_, err = f.SpendConsent(f.Context(), "", c.ID)
	f.want(err, store.ErrExpired)
}

// testConsentElsewhere: what is kept of a consent of another system ends with its grant, and is replaced by the next decision.
func testConsentElsewhere(f *fixture) {
	kept := f.lodgedConsent()
	decide := func(clientID string) (store.Finish, error) {
		request := f.pushed()
		grant := f.grant()
		grant.ClientID = clientID
		code := f.code(grant)
		finish := store.Finish{Request: request.ID, Grant: &grant, Code: &code, Lodged: &store.ConsentDecision{
			ID: kept.ID, ClientID: clientID, Subject: "subject", Elsewhere: &kept,
		}}
		return finish, f.Finish(f.Context(), finish)
	}
	first, err := decide("client")
	f.must(err)
	want := kept
	want.Status, want.Elsewhere, want.Subject, want.GrantID = store.ConsentAuthorised, true, "subject", first.Grant.ID
	f.equal(f.readConsent(kept.ID), want)
	_, err = decide("another")
	f.want(err, store.ErrConflict)
	second, err := decide("client")
	f.must(err)
	_, grant, err := f.CodeGrant(f.Context(), first.Code.ID)
	f.must(err)
	f.equal(grant.RevokedAt, f.clock.Now())
	f.equal(f.readConsent(kept.ID).GrantID, second.Grant.ID)
	f.must(f.RevokeGrant(f.Context(), second.Grant.ID, store.RevokedByOperator, nil))
	f.equal(f.noticesOf(kept.ID), []store.ConsentStatus{store.ConsentRevoked})
	// Denying leaves nothing here.
	request := f.pushed()
	f.must(f.Finish(f.Context(), store.Finish{Request: request.ID, Lodged: &store.ConsentDecision{ID: "new", ClientID: "client", Elsewhere: &kept}}))
	_, err = f.LodgedConsent(f.Context(), "", "new")
	f.want(err, store.ErrNotFound)
	own := f.lodged()
	kept.ID = own.ID
	_, err = decide("client")
	f.want(err, store.ErrConflict)
}

// testBackchannelConsent: a consent is authorised and rejected by decisions on a device too.
func testBackchannelConsent(f *fixture) {
	for _, allowed := range []bool{true, false} {
		c, request := f.lodged(once), f.asked()
		_, err := f.BindConsent(f.Context(), store.ConsentBinding{ID: c.ID, ClientID: c.ClientID, To: request.ID, Subject: request.Subject})
		f.must(err)
		decision := store.BackchannelDecision{
			Request: request.ID, Subject: request.Subject, Evidence: []store.Evidence{f.evidence("z")},
			Lodged: &store.ConsentDecision{ID: c.ID, ClientID: c.ClientID, Bound: request.ID, Version: 1, Subject: request.Subject},
		}
		want := store.ConsentRejected
		if allowed {
			grant := f.grant()
			decision.Grant, want = &grant, store.ConsentAuthorised
			wrong := decision
			lodged := *decision.Lodged
			lodged.Bound = f.digest()
			wrong.Lodged, wrong.Evidence = &lodged, []store.Evidence{f.evidence("x")}
			f.want(f.DecideBackchannel(f.Context(), wrong), store.ErrConflict)
			f.equal(len(f.waiting("x")), 0)
		}
		f.must(f.DecideBackchannel(f.Context(), decision))
		f.equal(f.readConsent(c.ID).Status, want)
		f.want(f.DecideBackchannel(f.Context(), decision), store.ErrConsumed)
	}
}

// testListLodgedConsents: lists are of a user, a client, a grant or a status, the newest first, and go on after a position.
func testListLodgedConsents(f *fixture) {
	c, grant, _ := f.authorised()
	f.clock.set(f.clock.Now().Add(time.Second))
	other := f.lodged(func(c *store.LodgedConsent) { c.ClientID = "another" })
	newest := f.lodged()
	list := func(filter store.ConsentFilter, page store.Page) (ids []string) {
		f.Helper()
		all, err := f.ListLodgedConsents(f.Context(), filter, page)
		f.must(err)
		for _, each := range all {
			ids = append(ids, each.ID)
		}
		return ids
	}
	ten := store.Page{Limit: 10}
	f.equal(list(store.ConsentFilter{Subject: "subject"}, ten), []string{c.ID})
	f.equal(list(store.ConsentFilter{Subject: "other"}, ten), []string(nil))
	f.equal(list(store.ConsentFilter{GrantID: grant.ID}, ten), []string{c.ID})
	f.equal(list(store.ConsentFilter{ClientID: "client"}, ten), []string{newest.ID, c.ID})
	f.equal(list(store.ConsentFilter{ClientID: "client", Status: store.ConsentAwaiting}, ten), []string{newest.ID})
	f.equal(list(store.ConsentFilter{ClientID: "client"}, store.Page{Limit: 1}), []string{newest.ID})
	f.equal(list(store.ConsentFilter{ClientID: "client"}, store.Page{Limit: 2, At: newest.CreatedAt, Key: newest.ID}), []string{c.ID})
	f.equal(list(store.ConsentFilter{ClientID: "another"}, ten), []string{other.ID})
	f.equal(list(store.ConsentFilter{Status: store.ConsentAwaiting}, ten), []string(nil))
}
