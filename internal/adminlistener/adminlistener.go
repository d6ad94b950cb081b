// Package adminlistener makes what answers on the listener of the admin API, which is for operators alone.
package adminlistener

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	stdlog "log"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"countersign/internal/admin"
	"countersign/internal/adminapi"
	"countersign/internal/adminapi/access"
	"countersign/internal/adminconsole"
	"countersign/internal/ceremony"
	"countersign/internal/clienttrust"
	"countersign/internal/config"
	"countersign/internal/config/certificates"
	"countersign/internal/config/operators"
	"countersign/internal/directory"
	"countersign/internal/jose"
	"countersign/mtls"
	"countersign/signer"
	"countersign/store"
)

// Options are what the API works with.
type Options struct {
	Config *config.Config
	Store  store.Store
	// Rates are the limits of wrong passwords, and Fetch fetches the key sets of clients.
	Rates directory.Rates
	Fetch jose.Fetch
	// Console is what the console shows besides what is stored; its Store, Operator, Issuer, Now and Log are set here.
	Console adminconsole.Config
	// Version is that of the program.
	Version string
	Now     func() time.Time
	Log     *slog.Logger
}

const (
	// requestTimeout bounds a request: an HSM makes an RSA key in seconds.
	requestTimeout = 60 * time.Second
	// writeTimeout is longer, so that there is an answer.
	writeTimeout = requestTimeout + 5*time.Second
	headerBytes  = 64 << 10
	// handshakeTimeout bounds the looking up of a certificate's revocation while somebody connects.
	handshakeTimeout = 8 * time.Second
)

// API is the admin API of one configuration.
type API struct {
	// Handler answers its requests.
	Handler http.Handler

	config    operators.Admin
	operators access.Directory
}

// New makes the API of a configuration. Files that cannot be used are an error, which names the key of the configuration.
func New(o Options) (*API, error) {
	c := o.Config.Admin
	stores, err := clienttrust.Operators(o.Config, o.Now, o.Log)
	if err != nil {
		return nil, err
	}
	made := &API{config: c, operators: directoryOf(c, stores, o.Now)}
	if _, err := secured(c, made.operators); err != nil {
		return nil, err
	}
	routes, err := o.routes()
	if err != nil {
		return nil, err
	}
	gate := access.Gate{Directory: made.operators, Now: o.Now, Log: o.Log, PerMinute: c.PerMinute, Timeout: requestTimeout}
	made.Handler, err = gate.Handler(routes...)
	return made, err
}

// Server makes what answers on the listener by TLS, with [http.Server.ServeTLS]: by handler, and with the certificate and for the
// operators of the API that is current when somebody connects; nobody gets through the handshake while there is none.
func Server(current func() *API, handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, MaxHeaderBytes: headerBytes, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 20 * time.Second,
		WriteTimeout: writeTimeout, IdleTimeout: 2 * time.Minute, ErrorLog: stdlog.New(refusals{log}, "", 0),
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS12,
			NextProtos: []string{"h2", "http/1.1"},
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
				api := current()
				if api == nil {
					return nil, errors.New("the admin API is turned off")
				}
				return secured(api.config, api.operators)
			},
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				return nil, fmt.Errorf("admin: no certificate") // GetConfigForClient has it
			},
		},
	}
}

// routes are what operators may ask for.
func (o Options) routes() ([]access.Route, error) {
	c := o.Config
	api, err := adminapi.New(adminapi.Config{
		Store: o.Store, Now: o.Now, Rates: o.Rates, Fetch: o.Fetch, ApprovalsLast: c.Admin.ApprovalsLast.Std(),
		Known: admin.NewClient{
			Scopes: c.ScopeNames(), DetailTypes: c.DetailTypes(), Resources: c.ResourceNames(), TrustStores: c.TrustStoreNames(),
			Origins: []string{c.Issuer, c.ListenMTLS.URL},
		},
		Keys: func(keys store.Store, dry bool, operators []string, report func(ceremony.Event)) *ceremony.Ceremony {
			return &ceremony.Ceremony{
				Keys: keys, Clients: keys, AccessTokens: signer.Algorithm(c.Tokens.AccessTokenAlgorithm), Signer: c.Signer, Schedule: ceremony.ScheduleOf(c),
				Now: o.Now, Report: report, DryRun: dry, Operators: operators, Program: o.Version,
			}
		},
	})
	if err != nil {
		return nil, err
	}
	console, err := o.console()
	return append(api.Routes(), console...), err
}

// directoryOf knows the operators of a configuration.
func directoryOf(c operators.Admin, stores *mtls.Stores, now func() time.Time) access.Directory {
	known := access.Directory{Stores: stores, Now: now}
	for _, one := range c.Operators {
		known.Operators = append(known.Operators, access.Known{
			Name: one.Name, Subject: one.CertificateDN, CertificateFile: one.CertificateFile.Path(), Roles: access.RolesOf(one.Roles),
		})
	}
	return known
}

// secured is TLS with the files as they are now: operators come seldom, and certificates are short-lived. Whoever shows no certificate,
// or an untrusted one, does not get through the handshake.
func secured(c operators.Admin, known access.Directory) (*tls.Config, error) {
	certificate, err := certificates.Pair("admin.certificate_file", c.CertificateFile, "admin.key_file", c.KeyFile)
	if err != nil {
		return nil, err
	}
	roots, err := certificates.Authorities("admin.client_ca_file", c.ClientCAFile)
	if err != nil {
		return nil, err
	}
	made := mtls.ServerConfig([]tls.Certificate{certificate}, true)
	made.ClientAuth = tls.RequireAnyClientCert // verified by the rules of package mtls, at each request again
	made.ClientCAs = roots                     // by these names a browser offers the right certificate
	made.VerifyConnection = func(state tls.ConnectionState) error {
		ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
		defer cancel()
		return known.Trust(ctx, state.PeerCertificates)
	}
	return made, nil
}

// refusals logs what net/http says of connections.
type refusals struct{ log *slog.Logger }

// Write implements io.Writer for one line of package net/http.
func (r refusals) Write(line []byte) (int, error) {
	r.log.Warn("admin connection refused", "error", strings.TrimSpace(string(line)))
	return len(line), nil
}
