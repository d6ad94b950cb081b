package pkcs11

import (
	"context"
	"encoding/json"
	"fmt"

	"countersign/signer/pkcs11/attest"
	"countersign/signer/pkcs11/internal/wire"
	"countersign/signer/pkcs11/rfc7512"
)

// Attest reads the attributes of a key. The error matches signer.ErrNoKey when the token does not hold it.
func (b *Backend) Attest(ctx context.Context, kid string) (attest.Attestation, error) {
	answer, err := b.ask(ctx, wire.AskAttest, []byte(kid))
	if err != nil {
		return attest.Attestation{}, err
	}
	var a attest.Attestation
	if err := json.Unmarshal(answer, &a); err != nil {
		return attest.Attestation{}, fmt.Errorf("pkcs11: the worker's answer: %w", err)
	}
	return a, nil
}

// Address is the RFC 7512 address of a key on this token.
func (b *Backend) Address(kid string) (string, error) {
	uri, err := rfc7512.Parse(b.config.Token)
	if err != nil {
		return "", err
	}
	if uri.ID, err = wire.IDOf(kid); err != nil {
		return "", err
	}
	return uri.String(), nil
}

// Token is the RFC 7512 address of the token.
func (b *Backend) Token() string { return b.config.Token }
