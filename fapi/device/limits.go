package device

import (
	"time"

	"countersign/fapi/endpoint"
	"countersign/internal/limit"
)

// limits bound guessing and flooding, on each node by itself. Users stay far below these numbers.
type limits struct {
	// signIns limits refused passkeys on the sign-in page by network address; the directory limits passwords.
	signIns *limit.Limiter
	// refused limits refused passkeys and passwords for decisions, by user.
	refused *limit.Limiter
	// decisions limits decisions by user.
	decisions *limit.Limiter
	// changes limits new passkeys, devices, codes and subscriptions by user.
	changes *limit.Limiter
	// enrolments limits refused codes by network address.
	enrolments *limit.Limiter
	// calls limits the API calls of one device.
	calls *limit.Limiter
}

// The descriptions of exceeded limits.
const (
	tooManyRefused = "there were too many failed attempts"
	tooManyChanges = "there were too many changes in a short time"
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
