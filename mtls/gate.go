package mtls

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
)

// ErrForged is a certificate header from somebody who is not the ingress. Nothing in the request can be believed then;
// refuse it and tell the operator.
var ErrForged = errors.New("mtls: certificate header from an unknown sender")

// Gate comes before every handler of a listener. It decides once for each request who the client is: it refuses
// certificate headers from anybody but the listener's own ingress, and only then has its source read them. Of what its ingress
// sends, [http.Request.RemoteAddr] is the client's, where the ingress tells it.
type Gate struct {
	// Source finds the certificate; nil is a listener that takes none.
	Source Source
	// Headers are those that Source reads; all other certificate headers are refused whoever sends them.
	Headers []string
	// Ingress tells the ingress from others. It is needed with Headers and for PROXY protocol; nil is a listener that
	// clients reach themselves.
	Ingress Ingress
	// ForwardedFor has the address of the client taken from X-Forwarded-For, which the ingress sets or extends. The ingress is
	// the one of this listener; on a listener that takes no certificates, whoever sends from Proxies.
	ForwardedFor bool
	// Proxies are networks of ingresses: their own addresses in X-Forwarded-For are passed over.
	Proxies []netip.Prefix
}

// Admit judges a request. The request that it returns carries the certificate, which [Admitted] finds. Errors wrap
// [ErrForged] or [ErrMalformed]; either way the answer is 400, never a request without a certificate.
func (g Gate) Admit(r *http.Request) (*http.Request, error) {
	certificate := certificateHeaders()
	for name := range r.Header {
		if certificate[name] && !slices.Contains(g.Headers, name) {
			return nil, fmt.Errorf("%w: %s is no header of this listener; the ingress has to remove it", ErrForged, name)
		}
	}
	if g.Source == nil {
		if sender, ok := parseAddress(r.RemoteAddr); ok && g.isProxy(sender) {
			return g.from(r, r), nil
		}
		return r, nil
	}
	if g.Ingress != nil {
		if err := g.Ingress.Authenticate(r); err != nil {
			for _, name := range g.Headers {
				if _, sent := r.Header[name]; sent {
					return nil, fmt.Errorf("%w: %s: %w", ErrForged, name, err)
				}
			}
			if _, ok := g.Source.(proxyProtocol); ok { // it speaks with each connection
				return nil, fmt.Errorf("%w: PROXY protocol: %w", ErrForged, err)
			}
			return r, nil // a stranger who claims nothing has no certificate
		}
	}
	presented, err := g.Source.Certificate(r)
	if err != nil {
		return nil, err
	}
	admittedRequest := r.WithContext(context.WithValue(r.Context(), admittedKey{}, presented))
	if g.Ingress == nil {
		return admittedRequest, nil
	}
	return g.from(admittedRequest, r), nil
}

type admittedKey struct{}

// Admitted is the source of what a [Gate] let in: it finds the certificate in the request's context.
func Admitted() Source { return admitted{} }

type admitted struct{}

// Certificate implements [Source].
func (admitted) Certificate(r *http.Request) (*Presented, error) {
	presented, _ := r.Context().Value(admittedKey{}).(*Presented)
	return presented, nil
}
