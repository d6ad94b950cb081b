package hsm

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"

	"countersign/internal/config"
	"countersign/signer"
)

// Tokens are the configured token and its replicas, in the order of the configuration.
type Tokens []Holder

// Close ends all of them.
func (t Tokens) Close() error {
	var problems []error
	for _, token := range t {
		problems = append(problems, token.Close())
	}
	return errors.Join(problems...)
}

// Replicas names the tokens for a signer. A token without replicas is asked for every key, whatever its address.
func (t Tokens) Replicas() []signer.Replica {
	named := make([]signer.Replica, len(t))
	for i, token := range t {
		named[i] = signer.Replica{Name: token.Token(), Backend: token}
		if len(t) > 1 {
			named[i].Holds = token.Holds
		}
	}
	return named
}

// OpenAll connects to every token. One that is unreachable is logged and does not keep the others from signing; an error
// means that none is reachable. log may be nil.
func OpenAll(ctx context.Context, c config.Signer, log *slog.Logger) (Tokens, error) {
	tokens, problems, err := Connect(ctx, c, log)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(problems, nil) {
		return nil, errors.Join(errors.Join(problems...), tokens.Close())
	}
	for i, problem := range problems {
		if problem != nil && log != nil {
			log.ErrorContext(ctx, "HSM unreachable; signing continues on the others", "hsm", tokens[i].Token(), "error", problem.Error())
		}
	}
	return tokens, nil
}

// Connect connects to every token, all at once, and returns for each what is wrong with it. log may be nil.
func Connect(ctx context.Context, c config.Signer, log *slog.Logger) (tokens Tokens, problems []error, err error) {
	for _, one := range Settings(c) {
		token, err := prepare(c, one, log)
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

// Settings are the configured token and its replicas, which take from it what they leave out.
func Settings(c config.Signer) []config.Replica {
	first := config.Replica{
		Module: c.Module, Token: c.Token, PINFile: c.PINFile, PINEnv: c.PINEnv, Environment: c.Environment, Parameters: c.Parameters,
	}
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
