// Package xfcc reads x-forwarded-client-cert, the header in which Envoy hands on a client certificate.
package xfcc

import (
	"fmt"
	"strings"
)

// Header is the name of the header.
const Header = "X-Forwarded-Client-Cert"

// Parse reads the one element that there may be: pairs separated by semicolons, values quoted if need be. The keys
// are given in lower case, since they are the same in any.
func Parse(text string) (map[string]string, error) {
	pairs := map[string]string{}
	for rest := text; ; {
		key, after, ok := strings.Cut(rest, "=")
		if !ok {
			return nil, fmt.Errorf("%s is not made of key=value", Header)
		}
		switch key = strings.ToLower(key); key {
		case "by":
			if len(pairs) > 0 {
				return nil, fmt.Errorf("%s has By after other keys, where Envoy does not write it", Header)
			}
			if rest, ok = afterBy(after); !ok {
				return nil, fmt.Errorf("%s has nothing but By", Header)
			}
			continue
		case "hash", "cert", "chain", "subject":
		case "uri", "dns":
			return nil, fmt.Errorf("%s has URI or DNS, which Envoy does not escape; leave them out of set_current_client_cert_details", Header)
		default:
			return nil, fmt.Errorf("%s has the key %q; only By, Hash, Cert, Chain and Subject may be there", Header, brief(key))
		}
		if _, twice := pairs[key]; twice {
			return nil, fmt.Errorf("%s has %s twice", Header, key)
		}
		said, after, err := value(after)
		if err != nil {
			return nil, err
		}
		pairs[key] = said
		if after == "" {
			return pairs, nil
		}
		if after[0] == ',' {
			return nil, fmt.Errorf("%s has more than one element; use SANITIZE_SET, which removes what others have set", Header)
		}
		if after[0] != ';' {
			return nil, fmt.Errorf("%s has something after the value of %s", Header, key)
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

// value reads a value and gives what follows it.
func value(text string) (read, rest string, err error) {
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
	return "", "", fmt.Errorf("%s has a quote that does not end", Header)
}

// brief shortens what was sent for a message.
func brief(text string) string {
	const most = 32
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}
