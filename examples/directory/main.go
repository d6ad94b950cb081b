// Command directory is a directory of participants for trying registration with software statements (docs/directory.md). It
// listens on this machine, and whoever reaches it may change it:
//
//	directory -kind brazil -address 127.0.0.1:9443 -certificate server.crt -key server.key
//	curl --cacert ca.crt -X PUT https://localhost:9443/organisations/org-1/Active
//	curl --cacert ca.crt -X PUT https://localhost:9443/software/app-1 -d '{"organisation":"org-1","name":"An app", …}'
//	curl --cacert ca.crt https://localhost:9443/software/app-1/statement
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"countersign/examples/directory/standin"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "directory:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string) error {
	flags := flag.NewFlagSet("directory", flag.ContinueOnError)
	kind := flags.String("kind", standin.Brazil, "how it publishes: uk, brazil or cdr")
	issuer := flags.String("issuer", "Example directory", "iss of its statements")
	address := flags.String("address", "127.0.0.1:9443", "where it listens")
	public := flags.String("url", "", "its https address as others see it; https:// and address when empty")
	certificate := flags.String("certificate", "", "file of its certificate, PEM")
	key := flags.String("key", "", "file of the certificate's key, PEM")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(*address)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return errors.New("it trusts everybody who reaches it: it listens on this machine only")
	}
	d, err := standin.New(*kind, *issuer, time.Now)
	if err != nil {
		return err
	}
	if d.Address = *public; d.Address == "" {
		d.Address = "https://" + *address
	}
	server := &http.Server{Addr: *address, Handler: d, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close() // it is over anyway
	}()
	if err := server.ListenAndServeTLS(*certificate, *key); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
