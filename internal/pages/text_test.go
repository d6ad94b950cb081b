package pages

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestPlain(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"ordinary", "Orchid Payments", "Orchid Payments"},
		{"markup stays text", `<b>"A&B"</b>`, `<b>"A&B"</b>`},
		{"other scripts", "Übung 東京銀行 بنك", "Übung 東京銀行 بنك"},
		{"right-to-left override", "Orchid\u202etnemyaP", "OrchidtnemyaP"},
		{"isolates", "\u2066\u2067\u2068A\u2069\u200e\u200f\u061c", "A"},
		{"zero width", "Or\u200bch\u200cid\u200d\u2060\ufeff", "Orchid"},
		{"tags", "A\U000e0041\U000e007f", "A"},
		{"controls", "A\x00B\x1b[31mC\u0085D", "AB[31mC D"},
		{"lines", "A\nB\r\nC\u2028D\u2029E\tF", "A B C D E F"},
		{"spaces", "  A \u00a0\u3000 B  ", "A B"},
		{"letters that look like nothing", "A\u3164\u115f\u1160\u2800\uffa0B", "A B"},
		{"only blanks", "\u3164 \u200b\n", ""},
		{"not UTF-8", "A\xffB", "A\ufffdB"},
		{"private use", "A\ue000\U0010fffdB", "AB"},
		{"marks", "Z\u0301\u0302\u0303\u0304\u0305\u0306\u0307", "Z\u0301\u0302\u0303\u0304"},
		{"marks at the start", "\u0301\u0302A", "A"},
		{"marks after a space", "A \u0301B", "A B"},
		{"just fits", "0123456789", "0123456789"},
		{"too long", "0123456789A", "0123456789…"},
		{"too long, at a space", "012345678 9A", "012345678…"},
		{"space at the end", "0123456789 ", "0123456789"},
		{"empty", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			limit := 200
			if strings.HasPrefix(test.text, "0") {
				limit = 10
			}
			if got := plain(test.text, limit); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// FuzzPlain: whatever comes in, what goes out is one short line that a person can see.
func FuzzPlain(f *testing.F) {
	f.Add("Orchid\u202e Payments", 8)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		if limit < 1 || limit > 1000 {
			return
		}
		got := plain(text, limit)
		if !utf8.ValidString(got) {
			t.Errorf("%q is not UTF-8", got)
		}
		if count := utf8.RuneCountInString(got); count > limit+1 {
			t.Errorf("%q has %d characters, limit %d", got, count, limit)
		}
		for _, r := range got {
			if r != ' ' && !unicode.IsPrint(r) || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
				t.Errorf("%q holds %U", got, r)
			}
		}
		if got != strings.TrimSpace(got) || strings.Contains(got, "  ") {
			t.Errorf("%q has blanks", got)
		}
		if again := plain(got, limit+1); again != got {
			t.Errorf("%q becomes %q when cleaned again", got, again)
		}
	})
}

func TestHTTPS(t *testing.T) {
	for address, want := range map[string]bool{
		"https://orchid.example/terms": true, "http://orchid.example": false, "javascript:alert(1)": false, "": false,
		"https:orchid.example": false, "https://": false, "https://bank.example@evil.example/": false,
		"//orchid.example": false, "data:text/html,x": false, "https://%zz": false, " https://orchid.example": false,
	} {
		if got := https(address) == address && address != ""; got != want {
			t.Errorf("%q: %v, want %v", address, got, want)
		}
	}
}

func TestSentence(t *testing.T) {
	for text, want := range map[string]string{
		"this took too long": "This took too long.", "request_uri is unknown": "request_uri is unknown.", "": "",
		"Done.": "Done.", "why?": "Why?", "élan": "Élan.", "cut…": "Cut…",
	} {
		if got := sentence(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
