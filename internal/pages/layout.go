package pages

import (
	"bytes"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"time"

	"countersign/internal/brand"
	"countersign/internal/oauth"
	"countersign/internal/words"
)

// LayoutConfig is the configuration of a [Layout].
type LayoutConfig struct {
	// Name is what the pages are called, and Class the class of their body.
	Name, Class string
	// Accent is a colour, such as "#4a5663"; empty is the program's own.
	Accent string
	// Zone is that of the times; nil is Greenwich's.
	Zone *time.Location
	// Files has a template for each page, which defines "body", and parts.html, which is parsed with each; and style.css, which comes
	// behind the style sheet of all pages.
	Files fs.FS
	// Pages are the names of the templates, without .html.
	Pages []string
	// Functions are those of the templates, beside those of the frame.
	Functions template.FuncMap
	// Footer is shown below each page.
	Footer template.HTML
}

// Layout has the frame, the style sheet and the headers of the users' pages for pages of this program that are not theirs: in English,
// with the program's own mark, without scripts, and with forms that are sent to this server alone. Make one with [NewLayout].
type Layout struct {
	frame     frame
	policy    contentPolicy
	templates map[string]*template.Template
}

// NewLayout reads the templates.
func NewLayout(c LayoutConfig) (*Layout, error) {
	if c.Accent == "" {
		c.Accent = brand.Accent
	}
	if c.Zone == nil {
		c.Zone = time.UTC
	}
	known, err := words.New([]string{"en"}, c.Zone, nil)
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	style, err := styleSheet(c.Accent)
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	more, err := fs.ReadFile(c.Files, "style.css")
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	style += template.CSS(more)
	l := &Layout{
		frame:  frame{Name: c.Name, Own: true, Class: c.Class, Style: style, Favicon: template.URL(ownIcon)},
		policy: newContentPolicy(style, ""), templates: map[string]*template.Template{},
	}
	functions := inLanguage(known.Languages()[0], known.Languages(), "")
	functions["ours"] = func() template.HTML { return c.Footer }
	for _, page := range c.Pages {
		made, err := template.New(page).Funcs(functions).Funcs(c.Functions).ParseFS(files, "templates/frame.html")
		if err == nil {
			made, err = made.ParseFS(c.Files, "parts.html", page+".html")
		}
		if err != nil {
			return nil, fmt.Errorf("pages: %w", err)
		}
		l.templates[page] = made
	}
	return l, nil
}

// Render writes a page with a status, and a title that may have texts of others. It is rendered completely before anything is sent; where that fails, which only a broken build does, the error is answered and returned.
func (l *Layout) Render(w http.ResponseWriter, status int, page, title string, body any) error {
	around := l.frame
	around.Title, around.Body = plain(title, nameLimit)+" – "+around.Name, body
	var text bytes.Buffer
	if err := l.templates[page].ExecuteTemplate(&text, "frame", around); err != nil {
		err = fmt.Errorf("pages: %w", err)
		oauth.Write(w, err, correlationID(w))
		return err
	}
	setHeaders(w.Header(), l.policy.withOwnForm())
	w.Header().Set("Content-Language", "en")
	w.WriteHeader(status)
	_, _ = w.Write(text.Bytes()) // response already started; error ignored
	return nil
}

// Plain makes a text of others safe to display: one line, of limit characters at most, without those that cannot be seen or that move
// other text. It is not escaped.
func Plain(text string, limit int) string { return plain(text, limit) }
