package console_test

import (
	"testing"
	"time"

	"countersign/internal/console"
)

func TestFormats(t *testing.T) {
	berlin := time.FixedZone("", 3600)
	for _, test := range []struct{ got, want string }{
		{console.Count(0, "key"), "0 keys"},
		{console.Count(1, "key"), "1 key"},
		{console.Count(2, "key"), "2 keys"},
		{console.Entries(1), "1 entry"},
		{console.Entries(2), "2 entries"},
		{console.OneLine("a\nb\x1b[31m\u009bc ü"), "a?b?[31m?c ü"},
		{console.Time(time.Time{}), "-"},
		{console.Time(time.Date(2026, 11, 29, 1, 2, 3, 4, berlin)), "2026-11-29T00:02:03Z"},
		{console.YesNo(true) + console.YesNo(false), "yesno"},
	} {
		if test.got != test.want {
			t.Errorf("%q, want %q", test.got, test.want)
		}
	}
}
