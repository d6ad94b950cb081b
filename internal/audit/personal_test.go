package audit_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"countersign/internal/audit"
)

// about is an event about a user.
func about(subject string) audit.Event {
	return audit.Event{Kind: audit.SecurityEvent, ClientID: "app", Detail: map[string]string{
		"event": "signed_in", "subject": subject, "address": "192.0.2.7", "acr": `<"é">`,
	}}
}

func (n notary) append(t *testing.T, chain *audit.Chain, event audit.Event) []byte {
	t.Helper()
	line, err := chain.Append(noon, event)
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// without is a line whose personal part was taken away.
func without(t *testing.T, shown []byte) []byte {
	t.Helper()
	line, about, err := audit.Split(shown)
	if err != nil || len(about) == 0 {
		t.Fatalf("%s, %v", about, err)
	}
	return line
}

// Covers: KA-08. What an event has about a person is beside the line, salted, and comes back whole.
func TestPersonalPart(t *testing.T) {
	n := newNotary(t, "ES256")
	chain := audit.NewChain("a")
	first, second := n.append(t, chain, about("sub-alice")), n.append(t, chain, about("sub-alice"))
	t.Run("accepts the whole of it", func(t *testing.T) {
		entry, err := audit.ParseEntry(first)
		if err != nil || !maps.Equal(entry.Everything(), about("sub-alice").Detail) {
			t.Errorf("read %v, %v", entry.Everything(), err)
		}
		if got := entry.About(); len(got) != 2 || got["subject"] != "sub-alice" || got["address"] != "192.0.2.7" {
			t.Errorf("about %v", got)
		}
		line, personal, err := audit.Split(first)
		if err != nil || !bytes.Equal(audit.Join(line, personal), first) {
			t.Errorf("split into %s and %s, %v", line, personal, err)
		}
	})
	t.Run("refuses it in the chain", func(t *testing.T) {
		line := without(t, first)
		if bytes.Contains(line, []byte("sub-alice")) || bytes.Contains(line, []byte("192.0.2.7")) {
			t.Errorf("in the chain is %s", line)
		}
		entry, err := audit.ParseEntry(line)
		if err != nil || entry.PersonalDigest == "" || len(entry.About()) != 0 || entry.Everything()["event"] != "signed_in" {
			t.Errorf("read %+v, %v", entry, err)
		}
		next, err := audit.ParseEntry(second)
		if err != nil || next.Previous != audit.Hash(line) {
			t.Errorf("the next one follows %q, not %q", next.Previous, audit.Hash(line))
		}
	})
	t.Run("refuses a digest from which the person could be guessed", func(t *testing.T) {
		a, _ := audit.ParseEntry(first)
		b, _ := audit.ParseEntry(second)
		if a.PersonalDigest == b.PersonalDigest || bytes.Equal(a.Personal, b.Personal) {
			t.Errorf("twice %s", a.PersonalDigest)
		}
	})
	t.Run("refuses a personal part that is not at the end", func(t *testing.T) {
		_, personal, _ := audit.Split(first)
		moved := append(fmt.Appendf(nil, `{"personal":%s,`, personal), without(t, first)[1:]...)
		if line, _, err := audit.Split(moved); err == nil {
			t.Errorf("split off %s", line)
		}
	})
	t.Run("accepts an event about nobody, and a checkpoint, as they are", func(t *testing.T) {
		for _, line := range append(n.grow(t, chain, 1)[1:], n.append(t, chain, audit.Event{Kind: audit.SecurityEvent, Detail: map[string]string{"event": "key_added"}})) {
			if got, personal, err := audit.Split(line); err != nil || personal != nil || !bytes.Equal(got, line) || bytes.Contains(line, []byte("personal")) {
				t.Errorf("split into %s and %s, %v", got, personal, err)
			}
		}
	})
}

// Covers: KA-09. The verifier knows what was erased with a record of it from what was taken away or exchanged.
func TestErasureIsProven(t *testing.T) {
	n := newNotary(t, "ES256")
	record := func(node, entries string) audit.Event {
		return audit.Event{Kind: audit.SecurityEvent, Detail: map[string]string{"event": audit.ErasedEvent, "node": node, "entries": entries, "by": "o"}}
	}
	erase := func(numbers ...int) func(t *testing.T, lines [][]byte) {
		return func(t *testing.T, lines [][]byte) {
			for _, number := range numbers {
				lines[number-1] = without(t, lines[number-1])
			}
		}
	}
	for name, test := range map[string]struct {
		record audit.Event
		tamper func(t *testing.T, lines [][]byte)
		beside audit.Erased
		erased int
		want   []string
	}{
		"accepts a log from which nothing was erased":       {record("a", "2-3"), erase(), nil, 0, nil},
		"accepts what was erased and is recorded":           {record("a", "2-3"), erase(2, 3), nil, 2, nil},
		"accepts what was erased and is recorded elsewhere": {record("b", "2"), erase(2), audit.Erased{"a": audit.EntriesOf(2)}, 1, nil},
		"refuses what was taken away":                       {record("a", "3"), erase(2, 3), nil, 1, []string{"incomplete 2-2"}},
		"refuses what is recorded of another node":          {record("b", "2-3"), erase(2), nil, 0, []string{"incomplete 2-2"}},
		"refuses a record that cannot be read":              {record("a", "2-x"), erase(2), nil, 0, []string{"incomplete 2-2"}},
		"refuses a record of another kind":                  {audit.Event{Kind: audit.Dropped, Detail: record("a", "2").Detail}, erase(2), nil, 0, []string{"incomplete 2-2"}},
		"refuses a personal part of another entry": {record("a", "2-3"), func(t *testing.T, lines [][]byte) {
			_, personal, _ := audit.Split(lines[2])
			lines[1] = audit.Join(without(t, lines[1]), personal)
		}, nil, 0, []string{"changed 2-2"}},
		"refuses a personal part where there was none": {record("a", "2"), func(_ *testing.T, lines [][]byte) {
			lines[0] = audit.Join(lines[0], []byte(`{"salt":"x","subject":"mallory"}`))
		}, nil, 0, []string{"changed 1-1"}},
		"refuses a digest that was taken away with it": {record("a", "2"), func(t *testing.T, lines [][]byte) {
			line := without(t, lines[1])
			at := bytes.Index(line, []byte(`,"personal_sha-256"`))
			lines[1] = append(slices.Clone(line[:at]), '}')
		}, nil, 0, []string{"changed 2-2"}},
	} {
		t.Run(name, func(t *testing.T) {
			chain := audit.NewChain("a")
			lines := [][]byte{n.append(t, chain, audit.Event{Kind: audit.SecurityEvent, Detail: map[string]string{"event": "key_added"}})}
			for _, subject := range []string{"alice", "bob"} {
				lines = append(lines, n.append(t, chain, about(subject)))
			}
			lines = append(lines, n.append(t, chain, test.record))
			lines = append(lines, n.grow(t, chain, 1)...)
			test.tamper(t, lines)
			report := verify(lines, audit.Options{Keys: n.keys, Erased: test.beside})
			var got []string
			for _, finding := range report.Findings {
				got = append(got, fmt.Sprintf("%s %d-%d", finding.Fault, finding.From, finding.To))
			}
			if !slices.Equal(got, test.want) || report.Erased != test.erased || report.Unsealed != 0 {
				t.Errorf("found %q, want %q: %+v", got, test.want, report)
			}
		})
	}
}

// TestEntries: numbers as ranges, as text and back.
func TestEntries(t *testing.T) {
	entries := audit.EntriesOf(9, 3, 4, 4, 5, 11, 12)
	if got := entries.String(); got != "3-5 9 11-12" {
		t.Errorf("written as %q", got)
	}
	erased := audit.Erased{}
	erased.Add(map[string]string{"event": audit.ErasedEvent, "node": "a", "entries": "3-5 11-12"})
	erased.Add(map[string]string{"event": audit.ErasedEvent, "node": "a", "entries": "9 4"})
	erased.Add(map[string]string{"event": "other", "node": "a", "entries": "1"})
	erased.Add(map[string]string{"event": audit.ErasedEvent, "node": "a", "entries": "8-7 1"})
	if got := erased["a"].String(); got != entries.String() || len(erased) != 1 {
		t.Errorf("read as %q of %v", got, erased)
	}
	var has []string
	for number := range uint64(15) {
		if erased["a"].Has(number) {
			has = append(has, fmt.Sprint(number))
		}
	}
	if got := strings.Join(has, " "); got != "3 4 5 9 11 12" {
		t.Errorf("has %s", got)
	}
}
