package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"countersign/fapi/tokens"
	"countersign/internal/admin"
	"countersign/internal/audit"
	"countersign/internal/auditlog"
	"countersign/internal/console"
	"countersign/store"
)

// auditCommand reads the audit log.
type auditCommand struct {
	Verify auditVerify `cmd:"" help:"Find what was deleted, changed, reordered or cut off."`
	Export auditExport `cmd:"" help:"Write the log as JSON lines, and drop old parts of it."`
	Follow auditFollow `cmd:"" help:"Print new entries as they come."`
	Keys   auditKeys   `cmd:"" help:"Print the public keys that seal the log, as a JWK Set."`
	Erase  auditErase  `cmd:"" help:"Erase whom entries are about, and from which addresses they came."`
}

// Help implements kong.HelpProvider.
func (auditCommand) Help() string {
	return `Every signed request and every signed answer is in the log, verbatim, with the key that signed it. Each node
writes a chain of its own: an entry holds the hash of the one before it, and checkpoints signed in the HSM seal
them. What follows the last checkpoint is not sealed yet.

Only a checkpoint that is kept elsewhere shows that the end of the log was cut off. The server writes each to its
own log; verify takes that as a file.

Examples:
  countersign audit verify
  countersign audit verify --checkpoint kept-elsewhere.jsonl
  countersign audit verify --checkpoint kept-elsewhere.jsonl --since-checkpoint
  countersign audit keys > audit-keys.json
  countersign audit export --out audit-2026.jsonl
  countersign audit export --out audit-2026.jsonl --drop-before 2026-10-01
  countersign audit verify --file audit-2026.jsonl --jwks audit-keys.json    # on any machine
  countersign audit follow
  countersign audit erase --subject 7KQ2… --dry-run
  countersign audit erase --before 2026-01-01`
}

type auditVerify struct {
	File       []string `type:"existingfile" placeholder:"FILE" help:"Verify what audit export wrote, instead of the store; repeat it for each file, the oldest first."`
	JWKS       string   `name:"jwks" type:"existingfile" placeholder:"FILE" help:"Keys that may have signed checkpoints, as audit keys wrote them; those of the store by default."`
	Since      bool     `name:"since-checkpoint" help:"Verify of each node only what follows the newest of its checkpoints in --checkpoint, in a time that does not grow with what is older. What is before is as it was when the checkpoint was kept, if that was verified then."`
	Checkpoint []string `type:"existingfile" placeholder:"FILE" help:"Checkpoints that were kept elsewhere: alone, in JSON lines or in the server's log. What is missing in comparison is found."`
}

// Run implements the command.
func (c auditVerify) Run(ctx context.Context, p *program) error {
	switch {
	case c.Since && len(c.File) > 0:
		return admin.Usagef("--since-checkpoint is for the store, not for --file")
	case c.Since && len(c.Checkpoint) == 0:
		return admin.Usagef("--since-checkpoint needs --checkpoint: one that is kept beside what it signs proves nothing")
	case len(c.File) > 0:
		return c.files(p)
	}
	return p.withStore(ctx, func(s store.Store) error {
		options, err := c.options(ctx, s)
		if err != nil {
			return err
		}
		report, waiting, err := auditlog.Verify(ctx, s, options, p.now())
		if err != nil {
			return err
		}
		for _, node := range slices.Sorted(maps.Keys(options.Since)) {
			p.printf("note  node %q, entries 1 to %d were not verified again: a checkpoint kept elsewhere signs entry %d\n", console.OneLine(node),
				options.Since[node].Sequence-1, options.Since[node].Sequence)
		}
		return p.verdict(report, waiting)
	})
}

// files verifies files, without the store.
func (c auditVerify) files(p *program) error {
	if c.JWKS == "" {
		return admin.Usagef("--file needs --jwks: keys from the place where the log may have been changed prove nothing")
	}
	options, err := c.options(context.Background(), nil)
	if err != nil {
		return err
	}
	report, err := auditlog.VerifyFiles(c.File, options)
	if err != nil {
		return err
	}
	return p.verdict(report, 0)
}

// options are the keys of the file, or else of the store, and the checkpoints that were kept.
func (c auditVerify) options(ctx context.Context, s store.Keys) (o audit.Options, err error) {
	if c.JWKS == "" {
		o.Keys, err = auditlog.Keys(ctx, s)
	} else if o.Keys, err = auditlog.ReadKeys(c.JWKS); err != nil {
		err = fmt.Errorf("--jwks: %w", err)
	}
	if err != nil {
		return o, err
	}
	if o.Anchors, err = auditlog.ReadAnchors(c.Checkpoint, o.Keys); err != nil {
		return o, fmt.Errorf("--checkpoint: %w", err)
	}
	if c.Since {
		o.Since = auditlog.Newest(o.Anchors)
		// Older ones sign what is not read.
		o.Anchors = slices.DeleteFunc(o.Anchors, func(anchor audit.Checkpoint) bool { return anchor.Sequence < o.Since[anchor.Node].Sequence })
	}
	return o, nil
}

// verdict prints what was found.
func (p *program) verdict(report audit.Report, waiting int) error {
	for _, finding := range report.Findings {
		p.printf("FAIL  %s\n", console.OneLine(finding.String()))
	}
	for node, through := range report.Dropped {
		p.printf("note  node %q, entries 1 to %d were exported and dropped: verify that file too\n", console.OneLine(node), through)
	}
	if report.Erased > 0 {
		p.printf("note  of %s it was erased whom they are about, and the log says so\n", console.Entries(report.Erased))
	}
	if len(report.Findings) > 0 {
		p.printf("%s, %s\n", console.Count(len(report.Findings), "fault"), console.Entries(report.Entries))
		return silentError{}
	}
	p.printf("ok    %s, each where it was written; %d not sealed by a checkpoint yet, %d not in a chain yet\n",
		console.Entries(report.Entries), report.Unsealed, waiting)
	return nil
}

type auditExport struct {
	Out        string `type:"path" placeholder:"FILE" help:"The new file; standard output by default. It holds what users and clients have asked for: keep it as safe as the database."`
	DropBefore string `placeholder:"DATE" help:"Export what is older than a day, such as 2026-10-01, up to a checkpoint, verify it, and remove it from the store."`
}

// Run implements the command.
func (c auditExport) Run(ctx context.Context, p *program) error {
	before, err := c.before()
	if err != nil {
		return err
	}
	return p.withStore(ctx, func(s store.Store) error {
		ends, err := auditlog.Exportable(ctx, s, before)
		if err != nil {
			return err
		}
		if !before.IsZero() && len(ends) == 0 {
			return fmt.Errorf("--drop-before: no checkpoint is older than %s; nothing was exported", c.DropBefore)
		}
		if c.Out == "" {
			_, err := auditlog.Export(ctx, p.stdout, s, ends)
			return err
		}
		if err := c.write(ctx, p, s, ends); err != nil || before.IsZero() {
			return err
		}
		return c.drop(ctx, p, s, ends)
	})
}

// before is the time of --drop-before, or zero.
func (c auditExport) before() (time.Time, error) {
	if c.DropBefore == "" {
		return time.Time{}, nil
	}
	before, err := time.Parse(time.DateOnly, c.DropBefore)
	if err != nil {
		return before, admin.Usagef("--drop-before: %q is not a day such as 2026-10-01", c.DropBefore)
	}
	if c.Out == "" {
		return before, admin.Usagef("--drop-before needs --out: what is dropped has to be in a file that is on the disk")
	}
	return before, nil
}

// write exports to the file.
func (c auditExport) write(ctx context.Context, p *program, s store.Store, ends auditlog.Position) error {
	written, err := auditlog.ExportFile(ctx, c.Out, s, ends)
	if err != nil {
		return err
	}
	p.printf("%s: %s\n", c.Out, console.Entries(written))
	return nil
}

func (c auditExport) drop(ctx context.Context, p *program, s store.Store, ends auditlog.Position) error {
	parts, err := auditlog.Drop(ctx, s, c.Out, ends, console.Operator(), p.now())
	for _, part := range parts {
		p.printf("node %q: dropped %s, up to %d\n", part.Node, console.Entries(part.Entries), part.Through)
	}
	if problem, ok := errors.AsType[*auditlog.DropError](err); ok {
		_ = p.verdict(problem.Report, 0) // err says the rest
	}
	return err
}

type auditKeys struct{}

// Run implements the command.
func (auditKeys) Run(ctx context.Context, p *program) error {
	return p.withStore(ctx, func(s store.Store) error {
		keys, err := auditlog.Keys(ctx, s)
		if err != nil {
			return err
		}
		return json.NewEncoder(p.stdout).Encode(keys)
	})
}

type auditFollow struct {
	FromStart bool `help:"Begin with the first entry, instead of the next one."`
}

// Run implements the command.
func (c auditFollow) Run(ctx context.Context, p *program) error {
	return p.withStore(ctx, func(s store.Store) error {
		return auditlog.Follow(ctx, s, c.FromStart, func(line store.AuditLine) error {
			p.printf("%s\n", auditlog.Shown(line))
			return nil
		})
	})
}

type auditErase struct {
	Subject string `placeholder:"SUBJECT" xor:"what" required:"" help:"Erase in all entries about this user; countersign users list shows subjects."`
	Before  string `placeholder:"DATE" xor:"what" required:"" help:"Erase in all entries older than a day, such as 2026-01-01."`
	DryRun  bool   `help:"Say how many entries there are, and change nothing."`
	Yes     bool   `help:"Do not ask for confirmation."`
}

// Help implements kong.HelpProvider.
func (auditErase) Help() string {
	return `Each event keeps its subject and the network address beside the entry, which has their salted digest in its place. They are
erased for good, and an entry says of which entries; the chain is as it was, and verify proves that. Signed messages
go with it, also those about consents that the user decided about, and logout tokens. What nobody took up goes by age. Files
that were exported before are left: to end these, remove the files.`
}

// Run implements the command.
func (c auditErase) Run(ctx context.Context, p *program) error {
	what, kind := auditlog.Erasure{Subject: c.Subject, By: console.Operator()}, "the subject"
	if c.Before != "" {
		kind = "the day"
		var err error
		if what.Before, err = time.Parse(time.DateOnly, c.Before); err != nil {
			return admin.Usagef("--before: %q is not a day such as 2026-01-01", c.Before)
		}
	}
	return p.withStore(ctx, func(s store.Store) error {
		var err error
		if what.Pairwise, err = tokens.PairwiseOf(ctx, s, c.Subject); err != nil {
			return err
		}
		if c.DryRun || !c.Yes {
			count, _, err := auditlog.Erase(ctx, s, what, p.now(), true)
			if err != nil {
				return err
			}
			p.printf("%s to erase in\n", console.Entries(count))
			if c.DryRun {
				p.printf("nothing was changed\n")
				return nil
			}
			if err := console.Confirm(p.stdin, p.stderr, kind, cmp.Or(c.Subject, c.Before)); err != nil {
				return err
			}
		}
		erased, pending, err := auditlog.Erase(ctx, s, what, p.now(), false)
		if err != nil {
			return err
		}
		p.printf("erased in %s\n", console.Entries(erased))
		if pending > 0 {
			return fmt.Errorf("%s more are not in a chain yet; run this again when a server has appended them", console.Entries(pending))
		}
		return nil
	})
}
