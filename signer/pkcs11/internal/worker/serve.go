//go:build cgo && !nopkcs11

package worker

import (
	"encoding/json"
	"time"

	"countersign/signer/pkcs11/internal/token"
	"countersign/signer/pkcs11/internal/wire"
)

// serve does what the first frame says: open a token and serve it, or make a token (then there is no service). Requests
// to sign come over a socket of their own.
func serve(first wire.Frame) (Service, error) {
	switch first.Kind {
	case wire.AskHello:
		var h wire.Hello
		if err := json.Unmarshal(first.Payload, &h); err != nil {
			return nil, wire.Failf(wire.FailRequest, "the first question is not JSON: %v", err)
		}
		t, err := token.Open(h, time.Now) // this process is the worker: its clock is wired here
		if err != nil {
			return nil, err
		}
		return t, t.SignFor(signingSocket, h.Sessions)
	case wire.AskInit:
		var i wire.Initialisation
		if err := json.Unmarshal(first.Payload, &i); err != nil {
			return nil, wire.Failf(wire.FailRequest, "the first question is not JSON: %v", err)
		}
		return nil, token.Initialise(i)
	}
	return nil, wire.Failf(wire.FailRequest, "the first question must be which token to open")
}
