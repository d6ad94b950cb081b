package rs

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"

	"countersign/dpop"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/internal/presented"
	"countersign/internal/random"
	"countersign/mtls"
)

// interactionHeader names a call at both ends (FAPI 1.0 Baseline §6.2.1-11).
const interactionHeader = "X-Fapi-Interaction-Id"

// Call is a request as a guard sees it, whatever its transport.
type Call struct {
	// Method is that of HTTP: POST for gRPC.
	Method string
	// URL is the public address without query, which a DPoP proof is for.
	URL string
	// Header has Authorization, DPoP and x-fapi-interaction-id, with canonical names.
	Header http.Header
	// Certificate finds the client's certificate, whose key it has proved to hold; it returns nil if there is none.
	Certificate func() (*x509.Certificate, error)
	// Request is the request over HTTP, and Message the message of a unary call over gRPC; nil otherwise.
	Request *http.Request
	Message any
	// Value returns a part of the address by its name in the route, or "". Over HTTP it is [http.Request.PathValue], which
	// net/http and chi fill in.
	Value func(name string) string
}

// Require returns what puts the guard in front of a handler: it answers requests that do not meet the requirements, and lets the
// others through, with their [Token] in the context.
func (g *Guard) Require(requirements ...Requirement) func(http.Handler) http.Handler {
	rule := g.Rule(requirements...)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.serve(w, r, rule, next) })
	}
}

func (g *Guard) serve(w http.ResponseWriter, r *http.Request, rule *Rule, next http.Handler) {
	header := w.Header()
	interaction := Interaction(r.Header.Get(interactionHeader))
	header.Set(interactionHeader, interaction)
	if nonce := g.Nonce(); nonce != "" {
		header.Set("DPoP-Nonce", nonce)
	}
	if g.config.Gate != nil {
		admitted, err := g.config.Gate.Admit(r)
		if err != nil {
			g.refuse(w, r, badRequest(ForgedCertificate, "the certificate in the header of the request cannot be believed", err))
			return
		}
		r = admitted
	}
	call := Call{
		Method: r.Method, URL: g.address(r), Header: r.Header, Request: r, Value: r.PathValue,
		Certificate: func() (*x509.Certificate, error) { return leaf(g.config.Certificates.Certificate(r)) },
	}
	if r.URL.RawQuery != "" && r.URL.Query().Has("access_token") {
		g.refuse(w, r, badRequest(BadRequest, "the access token must be in the Authorization header, never in the URL", nil))
		return
	}
	token, err := g.Authenticate(r.Context(), call, rule)
	if err != nil {
		g.refuse(w, r, err)
		return
	}
	token.InteractionID = interaction
	r = r.WithContext(NewContext(r.Context(), token))
	if rule.signed {
		g.messages.serve(w, r, call, token, next)
		return
	}
	next.ServeHTTP(w, r)
}

// leaf is the certificate of what a source found.
func leaf(found *mtls.Presented, err error) (*x509.Certificate, error) {
	if err != nil || found == nil {
		return nil, err
	}
	return found.Leaf, nil
}

// address is the public address of a request, without query: the path as its sender wrote it, whatever a router has made of
// it since.
func (g *Guard) address(r *http.Request) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if !strings.HasPrefix(path, "/") {
		path = r.URL.EscapedPath()
	}
	return g.base + path
}

// URL is the public address of a path of the API, such as "/accounts", for other transports.
func (g *Guard) URL(path string) string { return g.base + path }

// Nonce is the nonce for the field DPoP-Nonce of an answer, which the next proof should carry (RFC 9449 §8.2), or "" where proofs need
// none.
func (g *Guard) Nonce() string {
	if len(g.nonces) == 0 {
		return ""
	}
	return g.nonces[0].Current()
}

// Authenticate judges a call: the token, its sender, and what a rule requires. [Guard.Require] does so for HTTP; this is for other
// transports. Errors are [*Error], with their challenges.
func (g *Guard) Authenticate(ctx context.Context, call Call, rule *Rule) (*Token, error) {
	token, scheme, err := g.authenticate(ctx, call, rule)
	if err == nil {
		return token, nil
	}
	e := asError(err)
	e.scheme = scheme
	g.challenge(e)
	return nil, e
}

func (g *Guard) authenticate(ctx context.Context, call Call, rule *Rule) (token *Token, scheme string, err error) {
	scheme, raw, err := presented.Credentials(call.Header["Authorization"], jose.MaxTokenSize)
	if err != nil {
		return nil, "", err
	}
	if g.introspect != nil {
		token, err = g.introspect.ask(ctx, raw, rule.audience)
	} else {
		token, err = g.verify(ctx, raw, rule.audience)
	}
	if err != nil {
		return nil, scheme, err
	}
	if scheme, err = g.checkSender(ctx, call, scheme, raw, token); err != nil {
		return nil, scheme, err
	}
	return token, scheme, rule.check(ctx, g.config.Now(), &call, token)
}

// checkSender checks that the token comes from whom it is bound to. It returns the scheme that the challenge is for.
func (g *Guard) checkSender(ctx context.Context, call Call, scheme, raw string, token *Token) (string, error) {
	var proof dpop.Proof
	sender := presented.Sender{Scheme: scheme, Certificate: call.Certificate}
	if sender.Certificate == nil {
		sender.Certificate = func() (*x509.Certificate, error) { return nil, nil }
	}
	sender.Proof = func() (string, error) {
		var err error
		proof, err = g.verifyProof(call, raw)
		return proof.JKT, err
	}
	err := presented.Binding{JKT: token.JKT, X5T: token.X5T}.Check(sender)
	wrong, ok := errors.AsType[*presented.Error](err)
	switch {
	case ok && wrong.Reason == presented.Unbound && scheme == presented.Bearer && g.config.Weak.Bearer:
		return scheme, nil
	case ok && wrong.Reason == presented.WantsDPoP, ok && wrong.Reason == presented.Unbound:
		return presented.DPoP, err
	case err != nil:
		return scheme, err
	case proof.JKT == "":
		return scheme, nil
	}
	first, err := g.config.Replay.Use(ctx, proof.ReplayKey, proof.Until)
	switch {
	case err != nil:
		return scheme, unavailable("DPoP proofs cannot be remembered at the moment; try again shortly", err)
	case !first:
		return scheme, badProof(Replayed, "the DPoP proof was used before; make a new one for each request", nil)
	}
	return scheme, nil
}

// verifyProof verifies the DPoP proof of a call (RFC 9449 §4.3, §9).
func (g *Guard) verifyProof(call Call, token string) (dpop.Proof, error) {
	raw, there, err := dpop.FromHeader(call.Header)
	if err != nil {
		return dpop.Proof{}, badProof(BadProof, err.Error(), err)
	}
	if !there {
		return dpop.Proof{}, badProof(BadProof, "the DPoP header is missing", nil)
	}
	proof, err := g.proofs.Verify(raw, dpop.Request{Method: call.Method, URLs: []string{call.URL}, AccessToken: token})
	if err != nil {
		return dpop.Proof{}, badProof(BadProof, err.Error(), err)
	}
	if len(g.nonces) == 0 {
		return proof, nil
	}
	for _, nonces := range g.nonces {
		if nonces.Valid(proof.Nonce) {
			return proof, nil
		}
	}
	e := badProof(BadNonce, "the DPoP proof needs a nonce of this server: use the one in the DPoP-Nonce header of this answer", nil)
	e.Code = oauth.UseDPoPNonce
	return dpop.Proof{}, e
}

func badProof(reason Reason, description string, cause error) *Error {
	e := invalidToken(reason, description, cause)
	e.Code = oauth.InvalidDPoPProof
	return e
}

// Interaction is the x-fapi-interaction-id of an answer: that of the request, if it is a UUID, and else a new one (FAPI 1.0 Baseline
// §6.2.1-11).
func Interaction(sent string) string {
	if random.IsUUID(sent) {
		return sent
	}
	return random.UUID()
}
