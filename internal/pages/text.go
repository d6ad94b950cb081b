package pages

import (
	"net/url"
	"strings"
	"unicode"
)

// Limits on texts, in characters.
const (
	nameLimit     = 60
	idLimit       = 128
	hostLimit     = 255
	sentenceLimit = 400
	maxUsername   = 200
	maxAddress    = 2000
)

// maxMarks is how many combining marks may follow each other; written languages need up to four.
const maxMarks = 4

// plain makes text safe to display: one line, at most limit characters, without invisible characters and those that
// move other text: controls, bidirectional overrides, zero-width characters, stacked combining marks. Escaping is
// done by the template.
func plain(text string, limit int) string {
	var clean strings.Builder
	count, marks, gap := 0, 0, false
	for _, r := range text { // what is not UTF-8 becomes U+FFFD
		switch {
		case isBlank(r):
			gap = count > 0
			continue
		case !unicode.IsPrint(r):
			continue
		case unicode.In(r, unicode.Mn, unicode.Me):
			if marks++; marks > maxMarks || count == 0 || gap {
				continue
			}
		default:
			marks = 0
		}
		if gap {
			if count+1 >= limit {
				return clean.String() + "…"
			}
			clean.WriteByte(' ')
			count, gap = count+1, false
		}
		if count == limit {
			return clean.String() + "…"
		}
		clean.WriteRune(r)
		count++
	}
	return clean.String()
}

// isBlank reports whether r looks like a space, the letters that look like nothing included.
func isBlank(r rune) bool {
	switch r {
	case '\u115f', '\u1160', '\u2800', '\u3164', '\uffa0':
		return true
	}
	return unicode.IsSpace(r) || unicode.In(r, unicode.Z)
}

// https returns the address if it may be a link, otherwise "".
func https(address string) string {
	if u, err := url.Parse(address); err != nil || len(address) > maxAddress || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return ""
	}
	return address
}
