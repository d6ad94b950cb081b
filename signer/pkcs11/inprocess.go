//go:build cgo && !nopkcs11

package pkcs11

import (
	"context"
	"fmt"
	"os"

	"github.com/miekg/pkcs11"

	"countersign/signer"
)

// InProcess is a token that is opened in this very process. It is for measuring what the worker costs: a module that
// hangs keeps its caller, one that crashes ends the process, and nothing recovers.
type InProcess struct {
	token    *token
	sessions chan pkcs11.SessionHandle
}

// OpenInProcess loads the module, sets the variables of config.Environment for the whole process, and logs in.
func OpenInProcess(config Config) (*InProcess, error) {
	config, err := withDefaults(config)
	if err != nil {
		return nil, err
	}
	for name, value := range config.Environment {
		if err := os.Setenv(name, value); err != nil {
			return nil, err
		}
	}
	t, err := openToken(hello{Module: config.Module, Parameters: config.ModuleParameters, Token: config.Token, PINFile: config.PINFile, PIN: config.PIN.text, Sessions: config.Sessions}, config.Now)
	if err != nil {
		return nil, err
	}
	p := &InProcess{token: t, sessions: make(chan pkcs11.SessionHandle, config.Sessions)}
	for range config.Sessions {
		session, err := t.openSession(0)
		if err != nil {
			return nil, err
		}
		p.sessions <- session
	}
	return p, nil
}

// Sign implements [signer.Backend], but for ctx, which it cannot keep.
func (p *InProcess) Sign(_ context.Context, record signer.Record, message []byte) ([]byte, error) {
	input, err := signingInput(record.Algorithm, message)
	if err != nil {
		return nil, err
	}
	k, err := p.token.key(record.ID)
	if err != nil {
		return nil, err
	}
	if k.algorithm != record.Algorithm || k.algorithm.Decrypts() {
		return nil, fmt.Errorf("pkcs11: key %s does not sign with %s", record.ID, record.Algorithm)
	}
	session := <-p.sessions
	defer func() { p.sessions <- session }()
	return signHere(p.token.functions, session, record.ID, k, input)
}

// Close leaves the module to the end of the process: to finalize it may crash.
func (p *InProcess) Close() error { return nil }
