package display

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Choose says how many entries of a list the user chooses: only these are granted.
type Choose string

// How many are chosen.
const (
	One  Choose = "one"
	Some Choose = "some" // at least one
)

// maxOptions bounds the entries of a list to choose from.
const maxOptions = 40

// Errors of a choice, to be matched with errors.Is.
var (
	// ErrNotChosen: nothing is chosen of a list.
	ErrNotChosen = errors.New("display: nothing is chosen of a list to choose from")
	// ErrNoSuchChoice: it is not one of those that were shown, or more than one of a list that allows one.
	ErrNoSuchChoice = errors.New("display: what is chosen was not offered")
)

// Offer is a list in an object of which the user chooses. One with a single entry leaves nothing to choose, and is none.
type Offer struct {
	// At is the JSON Pointer (RFC 6901) of the list.
	At     string
	Choose Choose
	// Options are how many entries there are.
	Options int
}

// Input is the name of a form's input for an option of the choice, in the object with an index. Its value is the option's index.
// Where one is chosen, all options have the same name.
func (c Offer) Input(object, option int) string {
	name := inputs + strconv.Itoa(object) + "." + c.At
	if c.Choose == One {
		return name
	}
	return name + "." + strconv.Itoa(option)
}

// Offer returns what a line lets the user choose; its Options are 0 where it lets choose nothing.
func (l Line) Offer() Offer {
	if l.Choose == "" {
		return Offer{}
	}
	return Offer{At: l.At, Choose: l.Choose, Options: len(l.Items)}
}

// HasChoice reports whether a view lets the user choose.
func (v View) HasChoice() bool {
	return slices.ContainsFunc(v.Groups, func(g Group) bool {
		return slices.ContainsFunc(g.Lines, func(l Line) bool { return l.Choose != "" })
	})
}

// inputs is what the names of a form's inputs for choices begin with.
const inputs = "choose."

// Picks reads what a form says about the choices of several objects: for each, what is chosen by the choice's At. Errors wrap
// [ErrNoSuchChoice], also for an input of a choice that there is not.
func Picks(choices [][]Offer, form url.Values) ([]map[string][]int, error) {
	picks, known := make([]map[string][]int, len(choices)), map[string]bool{}
	for object, of := range choices {
		picks[object] = map[string][]int{}
		for _, c := range of {
			for i := range c.Options {
				known[c.Input(object, i)] = true
				value := form.Get(c.Input(object, i))
				if value == "" {
					continue
				}
				picked, err := strconv.Atoi(value)
				if err != nil || picked < 0 || picked >= c.Options || c.Choose == Some && picked != i {
					return nil, fmt.Errorf("%w: %q of %s", ErrNoSuchChoice, value, c.At)
				}
				if picked == i {
					picks[object][c.At] = append(picks[object][c.At], i)
				}
			}
		}
	}
	for name := range form {
		if strings.HasPrefix(name, inputs) && !known[name] {
			return nil, fmt.Errorf("%w: %q", ErrNoSuchChoice, name)
		}
	}
	return picks, nil
}

// Inputs are the inputs of a form that are about choices.
func Inputs(form url.Values) url.Values {
	kept := url.Values{}
	for name, values := range form {
		if strings.HasPrefix(name, inputs) {
			kept[name] = values
		}
	}
	return kept
}

// Offers returns what a user chooses in an object, in the order of the schema.
func (t *Type) Offers(object json.RawMessage) ([]Offer, error) {
	members, err := readObject(object)
	if err != nil {
		return nil, err
	}
	var found []Offer
	t.root.choices("", members, func(c Offer, _ []any) []any {
		found = append(found, c)
		return nil
	})
	return found, nil
}

// Chosen returns the object with only those entries of its lists that picks has, by [Offer].At, in the order of the object. Errors
// wrap [ErrNotChosen] and [ErrNoSuchChoice].
func (t *Type) Chosen(object json.RawMessage, picks map[string][]int) (json.RawMessage, error) {
	members, err := readObject(object)
	if err != nil {
		return nil, err
	}
	left := maps.Clone(picks)
	var problem error
	changed := t.root.choices("", members, func(c Offer, entries []any) []any {
		picked := slices.Compact(slices.Sorted(slices.Values(left[c.At])))
		delete(left, c.At)
		switch {
		case len(picked) == 0:
			problem = fmt.Errorf("%w: %s", ErrNotChosen, c.At)
			return entries
		case picked[0] < 0, picked[len(picked)-1] >= len(entries), c.Choose == One && len(picked) > 1:
			problem = fmt.Errorf("%w: %v of %s", ErrNoSuchChoice, picked, c.At)
			return entries
		}
		kept := make([]any, len(picked))
		for i, at := range picked {
			kept[i] = entries[at]
		}
		return kept
	})
	for at := range left {
		problem = fmt.Errorf("%w: %s", ErrNoSuchChoice, at)
	}
	if problem != nil {
		return nil, problem
	}
	return json.Marshal(changed)
}

// Within reports whether an object is another one after the user's choice: it has no open choice of one, and differs from the
// requested one only by lists to choose from that have fewer entries, and at least one.
func (t *Type) Within(object, requested json.RawMessage) bool {
	had, errHad := readObject(requested)
	has, errHas := readObject(object)
	if errHad != nil || errHas != nil {
		return false
	}
	picks := map[string][]int{}
	t.root.choices("", had, func(c Offer, offered []any) []any {
		entries, ok := valueAt(has, c.At).([]any)
		if !ok {
			return offered
		}
		next := 0
		for i, each := range offered {
			if next < len(entries) && same(each, entries[next]) {
				picks[c.At], next = append(picks[c.At], i), next+1
			}
		}
		return offered
	})
	chosen, err := t.Chosen(requested, picks)
	if err != nil {
		return false
	}
	want, err := json.Marshal(has)
	return err == nil && bytes.Equal(chosen, want)
}

// choices hands each list to choose from to take, and returns the value with the lists that take returns.
func (n *node) choices(at string, value any, take func(c Offer, entries []any) []any) any {
	switch value := value.(type) {
	case map[string]any:
		changed := maps.Clone(value)
		for _, name := range slices.Sorted(maps.Keys(n.members)) {
			if each, found := value[name]; found {
				changed[name] = n.members[name].choices(at+"/"+escape(name), each, take)
			}
		}
		return changed
	case []any:
		if n.item == nil {
			return value
		}
		if n.open(value) { // nothing is offered yet, so that nothing can be chosen
			take(Offer{At: at, Choose: n.annotation.Choose}, nil)
			return value
		}
		if n.annotation.Choose != "" {
			if len(value) < 2 {
				return value
			}
			return take(Offer{At: at, Choose: n.annotation.Choose, Options: len(value)}, value)
		}
		changed := make([]any, len(value))
		for i, each := range value {
			changed[i] = n.item.choices(at+"/"+strconv.Itoa(i), each, take)
		}
		return changed
	}
	return value
}

// checkChoose wants lists to choose from to be such that one entry of them can be granted and shown.
func (p *parser) checkChoose(n *node, at string) {
	choose := n.annotation.Choose
	switch {
	case choose == "":
		return
	case choose != One && choose != Some:
		p.problem(at+"/choose", "is %q; use one or some", choose)
	case n.item == nil:
		p.problem(at+"/choose", "is not of a list; annotate the list of what is chosen from")
	case n.item.item != nil:
		p.problem(at+"/choose", "is of a list of lists; make its items plain values or objects")
	case len(n.annotation.Label) == 0:
		p.problem(at+"/label", "is missing; say what is chosen")
	case n.least > 1:
		p.problem(n.pointer+"/minItems", "asks for more than one entry, and the user may choose one; lower it")
	case n.most == 0 || n.most > maxOptions:
		p.problem(n.pointer+"/maxItems", "is missing or too many to choose from; set at most %d", maxOptions)
	case n.item.chooses():
		p.problem(at+"/choose", "is around another list to choose from; keep one of them")
	}
}

// chooses reports whether there is a list to choose from in n.
func (n *node) chooses() bool {
	for _, member := range n.members {
		if member.chooses() {
			return true
		}
	}
	return n.annotation.Choose != "" || n.item != nil && n.item.chooses()
}

// options shows a list to choose from: an entry for each. Entries that would read the same are not abridged.
func (r *rendering) options(n *node, values []any, p place) {
	line := Line{Choose: n.annotation.Choose, At: p.at}
	line.Format, line.Items = r.entries(n, values, p)
	if alike(line.Items) && !r.whole {
		r.whole = true
		line.Format, line.Items = r.entries(n, values, p)
		r.whole = false
	}
	var labels []string
	for _, item := range line.Items {
		labels = append(labels, item.Label)
	}
	line.Value = strings.Join(labels, ", ")
	r.add(n, p.suffix, line)
}

// entries are those of a list to choose from.
func (r *rendering) entries(n *node, values []any, p place) (format Format, items []Item) {
	format, items = r.bare(n, values, p)
	for i, each := range values {
		named := false
		switch items[i], named = r.named(n, each, items[i]); {
		case named:
			format = Text
		case len(items[i].Lines) > 0: // what comes first is what the entry is called
			first := items[i].Lines[0]
			format, items[i].Label, items[i].Lang, items[i].Lines = first.Format, first.Value, first.ValueLang, items[i].Lines[1:]
		}
	}
	return format, items
}

// bare are the entries as they are in the object: plain values by a label, objects by their lines.
func (r *rendering) bare(n *node, values []any, p place) (format Format, items []Item) {
	for i, each := range values {
		item := Item{}
		if n.plainList() {
			format, item.Label, item.Detail = r.plain(n, n.item, each)
			item.Lang, item.DetailLang = r.foreign(n, each)
			items = append(items, item)
			continue
		}
		inner := &rendering{of: r.of, l: r.l, whole: r.whole, roles: map[Role]string{}, raw: map[Role][]string{}}
		inner.value(n.item, each, place{at: p.at + "/" + strconv.Itoa(i)})
		if r.failed == nil {
			r.failed = inner.failed
		}
		for _, group := range inner.groups() {
			item.Lines = append(item.Lines, group.Lines...)
		}
		items = append(items, item)
	}
	return format, items
}

func readObject(object json.RawMessage) (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(object))
	decoder.UseNumber()
	var members map[string]any
	if err := decoder.Decode(&members); err != nil {
		return nil, fmt.Errorf("display: %w", err)
	}
	return members, nil
}

// valueAt returns what is at a JSON Pointer (RFC 6901 §4), or nil.
func valueAt(value any, pointer string) any {
	for name := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		switch in := value.(type) {
		case map[string]any:
			value = in[strings.NewReplacer("~1", "/", "~0", "~").Replace(name)]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(in) {
				return nil
			}
			value = in[i]
		default:
			return nil
		}
	}
	return value
}

func same(a, b any) bool {
	one, errOne := json.Marshal(a)
	two, errTwo := json.Marshal(b)
	return errOne == nil && errTwo == nil && bytes.Equal(one, two)
}
