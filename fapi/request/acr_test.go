package request

import (
	"slices"
	"testing"

	"countersign/fapi/client"
)

// Covers: FD-86. The name of a class that a client is answered by is one that it asked by, never of more than was reached.
func TestACRNames(t *testing.T) {
	c := &Checker{acrs: []string{"strong", "weak"}, names: ACRNames{"strong": {"sca", "loa3"}, "weak": {"ca", "loa2"}, "gone": {"x"}}}
	caller := &client.Client{}
	if got := c.names.Supported(c.acrs); !slices.Equal(got, []string{"strong", "sca", "loa3", "weak", "ca", "loa2"}) {
		t.Errorf("supported %v", got)
	}
	for _, test := range []struct {
		name, reached string
		asked         []string
		want          string
	}{
		{"accepts the name asked by", "strong", []string{"sca"}, "sca"},
		{"accepts the first of several", "strong", []string{"loa3", "sca"}, "loa3"},
		{"accepts that of the class reached, whatever the order", "weak", []string{"loa3", "loa2"}, "loa2"},
		{"accepts a lesser one, which is true too", "strong", []string{"loa2"}, "loa2"},
		{"accepts the class's own name where none was asked by", "strong", nil, "strong"},
		{"refuses the name of more than was reached", "weak", []string{"sca"}, "weak"},
		{"refuses a name of no class", "weak", []string{"x", "y"}, "weak"},
		{"refuses any name where no class was reached", "", []string{"sca", "loa2"}, ""},
		{"refuses any name for a class that is not known", "other", []string{"loa2"}, "other"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := c.ACR(caller, test.reached, test.asked); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
	classes, named := c.names.resolve([]string{"y", "loa3", "sca", "strong", "loa2"}, c.acrs)
	if !slices.Equal(classes, []string{"y", "strong", "strong", "weak"}) || !slices.Equal(named, []string{"loa3", "sca", "loa2"}) {
		t.Errorf("%v, %v", classes, named)
	}
}
