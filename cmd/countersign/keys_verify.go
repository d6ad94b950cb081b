package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"text/tabwriter"

	"countersign/internal/config"
	"countersign/signer"
	"countersign/signer/pkcs11"
	"countersign/store"
)

// errBadKey ends a command whose table has said what is wrong.
var errBadKey = errors.New("not every key is as it should be")

type keysVerify struct {
	Transcript string `type:"path" placeholder:"FILE" help:"Verify a transcript instead of the keys."`
}

// Help implements kong.HelpProvider.
func (keysVerify) Help() string {
	return `Signs or decrypts with every key in every HSM where it has an address, checks that with the published
key, and holds the key to the policy. The exit code is 1 when something is wrong.

Examples:
  countersign keys verify
  countersign keys verify --transcript destroyed.json`
}

// Run implements the command.
func (c keysVerify) Run(ctx context.Context, p *program) error {
	if c.Transcript != "" {
		return c.transcript(ctx, p)
	}
	loaded, err := p.loadConfig()
	if err != nil {
		return err
	}
	return p.withStore(ctx, func(s store.Store) error {
		keys, err := s.Keys(ctx)
		if err != nil {
			return err
		}
		tokens, err := openTokens(ctx, loaded.Signer, nil)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "KID\tALG\tSTATE\tHSM\tOUTCOME")
		good := true
		for _, k := range keys {
			record, err := recordOf(k)
			if err != nil {
				return errors.Join(err, closeTokens(tokens))
			}
			found := false
			for _, token := range tokens {
				if len(tokens) > 1 && !token.Holds(record) {
					continue
				}
				found = true
				outcome := does(record.Algorithm)
				if err := try(ctx, token, record); err != nil {
					good, outcome = false, oneLine(err.Error())
				}
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", k.ID, k.Algorithm, k.State, token.Token(), outcome)
			}
			if !found {
				good = false
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", k.ID, k.Algorithm, k.State, "-", "no HSM that is configured has one of its addresses")
			}
		}
		if err := errors.Join(table.Flush(), closeTokens(tokens)); err != nil || good {
			return err
		}
		return errBadKey
	})
}

// does says in a word what a good key does.
func does(alg signer.Algorithm) string {
	if alg.Decrypts() {
		return "decrypts"
	}
	return "signs"
}

// try holds one key in one HSM to the policy and has it sign or decrypt.
func try(ctx context.Context, token keyHolder, record signer.Record) error {
	attested, err := token.Attest(ctx, record.ID)
	if err != nil {
		return err
	}
	if attested.Refused != "" {
		return errors.New(attested.Refused)
	}
	return signer.Prove(ctx, token, record)
}

func (c keysVerify) transcript(ctx context.Context, p *program) error {
	raw, err := os.ReadFile(c.Transcript)
	if err != nil {
		return err
	}
	said, err := checkTranscript(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Transcript, err)
	}
	p.printf("%s: %s of the %s key %s on %s at %s by %q, signed by %s\n",
		c.Transcript, said.Command, said.Algorithm, said.KID, said.Host, said.At, said.Operators, said.signature())
	return p.withStore(ctx, func(s store.Store) error {
		keys, err := s.Keys(ctx)
		if err != nil {
			return err
		}
		for _, kid := range []string{said.KID, said.SignedBy} {
			if kid != "" && !slices.ContainsFunc(keys, func(k store.Key) bool { return k.ID == kid }) {
				p.printf("the key %s is not among those of this server now\n", kid)
			}
		}
		return nil
	})
}

type keysAttest struct {
	KID string `arg:"" name:"kid" help:"The kid, or the beginning of it."`
}

// Help implements kong.HelpProvider.
func (keysAttest) Help() string {
	return `What each HSM says of itself and of the key, as JSON: module, token, serial number, firmware, and
the attributes that keep the key inside. It is the module's word; hardware that signs its own
attestation has a tool for it.`
}

// Run implements the command.
func (c keysAttest) Run(ctx context.Context, p *program) error {
	loaded, err := p.loadConfig()
	if err != nil {
		return err
	}
	return p.withStore(ctx, func(s store.Store) error {
		k, _, err := findKey(ctx, s, c.KID)
		if err != nil {
			return err
		}
		tokens, err := openTokens(ctx, loaded.Signer, nil)
		if err != nil {
			return err
		}
		said, problems := map[string]pkcs11.Attestation{}, []error{}
		for _, token := range tokens {
			attested, err := token.Attest(ctx, k.ID)
			switch {
			case err == nil:
				said[token.Token()] = attested
			case !errors.Is(err, signer.ErrNoKey):
				problems = append(problems, fmt.Errorf("%s: %w", token.Token(), err))
			}
		}
		if err := closeTokens(tokens); err != nil {
			return err
		}
		switch {
		case len(said) > 0: // one that is away has nothing to say
		case len(problems) > 0:
			return errors.Join(problems...)
		default:
			return fmt.Errorf("no HSM that is configured holds the key %s", k.ID)
		}
		encoder := json.NewEncoder(p.stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(said)
	})
}

type keysImportReplica struct {
	KID   string `arg:"" name:"kid" help:"The kid, or the beginning of it."`
	Token string `required:"" help:"Label or RFC 7512 address of the token, as it stands in the configuration under [[signer.replicas]]."`
	ceremonyFlags
}

// Help implements kong.HelpProvider.
func (keysImportReplica) Help() string {
	return `Has a key used from one more HSM, to which the vendor's tool has copied it. The copy is held to the
policy and has to sign first.

Examples:
  countersign keys import-replica KID --token "pkcs11:token=countersign;serial=0123"`
}

// Run implements the command.
func (c keysImportReplica) Run(ctx context.Context, p *program) error {
	if err := c.check(0); err != nil {
		return err
	}
	loaded, err := p.loadConfig()
	if err != nil {
		return err
	}
	at := slices.IndexFunc(tokenSettings(loaded.Signer), func(t config.Replica) bool {
		return t.Token == c.Token || tokenAddress(t.Token) == c.Token
	})
	if at < 0 {
		return fmt.Errorf("the token %q is not in the configuration; name it under [[signer.replicas]]", c.Token)
	}
	return p.withStore(ctx, func(s store.Store) error {
		k, _, err := findKey(ctx, s, c.KID)
		if err != nil {
			return err
		}
		record, err := recordOf(k)
		if err != nil {
			return err
		}
		token, err := openHolder(ctx, loaded.Signer, tokenSettings(loaded.Signer)[at], nil)
		if err != nil {
			return err
		}
		return errors.Join(c.add(ctx, p, s, token, k, record), token.Close())
	})
}

func (c keysImportReplica) add(ctx context.Context, p *program, s store.Keys, token keyHolder, k store.Key, record signer.Record) error {
	if err := try(ctx, token, record); err != nil {
		return err
	}
	address, err := token.Address(k.ID)
	if err != nil {
		return err
	}
	if token.Holds(record) {
		return fmt.Errorf("the key %s has an address on this token already; countersign keys show %[1]s", k.ID)
	}
	if c.DryRun {
		p.printf("would add the address %s to the key %s\n", address, k.ID)
		return nil
	}
	from := k.URIs
	k.URIs = append(slices.Clone(from), address)
	if err := s.SetKeyURIs(ctx, k.ID, from, k.URIs); err != nil {
		if errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("the key %s was changed by somebody else at the same moment; look at it and try again", k.ID)
		}
		return err
	}
	p.printf("the key %s is used from %s as well\n", k.ID, token.Token())
	return c.write(ctx, p, "keys import-replica", token, k, k.State, k.State)
}
