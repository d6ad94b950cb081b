// Package storetest is the contract of the store as tests: every backend passes all of them.
//
// [Run] holds each verb to its contract within one process. [Backend.Processes] races processes for the same
// one-time things, and kills them while they write.
package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/store"
)

// Run runs the contract suite. open makes a new empty store that works with the clock now; it closes the store
// when its test ends.
func Run(t *testing.T, open func(t *testing.T, now func() time.Time) store.Store) {
	tests := []struct {
		name string
		test func(*fixture)
	}{
		{"Push", testPush},
		{"PushAllOrNothing", testPushAllOrNothing},
		{"Open", testOpen},
		{"OpenSession", testOpenSession},
		{"Precision", testPrecision},
		{"Interaction", testInteraction},
		{"SignIn", testSignIn},
		{"SignInFailed", testSignInFailed},
		{"Finish", testFinish},
		{"FinishRefused", testFinishRefused},
		{"FinishAllOrNothing", testFinishAllOrNothing},
		{"CodeGrant", testCodeGrant},
		{"RedeemCode", testRedeemCode},
		{"RedeemCodeTwice", testRedeemCodeTwice},
		{"RedeemCodeRepeated", testRedeemCodeRepeated},
		{"RedeemCodeAllOrNothing", testRedeemCodeAllOrNothing},
		{"RedeemCodeOrder", testRedeemCodeOrder},
		{"RedemptionFailed", testRedemptionFailed},
		{"Refresh", testRefresh},
		{"RefreshOrder", testRefreshOrder},
		{"AccessGrant", testAccessGrant},
		{"AccessGrantUses", testAccessGrantUses},
		{"RevokeGrant", testRevokeGrant},
		{"EndClientGrant", testEndClientGrant},
		{"Use", testUse},
		{"Clients", testClients},
		{"Users", testUsers},
		{"Keys", testKeys},
		{"Purge", testPurge},
		{"PurgeUnclaimed", testPurgeUnclaimed},
		{"PurgeLimit", testPurgeLimit},
		{"PurgeKeepsRequestInUse", testPurgeKeepsRequestInUse},
		{"Cancelled", testCancelled},
		{"Closed", testClosed},
		{"RacePush", testRacePush},
		{"RaceFinish", testRaceFinish},
		{"Consent", testConsent},
		{"ConsentIsForgotten", testConsentIsForgotten},
		{"OpenWithoutUser", testOpenWithoutUser},
		{"UserGone", testUserGone},
		{"FinishWithoutInteraction", testFinishWithoutInteraction},
		{"Records", testRecords},
		{"GrantByID", testGrantByID},
		{"IssueToken", testIssueToken},
		{"RevokeWithUses", testRevokeWithUses},
		{"RevokeAccessToken", testRevokeAccessToken},
		{"RegisteredClient", testRegisteredClient},
		{"RegisterClientByToken", testRegisterClientByToken},
		{"RegisterClientByQuota", testRegisterClientByQuota},
		{"DeleteClient", testDeleteClient},
		{"InitialTokens", testInitialTokens},
		{"Seed", testSeed},
		{"UserData", testUserData},
		{"EraseUser", testEraseUser},
		{"EndSessions", testEndSessions},
		{"SessionEpoch", testSessionEpoch},
		{"RaceEndSessions", testRaceEndSessions},
		{"ListAccess", testListAccess},
		{"ListGiven", testListGiven},
		{"RevokedBy", testRevokedBy},
		{"KnownBrowsers", testKnownBrowsers},
		{"KnownBrowsersBounded", testKnownBrowsersBounded},
		{"EndAccess", testEndAccess},
		{"ListSessions", testListSessions},
		{"ForgetBrowsers", testForgetBrowsers},
		{"PurgeRegistration", testPurgeRegistration},
		{"StartSession", testStartSession},
		{"Logouts", testLogouts},
		{"LogoutsNone", testLogoutsNone},
		{"LogoutsCarried", testLogoutsCarried},
		{"LogoutsLate", testLogoutsLate},
		{"LogoutsDelivered", testLogoutsDelivered},
		{"RaceLogouts", testRaceLogouts},
		{"RaceClaimLogouts", testRaceClaimLogouts},
		{"Passkeys", testPasskeys},
		{"UsePasskey", testUsePasskey},
		{"Devices", testDevices},
		{"KeepDevices", testKeepDevices},
		{"Enrol", testEnrol},
		{"Subscriptions", testSubscriptions},
		{"RaceEnrol", testRaceEnrol},
		{"RaceEndAccess", testRaceEndAccess},
		{"RaceUsePasskey", testRaceUsePasskey},
		{"RaceFinishWithoutInteraction", testRaceFinishWithoutInteraction},
		{"RaceRegisterClient", testRaceRegisterClient},
		{"DirectoryClients", testDirectoryClients},
		{"PutStanding", testPutStanding},
		{"DirectoryDocuments", testDirectoryDocuments},
		{"RegisterClientStatement", testRegisterClientStatement},
		{"RaceRegisterSoftware", testRaceRegisterSoftware},
		{"RacePutStanding", testRacePutStanding},
		{"RaceSeed", testRaceSeed},
		{"RaceRedeemCode", testRaceRedeemCode},
		{"RaceRefresh", testRaceRefresh},
		{"RaceAccessGrant", testRaceAccessGrant},
		{"RaceUse", testRaceUse},
		{"RaceMixed", testRaceMixed},
		{"RaceSignIn", testRaceSignIn},
		{"HandOff", testHandOff},
		{"AnswerHandOff", testAnswerHandOff},
		{"AnswerHandOffUser", testAnswerHandOffUser},
		{"AdmitUser", testAdmitUser},
		{"ReturnHandOff", testReturnHandOff},
		{"HandOffEpoch", testHandOffEpoch},
		{"EndUpstream", testEndUpstream},
		{"RaceHandOffEpoch", testRaceHandOffEpoch},
		{"PurgeHandOffs", testPurgeHandOffs},
		{"RaceAnswerHandOff", testRaceAnswerHandOff},
		{"RaceReturnHandOff", testRaceReturnHandOff},
		{"LodgeConsent", testLodgeConsent},
		{"RaceLodgeConsent", testRaceLodgeConsent},
		{"BindConsent", testBindConsent},
		{"DecideConsent", testDecideConsent},
		{"DecideConsentRefused", testDecideConsentRefused},
		{"RaceDecideConsent", testRaceDecideConsent},
		{"EndConsent", testEndConsent},
		{"DueConsents", testDueConsents},
		{"SpendConsent", testSpendConsent},
		{"ConsentEndsWithGrant", testConsentEndsWithGrant},
		{"ConsentElsewhere", testConsentElsewhere},
		{"BackchannelConsent", testBackchannelConsent},
		{"ListLodgedConsents", testListLodgedConsents},
		{"ManagedGrant", testManagedGrant},
		{"ReplaceGrant", testReplaceGrant},
		{"ReplaceGrantRefused", testReplaceGrantRefused},
		{"ReplaceGrantBackchannel", testReplaceGrantBackchannel},
		{"ReplaceGrantOfConsent", testReplaceGrantOfConsent},
		{"RaceReplaceGrant", testRaceReplaceGrant},
		{"ConsentNotices", testConsentNotices},
		{"PurgeConsents", testPurgeConsents},
		{"StartBackchannel", testStartBackchannel},
		{"StartBackchannelLimits", testStartBackchannelLimits},
		{"PendingBackchannel", testPendingBackchannel},
		{"DecideBackchannel", testDecideBackchannel},
		{"DecideBackchannelRefused", testDecideBackchannelRefused},
		{"PollBackchannel", testPollBackchannel},
		{"RedeemBackchannel", testRedeemBackchannel},
		{"RedeemBackchannelRefused", testRedeemBackchannelRefused},
		{"Pings", testPings},
		{"PurgeBackchannel", testPurgeBackchannel},
		{"DeleteClientBackchannel", testDeleteClientBackchannel},
		{"BackchannelStanding", testBackchannelStanding},
		{"BlockBackchannel", testBlockBackchannel},
		{"RaceDenials", testRaceDenials},
		{"RaceStartBackchannel", testRaceStartBackchannel},
		{"RaceDecideBackchannel", testRaceDecideBackchannel},
		{"RacePollBackchannel", testRacePollBackchannel},
		{"RaceRedeemBackchannel", testRaceRedeemBackchannel},
		{"RaceBackchannel", testRaceBackchannel},
		{"RaceClaimPings", testRaceClaimPings},
		{"RacePutClient", testRacePutClient},
		{"RaceMoveKey", testRaceMoveKey},
		{"Evidence", testEvidence},
		{"SignInEvidence", testSignInEvidence},
		{"DecisionEvidence", testDecisionEvidence},
		{"TokenEvidence", testTokenEvidence},
		{"WaitingEvidence", testWaitingEvidence},
		{"AppendAudit", testAppendAudit},
		{"DropAudit", testDropAudit},
		{"EraseAudit", testEraseAudit},
		{"RaceAppendAudit", testRaceAppendAudit},
		{"DestroyedKeys", testDestroyedKeys},
		{"Backlogs", testBacklogs},
		{"ServiceHours", testServiceHours},
		{"RaceServiceHours", testRaceServiceHours},
		{"PurgeServiceHours", testPurgeServiceHours},
		{"Approvals", testApprovals},
		{"ApprovalsRefused", testApprovalsRefused},
		{"EndApproval", testEndApproval},
		{"ListApprovals", testListApprovals},
		{"RaceApprovals", testRaceApprovals},
		{"ReplaceUser", testReplaceUser},
		{"ChangeEvidence", testChangeEvidence},
		{"ListGrantsBelow", testListGrantsBelow},
		{"Lists", testLists},
		{"RaceLists", testRaceLists},
		{"Refusals", testRefusals},
		{"ListRefusals", testListRefusals},
		{"RefusalsBounded", testRefusalsBounded},
		{"Examined", testExamined},
		{"RaceRefusals", testRaceRefusals},
		{"Allow", testAllow},
		{"AllowAllOrNothing", testAllowAllOrNothing},
		{"AllowAgain", testAllowAgain},
		{"AllowTightened", testAllowTightened},
		{"AllowRefuses", testAllowRefuses},
		{"Refund", testRefund},
		{"PurgeAllowances", testPurgeAllowances},
		{"RaceAllow", testRaceAllow},
		{"RaceAllowSeveral", testRaceAllowSeveral},
		{"RaceRefund", testRaceRefund},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := &fixture{T: t, clock: &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)}}
			f.Store = open(t, f.clock.Now)
			test.test(f)
		})
	}
}

// clock is a clock that stops until it is moved.
type clock struct {
	lock sync.Mutex
	now  time.Time
}

func (c *clock) Now() time.Time {
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.now
}

func (c *clock) set(now time.Time) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.now = now
}

// fixture is a test's store with records to put into it.
type fixture struct {
	*testing.T
	store.Store
	clock  *clock
	serial int
}

// number is different with each call.
func (f *fixture) number() int {
	f.serial++
	return f.serial
}

func (f *fixture) digest() store.Digest { return store.DigestOf(fmt.Sprint("secret ", f.number())) }

func (f *fixture) oneTime() store.OneTime {
	return store.OneTime{Kind: "dpop", Key: f.digest(), Until: f.clock.Now().Add(time.Minute)}
}

func (f *fixture) request() store.Request {
	return store.Request{
		ID:         f.digest(),
		ClientID:   "client",
		Parameters: json.RawMessage(` {"z": "<&> é \u00e9", "a": [1.0, null] } `),
		CreatedAt:  f.clock.Now(),
		ExpiresAt:  f.clock.Now().Add(time.Minute),
	}
}

func (f *fixture) interaction(request store.Request) store.Interaction {
	return store.Interaction{
		ID:        f.digest(),
		RequestID: request.ID,
		Browser:   f.digest(),
		CreatedAt: f.clock.Now(),
		ExpiresAt: f.clock.Now().Add(10 * time.Minute),
	}
}

// open reads a request and a session.
func (f *fixture) open(request, session store.Digest) (store.Request, *store.Session, error) {
	opened, err := f.Open(f.Context(), request, session)
	return opened.Request, opened.Session, err
}

// session makes a session of a user who is there.
func (f *fixture) session() store.Session {
	f.Helper()
	f.putUser("subject", false)
	return store.Session{
		ID:        f.digest(),
		Subject:   "subject",
		AuthTime:  f.clock.Now().Add(-time.Second),
		ACR:       "urn:example:acr",
		AMR:       []string{"pwd", "otp"},
		Agent:     "Firefox/Linux",
		ExpiresAt: f.clock.Now().Add(time.Hour),
	}
}

// grant makes a grant of a user who is there.
func (f *fixture) grant() store.Grant {
	f.Helper()
	if _, err := f.User(f.Context(), "subject"); errors.Is(err, store.ErrNotFound) {
		f.putUser("subject", false)
	}
	return store.Grant{
		ID:        fmt.Sprint("grant ", f.number()),
		ClientID:  "client",
		Subject:   "subject",
		Scopes:    []string{"openid", "a \"quoted\" <scope>\n,"},
		Detail:    json.RawMessage(`{"nonce": "n", "b": 1 }`),
		AuthTime:  f.clock.Now().Add(-time.Second),
		ACR:       "urn:example:acr",
		AMR:       []string{"pwd"},
		CreatedAt: f.clock.Now(),
		ExpiresAt: f.clock.Now().Add(24 * time.Hour),
	}
}

func (f *fixture) code(grant store.Grant) store.Code {
	return store.Code{
		ID:          f.digest(),
		GrantID:     grant.ID,
		ClientID:    grant.ClientID,
		RedirectURI: "https://client.example/callback?a=b",
		Challenge:   "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
		JKT:         "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
		CreatedAt:   f.clock.Now(),
		ExpiresAt:   f.clock.Now().Add(time.Minute),
	}
}

func (f *fixture) issued(grant store.Grant) store.Issued {
	return store.Issued{AccessToken: f.accessToken(grant), RefreshToken: &store.RefreshToken{
		ID:        f.digest(),
		GrantID:   grant.ID,
		ClientID:  grant.ClientID,
		CreatedAt: f.clock.Now(),
		ExpiresAt: grant.ExpiresAt,
	}}
}

func (f *fixture) accessToken(grant store.Grant) store.AccessToken {
	return store.AccessToken{ID: f.digest(), GrantID: grant.ID, ExpiresAt: f.clock.Now().Add(5 * time.Minute)}
}

// pushed stores a request.
func (f *fixture) pushed() store.Request {
	f.Helper()
	request := f.request()
	f.must(f.Push(f.Context(), request))
	return request
}

// begun stores a request and an interaction with it.
func (f *fixture) begun() (store.Request, store.Interaction) {
	f.Helper()
	request := f.pushed()
	interaction := f.interaction(request)
	f.must(f.BeginInteraction(f.Context(), interaction))
	return request, interaction
}

// granted stores grant and code as the outcome of an interaction.
func (f *fixture) granted(grant store.Grant, code store.Code) {
	f.Helper()
	request, interaction := f.begun()
	f.must(f.Finish(f.Context(), store.Finish{
		Interaction: interaction.ID, Request: request.ID, Grant: &grant, Code: &code,
	}))
}

// withCode stores a grant with a code.
func (f *fixture) withCode() (store.Grant, store.Code) {
	f.Helper()
	grant := f.grant()
	code := f.code(grant)
	f.granted(grant, code)
	return grant, code
}

// redeemed stores a grant and what was issued with its code.
func (f *fixture) redeemed() (store.Grant, store.Issued) {
	f.Helper()
	grant, code := f.withCode()
	issued := f.issued(grant)
	f.must(f.RedeemCode(f.Context(), code.ID, issued))
	return grant, issued
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// want checks the error of a verb, nil included.
func (f *fixture) want(err, want error) {
	f.Helper()
	if !errors.Is(err, want) {
		f.Fatalf("got error %v, want %v", err, want)
	}
}

// equal checks a record that came out of the store.
func (f *fixture) equal(got, want any) {
	f.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		f.Fatalf("-want +got\n%s", diff)
	}
}
