package demo

import (
	"bytes"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// form is a form of a page.
type form struct {
	action string
	// values are the hidden inputs.
	values url.Values
	// inputs are the names of the others.
	inputs map[string]bool
	// buttons are the buttons by id.
	buttons map[string]parameter
}

// readForms finds the forms of a page that are sent with POST.
func readForms(page []byte) ([]form, error) {
	document, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		return nil, err
	}
	var forms []form
	for n := range document.Descendants() {
		if n.Type == html.ElementNode && n.Data == "form" && strings.EqualFold(attribute(n, "method"), "post") {
			forms = append(forms, readForm(n))
		}
	}
	return forms, nil
}

func readForm(node *html.Node) form {
	f := form{action: attribute(node, "action"), values: url.Values{}, inputs: map[string]bool{}, buttons: map[string]parameter{}}
	for n := range node.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		name := attribute(n, "name")
		switch {
		case n.Data == "button":
			f.buttons[attribute(n, "id")] = parameter{name, attribute(n, "value")}
		case n.Data == "input" && attribute(n, "type") == "hidden":
			f.values.Add(name, attribute(n, "value"))
		case n.Data == "input":
			f.inputs[name] = true
		}
	}
	return f
}

// textOf gives the text in the element of a page with an id or, failing that, a name, in one line.
func textOf(page []byte, idOrName string) string {
	document, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		return ""
	}
	for n := range document.Descendants() {
		if n.Type != html.ElementNode || attribute(n, "id") != idOrName && n.Data != idOrName {
			continue
		}
		var words []string
		for inside := range n.Descendants() {
			if inside.Type == html.TextNode {
				words = append(words, strings.Fields(inside.Data)...)
			}
		}
		return clean(strings.Join(words, " "))
	}
	return ""
}

func attribute(node *html.Node, name string) string {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
