package pkcs11

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"countersign/signer"
)

// hello is the first question to a worker: which module, which token, and where the PIN is. A PIN in a file is read by
// the worker and by nobody else; one from elsewhere goes over the socket, which no other process can read.
type hello struct {
	Module string `json:"module"`
	// Parameters is what the module is given when it is initialised, mostly nothing.
	Parameters string `json:"parameters,omitempty"`
	Token      string `json:"token"`
	PINFile    string `json:"pin_file,omitempty"`
	PIN        string `json:"pin,omitempty"`
	Sessions   int    `json:"sessions"`
}

// initialisation asks for a new token in a free slot.
type initialisation struct {
	Module    string `json:"module"`
	Label     string `json:"label"`
	SOPINFile string `json:"so_pin_file"`
	PINFile   string `json:"pin_file"`
}

// key is how a worker describes a key that it holds.
type key struct {
	ID        string           `json:"kid"`
	Algorithm signer.Algorithm `json:"alg"`
	Public    []byte           `json:"pkix"`
	URI       string           `json:"uri"`
	// Refused says why the key is not used, or is empty.
	Refused string `json:"refused,omitempty"`
}

// code classes a worker's failure: what the parent does about it depends on it.
type code byte

const (
	// failRequest: the request was wrong; another one may be right.
	failRequest code = iota + 1
	// failNoKey: the token does not hold the key, or its policy refuses it.
	failNoKey
	// failModule: the module, the device or what is around it is in trouble. The worker ends itself; a later one may
	// find it mended.
	failModule
	// failFatal: nothing but an operator can help, and to try again may do harm: the PIN is refused.
	failFatal
	// failCiphertext: what is to be decrypted does not fit the key.
	failCiphertext
)

// failure is a worker's answer that something went wrong.
type failure struct {
	code code
	text string
}

func (f *failure) Error() string { return "pkcs11: " + f.text }

// Is matches the errors of package signer.
func (f *failure) Is(target error) bool {
	switch f.code {
	case failNoKey:
		return target == signer.ErrNoKey
	case failModule, failFatal:
		return target == signer.ErrUnavailable
	case failCiphertext:
		return target == signer.ErrCiphertext
	}
	return false
}

func failf(c code, format string, arguments ...any) *failure {
	return &failure{code: c, text: fmt.Sprintf(format, arguments...)}
}

// payload writes a failure into a frame.
func (f *failure) payload() []byte { return append([]byte{byte(f.code)}, f.text...) }

// parseFailure reads what payload wrote.
func parseFailure(payload []byte) *failure {
	if len(payload) == 0 || code(payload[0]) < failRequest || code(payload[0]) > failCiphertext {
		return failf(failModule, "the worker failed without saying how")
	}
	return &failure{code: code(payload[0]), text: string(payload[1:])}
}

// asFailure classes any error.
func asFailure(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	return failf(failModule, "%v", err)
}

// algorithms gives each algorithm its number in the protocol: its place.
func algorithms() []signer.Algorithm {
	return []signer.Algorithm{signer.PS256, signer.ES256, signer.EdDSA, signer.ECDHES, signer.RSAOAEP256}
}

func algorithmNumber(alg signer.Algorithm) byte { return byte(slices.Index(algorithms(), alg)) }

func algorithmOf(number byte) (signer.Algorithm, error) {
	if int(number) >= len(algorithms()) {
		return "", failf(failRequest, "algorithm number %d is not known", number)
	}
	return algorithms()[number], nil
}

// kidSize is the length of a kid: 32 bytes in base64url.
const kidSize = 43

// usePayload writes a request to use a key: to sign a message, to agree with a point, or to unwrap.
func usePayload(alg signer.Algorithm, kid string, message []byte) []byte {
	payload := make([]byte, 0, 1+kidSize+len(message))
	payload = append(payload, algorithmNumber(alg))
	payload = append(payload, kid...)
	return append(payload, message...)
}

// parseUse reads what usePayload wrote.
func parseUse(payload []byte) (alg signer.Algorithm, kid string, message []byte, err error) {
	if len(payload) < 1+kidSize {
		return "", "", nil, failf(failRequest, "a request to use a key is too short")
	}
	if alg, err = algorithmOf(payload[0]); err != nil {
		return "", "", nil, err
	}
	return alg, string(payload[1 : 1+kidSize]), payload[1+kidSize:], nil
}

// signsDigest reports whether the keys of an algorithm sign the SHA-256 digest of a message and not the message.
func signsDigest(alg signer.Algorithm) bool { return alg == signer.PS256 || alg == signer.ES256 }

// signingInput gives what a key signs for a message.
func signingInput(alg signer.Algorithm, message []byte) ([]byte, error) {
	if len(message) > maxMessage {
		return nil, fmt.Errorf("pkcs11: a message of %d bytes is not signed; the most is %d", len(message), maxMessage)
	}
	if !signsDigest(alg) {
		return message, nil
	}
	digest := sha256.Sum256(message)
	return digest[:], nil
}

// parseUnsigned reads the payload of an answer that says why there is no signature.
func parseUnsigned(kid string, payload []byte) *failure {
	if len(payload) != 9 {
		return failf(failModule, "the worker failed without saying how")
	}
	return unsignedFailure(kid, payload[0], binary.BigEndian.Uint64(payload[1:]))
}

// idOf is the CKA_ID of a kid: its 32 bytes.
func idOf(kid string) ([]byte, error) {
	id, err := base64.RawURLEncoding.DecodeString(kid)
	if err != nil {
		return nil, failf(failRequest, "%q is not a kid", kid)
	}
	return id, nil
}
