package flowclient

import (
	"bytes"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// Form is a form of a page that is sent with POST.
type Form struct {
	// Action is where it is sent, as written.
	Action string
	// Values are the hidden inputs.
	Values url.Values
	// Inputs are the names of the others.
	Inputs map[string]bool
	// Buttons are the buttons by id.
	Buttons map[string]Button
}

// Button is a button of a form: what it adds to the values when it is pressed.
type Button struct{ Name, Value string }

// Press adds a button to the values; one that is not there adds nothing.
func (f Form) Press(id string) {
	if b := f.Buttons[id]; b.Name != "" {
		f.Values.Set(b.Name, b.Value)
	}
}

// Forms finds the forms of a page.
func (p Page) Forms() ([]Form, error) {
	document, err := html.Parse(bytes.NewReader(p.Body))
	if err != nil {
		return nil, err
	}
	var forms []Form
	for n := range document.Descendants() {
		if n.Type == html.ElementNode && n.Data == "form" && strings.EqualFold(attribute(n, "method"), "post") {
			forms = append(forms, readForm(n))
		}
	}
	return forms, nil
}

func readForm(node *html.Node) Form {
	f := Form{Action: attribute(node, "action"), Values: url.Values{}, Inputs: map[string]bool{}, Buttons: map[string]Button{}}
	for n := range node.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		name := attribute(n, "name")
		switch {
		case n.Data == "button":
			f.Buttons[attribute(n, "id")] = Button{name, attribute(n, "value")}
		case n.Data == "input" && attribute(n, "type") == "hidden":
			f.Values.Add(name, attribute(n, "value"))
		case n.Data == "input":
			f.Inputs[name] = true
		}
	}
	return f
}

// Text gives the text in the element with an id or, failing that, a name, in one line and without what a terminal could
// obey.
func (p Page) Text(idOrName string) string {
	document, err := html.Parse(bytes.NewReader(p.Body))
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
		return Printable(strings.Join(words, " "))
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
