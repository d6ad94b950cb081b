// Package strictjson decodes JSON from strangers (RFC 8259) and refuses what different parsers read differently: members
// that repeat, at any depth; text that is not UTF-8; lone surrogates; U+0000, which no honest value has and not every store
// can keep; anything after the value; nesting deeper than [MaxDepth]. Whoever checks a signed text and whoever uses it then
// read the same.
//
//	var metadata struct {
//		ClientName string `json:"client_name"`
//	}
//	err := strictjson.Decode(body, &metadata)
//
// Member names match case-sensitively, as nowhere in encoding/json; unknown members are ignored, and checked like the others.
// The caller limits the size of the text.
package strictjson

import (
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4/json"
)

// MaxDepth is how deep JSON may nest.
const MaxDepth = 32

// Errors of this package wrap ErrMalformed. Their texts repeat nothing of the input.
var (
	// ErrMalformed is input that is no JSON, or that is refused all the same, or of another type than the one wanted.
	ErrMalformed = errors.New("malformed")
	// ErrNotArray is what [Elements] or [Array] wants to be an array, and is none.
	ErrNotArray = fmt.Errorf("%w: not an array", ErrMalformed)
)

// Decode decodes one JSON value into what into points to, by the rules of the package. Types with an UnmarshalJSON of
// their own should wrap [ErrMalformed]; their errors are returned as they are. Errors wrap [ErrMalformed].
func Decode(raw []byte, into any) error {
	if err := Check(raw); err != nil {
		return err
	}
	err := json.Unmarshal(raw, into)
	if err == nil {
		return nil
	}
	// go-jose/json is a copy of encoding/json with its own types.
	if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%w: the JSON value that ends at byte %d has the wrong type", ErrMalformed, mismatch.Offset)
	}
	if errors.Is(err, ErrMalformed) {
		return err // from the type's own UnmarshalJSON
	}
	return fmt.Errorf("%w: the JSON has a value of the wrong type", ErrMalformed)
}

// DecodeObject is [Decode] for input that must be an object.
func DecodeObject(raw []byte, into any) error {
	c := checker{data: raw}
	c.space()
	if c.peek() != '{' {
		return errNotObject
	}
	return Decode(raw, into)
}

var errNotObject = fmt.Errorf("%w: not a JSON object", ErrMalformed)

// Check checks one JSON value without decoding it. Errors wrap [ErrMalformed].
func Check(raw []byte) error {
	c := checker{data: raw}
	return c.check()
}

// Array visits the values of an array, as [Elements] does those of a member.
func Array(raw []byte, visit func(Element) error) error {
	c := checker{data: raw}
	c.space()
	if c.peek() != '[' {
		return ErrNotArray
	}
	c.offset++
	c.depth++
	err := c.array(func() error {
		element, err := c.element()
		if err != nil {
			return err
		}
		return visit(element)
	})
	if err != nil {
		return err
	}
	return c.end()
}

// Element is a value of an array as it was written.
type Element struct {
	Raw []byte
	// Offset is where it begins in the whole text, in bytes.
	Offset int
	// Fault is what this package refuses within the value although it is JSON: a member that repeats, text that is not
	// UTF-8. It wraps [ErrMalformed], or is nil.
	Fault error
}

// Elements visits the values of the array that is the named member of an object, and reports whether there is that
// member. What is doubtful within a value is that value's fault; what is doubtful outside of them, and what is no JSON, is
// an error. Errors wrap [ErrMalformed], [ErrNotArray] if the member is none, or are those of visit.
func Elements(raw []byte, member string, visit func(Element) error) (found bool, err error) {
	c := checker{data: raw}
	c.space()
	if c.peek() != '{' {
		return false, errNotObject
	}
	c.offset++
	c.depth++
	err = c.object(func(name []byte) error {
		c.space()
		if string(name) != member {
			return c.value()
		}
		if c.peek() != '[' {
			return ErrNotArray
		}
		found = true
		c.offset++
		c.depth++
		defer func() { c.depth-- }()
		return c.array(func() error {
			element, err := c.element()
			if err != nil {
				return err
			}
			return visit(element)
		})
	})
	if err != nil {
		return found, err
	}
	return found, c.end()
}

// element consumes a value and collects what is doubtful about it.
func (c *checker) element() (Element, error) {
	c.space()
	start := c.offset
	c.tolerant, c.fault = true, nil
	err := c.value()
	c.tolerant = false
	return Element{Raw: c.data[start:c.offset], Offset: start, Fault: c.fault}, err
}
