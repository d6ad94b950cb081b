package mtls_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"time"

	"countersign/mtls"
)

// The certificates of an authority and of a client that it issued one to, both valid from 2026.
const (
	exampleCA = `-----BEGIN CERTIFICATE-----
MIIBGjCBzaADAgECAgEBMAUGAytlcDAVMRMwEQYDVQQDEwpFeGFtcGxlIENBMB4X
DTI2MDEwMTAwMDAwMFoXDTM2MDEwMTAwMDAwMFowFTETMBEGA1UEAxMKRXhhbXBs
ZSBDQTAqMAUGAytlcAMhADtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop
o0IwQDAOBgNVHQ8BAf8EBAMCAgQwDwYDVR0TAQH/BAUwAwEB/zAdBgNVHQ4EFgQU
E545QOZLVJFyIIjZoNdBYo/IJuAwBQYDK2VwA0EA/F4CXmD75IIQsHdVQqhAyg0z
8rlh2Yab3cOYIiGJdUeaqcoEASsSgZr6CQ45DH33pEFrzRAvJjBAauzeL/gmDQ==
-----END CERTIFICATE-----
`
	exampleClient = `-----BEGIN CERTIFICATE-----
MIIBPDCB76ADAgECAgECMAUGAytlcDAVMRMwEQYDVQQDEwpFeGFtcGxlIENBMB4X
DTI2MDEwMTAwMDAwMFoXDTMxMDEwMTAwMDAwMFowNzELMAkGA1UEBhMCREUxFTAT
BgNVBAoTDEV4YW1wbGUgQmFuazERMA8GA1UEAxMIY2xpZW50LTEwKjAFBgMrZXAD
IQAHNpkAqy75U05bX6Zg8APp3IFbs/II1RgK1snmqXWzzqNCMEAwDgYDVR0PAQH/
BAQDAgeAMBMGA1UdJQQMMAoGCCsGAQUFBwMCMBkGA1UdEQQSMBCCDmNsaWVudC5l
eGFtcGxlMAUGAytlcANBAKJ3eLLcxLown+3SAAiqS/xpEbLTOM8/FYA23wKkjDTo
v9EJUGMuHFwCUJCRzxaixPTR98w9JDOwbw4Nj0p59gc=
-----END CERTIFICATE-----
`
)

func exampleCertificate(text string) *x509.Certificate {
	block, _ := pem.Decode([]byte(text))
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		panic(err)
	}
	return certificate
}

func exampleTime() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) }

// A server that terminates TLS itself asks for a certificate, and authenticates the client by it (RFC 8705 §2.1).
func ExampleTrust_Verify() {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(exampleCA))
	trust := mtls.Trust{Roots: roots, Now: exampleTime}
	registered := mtls.Subject{DN: "CN=client-1,O=Example Bank,C=DE"}
	source := mtls.Direct()

	handler := func(_ http.ResponseWriter, r *http.Request) {
		presented, err := source.Certificate(r)
		if err != nil || presented == nil {
			fmt.Println("no certificate:", err)
			return
		}
		if err := trust.Verify(presented); err != nil {
			fmt.Println("invalid_client:", err)
			return
		}
		if err := registered.Match(presented.Leaf); err != nil {
			fmt.Println("invalid_client:", err)
			return
		}
		fmt.Println("authenticated as client-1")
	}

	// The connection of a listener with mtls.ServerConfig(certificates, true).
	request := httptest.NewRequest(http.MethodPost, "https://as.example/token", nil)
	request.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{exampleCertificate(exampleClient)}}
	handler(httptest.NewRecorder(), request)
	// Output:
	// authenticated as client-1
}

// Behind an ingress the certificate is in a header, which is believed if it comes from the ingress alone.
func ExampleGate() {
	secret := strings.Repeat("s", mtls.MinSecretSize) // make one with: openssl rand -base64 32
	ingress, err := mtls.NewIngressSecret([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, []byte(secret))
	if err != nil {
		fmt.Println(err)
		return
	}
	source, err := mtls.Header(mtls.SourceRFC9440)
	if err != nil {
		fmt.Println(err)
		return
	}
	gate := mtls.Gate{Source: source, Headers: mtls.SourceHeaders(mtls.SourceRFC9440), Ingress: ingress}

	request := httptest.NewRequest(http.MethodPost, "https://as.example/token", nil)
	request.RemoteAddr = "10.1.2.3:4711"
	for _, line := range mtls.Spell(mtls.SourceRFC9440, exampleCertificate(exampleClient)) {
		request.Header.Set(line.Name, line.Value)
	}
	_, err = gate.Admit(request)
	fmt.Println("without the secret it is forged:", errors.Is(err, mtls.ErrForged))

	request.Header.Set(mtls.SecretHeader, secret)
	admitted, err := gate.Admit(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	presented, err := mtls.Admitted().Certificate(admitted)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(presented.Source+":", presented.Leaf.Subject)
	// Output:
	// without the secret it is forged: true
	// rfc9440: CN=client-1,O=Example Bank,C=DE
}

// An access token that is bound to a certificate has its thumbprint as cnf.x5t#S256 (RFC 8705 §3.1).
func ExampleThumbprint() {
	fmt.Println(mtls.Thumbprint(exampleCertificate(exampleClient)))
	// Output:
	// mKi-6Dej6__7JZCfaHBthyTueBOU81MAPubzFgUnrPg
}
