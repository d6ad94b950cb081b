package storetest

import (
	"encoding/json"
	"errors"
	"time"

	"countersign/store"
)

// testUserData: all that is stored about a user is returned, without secrets and without other users' records.
func testUserData(f *fixture) {
	_, err := f.UserData(f.Context(), "subject")
	f.want(err, store.ErrNotFound)
	e := FillEverything(f.T, f.Store)
	other := f.device("other")
	f.must(f.AddDevice(f.Context(), other))
	p, err := f.UserData(f.Context(), "subject")
	f.must(err)
	f.equal(p.User.Subject+p.User.Password+p.User.UserCode, "subject")
	f.equal(p.Sessions, []store.Session{e.session})
	f.equal(p.Consents, []store.Consent{e.consent})
	f.equal(p.Passkeys, []store.Passkey{e.passkey})
	f.equal(p.Devices, []store.Device{e.device})
	f.equal(p.Subscriptions, []store.Subscription{e.subscription})
	enrolment := e.enrolment
	enrolment.ID = store.Digest{}
	f.equal(p.Enrolments, []store.Enrolment{enrolment})
	f.equal(len(p.Backchannel), 2)
	f.equal(len(p.Backchannel[0].Ping)+len(p.Backchannel[1].Ping), 0)
	f.equal(p.Standings, []store.BackchannelStanding{e.standing})
	f.equal(p.Browsers, []store.KnownBrowser{e.browser})
	f.equal(len(p.Grants), 7)
	f.equal(p.Lodged, []store.LodgedConsent{e.lodged})
	p, err = f.UserData(f.Context(), "other") // no user of the directory
	f.must(err)
	f.equal(p, store.UserData{Devices: []store.Device{other}})
}

// testEndSessions: the sessions and enrolment codes of a user end; the rest, and other users, are not touched.
func testEndSessions(f *fixture) {
	f.must(f.EndSessions(f.Context(), "subject"))
	e := FillEverything(f.T, f.Store)
	f.must(f.EndSessions(f.Context(), "other"))
	p, err := f.UserData(f.Context(), "subject")
	f.must(err)
	f.equal(len(p.Sessions)+len(p.Enrolments), 2)
	f.must(f.EndSessions(f.Context(), "subject"))
	p, err = f.UserData(f.Context(), "subject")
	f.must(err)
	f.equal(len(p.Sessions)+len(p.Enrolments), 0)
	f.equal(p.Devices, []store.Device{e.device})
	f.equal(p.Passkeys, []store.Passkey{e.passkey})
	f.equal(p.Consents, []store.Consent{e.consent})
	f.equal(len(p.Grants), 7)
}

// testSessionEpoch: a session that is stored after EndSessions by who had authenticated before is not alive, others are.
func testSessionEpoch(f *fixture) {
	session := f.session()
	user, err := f.User(f.Context(), "subject")
	f.must(err)
	f.equal(user.Epoch, int64(1))
	session.Epoch = user.Epoch
	f.must(f.StartSession(f.Context(), session, store.Digest{}))
	_, err = f.Session(f.Context(), session.ID)
	f.must(err)
	f.must(f.EndSessions(f.Context(), "subject"))
	f.putUser("subject", false) // does not turn the epoch back
	user, err = f.User(f.Context(), "subject")
	f.must(err)
	f.equal(user.Epoch, int64(2))

	for _, test := range []struct {
		epoch int64
		alive bool
	}{{1, false}, {2, true}, {0, true}, {3, false}} {
		late := f.session()
		late.Epoch = test.epoch
		f.must(f.StartSession(f.Context(), late, store.Digest{}))
		_, interaction := f.begun()
		inside := f.session()
		inside.Epoch = test.epoch
		f.must(f.SignIn(f.Context(), interaction.ID, inside))
		pending, err := f.Interaction(f.Context(), interaction.ID, interaction.Browser)
		f.must(err)
		opened := f.opened(inside, nil)
		_, err = f.Session(f.Context(), late.ID)
		if (err == nil) != test.alive || (pending.Session != nil) != test.alive || (opened.Session != nil) != test.alive {
			f.Errorf("epoch %d: %v, %+v, %+v", test.epoch, err, pending.Session, opened.Session)
		}
		if !test.alive {
			f.want(err, store.ErrNotFound)
		}
	}
}

// testRaceEndSessions: whichever comes first, no session is left of who authenticated before all were ended.
func testRaceEndSessions(f *fixture) {
	for range 10 {
		f.putUser("subject", false)
		user, err := f.User(f.Context(), "subject")
		f.must(err)
		sessions := make([]store.Session, racers)
		interactions := make([]store.Digest, racers)
		for i := range sessions {
			sessions[i] = f.session()
			sessions[i].Epoch = user.Epoch
			_, interaction := f.begun()
			interactions[i] = interaction.ID
		}
		for i, err := range race(func(i int) error {
			switch {
			case i == 0:
				return f.EndSessions(f.Context(), "subject")
			case i%2 == 0:
				return f.StartSession(f.Context(), sessions[i], store.Digest{})
			}
			return f.SignIn(f.Context(), interactions[i], sessions[i])
		}) {
			if err != nil {
				f.Fatalf("racer %d: %v", i, err)
			}
		}
		for i, session := range sessions[1:] {
			if _, err := f.Session(f.Context(), session.ID); !errors.Is(err, store.ErrNotFound) {
				f.Errorf("the session of racer %d is alive: %v", i+1, err)
			}
		}
		fresh := f.session()
		f.must(f.StartSession(f.Context(), fresh, store.Digest{}))
		_, err = f.Session(f.Context(), fresh.ID)
		f.must(err)
	}
}

// testEraseUser: nothing is left but the subject, which is never assigned again; other users are not touched.
func testEraseUser(f *fixture) {
	f.want(f.EraseUser(f.Context(), "subject"), store.ErrNotFound)
	f.want(f.EraseUser(f.Context(), "subject", f.evidence("c")), store.ErrNotFound)
	f.equal(len(f.waiting("c")), 0)
	e := FillEverything(f.T, f.Store)
	f.putUser("other", false)
	other := f.device("other")
	f.must(f.AddDevice(f.Context(), other))
	evidence := f.evidence("c")
	f.must(f.EraseUser(f.Context(), "subject", evidence))
	f.equal(f.waiting("c"), []store.Evidence{evidence})

	p, err := f.UserData(f.Context(), "subject")
	f.must(err)
	f.equal(len(p.Sessions)+len(p.Consents)+len(p.Passkeys)+len(p.Devices)+len(p.Subscriptions)+len(p.Enrolments)+len(p.Backchannel)+len(p.Standings)+len(p.Browsers), 0)
	for _, grant := range p.Grants {
		if grant.RevokedAt.IsZero() || string(grant.Detail) != "{}" {
			f.Errorf("a grant is left as %+v", grant)
		}
	}
	erasedAt := f.clock.Now()
	tombstone := store.User{Subject: "subject", Username: "erased subject", Disabled: true, CreatedAt: p.User.CreatedAt, UpdatedAt: erasedAt, ErasedAt: erasedAt, Epoch: 1}
	f.equal(p.User, tombstone)
	_, err = f.AccessGrant(f.Context(), e.issued.AccessToken.ID)
	f.want(err, store.ErrRevoked)
	f.want(f.Refresh(f.Context(), e.issued.RefreshToken.ID, f.accessToken(e.grant)), store.ErrRevoked)
	_, err = f.BackchannelRequest(f.Context(), e.allowed.ID)
	f.want(err, store.ErrNotFound)
	pings, err := f.ClaimPings(f.Context(), 10, time.Minute)
	f.must(err)
	f.equal(len(pings), 0)
	f.equal(len(f.claimed(10)), 2) // the clients are told that the session has ended
	lines, err := f.AuditLines(f.Context(), "a", 0, 10)
	f.must(err)
	f.equal(lines, []store.AuditLine{e.line})

	f.want(f.PutUser(f.Context(), store.User{Subject: "subject", Username: "another", Claims: json.RawMessage(`{}`), CreatedAt: erasedAt, UpdatedAt: erasedAt}), store.ErrConflict)
	f.must(f.PutUser(f.Context(), store.User{Subject: "new", Username: "subject", CreatedAt: erasedAt, UpdatedAt: erasedAt})) // the name is free
	f.clock.set(erasedAt.Add(time.Hour))
	f.must(f.EraseUser(f.Context(), "subject"))
	again, err := f.User(f.Context(), "subject")
	f.must(err)
	f.equal(again.ErasedAt, erasedAt)

	devices, err := f.Devices(f.Context(), "other")
	f.must(err)
	f.equal(devices, []store.Device{other})
	f.must(f.RemoveDevice(f.Context(), "other", other.ID))
	f.must(f.AddDevice(f.Context(), store.Device{ID: "d", Subject: "elsewhere", JKT: "t", CreatedAt: erasedAt}))
	f.must(f.EraseUser(f.Context(), "elsewhere")) // no user of the directory
	elsewhere, err := f.User(f.Context(), "elsewhere")
	f.must(err)
	f.equal(elsewhere.ErasedAt, f.clock.Now())
}
