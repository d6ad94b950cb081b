package history

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Kind is a rule that was broken.
type Kind string

// The rules that a store must not break.
const (
	// DoubleSuccess: a one-time thing was used more than once.
	DoubleSuccess Kind = "double success"
	// LostWrite: what was acknowledged is not there when all is over.
	LostWrite Kind = "lost write"
	// Resurrected: something was used after its end had been acknowledged.
	Resurrected Kind = "resurrected"
	// Phantom: a thing was refused as used although nobody can have used it.
	Phantom Kind = "phantom"
	// HalfDone: an operation has left a part of what it writes, or one that was refused has left anything.
	HalfDone Kind = "half done"
)

// Violation is one broken rule.
type Violation struct {
	Kind  Kind
	Thing string
	// Why says what was seen, with who saw it.
	Why string
}

// Verdict is what a history comes to.
type Verdict struct {
	Violations []Violation
	// Things is how many things were raced for, Contended for how many of them another try was under way while the
	// winner's was, and Unwon how many nobody is known to have used.
	Things, Contended, Unwon int
	// Attempts are all tries to use a one-time thing; Won, Refused and Unknown how they ended.
	Attempts, Won, Refused, Unknown int
	// Acknowledged are the operations that were acknowledged and that change something.
	Acknowledged int
	// Looked are the looks at the end.
	Looked int
}

// Of counts the violations of one kind.
func (v Verdict) Of(kind Kind) (n int) {
	for _, found := range v.Violations {
		if found.Kind == kind {
			n++
		}
	}
	return n
}

// mostTold is how many violations an error tells.
const mostTold = 20

// Err is an error that tells the violations; nil when there is none.
func (v Verdict) Err() error {
	var found []error
	for i, one := range v.Violations {
		if i == mostTold {
			found = append(found, fmt.Errorf("and %d more", len(v.Violations)-i))
			break
		}
		found = append(found, fmt.Errorf("%s: %s: %s", one.Kind, one.Thing, one.Why))
	}
	return errors.Join(found...)
}

// Check judges a whole history. The order of the operations does not matter.
func Check(all []Operation) Verdict {
	var v Verdict
	things := map[string][]Operation{}
	for _, operation := range all {
		things[operation.Thing] = append(things[operation.Thing], operation)
	}
	for _, name := range slices.Sorted(maps.Keys(things)) {
		v.judge(name, things[name])
	}
	return v
}

// judge looks at one thing: no rule goes from one thing to another.
func (v *Verdict) judge(name string, operations []Operation) {
	slices.SortStableFunc(operations, func(a, b Operation) int { return cmp.Compare(a.Begun, b.Begun) })
	c := course{name: name, made: map[string]Operation{}, firstEnd: math.MaxInt64}
	for _, o := range operations {
		c.take(o)
	}
	v.Attempts += len(c.consumes)
	if len(c.consumes) > 0 {
		v.Things++
		if len(c.won) == 0 {
			v.Unwon++
		}
	}
	for _, o := range c.consumes {
		switch o.Outcome {
		case OK:
			v.Won++
		case Refused:
			v.Refused++
		default:
			v.Unknown++
		}
	}
	for _, o := range operations {
		if o.Outcome == OK && (o.Verb == Issue || o.Verb == Consume || o.Verb == End) {
			v.Acknowledged++
		}
		if o.Verb == Look {
			v.Looked++
		}
	}
	if c.contended() {
		v.Contended++
	}
	v.Violations = append(v.Violations, c.violations()...)
}

// course is what happened to one thing.
type course struct {
	name                            string
	issued                          bool
	won, consumes, looks, uses, end []Operation
	maybe                           bool // a consume of unknown outcome
	made                            map[string]Operation
	// firstEnd is when the thing's end was first acknowledged: by an End, or by the refusal of a second use of a thing
	// whose second use ends it.
	firstEnd int64
	endedBy  string
}

// endsWhenConsumedTwice reports whether a second use of a thing ends what was issued for the first (RFC 6749 §4.1.2).
func endsWhenConsumedTwice(thing string) bool { return strings.HasPrefix(thing, "code/") }

func (c *course) take(o Operation) {
	switch o.Verb {
	case Issue:
		c.issued = c.issued || o.Outcome == OK
		if o.Made != "-" {
			c.made[o.Made] = o
		}
	case Consume:
		c.consumes = append(c.consumes, o)
		c.made[o.Made] = o
		switch {
		case o.Outcome == OK:
			c.won = append(c.won, o)
		case o.Outcome == Unknown:
			c.maybe = true
		case o.Reason == Consumed && endsWhenConsumedTwice(c.name):
			c.ended(o)
		}
	case Access:
		c.uses = append(c.uses, o)
	case End:
		c.end = append(c.end, o)
		if o.Outcome == OK {
			c.ended(o)
		}
	case Look:
		c.looks = append(c.looks, o)
	}
}

func (c *course) ended(o Operation) {
	if o.Done < c.firstEnd {
		c.firstEnd, c.endedBy = o.Done, o.Process
	}
}

// contended reports whether another try was under way while the winner's was.
func (c *course) contended() bool {
	for _, w := range c.won {
		for _, o := range c.consumes {
			if o != w && o.Begun < w.Done && (o.Done == 0 || o.Done > w.Begun) {
				return true
			}
		}
	}
	return false
}

func (c *course) violations() (found []Violation) {
	say := func(kind Kind, format string, arguments ...any) {
		found = append(found, Violation{kind, c.name, fmt.Sprintf(format, arguments...)})
	}
	if len(c.won) > 1 {
		say(DoubleSuccess, "%s and %s both won", c.won[0].Process, c.won[1].Process)
	}
	mayBeEnded := c.firstEnd != math.MaxInt64 || slices.ContainsFunc(c.end, func(o Operation) bool { return o.Outcome == Unknown })
	for _, o := range c.consumes {
		if o.Outcome != Refused {
			continue
		}
		switch {
		case o.Reason == Consumed && len(c.won) == 0 && !c.maybe:
			say(Phantom, "%s was told that it is used, and nobody used it", o.Process)
		case o.Reason == Consumed && !c.couldHaveWonBefore(o.Done):
			say(Phantom, "%s was told that it is used before anybody began to use it", o.Process)
		case o.Reason == Ended && !mayBeEnded && !c.maybe:
			say(Phantom, "%s was told that it is ended, and nobody ended it", o.Process)
		case o.Reason == Absent && c.issued:
			say(LostWrite, "its issue was acknowledged, and %s was told that there is none", o.Process)
		}
	}
	for _, o := range slices.Concat(c.uses, c.won) {
		if o.Outcome == OK && o.Begun > c.firstEnd {
			say(Resurrected, "%s used it after %s was told of its end", o.Process, c.endedBy)
		}
	}
	for _, o := range c.uses {
		if s, known := c.made[o.Made]; known && s.Outcome == OK && o.Outcome == Refused && o.Reason == Absent && o.Begun > s.Done {
			say(LostWrite, "what %s got for it (%s) is absent for %s", s.Process, o.Made, o.Process)
		}
	}
	for _, o := range c.looks {
		c.look(o, mayBeEnded || c.maybe, say)
	}
	c.whole(say)
	return found
}

// couldHaveWonBefore reports whether anybody who may have won had begun by then.
func (c *course) couldHaveWonBefore(then int64) bool {
	return slices.ContainsFunc(c.consumes, func(o Operation) bool {
		return (o.Outcome == OK || o.Outcome == Unknown) && o.Begun <= then
	})
}

// look holds one look at the end against what was acknowledged.
func (c *course) look(o Operation, mayBeEnded bool, say func(Kind, string, ...any)) {
	if o.Outcome != OK {
		say(LostWrite, "the last look at it failed: %s", o.Reason)
		return
	}
	if o.Made == "-" {
		switch {
		case o.Reason == Absent && c.issued:
			say(LostWrite, "its issue was acknowledged, and it is not there")
		case o.Reason == Fresh && len(c.won) > 0:
			say(LostWrite, "%s was told that it won, and it is not used", c.won[0].Process)
		case o.Reason == Fresh && c.firstEnd != math.MaxInt64, o.Reason == Consumed && c.firstEnd != math.MaxInt64:
			say(LostWrite, "%s was told of its end, and it is valid", c.endedBy)
		case o.Reason == Consumed && len(c.won) == 0 && !c.maybe:
			say(Phantom, "it is used, and nobody used it")
		}
		return
	}
	made, known := c.made[o.Made]
	if !known {
		return
	}
	switch {
	case o.Reason == Absent && made.Outcome == OK:
		say(LostWrite, "what %s was told it got (%s) is not there", made.Process, o.Made)
	case o.Reason == Ended && made.Outcome == OK && !mayBeEnded:
		say(LostWrite, "what %s was told it got (%s) is ended, and nobody ended it", made.Process, o.Made)
	case o.Reason != Absent && made.Outcome == Refused:
		say(HalfDone, "%s was refused (%s), and what it asked for (%s) is there", made.Process, made.Reason, o.Made)
	case o.Reason == There && c.firstEnd != math.MaxInt64:
		say(Resurrected, "%s was told of its end, and %s is valid", c.endedBy, o.Made)
	}
}

// whole finds a thing that is used while nothing that it was used for is there, or more than one, or the other way round.
func (c *course) whole(say func(Kind, string, ...any)) {
	var of string
	looked, present := 0, 0
	for _, o := range c.looks {
		_, known := c.made[o.Made]
		switch {
		case o.Outcome != OK:
			return
		case o.Made == "-":
			of = o.Reason
		case known:
			looked++
			if o.Reason != Absent {
				present++
			}
		}
	}
	if of == "" || looked < len(c.consumes) {
		return // not all was looked at
	}
	switch {
	case present > 1:
		say(DoubleSuccess, "%d of those who tried have got something for it", present)
	case present == 1 && of == Fresh:
		say(HalfDone, "something was got for it, and it is not used")
	case present == 0 && of == Consumed:
		say(HalfDone, "it is used, and nobody has got anything for it")
	}
}
