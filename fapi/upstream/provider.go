package upstream

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"countersign/internal/oauth"
	"countersign/rp/client"
)

const (
	// timeout bounds one exchange with the provider.
	timeout = 5 * time.Second
	// pause is how long a provider is left alone that could not be reached.
	pause = 2 * time.Second
	// userAgent is what the provider sees.
	userAgent = "countersign"
)

// provider has the client of the provider, made when it is first needed and again when the credential has changed: the server starts
// without the provider.
type provider struct {
	settings    *Settings
	redirectURI string
	now         func() time.Time
	log         *slog.Logger

	// turn holds one token, and is what the fields below are guarded by: who waits for it can give up.
	turn   chan struct{}
	made   *client.Client
	id     string
	failed time.Time
	err    error
}

func newProvider(settings *Settings, redirectURI string, now func() time.Time, log *slog.Logger) *provider {
	p := &provider{settings: settings, redirectURI: redirectURI, now: now, log: log, turn: make(chan struct{}, 1)}
	p.turn <- struct{}{}
	return p
}

// Configure is the configuration of a client of the provider with a credential.
func (s Settings) Configure(credential Credential, redirectURI string, now func() time.Time, log *slog.Logger) client.Config {
	c := client.Config{
		Issuer: s.Issuer, ClientID: s.ClientID, RedirectURI: redirectURI, Scopes: s.Scopes, Weak: s.Weak,
		Auth: credential.Auth, Binding: credential.Binding, Transport: s.Transport, Timeout: timeout, UserAgent: userAgent, Now: now, Logger: log,
	}
	if len(s.Weak.Names()) > 0 {
		c.Profile = client.Plain
	}
	if s.Weak.Bearer {
		c.Binding = client.Binding{}
	}
	return c
}

// client is the provider's client. Errors are *[oauth.Error] for a page, or those of the signer.
func (p *provider) client(ctx context.Context) (*client.Client, error) {
	credential, err := p.settings.Credential(ctx)
	if err != nil {
		return nil, err
	}
	select {
	case <-p.turn:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { p.turn <- struct{}{} }()
	if p.made != nil && p.id == credential.ID {
		return p.made, nil
	}
	if since := p.now().Sub(p.failed); p.err != nil && since >= 0 && since < pause {
		return nil, unavailable(p.err)
	}
	made, err := client.New(ctx, p.settings.Configure(credential, p.redirectURI, p.now, p.log))
	if err != nil {
		if ctx.Err() == nil { // else it is the browser that has gone
			p.failed, p.err = p.now(), err
			p.log.ErrorContext(ctx, "upstream provider cannot be used", "issuer", p.settings.Issuer, "error", err.Error(), "cause", cause(err).Error())
		}
		return nil, unavailable(err)
	}
	p.made, p.id, p.err = made, credential.ID, nil
	return made, nil
}

// cause is what is at the bottom of an error, such as the address that may not be reached: the operator needs it, and nobody else.
func cause(err error) error {
	for {
		below := errors.Unwrap(err)
		if below == nil {
			return err
		}
		err = below
	}
}

// unavailable is the error for a page while the provider is away.
func unavailable(cause error) error {
	refusal := oauth.Errorf(oauth.TemporarilyUnavailable,
		"the sign-in is not possible at the moment: the identity provider cannot be reached; nothing was allowed, and you can try again shortly").
		WithStatus(503).Because(cause)
	refusal.RetryAfter = 10 * time.Second
	return refusal
}
