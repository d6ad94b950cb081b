package serve

import (
	"bytes"
	"countersign/internal/handshakes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestAcceptFailureIsLogged: a line, once a minute, though net/http says it many times a second; no other problem of a
// connection is taken for one.
//
// Covers: FD-105.
func TestAcceptFailureIsLogged(t *testing.T) {
	now := time.Unix(1000, 0)
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	r := newRefusals(func() time.Time { return now }, logger)
	write := func(line string) {
		_, _ = connectionLog{r, &handshakes.Seen{}, logger}.Write([]byte(line + "\n"))
	}
	const failure = "http: Accept error: accept tcp 127.0.0.1:8443: accept4: too many open files; retrying in 5ms"
	lines := func() int { return strings.Count(log.String(), "connections are not accepted") }
	t.Run("refuses what is no failure to accept", func(t *testing.T) {
		write("http: TLS handshake error from 192.0.2.1:1: EOF")
		if lines() != 0 {
			t.Errorf("logged: %s", &log)
		}
	})
	t.Run("accepts a failure, with its cause", func(t *testing.T) {
		write(failure)
		if lines() != 1 || !strings.Contains(log.String(), "too many open files") {
			t.Errorf("%d lines: %s", lines(), &log)
		}
	})
	t.Run("refuses another line within the minute", func(t *testing.T) {
		for range 199 {
			write(failure)
		}
		now = now.Add(refusalAgain - time.Second)
		r.lines.Flush(false)
		if lines() != 1 {
			t.Errorf("%d lines: %s", lines(), &log)
		}
	})
	t.Run("accepts a second line after the minute, with the number", func(t *testing.T) {
		now = now.Add(time.Second)
		r.lines.Flush(false)
		if lines() != 2 || !strings.Contains(log.String(), "repeated=199") {
			t.Errorf("%d lines: %s", lines(), &log)
		}
	})
}
