package ciba_test

import (
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

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
	if got := ciba.Plain("R$\u00a01\u202f234\u3000x\u200cy\u200e \u200fz\u061c"); got != "R$ 1 234 x\u200cy z" {
		t.Errorf("shown as %q", got)
	}
}

// Covers: FD-25. Amounts and sentences as the world's languages write them; what deceives in them is refused as before.
func TestFD25Languages(t *testing.T) {
	policy := ciba.Policy{Lifetime: time.Minute, MaxLifetime: time.Minute}
	read := func(message string) (ciba.Request, error) {
		return policy.Read(url.Values{"scope": {"openid"}, "login_hint": {"alice"}, "binding_message": {message}})
	}
	for name, message := range map[string]string{
		"Japanese yen": "\uffe51,234", "Korean won, wide": "\uffe6 5", "Chinese with its punctuation": "支付：１００元（订单），好！",
		"katakana of half width": "ﾌﾘｺﾐ ｶ)ﾔﾏﾀﾞ", "Hebrew shekel": "\u200f1,234.50\u00a0\u200f₪", "Arabic pound": "\u200f١٬٢٣٤٫٥٠\u00a0ج.م.\u200f",
		"Persian rial": "\u200eریال\u00a0۱٬۲۳۵", "Swiss franc": "CHF\u00a01’234.50", "Indian rupee": "₹12,34,567.00",
		"Burmese": "ကြိုးများ ၅", "Hebrew with points": "שׁ\u05bcָלוֹם", "Thai": "น้ำ 5 บาท", "Tamil": "பணம் 5", "Khmer": "ស្ត្រី",
		"Vietnamese, decomposed": "Việt 5 \u20ab", "Russian with a code": "Оплата 100 EUR", "Greek with a code": "Πληρωμή 10 EUR, IBAN GR16",
		"Ukrainian with a code": "1\u00a0234,56\u00a0UAH до сплати", "Serbian in both": "Уплата (uplata) 5", "Korean": "이체 5,000원",
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			asked, err := read(message)
			if err != nil {
				t.Fatal(err)
			}
			if strings.ContainsAny(asked.BindingMessage, "\u00a0\u202f\u200e\u200f\u061c") {
				t.Errorf("shown as %q", asked.BindingMessage)
			}
		})
	}
	for name, message := range map[string]string{
		"a Cyrillic letter in a Latin word": "P\u0430yPal 5", "a Latin letter in a Cyrillic word": "Опл\u0061та", "both with a digit between": "P1\u0430y",
		"a Greek letter in a Latin word": "P\u03b1y", "a Latin word of full width": "\uff30\uff41\uff59", "a filler of half width": "Pay\uffa0",
		"marks of direction alone": "\u200e\u200f", "an override beside a mark": "\u200f\u202e05", "an isolate": "\u20665\u2069",
		"heaped general marks": "Z\u0300\u0301\u0302", "marks of a script, heaped": "\u0e01" + strings.Repeat("\u0e49", 6),
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if asked, err := read(message); err == nil {
				t.Errorf("%q was accepted as %q", message, asked.BindingMessage)
			}
		})
	}
}
