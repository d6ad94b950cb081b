package config

import (
	"strings"
	"testing"
)

// Covers: KB-25. A claims source is whole or not there, and gives claims that exist; each problem is one line that names its key.
func TestKB25ClaimsSource(t *testing.T) {
	t.Parallel()
	base := strings.TrimRight(read(t, "testdata/good.toml"), "\n")
	const whole = "address = \"https://claims.bank.example/v1\"\ncertificate_file = \"a.crt\"\nkey_file = \"a.key\"\n"
	for name, settings := range map[string]string{
		"no source": "", "a source": whole + "claims = \"name email\"", "one that says who is active": whole,
		"bounds":   whole + "claims = \"name\"\ncheck_active = false\ncache = \"0s\"\ntimeout = \"100ms\"\nat_once = 64",
		"networks": whole + "claims = \"name\"\nnetworks = \"10.1.2.0/28 fd12:3456::/48\"\nca_file = \"ca.pem\"",
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			if _, err := parse("c.toml", []byte(base+"\n\n[claims_source]\n"+settings+"\n"), false); err != nil {
				t.Error(err)
			}
		})
	}
	for name, test := range map[string]struct{ settings, want string }{
		"claims without a source":        {`claims = "name"`, `claims_source.claims = "name": has no meaning while there is no source`},
		"a certificate without a source": {"certificate_file = \"a.crt\"\nkey_file = \"a.key\"", "claims_source.certificate_file"},
		"networks without a source":      {`networks = "10.1.2.0/28"`, "claims_source.networks"},
		"an authority without a source":  {`ca_file = "ca.pem"`, "claims_source.ca_file"},
		"no certificate":                 {`address = "https://claims.bank.example/v1"`, "claims_source.certificate_file"},
		"no key":                         {"address = \"https://claims.bank.example/v1\"\ncertificate_file = \"a.crt\"", "claims_source.key_file"},
		"a claim that does not exist":    {whole + `claims = "name e-mail"`, `claims_source.claims = "e-mail": no claim about a user (OpenID Connect Core §5.1); did you mean email?`},
		"a claim twice":                  {whole + `claims = "name name"`, "named twice"},
		"nothing to ask for":             {whole + "check_active = false", "would never be asked"},
		"a cache of an hour":             {whole + `cache = "1h"`, "claims_source.cache"},
		"no time at all":                 {whole + `timeout = "0s"`, "claims_source.timeout"},
		"too many at once":               {whole + "at_once = 65", "claims_source.at_once"},
		"no answer kept":                 {whole + "cache_entries = 0", "claims_source.cache_entries"},
		"a way without a certificate":    {whole + "insecure = true", "claims_source.insecure"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			_, err := parse("c.toml", []byte(base+"\n\n[claims_source]\n"+test.settings+"\n"), false)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}
