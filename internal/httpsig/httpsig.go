// Package httpsig signs and verifies HTTP messages (RFC 9421) with content digests (RFC 9530), as far as FAPI 2.0 HTTP
// Signatures needs it. It knows no keys and no HSM: the caller signs and verifies the signature base.
//
// A message is described by [Message], because what clients see of a server behind an ingress is not what the server sees.
// [Find] takes the signature with a tag out of a header, [Rules].Check checks that it covers what it must, and [Sign] makes
// one.
package httpsig

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/dunglas/httpsfv"
)

// Tags of the signatures of FAPI 2.0 HTTP Signatures.
const (
	TagRequest  = "fapi-2-request"
	TagResponse = "fapi-2-response"
)

// ErrRefused is a signature, or a digest, that is not valid. Errors of this package wrap it; their texts may be shown to
// the sender of the message.
var ErrRefused = errors.New("the message signature is not acceptable")

func refuse(format string, arguments ...any) error {
	return fmt.Errorf("%w: %w", ErrRefused, fmt.Errorf(format, arguments...))
}

// Bounds of what is read.
const (
	maxHeader     = 16 << 10
	maxComponents = 32
	maxKeyID      = 256
)

// Message is what is signed.
type Message struct {
	// Method and Target are those of a request; the target is the whole address, as its sender wrote it.
	Method string
	Target *url.URL
	// Status is that of a response.
	Status int
	Header http.Header
	// Request is what a response answers, where that is covered (RFC 9421 §2.4).
	Request *Message
}

// Component names a part of a message (RFC 9421 §2).
type Component struct {
	// Name is a field name in lower case, or a derived component such as "@method".
	Name string
	// OfRequest takes it from the request that a response answers: the parameter req.
	OfRequest bool
	// Key takes one member of a Dictionary field; empty takes the whole.
	Key string
}

// item is the component as it is written.
func (c Component) item() httpsfv.Item {
	item := httpsfv.NewItem(c.Name)
	if c.OfRequest {
		item.Params.Add("req", true)
	}
	if c.Key != "" {
		item.Params.Add("key", c.Key)
	}
	return item
}

// Signature is one signature of a message, of which nothing is to be believed before [Rules].Check.
type Signature struct {
	Label      string
	Components []Component
	// Created and Expires are zero when they are not said.
	Created, Expires time.Time
	// KeyID, Algorithm and Nonce are empty when they are not said.
	KeyID, Algorithm, Nonce string
	Tag                     string
	// Value is the signature itself.
	Value []byte

	// list is the member of Signature-Input as it was read or will be written.
	list httpsfv.InnerList
}

// Find returns the one signature of a message that has a tag (RFC 9421 §4). None and several are refused: who says the same
// thing twice may mean different things.
func Find(header http.Header, tag string) (Signature, error) {
	inputs, err := dictionary(header, "Signature-Input")
	if err != nil {
		return Signature{}, err
	}
	values, err := dictionary(header, "Signature")
	if err != nil {
		return Signature{}, err
	}
	label := ""
	for _, name := range inputs.Names() {
		member, _ := inputs.Get(name)
		list, ok := member.(httpsfv.InnerList)
		if !ok {
			return Signature{}, refuse("%s in Signature-Input is no list of components", name)
		}
		if said, _ := list.Params.Get("tag"); said != tag {
			continue
		}
		if label != "" {
			return Signature{}, refuse("there are several signatures with the tag %s", tag)
		}
		label = name
	}
	if label == "" {
		return Signature{}, refuse("there is no signature with the tag %s", tag)
	}
	return labelled(inputs, values, label)
}

// labelled reads the signature with a label.
func labelled(inputs, values *httpsfv.Dictionary, label string) (Signature, error) {
	input, _ := inputs.Get(label)
	list, ok := input.(httpsfv.InnerList)
	if !ok {
		return Signature{}, refuse("%s in Signature-Input is no list of components", label)
	}
	s, err := readInput(label, list)
	if err != nil {
		return Signature{}, err
	}
	member, _ := values.Get(label)
	item, ok := member.(httpsfv.Item)
	if !ok {
		return Signature{}, refuse("there is no signature %s in the Signature header", label)
	}
	if s.Value, ok = item.Value.([]byte); !ok {
		return Signature{}, refuse("the signature %s is no byte sequence", label)
	}
	return s, nil
}

func dictionary(header http.Header, name string) (*httpsfv.Dictionary, error) {
	lines := header.Values(name)
	size := 0
	for _, line := range lines {
		size += len(line)
	}
	switch {
	case len(lines) == 0:
		return nil, refuse("the %s header is missing (RFC 9421 §4)", name)
	case size > maxHeader:
		return nil, refuse("the %s header is longer than %d bytes", name, maxHeader)
	}
	read, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil {
		return nil, refuse("the %s header is no structured dictionary (RFC 9651)", name)
	}
	return read, nil
}

// readInput reads a member of Signature-Input (RFC 9421 §2.3).
func readInput(label string, list httpsfv.InnerList) (Signature, error) {
	s := Signature{Label: label, list: list}
	if len(list.Items) > maxComponents {
		return s, refuse("more than %d components are covered", maxComponents)
	}
	seen := map[Component]bool{}
	for _, item := range list.Items {
		component, err := readComponent(item)
		if err != nil {
			return s, err
		}
		if seen[component] {
			return s, refuse("%s is covered twice (RFC 9421 §2)", component.Name)
		}
		seen[component] = true
		s.Components = append(s.Components, component)
	}
	texts := map[string]*string{"keyid": &s.KeyID, "alg": &s.Algorithm, "nonce": &s.Nonce, "tag": &s.Tag}
	times := map[string]*time.Time{"created": &s.Created, "expires": &s.Expires}
	for _, name := range list.Params.Names() {
		value, _ := list.Params.Get(name)
		switch {
		case texts[name] != nil:
			text, ok := value.(string)
			if !ok || len(text) > maxKeyID {
				return s, refuse("%s must be a string of at most %d bytes", name, maxKeyID)
			}
			*texts[name] = text
		case times[name] != nil:
			seconds, ok := value.(int64)
			if !ok || seconds < 0 {
				return s, refuse("%s must be a number of seconds", name)
			}
			*times[name] = time.Unix(seconds, 0)
		}
	}
	return s, nil
}

func readComponent(item httpsfv.Item) (Component, error) {
	name, ok := item.Value.(string)
	if !ok || name == "" {
		return Component{}, refuse("a component that is covered is no string")
	}
	c := Component{Name: name}
	for _, parameter := range item.Params.Names() {
		value, _ := item.Params.Get(parameter)
		switch parameter {
		case "req":
			if c.OfRequest, ok = value.(bool); !ok || !c.OfRequest {
				return c, refuse("the parameter req of a component has no value")
			}
		case "key":
			if c.Key, ok = value.(string); !ok || c.Key == "" {
				return c, refuse("the parameter key of a component must be a string")
			}
		default:
			return c, refuse("the parameter %s of a component is not supported", parameter)
		}
	}
	return c, nil
}

// Covers reports whether a component is among those that are signed.
func (s Signature) Covers(wanted Component) bool {
	for _, component := range s.Components {
		if component == wanted {
			return true
		}
	}
	return false
}

// Sign makes the members of Signature-Input and Signature for a message and puts them into its header, in place of any that
// were there. The signature has the label, the components, created, keyid, the tag, and alg if there is one: otherwise the key
// says it (RFC 9421 §3.3.7). The signature base is returned, as evidence. Errors of sign are wrapped.
func Sign(ctx context.Context, m Message, s Signature, sign func(ctx context.Context, base []byte) ([]byte, error)) ([]byte, error) {
	s.list = httpsfv.InnerList{Params: httpsfv.NewParams()}
	for _, component := range s.Components {
		s.list.Items = append(s.list.Items, component.item())
	}
	s.list.Params.Add("created", s.Created.Unix())
	s.list.Params.Add("keyid", s.KeyID)
	if s.Algorithm != "" {
		s.list.Params.Add("alg", s.Algorithm)
	}
	s.list.Params.Add("tag", s.Tag)
	base, err := s.Base(m)
	if err != nil {
		return nil, err
	}
	if s.Value, err = sign(ctx, base); err != nil {
		return nil, fmt.Errorf("httpsig: sign: %w", err)
	}
	inputs, values := httpsfv.NewDictionary(), httpsfv.NewDictionary()
	inputs.Add(s.Label, s.list)
	values.Add(s.Label, httpsfv.NewItem(s.Value))
	for name, member := range map[string]*httpsfv.Dictionary{"Signature-Input": inputs, "Signature": values} {
		text, err := httpsfv.Marshal(member)
		if err != nil {
			return nil, fmt.Errorf("httpsig: write %s: %w", name, err)
		}
		m.Header.Set(name, text)
	}
	return base, nil
}

// statusText is a status as it is signed.
func statusText(status int) string { return strconv.Itoa(status) }
