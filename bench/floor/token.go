//go:build cgo && !nopkcs11

package floor

import (
	"context"

	"countersign/signer"
	"countersign/signer/pkcs11"
	"countersign/softhsm"
)

// openToken makes a SoftHSM2 token with one key, and opens it in this very process. The program must run
// [pkcs11.RunWorker] when its argument is [pkcs11.WorkerCommand]: the key is made by a worker.
func openToken(ctx context.Context, folder, alg string) (func([]byte) ([]byte, error), error) {
	token, err := softhsm.Create(ctx, folder, "floor", pkcs11.InitialiseToken)
	if err != nil {
		return nil, err
	}
	config := pkcs11.Config{Module: token.Module, Token: token.URI, PINFile: token.PINFile, Environment: token.Environment, Sessions: 1}
	worker, err := pkcs11.Open(ctx, config)
	if err != nil {
		return nil, err
	}
	defer worker.Close()
	key, err := worker.Generate(ctx, signer.Algorithm(alg))
	if err != nil {
		return nil, err
	}
	config.Sessions = 32
	within, err := pkcs11.OpenInProcess(config)
	if err != nil {
		return nil, err
	}
	return func(message []byte) ([]byte, error) { return within.Sign(ctx, key, message) }, nil
}
