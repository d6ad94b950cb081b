// Package keys makes keys for the clients and servers that conformance plans speak of, in the form of their configuration.
package keys

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"io"
	"math/big"
)

// JWK is a key in JSON, private or public.
type JWK map[string]string

// Public removes the private members.
func (k JWK) Public() JWK {
	public := JWK{}
	for name, value := range k {
		switch name {
		case "d", "p", "q", "dp", "dq", "qi":
		default:
			public[name] = value
		}
	}
	return public
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// NewES256 makes a client key for ES256.
func NewES256(random io.Reader, kid string) (JWK, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, err
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, err
	}
	secret, err := key.Bytes()
	if err != nil {
		return nil, err
	}
	return JWK{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid,
		"x": encode(point[1:33]), "y": encode(point[33:]), "d": encode(secret),
	}, nil
}

// NewPS256 makes a client key for PS256.
func NewPS256(random io.Reader, kid string) (JWK, error) { return NewRSA(random, kid, "PS256", "sig") }

// NewDecryption makes a client key that ID tokens are encrypted to.
func NewDecryption(random io.Reader, kid string) (JWK, error) {
	return NewRSA(random, kid, "RSA-OAEP", "enc")
}

// NewRSA makes a key of 2048 bits for an algorithm and a use, "sig" or "enc".
func NewRSA(random io.Reader, kid, alg, use string) (JWK, error) {
	key, err := rsa.GenerateKey(random, 2048)
	if err != nil {
		return nil, err
	}
	return OfRSA(key, kid, alg, use), nil
}

// OfRSA is an RSA key of two primes, with an algorithm and a use, "sig" or "enc".
func OfRSA(key *rsa.PrivateKey, kid, alg, use string) JWK {
	return JWK{
		"kty": "RSA", "alg": alg, "use": use, "kid": kid,
		"n": encode(key.N.Bytes()), "e": encode(big.NewInt(int64(key.E)).Bytes()), "d": encode(key.D.Bytes()),
		"p": encode(key.Primes[0].Bytes()), "q": encode(key.Primes[1].Bytes()),
		"dp": encode(key.Precomputed.Dp.Bytes()), "dq": encode(key.Precomputed.Dq.Bytes()), "qi": encode(key.Precomputed.Qinv.Bytes()),
	}
}
