// Package observe has the tables of the configuration that say what operators see of the server: logs, traces, metrics, and why
// requests were refused.
package observe

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"countersign/internal/config/value"
)

// Telemetry is logs and traces.
type Telemetry struct {
	OTLPEndpoint string       `toml:"otlp_endpoint" reload:"restart" why:"the exporter of traces and metrics is made once, and has what it has not sent yet" doc:"Address of an OpenTelemetry collector that takes OTLP over HTTP, such as https://collector.example:4318. Empty turns traces off."`
	OTLPHeaders  value.Secret `toml:"otlp_headers_file" reload:"restart" why:"the exporter of traces and metrics is made once, with its headers" doc:"File of headers for the collector, one \"Name: value\" a line."`
	LogLevel     string       `toml:"log_level" reload:"live" default:"info" enum:"debug,info,warn,error" doc:"Least level that is logged."`
	LogAddress   string       `toml:"log_client_address" reload:"live" default:"full" enum:"full,truncated,off" doc:"What log lines hold of a client's address: all of it, its network (/24 of IPv4, /48 of IPv6), or nothing."`
	LogFormat    string       `toml:"log_format" reload:"live" default:"json" enum:"json,text" doc:"Form of a log line."`
}

// Problem is what is wrong with the address of the collector; empty when nothing is.
func (t Telemetry) Problem() string {
	u, err := url.Parse(t.OTLPEndpoint)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "" || u.RawQuery != "" || u.User != nil || strings.Contains(t.OTLPEndpoint, "#"):
		return NoAddress
	case u.Scheme == "https", u.Scheme == "http" && value.OnThisMachine(u.Hostname()):
		return ""
	}
	return "not https; http is possible only to a collector on this machine (localhost, 127.0.0.1, [::1])"
}

// NoAddress is the problem of an address that may hold a password: it is not repeated.
const NoAddress = `not an address of a collector; write it without user information, query and fragment, such as "https://collector.example:4318"`

// Metrics is the table [metrics].
type Metrics struct {
	Listen          string         `toml:"listen" doc:"Host and port at which Prometheus reads /metrics, such as 127.0.0.1:9464, or unix: and the name of a socket; empty turns it off. Plain on loopback and on a socket only: elsewhere it is TLS, and whoever reads needs a certificate of client_ca_file."`
	CertificateFile value.File     `toml:"certificate_file" doc:"TLS certificate chain of that listener, PEM; needed where it is not on loopback."`
	KeyFile         value.Secret   `toml:"key_file" doc:"Private key of that certificate, PEM."`
	ClientCAFile    value.File     `toml:"client_ca_file" doc:"Certificate authorities, PEM, of the certificates of those who may read."`
	ClientName      string         `toml:"client_name" doc:"DNS name or URI in such a certificate (subjectAltName); several separated by spaces; any when empty."`
	PushEvery       value.Duration `toml:"push_every" default:"0s" min:"0s" max:"1h" doc:"How often metrics are sent to telemetry.otlp_endpoint (OTLP over HTTP), 5s at least; 0s does not send them."`
	Clients         string         `toml:"clients" doc:"Identifiers of clients whose requests are counted by name on every node, separated by spaces."`
	OtherClients    int            `toml:"other_clients" default:"50" min:"0" max:"1000" doc:"How many further clients are counted by name, the first that call a node; the others are counted together, as other."`
}

// Why is the table [why].
type Why struct {
	Keep value.Duration `toml:"keep" default:"24h" min:"0s" max:"30d" doc:"How long it is kept why a request was refused, for countersign why; 0s keeps nothing."`
	Most int            `toml:"most" default:"10000" min:"0" max:"1000000" doc:"How many refusals are kept, of all nodes together: the newest."`
}

// Problem is what is wrong with a key of the table.
type Problem struct {
	// Key is that of the table, Value what it has, in words for people.
	Key, Value, Text string
}

// Plain reports whether nothing has to be encrypted at an address: it is a socket, or on loopback.
func Plain(address string) bool {
	if strings.HasPrefix(address, value.SocketPrefix) {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	return err == nil && value.OnThisMachine(host)
}

// leastPush is the shortest time between two pushes.
const leastPush = value.Duration(5 * time.Second)

// Problems lists what is wrong; collector says whether there is one that metrics can be sent to.
func (m Metrics) Problems(collector bool) (problems []Problem) {
	add := func(key, value, text string) { problems = append(problems, Problem{key, value, text}) }
	if m.PushEvery > 0 && !collector {
		add("push_every", m.PushEvery.String(), "needs telemetry.otlp_endpoint, to which metrics are sent")
	}
	if m.PushEvery > 0 && m.PushEvery < leastPush {
		add("push_every", m.PushEvery.String(), fmt.Sprintf("shorter than %s; use %[1]s or more, or 0s", leastPush))
	}
	files := []struct{ key, value string }{
		{"certificate_file", string(m.CertificateFile)}, {"key_file", string(m.KeyFile)}, {"client_ca_file", string(m.ClientCAFile)},
	}
	_, port, err := net.SplitHostPort(m.Listen)
	switch {
	case m.Listen != "" && !strings.HasPrefix(m.Listen, value.SocketPrefix) && (err != nil || port == ""):
		add("listen", m.Listen, `not a host and a port, such as "127.0.0.1:9464"`)
	case m.Listen == "" || Plain(m.Listen):
		for _, file := range append(files, struct{ key, value string }{"client_name", m.ClientName}) {
			if file.value != "" {
				add(file.key, "", "has no meaning where metrics.listen is empty, a socket or on loopback: there it is plain")
			}
		}
	default:
		for _, file := range files {
			if file.value == "" {
				add("listen", m.Listen, "is not on loopback: set metrics."+file.key+" too, so that only whoever has a certificate reads")
			}
		}
	}
	return problems
}
