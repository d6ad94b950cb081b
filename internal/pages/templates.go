package pages

import (
	"cmp"
	"embed"
	"html/template"
	"strings"
	"sync"
	"text/template/parse"

	"countersign/internal/brand"
	"countersign/internal/words"
)

//go:embed templates assets
var files embed.FS

// styleSheet reads the style sheet, with the tones of a colour in their places.
func styleSheet(accent string) (template.CSS, error) {
	style, err := files.ReadFile("templates/style.css")
	if err != nil {
		return "", err
	}
	light, dark, err := brand.Derive(accent)
	if err != nil {
		return "", err
	}
	return template.CSS(strings.NewReplacer(
		"/* tones: brand */\n", "--brand-accent: "+accent+";\n",
		"/* tones: light */\n", light.Declarations(), "/* tones: dark */\n", dark.Declarations(),
	).Replace(string(style))), nil
}

// pageNames are the pages that have a template.
func pageNames() []string {
	return []string{"signin", "consent", "failure", "device_signin", "device_home", "device_request",
		"device_settings", "device_remove", "welcome", "signout", "signedout", "stayed", "account", "account_ended", "account_access"}
}

// templates are the pages' templates. Each is bound to a language when it is first shown in it: few of the languages that a bank
// offers are wanted of one process, and all of them together would be most of what an idle one keeps.
type templates struct {
	parsed    map[string]*template.Template
	languages []*words.Language
	host      string

	mu    sync.Mutex
	bound map[[2]string]*template.Template
}

// parseTemplates reads, for each page, the frame with that page's content. host may be empty.
func parseTemplates(languages []*words.Language, host string) (*templates, error) {
	t := &templates{
		parsed: map[string]*template.Template{}, languages: languages, host: host, bound: map[[2]string]*template.Template{},
	}
	for _, name := range pageNames() {
		page, err := template.New(name).Funcs(inLanguage(languages[0], languages, host)).ParseFS(files, "templates/frame.html",
			"templates/client.html", "templates/device_parts.html", "templates/account_parts.html", "templates/"+name+".html")
		if err != nil {
			return nil, err
		}
		t.parsed[name] = page
	}
	return t, nil
}

// in returns a page's template in a language.
func (t *templates) in(l *words.Language, page string) (*template.Template, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := [2]string{l.Tag, page}
	if bound, ok := t.bound[key]; ok {
		return bound, nil
	}
	bound, err := t.parsed[page].Clone()
	if err != nil {
		return nil, err
	}
	functions := inLanguage(l, t.languages, t.host)
	for _, one := range bound.Funcs(functions).Templates() {
		if one.Tree != nil {
			settle(one.Tree.Root, functions, l)
		}
	}
	t.bound[key] = bound
	return bound, nil
}

// shortHost is how long a host's name may be, in characters, that fits into a line of the narrowest screen: it is never broken.
const shortHost = 24

// inLanguage returns the functions of the templates: t is a message with its values, host a host's name, which is set apart, and
// ours says whose pages they are.
func inLanguage(l *words.Language, all []*words.Language, own string) template.FuncMap {
	host := func(name string) template.HTML {
		class := "host"
		if len(name) > shortHost {
			class = "host long"
		}
		return template.HTML(`<strong class="` + class + `">` + template.HTMLEscapeString(name) + `</strong>`)
	}
	directions := map[string]string{}
	for _, each := range all {
		directions[each.Tag] = each.Dir
	}
	return template.FuncMap{
		"t":    l.HTML,
		"lang": func() string { return l.Tag },
		"dir":  func() string { return l.Dir },
		"zone": l.Zone,
		// direction is that of a text in another language than the page's.
		"direction": func(tag string) string {
			return cmp.Or(directions[tag], "auto")
		},
		"host": host,
		"ours": func() template.HTML {
			if own == "" {
				return ""
			}
			return "<p>" + l.HTML("frame.host", "host", host(own)) + " " + l.HTML("frame.never") + "</p>"
		},
	}
}

// settle puts what is the same on every page of a language in its place once: messages without values, and the functions without
// arguments. They are escaped for text and for quoted attributes, where alone the templates have them.
func settle(list *parse.ListNode, functions template.FuncMap, l *words.Language) {
	if list == nil {
		return
	}
	for i, node := range list.Nodes {
		switch node := node.(type) {
		case *parse.ActionNode:
			if text, constant := constantText(node.Pipe, functions, l); constant {
				list.Nodes[i] = &parse.TextNode{NodeType: parse.NodeText, Pos: node.Pos, Text: []byte(text)}
			}
		case *parse.IfNode:
			settle(node.List, functions, l)
			settle(node.ElseList, functions, l)
		case *parse.RangeNode:
			settle(node.List, functions, l)
			settle(node.ElseList, functions, l)
		case *parse.WithNode:
			settle(node.List, functions, l)
			settle(node.ElseList, functions, l)
		}
	}
}

// constantText returns what an action writes, if that does not depend on the page.
func constantText(pipe *parse.PipeNode, functions template.FuncMap, l *words.Language) (text string, constant bool) {
	if len(pipe.Decl) > 0 || len(pipe.Cmds) != 1 {
		return "", false
	}
	args := pipe.Cmds[0].Args
	name, isFunction := args[0].(*parse.IdentifierNode)
	if !isFunction {
		return "", false
	}
	switch len(args) {
	case 1:
		switch call := functions[name.Ident].(type) {
		case func() string:
			return template.HTMLEscapeString(call()), true
		case func() template.HTML:
			return string(call()), true
		}
	case 2:
		if key, isText := args[1].(*parse.StringNode); isText && name.Ident == "t" {
			return string(l.HTML(key.Text)), true
		}
	}
	return "", false
}
