package storetest

import (
	"encoding/json"
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
	f.equal(len(p.Grants), 5)
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
	f.equal(len(p.Grants), 5)
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
	f.equal(len(p.Sessions)+len(p.Consents)+len(p.Passkeys)+len(p.Devices)+len(p.Subscriptions)+len(p.Enrolments)+len(p.Backchannel)+len(p.Standings), 0)
	for _, grant := range p.Grants {
		if grant.RevokedAt.IsZero() || string(grant.Detail) != "{}" {
			f.Errorf("a grant is left as %+v", grant)
		}
	}
	erasedAt := f.clock.Now()
	tombstone := store.User{Subject: "subject", Username: "erased subject", Disabled: true, CreatedAt: p.User.CreatedAt, UpdatedAt: erasedAt, ErasedAt: erasedAt}
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
