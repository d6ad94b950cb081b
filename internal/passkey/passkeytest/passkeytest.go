// Package passkeytest is an authenticator in software, for tests: it answers the options of package passkey as a
// browser with a passkey would, and can be made to answer wrongly.
package passkeytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"testing"
)

// Flags of the authenticator data (WebAuthn Level 3 §6.1).
const (
	UserPresent    = 0x01
	UserVerified   = 0x04
	BackupEligible = 0x08
	BackedUp       = 0x10
	hasCredential  = 0x40
)

// Authenticator holds one passkey. Its fields may be changed between answers.
type Authenticator struct {
	// Origin is where the browser says that it is.
	Origin string
	// RPID is the relying party that the authenticator signs for; empty means that of the options.
	RPID string
	// Flags are sent with each answer.
	Flags byte
	// Counter is sent with each answer, and grows by Step before it.
	Counter, Step uint32
	// ID and UserHandle are those of the passkey.
	ID, UserHandle []byte
	// Challenge replaces that of the options, if it is not empty.
	Challenge string
	// Type replaces the type of the client data, if it is not empty.
	Type string
	// Algorithm replaces the alg of the key, encoded in CBOR, if it is not empty.
	Algorithm []byte

	key *ecdsa.PrivateKey
}

// New makes an authenticator with a fresh passkey, in a browser at origin.
func New(t testing.TB, origin string) *Authenticator {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id := make([]byte, 32)
	rand.Read(id)
	return &Authenticator{Origin: origin, Flags: UserPresent | UserVerified, Step: 1, ID: id, key: key}
}

// Create answers the options of navigator.credentials.create.
func (a *Authenticator) Create(t testing.TB, options string) string {
	t.Helper()
	var asked struct {
		RP struct {
			ID string `json:"id"`
		} `json:"rp"`
		User struct {
			ID string `json:"id"`
		} `json:"user"`
		Challenge string `json:"challenge"`
	}
	if err := json.Unmarshal([]byte(options), &asked); err != nil {
		t.Fatalf("options %q: %v", options, err)
	}
	var err error
	if a.UserHandle, err = base64.RawURLEncoding.DecodeString(asked.User.ID); err != nil {
		t.Fatal(err)
	}
	data := a.data(asked.RP.ID, a.Flags|hasCredential)
	data = append(data, make([]byte, 16)...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(a.ID)))
	data = append(data, a.ID...)
	point, err := a.key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		t.Fatal(err)
	}
	algorithm := []byte{0x26} // ES256
	if len(a.Algorithm) > 0 {
		algorithm = a.Algorithm
	}
	data = append(append(data, 0xa5, 1, 2, 3), algorithm...)
	data = append(data, 0x20, 1, 0x21, 0x58, 32)
	data = append(data, point[1:33]...)
	data = append(data, 0x22, 0x58, 32)
	data = append(data, point[33:]...)
	object := append([]byte{0xa3, 0x63}, "fmt"...)
	object = append(append(object, 0x64), "none"...)
	object = append(append(object, 0x67), "attStmt"...)
	object = append(append(object, 0xa0, 0x68), "authData"...)
	object = binary.BigEndian.AppendUint16(append(object, 0x59), uint16(len(data)))
	return a.answer(t, map[string]any{
		"clientDataJSON": encode(a.clientData(t, "webauthn.create", asked.Challenge)), "attestationObject": encode(append(object, data...)),
	})
}

// Get answers the options of navigator.credentials.get.
func (a *Authenticator) Get(t testing.TB, options string) string {
	t.Helper()
	var asked struct {
		RPID      string `json:"rpId"`
		Challenge string `json:"challenge"`
	}
	if err := json.Unmarshal([]byte(options), &asked); err != nil {
		t.Fatalf("options %q: %v", options, err)
	}
	a.Counter += a.Step
	data, client := a.data(asked.RPID, a.Flags), a.clientData(t, "webauthn.get", asked.Challenge)
	hash := sha256.Sum256(client)
	digest := sha256.Sum256(append(data[:len(data):len(data)], hash[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return a.answer(t, map[string]any{
		"clientDataJSON": encode(client), "authenticatorData": encode(data), "signature": encode(signature), "userHandle": encode(a.UserHandle),
	})
}

func (a *Authenticator) data(rpID string, flags byte) []byte {
	if a.RPID != "" {
		rpID = a.RPID
	}
	hash := sha256.Sum256([]byte(rpID))
	return binary.BigEndian.AppendUint32(append(hash[:], flags), a.Counter)
}

func (a *Authenticator) clientData(t testing.TB, kind, challenge string) []byte {
	t.Helper()
	if a.Type != "" {
		kind = a.Type
	}
	if a.Challenge != "" {
		challenge = a.Challenge
	}
	if challenge == "" {
		t.Fatal(errors.New("the options hold no challenge"))
	}
	data, err := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": a.Origin, "crossOrigin": false})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (a *Authenticator) answer(t testing.TB, response map[string]any) string {
	t.Helper()
	answer, err := json.Marshal(map[string]any{
		"id": encode(a.ID), "rawId": encode(a.ID), "type": "public-key", "clientExtensionResults": map[string]any{}, "response": response,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }
