package mtls

import (
	"crypto/x509"
	"fmt"
	"strings"
)

// decodeRFC9440 reads Client-Cert and Client-Cert-Chain (RFC 9440 §2.2, §2.3).
func decodeRFC9440(v values) (*x509.Certificate, []*x509.Certificate, error) {
	return byteSequences(v["Client-Cert"], v["Client-Cert-Chain"])
}

func byteSequences(leaf, chain string) (*x509.Certificate, []*x509.Certificate, error) {
	if none(leaf) {
		if !none(chain) {
			return nil, nil, chainWithout()
		}
		return nil, nil, nil
	}
	parsed, err := parseByteSequence(leaf)
	if err != nil || none(chain) {
		return parsed, nil, err
	}
	var others []*x509.Certificate
	for item := range strings.SplitSeq(chain, ",") {
		if len(others) == MaxCertificates {
			return nil, nil, malformed("more than %d certificates", MaxCertificates)
		}
		certificate, err := parseByteSequence(strings.Trim(item, " \t"))
		if err != nil {
			return nil, nil, err
		}
		others = append(others, certificate)
	}
	return parsed, others, nil
}

// decodeNginx reads $ssl_client_escaped_cert and $ssl_client_verify. nginx leaves a header out when its value is empty,
// but always tells the second; it must agree with the first.
func decodeNginx(certificate, verify string) func(values) (*x509.Certificate, []*x509.Certificate, error) {
	return func(v values) (*x509.Certificate, []*x509.Certificate, error) {
		text, said := v[certificate], v[verify]
		switch {
		case said == "" && text == "":
			return nil, nil, malformed("the ingress does not send %s; set it to $ssl_client_verify", verify)
		case (said == "NONE") != (text == ""):
			return nil, nil, malformed("%s is %q, which does not agree with %s", verify, brief(said), certificate)
		case text == "":
			return nil, nil, nil
		case said != "SUCCESS" && !strings.HasPrefix(said, "FAILED"):
			return nil, nil, malformed("%s is %q, which nginx does not say", verify, brief(said))
		}
		return onePEM(parseEscapedPEM(text))
	}
}

// onePEM demands a leaf without a chain.
func onePEM(all []*x509.Certificate, err error) (*x509.Certificate, []*x509.Certificate, error) {
	if err != nil {
		return nil, nil, err
	}
	if len(all) != 1 {
		return nil, nil, malformed("%d certificates where there is one", len(all))
	}
	return all[0], nil, nil
}

// decodeHAProxy reads ssl_c_der, ssl_c_chain_der and ssl_c_used. The last one is needed: HAProxy sends an empty first
// one when a certificate does not fit its buffers, and ssl_c_verify is 0 without any certificate.
func decodeHAProxy(v values) (*x509.Certificate, []*x509.Certificate, error) {
	text, chain := v["X-Ssl-Client-Der"], v["X-Ssl-Client-Chain-Der"]
	switch used := v["X-Ssl-Client-Used"]; {
	case used != "0" && used != "1":
		return nil, nil, malformed("the ingress does not say in X-SSL-Client-Used whether there is a certificate; set it to %%[ssl_c_used]")
	case used == "0" && (text != "" || chain != ""):
		return nil, nil, malformed("a certificate, and X-SSL-Client-Used says that there is none")
	case used == "0":
		return nil, nil, nil
	case text == "":
		return nil, nil, malformed("X-SSL-Client-Used says that there is a certificate, and it is missing; it may be too large for the ingress (HAProxy: tune.bufsize)")
	}
	leaf, err := parseBase64(text)
	if err != nil || chain == "" {
		return leaf, nil, err
	}
	der, err := decodeBase64(chain)
	if err != nil {
		return nil, nil, err
	}
	others, err := parseDERs(der)
	return leaf, others, err
}

// apacheChainLength is how many certificates after the leaf Apache is told to send, one header each.
const apacheChainLength = MaxCertificates - 1

func apacheChain() []string {
	var names []string
	for i := range apacheChainLength {
		names = append(names, fmt.Sprintf("X-Ssl-Client-Cert-Chain-%d", i))
	}
	return names
}

// decodeApache reads SSL_CLIENT_CERT and SSL_CLIENT_CERT_CHAIN_0 and following: PEM with spaces for line ends, and
// "(null)" when there is none.
func decodeApache(v values) (*x509.Certificate, []*x509.Certificate, error) {
	text, names := v["X-Ssl-Client-Cert"], apacheChain()
	if none(text) {
		for _, name := range names {
			if !none(v[name]) {
				return nil, nil, chainWithout()
			}
		}
		return nil, nil, nil
	}
	leaf, _, err := onePEM(parsePEM(text, " "))
	if err != nil {
		return nil, nil, err
	}
	var chain []*x509.Certificate
	ended := false
	for _, name := range names {
		if none(v[name]) {
			ended = true
			continue
		}
		if ended {
			return nil, nil, malformed("%s without the one before it", name)
		}
		next, _, err := onePEM(parsePEM(v[name], " "))
		if err != nil {
			return nil, nil, err
		}
		chain = append(chain, next)
	}
	return leaf, chain, nil
}

// decodeCaddy reads the placeholder certificate_der_base64 between colons. It is empty without a certificate; Caddy
// sends no chain.
func decodeCaddy(v values) (*x509.Certificate, []*x509.Certificate, error) {
	return byteSequences(v["Client-Cert"], "")
}

// decodeTraefik reads what PassTLSClientCert sends: the base64 of PEM without its frame and line ends, several of them
// separated by commas, the leaf first.
func decodeTraefik(v values) (*x509.Certificate, []*x509.Certificate, error) {
	text := v["X-Forwarded-Tls-Client-Cert"]
	if none(text) {
		return nil, nil, nil
	}
	var all []*x509.Certificate
	for item := range strings.SplitSeq(text, ",") {
		if len(all) == MaxCertificates {
			return nil, nil, malformed("more than %d certificates", MaxCertificates)
		}
		certificate, err := parseBase64(item)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, certificate)
	}
	return all[0], all[1:], nil
}

// brief shortens what was sent for a message.
func brief(text string) string {
	const most = 32
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}
