package client

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

// Key is a private key of the client, with its kid and its one algorithm: PS256, ES256 or EdDSA, or RS256 if [Weak] says so. The zero
// value is no key.
type Key struct {
	public     jose.Key
	signing    jose.SigningKey
	thumbprint string
}

// NewKey makes a key of any [crypto.Signer]: one in memory, of a PKCS#11 module or of a cloud's KMS. An empty algorithm is PS256 for
// RSA (2048 to 4096 bits), ES256 for P-256, EdDSA for Ed25519; an empty kid is the RFC 7638 thumbprint. Errors are a [*ConfigError].
func NewKey(private crypto.Signer, kid, algorithm string) (Key, error) {
	if private == nil {
		return Key{}, misconfigured("Key", "there is none")
	}
	public, err := describe(private.Public(), kid, algorithm)
	if err != nil {
		return Key{}, err
	}
	signing, err := jose.NewSigningKey(public.ID, public.Algorithm, private)
	if err != nil {
		return Key{}, misconfigured("Key", "%v", err)
	}
	return Key{public, signing, public.Thumbprint()}, nil
}

// KeyFunc makes a key of a function that signs a message (not a digest) and returns the signature in JWS form (RFC 7518 §3). It is
// the way to a key of package signer, and so to PKCS#11 in a process of its own:
//
//	pinned, err := s.Active(ctx, signer.UseIDToken, signer.PS256)
//	key, err := client.KeyFunc(pinned.ID, string(pinned.Algorithm), pinned.Public, pinned.Sign)
//
// Errors are a [*ConfigError].
func KeyFunc(kid, algorithm string, public crypto.PublicKey, sign func(ctx context.Context, message []byte) ([]byte, error)) (Key, error) {
	described, err := describe(public, kid, algorithm)
	if err != nil {
		return Key{}, err
	}
	if sign == nil || described.Algorithm == jose.RS256 {
		return Key{}, misconfigured("Key", "a function is wanted that signs with PS256, ES256 or EdDSA")
	}
	signing := jose.SigningKey{ID: described.ID, Algorithm: described.Algorithm, Sign: sign}
	return Key{described, signing, described.Thumbprint()}, nil
}

// describe checks a public key and gives it its kid and its algorithm.
func describe(public crypto.PublicKey, kid, algorithm string) (jose.Key, error) {
	fitting := ""
	switch public := public.(type) {
	case *rsa.PublicKey:
		fitting = jose.PS256
		if bits := public.N.BitLen(); bits < 2048 || bits > 4096 {
			return jose.Key{}, misconfigured("Key", "an RSA key needs 2048 to 4096 bits, it has %d", bits)
		}
	case *ecdsa.PublicKey:
		fitting = jose.ES256
		if public.Curve.Params().Name != "P-256" {
			return jose.Key{}, misconfigured("Key", "an EC key has to be on P-256 (FAPI 2.0 Security Profile §5.4.1)")
		}
	default:
		fitting = jose.EdDSA // anything but Ed25519 is refused below
	}
	if algorithm == jose.RS256 && fitting == jose.PS256 {
		fitting = jose.RS256
	}
	if algorithm != "" && algorithm != fitting {
		return jose.Key{}, misconfigured("Key", "a key of kind %T signs with %s, not with %q", public, fitting, algorithm)
	}
	if len(kid) > jose.MaxKeyID {
		return jose.Key{}, misconfigured("Key", "a kid may have %d bytes", jose.MaxKeyID)
	}
	key, err := jose.NewKey(kid, fitting, public)
	if err != nil {
		return jose.Key{}, misconfigured("Key", "%v", err)
	}
	if key.ID == "" {
		key.ID = key.Thumbprint()
	}
	return key, nil
}

// GenerateKey makes a key in memory, for PS256, ES256 or EdDSA. Errors are a [*ConfigError].
func GenerateKey(algorithm string) (Key, error) {
	made, err := jose.NewPrivateKey(algorithm)
	if err != nil {
		return Key{}, misconfigured("Key", "%v", err)
	}
	return NewKey(made.Signer(), "", "")
}

// maxKeyFile bounds a key's file, in bytes.
const maxKeyFile = 64 << 10

// LoadKey reads a key from a file, PEM (PKCS#8, PKCS#1, SEC 1) or JWK (RFC 7517). Errors name the file, and nothing in it.
func LoadKey(path string) (Key, error) {
	file, err := os.Open(path)
	if err != nil {
		return Key{}, fmt.Errorf("client: read a key: %w", err)
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxKeyFile+1))
	if err != nil {
		return Key{}, fmt.Errorf("client: read a key: %w", err)
	}
	if len(raw) > maxKeyFile {
		return Key{}, fmt.Errorf("client: read a key: %s is larger than %d bytes", path, maxKeyFile)
	}
	key, err := ParseKey(raw)
	if err != nil {
		return Key{}, fmt.Errorf("client: read a key: %s: %w", path, err)
	}
	return key, nil
}

// ParseKey reads PEM or a JWK. Errors are a [*ConfigError].
func ParseKey(pemOrJWK []byte) (Key, error) {
	if block, _ := pem.Decode(pemOrJWK); block != nil {
		private, err := parsePEM(block)
		if err != nil {
			return Key{}, err
		}
		return NewKey(private, "", "")
	}
	made, err := jose.ParsePrivateJWK(pemOrJWK)
	if err != nil {
		return Key{}, misconfigured("Key", "neither PEM with a private key nor a private JWK for PS256, ES256 or EdDSA")
	}
	return NewKey(made.Signer(), made.ID(), "")
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
		return nil, misconfigured("Key", "the PEM is encrypted; decrypt it first")
	default:
		return nil, misconfigured("Key", "the PEM holds %q; a private key is wanted", printable(block.Type))
	}
	private, ok := parsed.(crypto.Signer)
	if err != nil || !ok {
		return nil, misconfigured("Key", "the PEM holds no private key that signs")
	}
	return private, nil
}

// ID is the kid.
func (k Key) ID() string { return k.public.ID }

// Algorithm is alg.
func (k Key) Algorithm() string { return k.signing.Algorithm }

// Public is the public key.
func (k Key) Public() crypto.PublicKey { return k.public.Public }

// Thumbprint is the RFC 7638 thumbprint, in base64url: jkt of a DPoP key.
func (k Key) Thumbprint() string { return k.thumbprint }

// IsZero reports whether k is no key.
func (k Key) IsZero() bool { return k.signing.Sign == nil }

// String is the kid, and nothing of the key.
func (k Key) String() string { return "key " + k.ID() }

// GoString is [Key.String].
func (k Key) GoString() string { return k.String() }

// Decrypter is a key that the provider may encrypt to. The zero value is none.
type Decrypter struct {
	public jose.Key
	key    jose.DecryptionKey
}

// NewDecrypter makes one of a private key: an *ecdsa.PrivateKey or an [ecdh.KeyExchanger] on P-256 (ECDH-ES, ECDH-ES+A256KW), or an RSA
// [crypto.Decrypter], also of an HSM (RSA-OAEP-256, RSA-OAEP). An empty kid is the thumbprint. Errors are a [*ConfigError].
func NewDecrypter(private any, kid string) (Decrypter, error) {
	if ec, ok := private.(*ecdsa.PrivateKey); ok {
		exchanger, err := ec.ECDH()
		if err != nil {
			return Decrypter{}, misconfigured("Decrypt", "the EC key cannot be used to agree on a key: %v", err)
		}
		private = exchanger
	}
	switch private := private.(type) {
	case ecdh.KeyExchanger:
		return newAgreement(private, kid)
	case crypto.Decrypter:
		return newUnwrapping(private, kid)
	}
	return Decrypter{}, misconfigured("Decrypt", "a key of kind %T does not decrypt; ECDH on P-256 or RSA is wanted", private)
}

func newAgreement(private ecdh.KeyExchanger, kid string) (Decrypter, error) {
	if private.Curve() != ecdh.P256() {
		return Decrypter{}, misconfigured("Decrypt", "a key to agree with has to be on P-256")
	}
	der, err := x509.MarshalPKIXPublicKey(private.PublicKey())
	if err != nil {
		return Decrypter{}, misconfigured("Decrypt", "%v", err)
	}
	public, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return Decrypter{}, misconfigured("Decrypt", "%v", err)
	}
	made, err := newDecrypter(public, kid)
	if err != nil {
		return Decrypter{}, err
	}
	made.key.Agree = func(_ context.Context, peer *ecdh.PublicKey) ([]byte, error) {
		secret, err := private.ECDH(peer)
		if err != nil {
			return nil, errors.Join(jose.ErrDecryption, err)
		}
		return secret, nil
	}
	return made, nil
}

func newUnwrapping(private crypto.Decrypter, kid string) (Decrypter, error) {
	if _, ok := private.Public().(*rsa.PublicKey); !ok {
		return Decrypter{}, misconfigured("Decrypt", "a key that decrypts has to be RSA, it is of kind %T", private.Public())
	}
	made, err := newDecrypter(private.Public(), kid)
	if err != nil {
		return Decrypter{}, err
	}
	unwrap := func(hash crypto.Hash) func(context.Context, []byte) ([]byte, error) {
		return func(_ context.Context, wrapped []byte) ([]byte, error) {
			key, err := private.Decrypt(rand.Reader, wrapped, &rsa.OAEPOptions{Hash: hash})
			if err != nil {
				return nil, errors.Join(jose.ErrDecryption, err)
			}
			return key, nil
		}
	}
	made.key.Unwrap = unwrap(crypto.SHA256)
	made.key.UnwrapSHA1 = unwrap(crypto.SHA1) // RFC 7518 §4.3: OAEP does not rely on its resistance to collisions
	return made, nil
}

// The hashes of OAEP, linked in.
var _, _ = sha1.New, sha256.New

func newDecrypter(public crypto.PublicKey, kid string) (Decrypter, error) {
	described, err := describe(public, kid, "")
	if err != nil {
		return Decrypter{}, err
	}
	described.Use, described.Algorithm = "enc", ""
	return Decrypter{public: described, key: jose.DecryptionKey{ID: described.ID}}, nil
}

// ID is the kid.
func (d Decrypter) ID() string { return d.public.ID }
