package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"countersign/mtls"
)

// doctorCommands are the two examinations.
type doctorCommands struct {
	Check   doctorCommand        `cmd:"" default:"withargs" help:"Check the installation and say what to mend."`
	Ingress doctorIngressCommand `cmd:"" help:"Try to deceive a running ingress, and say whether it is safe."`
}

// Help implements kong.HelpProvider.
func (doctorCommands) Help() string {
	return `Without more words it checks the installation, as doctor check does.

Examples:
  countersign doctor
  countersign doctor ingress https://mtls.login.example --client-id c1 --certificate c1.crt --key c1.key`
}

// doctorIngressCommand tries an ingress from outside.
type doctorIngressCommand struct {
	URL         string `arg:"" help:"Public address of the listener for client certificates (listen_mtls.url), as clients reach it."`
	ClientID    string `required:"" name:"client-id" help:"A client that is registered with tls_client_auth or self_signed_tls_client_auth."`
	Certificate string `required:"" type:"existingfile" help:"Its certificate, PEM, with the intermediates if it has any."`
	Key         string `required:"" type:"existingfile" help:"The key of that certificate, PEM."`
	CA          string `name:"ca" type:"existingfile" help:"Authorities, PEM, of the ingress's own certificate; else the system's."`
}

// Help implements kong.HelpProvider.
func (doctorIngressCommand) Help() string {
	return `Sends the client's certificate, none, claims of it in the headers of every kind of ingress,
certificates that are too large, and certificates made to confuse an ingress. No token is asked for and nothing is
changed; the server's log will show the forgeries. The exit code is 1 if one of them worked.

Example:
  countersign doctor ingress https://mtls.login.example --client-id c1 --certificate c1.crt --key c1.key`
}

// Run implements the command.
func (c doctorIngressCommand) Run(ctx context.Context, p *program) error {
	own, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
	if err != nil {
		return fmt.Errorf("--certificate and --key: %w", err)
	}
	if target, err := url.Parse(c.URL); err != nil || target.Scheme != "https" || target.Host == "" {
		return errors.New("the address of the ingress is not an https address, such as https://mtls.login.example")
	}
	visit := ingressVisit{endpoint: strings.TrimSuffix(c.URL, "/") + "/token", clientID: c.ClientID}
	if c.CA != "" {
		encoded, err := os.ReadFile(c.CA)
		if err != nil {
			return err
		}
		visit.roots = x509.NewCertPool()
		if !visit.roots.AppendCertsFromPEM(encoded) {
			return fmt.Errorf("--ca: %s holds no certificate in PEM form", c.CA)
		}
	}
	d := &diagnosis{p: p}
	if !d.honest(ctx, visit, own) {
		return silentError{}
	}
	if err := d.forgeries(ctx, visit, own); err != nil {
		return err
	}
	if d.failed {
		return silentError{}
	}
	d.ok("ingress", "nothing that was tried deceived it")
	return nil
}

// What came of a visit.
type welcome int

const (
	unanswered  welcome = iota // no connection, or the ingress hung up
	unreadable                 // 4xx or 5xx that is not about the client
	known                      // the client was authenticated
	unknown                    // it was not, and a certificate was seen
	withoutCert                // it was not, and no certificate was seen
)

// ingressVisit is how the token endpoint is asked.
type ingressVisit struct {
	endpoint, clientID string
	roots              *x509.CertPool
	sessions           tls.ClientSessionCache
}

// ask sends one request and tells what came of it, with words for the operator.
func (v ingressVisit) ask(ctx context.Context, certificate *tls.Certificate, lines []mtls.HeaderLine) (welcome, string) {
	config := &tls.Config{RootCAs: v.roots, MinVersion: tls.VersionTLS12, ClientSessionCache: v.sessions}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if certificate == nil {
			return new(tls.Certificate), nil
		}
		return certificate, nil // whatever authorities the ingress names
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	// A grant type that no server has: the client is authenticated, and nothing else happens.
	form := url.Values{"grant_type": {"urn:countersign:doctor"}, "client_id": {v.clientID}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, v.endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return unanswered, err.Error()
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, line := range lines {
		request.Header.Add(line.Name, line.Value)
	}
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return unanswered, err.Error()
	}
	defer response.Body.Close()
	var refusal struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<16)).Decode(&refusal); err != nil {
		return unreadable, response.Status
	}
	told := fmt.Sprintf("%s: %s (%s)", response.Status, refusal.Description, refusal.Code)
	switch {
	case refusal.Code == "unsupported_grant_type" || refusal.Code == "unauthorized_client":
		return known, told
	case refusal.Code == "invalid_client" && strings.Contains(refusal.Description, "the connection has none"):
		return withoutCert, told
	case refusal.Code == "invalid_client":
		return unknown, told
	}
	return unreadable, told
}

// honest tries what has to work. Without it the forgeries would prove nothing.
func (d *diagnosis) honest(ctx context.Context, v ingressVisit, own tls.Certificate) bool {
	switch came, told := v.ask(ctx, &own, nil); came {
	case known:
		d.ok("valid", "the client is known by its certificate")
	case withoutCert:
		d.fail("valid", "the certificate does not arrive; compare the ingress with deploy/ingress, and listen_mtls.source with its kind: %s", told)
		return false
	default:
		d.fail("valid", "the client is not accepted with its certificate: %s", told)
		return false
	}
	switch came, told := v.ask(ctx, nil, nil); came {
	case withoutCert:
		d.ok("none", "without a certificate nobody is let in")
	case known:
		d.fail("none", "the client is let in WITHOUT its certificate")
	case unanswered:
		d.warn("none", "the ingress does not let anybody connect without a certificate; that is safe: %s", told)
	default:
		d.fail("none", "the request is not refused for the missing certificate: %s", told)
	}
	return true
}

// forgeries are what must not work.
func (d *diagnosis) forgeries(ctx context.Context, v ingressVisit, own tls.Certificate) error {
	leaf, err := x509.ParseCertificate(own.Certificate[0])
	if err != nil {
		return err
	}
	stranger, err := strangerCertificate(nil, nil)
	if err != nil {
		return err
	}
	for _, source := range mtls.Sources() {
		lines := mtls.Spell(source, leaf)
		if lines == nil {
			continue
		}
		topic := "spoofed " + source
		d.forgery(ctx, topic, v, nil, lines)
		d.forgery(ctx, topic+", beside a certificate", v, &stranger, lines)
		d.forgery(ctx, topic+", twice", v, &stranger, append(lines[:len(lines):len(lines)], lines...))
	}
	injected, err := injection(leaf)
	if err != nil {
		return err
	}
	if stranger, err = strangerCertificate(nil, injected); err != nil {
		return err
	}
	d.forgery(ctx, "a certificate whose name is a header", v, &stranger, nil)
	for _, kilobytes := range []int{4, 8, 13, 24} {
		if stranger, err = strangerCertificate(names(kilobytes<<10), nil); err != nil {
			return err
		}
		topic := fmt.Sprintf("a certificate of %d KiB", kilobytes)
		if came, told := v.ask(ctx, &stranger, nil); came == withoutCert {
			d.fail("size", "%s disappears without a word, and the client seems to have none; give the ingress more room: %s", topic, told)
		} else if came == known {
			d.fail("size", "%s of a stranger is let in as the client", topic)
		} else {
			d.ok("size", "%s is refused", topic)
		}
	}
	v.sessions = tls.NewLRUClientSessionCache(4)
	v.ask(ctx, &own, nil)
	d.forgery(ctx, "a session of the client, without its certificate", v, nil, nil)
	return nil
}

// forgery expects that the client is not let in.
func (d *diagnosis) forgery(ctx context.Context, topic string, v ingressVisit, certificate *tls.Certificate, lines []mtls.HeaderLine) {
	if came, told := v.ask(ctx, certificate, lines); came == known {
		d.fail("forgery", "%s: the client is let in by somebody WITHOUT ITS KEY; have the ingress replace this header: %s", topic, told)
		return
	}
	d.ok("forgery", "%s: refused", topic)
}

// names are DNS names that take so many bytes.
func names(size int) []string {
	const each = 64
	var all []string
	for range size / each {
		all = append(all, strings.Repeat("a", each-11)+".example")
	}
	return all
}

// injection is a subjectAltName with a URI that ends Envoy's element and begins another, with a certificate in it
// (Envoy issue 32945).
func injection(of *x509.Certificate) ([]pkix.Extension, error) {
	const uri = 6 // RFC 5280 §4.2.1.6
	text := "spiffe://a/b," + mtls.Spell(mtls.SourceEnvoy, of)[0].Value
	der, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: uri, Bytes: []byte(text)}})
	return []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: der}}, err
}

// strangerCertificate is one that nobody has registered, signed by itself.
func strangerCertificate(dns []string, extensions []pkix.Extension) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	const days = 2 // around now, whatever the clock of the ingress
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "countersign doctor"}, DNSNames: dns, ExtraExtensions: extensions,
		NotBefore: now.AddDate(0, 0, -days), NotAfter: now.AddDate(0, 0, days),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
