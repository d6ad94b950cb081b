package fapi

import (
	"context"
	"net/http"
	"net/url"
	"path"
)

// kind says which shared steps a route goes through before its function runs.
type kind int

const (
	// document is public JSON, cacheable.
	document kind = iota
	// backChannel is a form POST of an authenticated client, answered in JSON.
	backChannel
	// browser is a page or a redirect.
	browser
	// resource is JSON for the holder of an access token.
	resource
	// direct looks after everything itself but the rendering of its errors.
	direct
)

// route is one endpoint. Mux, discovery document, mTLS aliases and span names come from the table.
type route struct {
	methods []string
	path    string
	kind    kind
	// metadata is the member of the discovery document that names the endpoint, or empty.
	metadata string
	// alias tells that the endpoint is also served by the mTLS listener (RFC 8705 §5).
	alias bool
	// bareErrors tells that an error has the members of CIBA Core §13 and no others, not even a correlation id.
	bareErrors bool

	// Exactly one is set, after the kind.
	document    func(context.Context) (body []byte, cacheControl string, err error)
	backChannel func(context.Context, *call) (answer, error)
	browser     func(http.ResponseWriter, *http.Request)
	resource    func(context.Context, Access) (any, error)
	direct      func(w http.ResponseWriter, r *http.Request, certificates bool) error
	// scope is what a resource demands of the token.
	scope string
}

// table lists every endpoint of the server.
func (s *Server) table() []route {
	get, post, both := []string{"GET"}, []string{"POST"}, []string{"GET", "POST"}
	routes := []route{
		{methods: get, path: "/.well-known/openid-configuration", kind: document, document: s.discovery},
		{methods: get, path: "/.well-known/oauth-authorization-server", kind: document, document: s.discovery},
		{methods: get, path: resourceMetadataPath, kind: document, document: s.resourceMetadata},
		{methods: get, path: "/jwks", kind: document, document: s.jwks, metadata: "jwks_uri"},
		{methods: post, path: "/par", kind: backChannel, backChannel: s.push, metadata: "pushed_authorization_request_endpoint", alias: true},
		{methods: both, path: "/authorize", kind: browser, browser: s.authorize, metadata: "authorization_endpoint"},
		{methods: both, path: "/interaction/{handle}", kind: browser, browser: s.interact},
		{methods: post, path: "/token", kind: backChannel, backChannel: s.token, metadata: "token_endpoint", alias: true},
		{methods: both, path: "/userinfo", kind: resource, resource: s.userInfo, scope: "openid", metadata: "userinfo_endpoint", alias: true},
		{methods: post, path: "/introspect", kind: backChannel, backChannel: s.introspect, metadata: "introspection_endpoint", alias: true},
		{methods: post, path: "/revoke", kind: backChannel, backChannel: s.revoke, metadata: "revocation_endpoint", alias: true},
		{methods: get, path: "/health/live", kind: direct, direct: s.live},
		{methods: get, path: "/health/ready", kind: direct, direct: s.ready},
	}
	if s.config.Backchannel != nil {
		routes = append(routes, route{methods: post, path: "/backchannel", kind: backChannel, backChannel: s.backchannelAuthentication,
			metadata: "backchannel_authentication_endpoint", alias: true, bareErrors: true})
	}
	if s.config.Registration != nil {
		routes = append(routes,
			route{methods: post, path: registrationPath, kind: direct, direct: s.register, metadata: "registration_endpoint", alias: true},
			route{methods: []string{"GET", "PUT", "DELETE"}, path: registrationPath + "/{client_id}", kind: direct, direct: s.manageClient, alias: true})
	}
	routes = append(routes, s.deviceRoutes()...)
	for _, r := range s.config.Resources {
		routes = append(routes, route{
			methods: get, path: r.Path, kind: resource, resource: r.Answer, scope: r.Scope, alias: true,
		})
	}
	return routes
}

// Handler serves the issuer's listener, where browsers come and no client certificate is asked for.
func (s *Server) Handler() http.Handler {
	return s.mux(func(route) bool { return true }, false)
}

// MTLSHandler serves the listener that asks for client certificates.
func (s *Server) MTLSHandler() http.Handler {
	return s.mux(func(r route) bool { return r.alias }, true)
}

func (s *Server) mux(served func(route) bool, certificates bool) http.Handler {
	mux := http.NewServeMux()
	prefix := pathOf(s.config.Issuer)
	if certificates {
		prefix = pathOf(s.config.MTLSIssuer)
	}
	for _, r := range s.routes {
		if !served(r) {
			continue
		}
		address := prefix + r.path
		if r.path == "/.well-known/oauth-authorization-server" || r.path == resourceMetadataPath {
			address = r.path + prefix // RFC 8414 §3.1 and RFC 9728 §3.1 put the issuer's path behind the suffix
		}
		handler := s.adapt(r, certificates)
		for _, method := range r.methods {
			mux.Handle(method+" "+address, handler)
		}
		// Any other method: 405 with Allow, from the same door as every other error.
		mux.Handle(address, s.methodNotAllowed(r))
	}
	mux.Handle("/", s.notFound())
	// ServeMux would send such a path to its clean form with a 307, and the browser its form once more.
	return s.guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case path.Clean("/" + r.URL.Path): // no pattern ends in a slash
			mux.ServeHTTP(w, r)
		default:
			s.notFound().ServeHTTP(w, r)
		}
	}))
}

// pathOf gives the path component of an issuer, "" for most.
func pathOf(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return "" // checked by New
	}
	return u.EscapedPath()
}
