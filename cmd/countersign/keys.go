package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"countersign/ciba"
	"countersign/internal/admin"
	"countersign/internal/buildinfo"
	"countersign/internal/ceremony"
	"countersign/internal/console"
	"countersign/internal/operations"
	"countersign/signer"
	"countersign/store"
)

// keysCommand manages the keys.
type keysCommand struct {
	List          keysList          `cmd:"" help:"List the keys and their states."`
	Show          keysShow          `cmd:"" help:"Show one key with its public half, as JSON."`
	Generate      keysGenerate      `cmd:"" help:"Generate a key in the HSM and publish it."`
	Rotate        keysRotate        `cmd:"" help:"Replace the key of an algorithm, step by step."`
	Activate      keysActivate      `cmd:"" help:"Sign with a published key from now on."`
	Retire        keysRetire        `cmd:"" help:"Stop signing with an active key; it stays published."`
	Destroy       keysDestroy       `cmd:"" help:"Remove a retired key from the key set and from the HSM, for ever."`
	Verify        keysVerify        `cmd:"" help:"Sign with every key in every HSM, or verify a transcript."`
	Attest        keysAttest        `cmd:"" help:"Show the HSMs' attributes of a key, as JSON."`
	PingKey       keysPingKey       `cmd:"" name:"ping-key" help:"Generate a key for ciba.ping_keys_file; it is shown once."`
	ImportReplica keysImportReplica `cmd:"" name:"import-replica" help:"Use a key from one more HSM."`
}

// Help implements kong.HelpProvider.
func (keysCommand) Help() string {
	return `A key is generated in the HSM and never leaves it. Its life is published, active, retiring:
it is published before its first signature, so that everybody who keeps a copy of the key
set knows it, and stays published while tokens that it signed may be valid. Of several active
keys of one algorithm the one that was activated last signs.

What changes a key can be tried with --dry-run, and leaves a --transcript that the key has signed.

To rotate:
  countersign keys rotate --alg PS256       # generates the next key and publishes it
  countersign keys rotate --alg PS256       # six minutes later: the next key signs, the old one retires

Others:
  countersign keys list
  countersign keys verify
  countersign keys generate --alg ES256 --activate     # the first of its algorithm
  countersign keys generate --alg ECDH-ES --activate   # for what clients encrypt to the server`
}

// keyName names a key of a command.
type keyName struct {
	Argument string `arg:"" optional:"" name:"kid" help:"The kid, or the beginning of it."`
	Flag     string `name:"kid" placeholder:"KID" help:"The same as a flag: --kid=KID, for one that begins with a hyphen."`
}

// kid is the one that was given.
func (k keyName) kid() (string, error) {
	if (k.Argument == "") == (k.Flag == "") {
		return "", admin.Usagef("give one kid; countersign keys list shows those that exist")
	}
	return k.Argument + k.Flag, nil
}

// ceremonyFlags are those of every command that changes a key.
type ceremonyFlags struct {
	DryRun     bool     `help:"Print what would be done, and change nothing."`
	Operator   []string `help:"Who does it, for the transcript; repeat it for each person."`
	Transcript string   `type:"path" placeholder:"FILE" help:"Write what was done into a new file, as JSON that the key itself has signed, or for a key that decrypts another one in the HSM."`
}

// local reports whether there are flags that are not for the admin API.
func (f ceremonyFlags) local() bool { return f.DryRun || len(f.Operator) > 0 || f.Transcript != "" }

// withCeremony opens what a ceremony needs.
func (p *program) withCeremony(ctx context.Context, f ceremonyFlags, work func(*ceremony.Ceremony) error) error {
	loaded, err := p.loadConfig()
	if err != nil {
		return err
	}
	return p.withStore(ctx, func(s store.Store) error {
		return work(&ceremony.Ceremony{
			Keys: s, Clients: s, AccessTokens: signer.Algorithm(loaded.Tokens.AccessTokenAlgorithm), Signer: loaded.Signer, Schedule: ceremony.ScheduleOf(loaded), Now: p.now, Report: func(e ceremony.Event) { p.printf("%s\n", e) },
			DryRun: f.DryRun, Operators: f.Operator, Transcript: f.Transcript, Program: buildinfo.Read().Version,
		})
	})
}

// changeKey is withCeremony for one key.
func (p *program) changeKey(ctx context.Context, f ceremonyFlags, name keyName, work func(c *ceremony.Ceremony, kid string) error) error {
	kid, err := name.kid()
	if err != nil {
		return err
	}
	return p.withCeremony(ctx, f, func(c *ceremony.Ceremony) error { return work(c, kid) })
}

type keysList struct{ jsonLines }

// Run implements the command.
func (c keysList) Run(ctx context.Context, p *program) error {
	return p.operate(ctx, func(a operations.Operations) error {
		keys, err := a.ListKeys(ctx)
		if err != nil {
			return err
		}
		header := []string{"KID", "ALG", "STATE", "USES", "CREATED", "ACTIVATED", "RETIRED"}
		return console.List(p.stdout, c.JSON, keys, header, func(k admin.ListedKey) []string {
			return []string{k.ID, k.Algorithm, k.State, strings.Join(k.Uses, ","), console.Time(k.CreatedAt), console.Time(k.ActivatedAt), console.Time(k.RetiredAt)}
		})
	})
}

type keysShow struct {
	keyName
	jsonAlways
}

// Run implements the command.
func (c keysShow) Run(ctx context.Context, p *program) error {
	kid, err := c.kid()
	if err != nil {
		return err
	}
	return p.withStore(ctx, func(s store.Store) error {
		k, _, err := ceremony.Find(ctx, s, kid)
		if err != nil {
			return err
		}
		return p.printJSON(admin.ShowKey(k))
	})
}

type keysGenerate struct {
	Alg      string   `required:"" enum:"PS256,ES256,EdDSA,ECDH-ES,RSA-OAEP-256,RSA-OAEP" help:"Algorithm of the key: PS256, ES256 or EdDSA to sign, ECDH-ES, RSA-OAEP-256 or RSA-OAEP (with SHA-1, for ecosystems that name it) to decrypt."`
	Use      []string `enum:"${uses}" help:"What the key is for: access_token, id_token, authorization_response, introspection, http_message, evidence (it seals the audit log), login (it proves this server to an upstream provider), and with ES256 web_push, all of them by default; request_object for one that decrypts."`
	Activate bool     `help:"Sign with it at once; only for the first key of its algorithm and use."`
	ceremonyFlags
}

// Run implements the command.
func (c keysGenerate) Run(ctx context.Context, p *program) error {
	return p.withCeremony(ctx, c.ceremonyFlags, func(k *ceremony.Ceremony) error { return k.Generate(ctx, c.Alg, c.Use, c.Activate) })
}

type keysRotate struct {
	Alg  string `required:"" enum:"PS256,ES256,EdDSA,ECDH-ES,RSA-OAEP-256,RSA-OAEP" help:"Algorithm whose key is replaced: PS256, ES256, EdDSA, ECDH-ES, RSA-OAEP-256 or RSA-OAEP."`
	Use  string `help:"Which key of the algorithm: the one that is for this use. Needed when keys of one algorithm are for different uses."`
	Now  bool   `help:"Sign with the new key at once. Verifiers that keep an old key set refuse its tokens until they fetch it again. For a key that is no longer to be trusted."`
	Wait bool   `help:"Wait until the new key may sign, and sign with it then."`
	approvalFlag
	ceremonyFlags
}

// approvalFlag is of what the admin API does by four eyes.
type approvalFlag struct {
	Approval string `placeholder:"ID" help:"By the admin API: carry out what another security officer has approved. See countersign approvals --help."`
}

// Help implements kong.HelpProvider.
func (keysRotate) Help() string {
	return `Takes the next step: generates a key and publishes it; or, when there is one that every verifier
knows by now, signs with it and retires the old one. Run it twice, six minutes apart, or with
--wait. With signer.rotate_every in the configuration the server does it by itself.

Examples:
  countersign keys rotate --alg PS256 --dry-run
  countersign keys rotate --alg PS256 --wait
  countersign keys rotate --alg PS256 --now --operator alice --transcript emergency.json`
}

// Run implements the command.
func (c keysRotate) Run(ctx context.Context, p *program) error {
	if p.admin.Address != "" || c.Approval != "" {
		return p.fourEyes(c.Wait || c.local(), func(r *operations.Remote) (operations.Outcome, error) {
			return r.RotateKey(ctx, c.Alg, c.Use, c.Now, c.Approval)
		})
	}
	return p.withCeremony(ctx, c.ceremonyFlags, func(k *ceremony.Ceremony) error {
		return k.Rotate(ctx, ceremony.Rotation{Algorithm: c.Alg, Use: c.Use, Now: c.Now, Wait: c.Wait})
	})
}

type keysActivate struct {
	keyName
	Now bool `help:"Do not wait until verifiers know the key. Those that keep an old key set refuse its tokens until they fetch it again."`
	ceremonyFlags
}

// Run implements the command.
func (c keysActivate) Run(ctx context.Context, p *program) error {
	return p.changeKey(ctx, c.ceremonyFlags, c.keyName, func(k *ceremony.Ceremony, kid string) error { return k.Activate(ctx, kid, c.Now) })
}

type keysRetire struct {
	keyName
	Last bool `help:"Also when it is the last of its algorithm. What ends with it, and which clients need it, is printed; --dry-run prints it and changes nothing."`
	approvalFlag
	ceremonyFlags
}

// Help implements kong.HelpProvider.
func (keysRetire) Help() string {
	return `A retired key signs no more and stays published while tokens that it signed may be valid.

The last key of an algorithm is retired with --last, for example before a move to an HSM that does not
have the algorithm, or after it: a server with an active key that no HSM holds is not ready.
Access tokens have to be signed with another one before (tokens.access_token_algorithm).

Examples:
  countersign keys retire KID
  countersign keys retire KID --last --dry-run`
}

// Run implements the command.
func (c keysRetire) Run(ctx context.Context, p *program) error {
	if p.admin.Address != "" || c.Approval != "" {
		return p.fourEyes(c.local(), func(r *operations.Remote) (operations.Outcome, error) {
			kid, err := c.kid()
			if err != nil {
				return operations.Outcome{}, err
			}
			return r.RetireKey(ctx, kid, c.Last, c.Approval)
		})
	}
	return p.changeKey(ctx, c.ceremonyFlags, c.keyName, func(k *ceremony.Ceremony, kid string) error { return k.Retire(ctx, kid, c.Last) })
}

type keysDestroy struct {
	keyName
	Now bool `help:"Do not wait until the last token that the key signed has expired: verifiers refuse those from now on. For a key that is no longer to be trusted."`
	ceremonyFlags
}

// Help implements kong.HelpProvider.
func (keysDestroy) Help() string {
	return `Removes a retired key from the key set and from every HSM that is configured. It cannot be
undone, so two people have to be named for it.

Examples:
  countersign keys destroy KID --operator alice --operator bob --dry-run
  countersign keys destroy KID --operator alice --operator bob --transcript destroyed.json`
}

// Run implements the command.
func (c keysDestroy) Run(ctx context.Context, p *program) error {
	return p.changeKey(ctx, c.ceremonyFlags, c.keyName, func(k *ceremony.Ceremony, kid string) error { return k.Destroy(ctx, kid, c.Now) })
}

type keysImportReplica struct {
	keyName
	Token string `required:"" help:"Label or RFC 7512 address of the token, as it is in the configuration under [[signer.replicas]]."`
	ceremonyFlags
}

// Help implements kong.HelpProvider.
func (keysImportReplica) Help() string {
	return `Uses a key from one more HSM, to which the vendor's tool has copied it. The copy has to fit the
policy and to sign first.

Examples:
  countersign keys import-replica KID --token "pkcs11:token=countersign;serial=0123"`
}

// Run implements the command.
func (c keysImportReplica) Run(ctx context.Context, p *program) error {
	return p.changeKey(ctx, c.ceremonyFlags, c.keyName, func(k *ceremony.Ceremony, kid string) error {
		return k.ImportReplica(ctx, kid, c.Token)
	})
}

// errBadKey ends a command whose table has said what is wrong.
var errBadKey = errors.New("not every key is as it should be")

type keysVerify struct {
	Transcript string `type:"path" placeholder:"FILE" help:"Verify a transcript instead of the keys."`
	jsonLines
}

// Help implements kong.HelpProvider.
func (keysVerify) Help() string {
	return `Signs or decrypts with every key in every HSM where it has an address, checks that with the published
key, and compares the key with the policy. The exit code is 1 when something is wrong.

Examples:
  countersign keys verify
  countersign keys verify --transcript destroyed.json`
}

// Run implements the command.
func (c keysVerify) Run(ctx context.Context, p *program) error {
	if c.Transcript != "" {
		return c.transcript(ctx, p)
	}
	return p.withCeremony(ctx, ceremonyFlags{}, func(keys *ceremony.Ceremony) error {
		outcomes, err := keys.Verify(ctx)
		if err != nil {
			return err
		}
		verified, good := ceremony.List(outcomes)
		err = console.List(p.stdout, c.JSON, verified, []string{"KID", "ALG", "STATE", "HSM", "OUTCOME"}, func(v ceremony.ListedOutcome) []string {
			return []string{v.KID, v.Algorithm, v.State, cmp.Or(v.HSM, "-"), v.Outcome}
		})
		if err != nil || good {
			return err
		}
		return errBadKey
	})
}

func (c keysVerify) transcript(ctx context.Context, p *program) error {
	raw, err := os.ReadFile(c.Transcript)
	if err != nil {
		return err
	}
	said, err := ceremony.ReadTranscript(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Transcript, err)
	}
	signedBy := "that key"
	if said.SignedBy != "" {
		signedBy = "the key " + said.SignedBy
	}
	p.printf("%s: %s of the %s key %s on %s at %s by %q, signed by %s\n",
		c.Transcript, said.Command, said.Algorithm, said.KID, said.Host, said.At, said.Operators, signedBy)
	return p.withStore(ctx, func(s store.Store) error {
		gone, err := said.Gone(ctx, s)
		for _, kid := range gone {
			p.printf("the key %s is not among those of this server now\n", kid)
		}
		return err
	})
}

type keysAttest struct {
	keyName
	jsonAlways
}

// Help implements kong.HelpProvider.
func (keysAttest) Help() string {
	return `What each HSM says of itself and of the key, as JSON: module, token, serial number, firmware, and
the attributes that keep the key inside. It is the module's word; hardware that signs its own
attestation has a tool for it.`
}

// Run implements the command.
func (c keysAttest) Run(ctx context.Context, p *program) error {
	return p.changeKey(ctx, ceremonyFlags{}, c.keyName, func(keys *ceremony.Ceremony, kid string) error {
		said, err := keys.Attest(ctx, kid)
		if err != nil {
			return err
		}
		return p.printJSON(said)
	})
}

// keysPingKey makes a key that is in a file and not in the HSM.
type keysPingKey struct{}

// Help implements kong.HelpProvider.
func (keysPingKey) Help() string {
	return `Generates a key that encrypts notifications while they wait in the database (docs/ciba.md). It is no
signing key and is kept in a file, the same on all nodes.

To change it, put the new key above the old one, on every node, and remove the old one an hour later.

Example:
  (umask 077; countersign keys ping-key > ping.keys)`
}

// Run implements the command.
func (keysPingKey) Run(p *program) error {
	p.printf("%s\n", ciba.NewSealKey())
	return nil
}
