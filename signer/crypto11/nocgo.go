//go:build !cgo || nopkcs11

package crypto11

import (
	"errors"

	"countersign/signer"
	"countersign/signer/pkcs11"
)

// Built reports whether this binary has crypto11.
const Built = false

var errNotBuilt = errors.New("this binary was built without cgo and has no crypto11; build it with CGO_ENABLED=1 and a C compiler")

type module struct{}

// openModule refuses: a module can only be loaded with cgo.
func openModule(pkcs11.Config) (*module, error) { return nil, errNotBuilt }

func (*module) sign([]byte, signer.Record, []byte) ([]byte, error) { return nil, errNotBuilt }
