//go:build cgo && !nopkcs11

package pkcs11_test

import (
	"errors"
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
