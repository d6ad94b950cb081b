package hsm

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"countersign/internal/config"
	"countersign/internal/pause"
	"countersign/signer"
	"countersign/signer/pkcs11"
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

// OpenAll connects to every token, for a command. One that is unreachable does not keep the others from being used; an error
// means that none is reachable.
func OpenAll(ctx context.Context, c config.Signer) (Tokens, error) {
	tokens, problems, err := Connect(ctx, c, nil)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(problems, nil) {
		return nil, errors.Join(errors.Join(problems...), tokens.Close())
	}
	return tokens, nil
}

// Connect connects to every token, all at once, and returns for each what is wrong with it. log may be nil.
func Connect(ctx context.Context, c config.Signer, log *slog.Logger) (tokens Tokens, problems []error, err error) {
	if tokens, err = prepareAll(c, log); err != nil {
		return nil, nil, err
	}
	problems = make([]error, len(tokens))
	var all sync.WaitGroup
	for i, token := range tokens {
		all.Go(func() { problems[i] = connect(ctx, token) })
	}
	all.Wait()
	return tokens, problems, nil
}

func prepareAll(c config.Signer, log *slog.Logger) (Tokens, error) {
	var tokens Tokens
	for _, one := range Settings(c) {
		token, err := prepare(c, one, log)
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, token)
	}
	return tokens, nil
}

const (
	// connectAgain is how long after a failure a command tries again, and connectTries how often: what holds a token for a
	// moment, such as another process that opens it at the same time, is no reason to fail.
	connectAgain, connectTries = 200 * time.Millisecond, 3
	// connectQuick is how soon an attempt must have failed to be made again: one that took its time has waited enough.
	connectQuick = 5 * time.Second
)

// connect connects to a token for a command.
func connect(ctx context.Context, token Holder) error {
	quick, cancel := context.WithTimeout(ctx, connectQuick)
	defer cancel()
	err := token.Connect(ctx)
	for range connectTries - 1 {
		if err == nil || errors.Is(err, pkcs11.ErrOperator) || !errors.Is(err, signer.ErrUnavailable) || quick.Err() != nil {
			return err
		}
		if pause.For(quick, connectAgain) != nil {
			return err
		}
		err = token.Connect(ctx)
	}
	return err
}

// retryEvery is how often a server tries to reach a token that it has not reached yet.
const retryEvery = time.Second

// Start connects to the tokens, each for as long as it takes until ctx ends, and reports whether one was reached within
// the time. So a server comes up before its HSM, and is ready when that is.
func (t Tokens) Start(ctx context.Context, within time.Duration, log *slog.Logger) (reached bool) {
	first := make(chan bool, len(t))
	for _, token := range t {
		go func() {
			err := token.Connect(ctx)
			first <- err == nil
			if err != nil {
				retry(ctx, token, err, log.With("hsm", token.Token()))
			}
		}()
	}
	over := time.NewTimer(within)
	defer over.Stop()
	for range t {
		select {
		case reached = <-first:
			if reached {
				return true
			}
		case <-over.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
	return false
}

// retry connects to a token that was not reached.
func retry(ctx context.Context, token Holder, err error, log *slog.Logger) {
	// That the PIN needs an operator was said already.
	if ctx.Err() == nil && !errors.Is(err, pkcs11.ErrOperator) {
		log.ErrorContext(ctx, "HSM unreachable; tried again until it is reached", "error", err.Error())
	}
	for pause.For(ctx, retryEvery) == nil {
		if token.Connect(ctx) == nil {
			log.InfoContext(ctx, "HSM reached")
			return
		}
	}
}

// Hung reports that a module hangs in this process, so that only a restart helps; nil when none does.
func (t Tokens) Hung() error {
	var problems []error
	for _, token := range t {
		if hanging, ok := token.(interface{ Hung() error }); ok {
			problems = append(problems, hanging.Hung())
		}
	}
	return errors.Join(problems...)
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
