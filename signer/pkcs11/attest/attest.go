// Package attest has what a PKCS#11 token says of itself and of its keys.
package attest

import (
	"countersign/signer"
)

// Attestation is what a token says of itself and of one private key. It is the token's word: a module that lies can say
// anything. A vendor's own attestation, signed by the device, is stronger where there is one.
type Attestation struct {
	Module     Description     `json:"module"`
	Token      Description     `json:"token"`
	KID        string          `json:"kid"`
	Attributes map[string]bool `json:"attributes"`
	// Mechanisms are the allowed ones, as PKCS #11 numbers them; nil when the module does not say.
	Mechanisms []string `json:"allowed_mechanisms,omitempty"`
	// Offered are the algorithms that the token says it has: it may still refuse their parameters.
	Offered []signer.Algorithm `json:"token_algorithms"`
	// Refused says why the key is not used, or is empty.
	Refused string `json:"refused,omitempty"`
}

// Description names a module (C_GetInfo) or a token (C_GetTokenInfo).
type Description struct {
	Label        string `json:"label,omitempty"`
	Description  string `json:"description,omitempty"`
	Manufacturer string `json:"manufacturer,omitempty"`
	Model        string `json:"model,omitempty"`
	Serial       string `json:"serial,omitempty"`
	Version      string `json:"version,omitempty"`
	Firmware     string `json:"firmware,omitempty"`
}
