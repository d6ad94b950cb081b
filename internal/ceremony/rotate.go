package ceremony

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"countersign/internal/console"
	"countersign/internal/hsm"
	"countersign/internal/pause"
	"countersign/signer"
	"countersign/store"
)

// Rotation chooses the key that is replaced, and how fast.
type Rotation struct {
	Algorithm string
	// Use is needed when keys of one algorithm are for different uses.
	Use string
	// Now activates the new key at once, though verifiers may not know it.
	Now bool
	// Wait waits until the new key may be activated.
	Wait bool
}

// Rotate takes the next step: it makes a key and publishes it or, when there is one that every verifier knows by now,
// activates it and retires the old one.
func (c *Ceremony) Rotate(ctx context.Context, r Rotation) error {
	if err := c.check(0); err != nil {
		return err
	}
	old, next, err := c.pair(ctx, r)
	if err != nil {
		return err
	}
	if c.DryRun {
		c.Report(c.planned(r, old, next))
		return nil
	}
	holder, err := hsm.OpenFirst(ctx, c.Signer, nil)
	if err != nil {
		return err
	}
	return errors.Join(c.rotate(ctx, r, holder, old, next), holder.Close())
}

// pair finds the key that signs and the one that is to follow it, whose ID is empty when it is to be made.
func (c *Ceremony) pair(ctx context.Context, r Rotation) (old, next store.Key, err error) {
	keys, err := c.Keys.Keys(ctx)
	if err != nil {
		return old, next, err
	}
	for _, k := range keys {
		if k.Algorithm != r.Algorithm || k.State != string(signer.Active) || r.Use != "" && !slices.Contains(k.Uses, r.Use) {
			continue
		}
		if old.ID != "" && !shareUse(old.Uses, k.Uses) {
			return old, next, fmt.Errorf("there are active %s keys for different uses, %s and %s: say which with --use",
				r.Algorithm, strings.Join(old.Uses, ","), strings.Join(k.Uses, ","))
		}
		if old.ID == "" || k.ActivatedAt.After(old.ActivatedAt) {
			old = k
		}
	}
	if old.ID == "" {
		return old, next, fmt.Errorf("there is no active %s key to be replaced; make the first with: countersign keys generate --alg %[1]s --activate", r.Algorithm)
	}
	for _, k := range keys {
		if k.Algorithm == r.Algorithm && k.State == string(signer.Published) && !k.CreatedAt.Before(old.ActivatedAt) && slices.Equal(k.Uses, old.Uses) {
			next = k
		}
	}
	return old, next, nil
}

// planned is what a dry run reports.
func (c *Ceremony) planned(r Rotation, old, next store.Key) Event {
	if next.ID == "" {
		next.Algorithm = r.Algorithm
		if r.Now {
			return Event{Step: WouldReplace, Key: next, Other: old}
		}
		return Event{Step: WouldPublish, Key: next, Other: old, Wait: signer.KnownAfter}
	}
	if wait := c.unknownFor(next); wait > 0 && !r.Now {
		return Event{Step: WouldWait, Key: next, Other: old, Wait: wait}
	}
	return Event{Step: WouldSwitch, Key: next, Other: old}
}

func (c *Ceremony) rotate(ctx context.Context, r Rotation, holder hsm.Holder, old, next store.Key) error {
	made := next.ID == ""
	if made {
		var err error
		if next, err = Generate(ctx, c.Keys, holder, store.Key{Algorithm: r.Algorithm, Uses: old.Uses, State: string(signer.Published)}, c.Now); err != nil {
			return err
		}
		c.Report(Event{Step: Generated, Key: next})
	}
	if wait := c.unknownFor(next); wait > 0 && !r.Now {
		if !r.Wait {
			c.Report(Event{Step: Pending, Key: next, Wait: wait})
			if !made {
				return nil
			}
			return c.write(ctx, "keys rotate", holder, next, "", next.State)
		}
		c.Report(Event{Step: Waiting, Key: next, Wait: wait})
		if pause.For(ctx, wait) != nil {
			return context.Cause(ctx)
		}
	}
	if len(next.URIs) < len(old.URIs) && !r.Now {
		return fmt.Errorf("the key %s is on %s and its predecessor on %d: copy it with the vendor's tool and run countersign keys import-replica, or give --now",
			next.ID, console.Count(len(next.URIs), "HSM"), len(old.URIs))
	}
	return c.replace(ctx, r, holder, old, next)
}

// replace activates the new key before it retires the old one: at no moment does none sign.
func (c *Ceremony) replace(ctx context.Context, r Rotation, holder hsm.Holder, old, next store.Key) error {
	if err := c.move(ctx, next, signer.Active); err != nil {
		return err
	}
	c.Report(Event{Step: Activated, Key: next})
	if err := c.move(ctx, old, signer.Retiring); err != nil {
		return err
	}
	c.Report(Event{Step: Retired, Key: old})
	if r.Now {
		c.Report(Event{Step: KnownWithin, Key: next, Wait: signer.KnownAfter})
	}
	return c.write(ctx, "keys rotate", holder, next, string(signer.Published), string(signer.Active))
}
