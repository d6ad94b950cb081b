package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"countersign/signer/pkcs11"
)

// TestWorkerHasNoServerInMemory: the worker is this program, and runs before the packages that only a server needs are
// initialised. The test's own program holds all of the server's packages, and more.
func TestWorkerHasNoServerInMemory(t *testing.T) {
	initialised := func(want int, arguments ...string) string {
		t.Helper()
		program, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		command := exec.Command(program, arguments...)
		command.Env = append(os.Environ(), "GODEBUG=inittrace=1")
		said, err := command.CombinedOutput()
		if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != want) || err == nil && want != 0 {
			t.Fatalf("%v: %v\n%s", arguments, err, said)
		}
		return string(said)
	}
	// Without a parent it says what it is, and ends.
	worker := initialised(2, pkcs11.WorkerCommand)
	if !strings.Contains(worker, "is started by countersign itself") {
		t.Errorf("the program is no worker: %s", worker)
	}
	whole := initialised(0, "-test.list=^$")
	for _, name := range []string{
		"github.com/santhosh-tekuri/jsonschema/v6", "countersign/internal/config", "html/template",
		"net/http", "google.golang.org/grpc", "github.com/pressly/goose/v3", "countersign/cmd/countersign",
	} {
		line := "init " + name + " @"
		if strings.Contains(worker, line) {
			t.Errorf("the worker initialises %s", name)
		}
		if !strings.Contains(whole, line) {
			t.Errorf("the program does not initialise %s: not a sign of anything", name)
		}
	}
}
