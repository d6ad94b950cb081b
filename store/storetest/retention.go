package storetest

import (
	"testing"
	"time"

	"countersign/store"
)

// Retention demands that ended grants and backchannel requests stay known as long as a store is configured to keep them: three
// hours and two. open makes an empty store that does.
func Retention(t *testing.T, open func(t *testing.T, now func() time.Time) store.Store) {
	f := &fixture{T: t, clock: &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}}
	f.Store = open(t, f.clock.Now)
	f.whoIsAsked(false)
	request := f.backchannelRequest()
	request.Subject, request.Ping = "", nil
	f.must(f.StartBackchannel(f.Context(), request, backchannelLimits()))
	grant := f.grant()
	grant.ExpiresAt = request.ExpiresAt
	token := f.accessToken(grant)
	token.ExpiresAt = grant.ExpiresAt
	f.must(f.IssueToken(f.Context(), grant, token))
	there := func() (grants, requests int) {
		f.Helper()
		_, err := f.Purge(f.Context(), 100)
		f.must(err)
		if _, err := f.BackchannelRequest(f.Context(), request.ID); err == nil {
			requests = 1
		}
		user, err := f.UserData(f.Context(), grant.Subject)
		f.must(err)
		return len(user.Grants), requests
	}
	for _, step := range []struct {
		after            time.Duration
		grants, requests int
	}{
		{2*time.Hour - time.Microsecond, 1, 1}, {2 * time.Hour, 1, 0}, {3*time.Hour - time.Microsecond, 1, 0}, {3 * time.Hour, 0, 0},
	} {
		f.clock.set(grant.ExpiresAt.Add(step.after))
		if grants, requests := there(); grants != step.grants || requests != step.requests {
			t.Errorf("%s after the end: %d grants and %d requests, want %d and %d", step.after, grants, requests, step.grants, step.requests)
		}
	}
}
