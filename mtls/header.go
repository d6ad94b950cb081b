package mtls

import (
	"crypto/x509"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// The ways in which a TLS-terminating ingress hands on the client certificate, as the configuration names them. What
// each has to be told is in deploy/ingress.
const (
	SourceDirect         = "direct"
	SourceRFC9440        = "rfc9440"
	SourceNginx          = "nginx"
	SourceIngressNginx   = "ingress-nginx"
	SourceHAProxy        = "haproxy"
	SourceEnvoy          = "envoy"
	SourceApache         = "apache"
	SourceCaddy          = "caddy"
	SourceTraefik        = "traefik"
	SourceALB            = "aws-alb"
	SourceALBPassthrough = "aws-alb-passthrough"
	SourceGCP            = "gcp"
	SourceAzure          = "azure"
	SourceAppService     = "azure-app-service"
	SourceCloudflare     = "cloudflare"
	SourceProxyProtocol  = "proxy-v2"
)

// decoder reads the headers of one kind of ingress. It returns nil and no error if they say that there is no
// certificate.
type decoder struct {
	name string
	// headers are all that it reads; the ingress has to set or remove each of them.
	headers []string
	decode  func(values) (leaf *x509.Certificate, chain []*x509.Certificate, err error)
}

// values are the headers of a request, each at most once.
type values map[string]string

func decoders() []decoder {
	return []decoder{
		{SourceRFC9440, []string{"Client-Cert", "Client-Cert-Chain"}, decodeRFC9440},
		{SourceNginx, []string{"X-Ssl-Client-Cert", "X-Ssl-Client-Verify"}, decodeNginx("X-Ssl-Client-Cert", "X-Ssl-Client-Verify")},
		{SourceIngressNginx, []string{"Ssl-Client-Cert", "Ssl-Client-Verify"}, decodeNginx("Ssl-Client-Cert", "Ssl-Client-Verify")},
		{SourceHAProxy, []string{"X-Ssl-Client-Der", "X-Ssl-Client-Chain-Der", "X-Ssl-Client-Used"}, decodeHAProxy},
		{SourceEnvoy, []string{xfccHeader}, decodeEnvoy},
		{SourceApache, append([]string{"X-Ssl-Client-Cert"}, apacheChain()...), decodeApache},
		{SourceCaddy, []string{"Client-Cert"}, decodeCaddy},
		{SourceTraefik, []string{"X-Forwarded-Tls-Client-Cert"}, decodeTraefik},
		{SourceALB, []string{"X-Amzn-Mtls-Clientcert-Leaf"}, decodeALB("X-Amzn-Mtls-Clientcert-Leaf", 1)},
		{SourceALBPassthrough, []string{"X-Amzn-Mtls-Clientcert"}, decodeALB("X-Amzn-Mtls-Clientcert", MaxCertificates)},
		{SourceGCP, []string{"X-Client-Cert-Present", "X-Client-Cert-Leaf", "X-Client-Cert-Chain"}, decodeGCP},
		{SourceAzure, []string{"X-Client-Certificate", "X-Client-Certificate-Verification"}, decodeAzure},
		{SourceAppService, []string{"X-Arr-Clientcert"}, decodeAppService},
		{SourceCloudflare, []string{"Cf-Client-Cert-Der-Base64", "Cf-Client-Cert-Sha256", "Cf-Cert-Presented"}, decodeCloudflare},
	}
}

// Sources are the names of all sources, for the configuration and its documentation.
func Sources() []string {
	names := []string{SourceDirect, SourceProxyProtocol}
	for _, d := range decoders() {
		names = append(names, d.name)
	}
	return names
}

// CertificateHeaders are the names of all headers that some ingress hands a certificate on with, in Go's spelling. A
// request that carries one and does not come from the ingress it belongs to is forged, or the ingress is configured wrongly.
func CertificateHeaders() []string { return slices.Sorted(maps.Keys(certificateHeaders())) }

// certificateHeaders has them as a set, made once: it is asked for each request.
var certificateHeaders = sync.OnceValue(func() map[string]bool {
	set := map[string]bool{}
	for _, d := range decoders() {
		for _, name := range d.headers {
			set[name] = true
		}
	}
	return set
})

// SourceHeaders are the headers that a source reads, in Go's spelling; none for one that reads no headers.
func SourceHeaders(source string) []string {
	for _, d := range decoders() {
		if d.name == source {
			return d.headers
		}
	}
	return nil
}

// Header is the source that reads the headers of an ingress, named by one of the Source constants. It believes whoever
// sends the request: put a [Gate] in front. Nothing but the certificates in the headers is used, never the names or
// digests beside them, which every ingress writes in its own way. Errors wrap [ErrMalformed].
func Header(source string) (Source, error) {
	for _, d := range decoders() {
		if d.name == source {
			return d, nil
		}
	}
	return nil, malformed("there is no source %s that reads headers; there are %s", strconv.Quote(source), strings.Join(Sources(), ", "))
}

// Certificate implements [Source].
func (d decoder) Certificate(r *http.Request) (*Presented, error) {
	found := values{}
	for _, name := range d.headers {
		lines := r.Header.Values(name)
		if len(lines) > 1 {
			return nil, malformed("the header %s came %d times; the ingress has to replace what a client sends", name, len(lines))
		}
		if len(lines) == 1 {
			if len(lines[0]) > maxEncoded {
				return nil, malformed("the header %s is longer than %d bytes", name, maxEncoded)
			}
			found[name] = lines[0]
		}
	}
	leaf, chain, err := d.decode(found)
	if err != nil || leaf == nil {
		return nil, err
	}
	return presentedBy(d.name, leaf, chain)
}

// none reports whether a value is how ingresses write that there is no certificate.
func none(value string) bool {
	switch value {
	case "", "::", "(null)", "<nil>":
		return true
	}
	return false
}

// chainWithout is the error for a chain that belongs to nothing.
func chainWithout() error { return malformed("a chain without a client certificate") }
