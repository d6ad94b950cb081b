// Package web decides about requests of browsers: what they accept, and where they may be sent.
package web

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// WantsPage reports whether a request is for something that a user looks at: it accepts HTML by name.
func WantsPage(r *http.Request) bool {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" && mode != "navigate" {
		return false
	}
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept"), ","), ",") {
		kind, parameters, _ := strings.Cut(part, ";")
		kind = strings.ToLower(strings.TrimSpace(kind))
		if (kind == "text/html" || kind == "application/xhtml+xml") && !refusedByQuality(parameters) {
			return true
		}
	}
	return false
}

// refusedByQuality reports whether parameters of Accept have q=0 (RFC 9110 §12.4.2).
func refusedByQuality(parameters string) bool {
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		if !strings.EqualFold(name, "q") {
			continue
		}
		quality, err := strconv.ParseFloat(value, 64)
		return err == nil && quality == 0
	}
	return false
}

// LocalPath is the path, with its query, of an address of the application's origin: given as a path, or whole. It refuses everything that a browser could
// take for another origin.
func LocalPath(base, address string) (string, bool) {
	if rest, ok := strings.CutPrefix(address, base); ok && (rest == "" || rest[0] == '/' || rest[0] == '?') {
		address = "/" + strings.TrimPrefix(rest, "/")
	}
	if len(address) > maxReturnTo || !strings.HasPrefix(address, "/") || strings.HasPrefix(address, "//") {
		return "", false
	}
	for i := range len(address) {
		if c := address[i]; c <= ' ' || c > '~' || c == '\\' {
			return "", false
		}
	}
	target, err := url.Parse(address)
	if err != nil || target.Host != "" || target.Scheme != "" || target.User != nil || strings.HasPrefix(target.Path, "//") {
		return "", false
	}
	return address, true
}

// maxReturnTo is the size of an address to return to, in bytes: it is kept in a cookie.
const maxReturnTo = 1024
