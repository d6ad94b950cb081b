package config

import (
	"strings"
	"testing"
)

// Covers: NM-18. Metrics are plain on this machine only; elsewhere their listener has a certificate and asks for one. Each problem is one
// line that names its key.
func TestMetrics(t *testing.T) {
	t.Parallel()
	base := strings.TrimRight(read(t, "testdata/good.toml"), "\n")
	const files = "certificate_file = \"m.crt\"\nkey_file = \"m.key\"\nclient_ca_file = \"ca.pem\"\n"
	for name, settings := range map[string]string{
		"nothing": "", "loopback": `listen = "127.0.0.1:9464"`, "loopback of IPv6": `listen = "[::1]:9464"`, "this machine": `listen = "localhost:9464"`,
		"a socket": `listen = "unix:/run/countersign/metrics"`, "another machine": files + `listen = "10.1.2.3:9464"`,
		"all machines": files + "listen = \":9464\"\nclient_name = \"a.example\"", "clients": "clients = \"a b\"\nother_clients = 0",
		"a push": "push_every = \"30s\"\n\n[telemetry]\notlp_endpoint = \"https://collector.example:4318\"",
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			if _, err := parse("c.toml", []byte(base+"\n\n[metrics]\n"+settings+"\n"), false); err != nil {
				t.Error(err)
			}
		})
	}
	for name, test := range map[string]struct{ settings, want string }{
		"plain text to others":      {`listen = "10.1.2.3:9464"`, `metrics.listen = "10.1.2.3:9464": is not on loopback: set metrics.certificate_file too`},
		"all machines in plain":     {`listen = ":9464"`, "metrics.client_ca_file"},
		"a name in plain":           {`listen = "metrics.bank.example:9464"`, "is not on loopback"},
		"no client CA":              {"certificate_file = \"m.crt\"\nkey_file = \"m.key\"\nlisten = \"10.1.2.3:9464\"", "set metrics.client_ca_file too"},
		"a certificate on loopback": {files + `listen = "127.0.0.1:9464"`, "metrics.certificate_file"},
		"files of nothing":          {files, "metrics.client_ca_file"},
		"a name of nothing":         {`client_name = "a.example"`, "metrics.client_name"},
		"no port":                   {`listen = "127.0.0.1"`, "not a host and a port"},
		"a push to nobody":          {`push_every = "30s"`, `metrics.push_every = "30s": needs telemetry.otlp_endpoint`},
		"a push each second":        {`push_every = "1s"`, "shorter than 5s"},
		"too many clients":          {"other_clients = 1001", "metrics.other_clients"},
		"a way without certificate": {"insecure = true", "metrics.insecure"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			_, err := parse("c.toml", []byte(base+"\n\n[metrics]\n"+test.settings+"\n"), false)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}
