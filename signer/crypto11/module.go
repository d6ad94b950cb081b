//go:build cgo && !nopkcs11

package crypto11

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"os"
	"sync"

	"github.com/ThalesGroup/crypto11"

	"countersign/signer"
	"countersign/signer/pkcs11"
)

// Built reports whether this binary has crypto11.
const Built = true

// module is a token that is logged in.
type module struct {
	library *crypto11.Context
	label   string

	mu   sync.Mutex
	keys map[string]heldKey // by kid
}

// heldKey is a key that the policy lets sign.
type heldKey struct {
	crypto11.Signer
	algorithm signer.Algorithm
}

// openModule loads the module, sets the variables of config.Environment for the whole process, and logs in.
func openModule(config pkcs11.Config) (*module, error) {
	uri, err := pkcs11.ParseURI(config.Token)
	if err != nil {
		return nil, err
	}
	for name, value := range config.Environment {
		if err := os.Setenv(name, value); err != nil {
			return nil, fmt.Errorf("crypto11: %w", err)
		}
	}
	if _, err := os.Stat(config.Module); err != nil {
		return nil, fmt.Errorf("crypto11: the module: %w", err)
	}
	pkcs11.Harden()
	pin, err := config.UserPIN()
	if err != nil {
		return nil, err
	}
	settings := crypto11.Config{
		Path: config.Module, Pin: pin,
		MaxSessions: config.Sessions + 1, // one holds the login
		// A session is free for each of our slots, unless the token has fewer of them.
		PoolWaitTimeout: config.SignTimeout,
	}
	if uri.Serial != "" { // crypto11 looks for one or the other
		settings.TokenSerial = uri.Serial
	} else {
		settings.TokenLabel = uri.Token
	}
	library, err := crypto11.Configure(&settings)
	settings.Pin = "" // the library keeps the settings
	if err != nil {
		return nil, fmt.Errorf("%w: crypto11 does not open the token %s of the module %s: %w", signer.ErrUnavailable, config.Token, config.Module, err)
	}
	return &module{library: library, label: uri.Token, keys: map[string]heldKey{}}, nil
}

// sign makes a signature in JWS form. A key whose handle is no longer good is looked for once more.
func (m *module) sign(id []byte, record signer.Record, message []byte) ([]byte, error) {
	signature, err := m.signOnce(id, record, message)
	if err != nil && pkcs11.Classify(err) == pkcs11.HandleTrouble {
		m.mu.Lock()
		delete(m.keys, record.ID)
		m.mu.Unlock()
		return m.signOnce(id, record, message)
	}
	return signature, err
}

func (m *module) signOnce(id []byte, record signer.Record, message []byte) ([]byte, error) {
	key, err := m.key(id, record)
	if err != nil {
		return nil, err
	}
	if key.algorithm != record.Algorithm {
		return nil, fmt.Errorf("crypto11: the key %s signs with %s and not with %s", record.ID, key.algorithm, record.Algorithm)
	}
	var options crypto.SignerOpts = crypto.SHA256
	if record.Algorithm == signer.PS256 { // the salt is as long as the hash (RFC 7518 §3.5)
		options = &rsa.PSSOptions{SaltLength: sha256.Size, Hash: crypto.SHA256}
	}
	digest := sha256.Sum256(message)
	signature, err := key.Sign(rand.Reader, digest[:], options)
	if err != nil {
		return nil, failed(fmt.Errorf("sign with key %s: %w", record.ID, err))
	}
	if record.Algorithm == signer.ES256 {
		return concatenate(signature)
	}
	return signature, nil
}

// failed reports whether trying later may help.
func failed(err error) error {
	if pkcs11.Classify(err) == pkcs11.RequestTrouble {
		return fmt.Errorf("crypto11: %w", err)
	}
	return fmt.Errorf("%w: crypto11: %w", signer.ErrUnavailable, err)
}

// key finds a key by the bytes of its kid.
func (m *module) key(id []byte, record signer.Record) (heldKey, error) {
	m.mu.Lock()
	key, known := m.keys[record.ID]
	m.mu.Unlock()
	if known {
		return key, nil
	}
	key, err := m.find(id, record)
	if err != nil {
		return heldKey{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys[record.ID] = key
	return key, nil
}

// find looks for a key on the token and holds it to its thumbprint and to the policy.
func (m *module) find(id []byte, record signer.Record) (heldKey, error) {
	found, err := m.library.FindKeyPairs(id, nil)
	switch {
	case err != nil:
		return heldKey{}, failed(fmt.Errorf("look for key %s: %w", record.ID, err))
	case len(found) == 0:
		return heldKey{}, fmt.Errorf("%w: the token %q holds no key %s; see: countersign keys list", signer.ErrNoKey, m.label, record.ID)
	case len(found) > 1:
		return heldKey{}, fmt.Errorf("%w: the token %q holds %d keys with the CKA_ID of %s", signer.ErrNoKey, m.label, len(found), record.ID)
	}
	public := found[0].Public()
	thumbprint, err := signer.Thumbprint(public)
	if err != nil || thumbprint != record.ID {
		return heldKey{}, fmt.Errorf("%w: on the token %q the key with the CKA_ID of %s is another one", signer.ErrNoKey, m.label, record.ID)
	}
	if !signer.Fits(public, record.Algorithm) {
		return heldKey{}, fmt.Errorf("crypto11: the key %s is not one for %s", record.ID, record.Algorithm)
	}
	read := func(kind uint) ([]byte, error) {
		attribute, err := m.library.GetAttribute(found[0], kind)
		switch {
		case err != nil:
			return nil, err
		case attribute == nil:
			return nil, errors.New("the module does not know it")
		}
		return attribute.Value, nil
	}
	if refused := pkcs11.Weakness(read, public, record.Algorithm, false); refused != "" {
		return heldKey{}, fmt.Errorf("%w: the key %s on the token %q is not used: %s", signer.ErrNoKey, record.ID, m.label, refused)
	}
	return heldKey{found[0], record.Algorithm}, nil
}

// concatenate makes r‖s (RFC 7518 §3.4) of the DER form that crypto11 gives.
func concatenate(signature []byte) ([]byte, error) {
	var parts struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(signature, &parts)
	const size = 32
	if err != nil || len(rest) > 0 || parts.R.Sign() <= 0 || parts.S.Sign() <= 0 || parts.R.BitLen() > 8*size || parts.S.BitLen() > 8*size {
		return nil, fmt.Errorf("%w: it is not two numbers of 32 bytes", signer.ErrWrongSignature)
	}
	joined := make([]byte, 2*size)
	parts.R.FillBytes(joined[:size])
	parts.S.FillBytes(joined[size:])
	return joined, nil
}
