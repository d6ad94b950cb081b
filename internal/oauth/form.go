package oauth

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// MaxBody is the largest request body read, in bytes.
	MaxBody = 64 << 10
	// MaxParameters is the largest number of parameters in one request.
	MaxParameters = 100
)

// Form holds the parameters of a request: each at most once (RFC 6749 §3.1), except those that may repeat.
// Parameters without a value count as omitted.
type Form struct {
	values url.Values
}

// mayRepeat are the parameters that a specification allows more than once: resource (RFC 8707 §2).
var mayRepeat = []string{"resource"}

// NewForm checks raw parameters.
func NewForm(raw url.Values) (Form, error) {
	if len(raw) > MaxParameters {
		return Form{}, Errorf(InvalidRequest, "too many parameters: at most %d are read", MaxParameters)
	}
	values := make(url.Values, len(raw))
	for name, list := range raw {
		if !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
			return Form{}, Errorf(InvalidRequest, "a parameter name is not valid UTF-8")
		}
		for _, value := range list {
			if !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
				return Form{}, Errorf(InvalidRequest, "the value of %q is not valid UTF-8", shorten(name))
			}
		}
		if len(list) > 1 && !slices.Contains(mayRepeat, name) {
			return Form{}, Errorf(InvalidRequest, "the parameter %q is given more than once", shorten(name))
		}
		if slices.Contains(list, "") {
			list = slices.DeleteFunc(slices.Clone(list), func(value string) bool { return value == "" })
		}
		if len(list) > 0 {
			values[name] = list
		}
	}
	return Form{values: values}, nil
}

// ReadForm reads the parameters of a POST from its body, which must be application/x-www-form-urlencoded and
// at most [MaxBody] long. Parameters in the address are refused, so that none can be smuggled past a log.
func ReadForm(w http.ResponseWriter, r *http.Request) (Form, error) {
	if r.URL.RawQuery != "" {
		return Form{}, Errorf(InvalidRequest, "parameters belong into the body of the request, not into its address")
	}
	kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return Form{}, Errorf(InvalidRequest, "the Content-Type must be application/x-www-form-urlencoded").
			WithStatus(http.StatusUnsupportedMediaType)
	}
	if charset, ok := parameters["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return Form{}, Errorf(InvalidRequest, "the charset must be UTF-8").WithStatus(http.StatusUnsupportedMediaType)
	}
	body, err := ReadBody(w, r)
	if err != nil {
		return Form{}, err
	}
	return parse(string(body))
}

// ReadBody reads the body of a request, which must be at most [MaxBody] long. It can be read again afterwards.
func ReadBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := readAll(http.MaxBytesReader(w, r.Body, MaxBody), r.ContentLength)
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, Errorf(InvalidRequest, "the body is larger than %d bytes", MaxBody).
			WithStatus(http.StatusRequestEntityTooLarge)
	}
	if err != nil {
		return nil, Errorf(InvalidRequest, "the body could not be read").Because(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body, nil
}

// readAll is [io.ReadAll] with room for what was announced, and for the end after it.
func readAll(from io.Reader, announced int64) ([]byte, error) {
	if announced <= 0 || announced > MaxBody {
		return io.ReadAll(from)
	}
	into := bytes.NewBuffer(make([]byte, 0, announced+bytes.MinRead))
	_, err := into.ReadFrom(from)
	return into.Bytes(), err
}

// ReadQuery reads the parameters in the address of a GET.
func ReadQuery(r *http.Request) (Form, error) {
	if len(r.URL.RawQuery) > MaxBody {
		return Form{}, Errorf(InvalidRequest, "the query is longer than %d bytes", MaxBody).
			WithStatus(http.StatusRequestURITooLong)
	}
	return parse(r.URL.RawQuery)
}

func parse(encoded string) (Form, error) {
	if strings.Count(encoded, "&") >= 2*MaxParameters {
		return Form{}, Errorf(InvalidRequest, "too many parameters: at most %d are read", MaxParameters)
	}
	values, err := url.ParseQuery(encoded)
	if err != nil {
		return Form{}, Errorf(InvalidRequest, "the parameters are not correctly form-encoded").Because(err)
	}
	return NewForm(values)
}

// Get returns a parameter's value, or "" when it is omitted.
func (f Form) Get(name string) string { return f.values.Get(name) }

// Has reports whether a parameter is given.
func (f Form) Has(name string) bool { return f.values.Has(name) }

// All returns every value of a parameter that may repeat.
func (f Form) All(name string) []string { return f.values[name] }

// Values returns a copy of all parameters.
func (f Form) Values() url.Values {
	values := make(url.Values, len(f.values))
	for name, list := range f.values {
		values[name] = slices.Clone(list)
	}
	return values
}

// shorten keeps an attacker's text from filling a description.
func shorten(text string) string {
	if len(text) > 40 {
		return text[:40] + "..."
	}
	return text
}
