package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"time"

	"countersign/internal/config"
	"countersign/internal/outbound"
	"countersign/mtls"
)

const (
	// reloadEvery is how often the files of client authorities are looked at.
	reloadEvery = 10 * time.Second
	// maxRevocationList is the size of the largest list that is fetched, in bytes.
	maxRevocationList = 8 << 20
)

// clientTrust reads the authorities for tls_client_auth, and reads them again when they change, until ctx ends. Without
// a file no certificate is trusted.
func clientTrust(ctx context.Context, c *config.Config, now func() time.Time, log *slog.Logger) (mtls.Trust, error) {
	l := c.ListenMTLS
	trust := mtls.Trust{Now: now}
	if l.ClientCAFile == "" {
		return trust, nil
	}
	revocation, err := newRevocation(c, now)
	if err != nil {
		return mtls.Trust{}, err
	}
	trust.Stores, err = mtls.NewStores([]mtls.Store{{
		Name: "listen_mtls.client_ca_file", Roots: l.ClientCAFile.Path(), Intermediates: l.IntermediatesFile.Path(),
		Lists: l.CRLFile.Path(), Revocation: revocation,
	}}, now)
	if err != nil {
		return mtls.Trust{}, fmt.Errorf("listen_mtls: %w", err)
	}
	go reloadTrust(ctx, trust.Stores, log)
	return trust, nil
}

// newRevocation makes the checker. What it fetches comes from the addresses in certificates of known authorities, over
// plain http too: lists and answers are signed, and authorities publish them in no other way (RFC 5280 §8).
func newRevocation(c *config.Config, now func() time.Time) (*mtls.Revocation, error) {
	mode := mtls.RevocationMode(c.ListenMTLS.Revocation)
	if mode == mtls.RevocationOff || mode == "" {
		return nil, nil
	}
	policy := outbound.Policy{Now: now, MaxBody: maxRevocationList, SignedDocuments: true}
	if c.Outbound.CAFile != "" {
		encoded, err := os.ReadFile(c.Outbound.CAFile.Path())
		if err != nil {
			return nil, fmt.Errorf("outbound.ca_file: %w", err)
		}
		policy.Roots = x509.NewCertPool()
		policy.Roots.AppendCertsFromPEM(encoded) // the server does not start when there is none in it
	}
	client := outbound.New(policy)
	return mtls.NewRevocation(mode, func(ctx context.Context, address, accept string) ([]byte, error) {
		document, err := client.Get(ctx, address, accept)
		return document.Body, err
	}, now), nil
}

// reloadTrust looks at the files now and then.
func reloadTrust(ctx context.Context, stores *mtls.Stores, log *slog.Logger) {
	ticker := time.NewTicker(reloadEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		changed, err := stores.Reload()
		switch {
		case err != nil:
			log.ErrorContext(ctx, "the client authorities were not read again; those of before stay", "error", err.Error())
		case changed:
			log.InfoContext(ctx, "audit", "event", "client_authorities_changed")
		}
	}
}
