package config

import (
	"strings"
	"testing"
)

// Covers: LC-15. A webhook is whole or not there; each problem is one line that names its key.
func TestConsents(t *testing.T) {
	t.Parallel()
	base := strings.TrimRight(read(t, "testdata/good.toml"), "\n")
	const hook = "webhook = \"https://core.bank.example/consents\"\n"
	for name, settings := range map[string]string{
		"no webhook": "", "a webhook": hook, "one that is shown a certificate": hook + "webhook_certificate_file = \"a.crt\"\nwebhook_key_file = \"a.key\"",
		"one in a network of the bank": hook + "webhook_networks = \"10.1.2.0/28\"\nwebhook_ca_file = \"ca.pem\"",
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			if _, err := parse("c.toml", []byte(base+"\n\n[consents]\n"+settings+"\n"), false); err != nil {
				t.Error(err)
			}
		})
	}
	for name, test := range map[string]struct{ settings, want string }{
		"a certificate without a webhook": {"webhook_certificate_file = \"a.crt\"\nwebhook_key_file = \"a.key\"", "consents.webhook_certificate_file"},
		"networks without a webhook":      {`webhook_networks = "10.1.2.0/28"`, "consents.webhook_networks"},
		"an authority without a webhook":  {`webhook_ca_file = "ca.pem"`, "consents.webhook_ca_file"},
		"a certificate without its key":   {hook + `webhook_certificate_file = "a.crt"`, "consents.webhook_key_file"},
		"http":                            {`webhook = "http://core.bank.example/consents"`, "not an https address"},
		"user information":                {`webhook = "https://a:b@core.bank.example/consents"`, "not an https address"},
		"what is no network":              {hook + `webhook_networks = "10.1.2.3/28"`, "consents.webhook_networks"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			_, err := parse("c.toml", []byte(base+"\n\n[consents]\n"+test.settings+"\n"), false)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

// Covers: LC-65. A source of consents is whole or not there, and names can be used; each problem is one line that names its key.
func TestLC65ConsentSource(t *testing.T) {
	t.Parallel()
	base := strings.TrimRight(read(t, "testdata/good.toml"), "\n")
	const whole = "source = \"https://consents.bank.example/v1\"\nsource_certificate_file = \"a.crt\"\nsource_key_file = \"a.key\"\n"
	for name, settings := range map[string]string{
		"no source": "", "a source": whole, "names": "namespace = \"bank-ex\"\norganisation = \"9a2f8d3b\"", "quotas": "quota_client = 10\nquota_organisation = 20",
		"a source in a network of the bank": whole + "source_networks = \"10.1.2.0/28\"\nsource_ca_file = \"ca.pem\"\nsource_timeout = \"1s\"\nsource_at_once = 4",
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			if _, err := parse("c.toml", []byte(base+"\n\n[consents]\n"+settings+"\n"), false); err != nil {
				t.Error(err)
			}
		})
	}
	for name, test := range map[string]struct{ settings, want string }{
		"a certificate without a source": {"source_certificate_file = \"a.crt\"\nsource_key_file = \"a.key\"", "consents.source_certificate_file"},
		"networks without a source":      {`source_networks = "10.1.2.0/28"`, "consents.source_networks"},
		"an authority without a source":  {`source_ca_file = "ca.pem"`, "consents.source_ca_file"},
		"a source without a certificate": {`source = "https://consents.bank.example/v1"`, "consents.source_certificate_file: missing"},
		"a certificate without its key":  {"source = \"https://consents.bank.example/v1\"\nsource_certificate_file = \"a.crt\"", "consents.source_key_file"},
		"what is no network":             {whole + `source_networks = "10.1.2.3/28"`, "consents.source_networks"},
		"a namespace with a full stop":   {`namespace = "bank.ex"`, "consents.namespace"},
		"a namespace in capitals":        {`namespace = "Bank"`, "consents.namespace"},
		"no consents at all":             {`quota_client = 0`, "consents.quota_client"},
		"a way without a certificate":    {whole + "source_insecure = true", "consents.source_insecure"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			_, err := parse("c.toml", []byte(base+"\n\n[consents]\n"+test.settings+"\n"), false)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}
