package auditlog

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"time"

	"countersign/internal/audit"
	"countersign/internal/jose"
	"countersign/store"
)

// maxWaiting bounds how many entries are counted that are not in a chain yet.
const maxWaiting = 1000

// Verify verifies the log in a store, with the keys that may have signed checkpoints and the checkpoints that were kept
// elsewhere. waiting is how many entries are not in a chain yet.
func Verify(ctx context.Context, s store.Store, options audit.Options, now time.Time) (report audit.Report, waiting int, err error) {
	said, err := SaidWaiting(ctx, s, now)
	if err != nil {
		return report, 0, err
	}
	options.Dropped, options.Erased = said.Dropped, said.Erased
	positions := &positions{verifier: audit.NewVerifier(options)}
	from := Position{}
	for node, since := range options.Since {
		from[node] = since.Sequence - 1
	}
	if err := Each(ctx, s, from, positions.add); err != nil {
		return report, 0, err
	}
	evidence, err := s.WaitingEvidence(ctx, "", now.Add(time.Hour), maxWaiting)
	if err != nil {
		return report, 0, err
	}
	return positions.report(), len(evidence), nil
}

// Newest returns the newest of checkpoints, by node, for [audit.Options].Since.
func Newest(anchors []audit.Checkpoint) map[string]audit.Checkpoint {
	newest := map[string]audit.Checkpoint{}
	for _, anchor := range anchors {
		if before, known := newest[anchor.Node]; anchor.Sequence > 0 && (!known || anchor.Sequence > before.Sequence) {
			newest[anchor.Node] = anchor
		}
	}
	return newest
}

// positions compares lines with where the store says that they are.
type positions struct {
	verifier *audit.Verifier
	wrong    []audit.Finding
}

func (p *positions) add(line store.AuditLine) error {
	entry, err := audit.ParseEntry([]byte(line.Text))
	switch {
	case err != nil || entry.Personal != nil:
		p.wrong = append(p.wrong, audit.Finding{
			Fault: audit.Changed, Node: line.Chain, From: line.Sequence, To: line.Sequence, Detail: "it is not an entry any more",
		})
	case entry.Node != line.Chain || entry.Sequence != line.Sequence:
		p.wrong = append(p.wrong, audit.Finding{
			Fault: audit.Reordered, Node: line.Chain, From: line.Sequence, To: line.Sequence,
			Detail: fmt.Sprintf("the store has there what was written as entry %d of node %q", entry.Sequence, entry.Node),
		})
	}
	p.verifier.Add(Shown(line))
	return nil
}

func (p *positions) report() audit.Report {
	report := p.verifier.Report()
	report.Findings = append(p.wrong, report.Findings...)
	return report
}

// VerifyFiles verifies exported files, the oldest first. The checkpoints at which the log was parted are in two of them and
// count once.
func VerifyFiles(names []string, options audit.Options) (audit.Report, error) {
	verifier := audit.NewVerifier(options)
	earlier := map[string]bool{}
	for _, name := range names {
		own := map[string]bool{}
		err := eachLine(name, func(line []byte) error {
			if bytes.Contains(line, []byte(`"checkpoint"`)) {
				hash := audit.Hash(line)
				if earlier[hash] {
					return nil
				}
				own[hash] = true
			}
			verifier.Add(line)
			return nil
		})
		if err != nil {
			return audit.Report{}, err
		}
		maps.Copy(earlier, own)
	}
	return verifier.Report(), nil
}

// looksSigned finds what may be a checkpoint in a line: alone, in JSON, or in the text of a server's log.
var looksSigned = regexp.MustCompile(`[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}`)

// ReadAnchors reads files with checkpoints that were kept elsewhere: alone, in JSON lines or in the server's log. Everything
// else is passed over; a checkpoint that no key signed, or a file without one, is an error.
func ReadAnchors(names []string, keys jose.KeySet) ([]audit.Checkpoint, error) {
	var anchors []audit.Checkpoint
	for _, name := range names {
		before := len(anchors)
		err := eachLine(name, func(line []byte) error {
			found, err := checkpointsIn(string(line), keys)
			anchors = append(anchors, found...)
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(anchors) == before {
			return nil, fmt.Errorf("%s: there is no checkpoint in it", name)
		}
	}
	return anchors, nil
}

func checkpointsIn(line string, keys jose.KeySet) ([]audit.Checkpoint, error) {
	var found []audit.Checkpoint
	for _, signed := range looksSigned.FindAllString(line, -1) {
		token, err := jose.Parse(signed, jose.ParseOptions{Algorithms: []string{jose.PS256, jose.ES256, jose.EdDSA}})
		if err != nil || !token.Header.HasType(audit.CheckpointType) {
			continue
		}
		checkpoint, err := audit.ReadCheckpoint(signed, keys)
		if err != nil {
			return nil, fmt.Errorf("a checkpoint in it does not count: %w", err)
		}
		found = append(found, checkpoint)
	}
	return found, nil
}

// maxLine bounds a line of a file, in bytes.
const maxLine = 1 << 20

// eachLine yields the lines of a file that are not empty.
func eachLine(name string, yield func(line []byte) error) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	if err := errors.Join(scan(file, yield), file.Close()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func scan(r io.Reader, yield func(line []byte) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		if err := yield(line); err != nil {
			return err
		}
	}
	return lines.Err()
}
