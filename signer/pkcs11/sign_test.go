//go:build cgo && !nopkcs11

package pkcs11

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/miekg/pkcs11"

	"countersign/signer"
)

// FuzzRequest: the threads of C read a request as Go does, or not at all.
func FuzzRequest(f *testing.F) {
	payload := usePayload(signer.ES256, strings.Repeat("k", kidSize), []byte("m"))
	good := appendFrame(nil, frame{kind: askSign, number: 1, payload: payload})
	f.Add(good)
	f.Add(good[:headerSize+kidSize])
	f.Add(append(bytes.Clone(good), 0))
	f.Add(appendFrame(nil, frame{kind: askUnwrap, number: 1, payload: payload}))
	f.Fuzz(func(t *testing.T, packet []byte) {
		number, kid, input, ok := parseRequest(packet)
		asked, rest, err := parsePacket(packet)
		if good := err == nil && len(rest) == 0 && asked.kind == askSign && len(asked.payload) >= 1+kidSize && len(asked.payload) <= 1+kidSize+maxMessage; good != ok {
			t.Fatalf("C reads it: %v, Go: %v, %v", ok, good, err)
		}
		if !ok {
			return
		}
		if number != asked.payload[0] || kid != string(asked.payload[1:1+kidSize]) || !bytes.Equal(input, asked.payload[1+kidSize:]) {
			t.Errorf("C reads algorithm %d, kid %q, input %x in %x", number, kid, input, asked.payload)
		}
	})
}

// TestUnsigned: each way to have no signature asks for something else, and what is not known of counts as trouble.
func TestUnsigned(t *testing.T) {
	answer := func(where byte, code uint64) []byte { return binary.BigEndian.AppendUint64([]byte{where}, code) }
	for name, test := range map[string]struct {
		payload []byte
		code    code
		text    string
	}{
		"an unknown key":         {answer(1, 0), failNoKey, "no usable key kid"},
		"another algorithm":      {answer(2, 0), failRequest, "another algorithm"},
		"no digest":              {answer(3, 0), failRequest, "digests"},
		"a refused mechanism":    {answer(4, pkcs11.CKR_MECHANISM_INVALID), failRequest, "CKR_MECHANISM_INVALID"},
		"a lost session":         {answer(4, pkcs11.CKR_SESSION_HANDLE_INVALID), failModule, "begin a signature"},
		"a refused length":       {answer(5, pkcs11.CKR_DATA_LEN_RANGE), failRequest, "sign with key kid"},
		"an error of the device": {answer(5, pkcs11.CKR_DEVICE_ERROR), failModule, "CKR_DEVICE_ERROR"},
		"too long a signature":   {answer(5, pkcs11.CKR_BUFFER_TOO_SMALL), failModule, "CKR_BUFFER_TOO_SMALL"},
		"what nobody knows":      {answer(6, 0), failModule, "not known"},
		"less than an answer":    {[]byte{1}, failModule, "without saying how"},
		"nothing":                {nil, failModule, "without saying how"},
	} {
		if f := parseUnsigned("kid", test.payload); f.code != test.code || !strings.Contains(f.text, test.text) {
			t.Errorf("%s: %d, %q; want %d, %q", name, f.code, f.text, test.code, test.text)
		}
	}
}
