package passkey

import (
	"errors"
	"testing"

	"countersign/internal/passkey/passkeytest"
)

// Covers: FD-27. Authenticators change the backup flag in the field; what is signed otherwise must still be right.
func TestFD27BackupFlag(t *testing.T) {
	const eligible, backedUp = passkeytest.BackupEligible, passkeytest.BackedUp
	for name, test := range map[string]struct {
		registered, used byte
		step             uint32
		stored, now      bool
		refused          bool
	}{
		"accepts one that is synced later":       {0, eligible | backedUp, 1, false, true, false},
		"accepts one that may be synced later":   {0, eligible, 1, false, true, false},
		"accepts one of another app":             {eligible | backedUp, 0, 1, true, false, false},
		"accepts one that is backed up later":    {eligible, eligible | backedUp, 1, true, true, false},
		"accepts a counter that stays 0":         {0, 0, 0, false, false, false},
		"refuses one backed up and not eligible": {0, backedUp, 1, false, false, true},
		"refuses it of one that was eligible":    {eligible, backedUp, 1, true, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := newCeremonies(t)
			a := passkeytest.New(t, origin)
			a.Flags |= test.registered
			a.Step = test.step
			options, err := c.BeginRegistration(here, alice, nil)
			if err != nil {
				t.Fatal(err)
			}
			credential, _, err := c.Register(here, alice, a.Create(t, options))
			if err != nil || credential.Synced != test.stored {
				t.Fatalf("registered %+v, %v", credential, err)
			}
			a.Flags = passkeytest.UserPresent | passkeytest.UserVerified | test.used
			options, err = c.BeginAssertion(here, nil)
			if err != nil {
				t.Fatal(err)
			}
			proven, _, err := c.Assert(here, a.Get(t, options), having(Stored{Subject: alice.Subject, Credential: credential}))
			if test.refused {
				if !errors.Is(err, ErrRefused) {
					t.Errorf("got %v, want a refusal", err)
				}
				return
			}
			if err != nil || proven.SyncedNow != test.now || proven.Synced != test.stored {
				t.Errorf("proven %+v, %v", proven, err)
			}
		})
	}
}

// Covers: FD-28. Where nobody was asked by name the passkey says whose it is, and its key is what its algorithm says.
func TestFD28UserHandleAndKey(t *testing.T) {
	c, _ := newCeremonies(t)
	a, stored := made(t, c)
	named := here
	named.Subject = alice.Subject
	handle := a.UserHandle
	for name, test := range map[string]struct {
		binding Binding
		handle  []byte
		refused bool
	}{
		"accepts the user's handle":              {here, handle, false},
		"accepts none of a user who was asked":   {named, nil, false},
		"refuses none where nobody was asked":    {here, nil, true},
		"refuses that of another":                {here, []byte("another"), true},
		"refuses that of another than was asked": {named, []byte("another"), true},
	} {
		t.Run(name, func(t *testing.T) {
			options, err := c.BeginAssertion(test.binding, nil)
			if err != nil {
				t.Fatal(err)
			}
			a.UserHandle = test.handle
			if _, _, err := c.Assert(test.binding, a.Get(t, options), having(stored)); errors.Is(err, ErrRefused) != test.refused || !test.refused && err != nil {
				t.Errorf("got %v", err)
			}
		})
	}
	for name, algorithm := range map[string][]byte{
		"accepts ES256": {0x26}, "refuses RS256": {0x39, 0x01, 0x00}, "refuses EdDSA": {0x27}, "refuses ES384": {0x38, 0x22}, "refuses PS256": {0x38, 0x24},
	} {
		t.Run(name+" of a key on P-256", func(t *testing.T) {
			a := passkeytest.New(t, origin)
			a.Algorithm = algorithm
			options, err := c.BeginRegistration(here, alice, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := c.Register(here, alice, a.Create(t, options)); (err == nil) != (len(algorithm) == 1 && algorithm[0] == 0x26) {
				t.Errorf("got %v", err)
			}
		})
	}
}
