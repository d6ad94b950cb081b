package adminconsole

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"countersign/internal/audit"
	"countersign/internal/auditlog"
	"countersign/store"
)

const (
	// linesAtOnce is how many lines of a chain are read at once at most, and linesMost how many of all chains are looked at for one page.
	linesAtOnce, linesMost = 200, 4000
	// mostChains is how many chains are read: one for each node that there ever was.
	mostChains = 100
)

// entry is an entry, with what it has about a person.
type entry struct {
	audit.Entry
	// unreadable reports a line that is no entry any more.
	unreadable bool
}

// entryOf reads a line.
func entryOf(line store.AuditLine) entry {
	read, err := audit.ParseEntry(auditlog.Shown(line))
	if err != nil {
		return entry{audit.Entry{Node: line.Chain, Sequence: line.Sequence}, true}
	}
	return entry{read, false}
}

// event is what an entry is called: its event, or its kind.
func (e entry) event() string {
	if name := e.Detail["event"]; name != "" {
		return name
	}
	return string(e.Kind)
}

// subject is whom an entry is about, or empty.
func (e entry) subject() string { return e.About()["subject"] }

// filter chooses entries. What is empty does not matter.
type filter struct {
	// client is a client_id, kind an event or a kind of entries, and about a subject, a correlation id, or the value of any detail.
	client, kind, about string
}

func (f filter) fits(e entry) bool {
	switch {
	case f.client != "" && e.ClientID != f.client, f.kind != "" && e.event() != f.kind && string(e.Kind) != f.kind:
		return false
	case f.about == "":
		return true
	}
	return e.CorrelationID == f.about || slices.Contains(slices.Collect(maps.Values(e.Everything())), f.about)
}

// position is, by chain, the number of the first entry that was read.
type position map[string]uint64

// encode writes a position into an address.
func (p position) encode() string {
	text, err := json.Marshal(p)
	if err != nil {
		panic("adminconsole: a map of numbers cannot be encoded: " + err.Error()) // impossible
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// positionOf reads one; an empty text is the end of the log.
func positionOf(text string) (position, error) {
	if text == "" {
		return nil, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, errParameter
	}
	var p position
	if json.Unmarshal(raw, &p) != nil || len(p) == 0 || len(p) > mostChains {
		return nil, errParameter
	}
	return p, nil
}

// chainReader reads a chain backwards.
type chainReader struct {
	name string
	// before is the number of the entry up to which nothing is read yet, and waiting what was read and not taken, the newest last.
	before  uint64
	waiting []entry
	// atOnce is how many lines are read at once.
	atOnce uint64
}

// fill reads some lines, if nothing waits, and returns how many.
func (r *chainReader) fill(ctx context.Context, s Store) (int, error) {
	if len(r.waiting) > 0 || r.before <= 1 {
		return 0, nil
	}
	from := uint64(0)
	if r.before > r.atOnce+1 {
		from = r.before - 1 - r.atOnce
	}
	lines, err := s.AuditLines(ctx, r.name, from, int(r.before-1-from))
	if err != nil {
		return 0, err
	}
	for _, line := range lines {
		if line.Sequence < r.before {
			r.waiting = append(r.waiting, entryOf(line))
		}
	}
	r.before = from + 1
	if len(lines) == 0 {
		r.before = 0 // what came before was dropped
	}
	return len(lines), nil
}

// next is the entry to be taken next, or nil.
func (r *chainReader) next() *entry {
	if len(r.waiting) == 0 {
		return nil
	}
	return &r.waiting[len(r.waiting)-1]
}

// at is where reading goes on.
func (r *chainReader) at() uint64 {
	if last := r.next(); last != nil {
		return last.Sequence + 1
	}
	return r.before
}

// auditPage lists entries that a filter chooses, the newest of all chains first, before a position; nil is the end. next is from where
// it goes on, nil where it does not: there may be more although nothing was found, since no page looks at all of the log.
func auditPage(ctx context.Context, s Store, chosen filter, before position, limit int) (found []entry, next position, err error) {
	heads, err := s.AuditHeads(ctx)
	if err != nil {
		return nil, nil, err
	}
	heads = heads[:min(len(heads), mostChains)]
	var chains []*chainReader
	for _, head := range heads {
		// All chains together are read twice for a page, at least.
		reader := &chainReader{name: head.Chain, before: head.Sequence + 1, atOnce: uint64(min(linesAtOnce, linesMost/(2*len(heads))))}
		if before != nil { // of a chain that has begun meanwhile nothing is older than what was shown
			reader.before = min(reader.before, before[head.Chain])
		}
		chains = append(chains, reader)
	}
	read := 0
	for {
		var newest *chainReader
		for _, chain := range chains {
			n, err := chain.fill(ctx, s)
			if err != nil {
				return nil, nil, err
			}
			read += n
			if one := chain.next(); one != nil && (newest == nil || one.At.After(newest.next().At)) {
				newest = chain
			}
		}
		if newest == nil {
			return found, nil, nil
		}
		if len(found) == limit || read > linesMost {
			break
		}
		if one := *newest.next(); chosen.fits(one) {
			found = append(found, one)
		}
		newest.waiting = newest.waiting[:len(newest.waiting)-1]
	}
	next = position{}
	for _, chain := range chains {
		if at := chain.at(); at > 1 { // of others nothing is left
			next[chain.name] = at
		}
	}
	return found, next, nil
}

// auditView lists entries of the audit log.
type auditView struct {
	Client, Kind, About string
	Rows                []row
	Next, First         string
	// Looked reports that nothing was found in a part of the log, and that it goes on.
	Looked bool
}

// audit lists the audit log, the newest first. Whom entries are about is shown in the list of one person alone, which is recorded.
func (c *Console) audit(ctx context.Context, l look) (shown, error) {
	chosen := filter{client: l.form.Get("client"), kind: l.form.Get("kind"), about: l.form.Get("about")}
	before, err := positionOf(l.form.Get("before"))
	if err != nil {
		return shown{}, err
	}
	found, next, err := auditPage(ctx, c.Store, chosen, before, rowsOnPage)
	if err != nil {
		return shown{}, err
	}
	personal := slices.ContainsFunc(found, func(e entry) bool { return chosen.about != "" && e.subject() == chosen.about })
	if personal {
		if err := c.looked(ctx, l, chosen.about, "audit"); err != nil {
			return shown{}, err
		}
	}
	view := auditView{Client: chosen.client, Kind: chosen.kind, About: chosen.about, Looked: len(found) == 0 && next != nil}
	for _, one := range found {
		view.Rows = append(view.Rows, c.entryRow(one, l.now))
	}
	same := []string{"client", chosen.client, "kind", chosen.kind, "about", chosen.about}
	if next != nil {
		view.Next = link("audit", append(same, "before", next.encode())...)
	}
	if before != nil {
		view.First = link("audit", same...)
	}
	return shown{page: "audit", title: "Audit log", part: "audit", body: view}, nil
}

// entryRow is an entry in a list: what it is called, and what it says of others than persons.
func (c *Console) entryRow(e entry, now time.Time) row {
	one := row{
		Name: spoken(e.event()), Code: e.Node + " " + strconv.FormatUint(e.Sequence, 10),
		Link:  link("entry", "chain", e.Node, "n", strconv.FormatUint(e.Sequence, 10)),
		Facts: []string{e.At.In(c.Zone).Format(moment), ago(e.At, now)},
	}
	if e.unreadable {
		one.Name, one.Facts, one.Tag = "It is not an entry any more", nil, tag{"alarm", "Changed"}
		return one
	}
	if e.ClientID != "" {
		one.Facts = append(one.Facts, e.ClientID)
	}
	if by := e.Detail["by"]; by != "" {
		one.Facts = append(one.Facts, "by "+by)
	}
	if len(e.Personal) > 0 {
		one.Facts = append(one.Facts, "about a person")
	}
	switch {
	case e.Kind == audit.CheckpointKind:
		one.Tag = tag{"ok", "Seal"}
	case e.Message != nil:
		one.Tag = tag{"off", "Signed message"}
	}
	return one
}

// spoken is the name of an event as it is read: "person_viewed" is "Person viewed".
func spoken(name string) string {
	words := strings.ReplaceAll(name, "_", " ")
	if words == "" {
		return "An entry"
	}
	return strings.ToUpper(words[:1]) + words[1:]
}

// entryView shows an entry.
type entryView struct {
	Heading string
	Facts   []fact
	Detail  []fact
	// Message says what of a signed message is kept.
	Message string
}

// entry shows an entry of the audit log. What it has about a person is shown to those who see that, and looking is recorded.
func (c *Console) entry(ctx context.Context, l look) (shown, error) {
	n, err := number(l.form.Get("n"))
	if err != nil {
		return shown{}, err
	}
	lines, err := c.Store.AuditLines(ctx, l.form.Get("chain"), uint64(max(n, 1)-1), 1)
	if err != nil {
		return shown{}, err
	}
	if n == 0 || len(lines) == 0 || lines[0].Sequence != uint64(n) {
		return shown{}, errNothing
	}
	e := entryOf(lines[0])
	if err := c.looked(ctx, l, e.subject(), "entry"); err != nil {
		return shown{}, err
	}
	view := entryView{Heading: spoken(e.event()), Facts: []fact{
		{Label: "Node", Code: e.Node}, {Label: "Number", Code: strconv.FormatUint(e.Sequence, 10)}, {Label: "When", At: e.At, Hint: ago(e.At, l.now)},
		{Label: "Kind", Code: string(e.Kind)},
	}}
	if e.unreadable {
		view.Heading = "It is not an entry any more"
		return shown{page: "entry", title: view.Heading, part: "audit", body: view}, nil
	}
	if e.ClientID != "" {
		view.Facts = append(view.Facts, fact{Label: "Client", Code: e.ClientID, Link: link("client", "id", e.ClientID)})
	}
	if e.CorrelationID != "" {
		view.Facts = append(view.Facts, fact{Label: "Request", Code: e.CorrelationID, Link: link("audit", "about", e.CorrelationID)})
	}
	if e.Key != "" {
		view.Facts = append(view.Facts, fact{Label: "Key", Code: e.Key})
	}
	for _, name := range slices.Sorted(maps.Keys(e.Detail)) {
		if name != "event" {
			view.Detail = append(view.Detail, fact{Label: spoken(name), Code: e.Detail[name], Link: detailLink(name, e.Detail[name])})
		}
	}
	about := e.About()
	for _, name := range slices.Sorted(maps.Keys(about)) {
		one := fact{Label: spoken(name), Code: l.person(about[name])}
		if name == "subject" {
			one.Link = l.personLink(about[name])
		}
		view.Detail = append(view.Detail, one)
	}
	if e.PersonalDigest != "" && len(e.Personal) == 0 {
		view.Detail = append(view.Detail, fact{Label: "Person", Text: "Erased, or not kept"})
	}
	if e.Message != nil {
		view.Message = "A signed message is kept with it. It may have data of a person and is not shown here: countersign audit export has it."
	}
	return shown{page: "entry", title: view.Heading + ", entry " + strconv.FormatInt(n, 10), part: "audit", body: view}, nil
}

// detailLink leads to what a detail names.
func detailLink(name, value string) string {
	switch name {
	case "grant", "consent":
		return link(name, "id", value)
	}
	return ""
}
