package jose

import (
	"strings"

	"countersign/internal/jose/leftout"
)

// LeftOut is a key of a set that cannot be used; see package leftout.
type LeftOut = leftout.Key

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

// Hint goes on after an answer that no key of a set is the right one; see [leftout.Hint].
func Hint(left []LeftOut) string { return leftout.Hint(left) }

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
