// Package selfworker makes a program the worker of its own tokens: a program imports it for its effect, and then, called with
// the argument [countersign/signer/pkcs11.WorkerCommand], is a worker and nothing else.
//
// The worker is the very program that serves, so that an upgrade never mixes two of them, but it needs little of it. Go
// initialises packages in the order of their paths, each as soon as what it imports is (Go specification, Program
// initialization). This one imports next to nothing, and the worker runs from its initialisation: what most packages of the
// program make before main, in time and in memory, the worker never has.
package selfworker

import (
	"os"
	"runtime/debug"

	"countersign/signer/pkcs11/internal/worker"
)

// garbagePercent keeps the heap of a worker at a megabyte: signatures are made by threads of C, and Go has little to do.
const garbagePercent = 25

func init() {
	if len(os.Args) < 2 || os.Args[1] != worker.Command {
		return
	}
	debug.SetGCPercent(garbagePercent)
	ended := make(chan int)
	go func() { ended <- worker.Run() }() // initialisation is tied to one thread, which the worker must not be
	os.Exit(<-ended)
}
