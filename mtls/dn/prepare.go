package dn

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// prepare brings a string into the form in which it is compared: mapped, folded, normalised, and with its spaces made
// one (RFC 4518 §2). Control characters, which RFC 4518 would drop, are refused: in a name they serve only to deceive.
// What RFC 4518 §2.4 prohibits is refused too, but for unassigned characters: its table is of Unicode 3.2.
func prepare(text string) (string, error) {
	if strings.ContainsFunc(text, func(r rune) bool {
		return r == utf8.RuneError || unicode.IsControl(r) && !unicode.IsSpace(r)
	}) {
		return "", fmt.Errorf("%w: a name holds a NUL or another control character", ErrMalformed)
	}
	if strings.ContainsFunc(text, func(r rune) bool {
		return unicode.Is(unicode.Co, r) || unicode.Is(unicode.Noncharacter_Code_Point, r)
	}) {
		return "", fmt.Errorf("%w: a name holds a private or undefined character (RFC 4518 §2.4)", ErrMalformed)
	}
	return oneSpace(fold(strings.Map(mapRune, text))), nil
}

// mapRune is RFC 4518 §2.2: what cannot be seen is left out, and all white space is a space.
func mapRune(r rune) rune {
	switch {
	case unicode.IsSpace(r):
		return ' '
	case r < utf8.RuneSelf:
		return r
	case unicode.Is(mappedToNothing, r):
		return -1
	}
	return r
}

// mappedToNothing is the list of RFC 4518 §2.2 but for control characters.
var mappedToNothing = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x00ad, Hi: 0x00ad, Stride: 1}, {Lo: 0x034f, Hi: 0x034f, Stride: 1}, {Lo: 0x06dd, Hi: 0x06dd, Stride: 1},
		{Lo: 0x070f, Hi: 0x070f, Stride: 1}, {Lo: 0x1806, Hi: 0x1806, Stride: 1}, {Lo: 0x180b, Hi: 0x180e, Stride: 1},
		{Lo: 0x200b, Hi: 0x200f, Stride: 1}, {Lo: 0x202a, Hi: 0x202e, Stride: 1}, {Lo: 0x2060, Hi: 0x2063, Stride: 1},
		{Lo: 0x206a, Hi: 0x206f, Stride: 1}, {Lo: 0xfe00, Hi: 0xfe0f, Stride: 1}, {Lo: 0xfeff, Hi: 0xfeff, Stride: 1},
		{Lo: 0xfff9, Hi: 0xfffc, Stride: 1},
	},
	R32: []unicode.Range32{
		{Lo: 0x1d173, Hi: 0x1d17a, Stride: 1}, {Lo: 0xe0001, Hi: 0xe0001, Stride: 1}, {Lo: 0xe0020, Hi: 0xe007f, Stride: 1},
	},
	LatinOffset: 1,
}

// fold folds the case and normalises to NFKC, as the tables of RFC 3454 §B.2 do in one step. A second round reaches
// characters whose compatibility form has a case of its own.
func fold(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return strings.ToLower(text)
	}
	for range 2 {
		text = norm.NFKC.String(cases.Fold().String(text))
	}
	return text
}

// oneSpace removes insignificant spaces (RFC 4518 §2.6.1): those at the ends, and all but one between words. A space
// that carries a combining mark is no space.
func oneSpace(text string) string {
	var out strings.Builder
	runes := []rune(text)
	space := false
	for i, r := range runes {
		carries := i+1 < len(runes) && unicode.Is(unicode.M, runes[i+1])
		if r == ' ' && !carries {
			space = true
			continue
		}
		if space && out.Len() > 0 {
			out.WriteByte(' ')
		}
		space = false
		out.WriteRune(r)
	}
	return out.String()
}
