package adminapi

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"countersign/internal/adminapi/access"
	"countersign/internal/jose"
	"countersign/internal/strictjson"
)

const (
	// maxBody bounds what is sent, in bytes; maxClientBody where it may hold a key set.
	maxBody       = 64 << 10
	maxClientBody = maxBody + jose.MaxKeySetSize
	// defaultLimit and maxLimit are how many records are listed at once.
	defaultLimit, maxLimit = 50, 200
	// maxCursor bounds a cursor, in bytes.
	maxCursor = 2048
)

func encode(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

// write answers with JSON.
func write(w http.ResponseWriter, status int, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // nobody is there to be told of a connection that broke
	return nil
}

// nothing answers that it is done, and that there is nothing to say of it.
func nothing(w http.ResponseWriter) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func badRequest(format string, arguments ...any) error {
	return access.Problemf(http.StatusBadRequest, "invalid", format, arguments...)
}

// read reads a JSON object with the members of a struct, and no others, into it.
func read(r *http.Request, into any) error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return access.Problemf(http.StatusUnsupportedMediaType, "unsupported_media_type", "send application/json")
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	return parse(raw, into)
}

// parse is read for what was read.
func parse(raw []byte, into any) error {
	var members map[string]json.RawMessage
	if err := strictjson.DecodeObject(raw, &members); err != nil {
		return badRequest("the body is not a JSON object: %s", err)
	}
	known := membersOf(into)
	for name, value := range members {
		if !slices.Contains(known, name) {
			return badRequest("there is no member %q; there are %s", name, strings.Join(known, ", "))
		}
		if string(value) == "null" {
			return badRequest("the member %s is null; leave it out", name)
		}
	}
	if err := strictjson.Decode(raw, into); err != nil {
		return badRequest("the body: %s", err)
	}
	return nil
}

// membersOf are the names of a struct's members in JSON, sorted.
func membersOf(into any) (names []string) {
	of := reflect.TypeOf(into).Elem()
	for i := range of.NumField() {
		name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// parameters reads the query: each of the known ones once at most, and no others.
func parameters(r *http.Request, known ...string) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("the query cannot be read")
	}
	for name, given := range values {
		if !slices.Contains(known, name) {
			return nil, badRequest("there is no parameter %q; there are: %s", name, strings.Join(known, ", "))
		}
		if len(given) != 1 {
			return nil, badRequest("the parameter %s comes several times", name)
		}
		if !storable(given[0]) {
			return nil, badRequest("the parameter %s holds characters that nothing stored has", name)
		}
	}
	return values, nil
}

// named is an identifier in the path; one that nothing can have is not found.
func named(r *http.Request, name string) (string, error) {
	value := r.PathValue(name)
	if len(value) > 2048 || !storable(value) {
		return "", access.Problemf(http.StatusNotFound, "not_found", "nothing has this identifier")
	}
	return value, nil
}

// flag reads a parameter that is true or false; absent is false.
func flag(values url.Values, name string) (bool, error) {
	switch values.Get(name) {
	case "":
		if values.Has(name) {
			return false, badRequest("%s must be true or false", name)
		}
		return false, nil
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, badRequest("%s must be true or false", name)
}

// pageOf is a part of a list that was asked for.
type pageOf struct {
	limit int
	after cursor
	// list is what its cursors bear.
	list string
}

// cursor is a position in a list: after the record with a key, of a time or number where the list is in such an order. It is opaque
// to operators, and no secret.
type cursor struct {
	Key    string `json:"k,omitempty"`
	Micros int64  `json:"t,omitempty"`
	Number uint64 `json:"n,omitempty"`
	// List is that of the list which it is a position in, so that it is taken for none of another.
	List string `json:"l,omitempty"`
}

// At is the time of the position.
func (c cursor) At() time.Time {
	if c.Micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(c.Micros).UTC()
}

func (c cursor) String() string {
	raw, err := json.Marshal(c)
	if err != nil {
		return "" // impossible: it holds texts and numbers
	}
	return encode(raw)
}

// farthest bounds the times of cursors, so that every store takes them.
const farthest = 253402300799 * 1e6

func parseCursor(text string) (c cursor, err error) {
	if text == "" {
		return c, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(text) > maxCursor || strictjson.DecodeObject(raw, &c) != nil || c.Micros < 0 || c.Micros > farthest || c.Number > 1<<62 || c == (cursor{}) ||
		!storable(c.Key) {
		return cursor{}, errCursor()
	}
	return c, nil
}

// errCursor is the problem of a cursor that this list did not give.
func errCursor() error {
	return badRequest("the cursor is not one of this list; leave it out to begin, and choose the same as when it was given")
}

// listOf tells lists apart: by the path, and by what is chosen of them.
func listOf(r *http.Request, values url.Values) string {
	chosen := url.Values{}
	for name, value := range values {
		if name != "limit" && name != "cursor" {
			chosen[name] = value
		}
	}
	digest := sha256.Sum256([]byte(r.URL.Path + "?" + chosen.Encode()))
	return encode(digest[:9])
}

// pageFrom reads limit and cursor.
func pageFrom(r *http.Request, values url.Values) (p pageOf, err error) {
	p.limit, p.list = defaultLimit, listOf(r, values)
	if values.Has("limit") {
		p.limit, err = strconv.Atoi(values.Get("limit"))
		if err != nil || p.limit < 1 || p.limit > maxLimit {
			return p, badRequest("limit must be 1 to %d", maxLimit)
		}
	}
	p.after, err = parseCursor(values.Get("cursor"))
	if err == nil && p.after != (cursor{}) && p.after.List != p.list {
		err = errCursor()
	}
	return p, err
}

// listed is a part of a list.
type listed[T any] struct {
	Items []T `json:"items"`
	// Next is the cursor of the next part; empty after the last.
	Next string `json:"next_cursor,omitempty"`
}

// byKey is the position of a record in a list that is in the order of its keys.
func byKey[T any](key func(T) string) func(T) cursor {
	return func(one T) cursor { return cursor{Key: key(one)} }
}

// sorted is a part of a list of few, read as a whole, in the order of its keys, which are all different.
func sorted[T any](all []T, p pageOf, key func(T) string) listed[T] {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b T) int { return strings.Compare(key(a), key(b)) })
	from := 0
	if p.after.Key != "" {
		from = sort.Search(len(all), func(i int) bool { return key(all[i]) > p.after.Key })
	}
	return cut(all[from:], p, byKey(key))
}

// cut makes a part of the rest of a list, of which one record more was read than is wanted.
func cut[T any](rest []T, p pageOf, position func(T) cursor) listed[T] {
	if len(rest) <= p.limit {
		return listed[T]{Items: append([]T{}, rest...)}
	}
	rest = rest[:p.limit]
	last := position(rest[p.limit-1])
	last.List = p.list
	return listed[T]{Items: rest, Next: last.String()}
}

// etag writes an entity tag.
func etag(w http.ResponseWriter, value string) { w.Header().Set("ETag", quoted(value)) }

func quoted(value string) string { return `"` + value + `"` }

// version reads the one strong entity tag that a change names (RFC 9110 §13.1.1).
func version(r *http.Request) (string, error) {
	given := r.Header.Values("If-Match")
	if len(given) == 0 {
		return "", access.Problemf(http.StatusPreconditionRequired, "precondition_required",
			"say with If-Match which version is to be changed: the ETag that was read")
	}
	text := given[0]
	if len(given) != 1 || len(text) < 2 || len(text) > 200 || text[0] != '"' || text[len(text)-1] != '"' || strings.ContainsAny(text[1:len(text)-1], "\"\\") {
		return "", stale("If-Match must be one ETag that was read, with its quotes")
	}
	return text[1 : len(text)-1], nil
}

// number is version for one that is a number.
func number(r *http.Request) (int, error) {
	text, err := version(r)
	if err != nil {
		return 0, err
	}
	value, err := strconv.Atoi(text)
	if err != nil || value < 1 || strconv.Itoa(value) != text {
		return 0, stale("there is no version %q", text)
	}
	return value, nil
}

func stale(format string, arguments ...any) error {
	return access.Problemf(http.StatusPreconditionFailed, "changed_meanwhile", format, arguments...)
}

// creates reports whether a PUT is to create: it has If-None-Match: *, and not If-Match.
func creates(r *http.Request) (bool, error) {
	if !slices.Contains(r.Header.Values("If-None-Match"), "*") {
		return false, nil
	}
	if len(r.Header.Values("If-None-Match")) > 1 || len(r.Header.Values("If-Match")) > 0 {
		return false, badRequest("If-None-Match: * creates, If-Match changes; give one of them")
	}
	return true, nil
}

// exists is the problem of a creation of what there is.
func exists(kind, name string) error {
	return access.Problemf(http.StatusPreconditionFailed, "exists", "there is a %s %q already", kind, name)
}

// storable reports whether a text is one that a store can keep: UTF-8 without control characters.
func storable(text string) bool {
	return strings.ToValidUTF8(text, "") == text && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func location(w http.ResponseWriter, parts ...string) {
	path := Base
	for _, part := range parts {
		path += "/" + url.PathEscape(part)
	}
	w.Header().Set("Location", path)
}
