package storetest

import (
	"context"
	"fmt"
	"time"

	"countersign/store"
)

func (f *fixture) purge(limit, want int) {
	f.Helper()
	got, err := f.Purge(f.Context(), limit)
	f.must(err)
	if got != want {
		f.Fatalf("%d records were purged, want %d", got, want)
	}
}

// purgeSlack is how long a backend may keep records beyond the time at which they are needed.
const purgeSlack = 2 * time.Hour

// purged purges until there is nothing more to remove.
func (f *fixture) purged() {
	f.Helper()
	for removed := 1; removed > 0; {
		var err error
		removed, err = f.Purge(f.Context(), 3)
		f.must(err)
	}
}

// forgotten fails unless a value is no longer remembered, and yet not taken again in what carried it: whoever would take that
// has another clock than the one by which it was forgotten.
func (f *fixture) forgotten(oneTime store.OneTime) {
	f.Helper()
	f.want(f.ConsumeOneTime(f.Context(), oneTime), store.ErrClock)
	oneTime.Until = f.clock.Now().Add(time.Minute)
	f.must(f.ConsumeOneTime(f.Context(), oneTime))
}

func testPurge(f *fixture) {
	start := f.clock.Now()
	request := f.request()
	f.must(f.Push(f.Context(), request))
	interaction := f.interaction(request)
	interaction.ExpiresAt = request.ExpiresAt
	f.must(f.BeginInteraction(f.Context(), interaction))
	session := f.session()
	f.must(f.SignIn(f.Context(), interaction.ID, session))
	grant := f.grant()
	grant.ExpiresAt = start.Add(8 * time.Hour)
	code := f.code(grant)
	f.must(f.Finish(f.Context(), store.Finish{Interaction: interaction.ID, Request: request.ID, Grant: &grant, Code: &code}))
	issued, oneTime := f.issued(grant), f.oneTime()
	oneTime.Until = start.Add(time.Minute)
	f.must(f.RedeemCode(f.Context(), code.ID, issued, oneTime))

	f.clock.set(start.Add(time.Minute - time.Microsecond))
	f.purged()
	f.want(f.ConsumeOneTime(f.Context(), oneTime), store.ErrReplayed)
	f.clock.set(issued.AccessToken.ExpiresAt.Add(-time.Microsecond))
	f.purged()
	_, err := f.AccessGrant(f.Context(), issued.AccessToken.ID)
	f.must(err)

	// Codes and requests stay known for an hour after their end.
	f.clock.set(code.ExpiresAt.Add(time.Hour - time.Microsecond))
	f.purged()
	_, _, err = f.open(request.ID, store.Digest{})
	f.want(err, store.ErrConsumed)
	_, err = f.Interaction(f.Context(), interaction.ID, interaction.Browser)
	f.want(err, store.ErrConsumed)
	_, _, err = f.CodeGrant(f.Context(), code.ID)
	f.must(err)

	f.clock.set(code.ExpiresAt.Add(time.Hour + purgeSlack))
	f.purged()
	f.forgotten(oneTime)
	_, err = f.AccessGrant(f.Context(), issued.AccessToken.ID)
	f.want(err, store.ErrNotFound)
	_, _, err = f.open(request.ID, store.Digest{})
	f.want(err, store.ErrNotFound)
	_, err = f.Interaction(f.Context(), interaction.ID, interaction.Browser)
	f.want(err, store.ErrNotFound)
	_, _, err = f.CodeGrant(f.Context(), code.ID)
	f.want(err, store.ErrNotFound)
	f.must(f.Refresh(f.Context(), issued.RefreshToken.ID, store.AccessToken{ID: f.digest(), ExpiresAt: grant.ExpiresAt}))

	f.clock.set(grant.ExpiresAt)
	f.purged()
	f.must(f.RevokeGrant(f.Context(), grant.ID, store.RevokedByOperator, nil))
	_, _, err = f.RefreshGrant(f.Context(), issued.RefreshToken.ID)
	f.want(err, store.ErrNotFound)
	f.clock.set(grant.ExpiresAt.Add(time.Hour))
	f.purged()
	f.want(f.RevokeGrant(f.Context(), grant.ID, store.RevokedByOperator, nil), store.ErrNotFound)
}

// testPurgeUnclaimed: a grant that nobody claims ends, at the latest when what it could be claimed by is forgotten; one that was claimed
// goes on.
func testPurgeUnclaimed(f *fixture) {
	f.whoIsAsked(false)
	granted := func(ends time.Duration) (store.Grant, store.Code) {
		grant := f.grant()
		grant.ManagedID, grant.ExpiresAt = fmt.Sprint("managed ", f.number()), f.clock.Now().Add(ends)
		code := f.code(grant)
		f.granted(grant, code)
		return grant, code
	}
	claimed, code := granted(100 * time.Hour)
	f.must(f.RedeemCode(f.Context(), code.ID, f.issued(claimed)))
	unclaimed, _ := granted(100 * time.Hour)
	var more []store.Grant
	for range 4 { // more than one purge removes
		grant, _ := granted(100 * time.Hour)
		more = append(more, grant)
	}
	request, asked := f.asked(), f.grant()
	asked.ManagedID, asked.ExpiresAt = fmt.Sprint("managed ", f.number()), f.clock.Now().Add(100*time.Hour)
	f.must(f.DecideBackchannel(f.Context(), allow(request, asked)))
	taken, polled := f.asked(), f.grant()
	polled.ManagedID, polled.ExpiresAt = fmt.Sprint("managed ", f.number()), f.clock.Now().Add(100*time.Hour)
	f.must(f.DecideBackchannel(f.Context(), allow(taken, polled)))
	f.must(f.RedeemBackchannel(f.Context(), taken.ID, f.issued(polled)))

	f.clock.set(code.ExpiresAt.Add(time.Hour - time.Microsecond))
	f.purged()
	for _, grant := range []store.Grant{claimed, unclaimed, asked, polled} {
		f.isManaged(grant)
	}
	f.clock.set(maxTime(code.ExpiresAt, request.ExpiresAt).Add(time.Hour + purgeSlack))
	f.purged()
	f.isManaged(claimed)
	f.isManaged(polled)
	for _, grant := range append(more, unclaimed, asked) {
		_, err := f.ManagedGrant(f.Context(), grant.ClientID, grant.ManagedID)
		f.want(err, store.ErrNotFound)
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func testPurgeLimit(f *fixture) {
	for i := range 5 {
		subject := fmt.Sprint("subject ", i)
		f.putUser(subject, false)
		f.must(f.PutEnrolment(f.Context(), f.enrolment(subject)))
		token := f.initialToken(1)
		token.Organisation = subject
		f.must(f.PutInitialToken(f.Context(), token))
	}
	f.clock.set(f.clock.Now().Add(50 * time.Hour))
	f.purge(0, 0)
	f.purge(2, 4)
	f.purge(2, 4)
	f.purge(2, 2)
	f.purge(2, 0)
}

func testPurgeKeepsRequestInUse(f *fixture) {
	request := f.pushed()
	interaction := f.interaction(request)
	interaction.ExpiresAt = request.ExpiresAt.Add(5 * time.Hour)
	f.must(f.BeginInteraction(f.Context(), interaction))
	f.clock.set(request.ExpiresAt.Add(time.Hour + purgeSlack))
	f.purged()
	f.must(f.Finish(f.Context(), store.Finish{Interaction: interaction.ID, Request: request.ID}))
	f.clock.set(interaction.ExpiresAt.Add(time.Hour + purgeSlack))
	f.purged()
	_, _, err := f.open(request.ID, store.Digest{})
	f.want(err, store.ErrNotFound)
	_, err = f.Interaction(f.Context(), interaction.ID, interaction.Browser)
	f.want(err, store.ErrNotFound)
}

// testCancelled: a cancelled caller consumes nothing.
func testCancelled(f *fixture) {
	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	oneTime := f.oneTime()
	f.want(f.ConsumeOneTime(ctx, oneTime), context.Canceled)
	_, err := f.Clients(ctx)
	f.want(err, context.Canceled)
	f.want(f.Ping(ctx), context.Canceled)
	f.must(f.ConsumeOneTime(f.Context(), oneTime))
	f.must(f.Ping(f.Context()))
}

func testClosed(f *fixture) {
	f.must(f.Close())
	f.must(f.Close())
	if err := f.Ping(f.Context()); err == nil {
		f.Error("a closed store answered a ping")
	}
	if err := f.ConsumeOneTime(f.Context(), f.oneTime()); err == nil {
		f.Error("a closed store took a write")
	}
	if _, err := f.Clients(f.Context()); err == nil {
		f.Error("a closed store took a read")
	}
}
