package storetest

import (
	"context"
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
	grant.ExpiresAt = start.Add(3 * time.Hour)
	code := f.code(grant)
	f.must(f.Finish(f.Context(), store.Finish{Interaction: interaction.ID, Request: request.ID, Grant: &grant, Code: &code}))
	bought, use := f.bought(grant), f.use()
	use.Until = start.Add(time.Minute)
	f.must(f.RedeemCode(f.Context(), code.ID, bought, use))

	f.clock.set(start.Add(time.Minute - time.Microsecond))
	f.purge(100, 0)
	f.want(f.Use(f.Context(), use), store.ErrReplayed)
	f.clock.set(start.Add(time.Minute))
	f.purge(100, 1) // the use
	f.must(f.Use(f.Context(), use))
	f.purge(100, 1) // the same again

	f.clock.set(start.Add(time.Hour)) // the session and the access token are over
	f.purge(100, 2)
	_, err := f.AccessGrant(f.Context(), bought.AccessToken.ID)
	f.want(err, store.ErrNotFound)

	// Codes and requests stay known for an hour after their end.
	f.clock.set(code.ExpiresAt.Add(time.Hour - time.Microsecond))
	f.purge(100, 0)
	_, _, err = f.open(request.ID, store.Digest{})
	f.want(err, store.ErrSpent)
	_, err = f.Interaction(f.Context(), interaction.ID, interaction.Browser)
	f.want(err, store.ErrSpent)
	f.clock.set(code.ExpiresAt.Add(time.Hour))
	f.purge(100, 3)
	_, _, err = f.open(request.ID, store.Digest{})
	f.want(err, store.ErrNotFound)
	_, _, err = f.CodeGrant(f.Context(), code.ID)
	f.want(err, store.ErrNotFound)
	f.must(f.Refresh(f.Context(), bought.RefreshToken.ID, store.AccessToken{ID: f.digest(), ExpiresAt: grant.ExpiresAt}))

	f.clock.set(grant.ExpiresAt)
	f.purge(100, 2) // the refresh token and its access token
	f.must(f.RevokeGrant(f.Context(), grant.ID))
	f.clock.set(grant.ExpiresAt.Add(time.Hour))
	f.purge(100, 1)
	f.want(f.RevokeGrant(f.Context(), grant.ID), store.ErrNotFound)
	f.purge(100, 0)
}

func testPurgeLimit(f *fixture) {
	for range 5 {
		f.must(f.Use(f.Context(), f.use()))
		f.pushed()
	}
	f.clock.set(f.clock.Now().Add(2 * time.Hour))
	f.purge(0, 0)
	f.purge(2, 4)
	f.purge(2, 4)
	f.purge(2, 2)
	f.purge(2, 0)
}

func testPurgeKeepsRequestInUse(f *fixture) {
	request := f.pushed()
	interaction := f.interaction(request)
	interaction.ExpiresAt = request.ExpiresAt.Add(3 * time.Hour)
	f.must(f.BeginInteraction(f.Context(), interaction))
	f.clock.set(request.ExpiresAt.Add(2 * time.Hour))
	f.purge(100, 0)
	f.must(f.Finish(f.Context(), store.Finish{Interaction: interaction.ID, Request: request.ID}))
	f.clock.set(interaction.ExpiresAt.Add(time.Hour))
	f.purge(100, 2)
}

// testCancelled: a caller who has gone away does not claim anything.
func testCancelled(f *fixture) {
	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	use := f.use()
	f.want(f.Use(ctx, use), context.Canceled)
	_, err := f.Clients(ctx)
	f.want(err, context.Canceled)
	f.want(f.Ping(ctx), context.Canceled)
	f.must(f.Use(f.Context(), use))
	f.must(f.Ping(f.Context()))
}

func testClosed(f *fixture) {
	f.must(f.Close())
	f.must(f.Close())
	if err := f.Ping(f.Context()); err == nil {
		f.Error("a closed store answered a ping")
	}
	if err := f.Use(f.Context(), f.use()); err == nil {
		f.Error("a closed store took a write")
	}
	if _, err := f.Clients(f.Context()); err == nil {
		f.Error("a closed store took a read")
	}
}
