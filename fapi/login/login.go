// Package login is the API by which a login of the operator's own works on the interactions that are handed to it: its
// backend reads what is asked for, and answers once (docs/own-login.md). The state machine is that of package authorize.
package login

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"countersign/fapi/authorize"
	"countersign/fapi/endpoint"
	"countersign/fapi/resource"
	"countersign/fapi/upstream"
	"countersign/internal/oauth"
	"countersign/mtls"
)

// Path is the path of an interaction in the API, below the issuer.
const Path = "/login/v1/interactions/{handle}"

// Scope is the scope of the access tokens that the API takes from the login's backend as a registered client.
const Scope = "login"

// Settings are the login's, and how its backend authenticates: exactly one of Subject, Thumbprints and ClientID is set; none with
// Upstream.
type Settings struct {
	HandOff authorize.HandOff
	// Upstream is the provider that signs users in; HandOff is then [upstream.Settings.HandOff]. nil is a login with a backend.
	Upstream *upstream.Settings
	// Confirmations lets the backend read and decide backchannel requests too, which then no page of the server does.
	Confirmations bool
	// Subject is that of its certificate, which one of the authorities for clients has issued (RFC 8705 §2.1).
	Subject mtls.Subject
	// Thumbprints are the x5t#S256 (RFC 8705 §3.1) of its certificates, whoever has issued them; they may change at any time.
	Thumbprints *Thumbprints
	// ClientID is the registered client that it is: it calls with access tokens of the scope [Scope].
	ClientID string
}

// Thumbprints are those of the certificates that a login has at the moment. Make them with [NewThumbprints].
type Thumbprints struct{ current atomic.Pointer[[]string] }

// NewThumbprints has these, of which there must be one.
func NewThumbprints(all ...string) *Thumbprints {
	t := &Thumbprints{}
	t.Set(all)
	return t
}

// Set replaces them: from the next call on the others count no more.
func (t *Thumbprints) Set(all []string) { t.current.Store(&all) }

// All returns them.
func (t *Thumbprints) All() []string { return *t.current.Load() }

// Check returns what is wrong with the settings. withMTLS reports whether there is a listener that asks for certificates.
func (s Settings) Check(withMTLS bool) error {
	var problems []error
	problem := func(format string, arguments ...any) {
		problems = append(problems, fmt.Errorf("fapi: Login: "+format, arguments...))
	}
	u, err := url.Parse(s.HandOff.Address)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" || u.Query().Has("handle") {
		problem("Address %q must be an https address without a fragment and without the parameter handle", s.HandOff.Address)
	}
	if !s.HandOff.Login && !s.HandOff.Consent {
		problem("neither Login nor Consent is handed off")
	}
	if (s.HandOff.Login || s.Confirmations) != (len(s.HandOff.ACRValues) > 0) || slices.Contains(s.HandOff.ACRValues, "") {
		problem("ACRValues are what a login may claim that signs users in or has them confirm, and no other")
	}
	if s.HandOff.Lifetime < 10*time.Second || s.HandOff.Lifetime > time.Hour {
		problem("Lifetime must be 10 s to 1 h")
	}
	ways := 0
	for _, set := range []bool{s.Subject != (mtls.Subject{}), s.Thumbprints != nil && len(s.Thumbprints.All()) > 0, s.ClientID != ""} {
		if set {
			ways++
		}
	}
	switch {
	case s.Upstream != nil && (ways > 0 || s.Confirmations || !s.HandOff.Signs()):
		problem("a provider signs users in, and has no backend")
	case s.Upstream != nil:
	case ways != 1:
		problem("exactly one of Subject, Thumbprints and ClientID must be set")
	case s.ClientID == "" && !withMTLS:
		problem("it authenticates by its certificate: MTLSIssuer is needed")
	case s.Subject != (mtls.Subject{}):
		problems = append(problems, s.Subject.Validate())
	}
	return errors.Join(problems...)
}

// Interactions are those that were handed off; [*authorize.Handler] has them.
type Interactions interface {
	HandedOff(r *http.Request, handle string) (authorize.HandedOff, error)
	AnswerHandOff(r *http.Request, handle string, answer authorize.Answer) (authorize.Returned, error)
}

// Config is the configuration of a [Handler].
type Config struct {
	Settings     Settings
	Interactions Interactions
	// Confirmations is nil where the login has none.
	Confirmations Confirmations
	// Language chooses the language of authorization_details in confirmations, by Accept-Language.
	Language func(r *http.Request, wanted string) string
	// Protect serves what needs an access token with a scope.
	Protect func(scope string, serve func(http.ResponseWriter, *http.Request, resource.Access) error) endpoint.Serve
	// Certificates finds the client certificate of a request on the mTLS listener, and Trust verifies it.
	Certificates mtls.Source
	Trust        mtls.Trust
	Limits       *endpoint.RateLimits
	Now          func() time.Time
}

// Handler serves the API. Make one with [New].
type Handler struct{ Config }

// New makes a handler.
func New(c Config) *Handler { return &Handler{c} }

// Routes are the rows of the route table.
func (h *Handler) Routes() []endpoint.Route {
	table := []endpoint.Route{
		{Methods: endpoint.GetAndPost(), Path: Path, Alias: true, Serve: h.serve(h.interaction)},
	}
	if h.Confirmations != nil {
		table = append(table,
			endpoint.Route{Methods: endpoint.Get(), Path: confirmationsPath, Alias: true, Serve: h.serve(h.confirmations)},
			endpoint.Route{Methods: endpoint.GetAndPost(), Path: confirmationsPath + "/{id}", Alias: true, Serve: h.serve(h.confirmation)})
	}
	return table
}

// serve serves the login alone.
func (h *Handler) serve(work func(http.ResponseWriter, *http.Request) error) endpoint.Serve {
	if h.Settings.ClientID == "" {
		return endpoint.Direct(func(w http.ResponseWriter, r *http.Request, at endpoint.At) error {
			if err := h.authenticate(r, at); err != nil {
				return h.Limits.AuthenticationFailed(r, err)
			}
			return work(w, r)
		})
	}
	return h.Protect(Scope, func(w http.ResponseWriter, r *http.Request, access resource.Access) error {
		if access.ClientID != h.Settings.ClientID || access.Subject != "" {
			return oauth.Errorf(oauth.AccessDenied, "this client is not the login").WithStatus(http.StatusForbidden)
		}
		return work(w, r)
	})
}

// interaction serves an interaction: GET reads it, POST answers it.
func (h *Handler) interaction(w http.ResponseWriter, r *http.Request) error {
	handle := r.PathValue("handle")
	if r.Method != http.MethodPost {
		found, err := h.Interactions.HandedOff(r, handle)
		if err != nil {
			return err
		}
		return endpoint.WriteJSON(w, http.StatusOK, viewOf(found))
	}
	answer, err := readAnswer(w, r)
	if err != nil {
		return err
	}
	returned, err := h.Interactions.AnswerHandOff(r, handle, answer)
	if err != nil {
		return err
	}
	return endpoint.WriteJSON(w, http.StatusOK, answered{ReturnTo: returned.To, ExpiresIn: endpoint.Seconds(returned.Left)})
}

// authenticate demands the login's certificate.
func (h *Handler) authenticate(r *http.Request, at endpoint.At) error {
	refuse := func(cause error, format string, arguments ...any) error {
		return oauth.Errorf(oauth.InvalidClient, format, arguments...).Because(cause)
	}
	if !at.MTLS {
		return refuse(nil, "the login authenticates with its certificate; use the listener that asks for one")
	}
	presented, err := h.Certificates.Certificate(r)
	if err != nil {
		return refuse(err, "the client certificate cannot be read")
	}
	if presented == nil {
		return refuse(nil, "the login authenticates with its certificate, and the connection has none")
	}
	if h.Settings.Thumbprints != nil {
		now := h.Now()
		switch {
		case !slices.Contains(h.Settings.Thumbprints.All(), mtls.Thumbprint(presented.Leaf)):
			return refuse(nil, "the client certificate is not the login's")
		case now.Before(presented.Leaf.NotBefore) || now.After(presented.Leaf.NotAfter):
			return refuse(nil, "the client certificate is not valid at this time")
		}
		return nil
	}
	if err := h.Trust.VerifyContext(r.Context(), presented); err != nil {
		return refuse(err, "the client certificate is not trusted here")
	}
	if err := h.Settings.Subject.Match(presented.Leaf); err != nil {
		return refuse(err, "the client certificate is not the login's")
	}
	return nil
}
