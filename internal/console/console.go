// Package console writes values for people at a terminal.
package console

import (
	"fmt"
	"strings"
	"time"
)

// Count is a number of things with their noun: "1 key", "2 keys".
func Count(count int, noun string) string {
	if count == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", count, noun)
}

// Entries counts entries of a log.
func Entries(count int) string {
	if count == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", count)
}

// OneLine replaces control characters, so that stored text cannot write outside its place in a table.
func OneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, text)
}

// Time is a time in UTC for a table, as RFC 3339 writes it, or "-" for none.
func Time(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// YesNo is "yes" or "no".
func YesNo(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}
