package soft

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"hash"

	"countersign/signer"
)

// rsaBits is the size of new RSA keys.
const rsaBits = 2048

// held is a private key with what is published of it.
type held struct {
	record  signer.Record
	private crypto.Signer
}

// stored is a key in the file.
type stored struct {
	Algorithm signer.Algorithm `json:"alg"`
	PKCS8     []byte           `json:"pkcs8"`
}

func encodeKeys(keys []held) ([]byte, error) {
	list := make([]stored, len(keys))
	for i, k := range keys {
		encoded, err := x509.MarshalPKCS8PrivateKey(k.private)
		if err != nil {
			return nil, err
		}
		list[i] = stored{k.record.Algorithm, encoded}
	}
	return json.Marshal(list)
}

func decodeKeys(plain []byte) ([]held, error) {
	var list []stored
	decoder := json.NewDecoder(bytes.NewReader(plain))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&list); err != nil {
		return nil, fmt.Errorf("its content: %w", err)
	}
	keys := make([]held, len(list))
	for i, s := range list {
		private, err := x509.ParsePKCS8PrivateKey(s.PKCS8)
		if err != nil {
			return nil, fmt.Errorf("key %d of it: %w", i+1, err)
		}
		able, ok := private.(crypto.Signer)
		if !ok {
			return nil, fmt.Errorf("key %d of it does not sign", i+1)
		}
		if keys[i], err = describe(able, s.Algorithm); err != nil {
			return nil, fmt.Errorf("key %d of it: %w", i+1, err)
		}
	}
	return keys, nil
}

func describe(private crypto.Signer, alg signer.Algorithm) (held, error) {
	kid, err := signer.Thumbprint(private.Public())
	if err != nil {
		return held{}, err
	}
	if !signer.Fits(private.Public(), alg) {
		return held{}, fmt.Errorf("it is not one for %q", alg)
	}
	return held{signer.Record{ID: kid, Algorithm: alg, Public: private.Public()}, private}, nil
}

func newKey(alg signer.Algorithm) (held, error) {
	var private crypto.Signer
	var err error
	switch alg {
	case signer.PS256, signer.RSAOAEP256, signer.RSAOAEP:
		private, err = rsa.GenerateKey(rand.Reader, rsaBits)
	case signer.ES256, signer.ECDHES:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case signer.EdDSA:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = fmt.Errorf("soft: the algorithm %q is not one of PS256, ES256, EdDSA, ECDH-ES, RSA-OAEP-256 and RSA-OAEP", alg)
	}
	if err != nil {
		return held{}, err
	}
	return describe(private, alg)
}

// sign makes a signature in JWS form (RFC 7518 §3.4, §3.5; RFC 8037 §3.1).
func (h held) sign(message []byte) ([]byte, error) {
	digest := sha256.Sum256(message)
	switch private := h.private.(type) {
	case *rsa.PrivateKey:
		return rsa.SignPSS(rand.Reader, private, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: sha256.Size})
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
		if err != nil {
			return nil, err
		}
		signature := make([]byte, 64)
		r.FillBytes(signature[:32])
		s.FillBytes(signature[32:])
		return signature, nil
	case ed25519.PrivateKey:
		return ed25519.Sign(private, message), nil
	}
	return nil, fmt.Errorf("soft: a %T does not sign", h.private)
}

// agree computes Z (RFC 7518 §4.6) with a point of P-256.
func (h held) agree(peer []byte) ([]byte, error) {
	private, ok := h.private.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("soft: a %T agrees on nothing", h.private)
	}
	own, err := private.ECDH()
	if err != nil {
		return nil, err
	}
	point, err := ecdh.P256().NewPublicKey(peer)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", signer.ErrCiphertext, err)
	}
	return own.ECDH(point)
}

// unwrap decrypts with RSAES-OAEP and a hash (RFC 7518 §4.3).
func (h held) unwrap(by hash.Hash, wrapped []byte) ([]byte, error) {
	private, ok := h.private.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("soft: a %T unwraps nothing", h.private)
	}
	secret, err := rsa.DecryptOAEP(by, nil, private, wrapped, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", signer.ErrCiphertext, err)
	}
	return secret, nil
}
