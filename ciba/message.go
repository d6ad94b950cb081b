package ciba

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxBindingMessage is the length of a binding message, in characters: what a telephone shows without scrolling.
const MaxBindingMessage = 100

// CheckBindingMessage reports whether a user can read a message on two devices and compare it (CIBA Core §7.1): one line
// of printable characters, without invisible ones or marks that change the direction of writing, and without letters
// of scripts that look alike in one word. A space may be any separator of Unicode's category Zs, as amounts of money are
// written with (see [Plain]), and joiners are right where the spelling of a script has them. Errors are of type
// [*Error].
func CheckBindingMessage(message string) error {
	return checkBindingMessage(message, MaxBindingMessage)
}

func checkBindingMessage(message string, most int) error {
	if !utf8.ValidString(message) {
		return refuse(InvalidBindingMessage, "binding_message is no correct UTF-8")
	}
	if utf8.RuneCountInString(message) > most {
		return refuse(InvalidBindingMessage, "binding_message has more than %d characters", most)
	}
	var marks heap
	var inWord *unicode.RangeTable
	visible := false
	runes := []rune(message)
	for i, r := range runes {
		if isJoiner(r) && joins(runes, i) {
			continue
		}
		marks.add(r)
		space := unicode.Is(unicode.Zs, r)
		switch {
		case !space && !unicode.IsPrint(r):
			return refuse(InvalidBindingMessage, "binding_message holds U+%04X, which cannot be seen; printable characters and plain spaces are right", r)
		case marks.tooHigh():
			return refuse(InvalidBindingMessage, "binding_message heaps marks upon a letter")
		case unusualForm(r), r >= 0x1D400 && r <= 0x1D7FF, r == 0x2800, unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r), unicode.Is(unicode.Variation_Selector, r):
			return refuse(InvalidBindingMessage, "binding_message holds U+%04X, which looks like another character or like none", r)
		}
		visible = visible || !space
		if !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r) {
			inWord = nil
		}
		script := lookalike(r)
		if script != nil && inWord != nil && script != inWord {
			return refuse(InvalidBindingMessage, "binding_message mixes scripts whose letters look alike in one word; one of them is right")
		}
		if script != nil {
			inWord = script
		}
	}
	if !visible {
		return refuse(InvalidBindingMessage, "binding_message is empty")
	}
	return nil
}

// Plain returns a message as it is shown: with a plain space for each separator of Unicode's category Zs, since those of other
// widths and those that do not break look like one, and without the marks of direction that amounts of money have in Arabic,
// Hebrew and Persian, so that they direct nothing.
func Plain(message string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Zs, r):
			return ' '
		case r == '\u200e' || r == '\u200f' || r == '\u061c': // left-to-right, right-to-left and Arabic letter mark
			return -1
		}
		return r
	}, message)
}

// lookalike returns the script of a letter, if it is one of those whose letters look alike.
func lookalike(r rune) *unicode.RangeTable {
	for _, script := range [...]*unicode.RangeTable{
		unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Armenian, unicode.Cherokee, unicode.Coptic,
	} {
		if unicode.Is(script, r) {
			return script
		}
	}
	return nil
}

// unusualForm reports whether a character is one of the halfwidth and fullwidth forms that look like others. Punctuation,
// digits and currency signs of full width are how Chinese and Japanese are written, katakana of half width how Japanese banks
// write names.
func unusualForm(r rune) bool {
	if r < 0xFF00 || r > 0xFFEF {
		return false
	}
	letter := r >= 0xFF21 && r <= 0xFF3A || r >= 0xFF41 && r <= 0xFF5A
	usual := r >= 0xFF01 && r <= 0xFF9F && !letter || slices.Contains([]rune{0xFFE0, 0xFFE1, 0xFFE5, 0xFFE6}, r)
	return !usual
}

// The zero-width non-joiner and joiner.
const (
	nonJoiner = 0x200C
	joiner    = 0x200D
)

func isJoiner(r rune) bool { return r == nonJoiner || r == joiner }

// joins reports whether the joiner at i belongs to the spelling of its word, much as RFC 5892 Appendix A.1 and A.2 has it:
// between two letters of a cursive script, or after a virama. At the ends, doubled, and in other scripts it is invisible.
func joins(runes []rune, i int) bool {
	if i == 0 || i == len(runes)-1 || isJoiner(runes[i-1]) || isJoiner(runes[i+1]) || unicode.IsMark(runes[i+1]) {
		return false
	}
	base := i - 1
	for base >= 0 && unicode.IsMark(runes[base]) {
		base--
	}
	if base < 0 || !unicode.IsLetter(runes[base]) {
		return false
	}
	if slices.Contains(viramas[:], runes[i-1]) {
		return true
	}
	for _, script := range cursive() {
		if unicode.Is(script, runes[base]) {
			return unicode.IsLetter(runes[i+1]) && unicode.Is(script, runes[i+1])
		}
	}
	return false
}

// cursive are the scripts whose letters join, and in which a joiner changes what is seen.
func cursive() []*unicode.RangeTable {
	return []*unicode.RangeTable{unicode.Arabic, unicode.Syriac, unicode.Mandaic, unicode.Nko, unicode.Mongolian, unicode.Phags_Pa, unicode.Adlam}
}

// viramas are the signs that take the vowel from a letter (canonical combining class 9) in living scripts of India and
// South East Asia.
var viramas = [...]rune{
	0x094D, 0x09CD, 0x0A4D, 0x0ACD, 0x0B4D, 0x0BCD, 0x0C4D, 0x0CCD, 0x0D4D, 0x0DCA, 0x0F84, 0x1039, 0x103A, 0x17D2, 0x1B44, 0xA9C0,
}

// heap counts the marks in a row: all, and those that any letter may have.
type heap struct{ all, general int }

func (h *heap) add(r rune) {
	switch {
	case !unicode.IsMark(r):
		*h = heap{}
	case unicode.Is(unicode.Inherited, r):
		h.all, h.general = h.all+1, h.general+1
	default:
		h.all++
	}
}

// tooHigh reports whether there are more than a script needs: two that go with any letter, and five in all, as syllables of
// Burmese and letters of Hebrew have.
func (h *heap) tooHigh() bool { return h.general > 2 || h.all > 5 }
