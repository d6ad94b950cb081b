package audit

import (
	"maps"
	"slices"
)

// Verifier checks a log line by line, and remembers some hundred bytes of each.
type Verifier struct {
	options Options
	report  Report
	lines   int
	nodes   map[string][]located
}

// NewVerifier begins.
func NewVerifier(options Options) *Verifier {
	dropped := maps.Clone(options.Dropped)
	if dropped == nil {
		dropped = map[string]uint64{}
	}
	options.Dropped, options.Erased = dropped, maps.Clone(options.Erased)
	if options.Erased == nil {
		options.Erased = Erased{}
	}
	return &Verifier{
		options: options, nodes: map[string][]located{},
		report: Report{Last: map[string]Checkpoint{}, Dropped: map[string]uint64{}},
	}
}

// Add takes the next line of the log, with its personal part, in the order in which they were written; those of several nodes may be
// mixed. The
// first line of each node must be its first entry, or a checkpoint if those before it were dropped.
func (v *Verifier) Add(line []byte) {
	v.lines++
	entry, err := ParseEntry(line)
	if err == nil {
		line, err = entry.chained(line)
	}
	if err != nil {
		v.report.Findings = append(v.report.Findings, Finding{Fault: Unreadable, Line: v.lines, Detail: err.Error()})
		return
	}
	v.report.Entries++
	if err := entry.check(); err != nil {
		v.report.Findings = append(v.report.Findings, Finding{
			Fault: Unproven, Node: entry.Node, From: entry.Sequence, To: entry.Sequence, Line: v.lines, Detail: "its message proves nothing: " + err.Error(),
		})
	}
	if entry.Kind == Dropped {
		node, through := DroppedBy(entry.Detail)
		v.options.Dropped[node] = max(v.options.Dropped[node], through)
	}
	if entry.Kind == SecurityEvent {
		v.options.Erased.Add(entry.Detail)
	}
	if entry.Personal != nil && digest(entry.Personal) != entry.PersonalDigest {
		v.report.Findings = append(v.report.Findings, Finding{
			Fault: Changed, Node: entry.Node, From: entry.Sequence, To: entry.Sequence, Line: v.lines, Detail: errForeignPart.Error(),
		})
	}
	v.nodes[entry.Node] = append(v.nodes[entry.Node], located{
		Sequence: entry.Sequence, Previous: entry.Previous, Kind: entry.Kind, Checkpoint: entry.Checkpoint, line: v.lines, hash: Hash(line),
		without: entry.PersonalDigest != "" && entry.Personal == nil,
	})
}

// Report ends it.
func (v *Verifier) Report() Report {
	for _, anchor := range v.options.Anchors {
		if _, known := v.nodes[anchor.Node]; !known {
			v.nodes[anchor.Node] = nil
		}
	}
	for _, node := range slices.Sorted(maps.Keys(v.nodes)) {
		chain := verification{node: node, options: v.options, report: &v.report, ordered: v.nodes[node]}
		chain.run()
	}
	return v.report
}
