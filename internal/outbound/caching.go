package outbound

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// restricted reports whether a response says how long it may be kept, or that it may not be (RFC 9111 §5.2.2).
func restricted(header http.Header) bool {
	for directive := range strings.SplitSeq(strings.Join(header.Values("Cache-Control"), ","), ",") {
		name, _, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache", "max-age":
			return true
		}
	}
	return false
}

// maxAge reads how long a response stays fresh (RFC 9111 §5.2.2). It is 0 when that is not said, cannot be read, or
// when the response must not be stored. Of several the first counts (§4.2.1).
func maxAge(header http.Header) time.Duration {
	var age time.Duration
	said := false
	for directive := range strings.SplitSeq(strings.Join(header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store":
			return 0
		case "max-age":
			seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
			if errors.Is(err, strconv.ErrRange) {
				err = nil // what does not fit is the largest that does (RFC 9111 §1.2.2)
			}
			if err == nil && !said {
				age, said = time.Duration(seconds)*time.Second, true
			}
		}
	}
	return age
}
