package hsm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/trace"

	"countersign/internal/config"
	"countersign/signer"
	"countersign/store"
)

// Signer is a signer with the tokens that it uses.
type Signer struct {
	*signer.Signer
	Tokens Tokens
}

// Options are the parts of a signer that the configuration does not hold. All but Now may be nil.
type Options struct {
	Now            func() time.Time
	Logger         *slog.Logger
	TracerProvider trace.TracerProvider
	Meter          signer.Meter
}

// keysInterval is how often the keys' states are read when no notification comes: a change is noticed within a second.
const keysInterval = 500 * time.Millisecond

// OpenSigner reads the keys' states and prepares the tokens, which have to be started ([Tokens.Start]) and closed. Only a
// development key file has to be there and to open.
func OpenSigner(ctx context.Context, c config.Signer, keys store.Keys, options Options) (*Signer, error) {
	tokens, err := prepareAll(c, options.Logger)
	if err != nil {
		return nil, err
	}
	if c.DevelopmentKeyFile != "" {
		if err := tokens[0].Connect(ctx); err != nil {
			return nil, errors.Join(err, tokens.Close())
		}
	}
	s, err := signer.New(ctx, signer.Config{
		Catalogue: Catalogue(keys), Replicas: tokens.Replicas(), RefreshInterval: keysInterval,
		Now: options.Now, Logger: options.Logger, TracerProvider: options.TracerProvider, Meter: options.Meter,
	})
	if err != nil {
		return nil, errors.Join(err, tokens.Close())
	}
	return &Signer{s, tokens}, nil
}

// Generate makes a key. Its state and uses are left open.
func Generate(ctx context.Context, holder Holder, alg string) (store.Key, error) {
	made, err := holder.Generate(ctx, signer.Algorithm(alg))
	if err != nil {
		return store.Key{}, err
	}
	public, err := signer.PublicJWK(made)
	if err != nil {
		return store.Key{}, err
	}
	return store.Key{ID: made.ID, Algorithm: string(made.Algorithm), URIs: made.URIs, Public: public}, nil
}

// Record is a stored key as the signer knows it.
func Record(k store.Key) (signer.Record, error) {
	public, err := signer.ParsePublicJWK(k.Public)
	if err != nil {
		return signer.Record{}, fmt.Errorf("key %s: %w", k.ID, err)
	}
	record := signer.Record{
		ID: k.ID, Algorithm: signer.Algorithm(k.Algorithm), State: signer.State(k.State), URIs: k.URIs, Public: public,
		CreatedAt: k.CreatedAt, ActivatedAt: k.ActivatedAt, RetiredAt: k.RetiredAt,
	}
	for _, use := range k.Uses {
		record.Uses = append(record.Uses, signer.Use(use))
	}
	return record, nil
}

// Catalogue shows a signer the keys in the store.
func Catalogue(keys store.Keys) signer.Catalogue { return catalogue{keys} }

type catalogue struct{ keys store.Keys }

// Keys implements signer.Catalogue.
func (c catalogue) Keys(ctx context.Context) ([]signer.Record, error) {
	stored, err := c.keys.Keys(ctx)
	if err != nil {
		return nil, err
	}
	records := make([]signer.Record, len(stored))
	for i, k := range stored {
		if records[i], err = Record(k); err != nil {
			return nil, err
		}
	}
	return records, nil
}
