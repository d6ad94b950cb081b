package config

import (
	"strings"
	"testing"
)

// Covers: NM-42. Each listener has a port of its own: operators come where nobody else does.
func TestNM42Listeners(t *testing.T) {
	good := read(t, "testdata/good.toml") + "\n[admin]\nlisten = %\ncertificate_file = \"a\"\nkey_file = \"b\"\nclient_ca_file = \"c\"\n" +
		"[[admin.operators]]\nname = \"Ada\"\ncertificate_dn = \"CN=Ada,O=Bank\"\nroles = \"reader\"\n"
	problem := func(listen string) string {
		if _, err := parse("c.toml", []byte(strings.Replace(good, "%", listen, 1)), false); err != nil {
			return err.Error()
		}
		return ""
	}
	t.Run("accepts an address of its own", func(t *testing.T) {
		if found := problem(`"127.0.0.1:9443"`); found != "" {
			t.Error(found)
		}
	})
	for name, listen := range map[string]string{"the public listener": `"[::1]:8443"`, "its port on every interface": `":8443"`} {
		t.Run("refuses "+name, func(t *testing.T) {
			if found := problem(listen); strings.Count(found, "admin.listen") != 1 || !strings.Contains(found, "the same as listen.address; take another port") {
				t.Error(found)
			}
		})
	}
}
