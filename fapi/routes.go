package fapi

import (
	"context"
	"slices"

	"countersign/fapi/account"
	"countersign/fapi/authorize"
	"countersign/fapi/backchannel"
	"countersign/fapi/browser"
	"countersign/fapi/consents"
	"countersign/fapi/device"
	"countersign/fapi/discovery"
	"countersign/fapi/endpoint"
	"countersign/fapi/grants"
	"countersign/fapi/login"
	"countersign/fapi/logout"
	"countersign/fapi/profile"
	"countersign/fapi/registration"
	"countersign/fapi/resource"
	"countersign/fapi/token"
	"countersign/fapi/upstream"
	"countersign/internal/set"
	"countersign/store"
)

// routes constructs the endpoint packages and mounts their routes: the one route table of the server. The discovery
// documents are generated from it.
func (w *wiring) routes(ctx context.Context) ([]endpoint.Route, error) {
	var table []endpoint.Route
	resources := w.newResource()
	documents := w.newDiscovery(w.resourceScopes(resources), func() []endpoint.Route { return table })

	var devices *device.Handler // uses backchannel, and is notified by it of new requests
	w.newBackchannel(func(ctx context.Context, request store.BackchannelRequest) {
		if !w.confirmsAtLogin() {
			devices.Notify(ctx, request)
		}
	})
	var err error
	if devices, err = w.newDevice(); err != nil {
		return nil, err
	}
	accounts, err := w.newAccount(resources, devices)
	if err != nil {
		return nil, err
	}
	authorizations, err := w.newAuthorize()
	if err != nil {
		return nil, err
	}
	apis, err := w.newConsents(resources)
	if err != nil {
		return nil, err
	}
	signIns, err := w.newLogin(ctx, authorizations, resources)
	if err != nil {
		return nil, err
	}
	table = slices.Concat(signIns,
		documents.Routes(), authorizations.Routes(), w.newToken().Routes(), resources.Routes(), w.health.Routes(),
		devices.Routes(), accounts.Routes(), apis.Routes(), w.newGrants(resources))
	if w.backchannel != nil {
		table = append(table, w.backchannel.Routes()...)
	}
	if w.config.LogoutPages != nil {
		endings, err := w.newLogout(ctx)
		if err != nil {
			return nil, err
		}
		table = append(table, endings.Routes()...)
	}
	if w.config.Registration != nil {
		clients, err := w.newRegistration(documents, resources)
		if err != nil {
			return nil, err
		}
		table = append(table, clients.Routes()...)
	}
	table = browser.Timely(table, w.config.Interactor, w.health.Clock)
	return table, documents.Check(ctx)
}

func (w *wiring) newAuthorize() (*authorize.Handler, error) {
	c := w.config
	var handOff *authorize.HandOff
	if c.Login != nil {
		handOff = &c.Login.HandOff
	}
	return authorize.New(authorize.Config{
		HandOff:   handOff,
		Addresses: w.addresses, Store: c.Store, Clients: w.clients, Keys: w.keys, Checker: w.checker, Tokens: w.tokens, Consents: w.consents,
		Offers: w.offers, Signer: c.Signer, BackChannel: w.calls, Limits: w.limits, Evidence: w.evidence, Sessions: w.sessions,
		Passkeys: w.passkeys, Forms: w.forms, Interactor: c.Interactor, RequestURILifetime: c.RequestURILifetime,
		CodeLifetime: c.CodeLifetime, InteractionLifetime: c.InteractionLifetime, GrantLifetime: c.GrantLifetime,
		Language: c.Language, Now: c.Now,
	})
}

// newConsents makes the consent APIs of the ecosystems that are offered.
func (w *wiring) newConsents(resources *resource.Handler) (*consents.Handler, error) {
	c := w.config
	settings := consents.Config{
		Settings: c.ConsentAPIs, Addresses: w.addresses, Authorize: resources.Authorize, BackChannel: w.calls, Limits: w.limits,
		Consents: w.ownConsents(), Describe: w.consents.Describe, EndGrant: c.Store.EndClientGrant, OneTimes: c.Store, Seeds: w.subjects.Seeds, Tokens: w.tokens,
		Keys: w.keys, Certificates: c.Certificates, Trust: c.ClientTrust, Evidence: w.evidence, Now: c.Now,
	}
	for _, name := range c.Profiles {
		if known, ok := profile.Lookup(name); ok && known.Consent.API != "" && (c.Consents.Source == nil) {
			settings.APIs = append(settings.APIs, known.Consent.API)
		}
	}
	return consents.New(settings)
}

// newGrants are the routes of the Grant Management API, if an offered profile has it.
func (w *wiring) newGrants(resources *resource.Handler) []endpoint.Route {
	if len(w.offered.GrantManagement.Scopes()) == 0 {
		return nil
	}
	return grants.New(grants.Config{
		Store: w.config.Store, Consents: w.consents, Resources: resources, Limits: w.limits, Evidence: w.evidence,
	}).Routes()
}

// newLogin are the routes of what signs users in elsewhere, if anything does.
func (w *wiring) newLogin(ctx context.Context, interactions login.Interactions, resources *resource.Handler) ([]endpoint.Route, error) {
	c := w.config
	if c.Login == nil {
		return nil, nil
	}
	if c.Login.Upstream != nil {
		handler, err := upstream.New(ctx, upstream.Config{
			Settings: *c.Login.Upstream, Addresses: w.addresses, Interactions: interactions, Store: c.Store, Seeds: w.subjects.Seeds,
			Evidence: w.evidence, Pages: c.Interactor, Limits: w.limits, Wake: w.notifier.Wake, Now: c.Now, Log: c.Logger,
		})
		if err != nil {
			return nil, err
		}
		w.onward = handler.Onward
		return handler.Routes(), nil
	}
	settings := login.Config{
		Settings: *c.Login, Interactions: interactions, Protect: resources.ProtectUnsigned, Certificates: c.Certificates,
		Language: c.Language, Trust: c.ClientTrust, Limits: w.limits, Now: c.Now,
	}
	if w.backchannel != nil && c.Login.Confirmations {
		settings.Confirmations = w.backchannel
	}
	return login.New(settings).Routes(), nil
}

func (w *wiring) newToken() *token.Handler {
	settings := token.Config{
		Store: w.config.Store, Tokens: w.tokens, Checker: w.checker, BackChannel: w.calls, Evidence: w.evidence,
		GrantTypes: w.offered.GrantTypes, PollTolerance: backchannel.PollTolerance, Now: w.config.Now,
	}
	if w.backchannel != nil && w.config.Backchannel.LongPoll > 0 {
		settings.AwaitDecision = w.backchannel.AwaitDecision
	}
	return token.New(settings)
}

func (w *wiring) newResource() *resource.Handler {
	c := w.config
	return resource.New(resource.Config{
		Addresses: w.addresses, Resources: c.Resources, MetadataAddress: discovery.MetadataAddress(c.Issuer),
		BackChannel: w.calls, Proofs: w.proofs, Certificates: c.Certificates, Tokens: w.tokens, Signer: c.Signer,
		Scopes: w.scopes, Clients: w.clients, Keys: w.keys, Users: w.users, Store: c.Store, Evidence: w.evidence, Now: c.Now,
		Tracer: w.tracer,
	})
}

func (w *wiring) newDevice() (*device.Handler, error) {
	c := w.config
	settings := device.Config{
		Language: c.Language, Languages: w.details.Languages(), Store: c.Store, Pages: c.DevicePages,
		Passwords: c.Passwords, Passkeys: w.passkeys, Sessions: w.sessions,
		Forms: w.forms, Proofs: w.proofs, Addresses: w.addresses, Evidence: w.evidence, ACRValues: w.deviceACRs, Apps: c.AppPolicy, Signer: c.Signer,
		Fetcher: w.newFetcher(), Draining: w.health.Draining, Assets: c.Assets, Now: c.Now, Log: c.Logger,
	}
	if w.backchannel != nil && !w.confirmsAtLogin() {
		settings.Requests = w.backchannel
	}
	return device.New(settings)
}

// confirmsAtLogin reports whether backchannel requests are decided by a login of the operator's own, and not on the pages.
func (w *wiring) confirmsAtLogin() bool { return w.config.Login != nil && w.config.Login.Confirmations }

func (w *wiring) newLogout(ctx context.Context) (*logout.Handler, error) {
	c := w.config
	return logout.New(ctx, logout.Config{
		Addresses: w.addresses, Store: c.Store, Clients: w.clients, Tokens: w.tokens, Seeds: w.subjects.Seeds, Sessions: w.sessions,
		Forms: w.forms, Pages: c.LogoutPages, Evidence: w.evidence, Notifier: w.notifier, Onward: w.onward, Now: c.Now,
	})
}

func (w *wiring) newAccount(resources *resource.Handler, devices *device.Handler) (*account.Handler, error) {
	c := w.config
	return account.New(account.Config{
		Store: c.Store, Clients: w.clients, Scopes: w.scopes, Details: w.details, Consents: w.consents, Evidence: w.evidence, API: c.Account,
		Protect: resources.Protect, Pages: c.AccountPages, SignIn: devices.SignIn, Confirms: c.Backchannel != nil,
		Language: c.Language, Sessions: w.sessions, Forms: w.forms, Addresses: w.addresses, Now: c.Now,
	})
}

// resourceScopes are the scope values that the resources require, that of the API of accounts included.
func (w *wiring) resourceScopes(resources *resource.Handler) []string {
	scopes := resources.Scopes()
	if own := w.config.Account.Scope; own != "" && !slices.Contains(scopes, own) {
		scopes = append(scopes, own)
	}
	return scopes
}

func (w *wiring) newRegistration(documents *discovery.Handler, resources *resource.Handler) (*registration.Handler, error) {
	c := w.config
	return registration.New(registration.Config{
		Settings: *c.Registration, Addresses: w.addresses, Profiles: c.Profiles, Scopes: w.scopes.Names(),
		AuthorizationDetailsTypes: w.details.Names(), TrustStores: c.TrustStores,
		Backchannel: c.Backchannel != nil, Ping: c.Backchannel != nil && c.Backchannel.Seals != nil,
		Certificates: c.Certificates, Trust: c.ClientTrust, Limits: w.limits, Evidence: w.evidence, Store: c.Store,
		Directories: w.directories, Keys: w.keys, Token: resources.Client,
		Clients: w.clients, Fetcher: w.newFetcher(), Signs: documents.Signs, Now: c.Now, Log: c.Logger,
	})
}

func (w *wiring) newDiscovery(resourceScopes []string, routes func() []endpoint.Route) *discovery.Handler {
	c, acrs := w.config, w.acrs
	if c.Backchannel != nil {
		acrs = set.Union(w.acrs, w.deviceACRs)
	}
	settings := discovery.Config{
		Addresses: w.addresses, Profiles: c.Profiles, Scopes: w.scopes, Details: w.details,
		Claims: w.users.Names(), HasClaim: w.users.Has, ACRValues: c.ACRNames.With(w.offered.ACRNames).Supported(acrs), UILocales: c.UILocales,
		ResourceScopes: resourceScopes, ProofAlgorithms: w.proofs.Policy.Algorithms, Signer: c.Signer,
		JWKSMaxAge: c.JWKSMaxAge, Routes: routes,
	}
	if b := c.Backchannel; b != nil {
		settings.Backchannel = &discovery.Backchannel{Ping: b.Seals != nil, UserCodes: b.UserCodes != nil}
		if len(b.HintIssuers) > 0 && b.ResolveHint == nil { // else the login knows which
			settings.Backchannel.HintTokenFormats = backchannel.HintTokenFormats()
		}
	}
	return discovery.New(settings)
}
