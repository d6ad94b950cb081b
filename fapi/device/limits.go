package device

import (
	"time"

	"countersign/fapi/endpoint"
	"countersign/internal/limit"
)

// limits keep users and their devices from being tried out or flooded, on each node by itself. The numbers are far from
// what a user does: a device that does more is not in a user's hands.
type limits struct {
	// signIns counts refused passkeys on the sign-in page by network address; the directory counts passwords.
	signIns *limit.Limiter
	// refused counts refused passkeys and passwords of a user who is to confirm something.
	refused *limit.Limiter
	// decisions counts decisions of a user, whatever they are made with.
	decisions *limit.Limiter
	// changes counts passkeys, devices, codes and subscriptions that a user makes.
	changes *limit.Limiter
	// enrolments counts refused codes by network address.
	enrolments *limit.Limiter
	// calls counts the API calls of one device.
	calls *limit.Limiter
}

// What there was too much of.
const (
	tooManyRefused = "there were too many attempts that were not accepted"
	tooManyChanges = "too much was changed in a short time"
)

func newLimits(now func() time.Time) (*limits, error) {
	l := &limits{}
	for _, one := range []struct {
		limiter **limit.Limiter
		each    time.Duration
		burst   int
	}{
		{&l.signIns, 10 * time.Second, 20},
		{&l.refused, time.Minute, 5},
		{&l.decisions, 2 * time.Second, 30},
		{&l.changes, time.Minute, 10},
		{&l.enrolments, 10 * time.Second, 10},
		{&l.calls, 200 * time.Millisecond, 50},
	} {
		var err error
		if *one.limiter, err = endpoint.NewLimiter(1/one.each.Seconds(), one.burst, now); err != nil {
			return nil, err
		}
	}
	return l, nil
}
