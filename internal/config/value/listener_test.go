package value_test

import (
	"testing"

	"countersign/internal/config/value"
)

func TestSameListener(t *testing.T) {
	for _, pair := range [][2]string{
		{"127.0.0.1:1", "127.0.0.1:1"}, {"0.0.0.0:1", "10.0.0.1:1"}, {":1", "10.0.0.1:1"}, {"[::]:1", "127.0.0.1:1"}, {"localhost:1", "127.0.0.1:1"},
		{"unix:/run/a", "unix:/run/a"},
	} {
		if !value.SameListener(pair[0], pair[1]) || !value.SameListener(pair[1], pair[0]) {
			t.Errorf("%q are taken for two", pair)
		}
	}
	for _, pair := range [][2]string{{"127.0.0.1:1", "127.0.0.1:2"}, {"10.0.0.1:1", "10.0.0.2:1"}, {"", ""}, {"", ":1"}, {"unix:/run/a", ":1"}, {"unix:/run/a", "unix:/run/b"}} {
		if value.SameListener(pair[0], pair[1]) || value.SameListener(pair[1], pair[0]) {
			t.Errorf("%q are taken for one", pair)
		}
	}
}
