package signer

import (
	"cmp"
	"slices"
	"time"
)

const (
	// JWKSMaxAge is how long verifiers may keep a copy of the key set: what the server tells them.
	JWKSMaxAge = 5 * time.Minute
	// KnownAfter is how long after its making every verifier knows a key: the last key set without it may have been given out
	// by a node that learnt of it late, or whose clock is behind.
	KnownAfter = JWKSMaxAge + skew
	// skew is by how much clocks of nodes and verifiers may differ, and how long nodes may take to notice a change.
	skew = time.Minute
)

// Schedule says when keys change.
type Schedule struct {
	// PublishFirst is how long a key is published before it signs; KnownAfter by default.
	PublishFirst time.Duration
	// TokenLifetime is the longest life of what a key signs.
	TokenLifetime time.Duration
	// Every is the time from one key's activation to the next one's; 0 leaves it to people.
	Every time.Duration
}

// Change is a step in the life of a key.
type Change string

// The changes that a schedule asks for.
const (
	// Generate: make a successor of the key.
	Generate Change = "generate"
	// Activate: sign with the key from now on.
	Activate Change = "activate"
	// Retire: sign with the key no more.
	Retire Change = "retire"
	// Copy: a person has to copy the key to as many HSMs as its predecessor is on. It does not sign before.
	Copy Change = "copy"
)

// Step is a change that is due.
type Step struct {
	Change Change
	// Key is the key to be changed, or for Generate the one that needs a successor.
	Key Record
}

func (s Schedule) publishFirst() time.Duration { return cmp.Or(s.PublishFirst, KnownAfter) }

// ActivatableAt is when a published key may sign first: when nobody can have a copy of the key set without it.
func (s Schedule) ActivatableAt(key Record) time.Time { return key.CreatedAt.Add(s.publishFirst()) }

// DestructibleAt is when the last token that a retired key signed has died, on every clock.
func (s Schedule) DestructibleAt(key Record) time.Time {
	return key.RetiredAt.Add(s.TokenLifetime + s.publishFirst() + skew)
}

// Due says what is to be done now with the keys of a catalogue. It is a function of what it is given, so that all
// nodes come to the same answer; each step is taken by one, which the store decides.
//
// A successor is a published key for at least the same uses, younger than the active key's activation. It is activated
// once everybody can know it and it is on as many HSMs as its predecessor, which is retired only afterwards: there is
// never a moment without an active key.
func (s Schedule) Due(records []Record, now time.Time) []Step {
	var steps []Step
	for _, current := range inService(records) {
		for _, key := range records {
			if key.State == Active && key.Algorithm == current.Algorithm && key.ID != current.ID && serves(current, key) && older(key, current) {
				steps = append(steps, Step{Retire, key})
			}
		}
		if s.Every <= 0 {
			continue
		}
		next, ok := successor(records, current)
		replaceAt := current.ActivatedAt.Add(s.Every)
		switch {
		case !ok && !now.Before(replaceAt.Add(-s.publishFirst())):
			steps = append(steps, Step{Generate, current})
		case ok && len(next.URIs) < len(current.URIs):
			steps = append(steps, Step{Copy, next})
		case ok && !now.Before(replaceAt) && !now.Before(s.ActivatableAt(next)):
			steps = append(steps, Step{Activate, next})
		}
	}
	return steps
}

// inService are the keys that serve now: for each algorithm and use the one that was activated last.
func inService(records []Record) []Record {
	var found []Record
	for _, key := range records {
		if key.State != Active {
			continue
		}
		for _, use := range key.Uses {
			better := slices.ContainsFunc(records, func(other Record) bool {
				return other.State == Active && other.Algorithm == key.Algorithm && slices.Contains(other.Uses, use) && older(key, other)
			})
			if !better && !slices.ContainsFunc(found, func(f Record) bool { return f.ID == key.ID }) {
				found = append(found, key)
			}
		}
	}
	return found
}

// older tells which of two active keys gives way. The kid decides between equals, so that all nodes agree.
func older(a, b Record) bool {
	return a.ActivatedAt.Before(b.ActivatedAt) || a.ActivatedAt.Equal(b.ActivatedAt) && a.ID < b.ID
}

// serves reports whether a key signs for every use of another.
func serves(key, other Record) bool {
	return !slices.ContainsFunc(other.Uses, func(use Use) bool { return !slices.Contains(key.Uses, use) })
}

// successor finds the oldest published key that can take over.
func successor(records []Record, current Record) (next Record, found bool) {
	for _, key := range records {
		if key.State == Published && key.Algorithm == current.Algorithm && serves(key, current) &&
			!key.CreatedAt.Before(current.ActivatedAt) && (!found || key.CreatedAt.Before(next.CreatedAt)) {
			next, found = key, true
		}
	}
	return next, found
}
