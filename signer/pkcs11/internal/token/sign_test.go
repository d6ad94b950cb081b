//go:build cgo && !nopkcs11

package token

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/miekg/pkcs11"

	"countersign/signer"
	"countersign/signer/pkcs11/internal/wire"
)

// FuzzRequest: the threads of C read a request as Go does, or not at all.
func FuzzRequest(f *testing.F) {
	payload := wire.UsePayload(signer.ES256, strings.Repeat("k", wire.KIDSize), []byte("m"))
	good := wire.AppendFrame(nil, wire.Frame{Kind: wire.AskSign, Number: 1, Payload: payload})
	f.Add(good)
	f.Add(good[:wire.HeaderSize+wire.KIDSize])
	f.Add(append(bytes.Clone(good), 0))
	f.Add(wire.AppendFrame(nil, wire.Frame{Kind: wire.AskUnwrap, Number: 1, Payload: payload}))
	f.Fuzz(func(t *testing.T, packet []byte) {
		number, kid, input, ok := parseRequest(packet)
		asked, rest, err := wire.ParsePacket(packet)
		if good := err == nil && len(rest) == 0 && asked.Kind == wire.AskSign && len(asked.Payload) >= 1+wire.KIDSize && len(asked.Payload) <= 1+wire.KIDSize+wire.MaxMessage; good != ok {
			t.Fatalf("C reads it: %v, Go: %v, %v", ok, good, err)
		}
		if !ok {
			return
		}
		if number != asked.Payload[0] || kid != string(asked.Payload[1:1+wire.KIDSize]) || !bytes.Equal(input, asked.Payload[1+wire.KIDSize:]) {
			t.Errorf("C reads algorithm %d, kid %q, input %x in %x", number, kid, input, asked.Payload)
		}
	})
}

// TestUnsigned: each way to have no signature asks for something else, and what is not known of counts as trouble.
func TestUnsigned(t *testing.T) {
	answer := func(where byte, code uint64) []byte { return binary.BigEndian.AppendUint64([]byte{where}, code) }
	for name, test := range map[string]struct {
		payload []byte
		code    wire.Code
		text    string
	}{
		"an unknown key":         {answer(1, 0), wire.FailNoKey, "no usable key kid"},
		"another algorithm":      {answer(2, 0), wire.FailRequest, "another algorithm"},
		"no digest":              {answer(3, 0), wire.FailRequest, "digests"},
		"a refused mechanism":    {answer(4, pkcs11.CKR_MECHANISM_INVALID), wire.FailRequest, "CKR_MECHANISM_INVALID"},
		"a lost session":         {answer(4, pkcs11.CKR_SESSION_HANDLE_INVALID), wire.FailModule, "begin a signature"},
		"a refused length":       {answer(5, pkcs11.CKR_DATA_LEN_RANGE), wire.FailRequest, "sign with key kid"},
		"an error of the device": {answer(5, pkcs11.CKR_DEVICE_ERROR), wire.FailModule, "CKR_DEVICE_ERROR"},
		"too long a signature":   {answer(5, pkcs11.CKR_BUFFER_TOO_SMALL), wire.FailModule, "CKR_BUFFER_TOO_SMALL"},
		"what nobody knows":      {answer(6, 0), wire.FailModule, "not known"},
		"less than an answer":    {[]byte{1}, wire.FailModule, "without saying how"},
		"nothing":                {nil, wire.FailModule, "without saying how"},
	} {
		if f := Unsigned("kid", test.payload); f.Code != test.code || !strings.Contains(f.Text, test.text) {
			t.Errorf("%s: %d, %q; want %d, %q", name, f.Code, f.Text, test.code, test.text)
		}
	}
}
