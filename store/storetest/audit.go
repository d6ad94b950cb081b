package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"countersign/store"
)

func (f *fixture) evidence(chain string) store.Evidence {
	return store.Evidence{Chain: chain, At: f.clock.Now(), Body: json.RawMessage(fmt.Sprintf(`{"n": %d, "z":"<&> é \\u00e9"}`, f.number()))}
}

// waiting lists what waits for a chain, without the IDs.
func (f *fixture) waiting(chain string) []store.Evidence {
	f.Helper()
	waiting, err := f.WaitingEvidence(f.Context(), chain, time.Time{}, 1000)
	f.must(err)
	for i := range waiting {
		waiting[i].ID = 0
	}
	return waiting
}

func line(chain string, sequence uint64) store.AuditLine {
	return store.AuditLine{Chain: chain, Sequence: sequence, Text: fmt.Sprintf(`{"node":%q,"sequence":%d, "é":"\\u00e9"}`, chain, sequence)}
}

// testEvidence: evidence is there when its verb has won, and only then.
func testEvidence(f *fixture) {
	recorded, pushed, finished, lost := f.evidence("a"), f.evidence("a"), f.evidence("a"), f.evidence("a")
	f.must(f.Record(f.Context(), recorded))
	request, oneTime := f.request(), f.oneTime()
	request.Evidence = []store.Evidence{pushed}
	f.must(f.Push(f.Context(), request, oneTime))
	read, _, err := f.open(request.ID, store.Digest{})
	f.must(err)
	f.equal(len(read.Evidence), 0)

	again := f.request()
	again.Evidence = []store.Evidence{lost}
	f.want(f.Push(f.Context(), again, oneTime), store.ErrReplayed)
	f.must(f.Finish(f.Context(), store.Finish{Request: request.ID, Evidence: []store.Evidence{finished}}))
	f.want(f.Finish(f.Context(), store.Finish{Request: request.ID, Evidence: []store.Evidence{lost}}), store.ErrConsumed)
	asked, busy := f.evidence("a"), f.backchannelRequest()
	busy.Evidence = []store.Evidence{lost}
	f.want(f.StartBackchannel(f.Context(), busy, store.BackchannelLimits{}), store.ErrConsumed)
	f.want(f.StartBackchannel(f.Context(), busy, backchannelLimits(), oneTime), store.ErrReplayed)
	busy.Evidence = []store.Evidence{asked}
	f.must(f.StartBackchannel(f.Context(), busy, backchannelLimits()))
	f.equal(f.waiting("a"), []store.Evidence{recorded, pushed, finished, asked})
}

// wantEvidence checks that evidence is all that waits for its chain, and has none wait any more.
func (f *fixture) wantEvidence(chain string, evidence ...store.Evidence) {
	f.Helper()
	f.equal(f.waiting(chain), evidence)
	waiting, err := f.WaitingEvidence(f.Context(), chain, time.Time{}, 9)
	f.must(err)
	if len(waiting) == 0 {
		return
	}
	taken := make([]int64, len(waiting))
	for i, e := range waiting {
		taken[i] = e.ID
	}
	head, err := f.AuditHeads(f.Context())
	f.must(err)
	next := uint64(1)
	if len(head) > 0 {
		next = head[0].Sequence + 1
	}
	f.must(f.AppendAudit(f.Context(), []store.AuditLine{line(chain, next)}, taken...))
}

// testSignInEvidence: a sign-in, a failed one and what the browser was asked for are stored with their evidence, or neither is.
func testSignInEvidence(f *fixture) {
	began, signedIn, started, failed, lost := f.evidence("a"), f.evidence("a"), f.evidence("a"), f.evidence("a"), f.evidence("a")
	with := func(session store.Session, evidence ...store.Evidence) store.Session {
		session.Evidence = evidence
		return session
	}
	request := f.request()
	interaction := f.interaction(request)
	interaction.Evidence = []store.Evidence{lost}
	f.want(f.BeginInteraction(f.Context(), interaction), store.ErrNotFound)
	f.equal(len(f.waiting("a")), 0)
	f.must(f.Push(f.Context(), request))
	interaction.Evidence = []store.Evidence{began}
	f.must(f.BeginInteraction(f.Context(), interaction))
	interaction.Evidence = []store.Evidence{lost}
	f.want(f.BeginInteraction(f.Context(), interaction), store.ErrConflict)
	f.wantEvidence("a", began)

	_, err := f.SignInFailed(f.Context(), interaction.ID, failed)
	f.must(err)
	_, err = f.SignInFailed(f.Context(), f.digest(), lost)
	f.want(err, store.ErrNotFound)
	f.wantEvidence("a", failed)

	f.want(f.SignIn(f.Context(), f.digest(), with(f.session(), lost)), store.ErrNotFound)
	session := with(f.session(), signedIn)
	f.must(f.SignIn(f.Context(), interaction.ID, session))
	f.want(f.StartSession(f.Context(), with(session, lost), store.Digest{}), store.ErrConflict)
	f.wantEvidence("a", signedIn)
	f.must(f.StartSession(f.Context(), with(f.session(), started), store.Digest{}))
	f.wantEvidence("a", started)
}

// testDecisionEvidence: a decision about a backchannel request, and what is issued for it, are stored with their evidence.
func testDecisionEvidence(f *fixture) {
	lost, decided, issued := f.evidence("a"), f.evidence("a"), f.evidence("a")
	request := f.asked()
	grant := f.grant()
	decision := store.BackchannelDecision{Request: request.ID, Subject: "another", Grant: &grant, Evidence: []store.Evidence{lost}}
	f.want(f.DecideBackchannel(f.Context(), decision), store.ErrNotFound)
	decision.Subject, decision.Evidence = request.Subject, []store.Evidence{decided}
	f.must(f.DecideBackchannel(f.Context(), decision))
	f.wantEvidence("a", decided)
	decision.Evidence = []store.Evidence{lost}
	f.want(f.DecideBackchannel(f.Context(), decision), store.ErrConsumed)
	redeemed := f.issued(grant)
	redeemed.AccessToken.Evidence = []store.Evidence{issued}
	f.must(f.RedeemBackchannel(f.Context(), request.ID, redeemed))
	f.wantEvidence("a", issued)
	redeemed.AccessToken.Evidence = []store.Evidence{lost}
	f.want(f.RedeemBackchannel(f.Context(), request.ID, redeemed), store.ErrConsumed)
	f.equal(len(f.waiting("a")), 0)
}

// testTokenEvidence: what is issued, refreshed, revoked and used twice is stored with its evidence, or neither is.
func testTokenEvidence(f *fixture) {
	lost := f.evidence("a")
	with := func(issued store.Issued, evidence store.Evidence) store.Issued {
		issued.AccessToken.Evidence = []store.Evidence{evidence}
		return issued
	}
	grant, code := f.withCode()
	issued := f.issued(grant)
	oneTime, redeemed, reused := f.oneTime(), f.evidence("a"), f.evidence("a")
	f.must(f.ConsumeOneTime(f.Context(), oneTime))
	f.want(f.RedeemCode(f.Context(), code.ID, with(issued, lost), oneTime), store.ErrReplayed)
	f.equal(len(f.waiting("a")), 0)
	once := with(issued, redeemed)
	once.Reuse = []store.Evidence{lost}
	f.must(f.RedeemCode(f.Context(), code.ID, once))
	f.wantEvidence("a", redeemed)

	refreshed := f.evidence("a")
	next := store.AccessToken{ID: f.digest(), GrantID: grant.ID, ExpiresAt: issued.AccessToken.ExpiresAt, Evidence: []store.Evidence{refreshed}}
	f.must(f.Refresh(f.Context(), issued.RefreshToken.ID, next))
	f.wantEvidence("a", refreshed)
	next.ID, next.Evidence = f.digest(), []store.Evidence{lost}
	f.want(f.Refresh(f.Context(), f.digest(), next), store.ErrNotFound)

	dropped := f.evidence("a")
	f.want(f.RevokeAccessToken(f.Context(), next.ID, []store.Evidence{lost}, oneTime), store.ErrReplayed)
	f.must(f.RevokeAccessToken(f.Context(), issued.AccessToken.ID, []store.Evidence{dropped}))
	f.wantEvidence("a", dropped)

	again := with(store.Issued{Reuse: []store.Evidence{reused}}, lost)
	f.want(f.RedeemCode(f.Context(), code.ID, again), store.ErrConsumed)
	f.wantEvidence("a", reused)
	f.want(f.Refresh(f.Context(), issued.RefreshToken.ID, next), store.ErrRevoked)
	f.equal(len(f.waiting("a")), 0)

	revoked := f.evidence("a")
	f.want(f.RevokeGrant(f.Context(), "no such grant", store.RevokedByOperator, []store.Evidence{lost}), store.ErrNotFound)
	f.want(f.RevokeGrant(f.Context(), grant.ID, store.RevokedByOperator, []store.Evidence{lost}, oneTime), store.ErrReplayed)
	f.must(f.RevokeGrant(f.Context(), grant.ID, store.RevokedByOperator, []store.Evidence{revoked}))
	f.wantEvidence("a", revoked)

	own := f.evidence("a")
	alone := grant
	alone.ID, alone.Subject = "alone", ""
	f.must(f.IssueToken(f.Context(), alone, store.AccessToken{
		ID: f.digest(), GrantID: alone.ID, ExpiresAt: issued.AccessToken.ExpiresAt, Evidence: []store.Evidence{own},
	}))
	f.wantEvidence("a", own)
}

// testWaitingEvidence: a chain takes its own evidence, what names none, and what has been pending for long.
func testWaitingEvidence(f *fixture) {
	own, nobodys, others := f.evidence("a"), f.evidence(""), f.evidence("b")
	f.must(f.Record(f.Context(), own, nobodys, others))
	f.equal(f.waiting("a"), []store.Evidence{own, nobodys})
	f.equal(f.waiting("c"), []store.Evidence{nobodys})
	at := f.clock.Now()
	for _, test := range []struct {
		orphaned time.Time
		limit    int
		want     int
	}{{at, 9, 1}, {at.Add(time.Microsecond), 9, 3}, {at.Add(time.Microsecond), 2, 2}} {
		waiting, err := f.WaitingEvidence(f.Context(), "c", test.orphaned, test.limit)
		f.must(err)
		f.equal(len(waiting), test.want)
	}
}

func testAppendAudit(f *fixture) {
	f.must(f.Record(f.Context(), f.evidence("a"), f.evidence("a")))
	waiting, err := f.WaitingEvidence(f.Context(), "a", time.Time{}, 9)
	f.must(err)
	first, second := waiting[0].ID, waiting[1].ID
	f.want(f.AppendAudit(f.Context(), []store.AuditLine{line("a", 2)}, first), store.ErrConflict)
	f.must(f.AppendAudit(f.Context(), []store.AuditLine{line("a", 1), line("a", 2)}, first))
	f.want(f.AppendAudit(f.Context(), []store.AuditLine{line("a", 2)}, second), store.ErrConflict)
	f.want(f.AppendAudit(f.Context(), []store.AuditLine{line("a", 4)}, second), store.ErrConflict)
	f.want(f.AppendAudit(f.Context(), []store.AuditLine{line("a", 3)}, first), store.ErrConflict)
	f.want(f.AppendAudit(f.Context(), []store.AuditLine{line("a", 3)}, second, first), store.ErrConflict)
	f.equal(len(f.waiting("a")), 1)
	f.must(f.AppendAudit(f.Context(), []store.AuditLine{line("a", 3)}, second))
	f.equal(len(f.waiting("a")), 0)
	f.must(f.AppendAudit(f.Context(), []store.AuditLine{line("b", 1)}))

	heads, err := f.AuditHeads(f.Context())
	f.must(err)
	f.equal(heads, []store.AuditLine{line("a", 3), line("b", 1)})
	lines, err := f.AuditLines(f.Context(), "a", 1, 9)
	f.must(err)
	f.equal(lines, []store.AuditLine{line("a", 2), line("a", 3)})
	lines, err = f.AuditLines(f.Context(), "a", 0, 1)
	f.must(err)
	f.equal(lines, []store.AuditLine{line("a", 1)})
}

func testDropAudit(f *fixture) {
	f.must(f.AppendAudit(f.Context(), []store.AuditLine{line("a", 1), line("a", 2), line("a", 3)}))
	f.must(f.AppendAudit(f.Context(), []store.AuditLine{line("b", 1)}))
	proof := f.evidence("")
	dropped, err := f.DropAudit(f.Context(), "a", 2, proof)
	f.must(err)
	f.equal(dropped, 1)
	f.equal(f.waiting("c"), []store.Evidence{proof})
	dropped, err = f.DropAudit(f.Context(), "a", 99)
	f.must(err)
	f.equal(dropped, 1)
	heads, err := f.AuditHeads(f.Context())
	f.must(err)
	f.equal(heads, []store.AuditLine{line("a", 3), line("b", 1)})
	f.must(f.AppendAudit(f.Context(), []store.AuditLine{line("a", 4)}))
}

// testEraseAudit: what lines have about a person is beside them, and is erased with the evidence of it; the lines stay.
func testEraseAudit(f *fixture) {
	var lines []store.AuditLine
	for _, sequence := range []uint64{1, 2, 3, 4} {
		one := line("a", sequence)
		if sequence != 2 {
			one.Personal = fmt.Sprintf(`{"salt":"%d","subject":"é\\u00e9 <&>"}`, sequence)
		}
		lines = append(lines, one)
	}
	other := line("b", 1)
	other.Personal = `{"subject":"b"}`
	f.must(f.AppendAudit(f.Context(), lines))
	f.must(f.AppendAudit(f.Context(), []store.AuditLine{other}))
	read := func() []store.AuditLine {
		f.Helper()
		found, err := f.AuditLines(f.Context(), "a", 0, 9)
		f.must(err)
		return found
	}
	f.equal(read(), lines)
	proof, again := f.evidence(""), f.evidence("")
	erased, err := f.EraseAudit(f.Context(), "a", []uint64{1, 2, 4, 9}, proof)
	f.must(err)
	f.equal(erased, 2) // of line 2 there is nothing, and there is no line 9
	lines[0].Personal, lines[3].Personal = "", ""
	f.equal(read(), lines)
	erased, err = f.EraseAudit(f.Context(), "a", []uint64{1}, again)
	f.must(err)
	f.equal(erased, 0)
	f.equal(f.waiting("c"), []store.Evidence{proof, again})
	heads, err := f.AuditHeads(f.Context())
	f.must(err)
	f.equal(heads, []store.AuditLine{lines[3], other})
	f.must(f.AppendAudit(f.Context(), []store.AuditLine{line("a", 5)}))
}

// testRaceAppendAudit: of those who append to one chain, or who take the same evidence, one wins.
func testRaceAppendAudit(f *fixture) {
	f.must(f.AppendAudit(f.Context(), []store.AuditLine{line("a", 1)}))
	f.winner(race(func(int) error { return f.AppendAudit(f.Context(), []store.AuditLine{line("a", 2)}) }), store.ErrConflict)

	f.must(f.Record(f.Context(), f.evidence("")))
	waiting, err := f.WaitingEvidence(f.Context(), "a", time.Time{}, 9)
	f.must(err)
	winner := f.winner(race(func(i int) error {
		return f.AppendAudit(f.Context(), []store.AuditLine{line(fmt.Sprint("racer ", i), 1)}, waiting[0].ID)
	}), store.ErrConflict)
	heads, err := f.AuditHeads(f.Context())
	f.must(err)
	won := slices.IndexFunc(heads, func(l store.AuditLine) bool { return l.Chain == fmt.Sprint("racer ", winner) })
	if len(heads) != 2 || won < 0 {
		f.Errorf("the chains are %v after racer %d won", heads, winner)
	}
}

func testDestroyedKeys(f *fixture) {
	key := store.Key{ID: "kid", Algorithm: "PS256", Uses: []string{"evidence"}, State: "retiring", Public: json.RawMessage(`{"kty": "RSA"}`), CreatedAt: f.clock.Now()}
	f.must(f.AddKey(f.Context(), key))
	keys, err := f.DestroyedKeys(f.Context())
	f.must(err)
	f.equal(len(keys), 0)
	f.must(f.MoveKey(f.Context(), key.ID, "retiring", "destroyed", f.clock.Now()))
	keys, err = f.DestroyedKeys(f.Context())
	f.must(err)
	if len(keys) != 1 || keys[0].ID != key.ID || string(keys[0].Public) != string(key.Public) {
		f.Errorf("destroyed are %v", keys)
	}
}
