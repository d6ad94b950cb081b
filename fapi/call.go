package fapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"countersign/dpop"
	"countersign/internal/oauth"
	"countersign/mtls"
	"countersign/signer"
	"countersign/store"
)

// spendTimeout is how long claiming the values of a refused request may take.
const spendTimeout = 2 * time.Second

// call is one back-channel request of an authenticated client. Only the adapter makes one, and only after the
// shared steps passed.
type call struct {
	route  route
	form   oauth.Form
	client *Client
	// accept is the Accept header, or empty.
	accept string
	// proof is the verified DPoP proof, or nil.
	proof *dpop.Proof
	// certificate is the client certificate of the connection, or nil.
	certificate *mtls.Presented
	// uses are the one-time values that this request brought. The verb that succeeds claims them in its own
	// transaction; when the request is refused instead, the adapter claims them.
	uses []store.OneTime
}

// answer is a successful back-channel response.
type answer struct {
	status int
	// body is written as JSON, or as it is when it is a jwt; nil is none.
	body any
	// contentType is the media type of a jwt.
	contentType string
}

// adapt puts the shared steps of the route's kind in front of its function. It is the only door out for errors.
func (s *Server) adapt(r route, certificates bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		e := eventOf(request.Context())
		e.route, e.bareErrors = r.path, r.bareErrors
		switch r.kind {
		case document:
			s.serveDocument(w, request, r)
		case browser:
			r.browser(w, request)
		case resource:
			s.serveResource(w, request, r, certificates)
		case backChannel:
			s.serveBackChannel(w, request, r, certificates)
		case direct:
			if err := r.direct(w, request, certificates); err != nil {
				s.refuse(w, request, err)
			}
		}
	})
}

func (s *Server) serveDocument(w http.ResponseWriter, request *http.Request, r route) {
	body, cacheControl, err := r.document(request.Context())
	if err != nil {
		s.refuse(w, request, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", cacheControl)
	w.Header().Set("Access-Control-Allow-Origin", "*") // public documents; no other endpoint answers CORS
	_, _ = w.Write(body)                               // nobody is left to be told
}

func (s *Server) serveBackChannel(w http.ResponseWriter, request *http.Request, r route, certificates bool) {
	ctx := request.Context()
	s.offerNonce(w)
	c, err := s.newCall(w, request, r, certificates)
	var result answer
	if err == nil {
		eventOf(ctx).client = c.client.ID
		result, err = r.backChannel(ctx, c)
		if err != nil {
			s.spend(ctx, c)
		}
	}
	if err != nil {
		s.refuse(w, request, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store") // RFC 6749 §5.1
	if result.body == nil {
		w.WriteHeader(result.status)
		return
	}
	if signed, ok := result.body.(jwt); ok {
		w.Header().Set("Content-Type", result.contentType)
		w.WriteHeader(result.status)
		_, _ = io.WriteString(w, string(signed)) // nobody is left to be told
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(result.status)
	_ = json.NewEncoder(w).Encode(result.body) // nobody is left to be told
}

// newCall goes through the shared steps: limits, form, certificate, client authentication, DPoP.
func (s *Server) newCall(w http.ResponseWriter, request *http.Request, r route, certificates bool) (*call, error) {
	form, err := oauth.ReadForm(w, request)
	if err != nil {
		return nil, err
	}
	c := &call{route: r, form: form, accept: strings.Join(request.Header.Values("Accept"), ",")}
	if certificates {
		if c.certificate, err = s.config.Certificates.Certificate(request); err != nil {
			return nil, oauth.Errorf(oauth.InvalidRequest, "the client certificate cannot be read").Because(err)
		}
	}
	if err := s.authenticate(request, c); err != nil {
		return nil, s.brakes.authenticationFailed(request, err)
	}
	if err := s.brakes.authenticated(c.client.ID); err != nil {
		return nil, err
	}
	if err := s.prove(request, c); err != nil {
		switch oauth.AsError(err).Code {
		case oauth.UseDPoPNonce: // this one invites the client to come again
		default:
			s.spend(request.Context(), c)
		}
		return nil, err
	}
	return c, nil
}

// prove verifies the DPoP proof, if there is one.
func (s *Server) prove(request *http.Request, c *call) error {
	_, span := s.span(request.Context(), "dpop")
	defer span.End()
	raw, present, err := dpop.FromHeader(request.Header)
	if err != nil {
		return proofError(err)
	}
	if !present {
		return nil
	}
	if c.client.constraint() != ByDPoP {
		return oauth.Errorf(oauth.InvalidRequest, "this client's tokens are not bound by DPoP; send no DPoP header")
	}
	proof, err := s.proofs.Verify(raw, dpop.Request{Method: request.Method, URLs: s.addresses(c.route.path)})
	if err != nil {
		return proofError(err)
	}
	if err := s.checkNonce(proof); err != nil {
		return err
	}
	c.proof = &proof
	c.uses = append(c.uses, proofUse(proof))
	return nil
}

// proofError is the answer to a proof that does not stand. The description of package dpop is safe to send.
func proofError(err error) error {
	return oauth.Errorf(oauth.InvalidDPoPProof, "%s", err.Error()).Because(err)
}

func proofUse(proof dpop.Proof) store.OneTime {
	return store.OneTime{Kind: "dpop", Key: proof.ReplayKey, Until: proof.Until}
}

// addresses are the public addresses of a path: what htu may be. They come from the configuration and never from
// the request.
func (s *Server) addresses(path string) []string {
	addresses := []string{s.config.Issuer + path}
	if s.config.MTLSIssuer != "" {
		addresses = append(addresses, s.config.MTLSIssuer+path)
	}
	return addresses
}

// claim claims the one-time values of a request before anything that its refusal changes.
func (s *Server) claim(ctx context.Context, c *call) error {
	if len(c.uses) == 0 {
		return nil
	}
	if err := s.store.ConsumeOneTime(ctx, c.uses...); err != nil {
		return err
	}
	c.uses = nil
	return nil
}

// spend claims the one-time values of a request that was refused after its client had proven itself, so that they
// cannot be tried again. The refusal stands whatever comes of it.
func (s *Server) spend(ctx context.Context, c *call) {
	if len(c.uses) == 0 {
		return
	}
	// A client that has gone away has shown its values all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), spendTimeout)
	defer cancel()
	if err := s.store.ConsumeOneTime(ctx, c.uses...); err != nil && !errors.Is(err, store.ErrReplayed) {
		s.log.WarnContext(ctx, "one-time values of a refused request were not recorded", "error", err.Error())
	}
}

// refuse answers a back-channel request with an error.
func (s *Server) refuse(w http.ResponseWriter, request *http.Request, err error) {
	e := eventOf(request.Context())
	err = translate(err)
	e.failed(err)
	e.refuse(w, err)
}

// translate gives errors of the store and the signer their OAuth code. Errors that have one pass unchanged.
func translate(err error) error {
	if _, ok := errors.AsType[*oauth.Error](err); ok {
		return err
	}
	switch {
	case errors.Is(err, store.ErrReplayed):
		return oauth.Errorf(oauth.InvalidRequest, "a one-time value (the jti of the client assertion or of the DPoP proof) was used before; make a new one for each request").Because(err)
	case errors.Is(err, store.ErrOverloaded), errors.Is(err, store.ErrUnavailable):
		unavailable := oauth.Errorf(oauth.TemporarilyUnavailable, "the server cannot reach its database at the moment, or not soon enough; try again shortly")
		unavailable.RetryAfter = time.Second
		return unavailable.Because(err)
	case errors.Is(err, signer.ErrNoKey): // an operator has to help, who is told by the log
		unavailable := oauth.Errorf(oauth.TemporarilyUnavailable, "the server has no key at the moment to sign this with the algorithm that the client registered; try again later")
		unavailable.RetryAfter = time.Minute
		return unavailable.Because(err)
	case errors.Is(err, signer.ErrOverloaded), errors.Is(err, signer.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		unavailable := oauth.Errorf(oauth.TemporarilyUnavailable, "the server cannot sign at the moment; try again shortly")
		unavailable.RetryAfter = 2 * time.Second
		return unavailable.Because(err)
	}
	return err
}

func (s *Server) methodNotAllowed(r route) http.Handler {
	allow := strings.Join(r.methods, ", ")
	if slices.Contains(r.methods, http.MethodGet) {
		allow += ", HEAD"
	}
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		eventOf(request.Context()).route = r.path
		w.Header().Set("Allow", allow)
		s.refuse(w, request, oauth.Errorf(oauth.InvalidRequest, "this endpoint answers %s only", allow).WithStatus(http.StatusMethodNotAllowed))
	})
}

func (s *Server) notFound() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		s.refuse(w, request, oauth.Errorf(oauth.InvalidRequest, "there is nothing at this address; the endpoints are listed in %s/.well-known/openid-configuration", s.config.Issuer).WithStatus(http.StatusNotFound))
	})
}
