package serve

import (
	"context"
	"countersign/internal/handshakes"
	"log/slog"
	"strings"
	"time"

	"countersign/internal/address"
	"countersign/internal/repeat"
)

const (
	// refusalAgain is how long the same certificate problem from the same network is counted and not logged again.
	refusalAgain = time.Minute
	// refusalKinds is how many different ones are logged in that time: a scanner must not fill the log.
	refusalKinds = 100
)

// refusals logs client certificates that cannot be used: each problem of each network once, and how often it repeated.
type refusals struct {
	lines *repeat.Lines
	log   *slog.Logger
	// refused is told of each, and of the name that its client came for where that is known; nil is told nothing.
	refused func(ctx context.Context, server string)
}

func newRefusals(now func() time.Time, log *slog.Logger) *refusals {
	lines := repeat.New(repeat.Options{Now: now, Period: refusalAgain, Kinds: refusalKinds, More: func(count int) {
		log.Warn("more client certificates refused", "count", count)
	}})
	return &refusals{lines: lines, log: log}
}

// refusal is one certificate. What is not known is empty.
type refusal struct{ remote, server, clientID, subject, cause string }

// report logs one certificate.
func (r *refusals) report(ctx context.Context, one refusal) {
	if r.refused != nil {
		r.refused(ctx, one.server)
	}
	same := one.clientID + "\x00" + one.subject // without the cause, which may hold the time
	if one.clientID == "" && one.subject == "" {
		same = one.cause
	}
	r.lines.Write(address.Network(one.remote)+"\x00"+same, 1, func(repeated int) {
		r.log.WarnContext(ctx, "client certificate refused", "client_address", address.Host(one.remote),
			"certificate_subject", one.subject, "client_id", one.clientID, "error", one.cause, "repeated", repeated)
	})
}

// connectionLog is the error log of a listener (http.Server.ErrorLog). A client certificate that the handshake refuses
// is a warning: the client meets nothing but an alert, and its operator will ask. All else is noise of connections.
//
// Go's handshake reads the certificate before anything of ours sees it, and says of one that it cannot read only why:
// there is no subject. Of one that it has read and refuses then, the subject is that of the handshake.
type connectionLog struct {
	refusals   *refusals
	handshakes *handshakes.Seen
	log        *slog.Logger
}

// Write implements io.Writer for one line of package net/http.
func (c connectionLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	if remote, cause, ok := refusedCertificate(text); ok {
		c.refusals.report(context.Background(), refusal{remote: remote, server: c.handshakes.Server(remote), subject: c.handshakes.Subject(remote), cause: cause})
	} else if cause, ok := strings.CutPrefix(text, "http: Accept error: "); ok {
		c.refusals.lines.Write("accept", 1, func(repeated int) { // net/http says it up to 200 times a second
			c.log.Error("connections are not accepted", "error", cause, "repeated", repeated)
		})
	} else {
		c.log.Debug("connection error", "error", text)
	}
	return len(line), nil
}

// refusedCertificate reads a line of package net/http about a handshake that failed for the client's certificate.
func refusedCertificate(line string) (remote, cause string, ok bool) {
	rest, ok := strings.CutPrefix(line, "http: TLS handshake error from ")
	if !ok {
		return "", "", false
	}
	remote, text, ok := strings.Cut(rest, ": tls: ")
	if !ok {
		return "", "", false
	}
	if cause, ok := strings.CutPrefix(text, "failed to parse client certificate: x509: "); ok {
		return remote, cause, true
	}
	for _, about := range []string{
		"client certificate ", "client sent certificate containing ", "invalid signature by the client certificate",
	} {
		if strings.HasPrefix(text, about) {
			return remote, text, true
		}
	}
	return "", "", false
}
