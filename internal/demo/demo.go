// Package demo is a FAPI 2.0 client that goes through the whole flow in a terminal and explains every message. It is a
// client and nothing else: it knows the server by its issuer URL only.
package demo

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"time"

	"countersign/internal/flowclient"
	"countersign/internal/jose"
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
	// random gives 256 random bits in base64url.
	random func() string
	client *flowclient.Client
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
	d := &demo{
		config: config, screen: screen{out: config.Out, color: config.Color, now: config.Now},
		http: newHTTPClient(config.Roots), random: randomText,
	}
	d.client = d.newClient()
	return d
}

func randomText() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func (d *demo) run(ctx context.Context) error {
	defer d.http.CloseIdleConnections()
	d.screen.title("A FAPI 2.0 flow with " + d.config.Issuer)
	if err := d.flow(ctx); err != nil {
		return fmt.Errorf("step %d, %s: %w", len(d.screen.steps), d.screen.current(), err)
	}
	d.screen.done(
		"The browser carried a reference and a code, and never a token.",
		"The client proved itself with its key, and every request with a new proof.",
		"The access token without the DPoP key was refused.",
	)
	return nil
}

// flow is the seven steps.
func (d *demo) flow(ctx context.Context) error {
	t := d.client.NewTransaction()
	if err := d.discover(ctx); err != nil {
		return err
	}
	requestURI, err := d.push(ctx, t)
	if err != nil {
		return err
	}
	code, err := d.authorize(ctx, t, requestURI)
	if err != nil {
		return err
	}
	issued, err := d.redeem(ctx, t, code)
	if err != nil {
		return err
	}
	if err := d.checkIDToken(ctx, t, issued.IDToken); err != nil {
		return err
	}
	if err := d.useResource(ctx, issued.AccessToken); err != nil {
		return err
	}
	return d.refresh(ctx, issued)
}
