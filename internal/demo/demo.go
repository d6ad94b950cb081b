// Package demo is a FAPI 2.0 client that goes through the whole flow in a terminal and explains every message. It is a
// client and nothing else: it knows the server by its issuer URL only.
package demo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"time"

	"countersign/internal/jose"
	"countersign/rp/client"
)

// Config is what the demo's client needs.
type Config struct {
	// Issuer is the server's issuer identifier, and Roots are the authorities that its certificate is held to.
	Issuer string
	Roots  *x509.CertPool

	ClientID    string
	RedirectURI string
	Scope       string
	// ClientKey signs client assertions, and ProofKey DPoP proofs.
	ClientKey, ProofKey jose.PrivateKey
	// Callback is the certificate of the listener that waits for the browser at RedirectURI.
	Callback tls.Certificate

	// Auto plays the browser too, and signs in with Username and Password.
	Auto               bool
	Username, Password string
	// Open opens the user's browser. An error is ignored: the address is shown too.
	Open func(address string) error

	Out   io.Writer
	Color bool
	Now   func() time.Time
}

// demo is one run.
type demo struct {
	config Config
	screen screen
	http   *http.Client
	// client is nil until the server's metadata are known, and tokens until there are some.
	client *client.Client
	tokens *client.Tokens
	// calling is why the resource is called.
	calling string
	// problem is what was found to be wrong while messages were shown, with its step.
	problem error
	// lives is for how many seconds the address for the browser can be opened; 0 when the server does not say.
	lives int
}

// Run goes through the flow. It returns an error at the first message that is not as it should be, saying what was
// expected.
func Run(ctx context.Context, config Config) error {
	if config.Now == nil {
		config.Now = time.Now
	}
	return newDemo(config).run(ctx)
}

func newDemo(config Config) *demo {
	return &demo{
		config: config, screen: screen{out: config.Out, color: config.Color, now: config.Now}, http: newHTTPClient(config.Roots),
	}
}

func (d *demo) run(ctx context.Context) error {
	defer d.http.CloseIdleConnections()
	d.screen.title("A FAPI 2.0 flow with " + d.config.Issuer)
	err := d.flow(ctx)
	if d.problem != nil {
		return d.problem
	}
	if err != nil {
		return d.located(err)
	}
	d.screen.done(
		"The browser carried a reference and a code, and never a token.",
		"The client proved itself with its key, and every request with a new proof.",
		"The access token without the DPoP key was refused.",
	)
	return nil
}

// located is an error with the step that has begun.
func (d *demo) located(err error) error {
	return fmt.Errorf("step %d, %s: %w", len(d.screen.steps), d.screen.current(), err)
}

// flow is the seven steps. The client goes through two of them by itself: it redeems the code and verifies the ID token.
func (d *demo) flow(ctx context.Context) error {
	if err := d.discover(ctx); err != nil {
		return err
	}
	address, transaction, err := d.push(ctx)
	if err != nil {
		return err
	}
	answer, err := d.authorize(ctx, address)
	if err != nil {
		return err
	}
	if err := d.redeem(ctx, transaction, answer); err != nil || d.problem != nil {
		return err
	}
	if err := d.useResource(ctx); err != nil {
		return err
	}
	return d.refresh(ctx)
}
