// Package rfc7512 reads and writes the PKCS #11 URIs that address tokens and their keys (RFC 7512).
package rfc7512

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// URI is the part of an RFC 7512 address that finds a token or a key in it. Slot numbers are not part of it: modules
// renumber their slots.
type URI struct {
	// Token is the token's label.
	Token string
	// Serial is the token's serial number, or empty.
	Serial string
	// ID is CKA_ID, or nil.
	ID []byte
	// Object is CKA_LABEL, or empty.
	Object string
}

// maxURI bounds an address, in bytes.
const maxURI = 1024

// Parse reads an RFC 7512 address. A PIN in it is refused, as is everything that is not used.
func Parse(text string) (URI, error) {
	rest, ok := strings.CutPrefix(text, "pkcs11:")
	if !ok || len(text) > maxURI {
		return URI{}, errors.New("pkcs11: an address begins with pkcs11: and is at most 1024 bytes long (RFC 7512)")
	}
	path, query, _ := strings.Cut(rest, "?")
	if query != "" {
		// Not repeated here: it may hold a PIN.
		return URI{}, errors.New("pkcs11: an address with a query is refused: the PIN and the module are configured apart")
	}
	var uri URI
	seen := map[string]bool{}
	for part := range strings.SplitSeq(path, ";") {
		name, encoded, found := strings.Cut(part, "=")
		value, err := url.PathUnescape(encoded)
		if !found || err != nil {
			return URI{}, fmt.Errorf("pkcs11: %q is not name=value of RFC 7512", part)
		}
		if seen[name] {
			return URI{}, fmt.Errorf("pkcs11: %s is given twice", name)
		}
		seen[name] = true
		switch name {
		case "token":
			uri.Token = value
		case "serial":
			uri.Serial = value
		case "id":
			uri.ID = []byte(value)
		case "object":
			uri.Object = value
		case "type":
			if value != "private" {
				return URI{}, errors.New("pkcs11: type can only be private")
			}
		default:
			return URI{}, fmt.Errorf("pkcs11: the attribute %q is not used; known are token, serial, id, object, type", name)
		}
	}
	if uri.Token == "" {
		return URI{}, errors.New("pkcs11: token=LABEL is missing")
	}
	if len(uri.String()) > maxURI {
		return URI{}, fmt.Errorf("pkcs11: an address is at most %d bytes long when its values are encoded as RFC 7512 §2.3 wants", maxURI)
	}
	return uri, nil
}

// String writes the address as RFC 7512 §2.3 wants it.
func (u URI) String() string {
	parts := []string{"token=" + escape(u.Token)}
	if u.Serial != "" {
		parts = append(parts, "serial="+escape(u.Serial))
	}
	if len(u.ID) > 0 {
		var id strings.Builder
		for _, b := range u.ID {
			fmt.Fprintf(&id, "%%%02X", b)
		}
		parts = append(parts, "id="+id.String())
	}
	if u.Object != "" {
		parts = append(parts, "object="+escape(u.Object))
	}
	return "pkcs11:" + strings.Join(parts, ";")
}

// escape writes everything but unreserved characters as %XX.
func escape(text string) string {
	var out strings.Builder
	for _, b := range []byte(text) {
		if b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || strings.IndexByte("-._~", b) >= 0 {
			out.WriteByte(b)
		} else {
			fmt.Fprintf(&out, "%%%02X", b)
		}
	}
	return out.String()
}
