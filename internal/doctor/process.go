package doctor

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"

	"countersign/internal/capacity"
)

// fewConnections are so few that an ordinary day uses them up.
const fewConnections = 256

// limits looks for limits of the process that are too low for it.
func (d *Doctor) limits() (f Findings) {
	connections, err := capacity.Connections(d.Config)
	switch {
	case err != nil:
		f.warn("limits", "%v", err)
	case connections < fewConnections && d.Config.Limits.Connections == 0:
		f.warn("limits", "the limit of open files leaves %d connections of clients; raise it where the server starts (LimitNOFILE=65536 in its unit, ulimit -n)", connections)
	default:
		f.ok("limits", "%d connections of clients may be open at once", connections)
	}
	return f
}

// collector connects to where traces and metrics are sent. The server serves without it.
func (d *Doctor) collector(ctx context.Context) (f Findings) {
	endpoint, err := url.Parse(d.Config.Telemetry.OTLPEndpoint)
	if err != nil || endpoint.Host == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	port := endpoint.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[endpoint.Scheme]
	}
	dial := new(net.Dialer).DialContext
	if endpoint.Scheme == "https" {
		dial = (&tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS12, Time: d.Now}}).DialContext
	}
	connection, err := dial(ctx, "tcp", net.JoinHostPort(endpoint.Hostname(), port))
	if err != nil {
		f.warn("metrics", "telemetry.otlp_endpoint: the collector is not reached, and traces and metrics are lost: %v; correct the address, or start it", err)
		return f
	}
	_ = connection.Close() // nothing was sent
	f.ok("metrics", "telemetry.otlp_endpoint: the collector is reached")
	return f
}
