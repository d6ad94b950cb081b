package mtls

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/hex"
)

// decodeALB reads what an AWS Application Load Balancer sends: percent-encoded PEM in which plus, slash and equals sign
// are themselves. In verify mode it is the leaf, in passthrough mode the whole chain, leaf first.
func decodeALB(header string, most int) func(values) (*x509.Certificate, []*x509.Certificate, error) {
	return func(v values) (*x509.Certificate, []*x509.Certificate, error) {
		if v[header] == "" {
			return nil, nil, nil
		}
		all, err := parseEscapedPEM(v[header])
		if err != nil {
			return nil, nil, err
		}
		if len(all) > most {
			return nil, nil, malformed("%d certificates where there may be %d", len(all), most)
		}
		return all[0], all[1:], nil
	}
}

// decodeGCP reads the custom headers {client_cert_present}, {client_cert_leaf} and {client_cert_chain} of a Google Cloud
// load balancer. The first one is needed, since the others are left empty when they are too large.
func decodeGCP(v values) (*x509.Certificate, []*x509.Certificate, error) {
	leaf, chain := v["X-Client-Cert-Leaf"], v["X-Client-Cert-Chain"]
	switch present := v["X-Client-Cert-Present"]; {
	case present != "true" && present != "false":
		return nil, nil, malformed("the ingress does not say in X-Client-Cert-Present whether there is a certificate; set it to {client_cert_present}")
	case present == "false" && (!none(leaf) || !none(chain)):
		return nil, nil, malformed("a certificate, and X-Client-Cert-Present says that there is none")
	case present == "true" && none(leaf):
		return nil, nil, malformed("X-Client-Cert-Present says that there is a certificate, and it is missing; it may be too large for the ingress")
	}
	return byteSequences(leaf, chain)
}

// decodeAzure reads the server variables client_certificate and client_certificate_verification of an Azure Application
// Gateway: PEM, percent-encoded or without its line ends.
func decodeAzure(v values) (*x509.Certificate, []*x509.Certificate, error) {
	text, said := v["X-Client-Certificate"], v["X-Client-Certificate-Verification"]
	switch {
	case said == "":
		return nil, nil, malformed("the ingress does not send X-Client-Certificate-Verification; set it to {var_client_certificate_verification}")
	case (said == "NONE") != none(text):
		return nil, nil, malformed("X-Client-Certificate-Verification is %q, which does not agree with X-Client-Certificate", brief(said))
	case none(text):
		return nil, nil, nil
	case len(text) > len(pemBegin) && text[:len(pemBegin)] == pemBegin:
		return onePEM(parsePEM(text, " "))
	}
	return onePEM(parseEscapedPEM(text))
}

// decodeAppService reads X-ARR-ClientCert of Azure App Service: base64, not verified by anybody.
func decodeAppService(v values) (*x509.Certificate, []*x509.Certificate, error) {
	if v["X-Arr-Clientcert"] == "" {
		return nil, nil, nil
	}
	leaf, err := parseBase64(v["X-Arr-Clientcert"])
	return leaf, nil, err
}

// decodeCloudflare reads Cf-Client-Cert-Der-Base64. Cloudflare drops it when the certificate is large, but not the
// headers that tell of it; those must agree.
func decodeCloudflare(v values) (*x509.Certificate, []*x509.Certificate, error) {
	text, digest, said := v["Cf-Client-Cert-Der-Base64"], v["Cf-Client-Cert-Sha256"], v["Cf-Cert-Presented"]
	if text == "" {
		if digest != "" || said != "" && said != "false" {
			return nil, nil, malformed("there is a certificate, and Cf-Client-Cert-Der-Base64 is missing; it may be larger than Cloudflare hands on (10 KB)")
		}
		return nil, nil, nil
	}
	if said != "" && said != "true" {
		return nil, nil, malformed("a certificate, and Cf-Cert-Presented says that there is none")
	}
	leaf, err := parseBase64(text)
	if err != nil {
		return nil, nil, err
	}
	if digest != "" && !digestIs(leaf, digest) {
		return nil, nil, malformed("Cf-Client-Cert-Sha256 is not the digest of the certificate")
	}
	return leaf, nil, nil
}

// digestIs reports whether text is the SHA-256 of a certificate in hexadecimal.
func digestIs(certificate *x509.Certificate, text string) bool {
	given, err := hex.DecodeString(text)
	digest := sha256.Sum256(certificate.Raw)
	return err == nil && subtle.ConstantTimeCompare(given, digest[:]) == 1
}
