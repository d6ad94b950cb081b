package fapi

import (
	"net/http"
	"time"

	"countersign/internal/limit"
	"countersign/store"
)

// deviceBrakes keep people and their devices from being tried out or flooded, on each node by itself. The numbers are far
// from what a person does, and a device that does more than a person can is not a person's.
type deviceBrakes struct {
	// signIns counts refused sign-ins on the device's pages by network address.
	signIns *limit.Limiter
	// refused counts refused passkeys and passwords of a person who is to confirm something.
	refused *limit.Limiter
	// decisions counts decisions of a person, whatever they are made with.
	decisions *limit.Limiter
	// changes counts passkeys, devices and codes that a person makes.
	changes *limit.Limiter
	// enrolments counts refused codes by network address.
	enrolments *limit.Limiter
	// calls counts what one device asks for.
	calls *limit.Limiter
}

func newDeviceBrakes(now func() time.Time) (*deviceBrakes, error) {
	b := &deviceBrakes{}
	for _, one := range []struct {
		limiter **limit.Limiter
		each    time.Duration
		burst   int
	}{
		{&b.signIns, 10 * time.Second, 20},
		{&b.refused, time.Minute, 5},
		{&b.decisions, 2 * time.Second, 30},
		{&b.changes, time.Minute, 10},
		{&b.enrolments, 10 * time.Second, 10},
		{&b.calls, 200 * time.Millisecond, 50},
	} {
		var err error
		if *one.limiter, err = limit.New(1/one.each.Seconds(), one.burst, brakeCapacity, now); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// take counts an event and gives the answer when there were too many.
func take(l *limit.Limiter, key, why string) error {
	if ok, wait := l.Allow(key); !ok {
		return tooMany(wait, why)
	}
	return nil
}

// decide counts a decision of a person.
func (b *deviceBrakes) decide(subject string) error {
	return take(b.decisions, subject, "you have decided very often in a short time")
}

// refusedAt gives err, or that there were too many refusals for its key.
func refusedAt(l *limit.Limiter, key string, err error) error {
	if limited := take(l, key, "there were too many attempts that were not accepted"); limited != nil {
		return limited
	}
	return err
}

// call counts a call of a device.
func (b *deviceBrakes) call(device store.Device) error {
	return take(b.calls, device.ID, "this device asks very often")
}

// signInRefused counts a refused sign-in of an address.
func (b *deviceBrakes) signInRefused(r *http.Request, err error) error {
	return refusedAt(b.signIns, addressOf(r), err)
}
