// Package keys reads and describes the private keys of a relying party: those that sign and those that decrypt.
package keys

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"

	"countersign/internal/jose"
)

// Describe checks a public key and gives it its kid, its thumbprint if that is empty, and its algorithm, the one that fits if that is empty: PS256,
// ES256, EdDSA, and RS256 if it is named.
func Describe(public crypto.PublicKey, kid, algorithm string) (jose.Key, error) {
	fitting := jose.EdDSA // anything but Ed25519 is refused below
	switch public := public.(type) {
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits < 2048 || bits > 4096 {
			return jose.Key{}, fmt.Errorf("an RSA key needs 2048 to 4096 bits, it has %d", bits)
		}
		if fitting = jose.PS256; algorithm == jose.RS256 {
			fitting = jose.RS256
		}
	case *ecdsa.PublicKey:
		if public.Curve.Params().Name != "P-256" {
			return jose.Key{}, errors.New("an EC key has to be on P-256 (FAPI 2.0 Security Profile §5.4.1)")
		}
		fitting = jose.ES256
	}
	if algorithm != "" && algorithm != fitting {
		return jose.Key{}, fmt.Errorf("a key of kind %T signs with %s, not with %q", public, fitting, algorithm)
	}
	if len(kid) > jose.MaxKeyID {
		return jose.Key{}, fmt.Errorf("a kid may have %d bytes", jose.MaxKeyID)
	}
	key, err := jose.NewKey(kid, fitting, public)
	if err != nil {
		return jose.Key{}, err
	}
	if key.ID == "" {
		key.ID = key.Thumbprint()
	}
	return key, nil
}

// maxFile bounds a key's file, in bytes.
const maxFile = 64 << 10

// Read reads a file of a key. Errors name the file, and nothing in it.
func Read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return raw, nil
}

// Parse reads PEM (PKCS#8, PKCS#1, SEC 1) or a private JWK, and gives the kid of the latter.
func Parse(pemOrJWK []byte) (private crypto.Signer, kid string, err error) {
	if block, _ := pem.Decode(pemOrJWK); block != nil {
		private, err = parsePEM(block)
		return private, "", err
	}
	made, err := jose.ParsePrivateJWK(pemOrJWK)
	if err != nil {
		return nil, "", errors.New("it is neither PEM with a private key nor a private JWK for PS256, ES256 or EdDSA")
	}
	return made.Signer(), made.ID(), nil
}

func parsePEM(block *pem.Block) (crypto.Signer, error) {
	var parsed any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		parsed, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("the PEM is encrypted; decrypt it first")
	default:
		return nil, fmt.Errorf("the PEM holds %+.40q; a private key is wanted", block.Type)
	}
	private, ok := parsed.(crypto.Signer)
	if err != nil || !ok {
		return nil, errors.New("the PEM holds no private key that signs")
	}
	return private, nil
}

// Decryption makes a key that decrypts of an *ecdsa.PrivateKey or an [ecdh.KeyExchanger] on P-256, or of an RSA [crypto.Decrypter]. The public half
// has the use "enc".
func Decryption(private any, kid string) (jose.Key, jose.DecryptionKey, error) {
	if ec, ok := private.(*ecdsa.PrivateKey); ok {
		exchanger, err := ec.ECDH()
		if err != nil {
			return jose.Key{}, jose.DecryptionKey{}, fmt.Errorf("the EC key cannot be used to agree on a key: %w", err)
		}
		private = exchanger
	}
	switch private := private.(type) {
	case ecdh.KeyExchanger:
		return agreement(private, kid)
	case crypto.Decrypter:
		return unwrapping(private, kid)
	}
	return jose.Key{}, jose.DecryptionKey{}, fmt.Errorf("a key of kind %T does not decrypt; ECDH on P-256 or RSA is wanted", private)
}

func agreement(private ecdh.KeyExchanger, kid string) (jose.Key, jose.DecryptionKey, error) {
	if private.Curve() != ecdh.P256() {
		return jose.Key{}, jose.DecryptionKey{}, errors.New("a key to agree with has to be on P-256")
	}
	der, err := x509.MarshalPKIXPublicKey(private.PublicKey())
	if err != nil {
		return jose.Key{}, jose.DecryptionKey{}, err
	}
	public, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return jose.Key{}, jose.DecryptionKey{}, err
	}
	described, key, err := decryption(public, kid)
	key.Agree = func(_ context.Context, peer *ecdh.PublicKey) ([]byte, error) {
		secret, err := private.ECDH(peer)
		if err != nil {
			return nil, errors.Join(jose.ErrDecryption, err)
		}
		return secret, nil
	}
	return described, key, err
}

func unwrapping(private crypto.Decrypter, kid string) (jose.Key, jose.DecryptionKey, error) {
	if _, ok := private.Public().(*rsa.PublicKey); !ok {
		return jose.Key{}, jose.DecryptionKey{}, fmt.Errorf("a key that decrypts has to be RSA, it is of kind %T", private.Public())
	}
	described, key, err := decryption(private.Public(), kid)
	unwrap := func(hash crypto.Hash) func(context.Context, []byte) ([]byte, error) {
		return func(_ context.Context, wrapped []byte) ([]byte, error) {
			key, err := private.Decrypt(rand.Reader, wrapped, &rsa.OAEPOptions{Hash: hash})
			if err != nil {
				return nil, errors.Join(jose.ErrDecryption, err)
			}
			return key, nil
		}
	}
	key.Unwrap = unwrap(crypto.SHA256)
	key.UnwrapSHA1 = unwrap(crypto.SHA1) // RFC 7518 §4.3: OAEP does not rely on its resistance to collisions
	return described, key, err
}

// The hashes of OAEP, linked in.
var _, _ = sha1.New, sha256.New

func decryption(public crypto.PublicKey, kid string) (jose.Key, jose.DecryptionKey, error) {
	described, err := Describe(public, kid, "")
	if err != nil {
		return jose.Key{}, jose.DecryptionKey{}, err
	}
	described.Use, described.Algorithm = "enc", ""
	return described, jose.DecryptionKey{ID: described.ID}, nil
}
