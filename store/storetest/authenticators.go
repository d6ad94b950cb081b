package storetest

import (
	"errors"
	"fmt"
	"time"

	"countersign/store"
)

func (f *fixture) putUser(subject string, disabled bool) {
	f.Helper()
	f.must(f.PutUser(f.Context(), store.User{
		Subject: subject, Username: subject, Disabled: disabled, CreatedAt: f.clock.Now(), UpdatedAt: f.clock.Now(),
	}))
}

func (f *fixture) passkey(subject string) store.Passkey {
	id := f.digest()
	return store.Passkey{
		ID: id[:20], Subject: subject, PublicKey: []byte{0xa5, 0, 0xff}, AAGUID: make([]byte, 16), Name: "é phone",
		Synced: true, SignCount: 1<<32 - 10, CreatedAt: f.clock.Now(),
	}
}

func (f *fixture) device(subject string) store.Device {
	return store.Device{
		ID: fmt.Sprint("device ", f.number()), Subject: subject, Name: "é phone", JKT: fmt.Sprint("thumbprint ", f.number()),
		ACR: "urn:example:class", CreatedAt: f.clock.Now(),
	}
}

// testStartSession: a session without an interaction lives as long as it says and as its user may sign in.
func testStartSession(f *fixture) {
	session := f.session()
	_, err := f.Session(f.Context(), session.ID)
	f.want(err, store.ErrNotFound)
	f.must(f.StartSession(f.Context(), session, store.Digest{}))
	got, err := f.Session(f.Context(), session.ID)
	f.must(err)
	f.equal(got, session)
	f.want(f.StartSession(f.Context(), session, store.Digest{}), store.ErrConflict)

	next := f.session()
	f.must(f.StartSession(f.Context(), next, session.ID))
	_, err = f.Session(f.Context(), session.ID)
	f.want(err, store.ErrNotFound)
	f.putUser("subject", true)
	_, err = f.Session(f.Context(), next.ID)
	f.want(err, store.ErrNotFound)
	f.putUser("subject", false)
	f.clock.set(next.ExpiresAt.Add(-time.Microsecond))
	_, err = f.Session(f.Context(), next.ID)
	f.must(err)
	f.clock.set(next.ExpiresAt)
	_, err = f.Session(f.Context(), next.ID)
	f.want(err, store.ErrNotFound)
}

func testPasskeys(f *fixture) {
	first, second, others := f.passkey("subject"), f.passkey("subject"), f.passkey("other")
	second.CreatedAt = second.CreatedAt.Add(time.Second)
	oneTime := f.oneTime()
	f.must(f.AddPasskey(f.Context(), second, oneTime))
	f.want(f.AddPasskey(f.Context(), first, oneTime), store.ErrReplayed)
	f.must(f.AddPasskey(f.Context(), first))
	f.must(f.AddPasskey(f.Context(), others))
	again := first
	again.Subject = "other"
	kept := f.oneTime()
	f.want(f.AddPasskey(f.Context(), again, kept), store.ErrConflict)
	f.must(f.ConsumeOneTime(f.Context(), kept)) // all or nothing

	got, err := f.Passkey(f.Context(), first.ID)
	f.must(err)
	f.equal(got, first)
	all, err := f.Passkeys(f.Context(), "subject")
	f.must(err)
	f.equal(all, []store.Passkey{first, second})
	f.want(f.RemovePasskey(f.Context(), "other", first.ID), store.ErrNotFound)
	f.must(f.RemovePasskey(f.Context(), "subject", first.ID))
	f.want(f.RemovePasskey(f.Context(), "subject", first.ID), store.ErrNotFound)
	_, err = f.Passkey(f.Context(), first.ID)
	f.want(err, store.ErrNotFound)
}

// testUsePasskey: a counter that does not grow shows a cloned passkey, which is recorded.
func testUsePasskey(f *fixture) {
	f.putUser("subject", false)
	passkey := f.passkey("subject")
	passkey.Synced = false
	f.must(f.AddPasskey(f.Context(), passkey))
	f.clock.set(f.clock.Now().Add(time.Second))
	oneTime := f.oneTime()
	f.must(f.UsePasskey(f.Context(), passkey.ID, store.PasskeyUse{SignCount: passkey.SignCount + 1}, oneTime))
	f.want(f.UsePasskey(f.Context(), passkey.ID, store.PasskeyUse{SignCount: passkey.SignCount + 2}, oneTime), store.ErrReplayed)
	passkey.SignCount++
	passkey.UsedAt = f.clock.Now()
	got, err := f.Passkey(f.Context(), passkey.ID)
	f.must(err)
	f.equal(got, passkey)

	f.putUser("subject", true)
	fresh := f.oneTime()
	f.want(f.UsePasskey(f.Context(), passkey.ID, store.PasskeyUse{SignCount: passkey.SignCount}, fresh), store.ErrNotFound)
	f.must(f.ConsumeOneTime(f.Context(), fresh)) // it was not consumed
	f.putUser("subject", false)

	f.clock.set(f.clock.Now().Add(time.Second))
	claimed := f.oneTime()
	f.want(f.UsePasskey(f.Context(), passkey.ID, store.PasskeyUse{SignCount: passkey.SignCount}, claimed), store.ErrConflict)
	f.want(f.ConsumeOneTime(f.Context(), claimed), store.ErrReplayed)
	passkey.ClonedAt = f.clock.Now()
	got, err = f.Passkey(f.Context(), passkey.ID)
	f.must(err)
	f.equal(got, passkey)
	f.want(f.UsePasskey(f.Context(), passkey.ID, store.PasskeyUse{SignCount: passkey.SignCount + 5}), store.ErrRevoked)
	f.want(f.UsePasskey(f.Context(), []byte("unknown passkey"), store.PasskeyUse{SignCount: 1}), store.ErrNotFound)

	moved := f.passkey("subject") // begins to be synced: from then on its copies count each for itself
	moved.Synced = false
	f.must(f.AddPasskey(f.Context(), moved))
	f.must(f.UsePasskey(f.Context(), moved.ID, store.PasskeyUse{SignCount: moved.SignCount, Synced: true}))
	f.must(f.UsePasskey(f.Context(), moved.ID, store.PasskeyUse{SignCount: 0, Synced: true}))
	f.must(f.UsePasskey(f.Context(), moved.ID, store.PasskeyUse{SignCount: 0}))
	got, err = f.Passkey(f.Context(), moved.ID)
	f.must(err)
	moved.Synced, moved.SignCount, moved.UsedAt = true, 0, f.clock.Now()
	f.equal(got, moved)

	silent := f.passkey("subject") // one that does not count
	silent.SignCount, silent.Synced = 0, false
	f.must(f.AddPasskey(f.Context(), silent))
	f.must(f.UsePasskey(f.Context(), silent.ID, store.PasskeyUse{SignCount: 0}))
	f.must(f.UsePasskey(f.Context(), silent.ID, store.PasskeyUse{SignCount: 0}))
	f.must(f.UsePasskey(f.Context(), silent.ID, store.PasskeyUse{SignCount: 7}))
	f.want(f.UsePasskey(f.Context(), silent.ID, store.PasskeyUse{SignCount: 0}), store.ErrConflict)
}

func testDevices(f *fixture) {
	f.putUser("subject", false)
	first, second, others := f.device("subject"), f.device("subject"), f.device("other")
	second.CreatedAt = second.CreatedAt.Add(time.Second)
	for _, device := range []store.Device{second, first, others} {
		f.must(f.AddDevice(f.Context(), device))
	}
	same := f.device("other")
	same.JKT = first.JKT
	f.want(f.AddDevice(f.Context(), same), store.ErrConflict)
	all, err := f.Devices(f.Context(), "subject")
	f.must(err)
	f.equal(all, []store.Device{first, second})

	oneTime := f.oneTime()
	f.must(f.UseDevice(f.Context(), first.ID, oneTime))
	f.want(f.UseDevice(f.Context(), first.ID, oneTime), store.ErrReplayed)
	first.UsedAt = f.clock.Now()
	got, err := f.DeviceByKey(f.Context(), first.JKT)
	f.must(err)
	f.equal(got, first)
	_, err = f.DeviceByKey(f.Context(), "unknown")
	f.want(err, store.ErrNotFound)

	f.putUser("subject", true)
	fresh := f.oneTime()
	f.want(f.UseDevice(f.Context(), first.ID, fresh), store.ErrNotFound)
	f.must(f.ConsumeOneTime(f.Context(), fresh)) // it was not consumed
	f.putUser("subject", false)
	f.want(f.RemoveDevice(f.Context(), "other", first.ID), store.ErrNotFound)
	f.must(f.RemoveDevice(f.Context(), "subject", first.ID))
	f.want(f.RemoveDevice(f.Context(), "subject", first.ID), store.ErrNotFound)
	f.want(f.UseDevice(f.Context(), first.ID), store.ErrNotFound)
}

// testKeepDevices: what a user keeps counts as kept until a first passkey is added, which also ends a pending code.
func testKeepDevices(f *fixture) {
	f.putUser("subject", false)
	device, others := f.device("subject"), f.device("other")
	f.must(f.AddDevice(f.Context(), device))
	f.must(f.AddDevice(f.Context(), others))
	all := func(want ...store.Device) {
		f.Helper()
		got, err := f.Devices(f.Context(), "subject")
		f.must(err)
		f.equal(got, want)
	}
	f.must(f.KeepDevices(f.Context(), "subject"))
	device.KeptAt = f.clock.Now()
	all(device)
	f.clock.set(f.clock.Now().Add(time.Second))
	f.must(f.KeepDevices(f.Context(), "subject")) // it stays the first time
	all(device)
	untouched, err := f.Devices(f.Context(), "other")
	f.must(err)
	f.equal(untouched, []store.Device{others})

	f.putUser("other", false)
	known := f.passkey("other")
	f.must(f.AddPasskey(f.Context(), known))
	enrolment, elsewhere := f.enrolment("subject"), f.enrolment("other")
	f.must(f.PutEnrolment(f.Context(), enrolment))
	f.must(f.PutEnrolment(f.Context(), elsewhere))
	again := known
	again.Subject = "subject"
	f.want(f.AddPasskey(f.Context(), again), store.ErrConflict) // all or nothing: the device stays kept, the code valid
	all(device)
	data, err := f.UserData(f.Context(), "subject")
	f.must(err)
	f.equal(len(data.Enrolments), 1)
	f.must(f.AddPasskey(f.Context(), f.passkey("subject")))
	device.KeptAt = time.Time{}
	all(device)
	_, err = f.Enrol(f.Context(), enrolment.ID, f.device(""))
	f.want(err, store.ErrNotFound)
	_, err = f.Enrol(f.Context(), elsewhere.ID, f.device(""))
	f.must(err)
	f.must(f.KeepDevices(f.Context(), "subject"))
	device.KeptAt = f.clock.Now()
	f.must(f.AddPasskey(f.Context(), f.passkey("subject")))
	all(device) // a second passkey asks nothing
}

func (f *fixture) enrolment(subject string) store.Enrolment {
	return store.Enrolment{
		ID: f.digest(), Subject: subject, ACR: "urn:example:sign-in", CreatedAt: f.clock.Now(),
		ExpiresAt: f.clock.Now().Add(10 * time.Minute),
	}
}

func testEnrol(f *fixture) {
	f.putUser("subject", false)
	replaced, enrolment := f.enrolment("subject"), f.enrolment("subject")
	f.must(f.PutEnrolment(f.Context(), replaced))
	f.must(f.PutEnrolment(f.Context(), enrolment))
	device, oneTime := f.device("somebody else"), f.oneTime()
	_, err := f.Enrol(f.Context(), replaced.ID, device, oneTime)
	f.want(err, store.ErrNotFound)
	f.putUser("subject", true)
	_, err = f.Enrol(f.Context(), enrolment.ID, device, oneTime)
	f.want(err, store.ErrNotFound)
	f.putUser("subject", false)
	f.clock.set(enrolment.ExpiresAt)
	_, err = f.Enrol(f.Context(), enrolment.ID, device, oneTime)
	f.want(err, store.ErrExpired)
	f.clock.set(enrolment.ExpiresAt.Add(-time.Microsecond))

	taken := f.device("other")
	f.must(f.AddDevice(f.Context(), taken))
	same := f.device("")
	same.JKT = taken.JKT
	_, err = f.Enrol(f.Context(), enrolment.ID, same, oneTime)
	f.want(err, store.ErrConflict)
	consumed := f.oneTime()
	f.must(f.ConsumeOneTime(f.Context(), consumed))
	_, err = f.Enrol(f.Context(), enrolment.ID, device, consumed)
	f.want(err, store.ErrReplayed)

	got, err := f.Enrol(f.Context(), enrolment.ID, device, oneTime)
	f.must(err)
	device.Subject, device.ACR = "subject", enrolment.ACR
	f.equal(got, device)
	f.want(f.ConsumeOneTime(f.Context(), oneTime), store.ErrReplayed)
	_, err = f.Enrol(f.Context(), enrolment.ID, f.device(""))
	f.want(err, store.ErrNotFound)
	all, err := f.Devices(f.Context(), "subject")
	f.must(err)
	f.equal(all, []store.Device{device})

	f.must(f.PutEnrolment(f.Context(), f.enrolment("subject")))
	f.clock.set(f.clock.Now().Add(3 * time.Hour))
	f.purged()
	f.forgotten(oneTime)
}

func testSubscriptions(f *fixture) {
	subscription := store.Subscription{
		ID: f.digest(), Subject: "subject", Endpoint: "https://push.example/1?é", KeyID: "kid", CreatedAt: f.clock.Now(),
	}
	f.must(f.PutSubscription(f.Context(), subscription))
	all, err := f.Subscriptions(f.Context(), "subject")
	f.must(err)
	f.equal(all, []store.Subscription{subscription})

	subscription.Subject, subscription.KeyID = "other", "another" // the same browser, another user
	f.must(f.PutSubscription(f.Context(), subscription))
	all, err = f.Subscriptions(f.Context(), "subject")
	f.must(err)
	f.equal(len(all), 0)
	all, err = f.Subscriptions(f.Context(), "other")
	f.must(err)
	f.equal(all, []store.Subscription{subscription})
	f.must(f.RemoveSubscription(f.Context(), subscription.ID))
	f.must(f.RemoveSubscription(f.Context(), subscription.ID))
	all, err = f.Subscriptions(f.Context(), "other")
	f.must(err)
	f.equal(len(all), 0)
}

func testRaceEnrol(f *fixture) {
	f.putUser("subject", false)
	enrolment := f.enrolment("subject")
	f.must(f.PutEnrolment(f.Context(), enrolment))
	devices := make([]store.Device, racers)
	for i := range devices {
		devices[i] = f.device("")
	}
	f.winner(race(func(i int) error {
		_, err := f.Enrol(f.Context(), enrolment.ID, devices[i])
		return err
	}), store.ErrNotFound)
	all, err := f.Devices(f.Context(), "subject")
	f.must(err)
	f.equal(len(all), 1)
}

// testRaceUsePasskey: two uses with the same counter cannot both be the passkey's.
func testRaceUsePasskey(f *fixture) {
	f.putUser("subject", false)
	passkey := f.passkey("subject")
	passkey.Synced = false
	f.must(f.AddPasskey(f.Context(), passkey))
	won, copies := 0, 0
	for _, err := range race(func(int) error {
		return f.UsePasskey(f.Context(), passkey.ID, store.PasskeyUse{SignCount: passkey.SignCount + 1})
	}) {
		switch {
		case err == nil:
			won++
		case errors.Is(err, store.ErrConflict):
			copies++
		default:
			f.want(err, store.ErrRevoked)
		}
	}
	if won != 1 || copies != 1 {
		f.Errorf("%d uses of one counter were taken and %d noticed as copies, want 1 and 1", won, copies)
	}

	oneTime := f.oneTime()
	silent := f.passkey("subject")
	silent.SignCount, silent.Synced = 0, false
	f.must(f.AddPasskey(f.Context(), silent))
	f.winner(race(func(int) error { return f.UsePasskey(f.Context(), silent.ID, store.PasskeyUse{SignCount: 0}, oneTime) }), store.ErrReplayed)
}
