// Package adminconsole is the read-only console of operators, on the listener of the admin API: it finds a client, a consent, a grant, a
// person, a refused request, and shows them, what the node is like, and the audit log.
//
// Pages are rendered here, without scripts, in the frame of package pages. Nothing can be changed: every route answers GET alone. No
// secret is shown, and nobody's data without a record of who looked: a page about a person records that in the audit log before it is
// sent, and is refused where that fails. Who may not see a person's data sees it masked.
//
// Every list is bounded, and goes on from a position in it; whatever a page reads is found by an index, or by looking at a bounded part.
package adminconsole

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"countersign/fapi/rar"
	"countersign/internal/audit"
	"countersign/internal/correlation"
	"countersign/internal/pages"
	"countersign/store"
)

//go:embed templates
var files embed.FS

// The roles of operators. Each of them may look things up; the last one sees the data of persons as they are.
const (
	Reader          = "reader"
	ClientManager   = "client_manager"
	SecurityOfficer = "security_officer"
)

// Operator is who looks.
type Operator struct {
	// Name is that of the certificate, as the audit log has it.
	Name string
	// Roles are among the constants; others say nothing.
	Roles []string
}

// sees reports whether the operator sees data of persons as they are.
func (o Operator) sees() bool { return slices.Contains(o.Roles, SecurityOfficer) }

// may reports whether the operator may look at all.
func (o Operator) may() bool {
	return o.Name != "" && slices.ContainsFunc(o.Roles, func(role string) bool {
		return role == Reader || role == ClientManager || role == SecurityOfficer
	})
}

// Store has the verbs of package store that the console needs: none of them changes anything but Record.
type Store interface {
	Client(ctx context.Context, id string) (store.Client, error)
	Keys(ctx context.Context) ([]store.Key, error)
	User(ctx context.Context, subject string) (store.User, error)
	UserByName(ctx context.Context, username string) (store.User, error)
	Passkeys(ctx context.Context, subject string) ([]store.Passkey, error)
	Devices(ctx context.Context, subject string) ([]store.Device, error)
	ListSessions(ctx context.Context, subject string, page store.Page) ([]store.Session, error)
	ListAccess(ctx context.Context, filter store.AccessFilter, page store.Page) ([]store.Access, error)
	ListGrants(ctx context.Context, filter store.Filter) ([]store.Grant, error)
	GrantByID(ctx context.Context, id string) (store.GivenGrant, error)
	LodgedConsent(ctx context.Context, clientID, id string) (store.LodgedConsent, error)
	ListLodgedConsents(ctx context.Context, filter store.ConsentFilter, page store.Page) ([]store.LodgedConsent, error)
	Refusals(ctx context.Context, correlationID string) ([]store.Refusal, error)
	ListRefusals(ctx context.Context, filter store.RefusalFilter) ([]store.Refusal, error)
	Backlogs(ctx context.Context) ([]store.Backlog, error)
	AuditHeads(ctx context.Context) ([]store.AuditLine, error)
	AuditLines(ctx context.Context, chain string, after uint64, limit int) ([]store.AuditLine, error)
	Record(ctx context.Context, evidence ...store.Evidence) error
}

// Config is the configuration of a [Console].
type Config struct {
	Store Store
	// Operator says who sends a request, by its certificate; false refuses it.
	Operator func(r *http.Request) (Operator, bool)
	// Node is the name of this node, and Issuer the issuer identifier whose console it is.
	Node, Issuer string
	// Accent is a colour of the pages, such as "#4a5663"; empty is the console's own.
	Accent string
	// Zone is that of the times; nil is Greenwich's.
	Zone *time.Location
	// Details are the types of authorization_details, and Consents those of what users are shown of consents that clients lodge, by
	// which they are put into words; nil has no words for them.
	Details, Consents *rar.Types
	// Ready returns what keeps each part of the node from working, nil for one that works; nil shows nothing.
	Ready func(ctx context.Context) map[string]error
	// Certificates returns when the certificate that ends first in each file of the configuration does; nil shows nothing.
	Certificates func() map[string]time.Time
	Now          func() time.Time
	Log          *slog.Logger
}

// Console serves the pages. Make one with [New].
type Console struct {
	Config
	layout *pages.Layout
}

// accent is the colour of the console, which is no bank's.
const accent = "#4a5663"

// New makes a console. The error is of a wrong accent, or of a broken build.
func New(c Config) (*Console, error) {
	if c.Zone == nil {
		c.Zone = time.UTC
	}
	if c.Accent == "" {
		c.Accent = accent
	}
	templates, err := fs.Sub(files, "templates")
	if err != nil {
		return nil, err
	}
	made := &Console{Config: c}
	made.layout, err = pages.NewLayout(pages.LayoutConfig{
		Name: "Countersign console", Class: "console", Accent: c.Accent, Zone: c.Zone, Files: templates,
		Pages: []string{"overview", "found", "refused", "refusals", "client", "consent", "person", "audit", "entry", "problem"},
		Functions: template.FuncMap{
			"time": made.time, "link": link, "mono": mono, "plain": func(text string) string { return pages.Plain(text, textLimit) },
		},
		Footer: "<p>Read only. Who looks up whom is recorded in the audit log. No token, password or account number is shown here.</p>",
	})
	if err != nil {
		return nil, fmt.Errorf("adminconsole: %w", err)
	}
	return made, nil
}

// Route is a page: a pattern of [http.ServeMux], and what serves it.
type Route struct {
	Pattern string
	Serve   http.HandlerFunc
}

// Routes returns the pages, all of them below /console/. They answer GET and HEAD alone.
func (c *Console) Routes() []Route {
	return []Route{
		{"GET /console/{$}", c.page(c.overview)},
		{"GET /console/search", c.page(c.search)},
		{"GET /console/refused", c.page(c.refused)},
		{"GET /console/refusals", c.page(c.refusals)},
		{"GET /console/client", c.page(c.client)},
		{"GET /console/consent", c.page(c.consent)},
		{"GET /console/grant", c.page(c.grant)},
		{"GET /console/person", c.page(c.person)},
		{"GET /console/audit", c.page(c.audit)},
		{"GET /console/entry", c.page(c.entry)},
		{"GET /console/", c.page(func(context.Context, look) (shown, error) { return shown{}, errNothing })},
	}
}

// look is one request.
type look struct {
	operator Operator
	// sees is whether the operator sees data of persons as they are.
	sees bool
	// led is whether another site led here: nobody's data are shown before the operator says that this was meant.
	led  bool
	form url.Values
	now  time.Time
}

// shown is a page to send.
type shown struct {
	// page is the template, of which title and body are; to leads elsewhere instead.
	page, title string
	// part is the part of the console that the page is in.
	part string
	// query is what was searched for.
	query string
	body  any
	to    string
}

// around is what each page has around its body.
type around struct {
	Operator, Node, Issuer, Zone string
	Masked                       bool
	Part, Query                  string
	Body                         any
}

// The ways in which nothing is shown.
var (
	errNothing   = errors.New("there is nothing of the kind here")
	errParameter = errors.New("a parameter of the address is wrong")
	errForbidden = errors.New("this certificate may not look at the console")
	errForeign   = errors.New("another site asked for this page")
	errLed       = errors.New("another site led to the data of a person")
)

// page serves a page.
func (c *Console) page(answer func(context.Context, look) (shown, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		operator, known := c.Operator(r)
		about := around{Node: c.Node, Issuer: c.Issuer, Zone: zoneName(c.Zone), Operator: operator.Name, Masked: !operator.sees()}
		out, err := func() (shown, error) {
			if !known || !operator.may() {
				return shown{}, errForbidden
			}
			if foreign(r) {
				return shown{}, errForeign
			}
			form, err := read(r)
			if err != nil {
				return shown{}, err
			}
			return answer(r.Context(), look{operator: operator, sees: operator.sees(), led: elsewhere(r), form: form, now: c.Now()})
		}()
		status := http.StatusOK
		if err != nil {
			if !known || !operator.may() {
				about = around{} // nothing is told to a stranger
			}
			out, status = c.problem(r, err)
		}
		if out.to != "" {
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("Location", out.to)
			w.WriteHeader(http.StatusSeeOther)
			return
		}
		about.Part, about.Query, about.Body = out.part, out.query, out.body
		if err := c.layout.Render(w, status, out.page, out.title, about); err != nil { // only in a broken build
			c.Log.ErrorContext(r.Context(), "console page not rendered", "page", out.page, "correlation_id", correlation.ID(r.Context()), "error", err.Error())
		}
	}
}

// elsewhere reports whether another site has a browser ask for a page (Fetch Metadata).
func elsewhere(r *http.Request) bool {
	from := r.Header.Get("Sec-Fetch-Site")
	return from != "" && from != "same-origin" && from != "none"
}

// foreign reports whether a page would be seen by nobody: another site embeds it, or it is fetched in advance. An operator's certificate
// goes with each request. A link from elsewhere may lead here.
func foreign(r *http.Request) bool {
	return elsewhere(r) && r.Header.Get("Sec-Fetch-Dest") != "document" || strings.Contains(r.Header.Get("Sec-Purpose"), "prefetch")
}

// textLimit is how long a text of others may be that is shown, in characters, inputLimit one that is looked for, in bytes, and
// positionLimit a position in a list, which may name all nodes that there ever were.
const textLimit, inputLimit, positionLimit = 2000, 400, 12 << 10

// read reads the parameters of a page: each once, of printable characters.
func read(r *http.Request) (url.Values, error) {
	form, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, errParameter
	}
	for name, values := range form {
		limit := inputLimit
		if name == "before" {
			limit = positionLimit
		}
		if len(values) != 1 || len(values[0]) > limit || !utf8.ValidString(values[0]) || strings.ContainsFunc(values[0], unicode.IsControl) {
			return nil, errParameter
		}
	}
	return form, nil
}

// problemView says why nothing is shown.
type problemView struct {
	Heading, Text string
	// Searches says what can be searched for.
	Searches bool
	// Go leads to the page that was asked for, or is empty.
	Go string
}

// problem shows why a page is not shown.
func (c *Console) problem(r *http.Request, err error) (shown, int) {
	view, status := problemView{Searches: true}, http.StatusNotFound
	switch {
	case errors.Is(err, errForbidden):
		view, status = problemView{"You may not look at this console",
			"Your certificate is known, and has no role that may look things up: reader, client_manager or security_officer. The roles are in the configuration of the server.", false, ""}, http.StatusForbidden
	case errors.Is(err, errForeign):
		view, status = problemView{"This page was asked for by another site", "Open the console by its own address.", false, ""}, http.StatusForbidden
	case errors.Is(err, errLed):
		view, status = problemView{"Another site led you to somebody's data",
			"That you look is recorded, so it is shown only if you mean to.", false, r.URL.RequestURI()}, http.StatusOK
	case errors.Is(err, errParameter):
		view.Heading, view.Text, status = "This address is not one of the console's", "A parameter is there twice, is too long, or is not what it should be.", http.StatusBadRequest
	case errors.Is(err, errNothing), errors.Is(err, store.ErrNotFound):
		view.Heading, view.Text = "Nothing has this number", "It may have been removed, or be of another environment."
	default:
		c.Log.ErrorContext(r.Context(), "console page not shown", "path", r.URL.Path, "correlation_id", correlation.ID(r.Context()), "error", err.Error())
		view, status = problemView{"This cannot be shown now",
			"The database or the audit log could not be reached. A page about a person is shown only after it is recorded who looks.", false, ""}, http.StatusServiceUnavailable
	}
	return shown{page: "problem", title: view.Heading, body: view}, status
}

// Refuse shows why what is in front of the console lets a request not through.
func (c *Console) Refuse(w http.ResponseWriter, r *http.Request, status int, title, detail string) {
	if err := c.layout.Render(w, status, "problem", title, around{Body: problemView{Heading: title, Text: detail}}); err != nil {
		c.Log.ErrorContext(r.Context(), "console page not rendered", "page", "problem", "correlation_id", correlation.ID(r.Context()), "error", err.Error())
	}
}

// PersonViewed is the event of the audit log that says that an operator looked at the data of a person: its detail names by, subject,
// page, and whether the data were shown masked.
const PersonViewed = "person_viewed"

// looked records that an operator looks at somebody's data, before they are shown. No subject is nobody's data.
func (c *Console) looked(ctx context.Context, l look, subject, page string) error {
	if subject == "" {
		return nil
	}
	if l.led {
		return errLed
	}
	how := "masked"
	if l.sees {
		how = "whole"
	}
	body, err := json.Marshal(audit.Event{Kind: audit.SecurityEvent, CorrelationID: correlation.ID(ctx), Detail: map[string]string{
		"event": PersonViewed, "by": l.operator.Name, "subject": subject, "page": page, "shown": how,
	}})
	if err != nil {
		return err
	}
	if err := c.Store.Record(ctx, store.Evidence{At: l.now, Body: body}); err != nil {
		return fmt.Errorf("who looks could not be recorded: %w", err)
	}
	return nil
}
