package page

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
)

// postScript sends the form at once; without scripts the user presses the button.
const postScript = `document.forms[0].submit()`

const postPage = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Back to the application</title></head>
<body><form method="post" action="{{.Address}}">
{{range $name, $values := .Parameters}}{{range $values}}<input type="hidden" name="{{$name}}" value="{{.}}">
{{end}}{{end}}<button>Go on to the application</button></form>
<script>` + postScript + `</script></body></html>
`

// PostForm writes a page whose form posts the authorization response to the client (OAuth 2.0 Form Post Response Mode
// §2). The address is a registered redirect URI.
func PostForm(w http.ResponseWriter, address string, parameters url.Values) {
	page := template.Must(template.New("post").Parse(postPage)) // a constant: parsing it cannot fail
	digest := sha256.Sum256([]byte(postScript))
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Frame-Options", "DENY")
	// No form-action: the client's own redirects would count too (Content Security Policy Level 3 §6.3).
	script := base64.StdEncoding.EncodeToString(digest[:])
	header.Set("Content-Security-Policy",
		"default-src 'none'; script-src 'sha256-"+script+"'; frame-ancestors 'none'; base-uri 'none'")
	// Response already started; error ignored.
	_ = page.Execute(w, map[string]any{"Address": template.URL(address), "Parameters": parameters})
}
