package strictjson

import "unicode/utf8"

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

// number consumes a number (RFC 8259 §6).
func (c *checker) number() error {
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

func (c *checker) digits() error {
	if !isDigit(c.peek()) {
		return c.errorf("a digit is missing")
	}
	for isDigit(c.peek()) {
		c.offset++
	}
	return nil
}

// text consumes a string (RFC 8259 §7) and returns what it says.
func (c *checker) text() ([]byte, error) {
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
				if err := c.doubtful("a string is not UTF-8"); err != nil {
					return nil, err
				}
			}
			c.offset += size
		}
	}
	return nil, c.errorf("a string does not end")
}

// escapedText continues a string that began at start and has its first escape at the current offset.
func (c *checker) escapedText(start int) ([]byte, error) {
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
				if err := c.doubtful("a string is not UTF-8"); err != nil {
					return nil, err
				}
			}
			said = append(said, c.data[c.offset:c.offset+size]...)
			c.offset += size
		}
	}
	return nil, c.errorf("a string does not end")
}

// escape consumes one escape sequence, or two that are the halves of one character.
func (c *checker) escape() (rune, error) {
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

func (c *checker) unicodeEscape() (rune, error) {
	r, err := c.fourHex()
	switch {
	case err != nil:
		return 0, err
	case r == 0:
		return 0, c.doubtful("U+0000 in a string")
	case r < 0xd800 || r > 0xdfff:
		return r, nil
	}
	if r >= 0xdc00 || len(c.data)-c.offset < 6 || c.data[c.offset] != '\\' || c.data[c.offset+1] != 'u' {
		return utf8.RuneError, c.doubtful("half a surrogate pair")
	}
	c.offset += 2
	low, err := c.fourHex()
	if err != nil {
		return 0, err
	}
	if low < 0xdc00 || low > 0xdfff {
		return utf8.RuneError, c.doubtful("half a surrogate pair")
	}
	return 0x10000 + (r-0xd800)<<10 + (low - 0xdc00), nil
}

func (c *checker) fourHex() (rune, error) {
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
