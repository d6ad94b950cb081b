package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"time"

	"countersign/internal/audit"
	"countersign/internal/auditlog"
	"countersign/internal/jose"
	"countersign/store"
)

// auditCommand reads the audit log.
type auditCommand struct {
	Verify auditVerify `cmd:"" help:"Look for what was deleted, changed, reordered or cut off."`
	Export auditExport `cmd:"" help:"Write the log as JSON lines, and drop old parts of it."`
	Follow auditFollow `cmd:"" help:"Write new entries as they come."`
	Keys   auditKeys   `cmd:"" help:"Write the public keys that seal the log, as a JWK Set."`
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
  countersign audit keys > audit-keys.json
  countersign audit export --out audit-2026.jsonl
  countersign audit export --out audit-2026.jsonl --drop-before 2026-10-01
  countersign audit verify --file audit-2026.jsonl --jwks audit-keys.json    # on any machine
  countersign audit follow`
}

type auditVerify struct {
	File       []string `type:"existingfile" placeholder:"FILE" help:"Verify what audit export wrote, instead of the store; give it once for each file, the oldest first."`
	JWKS       string   `name:"jwks" type:"existingfile" placeholder:"FILE" help:"Keys that may have signed checkpoints, as audit keys wrote them; those of the store by default."`
	Checkpoint []string `type:"existingfile" placeholder:"FILE" help:"Checkpoints that were kept elsewhere: alone, in JSON lines or in the server's log. What is missing in comparison is found."`
}

// Run implements the command.
func (c auditVerify) Run(ctx context.Context, p *program) error {
	if len(c.File) > 0 && c.JWKS == "" {
		return errors.New("--file needs --jwks: keys from the place where the log may have been changed prove nothing")
	}
	var options audit.Options
	var err error
	if c.JWKS != "" {
		raw, err := os.ReadFile(c.JWKS)
		if err != nil {
			return err
		}
		if options.Keys, err = jose.ParseKeySet(raw); err != nil {
			return fmt.Errorf("--jwks: %s: %w", c.JWKS, err)
		}
	}
	if len(c.File) > 0 {
		if options.Anchors, err = readAnchors(c.Checkpoint, options.Keys); err != nil {
			return err
		}
		verifier := audit.NewVerifier(options)
		if err := eachFileLine(c.File, verifier.Add); err != nil {
			return err
		}
		return p.verdict(verifier.Report(), 0)
	}
	return p.withStore(ctx, func(s store.Store) error {
		if c.JWKS == "" {
			if options.Keys, err = auditlog.Keys(ctx, s); err != nil {
				return err
			}
		}
		if options.Anchors, err = readAnchors(c.Checkpoint, options.Keys); err != nil {
			return err
		}
		if options.Dropped, err = auditlog.DroppedWaiting(ctx, s, p.now()); err != nil {
			return err
		}
		verifier := audit.NewVerifier(options)
		place := newPlaces(verifier)
		if err := auditlog.Each(ctx, s, auditlog.Position{}, place.add); err != nil {
			return err
		}
		waiting, err := s.WaitingEvidence(ctx, "", p.now().Add(time.Hour), 1000)
		if err != nil {
			return err
		}
		return p.verdict(place.report(), len(waiting))
	})
}

// places holds lines against where the store says that they are.
type places struct {
	verifier *audit.Verifier
	wrong    []audit.Finding
}

func newPlaces(verifier *audit.Verifier) *places { return &places{verifier: verifier} }

func (l *places) add(line store.AuditLine) error {
	entry, err := audit.ParseEntry([]byte(line.Text))
	if err == nil && (entry.Node != line.Chain || entry.Sequence != line.Sequence) {
		l.wrong = append(l.wrong, audit.Finding{
			Fault: audit.Reordered, Node: line.Chain, From: line.Sequence, To: line.Sequence,
			Detail: fmt.Sprintf("the store has there what was written as entry %d of node %q", entry.Sequence, entry.Node),
		})
	}
	if err != nil {
		l.wrong = append(l.wrong, audit.Finding{
			Fault: audit.Changed, Node: line.Chain, From: line.Sequence, To: line.Sequence, Detail: "it is not an entry any more",
		})
	}
	l.verifier.Add([]byte(line.Text))
	return nil
}

func (l *places) report() audit.Report {
	report := l.verifier.Report()
	report.Findings = append(l.wrong, report.Findings...)
	return report
}

// verdict tells what was found.
func (p *program) verdict(report audit.Report, waiting int) error {
	for _, finding := range report.Findings {
		p.printf("FAIL  %s\n", oneLine(finding.String()))
	}
	for node, through := range report.Dropped {
		p.printf("note  node %q, entries 1 to %d were exported and dropped: verify that file too\n", oneLine(node), through)
	}
	if len(report.Findings) > 0 {
		p.printf("%s, %s\n", counted(len(report.Findings), "fault"), entries(report.Entries))
		return silentError{}
	}
	p.printf("ok    %s, each where it was written; %d not sealed by a checkpoint yet, %d not in a chain yet\n", entries(report.Entries), report.Unsealed, waiting)
	return nil
}

func entries(count int) string {
	if count == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", count)
}

// eachFileLine reads files of lines. The checkpoints at which the log was parted are in two of them and count once.
func eachFileLine(names []string, yield func(line []byte)) error {
	earlier := map[string]bool{}
	for _, name := range names {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		own := map[string]bool{}
		err = eachLine(file, func(line []byte) error {
			if bytes.Contains(line, []byte(`"checkpoint"`)) {
				hash := audit.Hash(line)
				if earlier[hash] {
					return nil
				}
				own[hash] = true
			}
			yield(line)
			return nil
		})
		if err := errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		maps.Copy(earlier, own)
	}
	return nil
}

// maxAuditLine bounds a line, in bytes.
const maxAuditLine = 1 << 20

func eachLine(r io.Reader, yield func(line []byte) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxAuditLine)
	for lines.Scan() {
		if line := bytes.TrimSpace(lines.Bytes()); len(line) > 0 {
			if err := yield(line); err != nil {
				return err
			}
		}
	}
	return lines.Err()
}

// looksSigned finds what may be a checkpoint in a line: alone, in JSON, or in the text of a server's log.
var looksSigned = regexp.MustCompile(`[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}`)

// readAnchors reads checkpoints that were kept elsewhere. Everything else is passed over; a checkpoint that no key signed is
// an error.
func readAnchors(names []string, keys jose.KeySet) ([]audit.Checkpoint, error) {
	var anchors []audit.Checkpoint
	for _, name := range names {
		before := len(anchors)
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		err = eachLine(file, func(line []byte) error {
			for _, signed := range looksSigned.FindAllString(string(line), -1) {
				token, err := jose.Parse(signed, jose.ParseOptions{Algorithms: []string{jose.PS256, jose.ES256, jose.EdDSA}})
				if err != nil || !token.Header.HasType(audit.CheckpointType) {
					continue
				}
				checkpoint, err := audit.ReadCheckpoint(signed, keys)
				if err != nil {
					return fmt.Errorf("a checkpoint in it does not count: %w", err)
				}
				anchors = append(anchors, checkpoint)
			}
			return nil
		})
		if err == nil && len(anchors) == before {
			err = errors.New("there is no checkpoint in it")
		}
		if err := errors.Join(err, file.Close()); err != nil {
			return nil, fmt.Errorf("--checkpoint: %s: %w", name, err)
		}
	}
	return anchors, nil
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
	const pause = time.Second
	return p.withStore(ctx, func(s store.Store) error {
		position, err := auditlog.Heads(ctx, s)
		if c.FromStart {
			position = auditlog.Position{}
		}
		for err == nil {
			err = auditlog.Each(ctx, s, position, func(line store.AuditLine) error {
				p.printf("%s\n", line.Text)
				return nil
			})
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(pause):
			}
		}
		if ctx.Err() != nil {
			return nil // the operator has seen enough
		}
		return err
	})
}
