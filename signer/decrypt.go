package signer

import (
	"context"
	"crypto/ecdh"
	"fmt"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Decrypter is a [Backend] that also holds keys that decrypt. Its errors match those of this package; what does not fit
// the key is ErrCiphertext, and never ErrUnavailable: a stranger's bytes must not count against an HSM.
type Decrypter interface {
	Backend
	// Agree gives Z of RFC 7518 §4.6: the x-coordinate, in 32 bytes, of the point that the private half of an ECDH-ES
	// key and peer have in common. peer is a point of P-256 in 65 bytes (SEC 1 §2.3.3, uncompressed).
	Agree(ctx context.Context, key Record, peer []byte) ([]byte, error)
	// Unwrap decrypts with RSAES-OAEP and an empty label: with SHA-256, or with SHA-1 where key has the algorithm [RSAOAEP]
	// (RFC 7518 §4.3).
	Unwrap(ctx context.Context, key Record, wrapped []byte) ([]byte, error)
}

// sharedSecretSize is the size of Z on P-256, in bytes.
const sharedSecretSize = 32

// Decryption lists the keys that something may have been encrypted to for a use: all that are not destroyed, the one
// activated last first. The error is that of ctx.
func (s *Signer) Decryption(ctx context.Context, use Use) ([]Record, error) {
	records, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	var found []Record
	for _, record := range records {
		if record.Algorithm.Decrypts() && slices.Contains(record.Uses, use) {
			found = append(found, record)
		}
	}
	slices.SortStableFunc(found, func(a, b Record) int { return b.ActivatedAt.Compare(a.ActivatedAt) })
	return found, nil
}

// Agree computes the shared secret Z of ECDH-ES (RFC 7518 §4.6), 32 bytes, of one of our keys and a client's ephemeral
// key on P-256. An unknown kid, or a key of another algorithm, is ErrNoKey.
func (s *Signer) Agree(ctx context.Context, kid string, peer *ecdh.PublicKey) ([]byte, error) {
	record, err := s.decrypter(ctx, kid, ECDHES)
	if err != nil {
		return nil, err
	}
	if peer == nil || peer.Curve() != ecdh.P256() {
		return nil, fmt.Errorf("%w: the other key is not on P-256", ErrCiphertext)
	}
	return s.decrypt(ctx, agreement(record, peer.Bytes()))
}

// Unwrap decrypts a content encryption key that was wrapped with RSA-OAEP-256 (RFC 7518 §4.3). An unknown kid, or a key
// of another algorithm, is ErrNoKey; what was not wrapped for this key is ErrCiphertext.
func (s *Signer) Unwrap(ctx context.Context, kid string, wrapped []byte) ([]byte, error) {
	record, err := s.decrypter(ctx, kid, RSAOAEP256)
	if err != nil {
		return nil, err
	}
	return s.decrypt(ctx, unwrapping(record, wrapped))
}

// UnwrapSHA1 is Unwrap for RSA-OAEP, with the same keys or one that is for it alone. An ecosystem whose rules name RSA-OAEP needs it; its SHA-1 hashes no message:
// OAEP does not rely on its resistance to collisions (RFC 8017 §7.1, Appendix B.1).
func (s *Signer) UnwrapSHA1(ctx context.Context, kid string, wrapped []byte) ([]byte, error) {
	record, err := s.decrypter(ctx, kid, RSAOAEP)
	if err != nil {
		return nil, err
	}
	record.Algorithm = RSAOAEP
	return s.decrypt(ctx, unwrapping(record, wrapped))
}

func (s *Signer) decrypter(ctx context.Context, kid string, alg Algorithm) (Record, error) {
	records, err := s.current(ctx)
	if err != nil {
		return Record{}, err
	}
	for _, record := range records {
		if record.ID == kid && record.Algorithm.Does(alg) {
			return record, nil
		}
	}
	return Record{}, fmt.Errorf("%w %q for %s", ErrNoKey, kid, alg)
}

func (s *Signer) decrypt(ctx context.Context, t task) ([]byte, error) {
	ctx, span := s.tracer.Start(ctx, "signer.Decrypt", trace.WithAttributes(
		attribute.String("signer.kid", t.record.ID), attribute.String("signer.alg", string(t.record.Algorithm))))
	defer span.End()
	t.use = UseRequestObject
	secret, err := s.replicas.do(ctx, t)
	if err != nil {
		span.SetStatus(codes.Error, "")
		return nil, err
	}
	return secret, nil
}
