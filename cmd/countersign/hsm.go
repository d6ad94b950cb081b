package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"countersign/internal/config"
	"countersign/signer"
	"countersign/signer/pkcs11"
	"countersign/store"
)

// hsm is a signer with the backends that it stands on.
type hsm struct {
	signer *signer.Signer
	// tokens are the configured token and its replicas, in the order of the configuration.
	tokens []keyHolder
}

// Close ends the backends.
func (h *hsm) Close() error { return closeTokens(h.tokens) }

func closeTokens(tokens []keyHolder) error {
	var problems []error
	for _, token := range tokens {
		problems = append(problems, token.Close())
	}
	return errors.Join(problems...)
}

// signerSettings are the parts of a signer that the configuration does not hold. log and traces may be nil.
type signerSettings struct {
	now    func() time.Time
	log    *slog.Logger
	traces trace.TracerProvider
}

// keysInterval is how often the keys' states are read when nobody tells of changes: a change is noticed within a second.
const keysInterval = 500 * time.Millisecond

// openSigner connects to the HSMs and to the keys' states.
func openSigner(ctx context.Context, c config.Signer, keys store.Keys, settings signerSettings) (*hsm, error) {
	tokens, err := openTokens(ctx, c, settings.log)
	if err != nil {
		return nil, err
	}
	s, err := signer.New(ctx, signer.Config{
		Catalogue: catalogue{keys}, Replicas: replicas(tokens), RefreshInterval: keysInterval,
		Now: settings.now, Logger: settings.log, TracerProvider: settings.traces,
	})
	if err != nil {
		return nil, errors.Join(err, closeTokens(tokens))
	}
	return &hsm{s, tokens}, nil
}

// replicas names the tokens for the signer. A token that stands alone is asked for every key, whatever its address.
func replicas(tokens []keyHolder) []signer.Replica {
	named := make([]signer.Replica, len(tokens))
	for i, token := range tokens {
		named[i] = signer.Replica{Name: token.Token(), Backend: token}
		if len(tokens) > 1 {
			named[i].Holds = token.Holds
		}
	}
	return named
}

// openTokens starts the worker of each token. One that is away does not keep the others from signing, but somebody is
// told; an error means that none came.
func openTokens(ctx context.Context, c config.Signer, log *slog.Logger) ([]keyHolder, error) {
	tokens, problems, err := connectTokens(ctx, c, log)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(problems, nil) {
		return nil, errors.Join(errors.Join(problems...), closeTokens(tokens))
	}
	for i, problem := range problems {
		if problem != nil && log != nil {
			log.ErrorContext(ctx, "an HSM is away; the others sign", "hsm", tokens[i].Token(), "error", problem.Error())
		}
	}
	return tokens, nil
}

// connectTokens starts the worker of each token, all at once, and gives for each what is wrong with it.
func connectTokens(ctx context.Context, c config.Signer, log *slog.Logger) (tokens []keyHolder, problems []error, err error) {
	for _, one := range tokenSettings(c) {
		token, err := prepareHolder(c, one, log)
		if err != nil {
			return nil, nil, err
		}
		tokens = append(tokens, token)
	}
	problems = make([]error, len(tokens))
	var all sync.WaitGroup
	for i, token := range tokens {
		all.Go(func() { problems[i] = token.Connect(ctx) })
	}
	all.Wait()
	return tokens, problems, nil
}

// tokenSettings are the configured token and its replicas, which take from it what they leave out.
func tokenSettings(c config.Signer) []config.Replica {
	first := config.Replica{Module: c.Module, Token: c.Token, PINFile: c.PINFile, PINEnv: c.PINEnv, Environment: c.Environment, Parameters: c.Parameters}
	all := []config.Replica{first}
	for _, one := range c.Replicas {
		if one.Module == "" {
			one.Module = first.Module
			if one.Parameters == "" {
				one.Parameters = first.Parameters
			}
		}
		if one.PINFile == "" && one.PINEnv == "" {
			one.PINFile, one.PINEnv = first.PINFile, first.PINEnv
		}
		if one.Environment == nil {
			one.Environment = first.Environment
		}
		all = append(all, one)
	}
	return all
}

// openBackend starts the worker of the configured token alone: keys are made there.
func openBackend(ctx context.Context, c config.Signer, log *slog.Logger) (keyHolder, error) {
	return openHolder(ctx, c, tokenSettings(c)[0], log)
}

func pkcs11Config(c config.Signer, token config.Replica, log *slog.Logger) (pkcs11.Config, error) {
	pinFile, err := token.PINFile.Path()
	if err != nil {
		return pkcs11.Config{}, fmt.Errorf("signer.pin_file: %w", err)
	}
	var pin pkcs11.PIN
	if token.PINEnv != "" {
		if pin, err = pkcs11.NewPIN(os.Getenv(token.PINEnv)); err != nil {
			return pkcs11.Config{}, fmt.Errorf("signer.pin_env: the environment variable %s: %w", token.PINEnv, err)
		}
	}
	return pkcs11.Config{
		Module: token.Module.Path(), Token: tokenAddress(token.Token), PINFile: pinFile, PIN: pin, Environment: maps.Clone(token.Environment),
		ModuleParameters: token.Parameters,
		Sessions:         c.Sessions, Queue: c.Queue, SignTimeout: c.Timeout.Std(), Logger: log,
	}, nil
}

// tokenAddress makes an RFC 7512 address of a token's label.
func tokenAddress(token string) string {
	if strings.HasPrefix(token, "pkcs11:") {
		return token
	}
	return pkcs11.URI{Token: token}.String()
}

// generateKey makes a key in the HSM. Its state and uses are left open.
func generateKey(ctx context.Context, backend keyHolder, alg string) (store.Key, error) {
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
		if records[i], err = recordOf(k); err != nil {
			return nil, err
		}
	}
	return records, nil
}
