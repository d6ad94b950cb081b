// Package challenge reads what an API asks of a login.
package challenge

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Demand is what is asked for.
type Demand struct {
	// Reason says what is missing.
	Reason string
	// ACRValues, MaxAge and Scopes are acr_values, max_age and scope; MaxAge is nil where there is none.
	ACRValues []string
	MaxAge    *time.Duration
	Scopes    []string
}

// maxSize is the size of what is read of a line, in bytes.
const maxSize = 8192

// Parse finds in the header of an answer error="insufficient_user_authentication" with acr_values and max_age (RFC 9470 §3), or error="insufficient_scope" with scope
// (RFC 6750 §3.1), of the schemes Bearer and DPoP. Whatever is malformed asks for nothing.
func Parse(header http.Header) (*Demand, bool) {
	for _, line := range header.Values("WWW-Authenticate") {
		if len(line) > maxSize {
			continue
		}
		for _, each := range parse(line) {
			if demand, ok := each.asks(); ok {
				return demand, true
			}
		}
	}
	return nil, false
}

// asks is what a challenge asks of the login.
func (c challenge) asks() (*Demand, bool) {
	if !strings.EqualFold(c.scheme, "Bearer") && !strings.EqualFold(c.scheme, "DPoP") {
		return nil, false
	}
	e := &Demand{Scopes: strings.Fields(c.parameters["scope"])}
	switch c.parameters["error"] {
	case "insufficient_scope":
		e.Reason = "the API requires more scopes"
		return e, len(e.Scopes) > 0
	case "insufficient_user_authentication":
		e.Reason = "the API requires a stronger authentication"
		e.ACRValues = strings.Fields(c.parameters["acr_values"])
		if text, ok := c.parameters["max_age"]; ok {
			age, err := strconv.ParseUint(text, 10, 31)
			if err != nil {
				return nil, false
			}
			duration := time.Duration(age) * time.Second
			e.MaxAge = &duration
		}
		return e, len(e.ACRValues) > 0 || e.MaxAge != nil
	}
	return nil, false
}

// challenge is one challenge of WWW-Authenticate (RFC 9110 §11.6.1). The names of parameters are in lower case; of a name that is there twice none is kept.
type challenge struct {
	scheme     string
	parameters map[string]string
}

// parse reads a line of challenges up to where it is malformed.
func parse(line string) []challenge {
	var all []challenge
	twice := map[string]bool{}
	for rest := strings.TrimLeft(line, " \t,"); rest != ""; rest = strings.TrimLeft(rest, " \t,") {
		word, after := cutToken(rest)
		if word == "" {
			return all
		}
		value, next, isParameter := cutParameter(after)
		if !isParameter { // a scheme, which its parameters or a token follow
			all = append(all, challenge{scheme: word, parameters: map[string]string{}})
			clear(twice)
			rest = skipToken68(after)
			continue
		}
		if len(all) == 0 {
			return nil
		}
		name, parameters := strings.ToLower(word), all[len(all)-1].parameters
		if _, there := parameters[name]; there || twice[name] {
			delete(parameters, name)
			twice[name] = true
		} else {
			parameters[name] = value
		}
		if rest = strings.TrimLeft(next, " \t"); rest != "" && rest[0] != ',' {
			return all
		}
	}
	return all
}

// cutToken cuts a token (RFC 9110 §5.6.2) off.
func cutToken(text string) (token, rest string) {
	end := 0
	for end < len(text) && isTokenByte(text[end]) {
		end++
	}
	return text[:end], text[end:]
}

func isTokenByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// cutParameter reads "=" and a value, a token or quoted.
func cutParameter(text string) (value, rest string, ok bool) {
	text, ok = strings.CutPrefix(strings.TrimLeft(text, " \t"), "=")
	if !ok {
		return "", "", false
	}
	text = strings.TrimLeft(text, " \t")
	if !strings.HasPrefix(text, `"`) {
		value, rest = cutToken(text)
		return value, rest, value != ""
	}
	var plain strings.Builder
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			return plain.String(), text[i+1:], true
		case '\\':
			i++
			if i == len(text) {
				return "", "", false
			}
		}
		plain.WriteByte(text[i])
	}
	return "", "", false
}

// skipToken68 skips a token68 after a scheme (RFC 9110 §11.2), such as that of Negotiate: it is followed by a comma or nothing, unlike a parameter's name.
func skipToken68(text string) string {
	trimmed := strings.TrimLeft(text, " \t")
	end := 0
	for end < len(trimmed) && (isTokenByte(trimmed[end]) || trimmed[end] == '/') {
		end++
	}
	rest := strings.TrimLeft(trimmed[end:], "=")
	if after := strings.TrimLeft(rest, " \t"); end > 0 && trimmed != text && (after == "" || after[0] == ',') {
		return after
	}
	return text
}
