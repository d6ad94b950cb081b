package ceremony

import (
	"context"
	"errors"
	"fmt"
	"time"

	"countersign/internal/hsm"
	"countersign/signer"
	"countersign/store"
)

// Destroy takes a key out of the key set and out of every HSM, for ever. Two people have to answer for it. With now it does
// not wait until the last token that the key signed has expired.
func (c *Ceremony) Destroy(ctx context.Context, id string, now bool) error {
	const people = 2
	if err := c.check(people); err != nil {
		return err
	}
	k, keys, err := Find(ctx, c.Keys, id)
	if err != nil {
		return err
	}
	if err := c.destructible(k, keys, now); err != nil {
		return err
	}
	if c.DryRun {
		c.Report(Event{Step: WouldDestroy, Key: k})
		return nil
	}
	tokens, err := hsm.OpenAll(ctx, c.Signer)
	if err != nil {
		return err
	}
	return errors.Join(c.destroy(ctx, tokens, k), tokens.Close())
}

// destructible returns why a key must not be destroyed now.
func (c *Ceremony) destructible(k store.Key, keys []store.Key, now bool) error {
	record, err := hsm.Record(k)
	if err != nil {
		return err
	}
	switch record.State {
	case signer.Active:
		if lost := lostWith(k, keys); len(lost) > 0 {
			return fmt.Errorf("%w, or retire it with --last", lastActive(k, lost[0]))
		}
		return fmt.Errorf("the key %s is active: retire it first", k.ID)
	case signer.Retiring:
		if wait := c.Schedule.DestructibleAt(record).Sub(c.Now()); wait > 0 && !now {
			return fmt.Errorf("tokens that the key %s signed may be valid: wait %s, or give --now and have them refused", k.ID, wait.Round(time.Second))
		}
	}
	return nil // a published key has signed nothing
}

// destroy writes the intent, then takes the key out of the key set, and then out of the HSMs: what is left of a
// destruction that fails half way can be destroyed again, and nobody trusts it any more.
func (c *Ceremony) destroy(ctx context.Context, tokens hsm.Tokens, k store.Key) error {
	held, err := holding(ctx, tokens, k.ID)
	if err != nil {
		return err
	}
	if len(held) == 0 && c.Transcript != "" {
		return fmt.Errorf("no HSM that is configured holds the key %s, so it cannot sign a transcript; leave out --transcript", k.ID)
	}
	if len(held) > 0 {
		if err := c.write(ctx, "keys destroy", held[0], k, k.State, string(signer.Destroyed)); err != nil {
			return err
		}
	}
	if err := c.move(ctx, k, signer.Destroyed); err != nil {
		return err
	}
	for _, token := range held {
		if err := token.Destroy(ctx, k.ID); err != nil {
			return fmt.Errorf("the key %s is out of the key set, but still in %s: %w", k.ID, token.Token(), err)
		}
		c.Report(Event{Step: DestroyedIn, Key: k, Token: token.Token()})
	}
	c.Report(Event{Step: Destroyed, Key: k})
	return nil
}

// holding are the tokens that hold a key, whether or not it fits the policy.
func holding(ctx context.Context, tokens hsm.Tokens, kid string) (hsm.Tokens, error) {
	var held hsm.Tokens
	for _, token := range tokens {
		_, err := token.Attest(ctx, kid)
		switch {
		case err == nil:
			held = append(held, token)
		case !errors.Is(err, signer.ErrNoKey):
			return nil, fmt.Errorf("%s: %w", token.Token(), err)
		}
	}
	return held, nil
}
