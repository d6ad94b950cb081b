package jose

import (
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/fips140"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	josecipher "github.com/go-jose/go-jose/v4/cipher"

	"countersign/internal/strictjson"
)

// Key management algorithms of JWE (RFC 7518 §4.1).
const (
	ECDHES       = "ECDH-ES"
	ECDHESA256KW = "ECDH-ES+A256KW"
	RSAOAEP256   = "RSA-OAEP-256"
	// RSAOAEP is for clients that have nothing else; what is decrypted with it is for whoever makes the keys to say.
	RSAOAEP = "RSA-OAEP"
)

// Content encryption algorithms of JWE (RFC 7518 §5.1).
const (
	A128GCM      = "A128GCM"
	A256GCM      = "A256GCM"
	A128CBCHS256 = "A128CBC-HS256"
	A256CBCHS512 = "A256CBC-HS512"
)

// MaxEncryptedSize is the size of the largest encrypted token that is looked at, in bytes: a token of MaxTokenSize in
// base64url, with its header and key.
const MaxEncryptedSize = MaxTokenSize/3*4 + 4<<10

// sharedSecretSize is the size of Z on P-256, in bytes (RFC 7518 §4.6, SEC 1 §2.3.5: leading zeros stay).
const sharedSecretSize = 32

// ErrDecryption is an encrypted token that no key opens. Why is not said: each reason would be an oracle
// (RFC 7516 §11.5).
var ErrDecryption = errors.New("the token cannot be decrypted with a key of this server")

// DecryptionAlgorithms are the values of alg that [Decrypt] takes.
func DecryptionAlgorithms() []string { return EncryptionAlgorithms() }

// wraps reports whether an algorithm encrypts the content key to an RSA key.
func wraps(alg string) bool { return alg == RSAOAEP256 || alg == RSAOAEP }

// ContentEncryptions are the values of enc that are decrypted, and offered to clients. Where FIPS 140-3 is enforced, that is without
// AES-GCM, whose initialisation vectors the module wants to choose itself, also for what others have encrypted.
func ContentEncryptions() []string {
	if fips140.Enforced() {
		return []string{A128CBCHS256, A256CBCHS512}
	}
	return []string{A128GCM, A256GCM, A128CBCHS256, A256CBCHS512}
}

// DecryptionKey is a key to decrypt with. The private half does its work behind the functions, of which it has those
// that fit its algorithm. All return an error that matches [ErrDecryption] when the input does not fit the key;
// another error is passed on.
type DecryptionKey struct {
	// ID is the kid.
	ID string
	// Agree returns Z of ECDH-ES (RFC 7518 §4.6), 32 bytes, on P-256.
	Agree func(ctx context.Context, peer *ecdh.PublicKey) ([]byte, error)
	// Unwrap decrypts RSA-OAEP-256 (RFC 7518 §4.3).
	Unwrap func(ctx context.Context, wrapped []byte) ([]byte, error)
	// UnwrapSHA1 decrypts RSA-OAEP; nil for a key that nothing may be encrypted to with it.
	UnwrapSHA1 func(ctx context.Context, wrapped []byte) ([]byte, error)
}

// serves reports whether the key is one for an algorithm.
func (k DecryptionKey) serves(alg string) bool {
	switch alg {
	case ECDHES, ECDHESA256KW:
		return k.Agree != nil
	case RSAOAEP256:
		return k.Unwrap != nil
	case RSAOAEP:
		return k.UnwrapSHA1 != nil
	}
	return false
}

// encryptedHeader has the members that are read or refused.
type encryptedHeader struct {
	Algorithm  string   `json:"alg"`
	Encryption string   `json:"enc"`
	KeyID      string   `json:"kid"`
	Ephemeral  *wireKey `json:"epk"`
	PartyU     string   `json:"apu"`
	PartyV     string   `json:"apv"`

	Critical       json.RawMessage `json:"crit"`
	Unencoded      json.RawMessage `json:"b64"`
	Compression    json.RawMessage `json:"zip"`
	KeySetURL      json.RawMessage `json:"jku"`
	JWK            json.RawMessage `json:"jwk"`
	CertificateURL json.RawMessage `json:"x5u"`
}

// IsEncrypted distinguishes a compact JWE from a compact JWS by its five parts (RFC 7516 §9).
func IsEncrypted(token string) bool { return strings.Count(token, ".") == 4 }

// encrypted is a compact JWE that was taken apart.
type encrypted struct {
	header encryptedHeader
	// authenticated is the header as it was sent.
	authenticated            string
	key, iv, ciphertext, tag []byte
}

// maxFitting is how many keys are tried on a token without a kid.
const maxFitting = 4

// Decrypt opens a compact JWE (RFC 7516 §7.1) with one of the keys: the one that kid names, or without a kid each that
// fits, up to four. An error wraps [ErrMalformed] or [ErrAlgorithm] for what is wrong before a key is used, and is
// [ErrDecryption] for anything after; errors of the keys' functions are passed on.
func Decrypt(ctx context.Context, token string, keys []DecryptionKey) ([]byte, error) {
	e, err := parseEncrypted(token)
	if err != nil {
		return nil, err
	}
	for _, key := range e.fitting(keys) {
		plaintext, err := e.open(ctx, key)
		if err == nil || !errors.Is(err, ErrDecryption) {
			return plaintext, err
		}
	}
	return nil, ErrDecryption
}

// CheckEncrypted does what [Decrypt] does before a key is used, and returns the error that it would: nil for a token that
// only a key can judge. It costs no operation of a key.
func CheckEncrypted(token string, keys []DecryptionKey) error {
	e, err := parseEncrypted(token)
	if err != nil {
		return err
	}
	if len(e.fitting(keys)) == 0 {
		return ErrDecryption
	}
	if e.header.Ephemeral == nil {
		return nil
	}
	_, _, _, err = e.peer()
	return err
}

// EncryptedWith returns alg and enc of a compact JWE. An error wraps [ErrMalformed] or [ErrAlgorithm].
func EncryptedWith(token string) (alg, enc string, err error) {
	e, err := parseEncrypted(token)
	if err != nil {
		return "", "", err
	}
	return e.header.Algorithm, e.header.Encryption, nil
}

// fitting are the keys that may open the token.
func (e *encrypted) fitting(keys []DecryptionKey) []DecryptionKey {
	var fit []DecryptionKey
	for _, key := range keys {
		if key.serves(e.header.Algorithm) && (e.header.KeyID == "" || e.header.KeyID == key.ID) && len(fit) < maxFitting {
			fit = append(fit, key)
		}
	}
	return fit
}

func parseEncrypted(token string) (*encrypted, error) {
	if len(token) > MaxEncryptedSize {
		return nil, fmt.Errorf("%w: the encrypted token is larger than %d bytes", ErrMalformed, MaxEncryptedSize)
	}
	if !IsEncrypted(token) {
		return nil, fmt.Errorf("%w: a compact JWE has five parts", ErrMalformed)
	}
	parts := strings.Split(token, ".")
	raw, err := decodeBase64("header", parts[0])
	if err != nil {
		return nil, err
	}
	e := &encrypted{authenticated: parts[0]}
	if e.header, err = readEncryptedHeader(raw); err != nil {
		return nil, err
	}
	for i, part := range []struct {
		name string
		into *[]byte
	}{{"encrypted key", &e.key}, {"initialization vector", &e.iv}, {"ciphertext", &e.ciphertext}, {"authentication tag", &e.tag}} {
		if *part.into, err = decodeBase64(part.name, parts[i+1]); err != nil {
			return nil, err
		}
	}
	if content := contentOf(e.header.Encryption); len(e.iv) != content.iv || len(e.tag) != content.tag {
		return nil, fmt.Errorf("%w: the initialization vector or the tag has the wrong length for %s", ErrMalformed, e.header.Encryption)
	}
	if (e.header.Algorithm == ECDHES) != (len(e.key) == 0) {
		return nil, fmt.Errorf("%w: the encrypted key is empty with %s, and only then", ErrMalformed, ECDHES)
	}
	return e, nil
}

func readEncryptedHeader(raw []byte) (encryptedHeader, error) {
	var h encryptedHeader
	if err := strictjson.DecodeObject(raw, &h); err != nil {
		return h, fmt.Errorf("header: %w", err)
	}
	for _, refused := range []struct {
		name  string
		value json.RawMessage
	}{
		{"crit", h.Critical}, {"b64", h.Unencoded}, {"zip", h.Compression},
		{"jku", h.KeySetURL}, {"jwk", h.JWK}, {"x5u", h.CertificateURL},
	} {
		if refused.value != nil {
			return h, fmt.Errorf("%w: the header has %s, which is not accepted", ErrMalformed, refused.name)
		}
	}
	if len(h.KeyID) > MaxKeyID || len(h.PartyU) > MaxKeyID || len(h.PartyV) > MaxKeyID {
		return h, fmt.Errorf("%w: kid, apu and apv may have %d bytes", ErrMalformed, MaxKeyID)
	}
	if !slices.Contains(DecryptionAlgorithms(), h.Algorithm) {
		return h, fmt.Errorf("%w: alg of an encrypted token must be one of %s", ErrAlgorithm, strings.Join(DecryptionAlgorithms(), ", "))
	}
	if !slices.Contains(ContentEncryptions(), h.Encryption) {
		return h, fmt.Errorf("%w: enc must be one of %s", ErrAlgorithm, strings.Join(ContentEncryptions(), ", "))
	}
	if wraps(h.Algorithm) != (h.Ephemeral == nil) {
		return h, fmt.Errorf("%w: the header has epk with ECDH-ES, and only then", ErrMalformed)
	}
	return h, nil
}

// open decrypts with one key.
func (e *encrypted) open(ctx context.Context, key DecryptionKey) ([]byte, error) {
	contentKey, err := e.contentKey(ctx, key)
	if err != nil {
		return nil, err
	}
	aead, err := contentOf(e.header.Encryption).aead(contentKey)
	if err != nil {
		return nil, ErrDecryption
	}
	plaintext, err := aead.Open(nil, e.iv, slices.Concat(e.ciphertext, e.tag), []byte(e.authenticated))
	if err != nil {
		return nil, ErrDecryption
	}
	return plaintext, nil
}

// contentKey finds the key of the content. A wrapped key that does not decrypt yields a random key: see [orRandom].
func (e *encrypted) contentKey(ctx context.Context, key DecryptionKey) ([]byte, error) {
	size := contentOf(e.header.Encryption).key
	if wraps(e.header.Algorithm) {
		unwrap := key.Unwrap
		if e.header.Algorithm == RSAOAEP {
			unwrap = key.UnwrapSHA1
		}
		unwrapped, err := unwrap(ctx, e.key)
		if err != nil && !errors.Is(err, ErrDecryption) {
			return nil, err
		}
		return orRandom(unwrapped, err, size), nil
	}
	agreed, err := e.agree(ctx, key, size)
	if err != nil || e.header.Algorithm == ECDHES {
		return agreed, err
	}
	block, err := aes.NewCipher(agreed)
	if err != nil {
		return nil, ErrDecryption
	}
	unwrapped, err := josecipher.KeyUnwrap(block, e.key)
	return orRandom(unwrapped, err, size), nil
}

// orRandom is a key that was unwrapped, or a random one when that failed or its size in bytes is wrong: decryption goes
// on, so that a wrong wrapping looks like a wrong tag, also to a clock (RFC 7516 §11.5).
func orRandom(unwrapped []byte, err error, size int) []byte {
	random := make([]byte, size)
	rand.Read(random) // never fails: the program ends instead
	if err != nil || len(unwrapped) != size {
		return random
	}
	return unwrapped
}

// peer returns the ephemeral key, and apu and apv.
func (e *encrypted) peer() (peer *ecdh.PublicKey, partyU, partyV []byte, err error) {
	// A point that is not on the curve would reveal bits of the key: it is refused here, and by the HSM's worker again.
	ephemeral, err := e.header.Ephemeral.key()
	if err != nil {
		return nil, nil, nil, ErrDecryption
	}
	if peer, err = ecdhKey(ephemeral.Public); err != nil {
		return nil, nil, nil, ErrDecryption
	}
	partyU, errU := decodeBase64("apu", e.header.PartyU)
	partyV, errV := decodeBase64("apv", e.header.PartyV)
	if errU != nil || errV != nil {
		return nil, nil, nil, ErrDecryption
	}
	return peer, partyU, partyV, nil
}

// agree does the key agreement of RFC 7518 §4.6.
func (e *encrypted) agree(ctx context.Context, key DecryptionKey, size int) ([]byte, error) {
	peer, partyU, partyV, err := e.peer()
	if err != nil {
		return nil, err
	}
	secret, err := key.Agree(ctx, peer)
	if err != nil {
		return nil, err
	}
	if len(secret) != sharedSecretSize {
		// Not the token's fault: a module that drops leading zeros would else fail for one token in 256, unexplained.
		return nil, fmt.Errorf("jose: the key agreement gave %d bytes and not the %d of P-256", len(secret), sharedSecretSize)
	}
	return derive(secret, e.header.Algorithm, e.header.Encryption, partyU, partyV, size)
}

// derive is the Concat KDF of RFC 7518 §4.6.2: for direct agreement it makes the content key of a size in bytes, with key
// wrapping a key of 32 bytes.
func derive(secret []byte, alg, enc string, partyU, partyV []byte, size int) ([]byte, error) {
	name := enc
	if alg == ECDHESA256KW {
		name, size = alg, 32
	}
	bits := binary.BigEndian.AppendUint32(nil, uint32(size*8))
	made := make([]byte, size)
	kdf := josecipher.NewConcatKDF(crypto.SHA256, secret, sized([]byte(name)), sized(partyU), sized(partyV), bits, nil)
	if _, err := kdf.Read(made); err != nil {
		return nil, ErrDecryption
	}
	return made, nil
}

// sized puts a length before a value.
func sized(value []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(value))), value...)
}

// content is a content encryption: sizes in bytes, and the cipher.
type content struct {
	key, iv, tag int
	aead         func(key []byte) (cipher.AEAD, error)
}

// contentOf is the content encryption of an enc; the zero value for an unknown one.
func contentOf(enc string) content {
	switch enc {
	case A128GCM:
		return content{16, 12, 16, newGCM}
	case A256GCM:
		return content{32, 12, 16, newGCM}
	case A128CBCHS256:
		return content{32, 16, 16, newCBC}
	case A256CBCHS512:
		return content{64, 16, 32, newCBC}
	}
	return content{}
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func newCBC(key []byte) (cipher.AEAD, error) { return josecipher.NewCBCHMAC(key, aes.NewCipher) }
