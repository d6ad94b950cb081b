// Command orchid is the third party's web application of examples/bank: Orchid Budget shows what its users have at their bank, and pays
// their bills. It is a relying party on package rp: it sends users to the bank to sign in and to choose accounts, calls the bank's API with
// tokens that nobody else can use, has payments confirmed on the telephone (CIBA), and learns when a user signs out at the bank.
//
// What of it is OAuth is in rely.go; the rest is a web application, without scripts.
package main

import (
	"context"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"countersign/rp"
	"countersign/rp/client"
)

// settings are what the command line says.
type settings struct {
	issuer, clientID, key, api  string
	authority, certificate, tls string
	port                        int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var s settings
	flag.StringVar(&s.issuer, "issuer", "", "the bank's authorization server, a `URL`")
	flag.StringVar(&s.clientID, "client-id", "orchid-budget", "what the bank knows this application by")
	flag.StringVar(&s.key, "key", "", "`file` of the private key that proves it, PEM")
	flag.StringVar(&s.api, "api", "", "the bank's API, a `URL`")
	flag.StringVar(&s.authority, "ca", "", "`file` of the certificate authority of the bank, PEM")
	flag.StringVar(&s.certificate, "certificate", "", "`file` of the TLS certificate, PEM")
	flag.StringVar(&s.tls, "certificate-key", "", "`file` of its private key, PEM")
	flag.IntVar(&s.port, "port", 8457, "`port` to listen on, on this machine alone")
	flag.Parse()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "orchid:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) error {
	base := fmt.Sprintf("https://localhost:%d", s.port)
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	key, err := client.LoadKey(s.key)
	if err != nil {
		return err
	}
	authority, err := os.ReadFile(s.authority)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	o := &orchid{bank: bankAPI{s.api}, issuer: s.issuer, bills: sampleBills(), orders: &orders{all: map[string]*order{}}, log: log, now: time.Now, background: ctx}
	if o.pages, err = parsePages(); err != nil {
		return err
	}
	// Tokens live in this process only, and so does the key that they are bound to.
	o.app, err = rp.New(ctx, rp.Config{
		Issuer: s.issuer, BaseURL: base, ClientID: s.clientID, Key: key, Name: "Orchid Budget",
		Client:      client.Config{Roots: roots, Logger: log},
		Login:       []rp.LoginOption{rp.WithResource(s.api)},
		Render:      o.show,
		AfterLogout: afterSignOut,
	})
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle(authPrefix+"/", o.app.Handler(authPrefix))
	// Forms of other sites are refused (Fetch Metadata).
	mux.Handle("/", http.NewCrossOriginProtection().Handler(o.app.Session(o.routes())))
	server := &http.Server{
		Addr: fmt.Sprintf("127.0.0.1:%d", s.port), Handler: headers(s.issuer, mux), ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	stopped := context.AfterFunc(ctx, func() { _ = server.Close() }) // pages that wait would hold Shutdown up
	defer stopped()
	log.InfoContext(ctx, "ready", "address", strings.TrimSuffix(base, "/"))
	if err := server.ListenAndServeTLS(s.certificate, s.tls); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
