// Package endpoint has what all endpoints share: the route table and its listeners, the checks in front of back-channel
// endpoints, DPoP, limits, and the rendering of errors.
//
// An endpoint package mounts rows of the table ([Route]). The Serve of a row for authenticated clients is made by
// [BackChannel.Serve]: only that makes a [Call], after limits, form, client authentication and DPoP proof were checked.
package endpoint

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"countersign/fapi/event"
	"countersign/internal/oauth"
)

// Route is one endpoint. Mux, discovery document, mTLS aliases and span names are made from the table.
type Route struct {
	Methods []string
	// Path is below the issuer; behind the suffix where WellKnown is set.
	Path string
	// WellKnown puts the issuer's path behind Path (RFC 8414 §3.1, RFC 9728 §3.1).
	WellKnown bool
	// Metadata is the member of the discovery document that names the endpoint, or empty.
	Metadata string
	// Probe marks what asks for the server's health, again and again: it is not traced, and only its failures are logged.
	Probe bool
	// Alias serves the endpoint on the mTLS listener too (RFC 8705 §5).
	Alias bool
	// AnyListener serves clients of profiles with mutual TLS everywhere also without a certificate.
	AnyListener bool
	// BareErrors sends errors with the members of CIBA Core §13 only, without a correlation id.
	BareErrors bool
	// Timeless serves the endpoint also while the node's clock is wrong: nothing of it depends on time.
	Timeless bool
	// Serve serves a request.
	Serve Serve
}

// Serve serves a request of a route.
type Serve func(w http.ResponseWriter, r *http.Request, at At)

// At is the route and the listener of a request.
type At struct {
	// Path is that of the route.
	Path string
	// MTLS reports whether the request came over the mTLS listener.
	MTLS bool
	// AnyListener is that of the route.
	AnyListener bool
}

// Get returns the methods of a route that is only read.
func Get() []string { return []string{http.MethodGet} }

// Post returns the methods of a route that is only posted to.
func Post() []string { return []string{http.MethodPost} }

// GetAndPost returns the methods of a route with a form.
func GetAndPost() []string { return []string{http.MethodGet, http.MethodPost} }

// Browser serves a page or a redirect.
func Browser(serve func(http.ResponseWriter, *http.Request)) Serve {
	return func(w http.ResponseWriter, r *http.Request, _ At) { serve(w, r) }
}

// Direct serves a handler that makes its own checks; its errors are rendered.
func Direct(serve func(http.ResponseWriter, *http.Request, At) error) Serve {
	return func(w http.ResponseWriter, r *http.Request, at At) {
		if err := serve(w, r, at); err != nil {
			Refuse(w, r, err)
		}
	}
}

// Document serves a public JSON document with its Cache-Control.
func Document(document func(context.Context) (body []byte, cacheControl string, err error)) Serve {
	return func(w http.ResponseWriter, r *http.Request, _ At) {
		body, cacheControl, err := document(r.Context())
		if err != nil {
			Refuse(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", cacheControl)
		w.Header().Set("Access-Control-Allow-Origin", "*") // public documents; no other endpoint answers CORS
		_, _ = w.Write(body)                               // response already started; error ignored
	}
}

// Addresses are the public base addresses of the two listeners. They come from the configuration and never from a
// request.
type Addresses struct {
	// Issuer is the issuer identifier.
	Issuer string
	// MTLSIssuer is the base address of the mTLS listener, or empty.
	MTLSIssuer string
}

// CheckAddress refuses what cannot be the address of a listener (RFC 8414 §2); name is for the error.
func CheckAddress(name, address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.ForceQuery ||
		strings.Contains(address, "#") || strings.HasSuffix(address, "/") || u.User != nil {
		return fmt.Errorf("fapi: %s %q must be an https address without query, fragment or trailing slash (RFC 8414 §2)",
			name, address)
	}
	return nil
}

// At returns the public URL of a path on the listener that a request came in on: the accepted value of htu (RFC 9449
// §4.3-9).
func (a Addresses) At(at At, path string) string {
	if at.MTLS {
		return a.MTLSIssuer + path
	}
	return a.Issuer + path
}

// Below returns the path of a request below the address of its listener: that of its route, with what stands for the wildcards.
func (a Addresses) Below(r *http.Request, at At) string {
	if !strings.Contains(at.Path, "{") {
		return at.Path
	}
	if at.MTLS {
		return strings.TrimPrefix(r.URL.EscapedPath(), pathOf(a.MTLSIssuer))
	}
	return strings.TrimPrefix(r.URL.EscapedPath(), pathOf(a.Issuer))
}

// Of returns the public URLs of a path on both listeners.
func (a Addresses) Of(path string) []string {
	addresses := []string{a.Issuer + path}
	if a.MTLSIssuer != "" {
		addresses = append(addresses, a.MTLSIssuer+path)
	}
	return addresses
}

// Path returns the path component of the issuer, often "".
func (a Addresses) Path() string { return pathOf(a.Issuer) }

// Host returns the host of the issuer, without its port.
func (a Addresses) Host() string {
	u, err := url.Parse(a.Issuer)
	if err != nil {
		return "" // checked by fapi.New
	}
	return u.Hostname()
}

func pathOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "" // checked by fapi.New
	}
	return u.EscapedPath()
}

// Table is the route table of a server.
type Table struct {
	Addresses Addresses
	Routes    []Route
	Guard     event.Guard
	// Stray shows a page to somebody whose browser is at an address that has none; nil shows nobody one. root reports
	// that it is the issuer itself. Whoever does not ask for a page gets the error in JSON.
	Stray func(w http.ResponseWriter, r *http.Request, root bool, err error)
}

// Handler serves the issuer's listener, which requests no client certificate.
func (t Table) Handler() http.Handler { return t.mux(pathOf(t.Addresses.Issuer), false) }

// MTLSHandler serves the mTLS listener: the routes with an alias.
func (t Table) MTLSHandler() http.Handler { return t.mux(pathOf(t.Addresses.MTLSIssuer), true) }

func (t Table) mux(prefix string, certificates bool) http.Handler {
	mux := http.NewServeMux()
	var probes []string
	for _, r := range t.Routes {
		if certificates && !r.Alias {
			continue
		}
		address := prefix + r.Path
		if r.WellKnown {
			address = r.Path + prefix
		}
		if r.Probe {
			probes = append(probes, address)
		}
		handler := r.handler(certificates)
		for _, method := range r.Methods {
			mux.Handle(method+" "+address, handler)
		}
		// Any other method: 405 with Allow, rendered as every other error.
		mux.Handle(address, t.methodNotAllowed(r))
	}
	notFound := t.notFound()
	mux.Handle("/", notFound)
	guard := t.Guard
	guard.Probes = probes
	// ServeMux would redirect such a path to its clean form with 307, and the browser would repost its form.
	return guard.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case path.Clean("/" + r.URL.Path): // no pattern ends in a slash
			mux.ServeHTTP(w, r)
		default:
			notFound.ServeHTTP(w, r)
		}
	}))
}

func (r Route) handler(certificates bool) http.Handler {
	at := At{Path: r.Path, MTLS: certificates, AnyListener: r.AnyListener}
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		e := event.Of(request.Context())
		e.Route, e.BareErrors = r.Path, r.BareErrors
		r.Serve(w, request, at)
	})
}

func (t Table) methodNotAllowed(r Route) http.Handler {
	allow := strings.Join(r.Methods, ", ")
	if slices.Contains(r.Methods, http.MethodGet) {
		allow += ", HEAD"
	}
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		event.Of(request.Context()).Route = r.Path
		w.Header().Set("Allow", allow)
		t.stray(w, request, oauth.Errorf(oauth.InvalidRequest, "this endpoint answers %s only", allow).
			WithStatus(http.StatusMethodNotAllowed))
	})
}

func (t Table) notFound() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		t.stray(w, request, oauth.Errorf(oauth.InvalidRequest,
			"there is nothing at this address; the endpoints are listed in %s/.well-known/openid-configuration",
			t.Addresses.Issuer).WithStatus(http.StatusNotFound))
	})
}

// stray answers a request that no endpoint serves: with a page where one is asked for, else with the error.
func (t Table) stray(w http.ResponseWriter, r *http.Request, err error) {
	w.Header().Add("Vary", "Accept")
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	if t.Stray == nil || !read || !Prefers(r.Header.Get("Accept"), "text/html") {
		Refuse(w, r, err)
		return
	}
	t.Stray(w, r, strings.TrimSuffix(r.URL.Path, "/") == t.Addresses.Path(), err)
}
