// Package pages renders the built-in pages: sign-in, consent, the authentication device, and the error page.
//
// They are plain HTML forms with one inline style sheet: nothing is loaded from another host or stored by the
// browser. Passkeys need a small script (assets); everything else works without scripts. Client metadata is untrusted
// and shown as text that cannot be confused with the page's own. Every text comes from package words, in the language of the
// user; name, logo and colour are those of the configuration.
//
// Pages only render. The forms are handled by the packages that use the pages: authorize and device.
package pages

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"countersign/fapi/authorize"
	"countersign/fapi/browser"
	"countersign/fapi/logout"
	"countersign/internal/brand"
	"countersign/internal/oauth"
	"countersign/internal/words"
)

// Config is the configuration of [Pages].
type Config struct {
	// Brand is whose pages they are.
	Brand Brand
	// Issuer is the issuer identifier, whose host the pages show, or empty.
	Issuer string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Logger may be nil.
	Logger *slog.Logger
}

// Brand is what a bank sets: never CSS or HTML, since who may style may hide the amount.
type Brand struct {
	// Name is the name of the service on the pages; "Countersign", with its logo, by default.
	Name string
	// Languages have what differs in single languages, by their tags.
	Languages map[string]BrandLanguage
	// Logo, LogoDark and Favicon may be nil.
	Logo, LogoDark, Favicon *brand.Image
	// Accent is a colour, such as "#12594a", or empty.
	Accent string
	// HelpURI, PrivacyURI and AccessibilityURI are https addresses, or empty.
	HelpURI, PrivacyURI, AccessibilityURI string
	// Locales are the languages, the first for whoever wants none of them; all when empty.
	Locales []string
	// Words has messages that replace those of package words; it may be nil.
	Words fs.FS
	// Zone is that of the times; nil is Greenwich's.
	Zone *time.Location
}

// BrandLanguage is what differs in one language; what is empty is that of the brand.
type BrandLanguage struct {
	Name string
	// LogoDark without a Logo is not used.
	Logo, LogoDark                        *brand.Image
	HelpURI, PrivacyURI, AccessibilityURI string
}

// Pages implements [authorize.Pages]. Make one with [New].
type Pages struct {
	brand Brand
	host  string
	// issuer is the server's address, and base its path; both may be empty.
	issuer, base string
	now          func() time.Time
	log          *slog.Logger

	words *words.Catalogue
	// looks are the brand by language.
	looks     map[string]look
	style     template.CSS
	policy    contentPolicy
	templates *templates
	// menus are by language.
	menus map[string][]menuEntry
}

var (
	_ authorize.Pages    = (*Pages)(nil)
	_ browser.StrayPages = (*Pages)(nil)
	_ logout.Pages       = (*Pages)(nil)
)

// ownName is the name of pages that have no brand.
const ownName = "Countersign"

// New checks the configuration and makes the pages.
func New(config Config) (*Pages, error) {
	p := &Pages{brand: config.Brand, log: config.Logger, now: config.Now}
	p.brand.Name = plain(p.brand.Name, nameLimit)
	if p.brand.Accent == "" {
		p.brand.Accent = brand.Accent
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
	if p.now == nil {
		p.now = time.Now
	}
	if err := p.brand.check(); err != nil {
		return nil, err
	}
	locales, zone := p.brand.Locales, p.brand.Zone
	if len(locales) == 0 {
		locales = words.Supported()
	}
	if zone == nil {
		zone = time.UTC
	}
	var failures [3]error
	p.words, failures[0] = words.New(locales, zone, p.brand.Words)
	p.style, failures[1] = styleSheet(p.brand.Accent)
	if failures[0] == nil {
		p.looks = p.allLooks(p.words.Languages())
		p.templates, failures[2] = parseTemplates(p.words.Languages(), p.host)
	}
	if err := errors.Join(failures[:]...); err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	p.menus = map[string][]menuEntry{}
	for _, l := range p.words.Languages() {
		p.menus[l.Tag] = menuEntries(p.words.Languages(), l)
	}
	p.policy = newContentPolicy(p.style, p.images())
	return p, nil
}

// Locales returns the languages of the pages, the first for whoever wants none of them.
func (p *Pages) Locales() []string { return slices.Clone(p.words.Tags()) }

// own reports whether the pages have no brand.
func (p *Pages) own() bool { return p.brand.Name == "" }

// name returns the name of the service.
func (p *Pages) name(l *words.Language) string { return p.looks[l.Tag].Name }

// frame is what all pages show around their content.
type frame struct {
	Title string
	Name  string
	// Own shows the logo of the program.
	Own bool
	// Class is that of the body: "wide" for the pages of the user's account.
	Class string
	Style template.CSS
	// Logo and LogoDark are addresses, or empty.
	Logo, LogoDark string
	LogoWidth      int
	Favicon        template.URL
	// Languages are the entries of the menu, or empty.
	Languages template.HTML
	// Help, Privacy and Accessibility are addresses, or empty.
	Help, Privacy, Accessibility string
	// Scripts, Manifest and Icon are addresses, or empty.
	Scripts        []string
	Manifest, Icon string
	// Body is the view of the content.
	Body any
}

// shown is a page to render.
type shown struct {
	language *words.Language
	status   int
	page     string
	policy   string
	body     any
}

// render writes a page.
func (p *Pages) render(w http.ResponseWriter, r *http.Request, page shown, title string) {
	p.renderFrame(w, r, page, frame{Title: title})
}

// renderFrame writes a page in a frame with the title, scripts, manifest and icon given. The page is rendered
// completely before anything is sent.
func (p *Pages) renderFrame(w http.ResponseWriter, r *http.Request, page shown, around frame) {
	if p.choose(w, r) {
		return
	}
	l := page.language
	look := p.looks[l.Tag]
	around.Name, around.Own, around.Style, around.Body = look.Name, p.own(), p.style, page.body
	around.Logo, around.LogoDark, around.LogoWidth, around.Favicon = look.Logo, look.LogoDark, look.LogoWidth, look.Favicon
	around.Help, around.Privacy, around.Accessibility = look.Help, look.Privacy, look.Accessibility
	around.Title = l.Text("title", "page", around.Title, "bank", around.Name)
	around.Languages = p.menu(r, l)
	var text bytes.Buffer
	bound, err := p.templates.in(l, page.page)
	if err == nil {
		err = bound.ExecuteTemplate(&text, "frame", around)
	}
	if err != nil { // only in a broken build: the templates are embedded and tested with every view
		p.log.Error("page not rendered", "page", page.page, "correlation_id", correlationID(w), "error", err.Error())
		oauth.Write(w, err, correlationID(w))
		return
	}
	setHeaders(w.Header(), page.policy)
	w.Header().Set("Content-Language", l.Tag)
	w.WriteHeader(page.status)
	_, _ = w.Write(text.Bytes()) // response already started; error ignored
}

// correlationID returns the correlation id of the request.
func correlationID(w http.ResponseWriter) string { return w.Header().Get("X-Correlation-Id") }
