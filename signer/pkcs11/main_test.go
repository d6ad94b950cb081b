package pkcs11_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"countersign/signer/pkcs11"
)

// parentCommand has the test binary open a token and wait to be killed. Its arguments are a Config's.
const parentCommand = "test-parent"

// TestMain lets the test binary be a worker, as the server's own binary is.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == pkcs11.WorkerCommand:
		if fault := os.Getenv(pkcs11.FaultVariable); fault != "" {
			os.Exit(pkcs11.RunFaultyWorker(fault, os.Getenv(pkcs11.CountVariable)))
		}
		os.Exit(pkcs11.RunWorker())
	case len(os.Args) == 6 && os.Args[1] == parentCommand:
		os.Exit(runParent(pkcs11.Config{
			Module: os.Args[2], Token: os.Args[3], PINFile: os.Args[4], Environment: map[string]string{"SOFTHSM2_CONF": os.Args[5]},
		}))
	}
	os.Exit(m.Run())
}

// runParent opens a token, says which process holds it, and waits to be killed.
func runParent(c pkcs11.Config) int {
	b, err := pkcs11.Open(context.Background(), c)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(b.WorkerPID())
	time.Sleep(time.Minute)
	return 0
}
