// Package filename tells names of files from secrets that were put in their place.
package filename

import (
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// namePart is a part of a file's name as people give it; whatever is longer may be a secret.
var namePart = regexp.MustCompile(`^[A-Za-z0-9._@-]{1,40}$`)

// Is reports whether a text can only be the name of a file, and not a secret that was put in its place: it ends as
// such files do, or is called as they are. A PIN, a password, a database's address and base64 are none. The folder proves
// nothing: it is that of the configuration where the text has none.
func Is(text string) bool {
	unknown := text
	for folder := path.Dir(text); folder != "."; folder = path.Dir(folder) {
		if _, err := os.Stat(folder); err == nil {
			unknown = strings.TrimPrefix(text, folder) // a folder that exists is no secret
			break
		}
	}
	for part := range strings.SplitSeq(strings.TrimPrefix(unknown, "/"), "/") {
		if !namePart.MatchString(part) || len(part) >= 16 && random(part) {
			return false
		}
	}
	base := path.Base(text)
	if slices.Contains([]string{"pin", "hsm-pin", "token-pin", "user-pin", "passphrase", "database-url", "store-url", "otlp-headers"}, base) {
		return true
	}
	ending := strings.ToLower(path.Ext(base))
	endings := []string{".key", ".keys", ".pem", ".crt", ".pin", ".txt", ".url", ".secret", ".pass", ".conf", ".jwk", ".json", ".headers"}
	return slices.Contains(endings, ending) && strings.ContainsFunc(strings.TrimSuffix(base, path.Ext(base)), unicode.IsLetter)
}

// random reports whether a text has capital letters, small ones and digits, as generated secrets do.
func random(text string) bool {
	return strings.ContainsFunc(text, unicode.IsUpper) && strings.ContainsFunc(text, unicode.IsLower) && strings.ContainsFunc(text, unicode.IsDigit)
}
