package rp

import (
	"cmp"
	"crypto/sha256"
	_ "embed" // page.css, page.html
	"encoding/base64"
	"encoding/json"
	"errors"
	"html/template"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"countersign/rp/client"
	"countersign/rp/internal/web"
)

// Page is what is shown to a user.
type Page struct {
	// Application is [Config].Name.
	Application string
	// Status is the HTTP status.
	Status int
	// Title and Text are for the user.
	Title, Text string
	// Action is a button or a link; its zero value is none.
	Action Action
	// CorrelationID and Kind are those of Err; empty on a page that reports no error.
	CorrelationID string
	Kind          Kind
	// Err is the error, or nil. It is not for the user.
	Err error
	// FormAction is the origin besides the application's that the form of Action leads to, or empty.
	FormAction string
}

// Action is what a user can do on a page.
type Action struct {
	Label, Path string
	// Post makes it a form with a button.
	Post bool
}

// Renderer writes a page: header, status and body. The headers that keep it out of caches and frames are set already.
type Renderer func(w http.ResponseWriter, r *http.Request, page Page)

//go:embed page.css
var style string

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{"style": func() template.CSS { return template.CSS(style) }}).Parse(pageHTML))

// BuiltIn is the renderer of the built-in pages: plain HTML, without scripts.
func BuiltIn(w http.ResponseWriter, _ *http.Request, page Page) {
	digest := sha256.Sum256([]byte(style))
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(digest[:])+
		"'; img-src data:; form-action "+strings.TrimSpace("'self' "+page.FormAction)+"; base-uri 'none'; frame-ancestors 'none'")
	w.WriteHeader(page.Status)
	_ = pageTemplate.Execute(w, page) // the browser has gone; there is nobody to tell
}

// answers shows pages and problem documents.
type answers struct{ *site }

// show sends a page.
func (a *answers) show(w http.ResponseWriter, r *http.Request, page Page) {
	page.Application = a.config.Name
	uncached(w)
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("X-Frame-Options", "DENY")
	a.config.Render(w, r, page)
}

func uncached(w http.ResponseWriter) { w.Header().Set("Cache-Control", "no-store") }

// fail answers with an error, as a page or as a problem document, and logs it.
func (a *answers) fail(w http.ResponseWriter, r *http.Request, cause error) {
	a.answer(w, r, cause, web.WantsPage(r), Action{})
}

// answer is fail in a given form, with an action other than that of the error's kind.
func (a *answers) answer(w http.ResponseWriter, r *http.Request, cause error, page bool, action Action) {
	e := newError(r.Context(), cause)
	a.report(r, e)
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	if e.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Cookie realm="`+a.config.BaseURL+`"`)
	}
	if !page {
		a.problem(w, e, action)
		return
	}
	text := texts[e.Kind]
	if action.Path == "" && text.again {
		action = Action{Label: "Sign in again", Path: a.path("/login")}
	}
	if action.Path == "" {
		action = Action{Label: "To the start page", Path: a.config.Home}
	}
	a.show(w, r, Page{
		Status: e.Status, Title: text.title, Text: text.text, Action: action, CorrelationID: e.CorrelationID, Kind: e.Kind, Err: e,
	})
}

// report logs an error and tells the hook of it.
func (a *answers) report(r *http.Request, e *Error) {
	level := a.log.InfoContext
	if e.Status >= http.StatusInternalServerError {
		level = a.log.WarnContext
	}
	fields := []any{"correlation_id", e.CorrelationID, "kind", string(e.Kind), "status", e.Status, "path", r.URL.Path, "error", e.Err.Error()}
	if refused, ok := errors.AsType[*client.ProviderError](e.Err); ok && refused.CorrelationID != "" {
		fields = append(fields, "provider_correlation_id", refused.CorrelationID)
	}
	level(r.Context(), "request refused", fields...)
	if a.config.Hooks.OnError != nil {
		a.config.Hooks.OnError(r.Context(), e)
	}
}

// problem is a problem document (RFC 9457).
type problem struct {
	Type          string `json:"type"`
	Title         string `json:"title"`
	Status        int    `json:"status"`
	Kind          Kind   `json:"kind"`
	Detail        string `json:"detail,omitempty"`
	CorrelationID string `json:"correlation_id"`
	// Login is the address of a login that would help.
	Login     string   `json:"login,omitempty"`
	ACRValues []string `json:"acr_values,omitempty"`
	MaxAge    *int64   `json:"max_age,omitempty"`
	Scope     string   `json:"scope,omitempty"`
}

func (a *answers) problem(w http.ResponseWriter, e *Error, action Action) {
	text := texts[e.Kind]
	document := problem{Type: "about:blank", Title: text.title, Status: e.Status, Kind: e.Kind, Detail: text.text, CorrelationID: e.CorrelationID}
	if e.Kind == KindLoginRequired || e.Kind == KindInsufficient {
		document.Login = a.config.BaseURL + cmp.Or(action.Path, a.path("/login"))
	}
	if insufficient, ok := errors.AsType[*InsufficientError](e.Err); ok {
		document.Detail, document.ACRValues, document.Scope = insufficient.Reason, insufficient.ACRValues, strings.Join(insufficient.Scopes, " ")
		if insufficient.MaxAge != nil {
			seconds := int64(*insufficient.MaxAge / time.Second)
			document.MaxAge = &seconds
		}
	}
	body, err := json.Marshal(document)
	if err != nil {
		body = nil // strings and numbers only: it does not happen
	}
	uncached(w)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(e.Status)
	_, _ = w.Write(body)
}

// text is what a user reads.
type text struct {
	title, text string
	again       bool // another login may help
}

var texts = map[Kind]text{
	KindLoginRequired: {"Please sign in", "You are not signed in, or your session has ended.", true},
	KindInsufficient:  {"A stronger sign-in is needed", "Your sign-in is not enough for this page. Nothing has changed; you are signed in as before.", false},
	KindForbidden:     {"Not allowed", "You may not do this. Nothing has changed.", false},
	KindTransaction:   {"This sign-in cannot go on", "The address is old, or belongs to another browser, or your browser keeps no cookies of this site. Allow cookies, and sign in again.", true},
	KindExpired:       {"The sign-in took too long", "Please sign in again.", true},
	KindCookies:       {"Your browser does not keep you signed in", "You have signed in, but your browser does not keep this site's cookies. Allow them, and sign in again.", true},
	KindRequest:       {"This request cannot be answered", "The address or the form is not as this site makes it.", false},
	KindNotFound:      {"There is nothing here", "The address is not one of this site.", false},
	KindDenied:        {"You did not allow it", "Access was declined. Nothing has changed.", true},
	KindProvider:      {"The sign-in service refused", "The sign-in service did not accept the request. Nothing has changed.", true},
	KindCheck:         {"The sign-in was not safe", "The answer of the sign-in service failed a check and was not used. Nothing has changed.", true},
	KindUnavailable:   {"Not available right now", "A service that is needed does not answer. Nothing has changed; please try again in a moment.", true},
	KindEnded:         {"You have been signed out", "The sign-in service ended your session meanwhile. Please sign in again.", true},
	KindInternal:      {"Something went wrong", "This is our fault. Nothing has changed; please try again.", true},
}

// redirect sends the browser elsewhere; after a POST, too, by GET.
func redirect(w http.ResponseWriter, r *http.Request, address string) {
	uncached(w)
	w.Header().Set("Referrer-Policy", "no-referrer")
	http.Redirect(w, r, address, http.StatusSeeOther)
}

// originOf is the origin of an address, for form-action.
func originOf(address string) string {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Host == "" {
		return ""
	}
	return parsed.Scheme + "://" + parsed.Host
}
