package serve

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"countersign/internal/limit"
)

const (
	// refusalAgain is how long the same certificate problem from the same network is not logged again.
	refusalAgain = time.Minute
	// refusalBurst is how many different ones are logged at once, and then one a second: a scanner must not fill the log.
	refusalBurst = 20
	// refusalKeys is how many are told apart.
	refusalKeys = 10_000
)

// refusals logs client certificates that cannot be used: each problem once a minute for each network, and how many more
// there were.
type refusals struct {
	same, all *limit.Limiter
	unlogged  atomic.Int64
	log       *slog.Logger
}

func newRefusals(now func() time.Time, log *slog.Logger) (*refusals, error) {
	same, err := limit.New(1/refusalAgain.Seconds(), 1, refusalKeys, now)
	if err != nil {
		return nil, err
	}
	all, err := limit.New(1, refusalBurst, 1, now)
	return &refusals{same: same, all: all, log: log}, err
}

// refusal is one certificate. What is not known is empty.
type refusal struct{ address, clientID, subject, cause string }

// report logs one certificate.
func (r *refusals) report(ctx context.Context, one refusal) {
	same := one.clientID + " " + one.subject // without the cause, which may hold the time
	if one.clientID == "" && one.subject == "" {
		same = one.cause
	}
	if ok, _ := r.same.Allow(network(one.address) + " " + same); !ok {
		r.unlogged.Add(1)
		return
	}
	if ok, _ := r.all.Allow(""); !ok {
		r.unlogged.Add(1)
		return
	}
	r.log.WarnContext(ctx, "client certificate refused",
		"address", one.address, "certificate_subject", one.subject, "client_id", one.clientID, "error", one.cause)
}

// summarise logs how many refusals were not logged, if any.
func (r *refusals) summarise(ctx context.Context) {
	if count := r.unlogged.Swap(0); count > 0 {
		r.log.WarnContext(ctx, "client certificates refused again", "count", count)
	}
}

// run summarises every minute until ctx ends, and then a last time.
func (r *refusals) run(ctx context.Context) {
	ticker := time.NewTicker(refusalAgain)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			r.summarise(ctx)
			return
		case <-ticker.C:
			r.summarise(ctx)
		}
	}
}

// network is what an address is told apart by: an IPv4 address, or the /64 of an IPv6 one, whose holder has all of it.
func network(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	parsed, err := netip.ParseAddr(host)
	if err != nil || parsed.Unmap().Is4() {
		return host
	}
	whole, err := parsed.WithZone("").Prefix(64)
	if err != nil {
		return host
	}
	return whole.String()
}

// connectionLog is the error log of a listener (http.Server.ErrorLog). A client certificate that the handshake refuses
// is a warning: the client meets nothing but an alert, and its operator will ask. All else is noise of connections.
//
// Go's handshake reads the certificate before anything of ours sees it, and says of one that it cannot read only why:
// there is no subject.
type connectionLog struct {
	refusals *refusals
	log      *slog.Logger
}

// Write implements io.Writer for one line of package net/http.
func (c connectionLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	if address, cause, ok := refusedCertificate(text); ok {
		c.refusals.report(context.Background(), refusal{address: address, cause: cause})
	} else {
		c.log.Debug("connection error", "error", text)
	}
	return len(line), nil
}

// refusedCertificate reads a line of package net/http about a handshake that failed for the client's certificate.
func refusedCertificate(line string) (address, cause string, ok bool) {
	rest, ok := strings.CutPrefix(line, "http: TLS handshake error from ")
	if !ok {
		return "", "", false
	}
	address, text, ok := strings.Cut(rest, ": tls: ")
	if !ok {
		return "", "", false
	}
	if cause, ok := strings.CutPrefix(text, "failed to parse client certificate: x509: "); ok {
		return address, cause, true
	}
	for _, about := range []string{
		"client certificate ", "client sent certificate containing ", "invalid signature by the client certificate",
	} {
		if strings.HasPrefix(text, about) {
			return address, text, true
		}
	}
	return "", "", false
}
