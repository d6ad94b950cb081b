// Package decrypt opens encrypted request objects with keys in the HSM (RFC 9101 §6.1, CIBA Core §7.1.1).
package decrypt

import (
	"context"
	"crypto/ecdh"
	"errors"
	"fmt"
	"slices"
	"strings"

	"countersign/fapi/profile"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/signer"
)

// Keys are the keys that open encrypted request objects. Errors are those of the signer.
func Keys(ctx context.Context, in *signer.Signer) ([]jose.DecryptionKey, error) {
	records, err := in.Decryption(ctx, signer.UseRequestObject)
	if err != nil {
		return nil, err
	}
	var keys []jose.DecryptionKey
	for _, record := range records {
		key := jose.DecryptionKey{ID: record.ID}
		switch record.Algorithm {
		case signer.ECDHES:
			key.Agree = func(ctx context.Context, peer *ecdh.PublicKey) ([]byte, error) {
				secret, err := in.Agree(ctx, record.ID, peer)
				return secret, decryptionError(err)
			}
		case signer.RSAOAEP256:
			key.Unwrap = func(ctx context.Context, wrapped []byte) ([]byte, error) {
				secret, err := in.Unwrap(ctx, record.ID, wrapped)
				return secret, decryptionError(err)
			}
			key.UnwrapSHA1 = unwrapSHA1(in, record.ID)
		case signer.RSAOAEP:
			key.UnwrapSHA1 = unwrapSHA1(in, record.ID)
		default:
			continue
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// unwrapSHA1 opens what is encrypted with RSA-OAEP.
func unwrapSHA1(in *signer.Signer, kid string) func(context.Context, []byte) ([]byte, error) {
	return func(ctx context.Context, wrapped []byte) ([]byte, error) {
		secret, err := in.UnwrapSHA1(ctx, kid, wrapped)
		return secret, decryptionError(err)
	}
}

// Open decrypts a request object of a client with a profile. The error is an *[oauth.Error] with a code for what is wrong with the
// object, the same for every decryption failure (no oracle), or one of the signer.
func Open(ctx context.Context, raw string, keys []jose.DecryptionKey, of profile.Profile, code string) (string, error) {
	if err := allowed(raw, of, code); err != nil {
		return "", err
	}
	decrypted, err := jose.Decrypt(ctx, raw, keys)
	return string(decrypted), refused(err, code)
}

// Check returns the error that [Open] returns for what the header and the shape tell, at the cost of no operation of a key.
func Check(raw string, keys []jose.DecryptionKey, of profile.Profile, code string) error {
	if err := allowed(raw, of, code); err != nil {
		return err
	}
	return refused(jose.CheckEncrypted(raw, keys), code)
}

// Algorithms returns the key encryption algorithms that a profile has for request objects: those that it names, or else all that
// need no naming. RSA-OAEP, with its SHA-1, is only for profiles that name it.
func Algorithms(of profile.Profile) []string {
	if len(of.KeyEncryption) > 0 {
		return of.KeyEncryption
	}
	return []string{jose.ECDHES, jose.ECDHESA256KW, jose.RSAOAEP256}
}

// allowed holds the algorithms of an encrypted object to the profile of its client.
func allowed(raw string, of profile.Profile, code string) error {
	alg, enc, err := jose.EncryptedWith(raw)
	switch {
	case err != nil:
		return refused(err, code)
	case !slices.Contains(Algorithms(of), alg):
		return oauth.Errorf(code, "the request object is encrypted with %s; the profile of this client has %s", alg, strings.Join(Algorithms(of), ", "))
	case len(of.ContentEncryption) > 0 && !slices.Contains(of.ContentEncryption, enc):
		return oauth.Errorf(code, "the request object is encrypted with %s; the profile of this client has %s", enc, strings.Join(of.ContentEncryption, ", "))
	}
	return nil
}

// refused translates errors about an encrypted request object; others pass unchanged.
func refused(err error, code string) error {
	if errors.Is(err, jose.ErrMalformed) || errors.Is(err, jose.ErrAlgorithm) || errors.Is(err, jose.ErrDecryption) {
		return oauth.Errorf(code, "the request object is not acceptable: %v", err).Because(err)
	}
	return err
}

// decryptionError translates the signer's error for a bad ciphertext to that of package jose.
func decryptionError(err error) error {
	if errors.Is(err, signer.ErrCiphertext) {
		return fmt.Errorf("%w: %w", jose.ErrDecryption, err)
	}
	return err
}
