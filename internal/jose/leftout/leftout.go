// Package leftout names keys of a set that cannot be used (RFC 7517 §5), for those who published it.
package leftout

import (
	"fmt"
	"strings"
)

// Key is a key of a set that cannot be used (RFC 7517 §5). Its texts may be shown: of the set they repeat kid, use
// and alg alone, quoted and bounded.
type Key struct {
	// Position is its place in the set, from 1.
	Position int
	// KeyID is kid, or empty where there is none or it cannot be read.
	KeyID string
	// Reason says what is wrong.
	Reason string
}

// String names the key and the reason.
func (l Key) String() string { return l.Name() + ": " + l.Reason }

// Name is the position and the kid.
func (l Key) Name() string {
	if l.KeyID == "" {
		return fmt.Sprintf("key %d", l.Position)
	}
	return fmt.Sprintf("key %d (kid %s)", l.Position, Quoted(l.KeyID))
}

// Hint goes on after an answer that no key of a set is the right one: it names some of the keys that were left out. It is
// empty if there are none.
func Hint(left []Key) string {
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

// Quoted makes a kid fit to be shown.
func Quoted(keyID string) string {
	const most = 64
	if len(keyID) > most {
		return fmt.Sprintf("%+q…", keyID[:most])
	}
	return fmt.Sprintf("%+q", keyID)
}
