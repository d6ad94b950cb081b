//go:build cgo && !nopkcs11

package pkcs11

import (
	"context"
	"os"

	"countersign/signer"
	"countersign/signer/pkcs11/internal/token"
	"countersign/signer/pkcs11/internal/wire"
)

// InProcess is a token that is opened in this very process. It is for measuring what the worker costs: a module that
// hangs keeps its caller, one that crashes ends the process, and nothing recovers.
type InProcess struct{ signer *token.InThread }

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
	s, err := token.OpenInThread(firstQuestion(config), config.Now)
	if err != nil {
		return nil, err
	}
	return &InProcess{signer: s}, nil
}

// Sign implements [signer.Backend], but for ctx, which it cannot keep.
func (p *InProcess) Sign(_ context.Context, record signer.Record, message []byte) ([]byte, error) {
	input, err := wire.SigningInput(record.Algorithm, message)
	if err != nil {
		return nil, err
	}
	return p.signer.Sign(record, input)
}

// Close leaves the module to the end of the process: to finalize it may crash.
func (p *InProcess) Close() error { return nil }
