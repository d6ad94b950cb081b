package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"countersign/internal/config"
	"countersign/signer"
	"countersign/signer/pkcs11"
	"countersign/store"
)

// hsm is a signer with the backend that it stands on.
type hsm struct {
	signer  *signer.Signer
	backend *pkcs11.Backend
}

// Close ends the backend.
func (h *hsm) Close() error { return h.backend.Close() }

// signerSettings are the parts of a signer that the configuration does not hold. log and traces may be nil.
type signerSettings struct {
	now    func() time.Time
	log    *slog.Logger
	traces trace.TracerProvider
}

// openSigner connects to the HSM and to the keys' states.
func openSigner(ctx context.Context, c config.Signer, keys store.Keys, settings signerSettings) (*hsm, error) {
	backend, err := openBackend(ctx, c, settings.log)
	if err != nil {
		return nil, err
	}
	s, err := signer.New(ctx, signer.Config{
		Catalogue: catalogue{keys}, Backend: backend,
		Now: settings.now, Logger: settings.log, TracerProvider: settings.traces,
	})
	if err != nil {
		return nil, errors.Join(err, backend.Close())
	}
	return &hsm{s, backend}, nil
}

// openBackend starts the worker that holds the PKCS#11 module.
func openBackend(ctx context.Context, c config.Signer, log *slog.Logger) (*pkcs11.Backend, error) {
	pinFile, err := c.PINFile.Path()
	if err != nil {
		return nil, fmt.Errorf("signer.pin_file: %w", err)
	}
	return pkcs11.Open(ctx, pkcs11.Config{
		Module: c.Module.Path(), Token: tokenAddress(c.Token), PINFile: pinFile, Environment: maps.Clone(c.Environment),
		Sessions: c.Sessions, Queue: c.Queue, SignTimeout: c.Timeout.Std(), Logger: log,
	})
}

// tokenAddress makes an RFC 7512 address of a token's label.
func tokenAddress(token string) string {
	if strings.HasPrefix(token, "pkcs11:") {
		return token
	}
	return pkcs11.URI{Token: token}.String()
}

// generateKey makes a key in the HSM. Its state and uses are left open.
func generateKey(ctx context.Context, backend *pkcs11.Backend, alg string) (store.Key, error) {
	made, err := backend.Generate(ctx, signer.Algorithm(alg))
	if err != nil {
		return store.Key{}, err
	}
	public, err := signer.PublicJWK(made)
	if err != nil {
		return store.Key{}, err
	}
	return store.Key{ID: made.ID, Algorithm: string(made.Algorithm), URIs: made.URIs, Public: public}, nil
}

// catalogue shows the signer the keys in the store.
type catalogue struct{ keys store.Keys }

// Keys implements signer.Catalogue.
func (c catalogue) Keys(ctx context.Context) ([]signer.Record, error) {
	stored, err := c.keys.Keys(ctx)
	if err != nil {
		return nil, err
	}
	records := make([]signer.Record, len(stored))
	for i, k := range stored {
		public, err := signer.ParsePublicJWK(k.Public)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", k.ID, err)
		}
		records[i] = signer.Record{
			ID: k.ID, Algorithm: signer.Algorithm(k.Algorithm), State: signer.State(k.State), URIs: k.URIs, Public: public,
			CreatedAt: k.CreatedAt, ActivatedAt: k.ActivatedAt, RetiredAt: k.RetiredAt,
		}
		for _, use := range k.Uses {
			records[i].Uses = append(records[i].Uses, signer.Use(use))
		}
	}
	return records, nil
}
