package audit

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// What an entry has about a person is not in the chain. The line has the SHA-256 of it, and it is kept beside the line, from where
// it can be erased: the chain stays as it is. It begins with a salt of 128 random bits, which goes with it, so that nothing can be
// guessed from the digest that is left.

// personal are the members of a detail that are about a person: whom it is about, and the network address. Signed messages are about
// people in more ways than could be listed, so that each is kept beside the line as a whole, and its signature with it: a
// signature or a digest alone would confirm what somebody guesses.
var personal = [...]string{"subject", "address"}

// ErasedEvent is the event of an entry that says which entries had their personal part erased: its detail names node and entries.
const ErasedEvent = "audit_erased"

// part moves what is about a person out of a detail: the JSON object to be kept beside the line, or nil.
func part(detail map[string]string) (left map[string]string, about []byte, err error) {
	members := map[string]string{}
	for _, name := range personal {
		if value, present := detail[name]; present && value != "" {
			members[name] = value
		}
	}
	if len(members) == 0 || len(members) == len(detail) {
		return detail, nil, nil
	}
	left = make(map[string]string, len(detail))
	for name, value := range detail {
		if _, moved := members[name]; !moved {
			left[name] = value
		}
	}
	members["salt"] = rand.Text()
	about, err = encode(members)
	return left, about, err
}

// personalMember begins the last member of a line that is shown with its personal part.
const personalMember = `,"personal":`

// Join shows a line with its personal part, as a last member; an empty part is none.
func Join(line, about []byte) []byte {
	if len(about) == 0 || len(line) == 0 {
		return line
	}
	return slices.Concat(line[:len(line)-1], []byte(personalMember), about, []byte("}"))
}

// Split undoes [Join]: it returns the line that is in the chain, and the personal part, or nil. Errors wrap [ErrEntry].
func Split(shown []byte) (line, about []byte, err error) {
	entry, err := ParseEntry(shown)
	if err != nil {
		return nil, nil, err
	}
	line, err = entry.chained(shown)
	return line, entry.Personal, err
}

// chained is the line in the chain of an entry that is shown with its personal part, or without.
func (e Entry) chained(shown []byte) ([]byte, error) {
	if e.Personal == nil {
		return shown, nil
	}
	line, found := bytes.CutSuffix(shown, slices.Concat([]byte(personalMember), e.Personal, []byte("}")))
	if !found {
		return nil, fmt.Errorf("%w: its personal part is not at its end", ErrEntry)
	}
	return append(slices.Clip(line), '}'), nil
}

// beside is a personal part.
type beside struct {
	Salt    string   `json:"salt"`
	Subject string   `json:"subject,omitempty"`
	Address string   `json:"address,omitempty"`
	Consent string   `json:"consent,omitempty"`
	Message *Message `json:"message,omitempty"`
}

// apart is the personal part of a message.
func apart(event Event) ([]byte, error) {
	return encode(beside{Salt: rand.Text(), Subject: event.Subject, Consent: event.Consent, Message: &event.Message})
}

func (e Entry) about() (part beside, err error) {
	err = json.Unmarshal(e.Personal, &part)
	return part, err
}

// About is what the entry has about a person, by name: subject and address. It is empty where there is nothing, or no longer.
func (e Entry) About() map[string]string {
	if e.Personal == nil {
		return nil
	}
	part, err := e.about()
	if err != nil {
		return nil
	}
	members := map[string]string{}
	for name, value := range map[string]string{"subject": part.Subject, "address": part.Address} {
		if value != "" {
			members[name] = value
		}
	}
	return members
}

// Whose is the user whom the entry is about, and the consent that its message is about; empty where there is none, or it was erased.
func (e Entry) Whose() (subject, consent string) {
	if e.Personal == nil {
		return "", ""
	}
	part, err := e.about()
	if err != nil {
		return "", ""
	}
	return part.Subject, part.Consent
}

// Everything is the detail with what the entry has about a person.
func (e Entry) Everything() map[string]string {
	all := e.About()
	if len(all) == 0 {
		return e.Detail
	}
	for name, value := range e.Detail {
		all[name] = value
	}
	return all
}

// The faults of a personal part.
var (
	errForeignPart = errors.New("what it has about a person is not what was written")
	errPartMissing = errors.New("what it had about a person is missing, and no entry says that it was erased")
)

// Entries are numbers of entries of one node: ranges, both ends included, in their order.
type Entries [][2]uint64

// EntriesOf makes ranges of numbers, in whatever order.
func EntriesOf(numbers ...uint64) Entries {
	var entries Entries
	for _, number := range slices.Sorted(slices.Values(numbers)) {
		if last := len(entries) - 1; last >= 0 && number <= entries[last][1]+1 {
			entries[last][1] = number
			continue
		}
		entries = append(entries, [2]uint64{number, number})
	}
	return entries
}

// String is as in the detail of an [ErasedEvent], such as "3-5 9".
func (e Entries) String() string {
	texts := make([]string, len(e))
	for i, r := range e {
		texts[i] = strconv.FormatUint(r[0], 10)
		if r[1] > r[0] {
			texts[i] += "-" + strconv.FormatUint(r[1], 10)
		}
	}
	return strings.Join(texts, " ")
}

// Has reports whether a number is among them.
func (e Entries) Has(number uint64) bool {
	_, found := slices.BinarySearchFunc(e, number, func(r [2]uint64, number uint64) int {
		switch {
		case r[1] < number:
			return -1
		case r[0] > number:
			return 1
		}
		return 0
	})
	return found
}

// with merges others into them.
func (e Entries) with(others Entries) Entries {
	all := slices.Concat(e, others)
	slices.SortFunc(all, func(a, b [2]uint64) int { return cmp.Compare(a[0], b[0]) })
	merged := all[:0]
	for _, r := range all {
		if last := len(merged) - 1; last >= 0 && r[0] <= merged[last][1]+1 {
			merged[last][1] = max(merged[last][1], r[1])
			continue
		}
		merged = append(merged, r)
	}
	return merged
}

// Erased are the entries, by node, whose personal part was erased.
type Erased map[string]Entries

// Add takes over what a detail says of erasure, if it is that of an [ErasedEvent].
func (e Erased) Add(detail map[string]string) {
	if detail["event"] != ErasedEvent {
		return
	}
	var entries Entries
	for text := range strings.FieldsSeq(detail["entries"]) {
		first, last, ranged := strings.Cut(text, "-")
		if !ranged {
			last = first
		}
		from, errFrom := strconv.ParseUint(first, 10, 64)
		to, errTo := strconv.ParseUint(last, 10, 64)
		if errFrom != nil || errTo != nil || from > to {
			return
		}
		entries = append(entries, [2]uint64{from, to})
	}
	e[detail["node"]] = e[detail["node"]].with(entries)
}
