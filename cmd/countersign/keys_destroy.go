package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"countersign/internal/config"
	"countersign/signer"
	"countersign/store"
)

type keysDestroy struct {
	KID string `arg:"" name:"kid" help:"The kid, or the beginning of it."`
	Now bool   `help:"Do not wait until the last token that the key signed has died: verifiers refuse those from now on. For a key that is no longer to be trusted."`
	ceremonyFlags
}

// Help implements kong.HelpProvider.
func (keysDestroy) Help() string {
	return `Takes a retired key out of the key set and out of every HSM that is configured. There is no way
back, so two people have to stand for it.

Examples:
  countersign keys destroy KID --operator alice --operator bob --dry-run
  countersign keys destroy KID --operator alice --operator bob --transcript destroyed.json`
}

// Run implements the command.
func (c keysDestroy) Run(ctx context.Context, p *program) error {
	const people = 2
	if err := c.check(people); err != nil {
		return err
	}
	loaded, err := p.loadConfig()
	if err != nil {
		return err
	}
	return p.withStore(ctx, func(s store.Store) error {
		k, keys, err := findKey(ctx, s, c.KID)
		if err != nil {
			return err
		}
		if err := c.allowed(k, keys, schedule(loaded), p.now()); err != nil {
			return err
		}
		if c.DryRun {
			p.printf("would destroy the %s key %s, which is %s\n", k.Algorithm, k.ID, k.State)
			return nil
		}
		tokens, err := openTokens(ctx, loaded.Signer, nil)
		if err != nil {
			return err
		}
		return errors.Join(c.destroy(ctx, p, s, tokens, k), closeTokens(tokens))
	})
}

// allowed says why a key must not be destroyed now.
func (c keysDestroy) allowed(k store.Key, keys []store.Key, plan signer.Schedule, now time.Time) error {
	record, err := recordOf(k)
	if err != nil {
		return err
	}
	switch signer.State(k.State) {
	case signer.Active:
		if use, ok := leftWithout(k, keys); ok {
			return fmt.Errorf("the key %s is the last active %s key for %s: activate another first", k.ID, k.Algorithm, use)
		}
		return fmt.Errorf("the key %s is active: retire it first", k.ID)
	case signer.Retiring:
		if wait := plan.DestructibleAt(record).Sub(now); wait > 0 && !c.Now {
			return fmt.Errorf("tokens that the key %s signed may live: wait %s, or give --now and have them refused", k.ID, wait.Round(time.Second))
		}
	}
	return nil // a published key has signed nothing
}

// destroy writes the intent, then takes the key out of the key set, and then out of the HSMs: what is left of a
// destruction that fails half way can be destroyed again, and nobody trusts it any more.
func (c keysDestroy) destroy(ctx context.Context, p *program, s store.Keys, tokens []keyHolder, k store.Key) error {
	held, err := holding(ctx, tokens, k.ID)
	if err != nil {
		return err
	}
	if len(held) > 0 {
		if err := c.write(ctx, p, "keys destroy", held[0], k, k.State, string(signer.Destroyed)); err != nil {
			return err
		}
	} else if c.Transcript != "" {
		return fmt.Errorf("no HSM that is configured holds the key %s, so it cannot sign a transcript; leave out --transcript", k.ID)
	}
	if err := moveKey(ctx, s, k, signer.Destroyed, p.now()); err != nil {
		return err
	}
	for _, token := range held {
		if err := token.Destroy(ctx, k.ID); err != nil {
			return fmt.Errorf("the key %s is out of the key set, but still in %s: %w", k.ID, token.Token(), err)
		}
		p.printf("the key %s is destroyed in %s\n", k.ID, token.Token())
	}
	p.printf("the key %s is destroyed\n", k.ID)
	return nil
}

// holding are the tokens that hold a key, good or weak.
func holding(ctx context.Context, tokens []keyHolder, kid string) ([]keyHolder, error) {
	var held []keyHolder
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

// schedule is the configured one.
func schedule(c *config.Config) signer.Schedule {
	return signer.Schedule{
		TokenLifetime: max(c.Tokens.AccessTokenLifetime.Std(), c.Tokens.IDTokenLifetime.Std()),
		Every:         c.Signer.RotateEvery.Std(),
	}
}
