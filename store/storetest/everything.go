package storetest

import (
	"testing"
	"time"

	"countersign/store"
)

// Everything is a store with at least one record of each kind. A new table in the schema needs a record here: tests
// that copy, back up or list a whole database fail for a table that nothing is in.
type Everything struct {
	clients []store.Client
	tokens  []store.InitialToken
	users   []store.User
	keys    []store.Key
	seed    []byte

	session             store.Session
	consent             store.Consent
	finished, open      store.Request
	code, consumed      store.Code
	grant, revoked      store.Grant
	managed             store.Grant
	issued, issuedEnded store.Issued
	use                 store.OneTime

	allowed, fetched store.BackchannelRequest
	passkey          store.Passkey
	device           store.Device
	enrolment        store.Enrolment
	subscription     store.Subscription
	evidence         []store.Evidence
	line             store.AuditLine
	rate             store.Rate
	standing         store.BackchannelStanding
	document         store.DirectoryDocument
	service          store.ServiceHour
	refused          store.Refusal
	approval         store.Approval
	handOff          store.HandOff
	browser          store.KnownBrowser
	lodged, awaiting store.LodgedConsent
}

// FillEverything puts a record of each kind into an empty store that works with the machine's clock.
func FillEverything(t *testing.T, s store.Store) *Everything {
	t.Helper()
	f := &fixture{T: t, Store: s, clock: &clock{now: time.Now().UTC().Truncate(time.Microsecond)}}
	ctx, e := t.Context(), &Everything{}
	f.must(f.PutClient(ctx, f.client("client")))
	f.must(f.PutClient(ctx, f.registered()))
	suspended := f.vouched("software")
	f.must(f.PutClient(ctx, suspended))
	_, err := f.PutStanding(ctx, store.Standing{ClientID: suspended.ID, Suspended: "suspended", At: f.clock.Now()})
	f.must(err)
	e.document = store.DirectoryDocument{Directory: "one", Kind: "keys", Body: []byte{0, 1, 0xff}, FetchedAt: f.clock.Now()}
	f.must(f.PutDirectoryDocument(ctx, e.document))
	e.service = f.serviceHour(f.clock.Now().Truncate(time.Hour), "/token", "a")
	f.must(f.AddServiceHours(ctx, e.service))
	e.refused = f.refusal("refused")
	f.must(f.AddRefusals(ctx, store.RefusalBounds{Most: 10, Since: f.clock.Now().Add(-time.Hour)}, e.refused))
	e.approval = f.approval()
	f.must(f.OpenApproval(ctx, e.approval))
	f.must(f.PutInitialToken(ctx, f.initialToken(3)))
	f.must(f.AddKey(ctx, f.key("kid")))
	e.seed, err = f.Seed(ctx, "nonces", []byte{0, 1, 0xff})
	f.must(err)

	e.session = f.named()
	f.must(f.StartSession(ctx, e.session, store.Digest{}))
	e.revoked, e.issuedEnded = f.redeemed()
	f.must(f.RevokeGrant(ctx, e.revoked.ID, store.RevokedByOperator, nil))
	e.consent = f.consent()
	f.consented(e.consent)
	request := f.pushed()
	f.must(f.Finish(ctx, store.Finish{Request: request.ID}))
	e.finished, e.open = request, f.pushed()
	_, e.code = f.withCode()
	e.grant, e.consumed = f.withCode()
	e.managed, _, _ = f.managed()
	e.issued, e.use = f.issued(e.grant), f.oneTime()
	e.issued.Session = &store.SessionClient{SID: e.session.SID, ExpiresAt: e.session.ExpiresAt, Subject: "pairwise"}
	f.must(f.RedeemCode(ctx, e.consumed.ID, e.issued, e.use))

	e.allowed, _ = f.allowed()
	fetched, _ := f.allowed()
	f.must(f.RedeemBackchannel(ctx, fetched.ID, store.Issued{
		AccessToken: f.accessToken(e.grant), Session: &store.SessionClient{SID: "ended", ExpiresAt: e.session.ExpiresAt, Subject: "pairwise"},
	}))
	e.allowed, err = f.BackchannelRequest(ctx, e.allowed.ID)
	f.must(err)
	e.fetched, err = f.BackchannelRequest(ctx, fetched.ID)
	f.must(err)

	e.passkey, e.device, e.enrolment = f.passkey("subject"), f.device("subject"), f.enrolment("subject")
	f.must(f.AddPasskey(ctx, e.passkey))
	f.must(f.AddDevice(ctx, e.device))
	f.must(f.PutEnrolment(ctx, e.enrolment))
	e.subscription = store.Subscription{ID: f.digest(), Subject: "subject", Endpoint: "https://push.example/1?é", KeyID: "kid", CreatedAt: f.clock.Now()}
	f.must(f.PutSubscription(ctx, e.subscription))
	f.must(f.Record(ctx, f.evidence("a"), f.evidence("a")))
	e.evidence, err = f.WaitingEvidence(ctx, "a", time.Time{}, 10)
	f.must(err)
	e.line = line("a", 1)
	f.must(f.AppendAudit(ctx, []store.AuditLine{e.line}))
	e.rate = f.hourly(3)
	f.allow(true, e.rate)
	e.standing = store.BackchannelStanding{Subject: "subject", Organisation: "a shop", ClientID: "client", BlockedAt: f.clock.Now()}
	f.must(f.BlockBackchannel(ctx, e.standing))
	e.browser = f.knownBrowser()
	f.must(f.KnowBrowser(ctx, "subject", e.browser))
	e.handOff = f.handedOff()
	f.must(f.AnswerHandOff(ctx, e.handOff.ID, f.handOffAnswer("subject")))
	e.awaiting = f.lodged()
	e.lodged, _, _ = f.authorised()
	e.clients, err = f.Clients(ctx)
	f.must(err)
	e.tokens, err = f.InitialTokens(ctx)
	f.must(err)
	e.users, err = f.Users(ctx)
	f.must(err)
	e.keys, err = f.Keys(ctx)
	f.must(err)
	return e
}

// Check demands that a store holds all of it, and that nothing which was used can be used again. It uses up the rest.
func (e *Everything) Check(t *testing.T, s store.Store) {
	t.Helper()
	f := &fixture{T: t, Store: s, clock: &clock{now: time.Now().UTC().Truncate(time.Microsecond)}, serial: 1000}
	e.checkLasting(f)
	ctx := t.Context()
	tokens, err := f.InitialTokens(ctx)
	f.must(err)
	f.equal(tokens, e.tokens)
	session, err := f.Session(ctx, e.session.ID)
	f.must(err)
	f.equal(session, e.session)
	opened, err := f.Open(ctx, e.open.ID, e.session.ID)
	f.must(err)
	f.equal(opened.Request, e.open)
	f.isManaged(e.managed)
	f.wantApproval(e.approval)
	f.equal(opened.Consent, &e.consent)
	f.want(f.Finish(ctx, store.Finish{Request: e.finished.ID}), store.ErrConsumed)
	f.must(f.Finish(ctx, store.Finish{Request: e.open.ID}))

	f.must(f.RedeemCode(ctx, e.code.ID, store.Issued{AccessToken: f.accessToken(e.grant)}))
	f.want(f.RedeemCode(ctx, e.code.ID, store.Issued{AccessToken: f.accessToken(e.grant)}), store.ErrConsumed)
	for _, request := range []store.BackchannelRequest{e.allowed, e.fetched} {
		got, err := f.BackchannelRequest(ctx, request.ID)
		f.must(err)
		f.equal(got, request)
	}
	f.want(f.RedeemBackchannel(ctx, e.fetched.ID, store.Issued{AccessToken: f.accessToken(e.grant)}), store.ErrConsumed)
	f.must(f.RedeemBackchannel(ctx, e.allowed.ID, store.Issued{AccessToken: f.accessToken(e.grant)}))
	f.want(f.AnswerHandOff(ctx, e.handOff.ID, f.handOffAnswer("subject")), store.ErrConsumed)
	pings, err := f.ClaimPings(ctx, 10, time.Minute)
	f.must(err)
	f.equal(len(pings), 2)
	f.equal(f.readConsent(e.awaiting.ID), e.awaiting)
	f.must(f.EndSession(ctx, e.session.ID))
	f.equal(len(f.claimed(10)), 2) // of this session, and of one that had ended
	_, err = f.Enrol(ctx, e.enrolment.ID, f.device(""))
	f.must(err)

	// At the end, as it revokes what was issued for the code.
	f.want(f.RedeemCode(ctx, e.consumed.ID, store.Issued{AccessToken: f.accessToken(e.grant)}), store.ErrConsumed)
	_, err = f.AccessGrant(ctx, e.issued.AccessToken.ID)
	f.want(err, store.ErrRevoked)
}

// CheckRestored demands that a store which was restored from a backup holds what lasts, and that nothing short-lived is in
// it that may have been used after the backup.
func (e *Everything) CheckRestored(t *testing.T, s store.Store) {
	t.Helper()
	f := &fixture{T: t, Store: s, clock: &clock{now: time.Now().UTC().Truncate(time.Microsecond)}, serial: 1000}
	e.checkLasting(f)
	ctx := t.Context()
	tokens, err := f.InitialTokens(ctx)
	f.must(err)
	f.equal(len(tokens), 0)
	_, err = f.Session(ctx, e.session.ID)
	f.want(err, store.ErrNotFound)
	_, err = f.Open(ctx, e.open.ID, store.Digest{})
	f.want(err, store.ErrNotFound)
	for _, code := range []store.Code{e.code, e.consumed} {
		f.want(f.RedeemCode(ctx, code.ID, store.Issued{AccessToken: f.accessToken(e.grant)}), store.ErrNotFound)
	}
	f.want(f.RedeemBackchannel(ctx, e.allowed.ID, store.Issued{AccessToken: f.accessToken(e.grant)}), store.ErrNotFound)
	_, err = f.HandOff(ctx, e.handOff.ID)
	f.want(err, store.ErrNotFound)
	_, err = f.Approval(ctx, e.approval.ID)
	f.want(err, store.ErrNotFound)
	_, err = f.LodgedConsent(ctx, "", e.awaiting.ID)
	f.want(err, store.ErrNotFound)
	_, err = f.Enrol(ctx, e.enrolment.ID, f.device(""))
	f.want(err, store.ErrNotFound)
	pings, err := f.ClaimPings(ctx, 10, time.Minute)
	f.must(err)
	f.equal(len(pings), 0)
	f.must(f.EndSession(ctx, e.session.ID))
	f.equal(len(f.claimed(10)), 0)
}

// checkLasting looks at what lives longer than a flow, and changes nothing of it but what is added at the end.
func (e *Everything) checkLasting(f *fixture) {
	f.Helper()
	ctx := f.Context()
	browsers, err := f.ListBrowsers(ctx, "subject")
	f.must(err)
	f.equal(browsers, []store.KnownBrowser{e.browser})
	clients, err := f.Clients(ctx)
	f.must(err)
	f.equal(clients, e.clients)
	users, err := f.Users(ctx)
	f.must(err)
	f.equal(users, e.users)
	keys, err := f.Keys(ctx)
	f.must(err)
	f.equal(keys, e.keys)
	seed, err := f.Seed(ctx, "nonces", []byte("another"))
	f.must(err)
	f.equal(seed, e.seed)
	document, err := f.DirectoryDocument(ctx, e.document.Directory, e.document.Kind)
	f.must(err)
	f.equal(document, e.document)
	service, err := f.ServiceHours(ctx, e.service.Hour, e.service.Hour.Add(time.Hour))
	f.must(err)
	f.equal(service, []store.ServiceHour{e.service})
	f.equal(f.refusals("refused"), []store.Refusal{e.refused})

	grant, err := f.AccessGrant(ctx, e.issued.AccessToken.ID)
	f.must(err)
	f.equal(grant, e.grant)
	token, grant, err := f.RefreshGrant(ctx, e.issued.RefreshToken.ID)
	f.must(err)
	f.equal(token, *e.issued.RefreshToken)
	f.equal(grant, e.grant)
	f.must(f.Refresh(ctx, e.issued.RefreshToken.ID, f.accessToken(e.grant)))
	_, err = f.AccessGrant(ctx, e.issuedEnded.AccessToken.ID)
	f.want(err, store.ErrRevoked)
	f.want(f.ConsumeOneTime(ctx, e.use), store.ErrReplayed)

	passkeys, err := f.Passkeys(ctx, "subject")
	f.must(err)
	f.equal(passkeys, []store.Passkey{e.passkey})
	devices, err := f.Devices(ctx, "subject")
	f.must(err)
	f.equal(devices, []store.Device{e.device})
	subscriptions, err := f.Subscriptions(ctx, "subject")
	f.must(err)
	f.equal(subscriptions, []store.Subscription{e.subscription})

	f.equal(f.readConsent(e.lodged.ID), e.lodged)
	f.equal(f.noticesOf(e.lodged.ID), []store.ConsentStatus{store.ConsentAuthorised})
	f.taken(1, e.rate)
	f.standing("a shop", e.standing)
	evidence, err := f.WaitingEvidence(ctx, "a", time.Time{}, 10)
	f.must(err)
	f.equal(evidence, e.evidence)
	lines, err := f.AuditLines(ctx, "a", 0, 10)
	f.must(err)
	f.equal(lines, []store.AuditLine{e.line})
	f.must(f.Record(ctx, f.evidence("b"))) // is numbered after the others
	after, err := f.WaitingEvidence(ctx, "b", time.Time{}, 10)
	f.must(err)
	if len(after) != 1 || after[0].ID <= evidence[len(evidence)-1].ID {
		f.Errorf("new evidence is %v, after %v", after, evidence)
	}
}
