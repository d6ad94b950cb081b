package browsertest

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
)

// Node is an element of the accessibility tree.
type Node struct {
	Role, Name, Description string
	Properties              map[string]string
}

// AccessibilityTree lists the elements that are not ignored, in the order of reading.
func (b *Browser) AccessibilityTree() []Node {
	b.t.Helper()
	tree := get(b, func(ctx context.Context, target *chromedp.Target) (accessibility.GetFullAXTreeResult, error) {
		return cdp.Call(ctx, target, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	})
	var nodes []Node
	for _, each := range tree.Nodes {
		if each.Ignored {
			continue
		}
		node := Node{
			Role: text(each.Role), Name: text(each.Name), Description: text(each.Description), Properties: map[string]string{},
		}
		for _, property := range each.Properties {
			node.Properties[string(property.Name)] = text(property.Value)
		}
		nodes = append(nodes, node)
	}
	return nodes
}

// text returns a string as it is and any other value as JSON.
func text(value *accessibility.Value) string {
	if value == nil {
		return ""
	}
	var decoded string
	if err := json.Unmarshal(value.Value, &decoded); err == nil {
		return decoded
	}
	return string(value.Value)
}

// interactive are the roles of elements that users interact with.
var interactive = []string{"button", "checkbox", "combobox", "link", "radio", "searchbox", "textbox"}

// CheckAccessibility checks a page for what screen readers and touch need: a title, a language, one first-level
// heading, the landmarks, a name for every interactive element, targets of 24 pixels (WCAG 2.2 SC 2.5.8; links within
// a sentence are exempt), and no scrolling to the side (SC 1.4.10).
func (b *Browser) CheckAccessibility() {
	b.t.Helper()
	count := map[string]int{}
	for _, node := range b.AccessibilityTree() {
		role := node.Role
		if role == "heading" {
			role = "heading " + node.Properties["level"]
		}
		count[role]++
		if slices.Contains(interactive, node.Role) && node.Name == "" {
			b.t.Errorf("a %s has no name", node.Role)
		}
	}
	for _, role := range []string{"heading 1", "main", "banner", "contentinfo"} {
		if count[role] != 1 {
			b.t.Errorf("the page has %d of %q, want 1", count[role], role)
		}
	}
	if b.Title() == "" {
		b.t.Error("the page has no title")
	}
	for _, finding := range get(b, chromedp.Evaluate[[]string](pageFindings)) {
		b.t.Error(finding)
	}
}

// pageFindings checks what the accessibility tree does not contain. The debugger runs it, so that the page's
// Content-Security-Policy does not apply.
const pageFindings = `(() => {
	const findings = [], least = 24;
	if (!document.documentElement.lang) findings.push("the page has no language");
	if (document.documentElement.scrollWidth > innerWidth) findings.push("the page scrolls to the side: " + document.documentElement.scrollWidth + " > " + innerWidth);
	for (const target of document.querySelectorAll("a, button, input:not([type=hidden])")) {
		if (target.matches("p a") || target.closest("[hidden]")) continue;
		const box = target.getBoundingClientRect();
		if (box.width < least || box.height < least) findings.push("a target is only " + box.width + " by " + box.height + ": " + target.textContent);
	}
	const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
	if (new Set(ids).size !== ids.length) findings.push("an id is there twice: " + ids);
	for (const e of document.querySelectorAll("[aria-describedby], [aria-labelledby]"))
		for (const id of ((e.getAttribute("aria-describedby") || "") + " " + (e.getAttribute("aria-labelledby") || "")).trim().split(/\s+/))
			if (!document.getElementById(id)) findings.push("nothing has the id " + id);
	for (const link of document.querySelectorAll("a[href^='#']"))
		if (!document.getElementById(link.getAttribute("href").slice(1))) findings.push("a link leads nowhere: " + link.getAttribute("href"));
	return findings;
})()`
