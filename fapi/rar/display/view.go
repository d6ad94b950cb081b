package display

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"countersign/internal/words"
)

// row is a line with its place.
type row struct {
	group, order int
	line         Line
}

// place is where a value is: at a JSON Pointer of the object, and suffix tells the entries of a list apart.
type place struct{ at, suffix string }

// rendering is the work on one view.
type rendering struct {
	of    *Type
	l     *words.Language
	rows  []row
	roles map[Role]string
	// raw are the values behind roles as they are in the object; money is amount and currency.
	raw map[Role][]string
	// whole has values written whole that are abridged otherwise.
	whole bool
	// failed is that the object does not fit the schema.
	failed error
}

// View puts an object into the words of a language, one of the tags of [Languages]; another is the nearest. The object has to be
// valid against the schema; each of its values is in the view.
func (t *Type) View(object json.RawMessage, tag string, asker Asker) (View, error) {
	members, err := readObject(object)
	if err != nil {
		return View{}, err
	}
	l := t.languages.catalogue.Match(tag)
	r := &rendering{of: t, l: l, roles: map[Role]string{}, raw: map[Role][]string{}}
	r.object(t.root, members, place{})
	if r.failed != nil {
		return View{}, fmt.Errorf("display: an object of the type %q: %w", t.name, r.failed)
	}
	if t.head.Kind == Recurring {
		r.most()
	}
	if r.roles[Client] = Exact(l.Pick(asker.Names)); r.roles[Client] == "" {
		r.roles[Client] = Exact(asker.Name)
	}
	if r.roles[Client] == "" {
		r.roles[Client] = l.Text("asker.nameless")
	}
	view := View{
		Type: t.name, Language: l.Tag, Kind: t.head.Kind, Once: t.head.Times == "once",
		Heading: r.sentence(t.head.Heading, ""), Groups: r.groups(),
	}
	view.Line = r.sentence(t.head.Line, "display.line."+string(t.head.Kind))
	view.Allow = r.sentence(t.head.Allow, "display.allow."+string(t.head.Kind))
	view.Deny = r.sentence(t.head.Deny, "display.deny."+string(t.head.Kind))
	if t.head.Line == nil && t.head.Kind != Payment {
		view.Line = view.Heading
	}
	return view, nil
}

// sentence fills a sentence; without one it is the server's own.
func (r *rendering) sentence(t texts, key string) Sentence {
	text, lang := t.in(r.l, r.of.languages.first()), t.foreign(r.l, r.of.languages.first())
	if text == "" && key != "" {
		text = r.l.Text(key, "amount", "{amount}", "payee", "{payee}")
	}
	var sentence Sentence
	for {
		at := placeholder.FindStringSubmatchIndex(text)
		if at == nil {
			break
		}
		if at[0] > 0 {
			sentence = append(sentence, Part{Text: text[:at[0]], Lang: lang})
		}
		role := Role(text[at[2]:at[3]])
		sentence = append(sentence, Part{Text: r.roles[role], Role: role})
		text = text[at[1]:]
	}
	if text != "" {
		sentence = append(sentence, Part{Text: text, Lang: lang})
	}
	return sentence
}

// groups puts the rows in the order to read them.
func (r *rendering) groups() []Group {
	slices.SortStableFunc(r.rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.order, b.order))
	})
	groups := []Group{}
	last := -1
	for _, each := range r.rows {
		if each.group != last {
			group := Group{}
			if each.group < len(r.of.head.Groups) {
				head := r.of.head.Groups[each.group]
				group.ID, group.Label = head.ID, head.Label.in(r.l, r.of.languages.first())
				group.Lang = head.Label.foreign(r.l, r.of.languages.first())
			}
			groups, last = append(groups, group), each.group
		}
		of := &groups[len(groups)-1]
		of.Lines = append(of.Lines, each.line)
	}
	return groups
}

// add adds a value that is to be seen; suffix tells the entries of a list apart.
func (r *rendering) add(n *node, suffix string, line Line) {
	a := n.annotation
	if a.Role != "" {
		r.roles[a.Role] = line.Value
	}
	if len(a.Label) == 0 {
		return
	}
	line.Label, line.Role = a.Label.in(r.l, r.of.languages.first())+suffix, a.Role
	line.Lang = a.Label.foreign(r.l, r.of.languages.first())
	r.rows = append(r.rows, row{n.group, n.order, line})
}

// object shows the members of an object. Its own members come first, by name, so that the order is always the same.
func (r *rendering) object(n *node, members map[string]any, p place) {
	for name := range members {
		if n.members[name] == nil && !(n == r.of.root && name == "type") {
			r.misfit(n, "has a member that the schema does not know")
		}
	}
	if n.annotation.Format == Money {
		r.money(n, members[n.annotation.Amount], members[n.annotation.Currency], p.suffix)
	} else if len(members) == 0 && len(n.annotation.Label) > 0 {
		r.add(n, p.suffix, Line{Value: r.empty(n)})
	}
	for _, name := range slices.Sorted(maps.Keys(n.members)) {
		member := n.members[name]
		value, found := members[name]
		switch {
		case member.consumed:
		case !found:
			if absent := member.annotation.Absent; absent != nil {
				r.add(member, p.suffix, Line{Value: absent.in(r.l, r.of.languages.first()), ValueLang: absent.foreign(r.l, r.of.languages.first())})
			}
		case member.annotation.Format == Money && member.plain():
			r.money(member, value, members[member.annotation.Currency], p.suffix)
		default:
			r.value(member, value, place{p.at + "/" + escape(name), p.suffix})
		}
	}
}

// misfit notes that an object does not fit the schema, so that a part of it would not be seen.
func (r *rendering) misfit(n *node, what string) {
	if r.failed == nil {
		r.failed = fmt.Errorf("%s %s", cmp.Or(n.pointer, "the object"), what)
	}
}

// value shows one value.
func (r *rendering) value(n *node, value any, p place) {
	switch {
	case n.members != nil:
		members, ok := value.(map[string]any)
		if !ok {
			r.misfit(n, "is no object")
		}
		r.object(n, members, p)
	case n.item == nil:
		if compound(value) && !n.silent {
			r.misfit(n, "is no plain value")
		}
		if n.visible {
			r.raw[n.annotation.Role] = []string{written(value)}
			format, text, _ := r.plain(n, n, value)
			lang, _ := r.foreign(n, value)
			r.add(n, p.suffix, Line{Value: text, ValueLang: lang, Format: format})
		}
	default:
		r.list(n, value, p)
	}
}

// empty is what an empty list or object is called.
func (r *rendering) empty(n *node) string {
	if text := n.annotation.Empty.in(r.l, r.of.languages.first()); text != "" {
		return text
	}
	return r.l.Text("display.none")
}

// list shows a list: plain values in one line, or in several if one could be misread; objects one after the other.
func (r *rendering) list(n *node, value any, p place) {
	values, ok := value.([]any)
	if !ok {
		r.misfit(n, "is no list")
	}
	if n.open(values) {
		r.unoffered(n, p)
		return
	}
	if len(values) == 0 {
		r.add(n, p.suffix, Line{Value: r.empty(n)})
		return
	}
	if n.annotation.Choose != "" && len(values) > 1 {
		r.options(n, values, p)
		return
	}
	if !n.plainList() {
		for i, each := range values {
			at := place{p.at + "/" + strconv.Itoa(i), p.suffix}
			if len(values) > 1 {
				at.suffix += " (" + strconv.Itoa(i+1) + ")"
			}
			if n.item.item != nil {
				r.list(n.item, each, at)
				continue
			}
			if item, named := r.named(n, each, Item{}); named {
				r.add(n, at.suffix, Line{Value: item.inOne()})
			}
			r.value(n.item, each, at)
		}
		return
	}
	var texts []string
	var items []Item
	var format Format
	misread := false
	for _, each := range values {
		var text, detail string
		format, text, detail = r.plain(n, n.item, each)
		lang, detailLang := r.foreign(n, each)
		item, named := r.named(n, each, Item{Label: text, Detail: detail, Lang: lang, DetailLang: detailLang})
		if item.Balance = ""; named {
			format, text = Text, item.inOne()
		}
		misread = misread || strings.Contains(text, ",") && len(n.annotation.Values) == 0
		texts, items = append(texts, text), append(items, item)
	}
	if misread {
		for i, text := range texts {
			r.add(n, p.suffix+" ("+strconv.Itoa(i+1)+")", Line{Value: text, Format: format})
		}
		return
	}
	r.add(n, p.suffix, Line{Value: strings.Join(texts, ", "), Format: format, Items: items})
}

// plain writes a plain value as the annotation of n says; what is the value's own place in the schema.
func (r *rendering) plain(n, what *node, value any) (format Format, text, detail string) {
	raw, a := written(value), n.annotation
	if value == nil {
		return Text, r.l.Text("display.none"), ""
	}
	if words, found := a.Values[raw]; found {
		first := r.of.languages.first()
		return Choice, words.label.in(r.l, first), words.detail.in(r.l, first)
	}
	format = a.Format
	if format == "" && what.boolean {
		format = YesNo
	}
	if raw == "" {
		return Text, r.l.Text("display.none"), ""
	}
	switch {
	case format == Resource:
		return format, r.of.languages.Resource(raw), ""
	case format == Ending && r.whole:
		return format, Exact(raw), ""
	}
	return format, write(r.l, format, raw), ""
}

// foreign returns the languages of the words for a value and of their detail, if they are not that of the view.
func (r *rendering) foreign(n *node, value any) (label, detail string) {
	words, found := n.annotation.Values[written(value)]
	if !found {
		return "", ""
	}
	first := r.of.languages.first()
	return words.label.foreign(r.l, first), words.detail.foreign(r.l, first)
}

// money shows an amount with its currency.
func (r *rendering) money(n *node, amount, currency any, suffix string) {
	if amount == nil {
		r.misfit(n, "has no amount")
		return
	}
	r.raw[n.annotation.Role] = []string{written(amount), written(currency)}
	r.add(n, suffix, Line{Value: money(r.l.Tag, written(amount), written(currency)), Format: Money})
}

// most adds the most that recurring payments can cost.
func (r *rendering) most() {
	line := Line{Label: r.l.Text("display.most"), Value: r.l.Text("display.unlimited")}
	group := 0
	for _, role := range []Role{LimitPayment, LimitPeriod} {
		if held := r.of.holder(role); held != nil {
			group = held.group
		}
	}
	until, limit := r.raw[Until], r.raw[LimitPeriod]
	if len(until) == 1 && len(limit) == 2 && len(r.raw[From]) == 1 && len(r.raw[Period]) == 1 {
		if count, total, ok := most(limit[0], r.raw[Period][0], r.raw[From][0], until[0]); ok {
			line.Value, line.Format = money(r.l.Tag, total, limit[1]), Money
			line.Hint = strconv.Itoa(count) + " × " + money(r.l.Tag, limit[0], limit[1])
		}
	}
	r.rows = append(r.rows, row{group, Until.rank() + 1, line})
}

// holder is the value with a role, or nil.
func (t *Type) holder(role Role) *node {
	var find func(n *node) *node
	find = func(n *node) *node {
		if n == nil || n.annotation.Role == role {
			return n
		}
		for _, name := range slices.Sorted(maps.Keys(n.members)) {
			if found := find(n.members[name]); found != nil {
				return found
			}
		}
		return find(n.item)
	}
	return find(t.root)
}
