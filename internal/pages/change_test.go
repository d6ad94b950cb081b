package pages

import (
	"html"
	"strings"
	"testing"

	"countersign/fapi/managed"
	"countersign/fapi/rar/display"
	"countersign/fapi/scope"
)

// Covers: GM-04. The page says what a change of a grant adds, keeps and ends, in the user's language, and nothing of the kind where
// nothing is changed.
func TestGM04ChangePage(t *testing.T) {
	in := signedIn()
	t.Run("refuses to speak of a change where there is none", func(t *testing.T) {
		if page := consentPage(t, in).Body.String(); strings.Contains(page, `id="change"`) {
			t.Error("it does")
		}
	})
	in.Change = &managed.Change{
		Added: managed.Part{Details: []display.View{paying("Merchant A", "en")}},
		Kept:  managed.Part{Scopes: in.Scopes[:2]},
		Ended: managed.Part{Scopes: []scope.Scope{{Name: "consent", Description: "See <b>one</b> consent", Parameter: "urn:1"}}, Claims: []string{"birthdate"}, Details: []display.View{{Type: "gone"}}},
	}
	page := consentPage(t, in).Body.String()
	part := func(id string) string {
		_, rest, found := strings.Cut(page, `<ul class="list" id="`+id+`">`)
		list, _, _ := strings.Cut(rest, "</ul>")
		if !found {
			t.Errorf("there is no %s", id)
		}
		return list
	}
	for id, lines := range map[string][]string{
		"added": {"Merchant A"}, "kept": {in.Scopes[0].Description, in.Scopes[1].Description},
		"ended": {"gone", "See <b>one</b> consent urn:1", "date of birth"},
	} {
		t.Run("accepts what is "+id, func(t *testing.T) {
			list := part(id)
			for _, line := range lines {
				if !strings.Contains(html.UnescapeString(list), line) {
					t.Errorf("%q is not in %s", line, list)
				}
			}
			if strings.Count(list, "<li>") != len(lines) || strings.Contains(list, "<b>") {
				t.Error(list)
			}
		})
	}
	in.UILocales = "de"
	t.Run("accepts another language", func(t *testing.T) {
		if page := consentPage(t, in).Body.String(); !strings.Contains(page, "Das ändert, was Sie früher erlaubt haben") {
			t.Error("it is not in German")
		}
	})
}
