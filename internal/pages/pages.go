// Package pages renders the built-in pages: sign-in, consent, the authentication device, and the error page.
//
// They are plain HTML forms with one inline style sheet: nothing is loaded from another host or stored by the
// browser. Passkeys need a small script (assets); everything else works without scripts. Client metadata is untrusted
// and shown as text that cannot be confused with the page's own.
//
// Pages only render. The forms are handled by the packages that use the pages: authorize and device.
package pages

import (
	"bytes"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"countersign/fapi/authorize"
	"countersign/fapi/browser"
	"countersign/internal/oauth"
)

// Config is the configuration of [Pages].
type Config struct {
	// Name is the name of the service on the pages; "Countersign" by default.
	Name string
	// Issuer is the issuer identifier, whose host the pages show, or empty.
	Issuer string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Logger may be nil.
	Logger *slog.Logger
}

// Pages implements [authorize.Pages]. Make one with [New].
type Pages struct {
	name string
	host string
	// issuer is the server's address, and base its path; both may be empty.
	issuer, base string
	now          func() time.Time
	log          *slog.Logger

	style     template.CSS
	policy    contentPolicy
	templates map[string]*template.Template
}

var (
	_ authorize.Pages    = (*Pages)(nil)
	_ browser.StrayPages = (*Pages)(nil)
)

// New checks the configuration and makes the pages.
func New(config Config) (*Pages, error) {
	p := &Pages{name: plain(config.Name, nameLimit), log: config.Logger}
	if p.name == "" {
		p.name = "Countersign"
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	if config.Issuer != "" {
		issuer, err := url.Parse(config.Issuer)
		if err != nil || issuer.Scheme != "https" || issuer.Host == "" {
			return nil, fmt.Errorf("pages: Issuer %q is not an https address", config.Issuer)
		}
		p.host, p.issuer, p.base = issuer.Host, config.Issuer, issuer.EscapedPath()
	}
	if p.now = config.Now; p.now == nil {
		p.now = time.Now
	}
	var err error
	if p.style, p.templates, err = parseTemplates(); err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	p.policy = newContentPolicy(p.style)
	return p, nil
}

// frame is what all pages show around their content.
type frame struct {
	Title string
	Name  string
	// Host is the host of the issuer, or empty.
	Host  string
	Style template.CSS
	// Scripts, Manifest and Icon are addresses, or empty.
	Scripts        []string
	Manifest, Icon string
	// Body is the view of the content.
	Body any
}

// render writes a page.
func (p *Pages) render(w http.ResponseWriter, status int, page, title string, policy string, body any) {
	p.renderFrame(w, status, page, policy, body, frame{Title: title})
}

// renderFrame writes a page in a frame with the title, scripts, manifest and icon given. The page is rendered
// completely before anything is sent.
func (p *Pages) renderFrame(w http.ResponseWriter, status int, page, policy string, body any, around frame) {
	around.Title += " – " + p.name
	around.Name, around.Host, around.Style, around.Body = p.name, p.host, p.style, body
	var text bytes.Buffer
	err := p.templates[page].ExecuteTemplate(&text, "frame", around)
	if err != nil { // only in a broken build: the templates are embedded and tested with every view
		p.log.Error("page not rendered", "page", page, "correlation_id", correlationID(w), "error", err.Error())
		oauth.Write(w, err, correlationID(w))
		return
	}
	setHeaders(w.Header(), policy)
	w.WriteHeader(status)
	_, _ = w.Write(text.Bytes()) // response already started; error ignored
}

// correlationID returns the correlation id of the request.
func correlationID(w http.ResponseWriter) string { return w.Header().Get("X-Correlation-Id") }
