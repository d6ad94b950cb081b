package display

import (
	"fmt"
	"maps"
	"slices"
)

// place finds which values there are in each object, who has which role, and which values others show.
func (p *parser) place(n *node, always bool) {
	n.always = always
	if role := n.annotation.Role; role != "" {
		p.holders[role] = append(p.holders[role], n)
	}
	if n.item != nil {
		p.place(n.item, false)
	}
	for _, name := range slices.Sorted(maps.Keys(n.members)) {
		member := n.members[name]
		p.place(member, always && member.required)
		if a := member.annotation; a.Format == Money && member.plain() && a.Currency != "" {
			p.consume(n, member.pointer, a.Currency, false)
		}
	}
	if a := n.annotation; a.Format == Money && n.members != nil {
		p.consume(n, n.pointer, a.Amount, true)
		p.consume(n, n.pointer, a.Currency, true)
	}
	n.visible = len(n.annotation.Label) > 0 || n.annotation.Role != "" && p.mentions(n.annotation.Role)
}

// consume marks a member as shown by the amount at pointer.
func (p *parser) consume(in *node, pointer, name string, both bool) {
	member := in.members[name]
	switch {
	case name == "" || member == nil || !member.plain():
		p.problem(pointer+"/"+keyword, "is money of the member %q, which is no plain value beside it; name it in amount and currency", name)
	case !member.required:
		p.problem(member.pointer, "is part of money, and may be absent; require it")
	case member.annotated:
		p.problem(member.pointer+"/"+keyword, "is shown as part of money; remove it")
	}
	if member != nil {
		member.consumed, member.silent = true, false
	}
}

// check finds what could be granted without being shown, and annotations that make no sense.
func (p *parser) check(n *node) {
	if n.pointer != "" || n.members == nil {
		p.checkShown(n)
	}
	if n.annotated {
		p.checkAnnotation(n)
	}
	if n.item != nil {
		if n.plainList() && n.item.annotated {
			p.problem(n.item.pointer+"/"+keyword, "is in a list of plain values; put it beside the list's items")
		}
		if !n.plainList() {
			p.check(n.item)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(n.members)) {
		p.check(n.members[name])
	}
}

// checkShown wants words for a value that may vary.
func (p *parser) checkShown(n *node) {
	switch {
	case n.consumed:
	case n.silent:
		if !n.required {
			p.problem(n.pointer, "may be there or not, and nobody is shown which; require it, or annotate it with a label")
		}
	case n.plain() || n.plainList() || n.annotation.Format == Money:
		if !n.visible {
			p.problem(n.pointer, "has no label, no role in the heading, and is no part of money; annotate it with %q", keyword)
		}
		if n.plainList() && len(n.annotation.Label) == 0 {
			p.problem(n.pointer, "is a list without a label; give it one")
		}
	case !n.shows():
		p.problem(n.pointer, "may be empty, and nobody is shown that; require a member or an item that is shown, or give it a label for when it is empty")
	}
}

func (p *parser) checkAnnotation(n *node) {
	a, at := n.annotation, n.pointer+"/"+keyword
	if a.Role != "" && !slices.Contains(roles, a.Role) {
		p.problem(at+"/role", "is %q; use one of %s", a.Role, listed(roles))
	}
	if a.Format != "" && !slices.Contains(formats, a.Format) {
		p.problem(at+"/format", "is %q; use one of %v", a.Format, formats)
	}
	if a.Label != nil || a.Absent != nil {
		p.checkLabel(at+"/label", a.Label, true)
	}
	if a.Absent != nil {
		p.checkLabel(at+"/absent", a.Absent, true)
	}
	if a.Empty != nil {
		p.checkLabel(at+"/empty", a.Empty, true)
		if n.plain() || a.Format == Money {
			p.problem(at+"/empty", "is for lists and objects; remove it")
		}
	}
	if n.group = slices.IndexFunc(p.head.Groups, func(g groupHead) bool { return g.ID == a.Group }); n.group < 0 {
		if n.group = 0; a.Group != "" {
			p.problem(at+"/group", "is %q, which is none of the groups of the type; add it to them", a.Group)
		}
	}
	n.order = a.Role.rank()
	if a.Order != nil {
		n.order = *a.Order
	}
	p.checkMoney(n, at)
	p.checkValues(n, at)
	p.checkChoose(n, at)
	p.checkOffer(n, at)
	p.checkMask(n, at)
	if !n.plain() && !n.plainList() && a.Format != Money && (a.Format != "" || a.Role != "" || a.Absent != nil) {
		p.problem(at, "annotates an object or a list of objects, which has a label, a group and an order only; annotate its members")
	}
	if a.Role == Until && a.Format != Date && a.Format != DateTime {
		p.problem(at+"/format", "has to be date or date-time for the role until, since access ends then")
	}
	if n.plainList() && a.Role == Amount {
		p.problem(at+"/role", "is in a list; an amount is one value")
	}
}

// checkMoney wants amounts to have a currency, so that none is read in another.
func (p *parser) checkMoney(n *node, at string) {
	a := n.annotation
	money := slices.Contains([]Role{Amount, LimitPayment, LimitPeriod}, a.Role)
	switch {
	case a.Format == Money && n.item != nil:
		p.problem(at+"/format", "is money in a list; annotate each item's amount")
	case a.Format == Money && n.plain() && a.Amount != "":
		p.problem(at+"/amount", "names the amount of what is itself an amount; remove it")
	case a.Format == Money && a.Currency == "":
		p.problem(at+"/currency", "is missing; name the member that has the currency")
	case a.Format != Money && (a.Amount != "" || a.Currency != ""):
		p.problem(at, `names an amount or a currency; add "format": "money"`)
	case a.Format != Money && money:
		p.problem(at+"/format", "has to be money for the role %s", a.Role)
	}
}

// checkValues wants words for each value that is listed.
func (p *parser) checkValues(n *node, at string) {
	a, enum, boolean := n.annotation, n.enum, n.boolean
	if n.plainList() {
		enum, boolean = n.item.enum, n.item.boolean
	}
	for _, name := range slices.Sorted(maps.Keys(a.Values)) {
		where := at + "/values/" + escape(name)
		p.checkLabel(where, a.Values[name].label, true)
		if a.Values[name].detail != nil {
			p.checkLabel(where+"/detail", a.Values[name].detail, true)
		}
		if len(enum) > 0 && !slices.Contains(enum, name) {
			p.problem(where, "is a value that the schema does not allow; remove it")
		}
	}
	for _, value := range enum {
		if _, found := a.Values[value]; !found && !(boolean && len(a.Values) == 0) {
			p.problem(at+"/values", "has no words for the value %s; add them", fmt.Sprintf("%q", value))
		}
	}
	if len(enum) == 0 && len(a.Values) > 0 && !boolean {
		p.problem(at+"/values", "has words, and the schema lists no values; add an enum")
	}
	switch {
	case boolean && len(a.Values) == 1:
		p.problem(at+"/values", "has words for one of true and false; add the other")
	case a.Format == YesNo && !boolean:
		p.problem(at+"/format", "is yes-no, and the value is not a boolean; use another")
	case a.Format == Choice && len(a.Values) == 0:
		p.problem(at+"/format", "is choice, and there are no words for values; add them")
	case len(enum) > 0 && a.Format != "" && a.Format != Choice && a.Format != YesNo:
		p.problem(at+"/format", "has to be choice for a value of a list; remove it")
	}
}
