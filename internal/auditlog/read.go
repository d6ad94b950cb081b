package auditlog

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"countersign/internal/audit"
	"countersign/internal/jose"
	"countersign/signer"
	"countersign/store"
)

// page is how many lines are read at once.
const page = 500

// Position is, by chain, the number of the last line that was read.
type Position map[string]uint64

// Heads is the position after the last line of each chain.
func Heads(ctx context.Context, s store.Audit) (Position, error) {
	heads, err := s.AuditHeads(ctx)
	if err != nil {
		return nil, err
	}
	position := Position{}
	for _, head := range heads {
		position[head.Chain] = head.Sequence
	}
	return position, nil
}

// Each calls yield for every line after a position, chain by chain, and moves the position. An error of yield ends it.
func Each(ctx context.Context, s store.Audit, from Position, yield func(store.AuditLine) error) error {
	heads, err := Heads(ctx, s)
	if err != nil {
		return err
	}
	for _, chain := range slices.Sorted(maps.Keys(heads)) {
		for {
			lines, err := s.AuditLines(ctx, chain, from[chain], page)
			if err != nil {
				return err
			}
			for _, line := range lines {
				if err := yield(line); err != nil {
					return err
				}
				from[chain] = line.Sequence
			}
			if len(lines) < page {
				break
			}
		}
	}
	return nil
}

// mostSaid bounds how much pending evidence is read.
const mostSaid = 100_000

// SaidWaiting finds what was dropped and erased whose evidence is still pending: the Dropped and Erased of [audit.Options].
func SaidWaiting(ctx context.Context, s store.Audit, now time.Time) (audit.Options, error) {
	said := audit.Options{Dropped: map[string]uint64{}, Erased: audit.Erased{}}
	waiting, err := s.WaitingEvidence(ctx, "", now.Add(time.Hour), mostSaid)
	if err != nil {
		return said, err
	}
	for _, e := range waiting {
		var event audit.Event
		if json.Unmarshal(e.Body, &event) == nil {
			say(said, event.Kind, event.Detail)
		}
	}
	return said, nil
}

// say takes over what an entry says of others.
func say(said audit.Options, kind audit.Kind, detail map[string]string) {
	switch kind {
	case audit.Dropped:
		node, through := audit.DroppedBy(detail)
		said.Dropped[node] = max(said.Dropped[node], through)
	case audit.SecurityEvent:
		said.Erased.Add(detail)
	}
}

// Shown is a line as it is exported, printed and verified: with what it has about a person.
func Shown(line store.AuditLine) []byte { return audit.Join([]byte(line.Text), []byte(line.Personal)) }

// Keys are the public keys that seal the log or have sealed it, destroyed ones too.
func Keys(ctx context.Context, s store.Keys) (jose.KeySet, error) {
	known, err := s.Keys(ctx)
	if err != nil {
		return jose.KeySet{}, err
	}
	destroyed, err := s.DestroyedKeys(ctx)
	if err != nil {
		return jose.KeySet{}, err
	}
	var keys []jose.Key
	for _, k := range append(destroyed, known...) {
		if !slices.Contains(k.Uses, string(signer.UseEvidence)) {
			continue
		}
		key, err := jose.ParsePublicJWK(k.Public)
		if err != nil {
			return jose.KeySet{}, fmt.Errorf("the key %s: %w", k.ID, err)
		}
		keys = append(keys, key)
	}
	return jose.NewKeySet(keys...), nil
}

// ReadKeys reads such keys from a file, a JWK Set.
func ReadKeys(file string) (jose.KeySet, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return jose.KeySet{}, err
	}
	keys, err := jose.ParseKeySet(raw)
	if err != nil {
		return jose.KeySet{}, fmt.Errorf("%s: %w", file, err)
	}
	return keys, nil
}
