package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"countersign/signer"
	"countersign/store"
)

type keysRotate struct {
	Alg  string `required:"" enum:"PS256,ES256,EdDSA,ECDH-ES,RSA-OAEP-256" help:"Algorithm whose key is replaced: PS256, ES256, EdDSA, ECDH-ES or RSA-OAEP-256."`
	Use  string `help:"Which key of the algorithm: the one that is for this use. Needed when keys of one algorithm are for different uses."`
	Now  bool   `help:"Sign with the new key at once. Verifiers that keep an old key set refuse its tokens until they fetch it anew. For a key that is no longer to be trusted."`
	Wait bool   `help:"Wait until the new key may sign, and have it sign then."`
	ceremonyFlags
}

// Help implements kong.HelpProvider.
func (keysRotate) Help() string {
	return `Takes the next step: makes a key and publishes it; or, when there is one that every verifier
knows by now, has it sign and retires the old one. Run it twice, five minutes apart, or with
--wait. With signer.rotate_every in the configuration the server does it by itself.

Examples:
  countersign keys rotate --alg PS256 --dry-run
  countersign keys rotate --alg PS256 --wait
  countersign keys rotate --alg PS256 --now --operator alice --transcript emergency.json`
}

// Run implements the command.
func (c keysRotate) Run(ctx context.Context, p *program) error {
	if err := c.check(0); err != nil {
		return err
	}
	loaded, err := p.loadConfig()
	if err != nil {
		return err
	}
	return p.withStore(ctx, func(s store.Store) error {
		old, next, err := c.pair(ctx, s)
		if err != nil {
			return err
		}
		if c.DryRun {
			c.tell(p, old, next)
			return nil
		}
		backend, err := openBackend(ctx, loaded.Signer, nil)
		if err != nil {
			return err
		}
		return errors.Join(c.rotate(ctx, p, s, backend, old, next), backend.Close())
	})
}

// pair finds the key that signs and the one that is to follow it, whose ID is empty when it is to be made.
func (c keysRotate) pair(ctx context.Context, s store.Keys) (old, next store.Key, err error) {
	keys, err := s.Keys(ctx)
	if err != nil {
		return old, next, err
	}
	for _, k := range keys {
		if k.Algorithm != c.Alg || k.State != string(signer.Active) || c.Use != "" && !slices.Contains(k.Uses, c.Use) {
			continue
		}
		if old.ID != "" && !shareUse(old.Uses, k.Uses) {
			return old, next, fmt.Errorf("there are active %s keys for different uses, %s and %s: say which with --use", c.Alg, strings.Join(old.Uses, ","), strings.Join(k.Uses, ","))
		}
		if old.ID == "" || k.ActivatedAt.After(old.ActivatedAt) {
			old = k
		}
	}
	if old.ID == "" {
		return old, next, fmt.Errorf("there is no active %s key to be replaced; make the first with: countersign keys generate --alg %[1]s --activate", c.Alg)
	}
	for _, k := range keys {
		if k.Algorithm == c.Alg && k.State == string(signer.Published) && !k.CreatedAt.Before(old.ActivatedAt) && slices.Equal(k.Uses, old.Uses) {
			next = k
		}
	}
	return old, next, nil
}

// tell says what would be done.
func (c keysRotate) tell(p *program, old, next store.Key) {
	switch {
	case next.ID == "" && c.Now:
		p.printf("would make a %s key, sign with it at once, and retire %s\n", c.Alg, old.ID)
	case next.ID == "":
		p.printf("would make a %s key and publish it; it signs in %s, instead of %s\n", c.Alg, signer.JWKSMaxAge, old.ID)
	case unknownFor(next, p.now()) > 0 && !c.Now:
		p.printf("would wait %s: until then verifiers may not know %s\n", unknownFor(next, p.now()).Round(time.Second), next.ID)
	default:
		p.printf("would sign with %s and retire %s\n", next.ID, old.ID)
	}
}

func (c keysRotate) rotate(ctx context.Context, p *program, s store.Keys, backend keyHolder, old, next store.Key) error {
	made := next.ID == ""
	if made {
		record, err := generateKey(ctx, backend, c.Alg)
		if err != nil {
			return err
		}
		record.Uses = old.Uses
		if err := addKey(ctx, s, record, false, p.now()); err != nil {
			return err
		}
		next = record
		next.State, next.CreatedAt = string(signer.Published), p.now()
		p.printf("made the %s key %s, now published\n", c.Alg, next.ID)
	}
	if wait := unknownFor(next, p.now()); wait > 0 && !c.Now {
		if !c.Wait {
			p.printf("it may sign in %s: run this command again then\n", wait.Round(time.Second))
			if made {
				return c.write(ctx, p, "keys rotate", backend, next, "", next.State)
			}
			return nil
		}
		p.printf("waiting %s until every verifier knows it\n", wait.Round(time.Second))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
	if len(next.URIs) < len(old.URIs) && !c.Now {
		return fmt.Errorf("the key %s is on %s and its predecessor on %d: copy it with the vendor's tool and run countersign keys import-replica, or give --now",
			next.ID, counted(len(next.URIs), "HSM"), len(old.URIs))
	}
	if err := moveKey(ctx, s, next, signer.Active, p.now()); err != nil {
		return err
	}
	p.printf("the key %s is active\n", next.ID)
	if err := moveKey(ctx, s, old, signer.Retiring, p.now()); err != nil {
		return err
	}
	p.printf("the key %s is retiring: it signs no more and stays published\n", old.ID)
	if c.Now {
		p.printf("verifiers that keep a copy of the key set learn the new key within %s\n", signer.JWKSMaxAge)
	}
	return c.write(ctx, p, "keys rotate", backend, next, string(signer.Published), string(signer.Active))
}

const (
	// rotateLook is how often a server looks for what is due.
	rotateLook = time.Minute
	// generateClaim is for how long one node has the making of a key to itself.
	generateClaim = 10 * time.Minute
	// askEvery is how often the log asks for a copy of a key that waits for it.
	askEvery = time.Hour
)

// rotation changes keys by themselves. Each node runs it; the store lets one of them take each step.
type rotation struct {
	schedule signer.Schedule
	store    interface {
		store.Keys
		store.OneTimes
	}
	backend keyHolder
	now     func() time.Time
	log     *slog.Logger

	mu sync.Mutex
	// asked is when the log last asked for a copy of a key.
	asked map[string]time.Time
}

// run looks for what is due until ctx ends.
func (r *rotation) run(ctx context.Context) {
	ticker := time.NewTicker(rotateLook)
	defer ticker.Stop()
	for {
		if err := r.step(ctx); err != nil && ctx.Err() == nil {
			r.log.ErrorContext(ctx, "the keys were not rotated; it is tried again", "error", err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// step takes what is due now.
func (r *rotation) step(ctx context.Context) error {
	records, err := catalogue{r.store}.Keys(ctx)
	if err != nil {
		return err
	}
	var problems []error
	for _, due := range r.schedule.Due(records, r.now()) {
		if err := r.take(ctx, due); err != nil {
			problems = append(problems, fmt.Errorf("%s %s %s: %w", due.Change, due.Key.Algorithm, due.Key.ID, err))
		}
	}
	return errors.Join(problems...)
}

// ask tells the operator that a key waits for copies, which nobody else can make.
func (r *rotation) ask(ctx context.Context, key signer.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, known := r.asked[key.ID]; known && r.now().Sub(last) < askEvery {
		return
	}
	if r.asked == nil {
		r.asked = map[string]time.Time{}
	}
	r.asked[key.ID] = r.now()
	r.log.ErrorContext(ctx, "the next key waits until it is on as many HSMs as its predecessor; copy it with the vendor's tool, then run: countersign keys import-replica "+key.ID+" --token ...",
		"kid", key.ID, "alg", string(key.Algorithm), "on", len(key.URIs))
}

func (r *rotation) take(ctx context.Context, due signer.Step) error {
	var err error
	switch due.Change {
	case signer.Generate:
		return r.generate(ctx, due.Key)
	case signer.Copy:
		r.ask(ctx, due.Key)
		return nil
	case signer.Activate:
		err = r.store.MoveKey(ctx, due.Key.ID, string(due.Key.State), string(signer.Active), r.now())
	case signer.Retire:
		err = r.store.MoveKey(ctx, due.Key.ID, string(due.Key.State), string(signer.Retiring), r.now())
	}
	if errors.Is(err, store.ErrConflict) {
		return nil // another node was first
	}
	if err == nil {
		r.log.InfoContext(ctx, "a key changed by schedule", "change", string(due.Change), "kid", due.Key.ID, "alg", string(due.Key.Algorithm))
	}
	return err
}

// generate makes a successor. Two nodes that look at once would make two, so one of them claims it.
func (r *rotation) generate(ctx context.Context, current signer.Record) error {
	slot := r.now().Truncate(generateClaim)
	err := r.store.ConsumeOneTime(ctx, store.OneTime{
		Kind: "key_rotation", Key: sha256.Sum256([]byte(current.ID + " " + slot.UTC().Format(time.RFC3339))), Until: slot.Add(2 * generateClaim),
	})
	if errors.Is(err, store.ErrReplayed) {
		return nil // another node makes it
	}
	if err != nil {
		return err
	}
	made, err := generateKey(ctx, r.backend, string(current.Algorithm))
	if err != nil {
		return err
	}
	for _, use := range current.Uses {
		made.Uses = append(made.Uses, string(use))
	}
	if err := addKey(ctx, r.store, made, false, r.now()); err != nil {
		return err
	}
	r.log.InfoContext(ctx, "a key was made by schedule", "kid", made.ID, "alg", made.Algorithm, "replaces", current.ID)
	return nil
}
