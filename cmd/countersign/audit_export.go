package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	"countersign/internal/audit"
	"countersign/internal/auditlog"
	"countersign/store"
)

type auditExport struct {
	Out        string `type:"path" placeholder:"FILE" help:"The new file; standard output by default. It holds what people and clients have asked for: keep it as safe as the database."`
	DropBefore string `placeholder:"DATE" help:"Export what is older than a day, such as 2026-10-01, up to a checkpoint, verify it, and take it out of the store."`
}

// Run implements the command.
func (c auditExport) Run(ctx context.Context, p *program) error {
	var before time.Time
	if c.DropBefore != "" {
		var err error
		if before, err = time.Parse(time.DateOnly, c.DropBefore); err != nil {
			return fmt.Errorf("--drop-before: %q is not a day such as 2026-10-01", c.DropBefore)
		}
		if c.Out == "" {
			return errors.New("--drop-before needs --out: what is dropped has to be in a file that is on the disk")
		}
	}
	return p.withStore(ctx, func(s store.Store) error {
		ends, err := exportable(ctx, s, before)
		if err != nil {
			return err
		}
		if !before.IsZero() && len(ends) == 0 {
			return fmt.Errorf("--drop-before: no checkpoint is older than %s; nothing was exported", c.DropBefore)
		}
		if c.Out == "" {
			_, err := writeAudit(ctx, p.stdout, s, ends)
			return err
		}
		file, err := os.OpenFile(c.Out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		written, err := writeAudit(ctx, file, s, ends)
		if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
			return errors.Join(err, os.Remove(c.Out))
		}
		p.printf("%s: %s\n", c.Out, entries(written))
		if before.IsZero() {
			return nil
		}
		return c.drop(ctx, p, s, ends)
	})
}

// exportable says, by chain, which entry is the last to be exported: the last of all, or the last checkpoint before a time.
func exportable(ctx context.Context, s store.Audit, before time.Time) (auditlog.Position, error) {
	if before.IsZero() {
		return auditlog.Heads(ctx, s)
	}
	ends := auditlog.Position{}
	err := auditlog.Each(ctx, s, auditlog.Position{}, func(line store.AuditLine) error {
		entry, err := audit.ParseEntry([]byte(line.Text))
		if err != nil {
			return fmt.Errorf("the log is not in order; run countersign audit verify: %w", err)
		}
		if entry.Kind == audit.CheckpointKind && entry.At.Before(before) {
			ends[line.Chain] = line.Sequence
		}
		return nil
	})
	return ends, err
}

// writeAudit writes the lines up to the ends of their chains.
func writeAudit(ctx context.Context, to io.Writer, s store.Audit, ends auditlog.Position) (int, error) {
	buffered, written := bufio.NewWriter(to), 0
	err := auditlog.Each(ctx, s, auditlog.Position{}, func(line store.AuditLine) error {
		if line.Sequence > ends[line.Chain] {
			return nil
		}
		written++
		_, err := buffered.WriteString(line.Text + "\n")
		return err
	})
	return written, errors.Join(err, buffered.Flush())
}

// drop verifies what was written, from the file, and then takes it out of the store. The checkpoint at its end stays: with
// it the log begins from now on.
func (c auditExport) drop(ctx context.Context, p *program, s store.Store, ends auditlog.Position) error {
	keys, err := auditlog.Keys(ctx, s)
	if err != nil {
		return err
	}
	dropped, err := droppedBefore(ctx, s)
	if err != nil {
		return err
	}
	verifier := audit.NewVerifier(audit.Options{Keys: keys, Dropped: dropped})
	if err := eachFileLine([]string{c.Out}, verifier.Add); err != nil {
		return err
	}
	if report := verifier.Report(); len(report.Findings) > 0 || report.Unsealed > 0 {
		return fmt.Errorf("nothing was dropped, because the log is not in order: %w", errors.Join(p.verdict(report, 0), errors.New("see above")))
	}
	digest, err := fileDigest(c.Out)
	if err != nil {
		return err
	}
	for _, chain := range slices.Sorted(maps.Keys(ends)) {
		through := ends[chain] - 1
		body, err := json.Marshal(audit.Event{Kind: audit.Dropped, Detail: map[string]string{
			"node": chain, "through": strconv.FormatUint(through, 10), "file_sha-256": digest, "by": operator(),
		}})
		if err != nil {
			return err
		}
		count, err := s.DropAudit(ctx, chain, ends[chain], store.Evidence{At: p.now(), Body: body})
		if err != nil {
			return err
		}
		p.printf("node %q: dropped %s, up to %d\n", chain, entries(count), through)
	}
	return nil
}

// droppedBefore collects what the whole log says of earlier drops.
func droppedBefore(ctx context.Context, s store.Store) (map[string]uint64, error) {
	dropped, err := auditlog.DroppedWaiting(ctx, s, time.Now())
	if err != nil {
		return nil, err
	}
	return dropped, auditlog.Each(ctx, s, auditlog.Position{}, func(line store.AuditLine) error {
		if entry, err := audit.ParseEntry([]byte(line.Text)); err == nil && entry.Kind == audit.Dropped {
			node, through := audit.DroppedBy(entry.Detail)
			dropped[node] = max(dropped[node], through)
		}
		return nil
	})
}

func fileDigest(name string) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	_, err = io.Copy(hash, file)
	return base64.RawURLEncoding.EncodeToString(hash.Sum(nil)), errors.Join(err, file.Close())
}
