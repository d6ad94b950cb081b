package session

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// HostPrefix begins the names of cookies that are Secure, of one host, and of all its paths (draft-ietf-httpbis-rfc6265bis, The __Host- Prefix).
	HostPrefix = "__Host-"
	// maxChunk is the size of a value in bytes. Browsers store 4,096 with the name and the attributes (RFC 6265 §6.1).
	maxChunk = 3800
	// maxChunks bounds what is read.
	maxChunks = 8
	// DefaultMaxSize is the size of all cookies of a sealed session, in bytes. Common servers refuse a header line of more than
	// 8,192, and there are other cookies.
	DefaultMaxSize = 6144
)

// TooLargeError is a session that does not fit into cookies.
type TooLargeError struct {
	// Size is that of the cookies, and Limit what they may have, in bytes.
	Size, Limit int
}

// Error says what to do about it.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("session: %d bytes sealed, and cookies may have %d: keep less in the session, or keep sessions in a store", e.Size, e.Limit)
}

// NewCookie makes a cookie of this host; it is removed at the given age, or with the browser if that is 0. SameSite is Lax.
func NewCookie(name, value string, age time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(age / time.Second),
	}
}

// RemoveCookie makes the browser forget a cookie.
func RemoveCookie(w http.ResponseWriter, name string) {
	cookie := NewCookie(name, "", 0)
	cookie.MaxAge = -1
	SetCookie(w, cookie)
}

// SetCookie sets a cookie in place of what the response has set of the same name.
func SetCookie(w http.ResponseWriter, cookie *http.Cookie) {
	unset(w, cookie.Name)
	http.SetCookie(w, cookie)
}

// unset takes back what the response has set.
func unset(w http.ResponseWriter, name string) {
	header := w.Header()
	header["Set-Cookie"] = slices.DeleteFunc(header["Set-Cookie"], func(line string) bool { return strings.HasPrefix(line, name+"=") })
}

// chunkName is the name of a part of a value, from 1.
func chunkName(name string, part int) string {
	if part == 1 {
		return name
	}
	return name + "-" + strconv.Itoa(part)
}

// setChunks sets a value in as many cookies as it needs: the first begins with their number and "~". It removes further ones that the request brought.
func setChunks(w http.ResponseWriter, r *http.Request, name, value string, age time.Duration, limit int) error {
	if len(value) > limit {
		return &TooLargeError{Size: len(value), Limit: limit}
	}
	parts := max(1, (len(value)+maxChunk-1)/maxChunk)
	for part := 1; part <= parts; part++ {
		chunk := value[(part-1)*maxChunk : min(part*maxChunk, len(value))]
		if part == 1 {
			chunk = strconv.Itoa(parts) + "~" + chunk
		}
		SetCookie(w, NewCookie(chunkName(name, part), chunk, age))
	}
	removeChunks(w, r, name, parts+1)
	return nil
}

// removeChunks removes the cookies of a value, from a part on, that the request brought.
func removeChunks(w http.ResponseWriter, r *http.Request, name string, from int) {
	for part := from; part <= maxChunks; part++ {
		if _, err := r.Cookie(chunkName(name, part)); err == nil {
			RemoveCookie(w, chunkName(name, part))
		}
	}
}

// unsetChunks takes back what setChunks has set and removed: the browser keeps what it has.
func unsetChunks(w http.ResponseWriter, name string) {
	for part := 1; part <= maxChunks; part++ {
		unset(w, chunkName(name, part))
	}
}

// readChunks is the reverse of setChunks. It returns ErrNone without a cookie, and ErrTampered if a part is missing.
func readChunks(r *http.Request, name string) (string, error) {
	first, err := r.Cookie(name)
	if err != nil {
		return "", ErrNone
	}
	number, value, ok := strings.Cut(first.Value, "~")
	parts, err := strconv.Atoi(number)
	if !ok || err != nil || parts < 1 || parts > maxChunks {
		return "", ErrTampered
	}
	if parts == 1 {
		return value, nil
	}
	var whole strings.Builder
	whole.WriteString(value)
	for part := 2; part <= parts; part++ {
		cookie, err := r.Cookie(chunkName(name, part))
		if err != nil {
			return "", ErrTampered
		}
		whole.WriteString(cookie.Value)
	}
	return whole.String(), nil
}
