package pkcs11

import (
	"context"

	"countersign/signer"
	"countersign/signer/pkcs11/internal/wire"
)

// Agree implements [signer.Decrypter]. The derived secret, good for one message, is all that leaves the HSM.
func (b *Backend) Agree(ctx context.Context, record signer.Record, peer []byte) ([]byte, error) {
	return b.use(ctx, wire.AskAgree, record, peer)
}

// Unwrap implements [signer.Decrypter].
func (b *Backend) Unwrap(ctx context.Context, record signer.Record, wrapped []byte) ([]byte, error) {
	return b.use(ctx, wire.AskUnwrap, record, wrapped)
}
