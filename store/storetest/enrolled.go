package storetest

import (
	"context"
	"testing"
	"time"

	"countersign/store"
)

// EnrolledBefore shows that a code or a device of the release before has no authentication context class, even when its code
// took the place of one that had. replace is the statement by which that release stores a code whose ID is 32 bytes of 0x01,
// device the one by which it stores a device with the key "old".
func EnrolledBefore(t *testing.T, s store.Store, execute func(statement string), replace, device string) {
	t.Helper()
	ctx, now := context.WithoutCancel(t.Context()), time.Now().Truncate(time.Microsecond)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.PutUser(ctx, store.User{Subject: "subject", Username: "subject", CreatedAt: now, UpdatedAt: now}))
	code := store.Enrolment{
		ID: store.DigestOf("code"), Subject: "subject", ACR: "urn:example:strong", CreatedAt: now, ExpiresAt: now.Add(time.Hour),
	}
	must(s.PutEnrolment(ctx, code))
	execute(replace)
	execute(device)
	var replaced store.Digest
	for i := range replaced {
		replaced[i] = 1
	}
	enrolled, err := s.Enrol(ctx, replaced, store.Device{ID: "new", Name: "new", JKT: "new", CreatedAt: now})
	must(err)
	if enrolled.Subject != "subject" || enrolled.ACR != "" {
		t.Errorf("a code of the release before enrols %+v", enrolled)
	}
	old, err := s.DeviceByKey(ctx, "old")
	must(err)
	if old.ACR != "" || !old.KeptAt.IsZero() {
		t.Errorf("a device of the release before is %+v", old)
	}
}
