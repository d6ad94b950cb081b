package softhsm_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"countersign/signer"
	"countersign/signer/pkcs11"
	"countersign/softhsm"
)

// A token is made, and a key in it signs. The binary has to call pkcs11.RunWorker when its argument is
// pkcs11.WorkerCommand.
func ExampleCreate() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "softhsm-example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)

	token, err := softhsm.Create(ctx, folder, "example", pkcs11.InitialiseToken)
	if errors.Is(err, softhsm.ErrMissing) {
		fmt.Println("run: apt-get install softhsm2")
		return
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(token.URI)

	backend, err := pkcs11.Open(ctx, pkcs11.Config{
		Module: token.Module, Token: token.URI, PINFile: token.PINFile, Environment: token.Environment,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer backend.Close()
	key, err := backend.Generate(ctx, signer.ES256)
	if err != nil {
		fmt.Println(err)
		return
	}
	signature, err := backend.Sign(ctx, key, []byte("message"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(signer.Verify(key.Public, key.Algorithm, []byte("message"), signature))
	// Output:
	// pkcs11:token=example
	// true
}
