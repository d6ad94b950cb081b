package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"countersign/internal/jose"
)

// Fault is what was done to a log.
type Fault string

// The faults.
const (
	Deleted   Fault = "deleted"
	Changed   Fault = "changed"
	Reordered Fault = "reordered"
	Repeated  Fault = "repeated"
	Truncated Fault = "truncated"
	// Unsealed: more entries follow the last checkpoint than should, or a checkpoint is not signed by a known key.
	Unsealed Fault = "unsealed"
	// Unproven: the message of an entry is not signed by the key that is kept with it.
	Unproven Fault = "unproven"
	// PartMissing: what an entry had about a person is missing, and no entry says that it was erased.
	PartMissing Fault = "incomplete"
	// Unreadable: a line is no entry. Line says which.
	Unreadable Fault = "unreadable"
)

// Finding names the entries at fault, From to To of a node, both included.
type Finding struct {
	Fault    Fault
	Node     string
	From, To uint64
	// Line is the number of a line in the log, from 1; zero when the entry is not there.
	Line   int
	Detail string
}

// String is for an operator.
func (f Finding) String() string {
	switch {
	case f.Fault == Unreadable:
		return fmt.Sprintf("line %d: %s: %s", f.Line, f.Fault, f.Detail)
	case f.From == f.To:
		return fmt.Sprintf("node %q, entry %d: %s: %s", f.Node, f.From, f.Fault, f.Detail)
	}
	return fmt.Sprintf("node %q, entries %d to %d: %s: %s", f.Node, f.From, f.To, f.Fault, f.Detail)
}

// Options are what the verifier knows from elsewhere.
type Options struct {
	// Keys are those that may sign checkpoints.
	Keys jose.KeySet
	// Every is after how many entries a checkpoint is due. More without one are a finding; zero demands none.
	Every uint64
	// Anchors are checkpoints that were in the log once ([Report].Last) and were kept outside it. Without one, a log that
	// was cut off just after a checkpoint cannot be distinguished from one that ended there.
	Anchors []Checkpoint
	// Dropped says, by node, up to which entry a log was exported and dropped, beside what the log says of it itself.
	Dropped map[string]uint64
	// Erased says whose personal part was erased, beside what the log says of it itself.
	Erased Erased
	// Since are checkpoints, by node, that were kept outside the log, and before which it is not verified: the first entry that is read of
	// the node is the one that they sign.
	Since map[string]Checkpoint
}

// Report is what was found.
type Report struct {
	Entries int
	// Last are the newest valid checkpoints, by node: the anchors of the next time.
	Last map[string]Checkpoint
	// Unsealed counts the entries after them.
	Unsealed uint64
	// Dropped are, by node, the last entries of what was exported and dropped: they are to be verified in that export.
	Dropped map[string]uint64
	// Erased counts the entries whose personal part was erased.
	Erased   int
	Findings []Finding
}

// located is what the verifier keeps of an entry: its place, and nothing of its message.
type located struct {
	Sequence   uint64
	Previous   string
	Kind       Kind
	Checkpoint string
	line       int
	hash       string
	// without reports that the personal part is not there.
	without bool
}

// verification is that of one node.
type verification struct {
	node    string
	options Options
	report  *Report
	ordered []located
}

func (v *verification) find(fault Fault, from, to uint64, line int, detail string) {
	v.report.Findings = append(v.report.Findings, Finding{Fault: fault, Node: v.node, From: from, To: to, Line: line, Detail: detail})
}

func (v *verification) run() {
	v.order()
	v.links()
	v.seals()
	v.anchors()
	v.erasures()
}

// erasures looks for personal parts that are missing, and that nothing says were erased.
func (v *verification) erasures() {
	for _, entry := range v.ordered {
		switch {
		case !entry.without:
		case v.options.Erased[v.node].Has(entry.Sequence):
			v.report.Erased++
		default:
			v.find(PartMissing, entry.Sequence, entry.Sequence, entry.line, errPartMissing.Error())
		}
	}
}

// order puts the entries in the order of their numbers, and says which were not, and which are duplicates.
func (v *verification) order() {
	highest := uint64(0)
	for _, entry := range v.ordered {
		if entry.Sequence < highest {
			v.find(Reordered, entry.Sequence, entry.Sequence, entry.line, fmt.Sprintf("it comes after entry %d", highest))
		}
		highest = max(highest, entry.Sequence)
	}
	slices.SortStableFunc(v.ordered, func(a, b located) int { return cmp.Compare(a.Sequence, b.Sequence) })
	unique := v.ordered[:0]
	for _, entry := range v.ordered {
		if len(unique) > 0 && unique[len(unique)-1].Sequence == entry.Sequence {
			v.find(Repeated, entry.Sequence, entry.Sequence, entry.line, "another line has the same number")
			continue
		}
		unique = append(unique, entry)
	}
	v.ordered = unique
}

// links looks for gaps, and for entries that are not the ones that the next entry was written after.
func (v *verification) links() {
	before := located{}
	for _, entry := range v.ordered {
		switch {
		case before.Sequence == 0 && v.isSince(entry): // what it was written after is not read
		case before.Sequence == 0 && v.begins(entry):
			v.report.Dropped[v.node] = entry.Sequence - 1
		case entry.Sequence > before.Sequence+1:
			v.find(Deleted, before.Sequence+1, entry.Sequence-1, 0, fmt.Sprintf("the log continues with entry %d", entry.Sequence))
		case entry.Previous == before.hash:
		case before.Sequence == 0:
			v.find(Changed, 1, 1, entry.line, "the first entry names one before it")
		default:
			v.find(Changed, before.Sequence, before.Sequence, before.line, fmt.Sprintf("its hash is not the one in entry %d", entry.Sequence))
		}
		before = entry
	}
}

// isSince reports whether an entry is the one from which the node's log is verified.
func (v *verification) isSince(entry located) bool {
	since, known := v.options.Since[v.node]
	return known && entry.Sequence == since.Sequence && entry.hash == since.Hash
}

// begins reports whether a node's log may begin with an entry after the first: what came before was dropped, and the entry
// is a checkpoint that signs the last of it.
func (v *verification) begins(entry located) bool {
	if entry.Sequence == 1 || v.options.Dropped[v.node]+1 < entry.Sequence {
		return false
	}
	checkpoint, err := ReadCheckpoint(entry.Checkpoint, v.options.Keys)
	return err == nil && checkpoint.Node == v.node && checkpoint.Sequence == entry.Sequence-1 && checkpoint.Hash == entry.Previous
}

// DroppedBy reads the detail of a [Dropped] entry: the node, and the last entry that was dropped. It is zero when the
// detail says something else.
func DroppedBy(detail map[string]string) (node string, through uint64) {
	through, err := strconv.ParseUint(detail["through"], 10, 64)
	if err != nil {
		return "", 0
	}
	return detail["node"], through
}

// seals verifies the checkpoints.
func (v *verification) seals() {
	sealed := max(v.report.Dropped[v.node], v.options.Since[v.node].Sequence)
	var before located
	for _, entry := range v.ordered {
		if entry.Kind == CheckpointKind {
			checkpoint, err := ReadCheckpoint(entry.Checkpoint, v.options.Keys)
			switch {
			case err != nil:
				v.find(Unsealed, entry.Sequence, entry.Sequence, entry.line, "the checkpoint is not valid: "+err.Error())
			case checkpoint.Node != v.node || checkpoint.Sequence+1 != entry.Sequence:
				v.find(Changed, entry.Sequence, entry.Sequence, entry.line,
					fmt.Sprintf("its checkpoint was made for entry %d of node %q", checkpoint.Sequence, checkpoint.Node))
			case before.Sequence == checkpoint.Sequence && before.hash != checkpoint.Hash:
				// The line of the checkpoint before is among them: only what it signs was safe until now.
				v.find(Changed, max(sealed, 1), checkpoint.Sequence, before.line, "they are not what the checkpoint after them signs")
			default:
				v.due(sealed, entry.Sequence-1)
				sealed, v.report.Last[v.node] = entry.Sequence, checkpoint
			}
		}
		before = entry
	}
	if before.Sequence > sealed {
		v.due(sealed, before.Sequence)
		v.report.Unsealed += before.Sequence - sealed
	}
}

// due finds a stretch without a checkpoint that is longer than it should be.
func (v *verification) due(sealed, last uint64) {
	if v.options.Every > 0 && last-sealed > v.options.Every {
		v.find(Unsealed, sealed+1, last, 0, fmt.Sprintf("a checkpoint was due after %d entries", v.options.Every))
	}
}

// anchors compares the log with what was kept outside it.
func (v *verification) anchors() {
	last := uint64(0)
	if len(v.ordered) > 0 {
		last = v.ordered[len(v.ordered)-1].Sequence
	}
	for _, anchor := range v.options.Anchors {
		if anchor.Node != v.node {
			continue
		}
		// The checkpoint itself was an entry, too.
		if last <= anchor.Sequence {
			v.find(Truncated, last+1, anchor.Sequence+1, 0, fmt.Sprintf("a checkpoint kept elsewhere signs entry %d", anchor.Sequence))
			continue
		}
		for _, entry := range v.ordered {
			if entry.Sequence == anchor.Sequence && entry.hash != anchor.Hash {
				v.find(Changed, anchor.Sequence, anchor.Sequence, entry.line, "a checkpoint kept elsewhere signs another one")
			}
		}
	}
}

// ReadCheckpoint verifies a signed checkpoint. Errors wrap those of internal/jose, or [ErrEntry].
func ReadCheckpoint(signed string, keys jose.KeySet) (Checkpoint, error) {
	token, err := jose.Parse(signed, jose.ParseOptions{Algorithms: []string{jose.PS256, jose.ES256, jose.EdDSA}})
	if err != nil {
		return Checkpoint{}, err
	}
	if !token.Header.HasType(CheckpointType) {
		return Checkpoint{}, fmt.Errorf("%w: its typ is not %s", ErrEntry, CheckpointType)
	}
	if err := token.VerifyWith(keys); err != nil {
		return Checkpoint{}, err
	}
	var checkpoint Checkpoint
	if err := token.Claims(&checkpoint); err != nil {
		return Checkpoint{}, err
	}
	return checkpoint, nil
}
