package doctor

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

// Ingress is the proxy in front of the listener for client certificates, examined from outside.
type Ingress struct {
	// URL is the public address of the listener.
	URL string
	// ClientID is a client that is registered with tls_client_auth or self_signed_tls_client_auth, and Certificate its own.
	ClientID    string
	Certificate tls.Certificate
	// Roots vouch for the ingress's own certificate; nil is the system's.
	Roots *x509.CertPool
	Now   func() time.Time

	sessions tls.ClientSessionCache
}

// ReadRoots reads the authorities of an ingress from a file, PEM.
func ReadRoots(file string) (*x509.CertPool, error) {
	encoded, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(encoded) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", file)
	}
	return roots, nil
}

// certificateSizes are those of certificates that may be too large for an ingress, in KiB.
var certificateSizes = []int{4, 8, 13, 24}

// Checks try what has to work, and then what must not. No token is asked for and nothing is changed.
func (i Ingress) Checks() ([]Check, error) {
	target, err := url.Parse(i.URL)
	if err != nil || target.Scheme != "https" || target.Host == "" {
		return nil, errors.New("the address of the ingress is not an https address, such as https://mtls.login.example")
	}
	leaf, err := x509.ParseCertificate(i.Certificate.Certificate[0])
	if err != nil {
		return nil, err
	}
	checks := []Check{
		{Name: "valid", Required: true, Run: i.valid},
		{Name: "none", Run: i.none},
	}
	for _, source := range mtls.Sources() {
		lines := mtls.Spell(source, leaf)
		if lines == nil {
			continue
		}
		checks = append(checks, Check{Name: "spoofed " + source, Run: func(ctx context.Context) (Findings, error) {
			return i.spoofed(ctx, source, lines)
		}})
	}
	checks = append(checks, Check{Name: "injection", Run: func(ctx context.Context) (Findings, error) { return i.injected(ctx, leaf) }})
	for _, kilobytes := range certificateSizes {
		checks = append(checks, Check{Name: "size", Run: func(ctx context.Context) (Findings, error) { return i.large(ctx, kilobytes) }})
	}
	return append(checks, Check{Name: "session", Run: i.session}), nil
}

// answer is how a request was taken.
type answer int

const (
	unanswered  answer = iota // no connection, or the ingress hung up
	unreadable                // 4xx or 5xx that is not about the client
	known                     // the client was authenticated
	unknown                   // it was not, and a certificate was seen
	withoutCert               // it was not, and no certificate was seen
)

// ask sends one request to the token endpoint, and returns how it was taken, with words for the operator.
func (i Ingress) ask(ctx context.Context, certificate *tls.Certificate, lines []mtls.HeaderLine) (answer, string) {
	config := &tls.Config{RootCAs: i.Roots, MinVersion: tls.VersionTLS12, ClientSessionCache: i.sessions}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if certificate == nil {
			return new(tls.Certificate), nil
		}
		return certificate, nil // whatever authorities the ingress names
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	// A grant type that no server has: the client is authenticated, and nothing else happens.
	form := url.Values{"grant_type": {"urn:countersign:doctor"}, "client_id": {i.ClientID}}
	endpoint := strings.TrimSuffix(i.URL, "/") + "/token"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return unanswered, err.Error()
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, line := range lines {
		request.Header.Add(line.Name, line.Value)
	}
	client := &http.Client{
		Transport: transport, Timeout: 2 * askTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return unanswered, err.Error()
	}
	defer response.Body.Close()
	return classify(response)
}

func classify(response *http.Response) (answer, string) {
	var refusal struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<16)).Decode(&refusal); err != nil {
		return unreadable, response.Status
	}
	said := fmt.Sprintf("%s: %s (%s)", response.Status, refusal.Description, refusal.Code)
	switch {
	case refusal.Code == "unsupported_grant_type" || refusal.Code == "unauthorized_client":
		return known, said
	case refusal.Code == "invalid_client" && strings.Contains(refusal.Description, "the connection has none"):
		return withoutCert, said
	case refusal.Code == "invalid_client":
		return unknown, said
	}
	return unreadable, said
}

// valid tries the client's own certificate. Unless it works the forgeries would prove nothing.
func (i Ingress) valid(ctx context.Context) (f Findings, _ error) {
	switch came, said := i.ask(ctx, &i.Certificate, nil); came {
	case known:
		f.ok("valid", "the client is known by its certificate")
	case withoutCert:
		f.fail("valid", "the certificate does not arrive; compare the ingress with deploy/ingress, and listen_mtls.source with its kind: %s", said)
	default:
		f.fail("valid", "the client is not accepted with its certificate: %s", said)
	}
	return f, nil
}

// none tries no certificate.
func (i Ingress) none(ctx context.Context) (f Findings, _ error) {
	switch came, said := i.ask(ctx, nil, nil); came {
	case withoutCert:
		f.ok("none", "without a certificate nobody is let in")
	case known:
		f.fail("none", "the client is let in WITHOUT its certificate")
	case unanswered:
		f.warn("none", "the ingress does not let anybody connect without a certificate; that is safe: %s", said)
	default:
		f.fail("none", "the request is not refused for the missing certificate: %s", said)
	}
	return f, nil
}

// spoofed tries the certificate in the headers of one kind of ingress.
func (i Ingress) spoofed(ctx context.Context, source string, lines []mtls.HeaderLine) (f Findings, _ error) {
	stranger, err := strangerCertificate(i.Now(), nil, nil)
	if err != nil {
		return f, err
	}
	topic := "spoofed " + source
	i.forgery(ctx, &f, topic, nil, lines)
	i.forgery(ctx, &f, topic+", beside a certificate", &stranger, lines)
	i.forgery(ctx, &f, topic+", twice", &stranger, append(lines[:len(lines):len(lines)], lines...))
	return f, nil
}

// injected tries a certificate whose name is a header.
func (i Ingress) injected(ctx context.Context, leaf *x509.Certificate) (f Findings, _ error) {
	extension, err := injection(leaf)
	if err != nil {
		return f, err
	}
	stranger, err := strangerCertificate(i.Now(), nil, extension)
	if err != nil {
		return f, err
	}
	i.forgery(ctx, &f, "a certificate whose name is a header", &stranger, nil)
	return f, nil
}

// large tries a certificate that may be too large to be forwarded.
func (i Ingress) large(ctx context.Context, kilobytes int) (f Findings, _ error) {
	stranger, err := strangerCertificate(i.Now(), names(kilobytes<<10), nil)
	if err != nil {
		return f, err
	}
	topic := fmt.Sprintf("a certificate of %d KiB", kilobytes)
	switch came, said := i.ask(ctx, &stranger, nil); came {
	case withoutCert:
		f.fail("size", "%s disappears without a word, and the client seems to have none; give the ingress more room: %s", topic, said)
	case known:
		f.fail("size", "%s of a stranger is let in as the client", topic)
	default:
		f.ok("size", "%s is refused", topic)
	}
	return f, nil
}

// session tries to resume a session of the client without its certificate.
func (i Ingress) session(ctx context.Context) (f Findings, _ error) {
	i.sessions = tls.NewLRUClientSessionCache(4)
	i.ask(ctx, &i.Certificate, nil)
	i.forgery(ctx, &f, "a session of the client, without its certificate", nil, nil)
	return f, nil
}

// forgery expects that the client is not let in.
func (i Ingress) forgery(ctx context.Context, f *Findings, topic string, certificate *tls.Certificate, lines []mtls.HeaderLine) {
	came, said := i.ask(ctx, certificate, lines)
	if came == known {
		f.fail("forgery", "%s: the client is let in by somebody WITHOUT ITS KEY; have the ingress replace this header: %s", topic, said)
		return
	}
	f.ok("forgery", "%s: refused", topic)
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
func strangerCertificate(now time.Time, dns []string, extensions []pkix.Extension) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	const days = 2 // around now, whatever the clock of the ingress
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "countersign doctor"}, DNSNames: dns, ExtraExtensions: extensions,
		NotBefore: now.AddDate(0, 0, -days), NotAfter: now.AddDate(0, 0, days),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
