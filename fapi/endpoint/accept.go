package endpoint

import (
	"mime"
	"slices"
	"strconv"
	"strings"
)

// Prefers reports whether an Accept header prefers a media type to JSON (RFC 9110 §12.5.1): it has to be named, since neither a
// JWT nor a page is what a wildcard expects, with a weight that is not zero and not less than that of JSON.
func Prefers(header, media string) bool {
	weight, ofJSON, closest := -1.0, -1.0, -1
	ranges := []string{"*/*", "application/*", "application/json"} // the closest one decides
	for item := range strings.SplitSeq(header, ",") {
		named, parameters, err := mime.ParseMediaType(item)
		q, correct := weightOf(parameters)
		if err != nil || !correct {
			continue
		}
		if named == media {
			weight = max(weight, q)
		}
		switch at := slices.Index(ranges, named); {
		case at > closest:
			closest, ofJSON = at, q
		case at >= 0 && at == closest:
			ofJSON = max(ofJSON, q)
		}
	}
	return weight > 0 && weight >= ofJSON
}

// weightOf reads the parameter q, which is 1 when there is none.
func weightOf(parameters map[string]string) (q float64, correct bool) {
	text, given := parameters["q"]
	if !given {
		return 1, true
	}
	if strings.Trim(text, "0123456789.") != "" { // no sign, exponent, NaN or Inf
		return 0, false
	}
	q, err := strconv.ParseFloat(text, 64)
	return q, err == nil && q <= 1
}
