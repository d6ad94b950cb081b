package pkcs11

import (
	"os"

	"countersign/signer/pkcs11/attest"
	"countersign/signer/pkcs11/internal/pin"
	"countersign/signer/pkcs11/internal/token"
	"countersign/signer/pkcs11/internal/wire"
	"countersign/signer/pkcs11/internal/worker"
	"countersign/signer/pkcs11/rfc7512"
)

// Built reports whether this binary can load PKCS#11 modules.
const Built = token.Built

// WorkerCommand is the argument with which a binary has to call [RunWorker].
const WorkerCommand = worker.Command

// RunWorker is the child process: it answers its parent's questions until the parent is gone, and returns the exit code. A
// binary calls it when its first argument is [WorkerCommand].
func RunWorker() int { return worker.Run() }

// URI is the RFC 7512 address of a token or of a key on it.
type URI = rfc7512.URI

// ParseURI reads an RFC 7512 address; see [rfc7512.Parse].
func ParseURI(text string) (URI, error) { return rfc7512.Parse(text) }

// Attestation is what a token says of itself and of one private key.
type Attestation = attest.Attestation

// Description names a module or a token.
type Description = attest.Description

// UserPIN is the PIN itself, read from PINFile if it is not given. It is for what logs in to the same token from within
// this process, and belongs into nothing that is kept or shown.
func (c Config) UserPIN() (string, error) {
	return pin.Of(wire.Hello{PIN: c.PIN.text, PINFile: c.PINFile})
}

// OpenSecret opens a file that nobody else can read, or says what is wrong with its kind, its mode or its owner.
func OpenSecret(name string) (*os.File, error) { return pin.Open(name) }

// Settings are those that the backend was made with, where left out their defaults.
func (b *Backend) Settings() Config { return b.config }

// Harden keeps this process, which is about to hold a PIN, from leaving core dumps and from a debugger of the same user,
// where the system can.
func Harden() { worker.Harden() }
