package examine

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"strings"

	"countersign/fapi/client"
	"countersign/fapi/endpoint"
	"countersign/fapi/profile"
	"countersign/internal/finding"
	"countersign/internal/oauth"
	"countersign/mtls"
	"countersign/mtls/dn"
)

// Certificate examines the certificate of a client, PEM with the intermediates that the client sends, its own first (RFC 8705 §2).
// handshake reports whether clients reach the server's own TLS listener. Revocation is looked up as the server does.
func (e *Examiner) Certificate(ctx context.Context, clientID string, encoded []byte, handshake bool) (*Report, error) {
	r := e.report(Certificate)
	caller, err := e.client(ctx, r, clientID)
	if err != nil || caller == nil {
		return r, err
	}
	presented, err := readPresented(encoded)
	if err != nil {
		r.rule(finding.Form, oauth.Errorf(oauth.InvalidRequest, "the client certificate cannot be used: %s", reason(err)).Because(err))
		return r, nil
	}
	r.rule(finding.Form, nil)
	r.certificate(caller, presented.Leaf)
	if handshake {
		r.rule("handshake", checkHandshake(presented.Leaf))
	}
	if caller.AuthMethod() == profile.PrivateKeyJWT {
		r.note("method", "this client authenticates with private_key_jwt: a certificate only binds its tokens, by the thumbprint, and is held to nothing else")
		return r, nil
	}
	r.rule("method", endpoint.CheckMethod(caller, false))
	for rule, err := range e.Authenticator.CertificateFindings(ctx, caller, presented) {
		if err != nil {
			if _, refused := oauthError(err); !refused {
				return r, err
			}
		}
		r.rule(rule, err)
	}
	return r, nil
}

// readPresented reads the certificates of a client.
func readPresented(encoded []byte) (*mtls.Presented, error) {
	var all []*x509.Certificate
	for block, rest := pem.Decode(encoded); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := mtls.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		all = append(all, certificate)
	}
	switch {
	case len(all) == 0:
		return nil, errors.New("there is no certificate in PEM form")
	case len(all) > mtls.MaxCertificates:
		return nil, fmt.Errorf("there are more than %d certificates", mtls.MaxCertificates)
	}
	return &mtls.Presented{Leaf: all[0], Chain: all[1:], Source: "file"}, nil
}

// reason is why a certificate cannot be read.
func reason(err error) string {
	if text := mtls.Reason(err); text != "" {
		return text
	}
	return err.Error()
}

// checkHandshake refuses what Go's TLS does: it asks for no keys of other kinds, and reads certificates more strictly.
func checkHandshake(leaf *x509.Certificate) error {
	strict, err := x509.ParseCertificate(leaf.Raw)
	switch {
	case err != nil:
		return oauth.Errorf(oauth.InvalidClient, "the handshake of this server refuses the certificate: %v", err)
	case strict.PublicKey == nil:
		return oauth.Errorf(oauth.InvalidClient, "this server does not ask for keys of the kind %s, so that clients do not send the certificate", mtls.KeyKind(leaf))
	}
	return nil
}

// certificate adds what a certificate has, beside what the client registered.
func (r *Report) certificate(caller *client.Client, leaf *x509.Certificate) {
	if name, err := dn.OfSubject(leaf); err == nil {
		r.fact("subject", shownDN(name.String()))
		r.fact("subject, reversed", shownDN(name.Reversed().String()))
	}
	m := caller.Metadata
	if registered, err := dn.Parse(m.TLSClientAuthSubjectDN); m.TLSClientAuthSubjectDN != "" && err == nil {
		r.fact("registered subject", shownDN(registered.String()))
	}
	for name, value := range map[string]string{
		"dns": m.TLSClientAuthSANDNS, "uri": m.TLSClientAuthSANURI, "ip": m.TLSClientAuthSANIP, "email": m.TLSClientAuthSANEmail,
	} {
		if value != "" {
			r.fact("registered SAN", name+" "+shown(value))
		}
	}
	r.fact("SAN", alternativeNames(leaf))
	r.fact("trust store", m.TLSClientAuthTrustStore)
	r.fact("key", mtls.KeyKind(leaf))
	r.time("valid from", leaf.NotBefore, "")
	r.time("valid until", leaf.NotAfter, "")
	r.fact("x5t#S256", mtls.Thumbprint(leaf))
}

// alternativeNames are those that a registration may name.
func alternativeNames(leaf *x509.Certificate) string {
	var all []string
	for _, name := range leaf.DNSNames {
		all = append(all, "dns "+shown(name))
	}
	for _, name := range leaf.URIs {
		all = append(all, "uri "+shown(name.String()))
	}
	for _, name := range leaf.IPAddresses {
		all = append(all, "ip "+net.IP(name).String())
	}
	for _, name := range leaf.EmailAddresses {
		all = append(all, "email "+shown(name))
	}
	return strings.Join(all, ", ")
}

// shownDN bounds a distinguished name; it is not quoted, so that it may be copied into a registration.
func shownDN(name string) string {
	const most = 1000
	if len(name) > most {
		return strings.ToValidUTF8(name[:most], "") + "…"
	}
	return name
}

// oauthError returns the answer that an error is.
func oauthError(err error) (*oauth.Error, bool) {
	return errors.AsType[*oauth.Error](endpoint.Translate(err))
}
