package adminapi

import "encoding/json"

// ParseBody reads a body as that of a new user is read, and writes it again.
func ParseBody(raw []byte) ([]byte, error) {
	var body personBody
	if err := parse(raw, &body); err != nil {
		return nil, err
	}
	return json.Marshal(body)
}

// ParseCursor reads a cursor, and writes it again.
func ParseCursor(text string) (string, error) {
	c, err := parseCursor(text)
	return c.String(), err
}
