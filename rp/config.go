package rp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"countersign/rp/client"
	"countersign/rp/internal/transaction"
	"countersign/rp/internal/web"
	"countersign/rp/session"
)

// Config says who the application is. Issuer, BaseURL, ClientID, and Key or Client.Auth are required.
type Config struct {
	// Issuer is the provider's issuer identifier, an https URL.
	Issuer string
	// BaseURL is the application's origin, "https://app.example": redirect URIs begin with it, and nothing is ever taken from the Host header.
	BaseURL string
	// ClientID is what the provider knows the application by.
	ClientID string
	// Key authenticates the application (private_key_jwt), and signs requests where the profile wants that.
	Key client.Key
	// Client is everything else about the protocol: the profile, mutual TLS, DPoP keys, scopes, timeouts, what a plain provider lacks. Its Issuer and
	// ClientID are those above, and its RedirectURI is made of BaseURL. Scopes always have "openid".
	Client client.Config
	// Sessions says where sessions are kept and for how long; the zero value keeps them in this process. Its clock is that of Client.
	Sessions session.Config
	// Login is what every login asks for, before the options of the one at hand.
	Login []LoginOption
	// Hooks are told of logins and refreshes, and may refuse or change some.
	Hooks Hooks
	// Render shows pages in place of the built-in ones.
	Render Renderer
	// Name is the application's name on pages; empty is the host of BaseURL.
	Name string
	// Home is the path to which a login without another one returns; empty is "/".
	Home string
	// AfterLogout is the path to which a logout leads; empty is Home.
	AfterLogout string
	// TransactionLife is how long a login may take; 0 is half an hour.
	TransactionLife time.Duration
	// RefreshBefore is how long before its end an access token is refreshed; 0 is 20 seconds.
	RefreshBefore time.Duration
}

const (
	defaultPrefix          = "/auth"
	defaultTransactionLife = 30 * time.Minute
	defaultRefreshBefore   = 20 * time.Second
)

// App is a relying party. It is safe for concurrent use.
type App struct {
	*site
	*answers
	*marks
	client    *client.Client
	sessions  *session.Manager
	logins    *transaction.Jar
	refresher *refresher
}

// site is what everything of the application knows.
type site struct {
	config Config
	prefix atomic.Pointer[string]
	now    func() time.Time
	log    *slog.Logger
}

// New reads the provider's metadata and makes a relying party. Errors are those of [client.New], such as a [*client.WeakProviderError] that lists all that
// the provider lacks, or say what is wrong with the configuration.
func New(ctx context.Context, config Config) (*App, error) {
	if err := config.complete(); err != nil {
		return nil, fmt.Errorf("rp: %w", err)
	}
	sessions, err := session.New(config.Sessions)
	if err != nil {
		return nil, fmt.Errorf("rp: %w", err)
	}
	protocol, err := client.New(ctx, config.Client)
	if err != nil {
		return nil, fmt.Errorf("rp: %w", err)
	}
	s := &site{config: config, now: config.Client.Now, log: config.Client.Logger}
	return &App{
		site: s, answers: &answers{s}, marks: &marks{s}, client: protocol, sessions: sessions,
		logins: &transaction.Jar{
			Keys: sessions.Keys(), Prefix: s.cookieName("login-"), Life: config.TransactionLife, Now: s.now,
			CrossSite: strings.HasPrefix(config.Client.ResponseMode, "form_post"),
		},
		refresher: newRefresher(s, protocol, sessions),
	}, nil
}

// complete checks the configuration and sets its defaults.
func (config *Config) complete() error {
	base, err := url.Parse(config.BaseURL)
	if err != nil || base.Scheme != "https" || base.Host == "" || base.User != nil || strings.TrimPrefix(config.BaseURL, "https://"+base.Host) != "" {
		return fmt.Errorf("BaseURL %q is not an origin such as https://app.example (https, no path, no slash at the end)", config.BaseURL)
	}
	for name, given := range map[string]string{"Issuer": config.Client.Issuer, "ClientID": config.Client.ClientID, "RedirectURI": config.Client.RedirectURI} {
		if given != "" {
			return fmt.Errorf("field Client.%s is set by New: leave it empty", name)
		}
	}
	c := &config.Client
	c.Issuer, c.ClientID, c.RedirectURI = config.Issuer, config.ClientID, config.BaseURL+defaultPrefix+"/callback"
	if !config.Key.IsZero() {
		if c.Auth.String() != "" {
			return errors.New("of Key and Client.Auth only one can be set")
		}
		c.Auth = client.PrivateKeyJWT(config.Key)
	}
	if !slices.Contains(c.Scopes, "openid") {
		c.Scopes = append([]string{"openid"}, c.Scopes...)
	}
	if c.Profile == client.FAPI1Advanced && c.ResponseMode == "" && c.ResponseType != "code id_token" {
		c.ResponseMode = "jwt" // what is in a fragment reaches no server
	}
	if strings.HasPrefix(c.ResponseMode, "fragment") || c.ResponseType == "code id_token" && c.ResponseMode == "" {
		return errors.New("field Client.ResponseMode cannot be a fragment: what is in a fragment reaches no server; use jwt, form_post or form_post.jwt")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	config.Sessions.Now = c.Now
	config.Name, config.Home = cmp.Or(config.Name, base.Hostname()), cmp.Or(config.Home, "/")
	config.AfterLogout = cmp.Or(config.AfterLogout, config.Home)
	for name, path := range map[string]string{"Home": config.Home, "AfterLogout": config.AfterLogout} {
		if local, ok := web.LocalPath(config.BaseURL, path); !ok || local != path {
			return fmt.Errorf("%s %q is not a path of the application", name, path)
		}
	}
	config.TransactionLife = cmp.Or(config.TransactionLife, defaultTransactionLife)
	config.RefreshBefore = cmp.Or(config.RefreshBefore, defaultRefreshBefore)
	if config.TransactionLife < 0 || config.RefreshBefore < 0 {
		return errors.New("TransactionLife and RefreshBefore cannot be negative")
	}
	if config.Render == nil {
		config.Render = BuiltIn
	}
	return nil
}

// Client is the protocol half: tokens of the application itself, the backchannel, introspection, grants.
func (a *App) Client() *client.Client { return a.client }

// Sessions keeps the sessions.
func (a *App) Sessions() *session.Manager { return a.sessions }

// path is the path of one of the application's endpoints, below the prefix of [App.Handler].
func (s *site) path(endpoint string) string {
	if prefix := s.prefix.Load(); prefix != nil {
		return *prefix + endpoint
	}
	return defaultPrefix + endpoint
}

// cookieName is the name of a cookie of this application beside its session's.
func (s *site) cookieName(suffix string) string {
	return session.HostPrefix + cmp.Or(s.config.Sessions.Name, session.DefaultName) + "-" + suffix
}
