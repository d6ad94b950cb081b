// Package clienttrust reads the authorities for client certificates that a configuration names, with how they are asked for revocation.
package clienttrust

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"countersign/internal/config"
	"countersign/internal/config/certificates"
	"countersign/internal/outbound"
	"countersign/internal/reread"
	"countersign/mtls"
)

const (
	// maxRevocationList is the size of the largest list that is fetched, in bytes.
	maxRevocationList = 8 << 20
)

// Read reads the authorities for tls_client_auth, those of the listener and the named ones, and has them read again
// when they change. Without a file no certificate is trusted.
func Read(ctx context.Context, c *config.Config, reload *reread.Files, now func() time.Time, log *slog.Logger) (mtls.Trust, map[string]mtls.Trust, error) {
	l := c.ListenMTLS
	own, err := newTrust(c, mtls.Store{
		Name: "listen_mtls.client_ca_file", Roots: l.ClientCAFile.Path(), Intermediates: l.IntermediatesFile.Path(), Lists: l.CRLFile.Path(),
	}, l.Revocation, now, log)
	if err != nil {
		return own, nil, fmt.Errorf("listen_mtls: %w", err)
	}
	named := map[string]mtls.Trust{}
	again := func(trust mtls.Trust, files ...config.File) {
		if trust.Stores == nil {
			return
		}
		warnOfAuthorities(ctx, trust.Stores, log)
		var watched []config.Secret
		for _, file := range files {
			watched = append(watched, config.Secret(file))
		}
		reload.Also(func(ctx context.Context) { reloadTrust(ctx, trust.Stores, log) }, watched...)
	}
	again(own, l.ClientCAFile, l.IntermediatesFile, l.CRLFile)
	for _, t := range c.TrustStores {
		// Each is a store of its own: in one store a certificate of any authority would be valid for the clients of all.
		trust, err := newTrust(c, mtls.Store{
			Name: t.Name, Roots: t.ClientCAFile.Path(), Intermediates: t.IntermediatesFile.Path(), Lists: t.CRLFile.Path(),
		}, t.Revocation, now, log)
		if err != nil {
			return own, nil, fmt.Errorf("trust_stores: %w", err)
		}
		named[t.Name] = trust
		again(trust, t.ClientCAFile, t.IntermediatesFile, t.CRLFile)
	}
	return own, named, nil
}

// Operators are the authorities of operators' certificates, with how they are looked up for revocation. Whoever asks them has them read
// again.
func Operators(c *config.Config, now func() time.Time, log *slog.Logger) (*mtls.Stores, error) {
	a := c.Admin
	trust, err := newTrust(c, mtls.Store{Name: "admin.client_ca_file", Roots: a.ClientCAFile.Path(), Lists: a.CRLFile.Path()}, a.Revocation, now, log)
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	return trust.Stores, nil
}

// newTrust reads one set of authorities. Without authorities nothing is trusted.
func newTrust(c *config.Config, files mtls.Store, mode string, now func() time.Time, log *slog.Logger) (mtls.Trust, error) {
	trust := mtls.Trust{Now: now}
	if files.Roots == "" {
		return trust, nil
	}
	var err error
	if files.Revocation, err = newRevocation(c, mtls.RevocationMode(mode), now, log); err != nil {
		return trust, err
	}
	trust.Stores, err = mtls.NewStores([]mtls.Store{files}, now)
	return trust, err
}

// newRevocation makes the checker. What it fetches comes from the addresses in certificates of known authorities, over
// plain http too: lists and answers are signed, and authorities publish them in no other way (RFC 5280 §8).
func newRevocation(c *config.Config, mode mtls.RevocationMode, now func() time.Time, log *slog.Logger) (*mtls.Revocation, error) {
	if mode == mtls.RevocationOff || mode == "" {
		return nil, nil
	}
	policy := outbound.Policy{Now: now, MaxBody: maxRevocationList, SignedDocuments: true}
	if c.Outbound.CAFile != "" {
		var err error
		if policy.Roots, err = certificates.Authorities("outbound.ca_file", c.Outbound.CAFile); err != nil {
			return nil, err
		}
	}
	client := outbound.New(policy)
	made := mtls.NewRevocation(mode, func(ctx context.Context, address, accept string) ([]byte, error) {
		document, err := client.Get(ctx, address, accept)
		return document.Body, err
	}, now)
	made.MaxAnswers = c.Caches.Revocations
	made.OnProblem = func(ctx context.Context, problem string) {
		log.WarnContext(ctx, "certificate revocation check failed", "error", problem)
	}
	return made, nil
}

// reloadTrust reads the files again when they have changed.
func reloadTrust(ctx context.Context, stores *mtls.Stores, log *slog.Logger) {
	changed, err := stores.Reload()
	switch {
	case err != nil:
		log.ErrorContext(ctx, "client CA reload failed; keeping previous CAs", "error", err.Error())
	case changed:
		log.InfoContext(ctx, "audit", "event", "client_authorities_changed")
		warnOfAuthorities(ctx, stores, log)
	}
}

// warnOfAuthorities logs the certificates in the files that are left out.
func warnOfAuthorities(ctx context.Context, stores *mtls.Stores, log *slog.Logger) {
	for _, problem := range stores.Problems() {
		log.WarnContext(ctx, "client CA certificate left out", "error", problem.Error())
	}
}
