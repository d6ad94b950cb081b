package display

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"countersign/internal/words"
)

// Offered is what a user may choose that no request names: an entry for a list with "offer", in words of its bank.
type Offered struct {
	// Type is the type of authorization_details whose list has Value as an entry, as its schema says.
	Type  string          `json:"type"`
	Value json.RawMessage `json:"value"`
	// Name is what the user calls it.
	Name string `json:"name"`
	// Kind is of which kind it is, such as a current account; or nothing.
	Kind Words `json:"kind,omitempty"`
	// Number is its number with a part left out, or empty.
	Number string `json:"number,omitempty"`
	// Balance is nil where it is not told.
	Balance *Balance `json:"balance,omitempty"`
}

// Balance is an amount of money in decimal digits, and its currency (ISO 4217).
type Balance struct {
	Amount   string `json:"amount"`
	Currency string `json:"currency"`
}

// Words are a text by language (BCP 47); one without a language is for all that have none.
type Words map[string]string

// UnmarshalJSON takes one text, or texts by language.
func (w *Words) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*w = Words{"": one}
		return nil
	}
	return json.Unmarshal(raw, (*map[string]string)(w))
}

func (w Words) in(l, first *words.Language) string {
	if text := texts(w).in(l, first); text != "" {
		return text
	}
	return w[""]
}

// Bounds on what is told of an account.
const (
	maxAccountText = 100
	maxKinds       = 20
)

var (
	balanceAmount   = regexp.MustCompile(`^-?[0-9]{1,15}(\.[0-9]{1,4})?$`)
	balanceCurrency = regexp.MustCompile(`^[A-Z]{3}$`)
)

// Check returns what is wrong with the words of an account; its value is for the schema of its type. Errors repeat nothing of it.
func (a Offered) Check() error {
	switch {
	case a.Type == "" || len(a.Value) == 0:
		return errors.New("an account has no type or no value")
	case strings.TrimSpace(a.Name) == "" || len(a.Name) > maxAccountText:
		return fmt.Errorf("an account has no name, or one of more than %d bytes", maxAccountText)
	case len(a.Number) > maxAccountText || len(a.Kind) > maxKinds:
		return fmt.Errorf("an account has a number of more than %d bytes, or a kind in more than %d languages", maxAccountText, maxKinds)
	case a.Balance != nil && !(balanceAmount.MatchString(a.Balance.Amount) && balanceCurrency.MatchString(a.Balance.Currency)):
		return errors.New("an account has a balance that is no amount with a currency")
	}
	for _, text := range a.Kind {
		if len(text) > maxAccountText {
			return fmt.Errorf("an account has a kind of more than %d bytes", maxAccountText)
		}
	}
	return nil
}

// TakesOffers reports whether the type has a list whose entries may be offered from outside the request.
func (t *Type) TakesOffers() bool { return t.root.offers() }

func (n *node) offers() bool {
	for _, member := range n.members {
		if member.offers() {
			return true
		}
	}
	return n.annotation.Offer || n.item != nil && n.item.offers()
}

// open reports whether value is a list that a request leaves to be offered.
func (n *node) open(value any) bool {
	list, ok := value.([]any)
	return ok && n.annotation.Offer && len(list) == 0
}

// Open reports whether an object has a list that is left to be offered: an empty one.
func (t *Type) Open(object json.RawMessage) (bool, error) {
	if !t.TakesOffers() {
		return false, nil
	}
	members, err := readObject(object)
	open := false
	t.root.fill("", members, func(string, *node) []any {
		open = true
		return nil
	})
	return open, err
}

// Filled returns the object with entries in each list that it leaves to be offered.
func (t *Type) Filled(object json.RawMessage, entries []json.RawMessage) (json.RawMessage, error) {
	var values []any
	for _, raw := range entries {
		value, err := read(raw)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return t.fill(object, func(string, *node) []any { return values })
}

// FilledFrom returns requested with the entries that object has in the lists that requested leaves to be offered, and reports whether
// these are entries that a user may have chosen of such lists: at least one of each, none twice.
func (t *Type) FilledFrom(object, requested json.RawMessage) (json.RawMessage, bool) {
	has, err := readObject(object)
	if err != nil {
		return nil, false
	}
	good := true
	filled, err := t.fill(requested, func(at string, n *node) []any {
		entries, ok := valueAt(has, at).([]any)
		if !ok || len(entries) == 0 || n.annotation.Choose == One && len(entries) > 1 {
			good = false
		}
		for i, each := range entries {
			if slices.ContainsFunc(entries[:i], func(other any) bool { return same(each, other) }) {
				good = false
			}
		}
		return entries
	})
	return filled, good && err == nil
}

// fill replaces each open list of an object by what with returns.
func (t *Type) fill(object json.RawMessage, with func(at string, n *node) []any) (json.RawMessage, error) {
	members, err := readObject(object)
	if err != nil {
		return nil, err
	}
	return json.Marshal(t.root.fill("", members, with))
}

func (n *node) fill(at string, value any, with func(at string, n *node) []any) any {
	switch value := value.(type) {
	case map[string]any:
		changed := maps.Clone(value)
		for name, member := range n.members {
			if each, found := value[name]; found {
				changed[name] = member.fill(at+"/"+escape(name), each, with)
			}
		}
		return changed
	case []any:
		if n.open(value) {
			return with(at, n)
		}
		changed := make([]any, len(value))
		for i, each := range value {
			if changed[i] = each; n.item != nil {
				changed[i] = n.item.fill(at+"/"+strconv.Itoa(i), each, with)
			}
		}
		return changed
	}
	return value
}

// Knowing returns the type with words for entries of its lists with "offer".
func (t *Type) Knowing(accounts []Offered) *Type {
	knowing := *t
	knowing.accounts = map[string]Offered{}
	for _, account := range accounts {
		if value, err := read(account.Value); err == nil && account.Type == t.name {
			knowing.accounts[canonical(value)] = account
		}
	}
	return &knowing
}

// Named returns those of accounts that are entries of the object's lists with "offer", without what they hold: a balance is not kept.
func (t *Type) Named(object json.RawMessage, accounts []Offered) []Offered {
	members, err := readObject(object)
	if err != nil {
		return nil
	}
	there := map[string]bool{}
	t.root.entriesOffered(members, there)
	var named []Offered
	for _, account := range accounts {
		value, err := read(account.Value)
		if err == nil && account.Type == t.name && there[canonical(value)] {
			account.Balance = nil
			named = append(named, account)
		}
	}
	return named
}

func (n *node) entriesOffered(value any, into map[string]bool) {
	switch value := value.(type) {
	case map[string]any:
		for name, member := range n.members {
			member.entriesOffered(value[name], into)
		}
	case []any:
		for _, each := range value {
			if n.annotation.Offer {
				into[canonical(each)] = true
			} else if n.item != nil {
				n.item.entriesOffered(each, into)
			}
		}
	}
}

// checkOffer wants a list that can be left to be offered.
func (p *parser) checkOffer(n *node, at string) {
	switch a := n.annotation; {
	case !a.Offer:
	case a.Choose == "":
		p.problem(at+"/offer", "is of a list of which nobody chooses; add choose")
	case n.least >= 1:
		p.problem(n.pointer+"/minItems", "asks for an entry, and a request leaves the list empty for what is offered; set it to 0")
	case a.Empty != nil:
		p.problem(at+"/empty", "is said of a list that is never empty when somebody reads it; remove it")
	}
}

// unoffered shows a list of which nothing can be chosen yet.
func (r *rendering) unoffered(n *node, p place) {
	r.add(n, p.suffix, Line{Choose: n.annotation.Choose, At: p.at, Value: r.l.Text("display.unoffered")})
}

// account returns the words for an entry of a list, if there are any.
func (r *rendering) account(n *node, value any) (Offered, bool) {
	if !n.annotation.Offer {
		return Offered{}, false
	}
	account, known := r.of.accounts[canonical(value)]
	return account, known
}

// named is an entry in the words of its bank; what the entry itself shows is kept.
func (r *rendering) named(n *node, value any, item Item) (Item, bool) {
	account, known := r.account(n, value)
	if !known {
		return item, false
	}
	parts := []string{Exact(account.Kind.in(r.l, r.of.languages.first())), Exact(account.Number)}
	if n.plainList() {
		parts = append(parts, item.Label, item.Detail)
	}
	parts = slices.DeleteFunc(parts, func(part string) bool { return part == "" })
	item.Label, item.Lang, item.Detail, item.DetailLang = Exact(account.Name), "", strings.Join(parts, " · "), ""
	if account.Balance != nil {
		item.Balance = money(r.l.Tag, account.Balance.Amount, account.Balance.Currency)
	}
	return item, true
}

// inOne is the entry in one line.
func (i Item) inOne() string {
	if i.Detail == "" {
		return i.Label
	}
	return i.Label + " (" + i.Detail + ")"
}

// WithoutBalances returns the views without what accounts hold, which may change while somebody reads them: decisions are not bound to
// it.
func WithoutBalances(views []View) []View {
	views = slices.Clone(views)
	for i := range views {
		views[i].Groups = slices.Clone(views[i].Groups)
		for j := range views[i].Groups {
			lines := slices.Clone(views[i].Groups[j].Lines)
			for k := range lines {
				lines[k].Items = slices.Clone(lines[k].Items)
				for item := range lines[k].Items {
					lines[k].Items[item].Balance = ""
				}
			}
			views[i].Groups[j].Lines = lines
		}
	}
	return views
}

func read(raw json.RawMessage) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	err := decoder.Decode(&value)
	return value, err
}

// canonical is a value as it is compared.
func canonical(value any) string {
	raw, err := json.Marshal(value)
	if err != nil { // it was read from JSON
		return ""
	}
	return string(raw)
}
