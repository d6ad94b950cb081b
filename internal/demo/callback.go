package demo

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"time"
)

// waitForUser is how long a user may take.
const waitForUser = 5 * time.Minute

// callbackPage is what the user's browser shows at the end.
const callbackPage = `<!DOCTYPE html><html lang="en"><meta name="color-scheme" content="light dark"><title>Done</title>
<h1>Done</h1><p>The client has its answer. Go back to the terminal; you can close this page.</p>
`

// wait opens the user's browser and listens at the redirect URI.
func (d *demo) wait(ctx context.Context, address string) (url.Values, error) {
	redirect, err := url.Parse(d.config.RedirectURI)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", redirect.Port()))
	if err != nil {
		return nil, fmt.Errorf("the address of the callback is taken; is another demo running? %w", err)
	}
	came := make(chan url.Values, 1)
	server := &http.Server{
		ReadHeaderTimeout: 5 * time.Second,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{d.config.Callback}, MinVersion: tls.VersionTLS12},
		ErrorLog:          log.New(io.Discard, "", 0), // a browser that hesitates over a certificate is not worth a line
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet || r.URL.Path != redirect.Path {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Content-Security-Policy", "default-src 'none'")
			w.Header().Set("Referrer-Policy", "no-referrer")
			w.Header().Set("Cache-Control", "no-store")
			_, _ = io.WriteString(w, callbackPage) // a browser that is gone does not need it
			select {
			case came <- r.URL.Query():
			default: // the page was loaded again
			}
		}),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.ServeTLS(listener, "", "") }()
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = server.Shutdown(last) // the page is out by then, or not wanted
	}()
	within := ""
	if d.lives > 0 {
		within = fmt.Sprintf(" within %d seconds", d.lives)
	}
	d.screen.say("Open this address in your browser" + within + ", and sign in as " + d.config.Username + "; when it is too late, run the demo again:")
	d.screen.address(address)
	if d.config.Open != nil {
		_ = d.config.Open(address) // the address is on the screen
	}
	d.screen.say("Waiting for the browser at " + d.config.RedirectURI + " …")
	select {
	case back := <-came:
		return back, nil
	case err := <-failed:
		return nil, fmt.Errorf("cannot listen for the callback: %w", err)
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(waitForUser):
		return nil, fmt.Errorf("nobody came back within %s", waitForUser)
	}
}
