package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"countersign/internal/address"
	"countersign/internal/correlation"
	"countersign/internal/limit"
	"countersign/internal/random"
)

// Route is one thing that operators may ask for.
type Route struct {
	// Method is GET (HEAD is answered as well), POST, PUT, PATCH or DELETE.
	Method string
	// Path is a pattern of [http.ServeMux] without a method, such as /admin/v1/clients/{id}.
	Path string
	// Roles are those that may; [Reader] is any operator.
	Roles []Role
	// MaxBody bounds what is sent, in bytes; 0 is nothing.
	MaxBody int64
	// Serve answers, with the operator of [From] in the request's context. An error is answered by [ProblemOf], unless something
	// was written already.
	Serve func(w http.ResponseWriter, r *http.Request) error
	// Refuse, if not nil, answers what is refused in place of a problem document, such as with a page.
	Refuse func(w http.ResponseWriter, r *http.Request, p *Problem)
}

// Gate stands before the routes.
type Gate struct {
	Directory Directory
	Now       func() time.Time
	Log       *slog.Logger
	// PerMinute is how often one operator may ask, after a burst of a tenth of it.
	PerMinute int
	// Timeout bounds a request.
	Timeout time.Duration
}

// strangers is how often a minute a host may come without being an operator, before it is not looked at any more.
const strangers = 60

// limited is how many operators and hosts are told apart.
const limited = 10_000

// Handler answers the routes and nothing else. It refuses, in this order: what comes without a trusted certificate, and whose
// certificate is no operator's; who asks too often; what another site has a browser send; paths and methods that do not exist; and
// operators without the role. Each is a problem document with a correlation id.
func (g Gate) Handler(routes ...Route) (http.Handler, error) {
	mux := http.NewServeMux()
	paths := map[string]map[string]Route{}
	for _, route := range routes {
		if len(route.Roles) == 0 {
			return nil, fmt.Errorf("access: nobody may %s %s", route.Method, route.Path)
		}
		if paths[route.Path] == nil {
			paths[route.Path] = map[string]Route{}
		}
		if _, twice := paths[route.Path][route.Method]; twice {
			return nil, fmt.Errorf("access: there are two of %s %s", route.Method, route.Path)
		}
		paths[route.Path][route.Method] = route
	}
	operators, err := limit.New(float64(g.PerMinute)/60, max(1, g.PerMinute/10), limited, g.Now)
	if err != nil {
		return nil, err
	}
	others, err := limit.New(strangers/60.0, strangers/10, limited, g.Now)
	if err != nil {
		return nil, err
	}
	for pattern, methods := range paths {
		mux.Handle(pattern, choose(methods))
	}
	mux.Handle("/", outcome(func(http.ResponseWriter, *http.Request) error {
		return Problemf(http.StatusNotFound, "not_found", "there is nothing at this path")
	}))
	return &guarded{Gate: g, next: mux, operators: operators, strangers: others, sites: http.NewCrossOriginProtection()}, nil
}

// choose answers one path by its methods.
func choose(methods map[string]Route) http.Handler {
	allow := slices.Sorted(maps.Keys(methods))
	if get, ok := methods[http.MethodGet]; ok {
		methods[http.MethodHead] = get
		allow = slices.Sorted(maps.Keys(methods))
	}
	return outcome(func(w http.ResponseWriter, r *http.Request) error {
		seenOf(r.Context()).path = r.Pattern
		route, ok := methods[r.Method]
		if !ok {
			return &Problem{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Detail: "this path has no such method", Allow: allow}
		}
		seenOf(r.Context()).refuse = route.Refuse
		operator := From(r.Context())
		if !operator.May(route.Roles...) {
			return Problemf(http.StatusForbidden, "role_missing", "this needs the role %s, and %s has %s",
				join(route.Roles, " or "), operator.Name, join(operator.Roles, " and "))
		}
		if r.ContentLength > route.MaxBody {
			return tooLarge(route.MaxBody)
		}
		r.Body = http.MaxBytesReader(w, r.Body, route.MaxBody)
		return route.Serve(w, r)
	})
}

func tooLarge(most int64) *Problem {
	if most == 0 {
		return Problemf(http.StatusRequestEntityTooLarge, "body_too_large", "nothing may be sent with this")
	}
	return Problemf(http.StatusRequestEntityTooLarge, "body_too_large", "more than %d bytes were sent", most)
}

func join(roles []Role, between string) string {
	names := make([]string, len(roles))
	for i, role := range roles {
		names[i] = string(role)
	}
	return strings.Join(names, between)
}

// seen is what is known of a request when it is answered.
type seen struct {
	path, operator string
	refuse         func(http.ResponseWriter, *http.Request, *Problem)
	problem        *Problem
	status         int
}

type seenKey struct{}

func seenOf(ctx context.Context) *seen {
	if s, ok := ctx.Value(seenKey{}).(*seen); ok {
		return s
	}
	return &seen{}
}

// outcome is a handler that answers its errors.
type outcome func(http.ResponseWriter, *http.Request) error

// ServeHTTP implements http.Handler.
func (o outcome) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := o(w, r)
	if err == nil {
		return
	}
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		err = tooLarge(large.Limit)
	}
	seenOf(r.Context()).answer(w, r, ProblemOf(err))
}

// answer answers a problem, unless something was answered already.
func (s *seen) answer(w http.ResponseWriter, r *http.Request, p *Problem) {
	s.problem = p
	if s.status != 0 {
		return
	}
	if s.refuse != nil {
		p.headers(w.Header())
		s.refuse(w, r, p)
		return
	}
	p.Write(w, r)
}

// statusWriter notes the status.
type statusWriter struct {
	http.ResponseWriter
	seen *seen
}

// WriteHeader implements http.ResponseWriter.
func (w statusWriter) WriteHeader(status int) {
	if w.seen.status == 0 {
		w.seen.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w statusWriter) Write(body []byte) (int, error) {
	if w.seen.status == 0 {
		w.seen.status = http.StatusOK
	}
	return w.ResponseWriter.Write(body)
}

// guarded is the outermost handler.
type guarded struct {
	Gate
	next                 http.Handler
	operators, strangers *limit.Limiter
	sites                *http.CrossOriginProtection
}

// ServeHTTP implements http.Handler.
func (g *guarded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began, s := g.Now(), &seen{}
	id := random.UUID()
	ctx, cancel := context.WithTimeout(correlation.With(context.WithValue(r.Context(), seenKey{}, s), id), g.Timeout)
	defer cancel()
	header := w.Header()
	header.Set("X-Correlation-Id", id)
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Strict-Transport-Security", "max-age=63072000")
	if len(r.TransferEncoding) > 0 {
		header.Set("Connection", "close") // what a proxy took for a body must not be read as a request (RFC 9112 §6.3)
	}
	written := statusWriter{w, s}
	r = r.WithContext(ctx)
	defer func() {
		if panicked := recover(); panicked != nil {
			g.Log.ErrorContext(ctx, "panic in request handler", "correlation_id", id, "panic", fmt.Sprint(panicked), "stack", string(debug.Stack()))
			s.answer(written, r, ProblemOf(fmt.Errorf("panic: %v", panicked)))
		}
		g.report(ctx, r, s, g.Now().Sub(began))
	}()
	operator, err := g.admit(r)
	if err != nil {
		s.answer(written, r, ProblemOf(err))
		return
	}
	s.operator = operator.Name
	if !canonical(r.URL.EscapedPath()) {
		s.answer(written, r, Problemf(http.StatusNotFound, "not_found", "there is nothing at this path"))
		return
	}
	g.next.ServeHTTP(written, r.WithContext(With(ctx, operator)))
}

// canonical reports whether a path has no segment that is empty, . or .., which [http.ServeMux] would redirect.
func canonical(escaped string) bool {
	clean := path.Clean(escaped)
	return strings.HasPrefix(escaped, "/") && (escaped == clean || escaped == clean+"/")
}

// admit finds the operator, who may ask now.
func (g *guarded) admit(r *http.Request) (Operator, error) {
	host := address.Host(r.RemoteAddr)
	stranger := func(code, detail string, cause error) (Operator, error) {
		if ok, wait := g.strangers.Allow(address.Network(r.RemoteAddr)); !ok {
			return Operator{}, &Problem{Status: http.StatusTooManyRequests, Code: "too_many_requests", Detail: "this host comes too often", RetryAfter: wait, Cause: cause}
		}
		return Operator{}, &Problem{Status: http.StatusForbidden, Code: code, Detail: detail, Cause: cause}
	}
	if r.TLS == nil {
		return stranger("certificate_missing", "the connection is not TLS", nil)
	}
	if err := g.Directory.Trust(r.Context(), r.TLS.PeerCertificates); err != nil {
		return stranger("certificate_untrusted", "the client certificate is not trusted", err)
	}
	operator, err := g.Directory.Find(r.TLS.PeerCertificates[0])
	if errors.Is(err, ErrUnknown) {
		return stranger("operator_unknown", "the client certificate is no operator's", err)
	}
	if err != nil {
		return Operator{}, err
	}
	operator.Address = host
	if ok, wait := g.operators.Allow(operator.Name); !ok {
		return Operator{}, &Problem{Status: http.StatusTooManyRequests, Code: "too_many_requests", Detail: "this operator asks too often", RetryAfter: wait}
	}
	// A browser shows the certificate for whatever site has it send a request.
	if err := g.sites.Check(r); err != nil {
		return Operator{}, &Problem{Status: http.StatusForbidden, Code: "cross_site", Detail: "another site has the browser ask for this", Cause: err}
	}
	return operator, nil
}

// report logs a request.
func (g *guarded) report(ctx context.Context, r *http.Request, s *seen, took time.Duration) {
	if errors.Is(ctx.Err(), context.Canceled) && s.status == 0 {
		return // nobody waits
	}
	host, p := address.Host(r.RemoteAddr), s.problem
	switch {
	case p == nil:
		g.Log.InfoContext(ctx, "admin request", "correlation_id", correlation.ID(ctx), "client_address", host, "operator", s.operator,
			"method", r.Method, "route", s.path, "status", s.status, "took", took)
	case p.Status >= http.StatusInternalServerError:
		g.Log.ErrorContext(ctx, "admin request failed", "correlation_id", correlation.ID(ctx), "client_address", host, "operator", s.operator,
			"method", r.Method, "route", s.path, "status", s.status, "took", took, "outcome", p.Code, "error", p.Error())
	default:
		g.Log.WarnContext(ctx, "admin request refused", "correlation_id", correlation.ID(ctx), "client_address", host, "operator", s.operator,
			"method", r.Method, "route", s.path, "status", s.status, "took", took, "outcome", p.Code, "error", p.Error())
	}
}
