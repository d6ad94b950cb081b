package pages

import (
	"embed"
	"html/template"
	"strings"

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
		"device_settings", "device_remove", "welcome"}
}

// parseTemplates reads, for each language and each page, the frame with that page's content.
func parseTemplates(languages []*words.Language) (map[string]map[string]*template.Template, error) {
	parsed := map[string]*template.Template{}
	for _, name := range pageNames() {
		page, err := template.New(name).Funcs(inLanguage(languages[0])).ParseFS(files, "templates/frame.html",
			"templates/client.html", "templates/device_parts.html", "templates/"+name+".html")
		if err != nil {
			return nil, err
		}
		parsed[name] = page
	}
	all := map[string]map[string]*template.Template{}
	for _, l := range languages {
		all[l.Tag] = map[string]*template.Template{}
		for name, page := range parsed {
			bound, err := page.Clone()
			if err != nil {
				return nil, err
			}
			all[l.Tag][name] = bound.Funcs(inLanguage(l))
		}
	}
	return all, nil
}

// inLanguage returns the functions of the templates: t is a message with its values, host a host's name, which is set apart.
func inLanguage(l *words.Language) template.FuncMap {
	return template.FuncMap{
		"t":    l.HTML,
		"lang": func() string { return l.Tag },
		"dir":  func() string { return l.Dir },
		"zone": l.Zone,
		"host": func(name string) template.HTML {
			return template.HTML(`<strong class="host">` + template.HTMLEscapeString(name) + `</strong>`)
		},
	}
}
