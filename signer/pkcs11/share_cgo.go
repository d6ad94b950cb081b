//go:build cgo && !nopkcs11

package pkcs11

import (
	"crypto"

	"countersign/signer"
	"countersign/signer/pkcs11/internal/token"
	"countersign/signer/pkcs11/internal/wire"
)

// Trouble is what an error of a module, from whichever binding over miekg/pkcs11, asks for.
type Trouble int

// The kinds of trouble.
const (
	// ModuleTrouble is that of the module, the connection or the login.
	ModuleTrouble Trouble = iota
	// RequestTrouble: the module refuses the request, and will refuse it again.
	RequestTrouble
	// HandleTrouble: the object is not there, or no longer under this handle.
	HandleTrouble
)

// Classify tells what an error asks for.
func Classify(err error) Trouble {
	switch {
	case token.NoObject(err):
		return HandleTrouble
	case token.Classify(err) == wire.FailRequest:
		return RequestTrouble
	}
	return ModuleTrouble
}

// Weakness holds a private key to the policy and names the first attribute that breaks it, or nothing. read gives an
// attribute of the private key by its number in PKCS #11. An attribute that the module does not know counts as broken
// only where the key would be exposed. claimsDecrypt is true of a module that says CKA_DECRYPT of keys that only sign.
func Weakness(read func(kind uint) ([]byte, error), public crypto.PublicKey, alg signer.Algorithm, claimsDecrypt bool) string {
	return token.Weakness(read, public, alg, claimsDecrypt)
}
