// Package observe is the part of the configuration about metrics.
package observe

import (
	"net"
	"strings"

	"countersign/internal/config/value"
)

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

// SocketPrefix is how the address of a listener begins that is a unix socket.
const SocketPrefix = "unix:"

// Plain reports whether nothing has to be encrypted at an address: it is a socket, or on loopback.
func Plain(address string) bool {
	if strings.HasPrefix(address, SocketPrefix) {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// leastPush is the shortest time between two pushes.
const leastPush = "5s"

// Problems lists what is wrong; collector says whether there is one that metrics can be sent to.
func (m Metrics) Problems(collector bool) (problems []Problem) {
	add := func(key, value, text string) { problems = append(problems, Problem{key, value, text}) }
	if m.PushEvery > 0 && !collector {
		add("push_every", m.PushEvery.String(), "needs telemetry.otlp_endpoint, to which metrics are sent")
	}
	if least, err := value.ParseDuration(leastPush); err == nil && m.PushEvery > 0 && m.PushEvery < least {
		add("push_every", m.PushEvery.String(), "shorter than "+leastPush+"; use "+leastPush+" or more, or 0s")
	}
	files := []struct{ key, value string }{
		{"certificate_file", string(m.CertificateFile)}, {"key_file", string(m.KeyFile)}, {"client_ca_file", string(m.ClientCAFile)},
	}
	_, port, err := net.SplitHostPort(m.Listen)
	switch {
	case m.Listen != "" && !strings.HasPrefix(m.Listen, SocketPrefix) && (err != nil || port == ""):
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
