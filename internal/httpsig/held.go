package httpsig

import (
	"bytes"
	"cmp"
	"errors"
	"maps"
	"net/http"
)

// ErrTooLarge is what writes to a [Held] more than it holds.
var ErrTooLarge = errors.New("httpsig: the answer is larger than what is held for its signature")

// Held is an answer that is held until it is signed. It shares the header of the real one. Make one with [Hold].
type Held struct {
	// Status is that of the answer, 0 before there is one, and Body what it has.
	Status int
	Body   bytes.Buffer
	// TooLarge is whether something is missing in Body.
	TooLarge bool

	header, before http.Header
	most           int64
}

var _ http.ResponseWriter = (*Held)(nil)

// Hold begins an answer whose body has at most so many bytes; 0 is no bound.
func Hold(w http.ResponseWriter, most int64) *Held {
	return &Held{header: w.Header(), before: w.Header().Clone(), most: most}
}

// Header implements http.ResponseWriter.
func (h *Held) Header() http.Header { return h.header }

// WriteHeader implements http.ResponseWriter. Informational answers are not passed on.
func (h *Held) WriteHeader(status int) {
	if status >= http.StatusOK {
		h.Status = cmp.Or(h.Status, status)
	}
}

// Write implements http.ResponseWriter. The error is [ErrTooLarge].
func (h *Held) Write(part []byte) (int, error) {
	h.WriteHeader(http.StatusOK)
	if h.most > 0 && int64(h.Body.Len()+len(part)) > h.most {
		h.TooLarge = true
		return 0, ErrTooLarge
	}
	return h.Body.Write(part)
}

// Drop takes back all that was put into the header since [Hold], so that another answer can take the place of this one: a
// Content-Length, a cookie or a challenge would be wrong with it.
func (h *Held) Drop() {
	clear(h.header)
	maps.Copy(h.header, h.before)
}
