package rp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"countersign/internal/random"
	"countersign/rp/client"
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
	config   Config
	host     string // of BaseURL
	client   *client.Client
	sessions *session.Manager
	now      func() time.Time
	log      *slog.Logger
	prefix   atomic.Pointer[string]
	// holder names this process in leases of refreshes.
	holder string

	mu      sync.Mutex
	flights map[string]*flight
	unsaved map[string]*client.Tokens // refreshed, and not stored yet
}

// New reads the provider's metadata and makes a relying party. Errors are those of [client.New], such as a [*client.WeakProviderError] that lists all that
// the provider lacks, or say what is wrong with the configuration.
func New(ctx context.Context, config Config) (*App, error) {
	a := &App{holder: random.UUID(), flights: map[string]*flight{}, unsaved: map[string]*client.Tokens{}}
	if err := a.complete(config); err != nil {
		return nil, fmt.Errorf("rp: %w", err)
	}
	var err error
	if a.sessions, err = session.New(a.config.Sessions); err != nil {
		return nil, fmt.Errorf("rp: %w", err)
	}
	if a.client, err = client.New(ctx, a.config.Client); err != nil {
		return nil, fmt.Errorf("rp: %w", err)
	}
	return a, nil
}

// complete checks the configuration and sets its defaults.
func (a *App) complete(config Config) error {
	base, err := url.Parse(config.BaseURL)
	if err != nil || base.Scheme != "https" || base.Host == "" || base.User != nil || strings.TrimPrefix(config.BaseURL, "https://"+base.Host) != "" {
		return fmt.Errorf("BaseURL %q is not an origin such as https://app.example (https, no path, no slash at the end)", config.BaseURL)
	}
	for name, given := range map[string]string{"Issuer": config.Client.Issuer, "ClientID": config.Client.ClientID, "RedirectURI": config.Client.RedirectURI} {
		if given != "" {
			return fmt.Errorf("Client.%s is set by New: leave it empty", name)
		}
	}
	c := &config.Client
	c.Issuer, c.ClientID, c.RedirectURI = config.Issuer, config.ClientID, config.BaseURL+defaultPrefix+"/callback"
	if !config.Key.IsZero() {
		if c.Auth.String() != "" {
			return errors.New("Key and Client.Auth exclude each other")
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
		return errors.New("Client.ResponseMode: what is in a fragment reaches no server; use jwt, form_post or form_post.jwt")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	config.Sessions.Now = c.Now
	config.Name, config.Home = or(config.Name, base.Hostname()), or(config.Home, "/")
	config.AfterLogout = or(config.AfterLogout, config.Home)
	for name, path := range map[string]string{"Home": config.Home, "AfterLogout": config.AfterLogout} {
		if local, ok := localPath(config.BaseURL, path); !ok || local != path {
			return fmt.Errorf("%s %q is not a path of the application", name, path)
		}
	}
	config.TransactionLife = or(config.TransactionLife, defaultTransactionLife)
	config.RefreshBefore = or(config.RefreshBefore, defaultRefreshBefore)
	if config.TransactionLife < 0 || config.RefreshBefore < 0 {
		return errors.New("TransactionLife and RefreshBefore cannot be negative")
	}
	if config.Render == nil {
		config.Render = BuiltIn
	}
	a.config, a.host, a.now, a.log = config, base.Host, c.Now, c.Logger
	return nil
}

// or is a value, or what it is by default.
func or[T comparable](value, byDefault T) T {
	var zero T
	if value == zero {
		return byDefault
	}
	return value
}

// Client is the protocol half: tokens of the application itself, the backchannel, introspection, grants.
func (a *App) Client() *client.Client { return a.client }

// Sessions keeps the sessions.
func (a *App) Sessions() *session.Manager { return a.sessions }

// path is the path of one of the application's endpoints, below the prefix of [App.Handler].
func (a *App) path(endpoint string) string {
	if prefix := a.prefix.Load(); prefix != nil {
		return *prefix + endpoint
	}
	return defaultPrefix + endpoint
}

// cookieName is the name of a cookie of this application beside its session's.
func (a *App) cookieName(suffix string) string {
	return session.HostPrefix + or(a.config.Sessions.Name, session.DefaultName) + "-" + suffix
}

// localPath is the path, with its query, of an address of the application's origin: given as a path, or whole. It refuses everything that a browser could
// take for another origin.
func localPath(base, address string) (string, bool) {
	if rest, ok := strings.CutPrefix(address, base); ok && (rest == "" || rest[0] == '/' || rest[0] == '?') {
		address = "/" + strings.TrimPrefix(rest, "/")
	}
	if len(address) > maxReturnTo || !strings.HasPrefix(address, "/") || strings.HasPrefix(address, "//") {
		return "", false
	}
	for i := range len(address) {
		if c := address[i]; c <= ' ' || c > '~' || c == '\\' {
			return "", false
		}
	}
	target, err := url.Parse(address)
	if err != nil || target.Host != "" || target.Scheme != "" || target.User != nil || strings.HasPrefix(target.Path, "//") {
		return "", false
	}
	return address, true
}

// maxReturnTo is the size of an address to return to, in bytes: it is kept in a cookie.
const maxReturnTo = 1024
