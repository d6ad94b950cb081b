package pages

import (
	"embed"
	"html/template"
)

//go:embed templates assets
var files embed.FS

// parseTemplates reads the style sheet and, for each page, the frame with that page's content.
func parseTemplates() (template.CSS, map[string]*template.Template, error) {
	style, err := files.ReadFile("templates/style.css")
	if err != nil {
		return "", nil, err
	}
	pages := map[string]*template.Template{}
	for _, name := range []string{"signin", "consent", "failure", "device_signin", "device_home", "device_request",
		"device_settings", "device_remove", "welcome"} {
		pages[name], err = template.ParseFS(files, "templates/frame.html", "templates/client.html",
			"templates/device_parts.html", "templates/"+name+".html")
		if err != nil {
			return "", nil, err
		}
	}
	return template.CSS(style), pages, nil
}
