package ciba

import (
	"unicode"
	"unicode/utf8"
)

// MaxBindingMessage is the length of a binding message, in characters: what a telephone shows without scrolling.
const MaxBindingMessage = 100

// CheckBindingMessage reports whether a user can read a message on two devices and compare it (CIBA Core §7.1): one line
// of printable characters, without invisible ones or marks that change the direction of writing, and without letters
// of scripts that look alike side by side. Errors are of type [*Error].
func CheckBindingMessage(message string) error {
	if !utf8.ValidString(message) {
		return refuse(InvalidBindingMessage, "binding_message is no correct UTF-8")
	}
	if utf8.RuneCountInString(message) > MaxBindingMessage {
		return refuse(InvalidBindingMessage, "binding_message has more than %d characters", MaxBindingMessage)
	}
	alike := map[*unicode.RangeTable]bool{}
	marks, visible := 0, false
	for _, r := range message {
		marks = countMark(marks, r)
		switch {
		case r != ' ' && !unicode.IsPrint(r):
			return refuse(InvalidBindingMessage, "binding_message holds U+%04X, which cannot be seen; printable characters and plain spaces are right", r)
		case marks > 2:
			return refuse(InvalidBindingMessage, "binding_message heaps marks upon a letter")
		case r >= 0xFF00 && r <= 0xFFEF, r >= 0x1D400 && r <= 0x1D7FF, r == 0x2800, unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r), unicode.Is(unicode.Variation_Selector, r):
			return refuse(InvalidBindingMessage, "binding_message holds U+%04X, which looks like another character or like none", r)
		}
		visible = visible || r != ' '
		for _, script := range []*unicode.RangeTable{unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Armenian, unicode.Cherokee, unicode.Coptic} {
			if unicode.Is(script, r) {
				alike[script] = true
			}
		}
	}
	if len(alike) > 1 {
		return refuse(InvalidBindingMessage, "binding_message mixes scripts whose letters look alike; one of them is right")
	}
	if !visible {
		return refuse(InvalidBindingMessage, "binding_message is empty")
	}
	return nil
}

// countMark counts how many marks are in a row.
func countMark(before int, r rune) int {
	if unicode.IsMark(r) {
		return before + 1
	}
	return 0
}
