package jose

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

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
		return c.object()
	}
	return c.array()
}

func (c *strictChecker) object() error {
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
		if err := c.value(); err != nil {
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
				return nil, c.errorf("a member name repeats")
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
		return nil, c.errorf("a member name repeats")
	}
	seen[string(name)] = true
	return seen, nil
}

func (c *strictChecker) array() error {
	c.space()
	if c.peek() == ']' {
		c.offset++
		return nil
	}
	for {
		if err := c.value(); err != nil {
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

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

// number consumes a number (RFC 8259 §6).
func (c *strictChecker) number() error {
	if c.peek() == '-' {
		c.offset++
	}
	if c.peek() == '0' {
		c.offset++
	} else if err := c.digits(); err != nil {
		return err
	}
	if c.peek() == '.' {
		c.offset++
		if err := c.digits(); err != nil {
			return err
		}
	}
	if next := c.peek(); next == 'e' || next == 'E' {
		c.offset++
		if next := c.peek(); next == '+' || next == '-' {
			c.offset++
		}
		return c.digits()
	}
	return nil
}

func (c *strictChecker) digits() error {
	if !isDigit(c.peek()) {
		return c.errorf("a digit is missing")
	}
	for isDigit(c.peek()) {
		c.offset++
	}
	return nil
}

// text consumes a string (RFC 8259 §7) and returns what it says.
func (c *strictChecker) text() ([]byte, error) {
	c.offset++
	start := c.offset
	for c.offset < len(c.data) {
		switch b := c.data[c.offset]; {
		case b == '"':
			said := c.data[start:c.offset]
			c.offset++
			return said, nil
		case b == '\\':
			return c.escapedText(start)
		case b < 0x20:
			return nil, c.errorf("a control character in a string")
		case b < utf8.RuneSelf:
			c.offset++
		default:
			_, size := utf8.DecodeRune(c.data[c.offset:])
			if size == 1 {
				return nil, c.errorf("a string is not UTF-8")
			}
			c.offset += size
		}
	}
	return nil, c.errorf("a string does not end")
}

// escapedText goes on with a string that began at start and has its first escape at the current offset.
func (c *strictChecker) escapedText(start int) ([]byte, error) {
	said := append(make([]byte, 0, 2*(c.offset-start)+32), c.data[start:c.offset]...)
	for c.offset < len(c.data) {
		switch b := c.data[c.offset]; {
		case b == '"':
			c.offset++
			return said, nil
		case b == '\\':
			r, err := c.escape()
			if err != nil {
				return nil, err
			}
			said = utf8.AppendRune(said, r)
		case b < 0x20:
			return nil, c.errorf("a control character in a string")
		default:
			r, size := utf8.DecodeRune(c.data[c.offset:])
			if r == utf8.RuneError && size == 1 {
				return nil, c.errorf("a string is not UTF-8")
			}
			said = append(said, c.data[c.offset:c.offset+size]...)
			c.offset += size
		}
	}
	return nil, c.errorf("a string does not end")
}

// escape consumes one escape sequence, or two that are the halves of one character.
func (c *strictChecker) escape() (rune, error) {
	c.offset++
	b := c.peek()
	c.offset++
	switch b {
	case '"', '\\', '/':
		return rune(b), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		return c.unicodeEscape()
	}
	return 0, c.errorf("not an escape sequence")
}

func (c *strictChecker) unicodeEscape() (rune, error) {
	r, err := c.fourHex()
	switch {
	case err != nil:
		return 0, err
	case r == 0:
		return 0, c.errorf("U+0000 in a string")
	case r < 0xd800 || r > 0xdfff:
		return r, nil
	}
	if r >= 0xdc00 || len(c.data)-c.offset < 6 || c.data[c.offset] != '\\' || c.data[c.offset+1] != 'u' {
		return 0, c.errorf("half a surrogate pair")
	}
	c.offset += 2
	low, err := c.fourHex()
	if err != nil {
		return 0, err
	}
	if low < 0xdc00 || low > 0xdfff {
		return 0, c.errorf("half a surrogate pair")
	}
	return 0x10000 + (r-0xd800)<<10 + (low - 0xdc00), nil
}

func (c *strictChecker) fourHex() (rune, error) {
	if len(c.data)-c.offset < 4 {
		return 0, c.errorf("not an escape sequence")
	}
	var r rune
	for range 4 {
		b := c.data[c.offset]
		switch {
		case isDigit(b):
			b -= '0'
		case 'a' <= b && b <= 'f':
			b -= 'a' - 10
		case 'A' <= b && b <= 'F':
			b -= 'A' - 10
		default:
			return 0, c.errorf("not an escape sequence")
		}
		r = r<<4 | rune(b)
		c.offset++
	}
	return r, nil
}
