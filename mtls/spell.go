package mtls

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"net/url"
	"strings"
)

// HeaderLine is one line of a request's header.
type HeaderLine struct{ Name, Value string }

// Spell writes a certificate down as an ingress would: the lines that [Header] of that source reads. It is for trying
// whether an ingress lets somebody else's lines through. An unknown source, or one that reads no headers, gives none.
func Spell(source string, certificate *x509.Certificate) []HeaderLine {
	plain := base64.StdEncoding.EncodeToString(certificate.Raw)
	sequence := ":" + plain + ":"
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}))
	escaped := strings.ReplaceAll(url.QueryEscape(text), "+", "%20") // no plus is left but those for spaces
	digest := sha256.Sum256(certificate.Raw)
	hash := hex.EncodeToString(digest[:])
	return map[string][]HeaderLine{
		SourceRFC9440:        {{"Client-Cert", sequence}},
		SourceNginx:          {{"X-SSL-Client-Cert", escaped}, {"X-SSL-Client-Verify", "SUCCESS"}},
		SourceIngressNginx:   {{"ssl-client-cert", escaped}, {"ssl-client-verify", "SUCCESS"}},
		SourceHAProxy:        {{"X-SSL-Client-DER", plain}, {"X-SSL-Client-Used", "1"}},
		SourceEnvoy:          {{xfccHeader, "Hash=" + hash + `;Cert="` + escaped + `"`}},
		SourceApache:         {{"X-SSL-Client-Cert", strings.ReplaceAll(strings.TrimSpace(text), "\n", " ")}},
		SourceCaddy:          {{"Client-Cert", sequence}},
		SourceTraefik:        {{"X-Forwarded-Tls-Client-Cert", plain}},
		SourceALB:            {{"X-Amzn-Mtls-Clientcert-Leaf", escaped}},
		SourceALBPassthrough: {{"X-Amzn-Mtls-Clientcert", escaped}},
		SourceGCP:            {{"X-Client-Cert-Present", "true"}, {"X-Client-Cert-Leaf", sequence}},
		SourceAzure:          {{"X-Client-Certificate", escaped}, {"X-Client-Certificate-Verification", "SUCCESS"}},
		SourceAppService:     {{"X-ARR-ClientCert", plain}},
		SourceCloudflare:     {{"Cf-Client-Cert-Der-Base64", plain}, {"Cf-Client-Cert-Sha256", hash}, {"Cf-Cert-Presented", "true"}},
	}[source]
}
