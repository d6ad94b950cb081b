package jose

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4/json"
)

// DecodeStrict decodes one JSON value. It refuses what different parsers read differently: members that repeat, at
// any depth; text that is not UTF-8; lone surrogates; U+0000, which no honest value has and not every store can keep;
// anything after the value; nesting deeper than [MaxDepth]. Member names match case-sensitively. Unknown members are
// ignored. The caller limits the size. Errors wrap [ErrMalformed].
func DecodeStrict(raw []byte, into any) error {
	checker := strictChecker{data: raw}
	if err := checker.check(); err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		// go-jose/json is a copy of encoding/json with its own types.
		if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return fmt.Errorf("%w: the JSON value that ends at byte %d has the wrong type", ErrMalformed, mismatch.Offset)
		}
		if errors.Is(err, ErrMalformed) {
			return err // from a type of this package
		}
		return fmt.Errorf("%w: the JSON has a value of the wrong type", ErrMalformed)
	}
	return nil
}

// decodeObject is [DecodeStrict] for input that must be an object.
func decodeObject(raw []byte, into any) error {
	checker := strictChecker{data: raw}
	checker.space()
	if checker.peek() != '{' {
		return fmt.Errorf("%w: not a JSON object", ErrMalformed)
	}
	return DecodeStrict(raw, into)
}

// few is how many member names of an object are compared one by one.
const few = 24

// strictChecker walks JSON once (RFC 8259) and keeps nothing but the names of the objects that are open.
type strictChecker struct {
	data   []byte
	offset int
	depth  int
	// names are the member names of all open objects, innermost last.
	names [][]byte
	// tolerant goes on after what is JSON (RFC 8259) and is refused all the same; fault is the first such thing.
	tolerant bool
	fault    error
}

func (c *strictChecker) check() error {
	var room [few][]byte
	c.names = room[:0]
	if err := c.value(); err != nil {
		return err
	}
	c.space()
	if c.offset != len(c.data) {
		return c.errorf("something follows the value")
	}
	return nil
}

func (c *strictChecker) errorf(what string) error {
	return fmt.Errorf("%w: bad JSON at byte %d: %s", ErrMalformed, c.offset, what)
}

// doubtful refuses what is JSON and yet read in different ways, or notes it.
func (c *strictChecker) doubtful(what string) error {
	err := c.errorf(what)
	if !c.tolerant {
		return err
	}
	if c.fault == nil {
		c.fault = err
	}
	return nil
}

// peek is the next byte, or 0 at the end.
func (c *strictChecker) peek() byte {
	if c.offset < len(c.data) {
		return c.data[c.offset]
	}
	return 0
}

func (c *strictChecker) space() {
	for c.offset < len(c.data) {
		switch c.data[c.offset] {
		case ' ', '\t', '\n', '\r':
			c.offset++
		default:
			return
		}
	}
}

func (c *strictChecker) value() error {
	c.space()
	switch next := c.peek(); {
	case next == '{' || next == '[':
		return c.nested(next)
	case next == '"':
		_, err := c.text()
		return err
	case next == '-' || isDigit(next):
		return c.number()
	case next == 't':
		return c.literal("true")
	case next == 'f':
		return c.literal("false")
	case next == 'n':
		return c.literal("null")
	}
	return c.errorf("a value is missing")
}

func (c *strictChecker) nested(opening byte) error {
	if c.depth++; c.depth > MaxDepth {
		return c.errorf("nested too deeply")
	}
	defer func() { c.depth-- }()
	c.offset++
	if opening == '{' {
		return c.object(nil)
	}
	return c.array(nil)
}

// object consumes the rest of an object. Each value is consumed by visit, or is any value if that is nil.
func (c *strictChecker) object(visit func(name []byte) error) error {
	first := len(c.names)
	var seen map[string]bool
	c.space()
	if c.peek() == '}' {
		c.offset++
		return nil
	}
	for {
		c.space()
		if c.peek() != '"' {
			return c.errorf("a member name is missing")
		}
		name, err := c.text()
		if err != nil {
			return err
		}
		if seen, err = c.unseen(name, first, seen); err != nil {
			return err
		}
		c.space()
		if c.peek() != ':' {
			return c.errorf("a colon is missing")
		}
		c.offset++
		if visit != nil {
			err = visit(name)
		} else {
			err = c.value()
		}
		if err != nil {
			return err
		}
		more, err := c.more('}')
		if err != nil {
			return err
		}
		if !more {
			c.names = c.names[:first]
			return nil
		}
	}
}

// unseen adds a name to those of the innermost object, which begin at first. From a few names on, seen keeps the cost
// of a large object linear.
func (c *strictChecker) unseen(name []byte, first int, seen map[string]bool) (map[string]bool, error) {
	open := c.names[first:]
	if len(open) < few {
		for _, other := range open {
			if bytes.Equal(other, name) {
				return nil, c.doubtful("a member name repeats")
			}
		}
		c.names = append(c.names, name)
		return nil, nil
	}
	if seen == nil {
		seen = make(map[string]bool, 2*few)
		for _, other := range open {
			seen[string(other)] = true
		}
	}
	if seen[string(name)] {
		return seen, c.doubtful("a member name repeats")
	}
	seen[string(name)] = true
	return seen, nil
}

// array consumes the rest of an array, as object does.
func (c *strictChecker) array(visit func() error) error {
	c.space()
	if c.peek() == ']' {
		c.offset++
		return nil
	}
	for {
		var err error
		if visit != nil {
			err = visit()
		} else {
			err = c.value()
		}
		if err != nil {
			return err
		}
		if more, err := c.more(']'); err != nil || !more {
			return err
		}
	}
}

// more consumes what follows an element: a comma, or the end.
func (c *strictChecker) more(end byte) (bool, error) {
	c.space()
	switch c.peek() {
	case ',':
		c.offset++
		return true, nil
	case end:
		c.offset++
		return false, nil
	}
	return false, c.errorf("a comma or the end is missing")
}

func (c *strictChecker) literal(word string) error {
	if len(c.data)-c.offset < len(word) || string(c.data[c.offset:c.offset+len(word)]) != word {
		return c.errorf("not a value")
	}
	c.offset += len(word)
	return nil
}
