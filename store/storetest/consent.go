package storetest

import (
	"time"

	"countersign/store"
)

func (f *fixture) consent() store.Consent {
	return store.Consent{
		Subject: "subject", ClientID: "client", Scopes: []string{"openid", "a \"quoted\" <scope>"}, Claims: []string{"birthdate"},
		CreatedAt: f.clock.Now(), ExpiresAt: f.clock.Now().Add(time.Hour),
	}
}

// signedIn stores a session.
func (f *fixture) signedIn() store.Session {
	f.Helper()
	_, interaction := f.begun()
	session := f.session()
	f.must(f.SignIn(f.Context(), interaction.ID, session))
	return session
}

// consented answers a request of the user with a consent.
func (f *fixture) consented(consent store.Consent) {
	f.Helper()
	request, interaction := f.begun()
	f.must(f.Finish(f.Context(), store.Finish{Interaction: interaction.ID, Request: request.ID, Consent: &consent}))
}

// found returns what Open says about the user who is signed in and a new request of the client.
func (f *fixture) opened(session store.Session, change func(*store.Request)) store.Opened {
	f.Helper()
	request := f.request()
	if change != nil {
		change(&request)
	}
	f.must(f.Push(f.Context(), request))
	opened, err := f.Open(f.Context(), request.ID, session.ID)
	f.must(err)
	return opened
}

func testConsent(f *fixture) {
	session := f.signedIn()
	if opened := f.opened(session, nil); opened.Consent != nil {
		f.Fatalf("a consent that was not given: %v", opened.Consent)
	}
	first := f.consent()
	f.consented(first)
	opened := f.opened(session, nil)
	f.equal(opened.Consent, &first)
	f.equal(opened.Session, &session)
	if other := f.opened(session, func(r *store.Request) { r.ClientID = "another" }); other.Consent != nil {
		f.Errorf("another client has the consent: %v", other.Consent)
	}
	if stranger := f.opened(store.Session{}, nil); stranger.Consent != nil || stranger.Session != nil {
		f.Errorf("a browser that is not signed in has %v, %v", stranger.Session, stranger.Consent)
	}

	second := f.consent()
	second.Scopes, second.Claims = []string{"openid"}, nil
	f.consented(second)
	f.equal(f.opened(session, nil).Consent, &second)

	f.clock.set(second.ExpiresAt.Add(-time.Microsecond))
	session = f.signedIn()
	f.equal(f.opened(session, nil).Consent, &second)
	f.clock.set(second.ExpiresAt)
	if opened := f.opened(session, nil); opened.Consent != nil || opened.Session == nil {
		f.Errorf("at its end the consent is still there, or the session is not: %v, %v", opened.Consent, opened.Session)
	}
}

// testConsentIsForgotten: whatever ends a grant of the user to the client ends the consent.
func testConsentIsForgotten(f *fixture) {
	session := f.signedIn()
	f.consented(f.consent())
	grant, _ := f.withCode()
	f.must(f.RevokeGrant(f.Context(), grant.ID, store.RevokedByOperator, nil))
	if opened := f.opened(session, nil); opened.Consent != nil {
		f.Errorf("after RevokeGrant: %v", opened.Consent)
	}

	f.consented(f.consent())
	again, code := f.withCode()
	f.must(f.RedeemCode(f.Context(), code.ID, f.issued(again)))
	f.want(f.RedeemCode(f.Context(), code.ID, f.issued(again)), store.ErrConsumed)
	if opened := f.opened(session, nil); opened.Consent != nil {
		f.Errorf("after a code was used twice: %v", opened.Consent)
	}
}

// testOpenWithoutUser: the session of a disabled or deleted user is not returned.
func testOpenWithoutUser(f *fixture) {
	session := f.signedIn()
	f.consented(f.consent())
	user, err := f.User(f.Context(), "subject")
	f.must(err)
	user.Disabled = true
	f.must(f.PutUser(f.Context(), user))
	if opened := f.opened(session, nil); opened.Session != nil || opened.Consent != nil {
		f.Errorf("a disabled user is signed in: %v, %v", opened.Session, opened.Consent)
	}
	user.Disabled = false
	f.must(f.PutUser(f.Context(), user))
	if opened := f.opened(session, nil); opened.Session == nil {
		f.Error("a user who is enabled again is not signed in")
	}

	_, interaction := f.begun()
	nobody := f.session()
	nobody.Subject = "nobody"
	f.must(f.SignIn(f.Context(), interaction.ID, nobody))
	if opened := f.opened(nobody, nil); opened.Session != nil {
		f.Errorf("an unknown user is signed in: %v", opened.Session)
	}
}

// testUserGone: reading a code, a refresh token or an interaction shows whether the user is enabled.
func testUserGone(f *fixture) {
	grant, code := f.withCode()
	issued := f.issued(grant)
	f.must(f.RedeemCode(f.Context(), code.ID, issued))
	_, interaction := f.begun()
	f.must(f.SignIn(f.Context(), interaction.ID, f.session()))
	user, err := f.User(f.Context(), "subject")
	f.must(err)
	for _, disabled := range []bool{false, true, false} {
		user.Disabled = disabled
		f.must(f.PutUser(f.Context(), user))
		_, byCode, err := f.CodeGrant(f.Context(), code.ID)
		f.must(err)
		_, byToken, err := f.RefreshGrant(f.Context(), issued.RefreshToken.ID)
		f.must(err)
		pending, err := f.Interaction(f.Context(), interaction.ID, interaction.Browser)
		f.must(err)
		if byCode.UserGone != disabled || byToken.UserGone != disabled || (pending.Session == nil) != disabled || (pending.Username == "") != disabled {
			f.Errorf("disabled %v: code %v, refresh token %v, session %v of %q", disabled, byCode.UserGone, byToken.UserGone, pending.Session, pending.Username)
		}
	}
	nobodys := f.grant()
	nobodys.Subject = "nobody"
	lost := f.code(nobodys)
	f.granted(nobodys, lost)
	if _, got, err := f.CodeGrant(f.Context(), lost.ID); err != nil || !got.UserGone {
		f.Errorf("of an unknown user: %v, %v", got, err)
	}
}

// testFinishWithoutInteraction: a request that needs no page is answered while it is alive, once.
func testFinishWithoutInteraction(f *fixture) {
	request := f.pushed()
	grant := f.grant()
	code := f.code(grant)
	f.must(f.Finish(f.Context(), store.Finish{Request: request.ID, Grant: &grant, Code: &code}))
	gotCode, gotGrant, err := f.CodeGrant(f.Context(), code.ID)
	f.must(err)
	f.equal(gotCode, code)
	f.equal(gotGrant, grant)
	_, _, err = f.open(request.ID, store.Digest{})
	f.want(err, store.ErrConsumed)
	other := f.grant()
	otherCode := f.code(other)
	f.want(f.Finish(f.Context(), store.Finish{Request: request.ID, Grant: &other, Code: &otherCode}), store.ErrConsumed)
	_, _, err = f.CodeGrant(f.Context(), otherCode.ID)
	f.want(err, store.ErrNotFound)

	refused := f.pushed()
	f.must(f.Finish(f.Context(), store.Finish{Request: refused.ID}))
	_, _, err = f.open(refused.ID, store.Digest{})
	f.want(err, store.ErrConsumed)

	f.want(f.Finish(f.Context(), store.Finish{Request: f.digest()}), store.ErrNotFound)
	late := f.pushed()
	f.clock.set(late.ExpiresAt)
	f.want(f.Finish(f.Context(), store.Finish{Request: late.ID, Grant: &other, Code: &otherCode}), store.ErrExpired)
	_, _, err = f.CodeGrant(f.Context(), otherCode.ID)
	f.want(err, store.ErrNotFound)
}

func testRaceFinishWithoutInteraction(f *fixture) {
	request, interaction := f.begun()
	grants, codes := make([]store.Grant, racers), make([]store.Code, racers)
	for i := range racers {
		grants[i] = f.grant()
		codes[i] = f.code(grants[i])
	}
	winner := f.winner(race(func(i int) error {
		finish := store.Finish{Request: request.ID, Grant: &grants[i], Code: &codes[i]}
		if i%2 == 0 {
			finish.Interaction = interaction.ID
		}
		return f.Finish(f.Context(), finish)
	}), store.ErrConsumed)
	for i, code := range codes {
		_, _, err := f.CodeGrant(f.Context(), code.ID)
		if i == winner {
			f.want(err, nil)
		} else {
			f.want(err, store.ErrNotFound)
		}
	}
}

// testIssueToken: a grant that no user decided, with its one token.
func testIssueToken(f *fixture) {
	grant := f.grant()
	grant.Subject, grant.AuthTime, grant.ACR, grant.AMR = "", time.Time{}, "", nil
	token := f.accessToken(grant)
	grant.ExpiresAt = token.ExpiresAt
	oneTime := f.oneTime()
	f.must(f.IssueToken(f.Context(), grant, token, oneTime))
	got, err := f.AccessGrant(f.Context(), token.ID)
	f.must(err)
	f.equal(got, grant)
	f.want(f.ConsumeOneTime(f.Context(), oneTime), store.ErrReplayed)

	other := grant
	other.ID = "another"
	otherToken := f.accessToken(other)
	fresh := f.oneTime()
	f.want(f.IssueToken(f.Context(), other, otherToken, fresh, oneTime), store.ErrReplayed)
	_, err = f.AccessGrant(f.Context(), otherToken.ID)
	f.want(err, store.ErrNotFound)
	f.must(f.IssueToken(f.Context(), other, otherToken, fresh))

	f.clock.set(token.ExpiresAt)
	_, err = f.AccessGrant(f.Context(), token.ID)
	f.want(err, store.ErrExpired)
}

func testRevokeWithUses(f *fixture) {
	grant, issued := f.redeemed()
	oneTime := f.oneTime()
	f.must(f.ConsumeOneTime(f.Context(), oneTime))
	f.want(f.RevokeGrant(f.Context(), grant.ID, store.RevokedByOperator, nil, oneTime), store.ErrReplayed)
	_, err := f.AccessGrant(f.Context(), issued.AccessToken.ID)
	f.must(err)
	fresh := f.oneTime()
	f.must(f.RevokeGrant(f.Context(), grant.ID, store.RevokedByOperator, nil, fresh))
	_, err = f.AccessGrant(f.Context(), issued.AccessToken.ID)
	f.want(err, store.ErrRevoked)
	f.want(f.ConsumeOneTime(f.Context(), fresh), store.ErrReplayed)
}

func testRevokeAccessToken(f *fixture) {
	grant, issued := f.redeemed()
	second := f.accessToken(grant)
	f.must(f.Refresh(f.Context(), issued.RefreshToken.ID, second))
	oneTime := f.oneTime()
	f.must(f.ConsumeOneTime(f.Context(), oneTime))
	f.want(f.RevokeAccessToken(f.Context(), issued.AccessToken.ID, nil, oneTime), store.ErrReplayed)
	_, err := f.AccessGrant(f.Context(), issued.AccessToken.ID)
	f.must(err)

	fresh := f.oneTime()
	f.must(f.RevokeAccessToken(f.Context(), issued.AccessToken.ID, nil, fresh))
	f.want(f.ConsumeOneTime(f.Context(), fresh), store.ErrReplayed)
	if _, err := f.AccessGrant(f.Context(), issued.AccessToken.ID); err == nil {
		f.Error("a token that was revoked is still valid")
	}
	_, err = f.AccessGrant(f.Context(), second.ID)
	f.must(err)
	f.must(f.Refresh(f.Context(), issued.RefreshToken.ID, f.accessToken(grant)))
	f.must(f.RevokeAccessToken(f.Context(), f.digest(), nil))
}
