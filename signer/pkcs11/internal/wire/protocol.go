package wire

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"countersign/signer"
)

// Hello is the first question to a worker: which module, which token, and where the PIN is. A PIN in a file is read by
// the worker and by nobody else; one from elsewhere goes over the socket, which no other process can read.
type Hello struct {
	Module string `json:"module"`
	// Parameters is what the module is given when it is initialised, mostly nothing.
	Parameters string `json:"parameters,omitempty"`
	Token      string `json:"token"`
	PINFile    string `json:"pin_file,omitempty"`
	PIN        string `json:"pin,omitempty"`
	// StateDir is where it is remembered that the token refused a PIN, or empty.
	StateDir string `json:"state_dir,omitempty"`
	Sessions int    `json:"sessions"`
}

// Opened is the answer to [Hello].
type Opened struct {
	// Sessions is in how many sessions the token signs, which may be fewer than were asked for.
	Sessions int `json:"sessions"`
}

// Initialisation asks for a new token in a free slot.
type Initialisation struct {
	Module    string `json:"module"`
	Label     string `json:"label"`
	SOPINFile string `json:"so_pin_file"`
	PINFile   string `json:"pin_file"`
}

// Key is how a worker describes a key that it holds.
type Key struct {
	ID        string           `json:"kid"`
	Algorithm signer.Algorithm `json:"alg"`
	Public    []byte           `json:"pkix"`
	URI       string           `json:"uri"`
	// Refused says why the key is not used, or is empty.
	Refused string `json:"refused,omitempty"`
}

// Code classes a worker's failure: what the parent does about it depends on it.
type Code byte

const (
	// FailRequest: the request was wrong; another one may be right.
	FailRequest Code = iota + 1
	// FailNoKey: the token does not hold the key, or its policy refuses it.
	FailNoKey
	// FailModule: the module, the device or what is around it is in trouble. The worker ends itself; a later one may
	// find it mended.
	FailModule
	// FailFatal: nothing but an operator can help, and to try again may do harm: the PIN is refused, and nothing but the
	// parent remembers it.
	FailFatal
	// FailCiphertext: what is to be decrypted does not fit the key.
	FailCiphertext
	// FailHeld: nothing but an operator can help, and to look again does no harm: no PIN is sent before something has changed.
	FailHeld
)

// ErrOperator matches the failures that only an operator can mend: the token's PIN is refused, locked, or at its last try.
var ErrOperator = errors.New("pkcs11: the token's PIN needs an operator")

// Failure is a worker's answer that something went wrong.
type Failure struct {
	Code Code
	Text string
}

// Error begins with "pkcs11: ".
func (f *Failure) Error() string { return "pkcs11: " + f.Text }

// Is matches the errors of package signer.
func (f *Failure) Is(target error) bool {
	switch f.Code {
	case FailNoKey:
		return target == signer.ErrNoKey
	case FailModule:
		return target == signer.ErrUnavailable
	case FailFatal, FailHeld:
		return target == signer.ErrUnavailable || target == ErrOperator
	case FailCiphertext:
		return target == signer.ErrCiphertext
	}
	return false
}

// Failf makes a failure with a text as [fmt.Sprintf] writes it.
func Failf(c Code, format string, arguments ...any) *Failure {
	return &Failure{Code: c, Text: fmt.Sprintf(format, arguments...)}
}

// Payload writes a failure into a frame.
func (f *Failure) Payload() []byte { return append([]byte{byte(f.Code)}, f.Text...) }

// ParseFailure reads what [Failure.Payload] wrote; anything else is trouble of the module.
func ParseFailure(payload []byte) *Failure {
	if len(payload) == 0 || Code(payload[0]) < FailRequest || Code(payload[0]) > FailHeld {
		return Failf(FailModule, "the worker failed without saying how")
	}
	return &Failure{Code: Code(payload[0]), Text: string(payload[1:])}
}

// AsFailure classes any error.
func AsFailure(err error) *Failure {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f
	}
	return Failf(FailModule, "%v", err)
}

// Algorithms gives each algorithm its number in the protocol: its place.
func Algorithms() []signer.Algorithm {
	return []signer.Algorithm{signer.PS256, signer.ES256, signer.EdDSA, signer.ECDHES, signer.RSAOAEP256, signer.RSAOAEP}
}

// AlgorithmNumber is the place of one of [Algorithms].
func AlgorithmNumber(alg signer.Algorithm) byte { return byte(slices.Index(Algorithms(), alg)) }

// AlgorithmOf is the algorithm with a number; [FailRequest] for a number without one.
func AlgorithmOf(number byte) (signer.Algorithm, error) {
	if int(number) >= len(Algorithms()) {
		return "", Failf(FailRequest, "algorithm number %d is not known", number)
	}
	return Algorithms()[number], nil
}

// KIDSize is the length of a kid: 32 bytes in base64url.
const KIDSize = 43

// UsePayload writes a request to use a key: to sign a message, to agree with a point, or to unwrap.
func UsePayload(alg signer.Algorithm, kid string, message []byte) []byte {
	payload := make([]byte, 0, 1+KIDSize+len(message))
	payload = append(payload, AlgorithmNumber(alg))
	payload = append(payload, kid...)
	return append(payload, message...)
}

// ParseUse reads what [UsePayload] wrote.
func ParseUse(payload []byte) (alg signer.Algorithm, kid string, message []byte, err error) {
	if len(payload) < 1+KIDSize {
		return "", "", nil, Failf(FailRequest, "a request to use a key is too short")
	}
	if alg, err = AlgorithmOf(payload[0]); err != nil {
		return "", "", nil, err
	}
	return alg, string(payload[1 : 1+KIDSize]), payload[1+KIDSize:], nil
}

// SignsDigest reports whether the keys of an algorithm sign the SHA-256 digest of a message and not the message.
func SignsDigest(alg signer.Algorithm) bool { return alg == signer.PS256 || alg == signer.ES256 }

// SigningInput gives what a key signs for a message, which has at most [MaxMessage] bytes.
func SigningInput(alg signer.Algorithm, message []byte) ([]byte, error) {
	if len(message) > MaxMessage {
		return nil, fmt.Errorf("pkcs11: a message of %d bytes is not signed; the most is %d", len(message), MaxMessage)
	}
	if !SignsDigest(alg) {
		return message, nil
	}
	digest := sha256.Sum256(message)
	return digest[:], nil
}

// IDOf is the CKA_ID of a kid: its 32 bytes; [FailRequest] for a text that is no base64url.
func IDOf(kid string) ([]byte, error) {
	id, err := base64.RawURLEncoding.DecodeString(kid)
	if err != nil {
		return nil, Failf(FailRequest, "%q is not a kid", kid)
	}
	return id, nil
}
