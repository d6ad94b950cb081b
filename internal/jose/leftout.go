package jose

import (
	"fmt"
	"strings"
)

// LeftOut is a key of a set that cannot be used (RFC 7517 §5). Its texts may be shown: of the set they repeat kid, use
// and alg alone, quoted and bounded.
type LeftOut struct {
	// Position is its place in the set, from 1.
	Position int
	// KeyID is kid, or empty where there is none or it cannot be read.
	KeyID string
	// Reason says what is wrong.
	Reason string
}

// String names the key and the reason.
func (l LeftOut) String() string { return l.Name() + ": " + l.Reason }

// Name is the position and the kid.
func (l LeftOut) Name() string {
	if l.KeyID == "" {
		return fmt.Sprintf("key %d", l.Position)
	}
	return fmt.Sprintf("key %d (kid %s)", l.Position, quoted(l.KeyID))
}

// otherKey is a key that verifies no signature, and what else it may be good for.
type otherKey struct {
	LeftOut

	receives, certifies bool
	// transport keys say by their use that they are for TLS.
	transport bool
}

// LeftOut are the keys that are of no use, in the order of the set. Those for encryption are of use, and those whose use is
// TLS; byCertificate makes also the others that can only be in a certificate, for a client that authenticates with
// self-signed ones.
func (s KeySet) LeftOut(byCertificate bool) []LeftOut {
	var left []LeftOut
	for _, other := range s.others {
		if !other.receives && !(other.certifies && (other.transport || byCertificate)) {
			left = append(left, other.LeftOut)
		}
	}
	return left
}

// Hint goes on after an answer that no key of a set is the right one: it names some of the keys that were left out. It is
// empty if there are none.
func Hint(left []LeftOut) string {
	const most = 3
	if len(left) == 0 {
		return ""
	}
	var names []string
	for _, one := range left[:min(len(left), most)] {
		names = append(names, one.String())
	}
	text := "; not usable: " + strings.Join(names, ", ")
	if more := len(left) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// whyNone goes on after the answer that the set has no key for an algorithm and a kid, if one was named: what became of
// the key that was meant.
func (s KeySet) whyNone(keyID, algorithm string) string {
	if keyID == "" {
		return Hint(s.LeftOut(false))
	}
	var unnamed []LeftOut
	for _, other := range s.others {
		if other.KeyID == keyID {
			return ": " + other.LeftOut.String()
		}
		if other.KeyID == "" && !other.receives && !other.certifies {
			unnamed = append(unnamed, other.LeftOut)
		}
	}
	if same := s.byID[keyID]; len(same) > 0 {
		return ": the one with this kid is for " + ownAlgorithm(s.keys[same[0]].Public)
	}
	return Hint(unnamed)
}

// shownReason is an error of reading a key without the kind of the error, which all have in common.
func shownReason(err error) string {
	return strings.TrimPrefix(err.Error(), ErrMalformed.Error()+": ")
}
