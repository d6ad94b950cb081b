package httpsig

import (
	"bytes"
	"net/textproto"
	"strings"

	"github.com/dunglas/httpsfv"
)

// Base is what a signature is made over (RFC 9421 §2.5). Errors wrap [ErrRefused]: the message has no such component.
func (s Signature) Base(m Message) ([]byte, error) {
	var base bytes.Buffer
	for i, component := range s.Components {
		identifier, err := httpsfv.Marshal(s.list.Items[i]) // with its parameters in the order of the signer
		if err != nil {
			return nil, refuse("a component cannot be written: %w", err)
		}
		value, err := m.value(component)
		if err != nil {
			return nil, err
		}
		base.WriteString(identifier + ": " + value + "\n")
	}
	parameters, err := httpsfv.Marshal(httpsfv.List{s.list})
	if err != nil {
		return nil, refuse("the parameters of the signature cannot be written: %w", err)
	}
	base.WriteString(`"@signature-params": ` + parameters)
	return base.Bytes(), nil
}

// value returns the value of a component (RFC 9421 §2.1, §2.2).
func (m Message) value(c Component) (string, error) {
	if c.OfRequest {
		if m.Request == nil {
			return "", refuse("%s is to be taken from a request, and there is none", c.Name)
		}
		return m.Request.value(Component{Name: c.Name, Key: c.Key})
	}
	if strings.HasPrefix(c.Name, "@") {
		if c.Key != "" {
			return "", refuse("%s has no key", c.Name)
		}
		return m.derived(c.Name)
	}
	return m.field(c)
}

func (m Message) derived(name string) (string, error) {
	if name == "@status" {
		if m.Status == 0 {
			return "", refuse("a request has no @status")
		}
		return statusText(m.Status), nil
	}
	if m.Target == nil {
		return "", refuse("a response has no %s", name)
	}
	path := m.Target.EscapedPath()
	if path == "" {
		path = "/"
	}
	switch name {
	case "@method":
		return m.Method, nil
	case "@target-uri":
		return m.Target.String(), nil
	case "@scheme":
		return strings.ToLower(m.Target.Scheme), nil
	case "@authority":
		return authority(m.Target.Scheme, m.Target.Host), nil
	case "@path":
		return path, nil
	case "@query":
		return "?" + m.Target.RawQuery, nil
	case "@request-target":
		if m.Target.RawQuery != "" || m.Target.ForceQuery {
			path += "?" + m.Target.RawQuery
		}
		return path, nil
	}
	return "", refuse("the component %s is not supported", name)
}

// authority is a host in lower case without the port that its scheme has anyway (RFC 9421 §2.2.3).
func authority(scheme, host string) string {
	host = strings.ToLower(host)
	if strings.ToLower(scheme) == "https" {
		return strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":80")
}

// field returns the value of a header field: its lines, trimmed and joined (RFC 9421 §2.1), or one member of a Dictionary
// (§2.1.2).
func (m Message) field(c Component) (string, error) {
	if c.Name != strings.ToLower(c.Name) {
		return "", refuse("the field name %s has to be in lower case", c.Name)
	}
	lines, there := m.Header[textproto.CanonicalMIMEHeaderKey(c.Name)]
	if !there {
		return "", refuse("%s is covered, and the message has no such field", c.Name)
	}
	if c.Key == "" {
		trimmed := make([]string, len(lines))
		for i, line := range lines {
			trimmed[i] = strings.Trim(line, " \t")
			if strings.ContainsAny(trimmed[i], "\r\n") {
				return "", refuse("%s has a line break in it", c.Name)
			}
		}
		return strings.Join(trimmed, ", "), nil
	}
	fields, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil {
		return "", refuse("%s is no dictionary", c.Name)
	}
	member, there := fields.Get(c.Key)
	if !there {
		return "", refuse("%s has no member %s", c.Name, c.Key)
	}
	alone := httpsfv.List{member}
	text, err := httpsfv.Marshal(alone)
	if err != nil {
		return "", refuse("%s cannot be written: %w", c.Name, err)
	}
	return text, nil
}
