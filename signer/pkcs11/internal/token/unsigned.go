package token

import (
	"encoding/binary"

	"countersign/signer/pkcs11/internal/wire"
)

// Unsigned reads the payload of an answer that says why there is no signature.
func Unsigned(kid string, payload []byte) *wire.Failure {
	if len(payload) != 9 {
		return wire.Failf(wire.FailModule, "the worker failed without saying how")
	}
	return unsignedFailure(kid, payload[0], binary.BigEndian.Uint64(payload[1:]))
}
