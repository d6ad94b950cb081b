package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"countersign/signer"
	"countersign/store"
)

// keysCommand keeps the keys.
type keysCommand struct {
	List          keysList          `cmd:"" help:"List the keys and their states."`
	Show          keysShow          `cmd:"" help:"Show one key with its public half, as JSON."`
	Generate      keysGenerate      `cmd:"" help:"Make a key in the HSM and publish it."`
	Rotate        keysRotate        `cmd:"" help:"Replace the key of an algorithm, step by step."`
	Activate      keysActivate      `cmd:"" help:"Sign with a published key from now on."`
	Retire        keysRetire        `cmd:"" help:"Stop signing with an active key; it stays published."`
	Destroy       keysDestroy       `cmd:"" help:"Take a retired key out of the key set and out of the HSM, for ever."`
	Verify        keysVerify        `cmd:"" help:"Sign with every key in every HSM, or verify a transcript."`
	Attest        keysAttest        `cmd:"" help:"Show what the HSMs say of themselves and of a key, as JSON."`
	PingKey       keysPingKey       `cmd:"" name:"ping-key" help:"Make a key for ciba.ping_keys_file; it is shown once."`
	ImportReplica keysImportReplica `cmd:"" name:"import-replica" help:"Use a key from one more HSM."`
}

// Help implements kong.HelpProvider.
func (keysCommand) Help() string {
	return `A key is made in the HSM and never leaves it. Its life is published, active, retiring:
it is published before its first signature, so that everybody who keeps a copy of the key
set knows it, and stays published while tokens that it signed may live. Of several active
keys of one algorithm the one that was activated last signs.

What changes a key can be tried with --dry-run, and leaves a --transcript that the key has signed.

To rotate:
  countersign keys rotate --alg PS256       # makes the next key and publishes it
  countersign keys rotate --alg PS256       # five minutes later: the next key signs, the old one retires

Others:
  countersign keys list
  countersign keys verify
  countersign keys generate --alg ES256 --activate     # the first of its algorithm
  countersign keys generate --alg ECDH-ES --activate   # for what clients encrypt to the server`
}

// unknownFor is for how long verifiers may not know a published key yet; not positive when all do.
func unknownFor(k store.Key, now time.Time) time.Duration {
	return signer.Schedule{}.ActivatableAt(signer.Record{CreatedAt: k.CreatedAt}).Sub(now)
}

// allUses is what a key of an algorithm is for unless it is told otherwise.
func allUses(alg string) []string {
	if signer.Algorithm(alg).Decrypts() {
		return []string{string(signer.UseRequestObject)}
	}
	uses := []string{string(signer.UseAccessToken), string(signer.UseIDToken), string(signer.UseResponse), string(signer.UseIntrospection),
		string(signer.UseHTTPMessage), string(signer.UseEvidence)}
	if signer.Algorithm(alg) == signer.ES256 {
		uses = append(uses, string(signer.UsePush))
	}
	return uses
}

type keysList struct{}

// Run implements the command.
func (keysList) Run(ctx context.Context, p *program) error {
	return p.withStore(ctx, func(s store.Store) error {
		keys, err := s.Keys(ctx)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "KID\tALG\tSTATE\tUSES\tCREATED\tACTIVATED\tRETIRED")
		for _, k := range keys {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Algorithm, k.State, strings.Join(k.Uses, ","),
				shortTime(k.CreatedAt), shortTime(k.ActivatedAt), shortTime(k.RetiredAt))
		}
		return table.Flush()
	})
}

// findKey reads a key by its kid, or by the beginning of it when no other key begins so.
func findKey(ctx context.Context, s store.Keys, id string) (store.Key, []store.Key, error) {
	keys, err := s.Keys(ctx)
	if err != nil {
		return store.Key{}, nil, err
	}
	var found []store.Key
	for _, k := range keys {
		if k.ID == id {
			return k, keys, nil
		}
		if id != "" && strings.HasPrefix(k.ID, id) {
			found = append(found, k)
		}
	}
	switch len(found) {
	case 1:
		return found[0], keys, nil
	case 0:
		return store.Key{}, nil, fmt.Errorf("there is no key %q; countersign keys list shows those that exist", id)
	}
	return store.Key{}, nil, fmt.Errorf("%s begin with %q; write more of the one that you mean", counted(len(found), "key"), id)
}

type keysShow struct {
	KID string `arg:"" name:"kid" help:"The kid, or the beginning of it."`
}

// Run implements the command.
func (c keysShow) Run(ctx context.Context, p *program) error {
	return p.withStore(ctx, func(s store.Store) error {
		k, _, err := findKey(ctx, s, c.KID)
		if err != nil {
			return err
		}
		encoder := json.NewEncoder(p.stdout)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(struct {
			ID          string          `json:"kid"`
			Algorithm   string          `json:"alg"`
			State       string          `json:"state"`
			Uses        []string        `json:"uses"`
			URIs        []string        `json:"uris"`
			CreatedAt   string          `json:"created_at"`
			ActivatedAt string          `json:"activated_at"`
			RetiredAt   string          `json:"retired_at"`
			Public      json.RawMessage `json:"public"`
		}{k.ID, k.Algorithm, k.State, k.Uses, k.URIs, shortTime(k.CreatedAt), shortTime(k.ActivatedAt), shortTime(k.RetiredAt), k.Public})
	})
}

type keysGenerate struct {
	Alg      string   `required:"" enum:"PS256,ES256,EdDSA,ECDH-ES,RSA-OAEP-256" help:"Algorithm of the key: PS256, ES256 or EdDSA to sign, ECDH-ES or RSA-OAEP-256 to decrypt."`
	Use      []string `enum:"access_token,id_token,authorization_response,introspection,http_message,evidence,web_push,request_object" help:"What the key is for: access_token, id_token, authorization_response, introspection, http_message, evidence (it seals the audit log), and with ES256 web_push, all of them by default; request_object for one that decrypts."`
	Activate bool     `help:"Sign with it at once; only for the first key of its algorithm and use."`
	ceremonyFlags
}

// Run implements the command.
func (c keysGenerate) Run(ctx context.Context, p *program) error {
	if err := c.check(0); err != nil {
		return err
	}
	if len(c.Use) == 0 {
		c.Use = allUses(c.Alg)
	}
	for _, use := range c.Use {
		if !slices.Contains(allUses(c.Alg), use) {
			return fmt.Errorf("--use: a key for %s is not for %s but for %s", c.Alg, use, strings.Join(allUses(c.Alg), ", "))
		}
	}
	loaded, err := p.loadConfig()
	if err != nil {
		return err
	}
	return p.withStore(ctx, func(s store.Store) error {
		if c.Activate {
			keys, err := s.Keys(ctx)
			if err != nil {
				return err
			}
			if slices.ContainsFunc(keys, func(k store.Key) bool {
				return k.State == string(signer.Active) && k.Algorithm == c.Alg && shareUse(k.Uses, c.Use)
			}) {
				return fmt.Errorf("there is an active %s key, and verifiers have to learn the new one first: leave out --activate, and run countersign keys activate in %s", c.Alg, signer.JWKSMaxAge)
			}
		}
		state := string(signer.Published)
		if c.Activate {
			state = string(signer.Active)
		}
		if c.DryRun {
			p.printf("would make a %s key for %s, at once %s\n", c.Alg, strings.Join(c.Use, ", "), state)
			return nil
		}
		backend, err := openBackend(ctx, loaded.Signer, nil)
		if err != nil {
			return err
		}
		return errors.Join(c.generate(ctx, p, s, backend, state), backend.Close())
	})
}

// shareUse tells whether two keys are for the same thing.
func shareUse(a, b []string) bool {
	return slices.ContainsFunc(a, func(use string) bool { return slices.Contains(b, use) })
}

func (c keysGenerate) generate(ctx context.Context, p *program, s store.Keys, backend keyHolder, state string) error {
	record, err := generateKey(ctx, backend, c.Alg)
	if err != nil {
		return err
	}
	record.Uses = c.Use
	if err := addKey(ctx, s, record, c.Activate, p.now()); err != nil {
		return err
	}
	p.printf("made the %s key %s, now %s\n", c.Alg, record.ID, state)
	return c.write(ctx, p, "keys generate", backend, record, "", state)
}

// addKey records a key that was just made in the HSM.
func addKey(ctx context.Context, s store.Keys, record store.Key, active bool, now time.Time) error {
	record.State, record.CreatedAt = string(signer.Published), now
	if active {
		record.State, record.ActivatedAt = string(signer.Active), now
	}
	return s.AddKey(ctx, record)
}

type keysActivate struct {
	KID string `arg:"" name:"kid" help:"The kid, or the beginning of it."`
	Now bool   `help:"Do not wait until verifiers know the key. Those that keep an old key set refuse its tokens until they fetch it anew."`
	ceremonyFlags
}

// Run implements the command.
func (c keysActivate) Run(ctx context.Context, p *program) error {
	if err := c.check(0); err != nil {
		return err
	}
	return p.withStore(ctx, func(s store.Store) error {
		k, _, err := findKey(ctx, s, c.KID)
		if err != nil {
			return err
		}
		if k.State != string(signer.Published) {
			return fmt.Errorf("the key %s is %s; only a published key can be activated", k.ID, k.State)
		}
		if wait := unknownFor(k, p.now()); wait > 0 && !c.Now {
			return fmt.Errorf("the key %s is not known to every verifier yet: wait %s, or give --now", k.ID, wait.Round(time.Second))
		}
		if c.DryRun {
			p.printf("would sign with %s from now on\n", k.ID)
			return nil
		}
		if err := moveKey(ctx, s, k, signer.Active, p.now()); err != nil {
			return err
		}
		p.printf("the key %s is active\n", k.ID)
		return c.record(ctx, p, "keys activate", k, signer.Active)
	})
}

func moveKey(ctx context.Context, s store.Keys, k store.Key, to signer.State, now time.Time) error {
	err := s.MoveKey(ctx, k.ID, k.State, string(to), now)
	if errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("the key %s was changed by somebody else at the same moment; look at it and try again", k.ID)
	}
	return err
}

type keysRetire struct {
	KID string `arg:"" name:"kid" help:"The kid, or the beginning of it."`
	ceremonyFlags
}

// Run implements the command.
func (c keysRetire) Run(ctx context.Context, p *program) error {
	if err := c.check(0); err != nil {
		return err
	}
	return p.withStore(ctx, func(s store.Store) error {
		k, keys, err := findKey(ctx, s, c.KID)
		if err != nil {
			return err
		}
		if k.State != string(signer.Active) {
			return fmt.Errorf("the key %s is %s; only an active key can be retired", k.ID, k.State)
		}
		if use, ok := leftWithout(k, keys); ok {
			return fmt.Errorf("the key %s is the last active %s key for %s: activate another first", k.ID, k.Algorithm, use)
		}
		if c.DryRun {
			p.printf("would sign with %s no more\n", k.ID)
			return nil
		}
		if err := moveKey(ctx, s, k, signer.Retiring, p.now()); err != nil {
			return err
		}
		p.printf("the key %s is retiring: it signs no more and stays published\n", k.ID)
		return c.record(ctx, p, "keys retire", k, signer.Retiring)
	})
}

// leftWithout finds a use that no other active key of the algorithm serves.
func leftWithout(retired store.Key, keys []store.Key) (use string, found bool) {
	for _, use := range retired.Uses {
		served := slices.ContainsFunc(keys, func(k store.Key) bool {
			return k.ID != retired.ID && k.State == string(signer.Active) && k.Algorithm == retired.Algorithm && slices.Contains(k.Uses, use)
		})
		if !served {
			return use, true
		}
	}
	return "", false
}
