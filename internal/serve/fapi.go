package serve

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"countersign/fapi"
	accounts "countersign/fapi/account"
	"countersign/fapi/authorize"
	"countersign/fapi/browser"
	"countersign/fapi/client"
	"countersign/fapi/device"
	"countersign/fapi/endpoint"
	"countersign/fapi/rar"
	"countersign/fapi/rar/ready"
	"countersign/fapi/registration"
	"countersign/fapi/request"
	"countersign/fapi/scope"
	"countersign/internal/clienttrust"
	"countersign/internal/config"
	"countersign/internal/directory"
	"countersign/internal/limit"
	"countersign/internal/memory"
	"countersign/internal/pages"
	"countersign/internal/reread"
	"countersign/internal/sample"
	"countersign/mtls"
)

// This file and backchannel.go turn the configuration into the settings of package fapi.

// settings are those of the authorization server.
func (s *server) settings(ctx context.Context) (fapi.Config, error) {
	settings, err := s.offered(ctx)
	if err != nil {
		return fapi.Config{}, err
	}
	c := s.Config
	shown, err := pages.New(pages.Config{Brand: s.brand, Issuer: c.Issuer, Now: s.Now, Logger: s.log})
	if err != nil {
		return fapi.Config{}, err
	}
	assets, err := shown.Assets()
	if err != nil {
		return fapi.Config{}, err
	}
	settings.AccountPages = shown.Account()
	shared := limit.NewShared(s.store, s.Now, s.log)
	passwords, err := s.passwords(ctx, shared)
	if err != nil {
		return fapi.Config{}, err
	}
	interactor, err := authorize.NewForms(shown, passwords, s.log)
	if err != nil {
		return fapi.Config{}, err
	}
	settings.Store, settings.Signer, settings.AuditChain = s.store, s.keys.Signer, s.chain
	settings.Hung, settings.Shared, settings.Passwords = s.keys.Tokens.Hung, shared, passwords
	settings.Interactor, settings.DevicePages, settings.LogoutPages = interactor, shown.Device(), shown
	settings.Language = shown.Language
	settings.Meter = s.observer.RequestMeter()
	settings.Assets, settings.StrayPages, settings.CertificateRefused = assets, shown, s.certificateRefused
	return settings, nil
}

// offered are the settings as far as the configuration says them, with the files that it names.
func (s *server) offered(ctx context.Context) (fapi.Config, error) {
	c := s.Config
	settings := fapi.Config{
		Issuer: c.Issuer, Now: s.Now, Logger: s.log, Lines: s.lines, TracerProvider: s.traces,
		StrictTransport: strictTransport(c.Listen.StrictTransport),
		PasskeyName:     cmp.Or(c.Brand.Name, "Countersign"), ACRValues: authorize.ACRValues(), Certificates: mtls.Admitted(),
		RequestURILifetime:   c.Tokens.RequestURILifetime.Std(),
		InteractionLifetime:  c.Sessions.InteractionLifetime.Std(),
		CodeLifetime:         c.Tokens.CodeLifetime.Std(),
		AccessTokenLifetime:  c.Tokens.AccessTokenLifetime.Std(),
		IDTokenLifetime:      c.Tokens.IDTokenLifetime.Std(),
		GrantLifetime:        c.Tokens.GrantLifetime.Std(),
		SessionLifetime:      c.Sessions.Lifetime.Std(),
		AccessTokenAlgorithm: c.Tokens.AccessTokenAlgorithm,
		Profiles:             strings.Fields(c.Profiles),
		RequireDPoPNonce:     c.DPoP.RequireNonce,
		AppPolicy:            appPolicy(c.ApprovalApps),
		ACRNames:             acrNames(c.ACRNames),
		Caches: client.Bounds{
			Clients: c.Caches.Clients, KeyBytes: c.Caches.ClientKeys << 20, KeySets: c.Caches.KeySets, Keys: c.Caches.Keys,
		},
		Account: accounts.API{Scope: strings.TrimSpace(c.Account.Scope), Clients: strings.Fields(c.Account.Clients)},
		Limits: endpoint.Limits{
			ClientPerSecond: float64(c.Limits.ClientPerSecond), ClientBurst: c.Limits.ClientBurst,
			AddressFailuresPerSecond: float64(c.Limits.AddressFailuresPerSecond), AddressFailureBurst: c.Limits.AddressFailureBurst,
		},
	}
	settings.Warning = s.warning
	if c.ListenMTLS.Address != "" {
		settings.MTLSIssuer = c.ListenMTLS.URL
	}
	trust, stores, trustErr := clienttrust.Read(ctx, c, s.reload, s.Now, s.log)
	settings.ClientTrust, settings.TrustStores = trust, stores
	brandErr := s.speak(&settings)
	source, sourceErr := s.claimsSource()
	settings.ClaimsSource = source
	webhook, webhookErr := s.consentWebhook()
	settings.Consents.Webhook = webhook
	directories, directoryErr := s.directories()
	settings.Directories = directories
	err := errors.Join(trustErr, brandErr, sourceErr, webhookErr, directoryErr, s.consentAPIs(&settings), offer(&settings, c, s.reload, s.Now))
	if err == nil {
		err = errors.Join(s.resolveHints(&settings), s.upstream(&settings))
	}
	if err == nil {
		rereadPings(s.reload, c.CIBA, settings.Backchannel)
	}
	return settings, err
}

// appPolicy is what approval apps may claim.
func appPolicy(c config.ApprovalApps) device.AppPolicy {
	return device.AppPolicy{
		ByPassword: device.Claimable{ACR: strings.Fields(c.PasswordACR), AMR: strings.Fields(c.PasswordAMR)},
		ByPasskey:  device.Claimable{ACR: strings.Fields(c.PasskeyACR), AMR: strings.Fields(c.PasskeyAMR)},
	}
}

// acrNames are what classes are called beside their own names.
func acrNames(c config.ACRNames) request.ACRNames {
	return request.ACRNames{browser.PasskeyACR: strings.Fields(c.Passkey), browser.PasswordACR: strings.Fields(c.Password)}
}

// certificateRefused warns of a client that cannot authenticate with its certificate.
func (s *server) certificateRefused(r *http.Request, refused endpoint.RefusedCertificate) {
	s.alarms.refusals.report(r.Context(), refusal{
		remote: r.RemoteAddr, clientID: refused.ClientID, subject: refused.Subject, cause: refused.Cause.Error(),
	})
}

// strictTransport is the header of RFC 6797 for the hosts that it is to hold for.
func strictTransport(scope string) string {
	const twoYears = "max-age=63072000"
	switch scope {
	case "subdomains":
		return twoYears + "; includeSubDomains"
	case "preload":
		return twoYears + "; includeSubDomains; preload"
	}
	return twoYears
}

// offer adds what clients can ask for: scopes, resources, detail types, registration and CIBA.
func offer(settings *fapi.Config, c *config.Config, reload *reread.Files, now func() time.Time) error {
	for _, known := range c.Scopes {
		settings.Scopes = append(settings.Scopes, scope.Scope{
			Name: known.Name, Description: known.Description, Descriptions: known.Descriptions, AlwaysAsk: known.AlwaysAsk,
		})
	}
	if c.Resources.SampleAccounts {
		settings.Resources = append(settings.Resources, sample.Accounts())
	}
	for _, known := range c.ResourceServers {
		settings.ResourceServers = append(settings.ResourceServers, scope.ResourceServer{
			Identifier: known.Identifier, Name: known.Name, Scopes: strings.Fields(known.Scopes),
		})
	}
	var problems []error
	for i, known := range c.AuthorizationDetails {
		one, key, err := detailType(known)
		if err == nil {
			_, err = rar.NewTypes([]rar.Type{one}, settings.Languages)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("authorization_details[%d].%s: %s", i, key, strings.TrimPrefix(err.Error(), "fapi: ")))
		}
		settings.AuthorizationDetailTypes = append(settings.AuthorizationDetailTypes, one)
	}
	if c.Registration.Enabled {
		settings.Registration = &registration.Settings{
			Scopes: strings.Fields(c.Registration.Scopes), AuthorizationDetailsTypes: strings.Fields(c.Registration.DetailTypes),
			CertificateQuota: c.Registration.CertificateQuota,
		}
	}
	var backchannel, outbound, handOff error
	settings.Backchannel, backchannel = backchannelSettings(c.CIBA, now)
	settings.Login, handOff = loginSettings(c.Login, reload)
	settings.OutboundRoots, outbound = outboundRoots(c.Outbound.CAFile)
	return errors.Join(append(problems, backchannel, handOff, outbound)...)
}

// detailType reads a type of authorization_details: a ready one, or that of a file; key names which.
func detailType(known config.AuthorizationDetail) (one rar.Type, key string, err error) {
	one.Type = known.Type
	if known.Accounts != "request" {
		one.Accounts = rar.Source(known.Accounts)
	}
	if known.Ready != "" {
		one.Schema, err = ready.Schema(known.Ready, known.Type)
		return one, "ready", err
	}
	one.Schema, err = os.ReadFile(known.SchemaFile.Path())
	return one, "schema_file", err
}

// passwords authenticate users by the built-in directory.
func (s *server) passwords(ctx context.Context, shared *limit.Shared) (browser.Passwords, error) {
	fresh := make([]byte, 32)
	rand.Read(fresh) // never fails
	key, err := s.store.Seed(ctx, "known browsers", fresh)
	if err != nil {
		return browser.Passwords{}, err
	}
	made, err := directory.New(directory.Config{
		Users: s.store, Browsers: s.store, Limits: shared, Key: key, Now: s.Now, Rates: PasswordRates(s.Config.Limits),
		Concurrency: memory.PasswordsAtOnce(s.Config.Limits.PasswordMemory),
	})
	if err != nil {
		return browser.Passwords{}, err
	}
	return browser.Passwords{
		Directory: users{made}, Refused: directory.ErrRefused, Throttled: directory.ErrThrottled, Remember: made.Remember,
	}, nil
}

// PasswordRates are the limits of wrong passwords.
func PasswordRates(c config.Limits) directory.Rates {
	return directory.Rates{
		NameBurst: c.PasswordBurst, NameInterval: c.PasswordInterval.Std(), Failures: c.PasswordFailures,
		AddressBurst: c.PasswordAddressBurst, AddressInterval: c.PasswordAddressInterval.Std(),
	}
}

// users are those of the built-in directory.
type users struct{ directory *directory.Directory }

// Authenticate implements [browser.Directory].
func (u users) Authenticate(ctx context.Context, attempt browser.Attempt) (browser.Proven, error) {
	proven, err := u.directory.Authenticate(ctx, directory.Attempt(attempt))
	return browser.Proven(proven), err
}

// outboundRoots are the authorities for what the server fetches; nil is the system's.
func outboundRoots(file config.File) (*x509.CertPool, error) {
	return authorities("outbound.ca_file", file)
}
