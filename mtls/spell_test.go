package mtls

import "testing"

// Every source that reads headers takes what Spell writes for it.
func TestSpell(t *testing.T) {
	leaf, _ := golden(t)
	for _, source := range Sources() {
		lines := Spell(source, leaf.certificate)
		if len(SourceHeaders(source)) == 0 {
			if lines != nil {
				t.Errorf("%s: %v", source, lines)
			}
			continue
		}
		made, err := Header(source)
		if err != nil {
			t.Fatal(err)
		}
		var pairs []string
		for _, line := range lines {
			pairs = append(pairs, line.Name, line.Value)
		}
		got, err := made.Certificate(request(pairs...))
		if err != nil || got == nil || !got.Leaf.Equal(leaf.certificate) {
			t.Errorf("%s: %v, %v", source, got, err)
		}
	}
}
