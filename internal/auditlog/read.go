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

// DroppedWaiting finds dropped ranges whose evidence is still pending, for [audit.Options].Dropped.
func DroppedWaiting(ctx context.Context, s store.Audit, now time.Time) (map[string]uint64, error) {
	const most = 10_000
	waiting, err := s.WaitingEvidence(ctx, "", now.Add(time.Hour), most)
	if err != nil {
		return nil, err
	}
	dropped := map[string]uint64{}
	for _, e := range waiting {
		var event audit.Event
		if json.Unmarshal(e.Body, &event) == nil && event.Kind == audit.Dropped {
			node, through := audit.DroppedBy(event.Detail)
			dropped[node] = max(dropped[node], through)
		}
	}
	return dropped, nil
}

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
