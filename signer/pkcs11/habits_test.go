//go:build cgo && !nopkcs11

package pkcs11_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"countersign/signer"
)

// TestModulesThatGiveFewObjects: a module may give fewer objects at a time than there is room for; all keys are found. One
// that comes to no end is in trouble, and its caller is not kept.
//
// Covers: FD-90.
func TestModulesThatGiveFewObjects(t *testing.T) {
	m := newFaulty(t, buildFaulty(t), newToken(t, t.TempDir()))
	b := open(t, m.config)
	var records []signer.Record
	for range 5 {
		records = append(records, generate(t, b, signer.ES256))
	}
	m.fails("C_FindObjects few")
	killWorker(t, b)
	keys, err := b.List(t.Context())
	if err != nil || len(keys) != len(records) || m.faults() == 0 {
		t.Fatalf("accepts: %d of %d keys, %v; %d faults", len(keys), len(records), err, m.faults())
	}
	for _, record := range records {
		if err := signOnce(t, pinned(t, record, b), "m"); err != nil {
			t.Errorf("accepts: %v", err)
		}
	}
	m.fails("C_FindObjects endless")
	killWorker(t, b)
	if _, err := b.List(t.Context()); !errors.Is(err, signer.ErrUnavailable) {
		t.Errorf("refuses: an endless search: %v", err)
	}
	m.fails("")
	healed(t, pinned(t, records[0], b))
}

// TestListsOfMechanisms: an empty list of allowed mechanisms, or none that can be read, is "not told". What is told binds;
// see [TestWeakKey].
//
// Covers: FD-90.
func TestListsOfMechanisms(t *testing.T) {
	for name, fault := range map[string]string{
		"accepts an empty one":                  "Mechanisms empty",
		"accepts one that is not known":         "Mechanisms 0x12",
		"accepts one that cannot be read":       "Mechanisms 0x6",
		"accepts one with a code of the vendor": "Mechanisms 0x80000069",
	} {
		t.Run(name, func(t *testing.T) {
			m := newFaulty(t, buildFaulty(t), newToken(t, t.TempDir()))
			b := open(t, m.config)
			record := generate(t, b, signer.PS256)
			m.fails(fault)
			killWorker(t, b)
			keys, err := b.List(t.Context())
			if err != nil || len(keys) != 1 || keys[0].Refused != "" || m.faults() == 0 {
				t.Fatalf("%+v, %v, %d faults", keys, err, m.faults())
			}
			if err := signOnce(t, pinned(t, record, b), "m"); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTokenOfFewSessions: a token with fewer sessions than are asked for signs in those that it has, which is told; one with
// none to sign in does not.
//
// Covers: FD-90.
func TestTokenOfFewSessions(t *testing.T) {
	m := newTried(t, buildFaulty(t), newToken(t, t.TempDir()))
	m.pin(m.right)
	m.config.Sessions = 4
	b := m.prepared()
	m.fails("C_OpenSession three")
	var wait sync.WaitGroup
	if err := b.Connect(t.Context()); err != nil {
		t.Fatalf("accepts: %v", err)
	}
	m.fails("")
	key := pinned(t, generate(t, b, signer.ES256), b)
	for range 20 {
		wait.Go(func() {
			if err := signOnce(t, key, "m"); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if !strings.Contains(m.log.String(), `msg="token has fewer sessions than signer.sessions" count=2`) {
		t.Errorf("the log says\n%s", &m.log)
	}
	m.fails("C_OpenSession 0xb1")
	killWorker(t, b)
	if err := signOnce(t, key, "m"); !errors.Is(err, signer.ErrUnavailable) || !strings.Contains(err.Error(), "CKR_SESSION_COUNT") {
		t.Errorf("refuses: %v", err)
	}
}
