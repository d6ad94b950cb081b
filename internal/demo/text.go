package demo

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"countersign/internal/flowclient"
)

// longest is how much of a value is shown whole, in characters, and of a text with spaces in bytes.
const (
	longest     = 60
	longestText = 1000
)

// secrets are the parameters, members and headers that are never shown whole.
var secrets = map[string]bool{
	"access_token": true, "refresh_token": true, "id_token": true, "code": true, "code_verifier": true, "request_uri": true,
	"client_assertion": true, "password": true, "state": true, "nonce": true, "dpop-nonce": true,
}

// shown prepares a value for the screen: nothing that a terminal could obey, no secret whole, and no more than somebody
// reads.
func shown(name, text string) string {
	text = flowclient.Printable(text)
	switch {
	case secrets[strings.ToLower(name)] || strings.HasPrefix(text, "eyJ"):
		return fmt.Sprintf("%s…(%d bytes)", clip(text, min(8, len(text)/4)), len(text))
	case strings.Contains(text, " "), strings.HasPrefix(text, "https://"):
		return clipped(text, longestText)
	case utf8.RuneCountInString(text) > longest, looksRandom(text):
		return clip(text, 8) + "…"
	}
	return text
}

// looksRandom tells random values and digests apart: 43 characters of base64url are 256 bits.
func looksRandom(text string) bool {
	return len(text) >= 40 && !strings.ContainsAny(text, "/:.@")
}

// clip is the beginning of a text, in characters.
func clip(text string, most int) string {
	for i := range text {
		if most == 0 {
			return text[:i]
		}
		most--
	}
	return text
}

// clipped is a text, with a mark if something of it was left out.
func clipped(text string, most int) string {
	if shorter := clip(text, most); shorter != text {
		return shorter + "…"
	}
	return text
}

// wrap breaks a text at its spaces. A word that is longer than a line stays whole.
func wrap(text string, most int) []string {
	var lines []string
	line := ""
	for word := range strings.SplitSeq(text, " ") {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > most {
			lines = append(lines, line)
			line = word
			continue
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
