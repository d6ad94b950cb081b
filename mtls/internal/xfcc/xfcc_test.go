package xfcc

import (
	"maps"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]map[string]string{
		`Hash=ab;Cert="x"`:           {"hash": "ab", "cert": "x"},
		`By=spiffe://a?b=c;Hash=ab`:  {"hash": "ab"},
		`HASH=ab;Subject="CN=\"a\""`: {"hash": "ab", "subject": `CN="a"`},
	} {
		if got, err := Parse(text); err != nil || !maps.Equal(got, want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		``, `Hash`, `By=a`, `Hash=ab;By=a;Cert=x`, `Hash=ab;URI=a`, `Hash=ab;DNS=a`, `Hash=ab;Other=a`, `Hash=ab;Hash=ab`, `Hash=ab,Hash=ab`,
		`Hash="ab"x`, `Hash="ab`, `Hash=ab;`,
	} {
		if got, err := Parse(text); err == nil {
			t.Errorf("%s: %v", text, got)
		}
	}
}
