package display

import (
	"testing"
)

// Covers: KC-29. A text that there is only in another language says in which: labels, groups, sentences, words for values. What is there
// in the language of the page says nothing.
func TestKC29Foreign(t *testing.T) {
	of := parsed(t, withFee, "en", "pt-BR", "ar")
	const object = `{"type":"p","sum":{"amount":"1.00","currency":"EUR","charge":true},"name":"N","iban":"DE02100100109307118603","method":"instant",` +
		`"fee":"1.00","feeCurrency":"EUR","often":"MNTH"}`
	line := func(view View, value string) Line {
		t.Helper()
		for _, group := range view.Groups {
			for _, line := range group.Lines {
				if line.Value == value {
					return line
				}
			}
		}
		t.Fatalf("no line has %q: %+v", value, view.Groups)
		return Line{}
	}
	t.Run("accepts texts of the page's language without a mark", func(t *testing.T) {
		view := viewed(t, of, object, "en")
		for _, part := range view.Heading {
			if part.Lang != "" {
				t.Errorf("%+v", part)
			}
		}
		for _, group := range view.Groups {
			if group.Lang != "" {
				t.Errorf("%+v", group)
			}
			for _, line := range group.Lines {
				if line.Lang != "" || line.ValueLang != "" {
					t.Errorf("%+v", line)
				}
			}
		}
	})
	t.Run("accepts those of another with its tag, in Arabic", func(t *testing.T) {
		view := viewed(t, of, object, "ar")
		for _, part := range view.Heading {
			if part.Lang != "" { // the heading is there in Arabic
				t.Errorf("%+v", part)
			}
		}
		if account := line(view, "DE02 1001 0010 9307 1186 03"); account.Label != "إلى الحساب" || account.Lang != "" {
			t.Errorf("%+v", account)
		}
		if often := line(view, "Each month"); often.Label != "How often" || often.Lang != "en" || often.ValueLang != "en" {
			t.Errorf("%+v", often)
		}
		if when := line(view, "Now"); when.ValueLang != "en" {
			t.Errorf("%+v", when)
		}
		for _, group := range view.Groups {
			if group.Lang != "en" {
				t.Errorf("%+v", group)
			}
		}
	})
	t.Run("refuses to mark a near language as another", func(t *testing.T) {
		if group := viewed(t, of, object, "pt-PT").Groups[0]; group.Label != "O pagamento" || group.Lang != "" {
			t.Errorf("%+v", group)
		}
	})
}
