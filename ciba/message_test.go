package ciba_test

import (
	"os"
	"strings"
	"testing"

	"countersign/ciba"
)

// Covers: FD-25. Amounts are written with spaces that do not break, and words of some languages with joiners.
func TestFD25BindingMessage(t *testing.T) {
	text, err := os.ReadFile("testdata/binding-messages/accepted.txt")
	if err != nil {
		t.Fatal(err)
	}
	accepted := append(strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"),
		"7\u2009000\u3000円", "a\u2003b\u2000c\u205fd", "\u00a0x\u00a0", // spaces
		"\u06a9\u062a\u0627\u0628\u200c\u0647\u0627", "\u06a9\u064e\u200c\u0647\u0627", // Persian, also after a mark
		"\u0915\u094d\u200d\u0937", "\u0915\u094d\u200c\u0937", "\u0d28\u0d4d\u200d 12", // Hindi; a chillu of Malayalam before a space
	)
	for _, message := range accepted {
		t.Run("accepts "+message, func(t *testing.T) {
			if err := ciba.CheckBindingMessage(message); err != nil {
				t.Error(err)
			}
		})
	}
	for name, message := range map[string]string{
		"spaces alone": "\u00a0\u202f\u3000", "nothing": "", "a line": "a\u2028b", "a paragraph": "a\u2029b", "a tab": "a\tb",
		"a line end": "a\nb", "zero width space": "a\u200bb", "word joiner": "a\u2060b", "BOM": "a\ufeffb", "soft hyphen": "a\u00adb",
		"left-to-right mark": "a\u200eb", "right-to-left mark": "\u0627\u200f\u0628", "Arabic letter mark": "\u0627\u061c\u0628",
		"embedding": "a\u202bb", "override": "a\u202eb", "pop": "a\u202cb", "isolate": "a\u2067b", "pop isolate": "a\u2069b",
		"Mongolian vowel separator": "\u1820\u180e\u1821",
		"a joiner at the beginning": "\u200c\u0645\u06cc", "a joiner at the end": "\u0645\u06cc\u200c", "a joiner doubled": "\u0645\u06cc\u200c\u200c\u062e",
		"both joiners": "\u0645\u06cc\u200c\u200d\u062e", "a joiner alone": "\u200c", "a joiner in Latin": "Pay\u200cPal", "a joiner among digits": "1\u200c2",
		"a joiner before a space": "\u0645\u06cc\u200c \u062e", "a joiner after a space": "\u0645\u06cc \u200c\u062e",
		"a joiner between scripts": "\u0645\u200cb", "a joiner before a digit": "\u0645\u200c12", "a joiner between emoji": "\U0001F468\u200d\U0001F469",
		"a virama alone": "\u094d\u200d\u0915", "a virama at the end": "\u0915\u094d\u200d",
		"marks heaped over a joiner": "\u0915\u094d\u200d\u093e\u0902\u0903", "marks heaped": "a\u0301\u0302\u0303",
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if ciba.CheckBindingMessage(message) == nil {
				t.Errorf("%q was accepted", message)
			}
		})
	}
	if got := ciba.PlainSpaces("R$\u00a01\u202f234\u3000x\u200cy"); got != "R$ 1 234 x\u200cy" {
		t.Errorf("shown as %q", got)
	}
}
