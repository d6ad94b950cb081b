package pkcs11_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"countersign/signer/pkcs11"
)

// parentCommand has the test binary open a token and wait to be killed. Its argument is a [parentConfig] in JSON.
const parentCommand = "test-parent"

// parentConfig are the parts of a Config that another process is given.
type parentConfig struct {
	Module, Token, PINFile, Executable string
	Environment                        map[string]string
}

// TestMain lets the test binary be a worker, as the server's own binary is.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == pkcs11.WorkerCommand:
		if fault := os.Getenv(pkcs11.FaultVariable); fault != "" {
			os.Exit(pkcs11.RunFaultyWorker(fault, os.Getenv(pkcs11.CountVariable)))
		}
		os.Exit(pkcs11.RunWorker())
	case len(os.Args) == 3 && os.Args[1] == parentCommand:
		os.Exit(runParent(os.Args[2]))
	}
	os.Exit(m.Run())
}

// runParent opens a token, says which process holds it, and says so again when it is another one, until it is killed.
func runParent(encoded string) int {
	var given parentConfig
	if err := json.Unmarshal([]byte(encoded), &given); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	b, err := pkcs11.Prepare(pkcs11.Config{Module: given.Module, Token: given.Token, PINFile: given.PINFile, Executable: given.Executable, Environment: given.Environment})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	said := 0
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(20 * time.Millisecond) {
		if err := b.Connect(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		if pid := b.WorkerPID(); pid != 0 && pid != said {
			said = pid
			fmt.Println(pid)
		}
	}
	return 0
}
