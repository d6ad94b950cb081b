package strictjson

import (
	"bytes"
	"fmt"
)

// few is how many member names of an object are compared one by one.
const few = 24

// checker walks JSON once (RFC 8259) and keeps nothing but the names of the objects that are open.
type checker struct {
	data   []byte
	offset int
	depth  int
	// names are the first member names of all open objects, innermost last, without an allocation, and more the others; open
	// is how many there are.
	names [few][]byte
	more  [][]byte
	open  int
	// tolerant goes on after what is JSON (RFC 8259) and is refused all the same; fault is the first such thing.
	tolerant bool
	fault    error
}

func (c *checker) check() error {
	if err := c.value(); err != nil {
		return err
	}
	return c.end()
}

// end checks that only white space is left.
func (c *checker) end() error {
	c.space()
	if c.offset != len(c.data) {
		return c.errorf("something follows the value")
	}
	return nil
}

func (c *checker) errorf(what string) error {
	return fmt.Errorf("%w: bad JSON at byte %d: %s", ErrMalformed, c.offset, what)
}

// doubtful refuses what is JSON and yet read in different ways, or notes it.
func (c *checker) doubtful(what string) error {
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
func (c *checker) peek() byte {
	if c.offset < len(c.data) {
		return c.data[c.offset]
	}
	return 0
}

func (c *checker) space() {
	for c.offset < len(c.data) {
		switch c.data[c.offset] {
		case ' ', '\t', '\n', '\r':
			c.offset++
		default:
			return
		}
	}
}

func (c *checker) value() error {
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

func (c *checker) nested(opening byte) error {
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

// name is a name of the open objects.
func (c *checker) name(at int) []byte {
	if at < few {
		return c.names[at]
	}
	return c.more[at-few]
}

// push adds a name.
func (c *checker) push(name []byte) {
	if c.open < few {
		c.names[c.open] = name
	} else {
		c.more = append(c.more[:c.open-few], name)
	}
	c.open++
}

// object consumes the rest of an object. Each value is consumed by visit, or is any value if that is nil.
func (c *checker) object(visit func(name []byte) error) error {
	first := c.open
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
		more, err := c.next('}')
		if err != nil {
			return err
		}
		if !more {
			c.open = first
			return nil
		}
	}
}

// unseen adds a name to those of the innermost object, which begin at first. From a few names on, seen keeps the cost
// of a large object linear.
func (c *checker) unseen(name []byte, first int, seen map[string]bool) (map[string]bool, error) {
	if c.open-first < few {
		for at := first; at < c.open; at++ {
			if bytes.Equal(c.name(at), name) {
				return nil, c.doubtful("a member name repeats")
			}
		}
		c.push(name)
		return nil, nil
	}
	if seen == nil {
		seen = make(map[string]bool, 2*few)
		for at := first; at < c.open; at++ {
			seen[string(c.name(at))] = true
		}
	}
	if seen[string(name)] {
		return seen, c.doubtful("a member name repeats")
	}
	seen[string(name)] = true
	return seen, nil
}

// array consumes the rest of an array, as object does.
func (c *checker) array(visit func() error) error {
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
		if more, err := c.next(']'); err != nil || !more {
			return err
		}
	}
}

// next consumes what follows an element: a comma, or the end.
func (c *checker) next(end byte) (bool, error) {
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

func (c *checker) literal(word string) error {
	if len(c.data)-c.offset < len(word) || string(c.data[c.offset:c.offset+len(word)]) != word {
		return c.errorf("not a value")
	}
	c.offset += len(word)
	return nil
}
