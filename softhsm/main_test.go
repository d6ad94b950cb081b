package softhsm

import (
	"os"
	"testing"

	"countersign/signer/pkcs11"
)

// TestMain lets the test binary be the worker that makes a token and signs with it, as the server's own binary is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == pkcs11.WorkerCommand {
		os.Exit(pkcs11.RunWorker())
	}
	os.Exit(m.Run())
}
