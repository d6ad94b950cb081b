package storetest

import (
	"errors"
	"sync"
	"time"

	"countersign/store"
)

func testCodeGrant(f *fixture) {
	_, _, err := f.CodeGrant(f.Context(), f.digest())
	f.want(err, store.ErrNotFound)

	// What is unset stays unset, and an empty list is not an unset one.
	grant := store.Grant{ID: "bare", Scopes: []string{}, CreatedAt: f.clock.Now(), ExpiresAt: f.clock.Now().Add(time.Hour)}
	code := store.Code{ID: f.digest(), GrantID: grant.ID, CreatedAt: f.clock.Now(), ExpiresAt: f.clock.Now().Add(time.Minute)}
	f.granted(grant, code)
	// A code whose time is over is read as it is.
	f.clock.set(code.ExpiresAt)
	gotCode, gotGrant, err := f.CodeGrant(f.Context(), code.ID)
	f.must(err)
	f.equal(gotCode, code)
	f.equal(gotGrant, grant)
}

func testRedeemCode(f *fixture) {
	grant, code := f.withCode()
	issued := f.issued(grant)
	f.clock.set(code.ExpiresAt.Add(-time.Microsecond))
	f.must(f.RedeemCode(f.Context(), code.ID, issued, f.oneTime(), f.oneTime()))
	code.ConsumedAt = f.clock.Now()
	gotCode, gotGrant, err := f.CodeGrant(f.Context(), code.ID)
	f.must(err)
	f.equal(gotCode, code)
	f.equal(gotGrant, grant)
	gotGrant, err = f.AccessGrant(f.Context(), issued.AccessToken.ID)
	f.must(err)
	f.equal(gotGrant, grant)
	gotToken, gotGrant, err := f.RefreshGrant(f.Context(), issued.RefreshToken.ID)
	f.must(err)
	f.equal(gotToken, *issued.RefreshToken)
	f.equal(gotGrant, grant)

	grant, code = f.withCode()
	issued = f.issued(grant)
	refresh := issued.RefreshToken.ID
	issued.RefreshToken = nil
	f.must(f.RedeemCode(f.Context(), code.ID, issued))
	_, err = f.AccessGrant(f.Context(), issued.AccessToken.ID)
	f.must(err)
	_, _, err = f.RefreshGrant(f.Context(), refresh)
	f.want(err, store.ErrNotFound)
}

func testRedeemCodeTwice(f *fixture) {
	grant, code := f.withCode()
	first, second := f.issued(grant), f.issued(grant)
	oneTime := f.oneTime()
	f.must(f.RedeemCode(f.Context(), code.ID, first))
	f.want(f.RedeemCode(f.Context(), code.ID, second, oneTime), store.ErrConsumed)

	grant.RevokedAt = f.clock.Now()
	_, gotGrant, err := f.CodeGrant(f.Context(), code.ID)
	f.must(err)
	f.equal(gotGrant, grant)
	_, err = f.AccessGrant(f.Context(), first.AccessToken.ID)
	f.want(err, store.ErrRevoked)
	f.want(f.Refresh(f.Context(), first.RefreshToken.ID, f.accessToken(grant)), store.ErrRevoked)
	_, err = f.AccessGrant(f.Context(), second.AccessToken.ID)
	f.want(err, store.ErrNotFound)
	_, _, err = f.RefreshGrant(f.Context(), second.RefreshToken.ID)
	f.want(err, store.ErrNotFound)
	f.want(f.ConsumeOneTime(f.Context(), oneTime), store.ErrReplayed)

	// A third try, long after, does not move the time of revocation.
	f.clock.set(code.ExpiresAt.Add(30 * time.Minute))
	f.want(f.RedeemCode(f.Context(), code.ID, second), store.ErrConsumed)
	_, gotGrant, err = f.CodeGrant(f.Context(), code.ID)
	f.must(err)
	f.equal(gotGrant, grant)
}

// testRedeemCodeRepeated: one request that arrives twice at once is redeemed once, and revokes nothing.
func testRedeemCodeRepeated(f *fixture) {
	for range 20 {
		grant, code := f.withCode()
		oneTime := f.oneTime()
		issued := [2]store.Issued{f.issued(grant), f.issued(grant)}
		var outcomes [2]error
		var racing sync.WaitGroup
		for i := range outcomes {
			racing.Go(func() { outcomes[i] = f.RedeemCode(f.Context(), code.ID, issued[i], oneTime) })
		}
		racing.Wait()
		won := 0
		if outcomes[0] != nil {
			won = 1
		}
		f.must(outcomes[won])
		f.want(outcomes[1-won], store.ErrReplayed)
		_, err := f.AccessGrant(f.Context(), issued[won].AccessToken.ID)
		f.must(err)
	}
}

func testRedeemCodeAllOrNothing(f *fixture) {
	_, earlier := f.redeemed()
	grant, code := f.withCode()
	issued := f.issued(grant)
	seen, fresh := f.oneTime(), f.oneTime()
	f.must(f.ConsumeOneTime(f.Context(), seen))
	f.want(f.RedeemCode(f.Context(), code.ID, issued, fresh, seen), store.ErrReplayed)
	taken := issued
	taken.AccessToken = earlier.AccessToken
	f.want(f.RedeemCode(f.Context(), code.ID, taken, fresh), store.ErrConflict)
	taken = issued
	taken.RefreshToken = earlier.RefreshToken
	f.want(f.RedeemCode(f.Context(), code.ID, taken, fresh), store.ErrConflict)

	gotCode, gotGrant, err := f.CodeGrant(f.Context(), code.ID)
	f.must(err)
	f.equal(gotCode, code)
	f.equal(gotGrant, grant)
	_, err = f.AccessGrant(f.Context(), issued.AccessToken.ID)
	f.want(err, store.ErrNotFound)
	f.must(f.RedeemCode(f.Context(), code.ID, issued, fresh))
}

// testRedeemCodeOrder: when a redemption fails for several reasons, the first in this order is returned.
func testRedeemCodeOrder(f *fixture) {
	type reasons struct{ consumed, expired, revoked, replayed bool }
	seen := f.oneTime()
	f.must(f.ConsumeOneTime(f.Context(), seen))
	start := f.clock.Now()
	for _, test := range []struct {
		reasons
		want error
	}{
		{reasons{}, nil},
		{reasons{consumed: true, expired: true, revoked: true, replayed: true}, store.ErrReplayed},
		{reasons{consumed: true, expired: true}, store.ErrConsumed},
		{reasons{consumed: true}, store.ErrConsumed},
		{reasons{consumed: true, replayed: true}, store.ErrReplayed},
		{reasons{expired: true, revoked: true, replayed: true}, store.ErrExpired},
		{reasons{expired: true}, store.ErrExpired},
		{reasons{revoked: true, replayed: true}, store.ErrRevoked},
		{reasons{revoked: true}, store.ErrRevoked},
		{reasons{replayed: true}, store.ErrReplayed},
	} {
		f.clock.set(start)
		grant, code := f.withCode()
		if test.consumed {
			f.must(f.RedeemCode(f.Context(), code.ID, f.issued(grant)))
		}
		if test.revoked {
			f.must(f.RevokeGrant(f.Context(), grant.ID, store.RevokedByOperator, nil))
		}
		if test.expired {
			f.clock.set(code.ExpiresAt)
		}
		var oneTimes []store.OneTime
		if test.replayed {
			oneTimes = []store.OneTime{seen}
		}
		before, _, err := f.CodeGrant(f.Context(), code.ID)
		f.must(err)
		issued := f.issued(grant)
		if err := f.RedeemCode(f.Context(), code.ID, issued, oneTimes...); !errors.Is(err, test.want) {
			f.Fatalf("%+v: got %v, want %v", test.reasons, err, test.want)
		}
		if test.want == nil {
			continue
		}
		after, _, err := f.CodeGrant(f.Context(), code.ID)
		f.must(err)
		f.equal(after, before)
		_, err = f.AccessGrant(f.Context(), issued.AccessToken.ID)
		f.want(err, store.ErrNotFound)
	}

	f.want(f.RedeemCode(f.Context(), f.digest(), f.issued(f.grant()), seen), store.ErrNotFound)
	// A grant that ends before its code ends the code.
	f.clock.set(start)
	grant := f.grant()
	grant.ExpiresAt = start.Add(time.Second)
	code := f.code(grant)
	f.granted(grant, code)
	f.clock.set(grant.ExpiresAt)
	f.want(f.RedeemCode(f.Context(), code.ID, f.issued(grant)), store.ErrExpired)
}

func testRedemptionFailed(f *fixture) {
	grant, code := f.withCode()
	for want := 1; want <= 3; want++ {
		got, err := f.RedemptionFailed(f.Context(), code.ID)
		f.must(err)
		f.equal(got, want)
	}
	got, _, err := f.CodeGrant(f.Context(), code.ID)
	f.must(err)
	f.equal(got.Failures, 3)
	_, err = f.RedemptionFailed(f.Context(), f.digest())
	f.want(err, store.ErrNotFound)
	f.must(f.RedeemCode(f.Context(), code.ID, f.issued(grant)))
}

func testRefresh(f *fixture) {
	grant, issued := f.redeemed()
	token := issued.RefreshToken.ID
	f.clock.set(grant.ExpiresAt.Add(-time.Microsecond))
	for range 2 {
		refreshed := f.accessToken(grant)
		f.must(f.Refresh(f.Context(), token, refreshed, f.oneTime()))
		got, err := f.AccessGrant(f.Context(), refreshed.ID)
		f.must(err)
		f.equal(got, grant)
	}
	seen, fresh := f.oneTime(), f.oneTime()
	f.must(f.ConsumeOneTime(f.Context(), seen))
	refused := f.accessToken(grant)
	f.want(f.Refresh(f.Context(), token, refused, fresh, seen), store.ErrReplayed)
	_, err := f.AccessGrant(f.Context(), refused.ID)
	f.want(err, store.ErrNotFound)
	f.must(f.ConsumeOneTime(f.Context(), fresh))

	_, _, err = f.RefreshGrant(f.Context(), f.digest())
	f.want(err, store.ErrNotFound)
	// A refresh token whose time is over is read as it is.
	f.clock.set(grant.ExpiresAt)
	got, _, err := f.RefreshGrant(f.Context(), token)
	f.must(err)
	f.equal(got, *issued.RefreshToken)
}

func testRefreshOrder(f *fixture) {
	seen := f.oneTime()
	f.must(f.ConsumeOneTime(f.Context(), seen))
	start := f.clock.Now()
	tests := []struct {
		name                       string
		expired, revoked, replayed bool
		want                       error
	}{
		{"all", true, true, true, store.ErrExpired},
		{"expired", true, false, false, store.ErrExpired},
		{"revoked and replayed", false, true, true, store.ErrRevoked},
		{"revoked", false, true, false, store.ErrRevoked},
		{"replayed", false, false, true, store.ErrReplayed},
	}
	for _, test := range tests {
		f.clock.set(start)
		grant, code := f.withCode()
		issued := f.issued(grant)
		issued.RefreshToken.ExpiresAt = start.Add(time.Hour)
		f.must(f.RedeemCode(f.Context(), code.ID, issued))
		if test.revoked {
			f.must(f.RevokeGrant(f.Context(), grant.ID, store.RevokedByOperator, nil))
		}
		if test.expired {
			f.clock.set(issued.RefreshToken.ExpiresAt)
		}
		oneTimes := []store.OneTime{f.oneTime()}
		if test.replayed {
			oneTimes = append(oneTimes, seen)
		}
		refreshed := f.accessToken(grant)
		if err := f.Refresh(f.Context(), issued.RefreshToken.ID, refreshed, oneTimes...); !errors.Is(err, test.want) {
			f.Fatalf("%s: got %v, want %v", test.name, err, test.want)
		}
		_, err := f.AccessGrant(f.Context(), refreshed.ID)
		f.want(err, store.ErrNotFound)
		f.must(f.ConsumeOneTime(f.Context(), oneTimes[0]))
	}
	f.want(f.Refresh(f.Context(), f.digest(), f.accessToken(f.grant()), seen), store.ErrNotFound)
}

func testAccessGrant(f *fixture) {
	_, err := f.AccessGrant(f.Context(), f.digest())
	f.want(err, store.ErrNotFound)
	grant, issued := f.redeemed()
	f.clock.set(issued.AccessToken.ExpiresAt.Add(-time.Microsecond))
	got, err := f.AccessGrant(f.Context(), issued.AccessToken.ID)
	f.must(err)
	f.equal(got, grant)
	f.clock.set(issued.AccessToken.ExpiresAt)
	got, err = f.AccessGrant(f.Context(), issued.AccessToken.ID)
	f.want(err, store.ErrExpired)
	f.equal(got, store.Grant{})

	// A grant that ends ends its tokens, whatever their own time.
	grant, issued = f.redeemed()
	f.clock.set(grant.ExpiresAt.Add(-time.Second))
	late := f.accessToken(grant)
	f.must(f.Refresh(f.Context(), issued.RefreshToken.ID, late))
	f.clock.set(grant.ExpiresAt)
	_, err = f.AccessGrant(f.Context(), late.ID)
	f.want(err, store.ErrExpired)
}

func testAccessGrantUses(f *fixture) {
	grant, issued := f.redeemed()
	token := issued.AccessToken.ID
	first, second, third := f.oneTime(), f.oneTime(), f.oneTime()
	got, err := f.AccessGrant(f.Context(), token, first)
	f.must(err)
	f.equal(got, grant)
	got, err = f.AccessGrant(f.Context(), token, first)
	f.want(err, store.ErrReplayed)
	f.equal(got, store.Grant{})
	_, err = f.AccessGrant(f.Context(), token, second, first)
	f.want(err, store.ErrReplayed)
	_, err = f.AccessGrant(f.Context(), token, second, third)
	f.must(err)

	// A token that is not valid consumes nothing.
	fresh := f.oneTime()
	_, err = f.AccessGrant(f.Context(), f.digest(), fresh)
	f.want(err, store.ErrNotFound)
	f.must(f.RevokeGrant(f.Context(), grant.ID, store.RevokedByOperator, nil))
	_, err = f.AccessGrant(f.Context(), token, fresh)
	f.want(err, store.ErrRevoked)
	f.clock.set(issued.AccessToken.ExpiresAt)
	_, err = f.AccessGrant(f.Context(), token, fresh, first)
	f.want(err, store.ErrExpired)
	f.must(f.ConsumeOneTime(f.Context(), fresh))
}

func testRevokeGrant(f *fixture) {
	grant, issued := f.redeemed()
	bystander, itsTokens := f.redeemed()
	grant.RevokedAt = f.clock.Now()
	for range 2 {
		f.must(f.RevokeGrant(f.Context(), grant.ID, store.RevokedByOperator, nil))
		_, got, err := f.RefreshGrant(f.Context(), issued.RefreshToken.ID)
		f.must(err)
		f.equal(got, grant)
		f.clock.set(f.clock.Now().Add(time.Second))
	}
	_, err := f.AccessGrant(f.Context(), issued.AccessToken.ID)
	f.want(err, store.ErrRevoked)
	got, err := f.AccessGrant(f.Context(), itsTokens.AccessToken.ID)
	f.must(err)
	f.equal(got, bystander)
	f.want(f.RevokeGrant(f.Context(), "no such grant", store.RevokedByOperator, nil), store.ErrNotFound)
}

func testEndClientGrant(f *fixture) {
	grant, issued := f.redeemed()
	oneTime, lost := f.oneTime(), f.oneTime()
	f.want(f.EndClientGrant(f.Context(), "another client", grant.ID, nil, oneTime), store.ErrNotFound)
	f.want(f.EndClientGrant(f.Context(), grant.ClientID, "no such grant", nil, oneTime), store.ErrNotFound)
	f.must(f.ConsumeOneTime(f.Context(), lost))
	f.want(f.EndClientGrant(f.Context(), grant.ClientID, grant.ID, nil, lost), store.ErrReplayed)
	_, err := f.AccessGrant(f.Context(), issued.AccessToken.ID)
	f.must(err)
	f.must(f.EndClientGrant(f.Context(), grant.ClientID, grant.ID, nil, oneTime)) // which was not consumed in vain
	_, err = f.AccessGrant(f.Context(), issued.AccessToken.ID)
	f.want(err, store.ErrRevoked)
	f.want(f.ConsumeOneTime(f.Context(), oneTime), store.ErrReplayed)
	f.want(f.EndClientGrant(f.Context(), grant.ClientID, grant.ID, nil), store.ErrNotFound)
}

func testUse(f *fixture) {
	first, second, third := f.oneTime(), f.oneTime(), f.oneTime()
	f.must(f.ConsumeOneTime(f.Context()))
	f.must(f.ConsumeOneTime(f.Context(), first))
	f.want(f.ConsumeOneTime(f.Context(), first), store.ErrReplayed)
	f.want(f.ConsumeOneTime(f.Context(), second, first), store.ErrReplayed)
	f.want(f.ConsumeOneTime(f.Context(), third, third), store.ErrReplayed)
	f.must(f.ConsumeOneTime(f.Context(), second, third))
	otherKind := first
	otherKind.Kind = store.KindAssertion
	f.must(f.ConsumeOneTime(f.Context(), otherKind))
	fresh := f.oneTime()
	for _, seen := range []store.OneTime{first, otherKind} { // the refusal names the kind of what was seen, in any order
		for _, both := range [][]store.OneTime{{seen}, {fresh, seen}, {seen, fresh}} {
			replayed, ok := errors.AsType[*store.ReplayedError](f.ConsumeOneTime(f.Context(), both...))
			if !ok || replayed.Kind != seen.Kind {
				f.Fatalf("got %v of a replay of the kind %q", replayed, seen.Kind)
			}
		}
	}
	// Another time does not make it another value.
	first.Until = first.Until.Add(time.Hour)
	f.want(f.ConsumeOneTime(f.Context(), first), store.ErrReplayed)
}
