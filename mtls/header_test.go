package mtls

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// spelled is a certificate as ingresses write it.
type spelled struct{ certificate *x509.Certificate }

func (s spelled) base64() string { return base64.StdEncoding.EncodeToString(s.certificate.Raw) }

func (s spelled) sequence() string { return ":" + s.base64() + ":" }

func (s spelled) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.certificate.Raw}))
}

// escaped is what nginx and Envoy write: everything is escaped, the space as %20.
func (s spelled) escaped() string {
	return strings.ReplaceAll(url.QueryEscape(s.pem()), "+", "%20")
}

// safe is what an AWS load balancer writes: plus, slash and equals sign stand for themselves.
func (s spelled) safe() string {
	return strings.NewReplacer("\n", "%0A", " ", "%20").Replace(s.pem())
}

func (s spelled) spaced() string { return strings.ReplaceAll(s.pem(), "\n", " ") }

func (s spelled) digest() string {
	digest := sha256.Sum256(s.certificate.Raw)
	return hex.EncodeToString(digest[:])
}

// request has the headers of the pairs given, each as a line of its own.
func request(pairs ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/token", nil)
	for i := 0; i < len(pairs); i += 2 {
		r.Header.Add(pairs[i], pairs[i+1])
	}
	return r
}

// Covers: ATTACK-16, ATTACK-17. Each decoder takes what its ingress was seen to send, says "none" only where the ingress
// does, and refuses all else.
func TestHeader(t *testing.T) {
	root := newAuthority(t, "root", nil, nil)
	middle := newAuthority(t, "middle", root, nil)
	issued := middle.issue(t, newP256(t), nil)
	leaf, inter, other := spelled{issued}, spelled{middle.certificate}, spelled{selfSigned(t, newP256(t), nil)}
	large := spelled{middle.issue(t, newP256(t), func(c *x509.Certificate) { c.DNSNames = manyNames(17 << 10) })}
	chainDER := base64.StdEncoding.EncodeToString(inter.certificate.Raw)
	const cert, verify, used, der = "X-SSL-Client-Cert", "X-SSL-Client-Verify", "X-SSL-Client-Used", "X-SSL-Client-DER"
	element := "Hash=" + leaf.digest() + `;Cert="` + leaf.escaped() + `"`
	const (
		nobody = iota
		alone
		chained
		refused
	)
	for _, test := range []struct {
		source, name string
		want         int
		pairs        []string
	}{
		{SourceRFC9440, "a leaf", alone, []string{"Client-Cert", leaf.sequence()}},
		{SourceRFC9440, "a chain", chained, []string{"Client-Cert", leaf.sequence(), "Client-Cert-Chain", inter.sequence()}},
		{SourceRFC9440, "nothing", nobody, nil},
		{SourceRFC9440, "an empty sequence", nobody, []string{"Client-Cert", "::"}},
		{SourceRFC9440, "two lines", refused, []string{"Client-Cert", leaf.sequence(), "Client-Cert", leaf.sequence()}},
		{SourceRFC9440, "a chain alone", refused, []string{"Client-Cert-Chain", inter.sequence()}},
		{SourceRFC9440, "no colons", refused, []string{"Client-Cert", leaf.base64()}},
		{SourceRFC9440, "two items", refused, []string{"Client-Cert", leaf.sequence() + ", " + leaf.sequence()}},
		{SourceRFC9440, "something after the DER", refused, []string{"Client-Cert", ":" + base64.StdEncoding.EncodeToString(append(bytes.Clone(issued.Raw), 0)) + ":"}},
		{SourceRFC9440, "a large certificate", refused, []string{"Client-Cert", large.sequence()}},
		{SourceRFC9440, "seven certificates", refused, []string{"Client-Cert", leaf.sequence(), "Client-Cert-Chain", strings.Repeat(inter.sequence()+", ", 5) + inter.sequence()}},

		{SourceNginx, "a leaf", alone, []string{cert, leaf.escaped(), verify, "SUCCESS"}},
		{SourceNginx, "one that nginx could not verify", alone, []string{cert, leaf.escaped(), verify, "FAILED:unable to verify the first certificate"}},
		{SourceNginx, "nothing", nobody, []string{verify, "NONE"}},
		{SourceNginx, "no verdict", refused, nil},
		{SourceNginx, "a leaf without a verdict", refused, []string{cert, leaf.escaped()}},
		{SourceNginx, "a leaf that nginx does not know of", refused, []string{cert, leaf.escaped(), verify, "NONE"}},
		{SourceNginx, "a verdict without a leaf", refused, []string{verify, "SUCCESS"}},
		{SourceNginx, "a strange verdict", refused, []string{cert, leaf.escaped(), verify, "0"}},
		{SourceNginx, "two certificates", refused, []string{cert, leaf.escaped() + inter.escaped(), verify, "SUCCESS"}},
		{SourceNginx, "spaces for line ends", refused, []string{cert, leaf.spaced(), verify, "SUCCESS"}},
		{SourceNginx, "a broken escape", refused, []string{cert, leaf.escaped() + "%2", verify, "SUCCESS"}},
		{SourceNginx, "Apache's word for nothing", refused, []string{cert, "(null)", verify, "SUCCESS"}},
		{SourceIngressNginx, "a leaf", alone, []string{"ssl-client-cert", leaf.escaped(), "ssl-client-verify", "SUCCESS"}},
		{SourceIngressNginx, "a verdict without a leaf", refused, []string{"ssl-client-verify", "SUCCESS"}},

		{SourceHAProxy, "a leaf", alone, []string{der, leaf.base64(), used, "1"}},
		{SourceHAProxy, "a chain", chained, []string{der, leaf.base64(), used, "1", "X-SSL-Client-Chain-DER", chainDER}},
		{SourceHAProxy, "nothing", nobody, []string{der, "", used, "0", "X-SSL-Client-Chain-DER", ""}},
		{SourceHAProxy, "no word whether there is one", refused, []string{der, leaf.base64()}},
		{SourceHAProxy, "nothing at all", refused, nil},
		{SourceHAProxy, "one that did not fit", refused, []string{der, "", used, "1"}},
		{SourceHAProxy, "one that is not used", refused, []string{der, leaf.base64(), used, "0"}},
		{SourceHAProxy, "colons", refused, []string{der, leaf.sequence(), used, "1"}},
		{SourceHAProxy, "half a chain", refused, []string{der, leaf.base64(), used, "1", "X-SSL-Client-Chain-DER", chainDER[:400]}},

		{SourceEnvoy, "a leaf", alone, []string{xfccHeader, element}},
		{SourceEnvoy, "a chain", chained, []string{xfccHeader, element + `;Chain="` + leaf.escaped() + inter.escaped() + `";Subject="CN=a \"b\", O=c;d"`}},
		{SourceEnvoy, "nothing", nobody, nil},
		{SourceEnvoy, "two elements", refused, []string{xfccHeader, element + "," + element}},
		{SourceEnvoy, "two lines", refused, []string{xfccHeader, element, xfccHeader, element}},
		{SourceEnvoy, "a URI", refused, []string{xfccHeader, element + ";URI=spiffe://a"}},
		{SourceEnvoy, "a DNS name", refused, []string{xfccHeader, element + ";DNS=a.example"}},
		{SourceEnvoy, "a URI that brings keys", refused, []string{xfccHeader, element + ";URI=spiffe://a,Hash=" + other.digest() + `;Cert="` + other.escaped() + `"`}},
		{SourceEnvoy, "a key twice", refused, []string{xfccHeader, element + ";hash=" + leaf.digest()}},
		{SourceEnvoy, "a certificate twice", refused, []string{xfccHeader, element + `;CERT="` + other.escaped() + `"`}},
		{SourceEnvoy, "another digest", refused, []string{xfccHeader, "Hash=" + other.digest() + `;Cert="` + leaf.escaped() + `"`}},
		{SourceEnvoy, "no digest", refused, []string{xfccHeader, `Cert="` + leaf.escaped() + `"`}},
		{SourceEnvoy, "a digest alone", refused, []string{xfccHeader, "Hash=" + leaf.digest()}},
		{SourceEnvoy, "the chain of another", refused, []string{xfccHeader, element + `;Chain="` + other.escaped() + `"`}},
		{SourceEnvoy, "a quote without end", refused, []string{xfccHeader, element[:len(element)-1]}},
		{SourceEnvoy, "an unknown key", refused, []string{xfccHeader, element + ";By=spiffe://b"}},
		{SourceEnvoy, "an empty header", nobody, []string{xfccHeader, ""}},

		{SourceApache, "a leaf", alone, []string{cert, leaf.spaced()}},
		{SourceApache, "a chain", chained, []string{cert, leaf.spaced(), "X-SSL-Client-Cert-Chain-0", inter.spaced(), "X-SSL-Client-Cert-Chain-1", "(null)"}},
		{SourceApache, "nothing", nobody, []string{cert, "(null)", "X-SSL-Client-Cert-Chain-0", "(null)"}},
		{SourceApache, "a chain alone", refused, []string{cert, "(null)", "X-SSL-Client-Cert-Chain-0", inter.spaced()}},
		{SourceApache, "a hole in the chain", refused, []string{cert, leaf.spaced(), "X-SSL-Client-Cert-Chain-0", "(null)", "X-SSL-Client-Cert-Chain-1", inter.spaced()}},
		{SourceApache, "an escaped one", refused, []string{cert, leaf.escaped()}},
		{SourceApache, "words around", refused, []string{cert, "x " + leaf.spaced()}},

		{SourceCaddy, "a leaf", alone, []string{"Client-Cert", leaf.sequence()}},
		{SourceCaddy, "nothing", nobody, []string{"Client-Cert", "::"}},
		{SourceCaddy, "one colon", refused, []string{"Client-Cert", ":"}},
		{SourceTraefik, "a leaf", alone, []string{"X-Forwarded-Tls-Client-Cert", leaf.base64()}},
		{SourceTraefik, "a chain", chained, []string{"X-Forwarded-Tls-Client-Cert", leaf.base64() + "," + inter.base64()}},
		{SourceTraefik, "nothing", nobody, nil},
		{SourceTraefik, "an escaped one, as versions 2.8 to 2.9.1 sent", refused, []string{"X-Forwarded-Tls-Client-Cert", url.QueryEscape(leaf.base64())}},
		{SourceTraefik, "nothing after a comma", refused, []string{"X-Forwarded-Tls-Client-Cert", leaf.base64() + ","}},

		{SourceALB, "a leaf", alone, []string{"X-Amzn-Mtls-Clientcert-Leaf", leaf.safe()}},
		{SourceALB, "nothing", nobody, nil},
		{SourceALB, "a chain", refused, []string{"X-Amzn-Mtls-Clientcert-Leaf", leaf.safe() + inter.safe()}},
		{SourceALBPassthrough, "a chain", chained, []string{"X-Amzn-Mtls-Clientcert", leaf.safe() + inter.safe()}},
		{SourceALBPassthrough, "seven certificates", refused, []string{"X-Amzn-Mtls-Clientcert", strings.Repeat(inter.safe(), 7)}},
		{SourceGCP, "a leaf", alone, []string{"X-Client-Cert-Present", "true", "X-Client-Cert-Leaf", leaf.sequence()}},
		{SourceGCP, "a chain", chained, []string{"X-Client-Cert-Present", "true", "X-Client-Cert-Leaf", leaf.sequence(), "X-Client-Cert-Chain", inter.sequence()}},
		{SourceGCP, "nothing", nobody, []string{"X-Client-Cert-Present", "false", "X-Client-Cert-Leaf", ""}},
		{SourceGCP, "one that did not fit", refused, []string{"X-Client-Cert-Present", "true", "X-Client-Cert-Leaf", ""}},
		{SourceGCP, "one that is not there", refused, []string{"X-Client-Cert-Present", "false", "X-Client-Cert-Leaf", leaf.sequence()}},
		{SourceGCP, "no word whether there is one", refused, nil},
		{SourceAzure, "an escaped leaf", alone, []string{"X-Client-Certificate", leaf.escaped(), "X-Client-Certificate-Verification", "SUCCESS"}},
		{SourceAzure, "a leaf without line ends", alone, []string{"X-Client-Certificate", strings.ReplaceAll(leaf.pem(), "\n", ""), "X-Client-Certificate-Verification", "SUCCESS"}},
		{SourceAzure, "nothing", nobody, []string{"X-Client-Certificate", "", "X-Client-Certificate-Verification", "NONE"}},
		{SourceAzure, "a verdict without a leaf", refused, []string{"X-Client-Certificate-Verification", "SUCCESS"}},
		{SourceAppService, "a leaf", alone, []string{"X-ARR-ClientCert", leaf.base64()}},
		{SourceAppService, "nothing", nobody, nil},
		{SourceAppService, "no base64", refused, []string{"X-ARR-ClientCert", "?"}},
		{SourceCloudflare, "a leaf", alone, []string{"Cf-Client-Cert-Der-Base64", leaf.base64(), "Cf-Client-Cert-Sha256", leaf.digest(), "Cf-Cert-Presented", "true"}},
		{SourceCloudflare, "nothing", nobody, []string{"Cf-Cert-Presented", "false"}},
		{SourceCloudflare, "one that did not fit", refused, []string{"Cf-Cert-Presented", "true"}},
		{SourceCloudflare, "another digest", refused, []string{"Cf-Client-Cert-Der-Base64", leaf.base64(), "Cf-Client-Cert-Sha256", other.digest()}},
	} {
		t.Run(title(test.want != refused, test.name+", "+test.source), func(t *testing.T) {
			source, err := Header(test.source)
			if err != nil {
				t.Fatal(err)
			}
			got, err := source.Certificate(request(test.pairs...))
			switch {
			case test.want == refused:
				if !errors.Is(err, ErrMalformed) || got != nil {
					t.Errorf("%v, %v", got, err)
				}
			case err != nil:
				t.Error(err)
			case test.want == nobody:
				if got != nil {
					t.Errorf("%v", got.Leaf.Subject)
				}
			case got == nil || !got.Leaf.Equal(issued) || got.Source != test.source:
				t.Errorf("%+v", got)
			case len(got.Chain) != test.want-alone || len(got.Chain) == 1 && !got.Chain[0].Equal(middle.certificate):
				t.Errorf("a chain of %d", len(got.Chain))
			}
		})
	}
	if _, err := Header("guess"); !errors.Is(err, ErrMalformed) {
		t.Errorf("an unknown source: %v", err)
	}
}

// manyNames are DNS names that take so many bytes.
func manyNames(size int) []string {
	var names []string
	for taken := 0; taken < size; taken += 60 {
		names = append(names, strings.Repeat("a", 50)+".example")
	}
	return names
}
