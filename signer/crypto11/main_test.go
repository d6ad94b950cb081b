package crypto11_test

import (
	"os"
	"testing"

	"countersign/signer/pkcs11"
)

// TestMain lets the test binary be a worker, as the server's own binary is: keys are made there.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == pkcs11.WorkerCommand {
		os.Exit(pkcs11.RunWorker())
	}
	os.Exit(m.Run())
}
