package backend

import "testing"

// TestDigest: the order of rows does not matter; everything else does.
func TestDigest(t *testing.T) {
	text := func(s string) *string { return &s }
	digest := func(rows ...[]*string) string {
		var d Digest
		for _, row := range rows {
			d.Add(row)
		}
		if d.Rows != len(rows) {
			t.Errorf("%d rows, want %d", d.Rows, len(rows))
		}
		return d.String()
	}
	a, b := []*string{text("a"), nil}, []*string{text("b"), text("")}
	if digest(a, b) != digest(b, a) {
		t.Error("the order matters")
	}
	seen := map[string]bool{}
	for _, rows := range [][][]*string{
		{}, {a}, {b}, {a, b}, {a, a}, {a, a, a}, {{text("a"), text("")}}, {{nil, text("a")}}, {{text("a")}}, {{text("ab"), text("")}}, {{text("a"), text("b")}},
	} {
		d := digest(rows...)
		if seen[d] {
			t.Errorf("%v has the digest of another table", rows)
		}
		seen[d] = true
	}
}
