package client

import (
	"net/http"
	"strings"
)

// challenge reads error and error_description of WWW-Authenticate (RFC 6750 §3, RFC 9449 §7.1), from the first challenge that has an error.
func challenge(header http.Header) (code, description string) {
	for _, field := range header.Values("WWW-Authenticate") {
		parameters := authParameters(field)
		if parameters["error"] != "" {
			return parameters["error"], parameters["error_description"]
		}
	}
	return "", ""
}

// maxChallenge bounds a field that is looked at, in bytes.
const maxChallenge = 8 << 10

// authParameters reads name="value" and name=value wherever they are in a field (RFC 9110 §11.2); the first of a name counts.
func authParameters(field string) map[string]string {
	found := map[string]string{}
	if len(field) > maxChallenge {
		return found
	}
	for field != "" {
		before, after, ok := strings.Cut(field, "=")
		if !ok {
			break
		}
		name := before
		if at := strings.LastIndexAny(before, " ,\t"); at >= 0 {
			name = before[at+1:]
		}
		var value string
		value, field = authValue(after)
		name = strings.ToLower(name)
		if _, known := found[name]; !known && name != "" {
			found[name] = value
		}
	}
	return found
}

// authValue reads a token or a quoted string (RFC 9110 §5.6.4), and gives what follows it.
func authValue(field string) (value, rest string) {
	if !strings.HasPrefix(field, `"`) {
		end := strings.IndexAny(field, " ,\t")
		if end < 0 {
			return field, ""
		}
		return field[:end], field[end:]
	}
	var text strings.Builder
	for i := 1; i < len(field); i++ {
		switch field[i] {
		case '"':
			return text.String(), field[i+1:]
		case '\\':
			if i++; i < len(field) {
				text.WriteByte(field[i])
			}
		default:
			text.WriteByte(field[i])
		}
	}
	return text.String(), ""
}
