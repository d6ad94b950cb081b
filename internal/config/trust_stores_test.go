package config

import (
	"strings"
	"testing"
)

// A trust store has a name of its own, and its lists are asked.
func TestTrustStoreRules(t *testing.T) {
	const one = "[[trust_stores]]\nname = \"uk\"\nclient_ca_file = \"x\"\n"
	for _, test := range []struct {
		name, tables, problem string
	}{
		{"accepts two", one + "revocation = \"hard\"\ncrl_file = \"l\"\n" + strings.Replace(one, "uk", "br", 1), ""},
		{"refuses a name twice", one + one, "described twice"},
		{"refuses a name with a space", strings.Replace(one, "uk", "u k", 1), "not a name"},
		{"refuses no authorities", "[[trust_stores]]\nname = \"uk\"\n", "client_ca_file"},
		{"refuses lists that are never used", one + "crl_file = \"l\"\n", "revocation is off"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := parse("c.toml", []byte(read(t, "testdata/good.toml")+"\n"+test.tables), false)
			switch {
			case test.problem == "" && err != nil:
				t.Error(err)
			case test.problem != "" && (err == nil || !strings.Contains(err.Error(), test.problem)):
				t.Errorf("%v, want %q", err, test.problem)
			}
		})
	}
	t.Run("refuses one without the listener", func(t *testing.T) {
		_, err := parse("c.toml", []byte(withMTLS(t, "")+"\n"+one), false)
		if err == nil || !strings.Contains(err.Error(), "set listen_mtls.address too") {
			t.Error(err)
		}
	})
}
