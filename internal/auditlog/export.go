package auditlog

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
	"countersign/internal/pause"
	"countersign/store"
)

// Exportable returns the last entry to be exported, by chain: the last of all when before is zero, or else the last
// checkpoint before that time. A chain without one is left out.
func Exportable(ctx context.Context, s store.Audit, before time.Time) (Position, error) {
	if before.IsZero() {
		return Heads(ctx, s)
	}
	ends := Position{}
	err := Each(ctx, s, Position{}, func(line store.AuditLine) error {
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

// Export writes the lines up to the ends of their chains, and returns how many.
func Export(ctx context.Context, to io.Writer, s store.Audit, ends Position) (int, error) {
	buffered, written := bufio.NewWriter(to), 0
	err := Each(ctx, s, Position{}, func(line store.AuditLine) error {
		if line.Sequence > ends[line.Chain] {
			return nil
		}
		written++
		_, err := buffered.Write(append(Shown(line), '\n'))
		return err
	})
	return written, errors.Join(err, buffered.Flush())
}

// ExportFile is [Export] into a new file, which only its owner can read. It is on the disk then, or not there.
func ExportFile(ctx context.Context, name string, s store.Audit, ends Position) (int, error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	written, err := Export(ctx, file, s, ends)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return 0, errors.Join(err, os.Remove(name))
	}
	return written, nil
}

// followPause is how often new entries are looked for.
const followPause = time.Second

// Follow yields new entries as they come, or all entries first, until ctx ends, which is no error.
func Follow(ctx context.Context, s store.Audit, fromStart bool, yield func(store.AuditLine) error) error {
	position := Position{}
	if !fromStart {
		var err error
		if position, err = Heads(ctx, s); err != nil {
			return err
		}
	}
	for ctx.Err() == nil {
		if err := Each(ctx, s, position, yield); err != nil && ctx.Err() == nil {
			return err
		}
		_ = pause.For(ctx, followPause) // the loop looks at ctx
	}
	return nil
}

// DropError is a log that was not dropped because it is not in order.
type DropError struct{ Report audit.Report }

// Error implements error.
func (*DropError) Error() string {
	return "nothing was dropped, because the log is not in order"
}

// DroppedPart is what was taken out of one chain.
type DroppedPart struct {
	Node string
	// Entries is how many, and Through the number of the last.
	Entries int
	Through uint64
}

// Drop verifies an exported file and then takes what is in it out of the store. The checkpoint at its end stays: with it the
// log begins from now on. by is who does it, for the log. A file that does not verify is a [DropError].
func Drop(ctx context.Context, s store.Store, file string, ends Position, by string, now time.Time) ([]DroppedPart, error) {
	keys, err := Keys(ctx, s)
	if err != nil {
		return nil, err
	}
	options, err := saidOf(ctx, s, now)
	if err != nil {
		return nil, err
	}
	options.Keys = keys
	report, err := VerifyFiles([]string{file}, options)
	if err != nil {
		return nil, err
	}
	if len(report.Findings) > 0 || report.Unsealed > 0 {
		return nil, &DropError{report}
	}
	digest, err := fileDigest(file)
	if err != nil {
		return nil, err
	}
	var parts []DroppedPart
	for _, chain := range slices.Sorted(maps.Keys(ends)) {
		through := ends[chain] - 1
		body, err := json.Marshal(audit.Event{Kind: audit.Dropped, Detail: map[string]string{
			"node": chain, "through": strconv.FormatUint(through, 10), "file_sha-256": digest, "by": by,
		}})
		if err != nil {
			return parts, err
		}
		count, err := s.DropAudit(ctx, chain, ends[chain], store.Evidence{At: now, Body: body})
		if err != nil {
			return parts, err
		}
		parts = append(parts, DroppedPart{Node: chain, Entries: count, Through: through})
	}
	return parts, nil
}

// saidOf collects what the whole log says of earlier drops and erasures.
func saidOf(ctx context.Context, s store.Store, now time.Time) (audit.Options, error) {
	said, err := SaidWaiting(ctx, s, now)
	if err != nil {
		return said, err
	}
	return said, Each(ctx, s, Position{}, func(line store.AuditLine) error {
		if entry, err := audit.ParseEntry([]byte(line.Text)); err == nil {
			say(said, entry.Kind, entry.Detail)
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
