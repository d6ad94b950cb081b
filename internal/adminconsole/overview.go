package adminconsole

import (
	"context"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"countersign/internal/audit"
	"countersign/internal/why"
	"countersign/store"
)

// overviewView is the state of the node.
type overviewView struct {
	// Ready reports that all parts work; Parts are what was looked at.
	Ready    bool
	Parts    []fact
	Keys     []fact
	Chains   []fact
	Ends     []fact
	Backlogs []fact
	// Rules are those that refused most of the last requests, of Refused ones.
	Rules   []row
	Refused int
}

// lastRefusals is how many refusals are looked at to say which rules refuse most, and mostRules how many of these are shown.
const lastRefusals, mostRules = 500, 10

// overview shows what the node is like.
func (c *Console) overview(ctx context.Context, l look) (shown, error) {
	view := overviewView{Ready: true}
	if c.Ready != nil {
		problems := c.Ready(ctx)
		for _, part := range slices.Sorted(maps.Keys(problems)) {
			one := fact{Label: part, Tag: tag{"ok", "Works"}}
			if err := problems[part]; err != nil {
				view.Ready, one.Tag, one.Hint = false, tag{"alarm", "Does not work"}, err.Error()
			}
			view.Parts = append(view.Parts, one)
		}
	}
	for _, read := range []func(context.Context, look, *overviewView) error{c.keys, c.chains, c.backlogs, c.rules} {
		if err := read(ctx, l, &view); err != nil {
			return shown{}, err
		}
	}
	if c.Certificates != nil {
		ends := c.Certificates()
		names := slices.SortedFunc(maps.Keys(ends), func(a, b string) int { return ends[a].Compare(ends[b]) })
		for _, name := range names {
			view.Ends = append(view.Ends, fact{Label: name, At: ends[name], Hint: left(ends[name], l.now), Tag: endsTag(ends[name], l.now)})
		}
	}
	return shown{page: "overview", title: "Overview", part: "overview", body: view}, nil
}

// keys lists the keys of the server with their ages.
func (c *Console) keys(ctx context.Context, l look, v *overviewView) error {
	keys, err := c.Store.Keys(ctx)
	for _, k := range keys {
		one := fact{Label: strings.Join(k.Uses, ", ") + " · " + k.Algorithm, Code: k.ID, Tag: tag{"off", spoken(k.State)}}
		switch since := k.ActivatedAt; {
		case k.State == "active":
			one.Tag.Tone, one.Hint = "ok", "active for "+span(l.now.Sub(since))
		case k.State == "retiring":
			one.Hint = "retiring for " + span(l.now.Sub(k.RetiredAt))
		default:
			one.Hint = "published for " + span(l.now.Sub(k.CreatedAt))
		}
		v.Keys = append(v.Keys, one)
	}
	return err
}

// chains says of each chain of the audit log when it was sealed last, as far as that is among its last lines.
func (c *Console) chains(ctx context.Context, l look, v *overviewView) error {
	heads, err := c.Store.AuditHeads(ctx)
	if err != nil {
		return err
	}
	const shownChains = 20
	for _, head := range heads[:min(len(heads), shownChains)] {
		from := head.Sequence - min(head.Sequence, linesAtOnce)
		lines, err := c.Store.AuditLines(ctx, head.Chain, from, linesAtOnce)
		if err != nil {
			return err
		}
		v.Chains = append(v.Chains, chainFact(head, lines, l.now))
	}
	return nil
}

// chainFact says when a chain was sealed, by its last lines.
func chainFact(head store.AuditLine, lines []store.AuditLine, now time.Time) fact {
	one := fact{Label: head.Chain, Text: "Entry " + strconv.FormatUint(head.Sequence, 10), Link: link("audit"), Tag: tag{"warn", "Not sealed lately"}}
	for i := len(lines) - 1; i >= 0; i-- {
		e := entryOf(lines[i])
		if e.Kind != audit.CheckpointKind {
			continue
		}
		one.At, one.Tag = e.At, tag{"ok", "Sealed"}
		one.Hint = "sealed " + ago(e.At, now)
		if behind := head.Sequence - e.Sequence; behind > 0 {
			one.Hint += "; " + many(int(min(behind, math.MaxInt32)), "entry", "entries") + " since"
		}
		break
	}
	return one
}

// backlogs says what waits.
func (c *Console) backlogs(ctx context.Context, l look, v *overviewView) error {
	waiting, err := c.Store.Backlogs(ctx)
	for _, b := range waiting {
		one := fact{Label: spoken(b.Kind), Text: "Nothing waits"}
		if b.Waiting > 0 {
			one.Text = strconv.Itoa(b.Waiting) + " wait"
			if b.Waiting >= store.MostBacklog {
				one.Text = strconv.Itoa(store.MostBacklog) + " wait, or more"
			}
			if !b.Oldest.IsZero() {
				one.Hint = "the first " + ago(b.Oldest, l.now)
			}
		}
		v.Backlogs = append(v.Backlogs, one)
	}
	return err
}

// rules says which rules refused most of the last requests.
func (c *Console) rules(ctx context.Context, l look, v *overviewView) error {
	last, err := c.Store.ListRefusals(ctx, store.RefusalFilter{Limit: lastRefusals})
	type many struct {
		why.Explanation
		n    int
		last time.Time
	}
	by := map[string]*many{}
	for _, r := range last {
		means := why.ExplainCause(r.Code, r.Cause)
		if by[means.Rule] == nil {
			by[means.Rule] = &many{Explanation: means, last: r.At}
		}
		by[means.Rule].n++
	}
	rules := slices.SortedFunc(maps.Values(by), func(a, b *many) int {
		if a.n != b.n {
			return b.n - a.n
		}
		return strings.Compare(a.Rule, b.Rule)
	})
	for _, r := range rules[:min(len(rules), mostRules)] {
		v.Rules = append(v.Rules, row{
			Name: r.Title, Code: r.Rule, Link: link("refusals", "rule", r.Rule), Facts: []string{"last " + ago(r.last, l.now)}, Tag: tag{"off", strconv.Itoa(r.n)},
		})
	}
	v.Refused = len(last)
	return err
}
