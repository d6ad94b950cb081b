package mtls

import (
	"crypto/x509"

	"countersign/mtls/internal/xfcc"
)

const xfccHeader = xfcc.Header

// decodeEnvoy reads x-forwarded-client-cert as Envoy writes it with SANITIZE_SET and cert, chain and subject asked for.
//
// Envoy does not escape the values of URI and DNS, so a certificate can bring whole keys and elements of its own in a
// name. Therefore those keys are refused, as is more than one element and any key twice; and the certificate has to be
// the one whose digest Envoy wrote in front of everything else of the client's. Only By comes before it: the URI names of
// Envoy's own certificate, which no client chooses and nothing is concluded from.
func decodeEnvoy(v values) (*x509.Certificate, []*x509.Certificate, error) {
	text := v[xfccHeader]
	if text == "" {
		return nil, nil, nil
	}
	pairs, err := xfcc.Parse(text)
	if err != nil {
		return nil, nil, malformed("%v", err)
	}
	if pairs["hash"] == "" || pairs["cert"] == "" {
		return nil, nil, malformed("%s without Hash and Cert; ask Envoy for cert: true", xfccHeader)
	}
	leaf, _, err := onePEM(parseEscapedPEM(pairs["cert"]))
	if err != nil {
		return nil, nil, err
	}
	if !digestIs(leaf, pairs["hash"]) {
		return nil, nil, malformed("Hash in %s is not the digest of Cert", xfccHeader)
	}
	encoded, ok := pairs["chain"]
	if !ok {
		return leaf, nil, nil
	}
	chain, err := parseEscapedPEM(encoded)
	if err != nil {
		return nil, nil, err
	}
	if !chain[0].Equal(leaf) {
		return nil, nil, malformed("Chain in %s does not begin with Cert", xfccHeader)
	}
	return leaf, chain, nil
}
