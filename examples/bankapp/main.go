// Command bankapp is the least that a bank's own application does to confirm what people are asked over the backchannel
// (CIBA): it is enrolled with a one-time code, shows who asks for what, and sends the decision. It needs nothing but the
// standard library; an application on a telephone does the same in its own language, with a key in the telephone's
// hardware, and asks for the finger or the face before it decides.
//
//	bankapp -issuer https://id.bank.example enrol CODE
//	bankapp -issuer https://id.bank.example            # waits for requests and asks on the terminal
package main

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bankapp:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("bankapp", flag.ContinueOnError)
	issuer := flags.String("issuer", "https://localhost:8443", "address of the server")
	keyFile := flags.String("key", "bankapp.key", "`file` of the application's key; it is made when it is not there")
	authority := flags.String("ca", "", "`file` with the authority that the server's certificate is of, if the system does not know it")
	once := flags.Bool("once", false, "end after one request")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	key, err := openKey(*keyFile)
	if err != nil {
		return err
	}
	client, err := newClient(*authority)
	if err != nil {
		return err
	}
	d := &device{issuer: strings.TrimSuffix(*issuer, "/"), key: key, http: client}
	if flags.Arg(0) == "enrol" {
		return d.enrol(ctx, flags.Arg(1), out)
	}
	return d.watch(ctx, bufio.NewScanner(in), out, *once)
}

// newClient makes an HTTP client that trusts an authority beside those of the system.
func newClient(authority string) (*http.Client, error) {
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("the default transport is another one")
	}
	transport = transport.Clone()
	if authority != "" {
		encoded, err := os.ReadFile(authority)
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(encoded) {
			return nil, fmt.Errorf("%s holds no certificate", authority)
		}
	}
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}, nil
}

// enrol makes this application a device of the user who has the code.
func (d *device) enrol(ctx context.Context, code string, out io.Writer) error {
	var made struct {
		Username string `json:"username"`
	}
	form := url.Values{"code": {code}, "name": {"Example bank app"}}
	if err := d.call(ctx, http.MethodPost, d.issuer+"/device/api/enrol", form, &made); err != nil {
		return err
	}
	fmt.Fprintf(out, "This application confirms for %s from now on.\n", made.Username)
	return nil
}

// request is what a user is shown.
type request struct {
	ID     string `json:"request_id"`
	Client struct {
		ID   string `json:"client_id"`
		Name string `json:"client_name"`
	} `json:"client"`
	Message string `json:"binding_message"`
	Scopes  []struct {
		Description string `json:"description"`
	} `json:"scopes"`
	Details []struct {
		Title string `json:"title"`
		Lines []struct {
			Label string `json:"label"`
			Value string `json:"value"`
		} `json:"lines"`
	} `json:"authorization_details"`
	ExpiresAt int64 `json:"expires_at"`
	// Approve and Deny are where the decision is sent. They hold the digest of all of the above, so that the proof
	// signs what was shown, beside what is claimed in the body.
	Approve string `json:"approve"`
	Deny    string `json:"deny"`
}

// watch waits for requests and asks about each.
func (d *device) watch(ctx context.Context, in *bufio.Scanner, out io.Writer, once bool) error {
	version, asked := "", map[string]bool{}
	for ctx.Err() == nil {
		var list struct {
			Requests []request `json:"requests"`
			Version  string    `json:"version"`
		}
		address := d.issuer + "/device/api/requests?wait=15&version=" + url.QueryEscape(version)
		if err := d.call(ctx, http.MethodGet, address, nil, &list); err != nil {
			return err
		}
		version = list.Version
		for _, r := range list.Requests {
			if asked[r.ID] {
				continue
			}
			asked[r.ID] = true
			if err := d.ask(ctx, r, in, out); err != nil {
				return err
			}
			if once {
				return nil
			}
		}
	}
	return ctx.Err()
}

// ask shows a request and sends the user's decision.
func (d *device) ask(ctx context.Context, r request, in *bufio.Scanner, out io.Writer) error {
	fmt.Fprintf(out, "\n%s (%s) asks, until %s:\n", r.Client.Name, r.Client.ID, time.Unix(r.ExpiresAt, 0).Format(time.TimeOnly))
	if r.Message != "" {
		fmt.Fprintf(out, "  Message: %s\n", r.Message)
	}
	for _, detail := range r.Details {
		fmt.Fprintf(out, "  %s\n", detail.Title)
		for _, line := range detail.Lines {
			fmt.Fprintf(out, "    %s: %s\n", line.Label, line.Value)
		}
	}
	for _, scope := range r.Scopes {
		fmt.Fprintf(out, "  %s\n", scope.Description)
	}
	fmt.Fprint(out, "approve or deny? ")
	if !in.Scan() {
		return errors.Join(errors.New("nobody answers"), in.Err())
	}
	addresses := map[string]string{"approve": r.Approve, "deny": r.Deny}
	address, known := addresses[strings.TrimSpace(in.Text())]
	if !known {
		fmt.Fprintln(out, "Neither: nothing was decided.")
		return nil
	}
	// A real application asks for the finger here, and says so, if it was enrolled by somebody who signed in with a passkey
	// (amr_values of the enrolment). This one has only somebody at a terminal: "user" (RFC 8176).
	var decided struct {
		State string `json:"state"`
	}
	if err := d.call(ctx, http.MethodPost, address, url.Values{"amr": {"user"}}, &decided); err != nil {
		return err
	}
	fmt.Fprintf(out, "The request is %s.\n", decided.State)
	return nil
}
