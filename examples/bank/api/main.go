// Command api is the bank's API for accounts and payments of examples/bank: a resource server on package rs. It serves what the access
// token allows, and nothing else: the accounts that the customer chose, and the payment that the customer confirmed.
//
// It asks the authorization server about each token (RFC 7662), so that what a customer ends has ended here at once.
package main

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"countersign/rs"
)

// settings are what the command line says.
type settings struct {
	issuer, clientID, key, customer        string
	authority, certificate, certificateKey string
	port                                   int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var s settings
	flag.StringVar(&s.issuer, "issuer", "", "the bank's authorization server, a `URL`")
	flag.StringVar(&s.clientID, "client-id", "northfold-api", "what that knows this API by, to answer about tokens")
	flag.StringVar(&s.key, "key", "", "`file` of the private key that proves it, PEM")
	flag.StringVar(&s.customer, "customer", "customer-4711", "`subject` of the customer who has accounts here")
	flag.StringVar(&s.authority, "ca", "", "`file` of the certificate authority of the authorization server, PEM")
	flag.StringVar(&s.certificate, "certificate", "", "`file` of the TLS certificate, PEM")
	flag.StringVar(&s.certificateKey, "certificate-key", "", "`file` of its private key, PEM")
	flag.IntVar(&s.port, "port", 8456, "`port` to listen on, on this machine alone")
	flag.Parse()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "api:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	base := fmt.Sprintf("https://localhost:%d", s.port)
	private, err := readKey(s.key)
	if err != nil {
		return err
	}
	key, err := rs.NewKey(private, s.clientID, "")
	if err != nil {
		return err
	}
	authority, err := os.ReadFile(s.authority)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	guard, err := rs.New(ctx, rs.Config{
		Issuer: s.issuer, Audience: base,
		Introspection: &rs.Introspection{ClientID: s.clientID, Key: key},
		HTTP:          &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}},
		OnRefused:     func(r *http.Request, e *rs.Error) { log.WarnContext(r.Context(), "request refused", "error", e) },
	})
	if err != nil {
		return err
	}
	a := &api{books: openBooks(s.customer, time.Now()), who: holderOf, now: time.Now}
	mux := http.NewServeMux()
	mux.Handle("/", guard.Require()(a.routes()))
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	server := &http.Server{Addr: fmt.Sprintf("127.0.0.1:%d", s.port), Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	stopped := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stopped()
	log.InfoContext(ctx, "ready", "address", base)
	if err := server.ListenAndServeTLS(s.certificate, s.certificateKey); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// holderOf takes what package rs has checked of a request's token.
func holderOf(ctx context.Context) (holder, error) {
	token, ok := rs.FromContext(ctx)
	if !ok {
		return holder{}, errors.New("the request has no token")
	}
	h := holder{Subject: token.Subject}
	for _, each := range []string{accountInformation, paymentInitiation} {
		details, err := rs.DetailsOf[detail](token, each)
		if err != nil {
			return holder{}, err
		}
		h.Details = append(h.Details, details...)
	}
	return h, nil
}

// readKey reads a private key, PEM of PKCS #8.
func readKey(file string) (crypto.Signer, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM", file)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s holds no key to sign with", file)
	}
	return key, nil
}
