package display

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/text/language"

	"countersign/internal/words"
)

// keyword is the annotation's name in a schema.
const keyword = "x-display"

// texts are the same text by language.
type texts map[string]string

// in returns the text in a language, or in the first one.
func (t texts) in(l, first *words.Language) string {
	if text := l.Pick(t); text != "" {
		return text
	}
	return first.Pick(t)
}

// foreign returns the language of the text that in returns, if it is not the one that was wanted.
func (t texts) foreign(l, first *words.Language) string {
	if len(t) == 0 || l == first || l.Pick(t) != "" || first.Pick(t) == "" {
		return ""
	}
	return first.Tag
}

// wording is what a value is called, and what it is in detail, or nothing.
type wording struct{ label, detail texts }

// UnmarshalJSON takes texts by language, or an object of label and detail.
func (w *wording) UnmarshalJSON(raw []byte) error {
	if strict(raw, &w.label) == nil {
		return nil
	}
	var both struct {
		Label  texts `json:"label"`
		Detail texts `json:"detail"`
	}
	if err := strict(raw, &both); err != nil {
		return errors.New("neither texts by language nor label and detail")
	}
	w.label, w.detail = both.Label, both.Detail
	return nil
}

// head annotates a whole type.
type head struct {
	Kind    Kind        `json:"kind"`
	Times   string      `json:"times"`
	Life    string      `json:"life"`
	Heading texts       `json:"heading"`
	Line    texts       `json:"line"`
	Allow   texts       `json:"allow"`
	Deny    texts       `json:"deny"`
	Groups  []groupHead `json:"groups"`
}

type groupHead struct {
	ID    string `json:"id"`
	Label texts  `json:"label"`
}

// annotation annotates one value.
type annotation struct {
	Role     Role               `json:"role"`
	Format   Format             `json:"format"`
	Label    texts              `json:"label"`
	Group    string             `json:"group"`
	Order    *int               `json:"order"`
	Values   map[string]wording `json:"values"`
	Absent   texts              `json:"absent"`
	Empty    texts              `json:"empty"`
	Amount   string             `json:"amount"`
	Currency string             `json:"currency"`
	Choose   Choose             `json:"choose"`
	Offer    bool               `json:"offer"`
}

// strict decodes JSON without members that nobody knows.
func strict(raw []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

var (
	roles = []Role{
		Amount, Payee, PayeeAccount, Reference, Account, LimitPayment, LimitPeriod, Period, From, Until, Purpose,
	}
	formats = []Format{Text, Money, IBAN, AccountID, Date, DateTime, Duration, Count, YesNo, Host, Choice, Ending, TaxNumber, Resource}
)

// maxText bounds a text, in bytes.
const maxText = 1000

// unbroken makes spaces of those at which no line may break, which French has before a question mark.
var unbroken = strings.NewReplacer("\u00a0", " ", "\u202f", " ")

// checkTexts finds what is wrong with texts. required wants that of the first language.
func (p *parser) checkTexts(pointer string, t texts, required bool) {
	for _, tag := range slices.Sorted(maps.Keys(t)) {
		if _, err := language.Parse(tag); err != nil {
			p.problem(pointer+"/"+escape(tag), "is no language tag; use one such as en or pt-BR (BCP 47)")
		}
		if text := t[tag]; len(text) > maxText || Exact(unbroken.Replace(text)) != unbroken.Replace(text) || text == "" {
			p.problem(pointer+"/"+escape(tag), "is empty, too long or has characters that cannot be seen; write one line of at most %d bytes", maxText)
		}
	}
	if first := p.languages.first(); required && first.Pick(t) == "" {
		p.problem(pointer, "has no text in %s, the first of the languages; add one", first.Tag)
	}
}

// checkLabel finds what is wrong with texts that hold no values.
func (p *parser) checkLabel(pointer string, t texts, required bool) {
	p.checkTexts(pointer, t, required)
	for _, tag := range slices.Sorted(maps.Keys(t)) {
		if strings.ContainsAny(t[tag], "{}") {
			p.problem(pointer+"/"+escape(tag), "holds a value, which only heading, line, allow and deny can; write it without braces")
		}
	}
}

var placeholder = regexp.MustCompile(`\{([a-z-]*)\}`)

// checkSentence finds what is wrong with texts that hold roles, which each of needed has to be among.
func (p *parser) checkSentence(pointer string, t texts, required bool, needed ...Role) {
	p.checkTexts(pointer, t, required)
	for _, tag := range slices.Sorted(maps.Keys(t)) {
		at, text := pointer+"/"+escape(tag), t[tag]
		for _, match := range placeholder.FindAllStringSubmatch(text, -1) {
			role := Role(match[1])
			switch {
			case role == Client:
			case !slices.Contains(roles, role):
				p.problem(at, "holds {%s}, which is no role; use %s", role, listed(append([]Role{Client}, roles...)))
			case len(p.holders[role]) != 1:
				p.problem(at, "holds {%s}, which %d values have as their role; give it to exactly one", role, len(p.holders[role]))
			case !p.holders[role][0].always:
				p.problem(at, "holds {%s}, which may be absent or occur several times; require it at each level, and in no list", role)
			}
		}
		if strings.ContainsAny(placeholder.ReplaceAllString(text, ""), "{}") {
			p.problem(at, "has a brace that belongs to no role; remove it")
		}
		for _, role := range needed {
			if !strings.Contains(text, "{"+string(role)+"}") {
				p.problem(at, "does not say {%s}; people have to read it there", role)
			}
		}
	}
}

// mentions reports whether the heading has a role, in all languages.
func (p *parser) mentions(role Role) bool {
	for _, text := range p.head.Heading {
		if !strings.Contains(text, "{"+string(role)+"}") {
			return false
		}
	}
	return len(p.head.Heading) > 0
}

// checkHead checks the annotation of the whole type, once the values are known.
func (p *parser) checkHead() {
	h, at := &p.head, "/"+keyword
	if !slices.Contains([]Kind{Payment, Recurring, Access, Other}, h.Kind) {
		p.problem(at+"/kind", "is %q; use payment, recurring, access or other", h.Kind)
	}
	if h.Times != "once" && h.Times != "until" {
		p.problem(at+"/times", "is %q; use once or until", h.Times)
	}
	var needed, neededIn []Role
	switch h.Kind {
	case Payment:
		needed = []Role{Amount, Payee}
		for _, role := range needed {
			if count := len(p.holders[role]); count != 1 {
				p.problem(at+"/kind", "a payment has exactly one value with the role %s, and this has %d; annotate one", role, count)
			}
		}
		neededIn = needed[:1]
	case Recurring:
		p.checkRecurring(at)
	}
	p.checkSentence(at+"/heading", h.Heading, true, needed...)
	p.checkSentence(at+"/line", h.Line, h.Line != nil, needed...)
	p.checkSentence(at+"/allow", h.Allow, h.Allow != nil, neededIn...)
	p.checkSentence(at+"/deny", h.Deny, h.Deny != nil)
	seen := map[string]bool{}
	for i, group := range h.Groups {
		where := fmt.Sprintf("%s/groups/%d", at, i)
		if group.ID == "" || seen[group.ID] {
			p.problem(where+"/id", "is empty or used before; give each group its own")
		}
		seen[group.ID] = true
		p.checkLabel(where+"/label", group.Label, true)
	}
}

// checkRecurring wants what "the most it can cost" is computed from.
func (p *parser) checkRecurring(at string) {
	for _, role := range []Role{LimitPeriod, Period, From, Until} {
		if count := len(p.holders[role]); count > 1 {
			p.problem(at+"/kind", "%d values have the role %s; give it to one", count, role)
			return
		}
	}
	if len(p.holders[Until]) == 1 && len(p.holders[LimitPeriod]) == 1 {
		for _, role := range []Role{Period, From} {
			if len(p.holders[role]) == 0 || !p.holders[role][0].always {
				p.problem(at+"/kind", "what payments can cost until their end needs a value with the role %s that is always there; require one", role)
			}
		}
	}
	if held := p.holders[Period]; len(held) == 1 {
		for _, value := range held[0].enum {
			if _, known := periodOf(value); !known {
				p.problem(held[0].pointer, "has the value %q, whose length is not known; use ISO 8601 such as P1M, or ISO 20022 such as MNTH", value)
			}
		}
		if len(held[0].enum) == 0 {
			p.problem(held[0].pointer, "has the role period; list its values in an enum")
		}
	}
}

func listed(of []Role) string {
	var names []string
	for _, role := range of {
		names = append(names, string(role))
	}
	return strings.Join(names, ", ")
}

// escape writes a name for a JSON Pointer (RFC 6901 §3).
func escape(name string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(name) }
