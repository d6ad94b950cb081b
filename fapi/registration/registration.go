// Package registration lets clients register themselves (RFC 7591) and manage their registration (RFC 7592).
//
// There is no anonymous registration: a request has an initial access token, which operators issue, or comes over the
// mTLS listener with the certificate of an organisation. [client.Parse] checks the metadata against the client's
// profile, this package against what clients may register without an operator.
package registration

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"countersign/fapi/client"
	"countersign/fapi/directories"
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/fapi/profile"
	"countersign/internal/outbound"
	"countersign/internal/random"
	"countersign/mtls"
	"countersign/signer"
	"countersign/store"
)

// Settings are configured by the operator.
type Settings struct {
	// Profile is the profile of clients whose initial access token names none; the first offered one by default.
	Profile string
	// Scopes are the scope values that a client may register; empty means all that exist.
	Scopes []string
	// AuthorizationDetailsTypes are the types of authorization_details that a client may register; empty means none.
	AuthorizationDetailsTypes []string
	// CertificateQuota bounds the clients of an organisation that registers with a certificate on the mTLS listener; 0
	// accepts no certificates.
	CertificateQuota int
	// CertificateTrust verifies those certificates; nil means that of tls_client_auth.
	CertificateTrust *mtls.Trust
}

// Store has the methods of [store.Clients] and [store.OneTimes] that registration uses.
type Store interface {
	Client(ctx context.Context, id string) (store.Client, error)
	PutClient(ctx context.Context, client store.Client, evidence ...store.Evidence) error
	RegisterClient(ctx context.Context, client store.Client, by store.Registrar) error
	DeleteClient(ctx context.Context, id, by string, evidence ...store.Evidence) error
	ConsumeOneTime(ctx context.Context, oneTimes ...store.OneTime) error
	InitialToken(ctx context.Context, id store.Digest) (store.InitialToken, error)
}

// Config is the configuration of a [Handler].
type Config struct {
	Settings  Settings
	Addresses endpoint.Addresses
	// Profiles are the names of the profiles that are offered, at least one.
	Profiles []string
	// Scopes and AuthorizationDetailsTypes are all that exist on the server; TrustStores are its trust stores by name.
	Scopes                    []string
	AuthorizationDetailsTypes []string
	TrustStores               map[string]mtls.Trust
	// Backchannel is true with a backchannel authentication endpoint, Ping when its clients can be notified.
	Backchannel, Ping bool

	// Certificates finds the client certificate of a request on the mTLS listener.
	Certificates mtls.Source
	// Trust verifies certificates where the settings have no trust of their own.
	Trust    mtls.Trust
	Limits   *endpoint.RateLimits
	Evidence *event.Recorder
	Store    Store
	// Clients is invalidated when a registration changes.
	Clients *client.Cache
	// Directories approve software statements; nil has none. Keys verify registration requests that are JWTs.
	Directories *directories.Directories
	Keys        *client.KeySets
	// Token verifies an access token for the client itself with a scope, and returns the client.
	Token func(r *http.Request, scope string, at endpoint.At) (clientID string, err error)
	// Fetcher reads sector_identifier_uri.
	Fetcher *outbound.Client
	// Signs returns the algorithms that have an active key for a use.
	Signs func(ctx context.Context, use signer.Use) ([]string, error)
	Now   func() time.Time
	Log   *slog.Logger
}

// Handler is the client registration endpoint and the client configuration endpoints. Make one with [New].
type Handler struct {
	config Config
	// settings have their defaults filled in.
	settings Settings
	// algorithms are those of the offered profiles.
	algorithms []string
}

// New checks the settings and makes a handler. The error joins all problems of the settings.
func New(config Config) (*Handler, error) {
	settings := config.Settings
	settings.Profile = cmp.Or(settings.Profile, config.Profiles[0])
	if len(settings.Scopes) == 0 {
		settings.Scopes = config.Scopes
	}
	if settings.CertificateTrust == nil {
		settings.CertificateTrust = &config.Trust
	}
	if err := checkSettings(settings, config); err != nil {
		return nil, err
	}
	return &Handler{
		config: config, settings: settings,
		algorithms: profile.Offered(config.Profiles, profile.Offer{}).Algorithms,
	}, nil
}

func checkSettings(settings Settings, config Config) error {
	var problems []error
	if !profile.Offers(config.Profiles, settings.Profile) {
		problems = append(problems, fmt.Errorf("fapi: Registration.Profile %q is not offered; offered are %s",
			settings.Profile, strings.Join(config.Profiles, ", ")))
	}
	for _, scope := range settings.Scopes {
		if !slices.Contains(config.Scopes, scope) {
			problems = append(problems, fmt.Errorf("fapi: Registration.Scopes: there is no scope %q", scope))
		}
	}
	for _, kind := range settings.AuthorizationDetailsTypes {
		if !slices.Contains(config.AuthorizationDetailsTypes, kind) {
			problems = append(problems, fmt.Errorf("fapi: Registration.AuthorizationDetailsTypes: there is no type %q", kind))
		}
	}
	if settings.CertificateQuota < 0 {
		problems = append(problems, errors.New("fapi: Registration.CertificateQuota must not be negative"))
	}
	if settings.CertificateQuota > 0 && config.Addresses.MTLSIssuer == "" {
		problems = append(problems,
			errors.New("fapi: Registration.CertificateQuota needs MTLSIssuer, where certificates are presented"))
	}
	for _, directory := range config.Directories.All() {
		problems = append(problems, checkDirectory(directory, config))
	}
	return errors.Join(problems...)
}

// checkDirectory demands what the clients of a directory need.
func checkDirectory(directory directories.Settings, config Config) error {
	if !profile.Offers(config.Profiles, directory.Profile) {
		return fmt.Errorf("directories %q: profile: %s is not offered; offered are %s", directory.Name, directory.Profile,
			strings.Join(config.Profiles, ", "))
	}
	if _, ok := config.TrustStores[directory.TrustStore]; !ok && directory.TrustStore != "" {
		return fmt.Errorf("directories %q: trust_store: there is no trust store %q", directory.Name, directory.TrustStore)
	}
	full, _ := profile.Lookup(directory.Profile)
	if full.Registration.NeedsCertificate() && config.Addresses.MTLSIssuer == "" {
		return fmt.Errorf("directories %q: its clients register with a certificate: it needs MTLSIssuer, where that is presented", directory.Name)
	}
	return nil
}

// registrationPath is the client registration endpoint; below it is one client configuration endpoint for each client.
const registrationPath = "/register"

// Routes returns the routes of the endpoints.
func (h *Handler) Routes() []endpoint.Route {
	return []endpoint.Route{
		{
			Methods: endpoint.Post(), Path: registrationPath, Metadata: "registration_endpoint", Alias: true,
			Serve: endpoint.Direct(h.register),
		},
		{
			Methods: []string{http.MethodGet, http.MethodPut, http.MethodDelete}, Path: registrationPath + "/{client_id}",
			Alias: true, Serve: endpoint.Direct(h.manage),
		},
	}
}

// register is the client registration endpoint (RFC 7591 §3).
func (h *Handler) register(w http.ResponseWriter, r *http.Request, at endpoint.At) error {
	ctx := r.Context()
	registrar, asked, by, err := h.asked(w, r, at)
	if err != nil {
		return h.config.Limits.AuthenticationFailed(r, err)
	}
	id := random.UUID() // random, so that it can equal no subject (RFC 9068 §5)
	owner := outbound.For(ctx, client.OrganisationOf(id, registrar.organisation))
	metadata, err := h.checkMetadata(owner, id, registrar.profile, by, asked.members)
	if err != nil {
		return err
	}
	encoded, err := json.Marshal(metadata)
	if err != nil {
		return err
	}
	token, now := random.Secret(), h.config.Now()
	record := store.Client{
		ID: id, Profile: registrar.profile, Metadata: encoded,
		AccessToken: store.DigestOf(token), Organisation: registrar.organisation, Directory: by.entry(),
		Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	if err := h.config.Store.RegisterClient(ctx, record, registrar.by); err != nil {
		return registrarError(registrar.organisation, err)
	}
	h.changed(ctx, "client_registered", record)
	return h.respond(w, http.StatusCreated, record, metadata, token)
}

// asked authenticates who registers, and reads what: without an Authorization header, a software statement may authenticate.
func (h *Handler) asked(w http.ResponseWriter, r *http.Request, at endpoint.At) (registrar, *sent, *vouched, error) {
	if r.Header.Get("Authorization") == "" && h.config.Directories.Any() {
		asked, err := h.read(w, r)
		if err != nil {
			return registrar{}, nil, nil, err
		}
		if _, there := asked.members[statementMember]; there || asked.signed != nil {
			by, err := h.vouch(r, at, "", asked)
			if err != nil {
				return registrar{}, nil, nil, err
			}
			registrar := by.registrar()
			return registrar, asked, by, h.config.Limits.Authenticated("organisation " + registrar.organisation)
		}
		registrar, by, err := h.authenticated(r, at, asked)
		return registrar, asked, by, err
	}
	registrar, err := h.registrar(r, at)
	if err != nil {
		return registrar, nil, nil, err
	}
	if err := h.config.Limits.Authenticated("organisation " + registrar.organisation); err != nil {
		return registrar, nil, nil, err
	}
	asked, err := h.read(w, r)
	if err != nil {
		return registrar, nil, nil, err
	}
	by, err := h.vouch(r, at, registrar.profile, asked)
	if err == nil && by != nil {
		registrar.by = by.consumedBy(registrar.by)
	}
	return registrar, asked, by, err
}

// authenticated is asked for a request without a token and without a statement.
func (h *Handler) authenticated(r *http.Request, at endpoint.At, asked *sent) (registrar, *vouched, error) {
	if at.MTLS && h.settings.CertificateQuota == 0 {
		if presented, err := h.config.Certificates.Certificate(r); err == nil && presented != nil {
			return registrar{}, nil, missingStatement("get one from the directory")
		}
	}
	registrar, err := h.registrar(r, at)
	if err != nil {
		return registrar, nil, err
	}
	if err := h.config.Limits.Authenticated("organisation " + registrar.organisation); err != nil {
		return registrar, nil, err
	}
	return registrar, nil, withoutStatement(registrar.profile, asked)
}

// changed logs a change of a registration and records it as a security event with the name given.
func (h *Handler) changed(ctx context.Context, name string, record store.Client) {
	e := event.Of(ctx)
	e.ClientID = record.ID
	h.config.Log.InfoContext(ctx, "client registration changed", "event", name,
		"correlation_id", e.CorrelationID, "client_id", record.ID, "organisation", record.Organisation,
		"version", record.Version)
	h.config.Evidence.SecurityEvent(ctx, record.ID, name,
		"organisation", record.Organisation, "version", strconv.Itoa(record.Version))
}

// response is a client information response (RFC 7591 §3.2.1, RFC 7592 §3).
type response struct {
	ID       string
	IssuedAt int64
	Token    string
	Address  string
	Metadata client.Metadata
}

// MarshalJSON implements [json.Marshaler]: the registration and what the server adds are one object.
func (r response) MarshalJSON() ([]byte, error) {
	type added struct {
		ID       string `json:"client_id"`
		IssuedAt int64  `json:"client_id_issued_at"`
		Token    string `json:"registration_access_token,omitempty"`
		Address  string `json:"registration_client_uri"`
	}
	first, err := json.Marshal(added{r.ID, r.IssuedAt, r.Token, r.Address})
	if err != nil {
		return nil, err
	}
	second, err := json.Marshal(r.Metadata)
	return client.Join(first, second), err
}

// respond sends the registration of a client. token is its registration access token, of which only the digest is
// stored; empty when the client came with another.
func (h *Handler) respond(
	w http.ResponseWriter, status int, record store.Client, metadata client.Metadata, token string,
) error {
	base := h.config.Addresses.Issuer
	if strings.HasPrefix(record.Organisation, CertificateOrganisation) || record.Directory.Subject != "" {
		base = h.config.Addresses.MTLSIssuer // where its certificate can be presented
	}
	return endpoint.WriteJSON(w, status, response{
		ID: record.ID, IssuedAt: record.CreatedAt.Unix(), Token: token,
		Address: base + registrationPath + "/" + record.ID, Metadata: metadata,
	})
}
