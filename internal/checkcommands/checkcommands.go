// Package checkcommands is the command line that says, rule by rule, whether the server would accept a message of a client.
package checkcommands

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"

	"countersign/fapi"
	"countersign/fapi/examine"
	"countersign/internal/admin"
	"countersign/internal/config"
	"countersign/internal/console"
	"countersign/internal/hsm"
	"countersign/internal/serve"
	"countersign/internal/usercommands"
	"countersign/mtls"
	"countersign/signer"
	"countersign/store"
)

// Check are the examinations of messages.
type Check struct {
	Assertion     assertion     `cmd:"" help:"Check a client assertion (private_key_jwt)."`
	Proof         proof         `cmd:"" help:"Check a DPoP proof."`
	RequestObject requestObject `cmd:"" help:"Check a signed or encrypted request object, and the parameters in it."`
	Certificate   certificate   `cmd:"" help:"Check a client's certificate, PEM with its intermediates."`
	JWKS          keySet        `cmd:"" name:"jwks" help:"Check a key set for a client."`
}

// Help implements kong.HelpProvider.
func (Check) Help() string {
	return `Applies each rule of the server to a message that a client has made, and says which would refuse it, by which section
of the specification, and what to do. Nothing is changed: the store is only read, and a jti is looked up and
not consumed. Keys at a jwks_uri and lists of revoked certificates are fetched, as the server does. A file may also be a request as it was sent: the message is found in it. The exit code is 1
if the message would be refused. See docs/check.md.

Examples:
  countersign check assertion assertion.jwt --client budget-app --endpoint /par
  countersign check proof proof.jwt --client budget-app --method POST --url https://login.example/token
  countersign check request-object - --client budget-app < object.jwt
  countersign check certificate client.pem --client budget-app
  countersign check jwks keys.json --client budget-app`
}

// message is what all have in common.
type message struct {
	File string `arg:"" help:"The file with the message; - reads standard input."`
	At   string `placeholder:"TIME" help:"When the message arrives, such as 2026-11-30T17:12:03Z (RFC 3339); now by default."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// of is for whom a message is examined.
type of struct {
	Client string `required:"" placeholder:"ID" help:"The client_id."`
}

// maxFile bounds a message, in bytes.
const maxFile = 4 << 20

type assertion struct {
	message
	Client   string `placeholder:"ID" help:"The client_id; the one that the assertion names by default."`
	Endpoint string `default:"/token" placeholder:"PATH" help:"The endpoint that it is sent to, below the issuer: some profiles accept its address as aud."`
}

// Run implements the command.
func (c assertion) Run(ctx context.Context, p *usercommands.Program) error {
	return c.run(ctx, p, func(ctx context.Context, e *examine.Examiner, _ *config.Config, read []byte) (*examine.Report, error) {
		return e.Assertion(ctx, c.Client, find(read, inAssertion()), "/"+strings.TrimPrefix(c.Endpoint, "/"))
	})
}

type proof struct {
	message
	Client      string `placeholder:"ID" help:"The client_id; without one nothing is said of the client."`
	Method      string `default:"POST" help:"The HTTP method of the request."`
	URL         string `name:"url" placeholder:"URL" help:"The address that the request was sent to; that of the token endpoint by default."`
	AccessToken string `name:"access-token-file" type:"existingfile" placeholder:"FILE" help:"The access token that came along, for ath."`
	JKT         string `name:"jkt" placeholder:"THUMBPRINT" help:"The thumbprint of the key that the code, grant or token is bound to."`
}

// Run implements the command.
func (c proof) Run(ctx context.Context, p *usercommands.Program) error {
	return c.run(ctx, p, func(ctx context.Context, e *examine.Examiner, settings *config.Config, read []byte) (*examine.Report, error) {
		with := examine.Proven{Method: c.Method, URL: c.URL, Thumbprint: c.JKT}
		if with.Method == "" {
			with.Method = http.MethodPost
		}
		if with.URL == "" {
			with.URL = settings.Issuer + "/token"
		}
		if c.AccessToken != "" {
			token, err := os.ReadFile(c.AccessToken)
			if err != nil {
				return nil, err
			}
			with.AccessToken = strings.TrimSpace(string(token))
		}
		return e.Proof(ctx, c.Client, find(read, inProof()), with)
	})
}

type requestObject struct {
	message
	of
	ByValue bool `help:"It is sent to the authorization endpoint, and not pushed."`
}

// Run implements the command.
func (c requestObject) Run(ctx context.Context, p *usercommands.Program) error {
	return c.run(ctx, p, func(ctx context.Context, e *examine.Examiner, _ *config.Config, read []byte) (*examine.Report, error) {
		return e.RequestObject(ctx, c.Client, find(read, inRequest()), c.ByValue)
	})
}

type certificate struct {
	message
	of
}

// Run implements the command.
func (c certificate) Run(ctx context.Context, p *usercommands.Program) error {
	return c.run(ctx, p, func(ctx context.Context, e *examine.Examiner, settings *config.Config, read []byte) (*examine.Report, error) {
		source := settings.ListenMTLS.Source
		return e.Certificate(ctx, c.Client, read, source == mtls.SourceDirect || source == "")
	})
}

type keySet struct {
	message
	of
}

// Run implements the command.
func (c keySet) Run(ctx context.Context, p *usercommands.Program) error {
	return c.run(ctx, p, func(ctx context.Context, e *examine.Examiner, _ *config.Config, read []byte) (*examine.Report, error) {
		return e.KeySet(ctx, c.Client, read)
	})
}

// run reads the message, has it examined as the configured server would, and prints what came of it.
func (m message) run(
	ctx context.Context, p *usercommands.Program,
	examined func(context.Context, *examine.Examiner, *config.Config, []byte) (*examine.Report, error),
) error {
	now, err := m.clock(p)
	if err != nil {
		return err
	}
	settings, err := p.Config()
	if err != nil {
		return err
	}
	read, err := console.ReadInput(p.Stdin, m.File, maxFile)
	if err != nil {
		return err
	}
	var report *examine.Report
	if err := p.WithStore(ctx, func(s store.Store) error {
		e, err := New(ctx, settings, s, now)
		if err != nil {
			return err
		}
		report, err = examined(ctx, e, settings, read)
		return err
	}); err != nil {
		return err
	}
	if m.JSON {
		err = console.WriteJSON(p.Stdout, report)
	} else {
		err = write(p.Stdout, report)
	}
	if err == nil && !report.Accepted {
		err = p.Reported
	}
	return err
}

// clock is the time at which the message arrives: now, as long as nothing else is said. It goes on meanwhile: what is pasted or
// fetched slowly is judged by the time at which it is there.
func (m message) clock(p *usercommands.Program) (func() time.Time, error) {
	if m.At == "" {
		return p.Now, nil
	}
	at, err := time.Parse(time.RFC3339, m.At)
	if err != nil {
		return nil, admin.Usagef("--at: %q is no time such as 2026-11-30T17:12:03Z", m.At)
	}
	return func() time.Time { return at }, nil
}

// New makes an examiner of messages as a server with this configuration would take them at a time. It needs no HSM but for request
// objects that are encrypted, which it refuses; of the store it only reads.
func New(ctx context.Context, c *config.Config, s store.Store, now func() time.Time) (*examine.Examiner, error) {
	settings, err := serve.Offered(ctx, c, now)
	if err != nil {
		return nil, err
	}
	settings.Store = reader{s}
	if settings.Signer, err = signer.New(ctx, signer.Config{Catalogue: hsm.Catalogue(s), Now: now}); err != nil {
		return nil, err
	}
	return fapi.Examine(ctx, settings)
}

// reader is a store of which the server's own values are read and not made: where there are none, nothing was derived from them.
type reader struct{ store.Store }

// Seed returns the value under a name, or fresh without storing it.
func (r reader) Seed(ctx context.Context, name string, fresh []byte) ([]byte, error) {
	seed, err := r.KnownSeed(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return fresh, nil
	}
	return seed, err
}

// find returns the message in a text: the whole of it, or what a pattern finds in a request.
func find(read []byte, in *regexp.Regexp) string {
	text := strings.TrimSpace(string(read))
	if found := in.FindStringSubmatch(text); found != nil {
		return found[1]
	}
	return text
}

// The places of messages in a request as it was sent: parameters of a form, which JWTs need no encoding in, and a header.
func inAssertion() *regexp.Regexp {
	return regexp.MustCompile(`(?:^|[&?\s"'])client_assertion=([\w.-]+)`)
}
func inRequest() *regexp.Regexp { return regexp.MustCompile(`(?:^|[&?\s"'])request=([\w.-]+)`) }
func inProof() *regexp.Regexp   { return regexp.MustCompile(`(?im)(?:^|["'\s])DPoP:\s*([\w.-]+)`) }

// words for a line of a report.
func outcome(f examine.Finding) string {
	switch {
	case f.Note:
		return "note"
	case f.Accepted:
		return "ok"
	}
	return "FAIL"
}

func summary(r *examine.Report) string {
	if r.Accepted {
		return fmt.Sprintf("The server would accept this %s.", r.Kind)
	}
	return fmt.Sprintf("The server would refuse this %s: %s: %s.", r.Kind, r.Error, strings.TrimSuffix(r.Text, "."))
}
