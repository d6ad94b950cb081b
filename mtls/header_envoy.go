package mtls

import (
	"crypto/x509"
	"strings"
)

const xfcc = "X-Forwarded-Client-Cert"

// decodeEnvoy reads x-forwarded-client-cert as Envoy writes it with SANITIZE_SET and cert, chain and subject asked for.
//
// Envoy does not escape the values of URI and DNS, so a certificate can bring whole keys and elements of its own in a
// name. Therefore those keys are refused, as is more than one element and any key twice; and the certificate has to be
// the one whose digest Envoy wrote in front of everything else of the client's. Only By comes before it: the URI names of
// Envoy's own certificate, which no client chooses and nothing is concluded from.
func decodeEnvoy(v values) (*x509.Certificate, []*x509.Certificate, error) {
	text := v[xfcc]
	if text == "" {
		return nil, nil, nil
	}
	pairs, err := xfccElement(text)
	if err != nil {
		return nil, nil, err
	}
	if pairs["hash"] == "" || pairs["cert"] == "" {
		return nil, nil, malformed("%s without Hash and Cert; ask Envoy for cert: true", xfcc)
	}
	leaf, _, err := onePEM(parseEscapedPEM(pairs["cert"]))
	if err != nil {
		return nil, nil, err
	}
	if !digestIs(leaf, pairs["hash"]) {
		return nil, nil, malformed("Hash in %s is not the digest of Cert", xfcc)
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
		return nil, nil, malformed("Chain in %s does not begin with Cert", xfcc)
	}
	return leaf, chain, nil
}

// xfccElement reads the one element that there may be: pairs separated by semicolons, values quoted if need be. The keys
// are given in lower case, since they mean the same in any.
func xfccElement(text string) (map[string]string, error) {
	pairs := map[string]string{}
	for rest := text; ; {
		key, after, ok := strings.Cut(rest, "=")
		if !ok {
			return nil, malformed("%s is not made of key=value", xfcc)
		}
		switch key = strings.ToLower(key); key {
		case "by":
			if len(pairs) > 0 {
				return nil, malformed("%s has By after other keys, where Envoy does not write it", xfcc)
			}
			if rest, ok = afterBy(after); !ok {
				return nil, malformed("%s has nothing but By", xfcc)
			}
			continue
		case "hash", "cert", "chain", "subject":
		case "uri", "dns":
			return nil, malformed("%s has URI or DNS, which Envoy does not escape; leave them out of set_current_client_cert_details", xfcc)
		default:
			return nil, malformed("%s has the key %q; only By, Hash, Cert, Chain and Subject may be there", xfcc, brief(key))
		}
		if _, twice := pairs[key]; twice {
			return nil, malformed("%s has %s twice", xfcc, key)
		}
		value, after, err := xfccValue(after)
		if err != nil {
			return nil, err
		}
		pairs[key] = value
		if after == "" {
			return pairs, nil
		}
		if after[0] == ',' {
			return nil, malformed("%s has more than one element; use SANITIZE_SET, which removes what others have set", xfcc)
		}
		if after[0] != ';' {
			return nil, malformed("%s has something after the value of %s", xfcc, key)
		}
		rest = after[1:]
	}
}

// afterBy gives what follows the value of By and its semicolon. Envoy writes a URI there as it is, perhaps with equals
// signs.
func afterBy(text string) (rest string, ok bool) {
	end := strings.IndexAny(text, `;,"`)
	if end < 0 || text[end] != ';' {
		return "", false
	}
	return text[end+1:], true
}

// xfccValue reads a value and gives what follows it.
func xfccValue(text string) (value, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		end := strings.IndexAny(text, `;,"=`)
		if end < 0 {
			end = len(text)
		}
		return text[:end], text[end:], nil
	}
	var plain strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return plain.String(), text[i+1:], nil
		case c == '\\' && i+1 < len(text):
			i++
			plain.WriteByte(text[i])
		default:
			plain.WriteByte(c)
		}
	}
	return "", "", malformed("%s has a quote that does not end", xfcc)
}
