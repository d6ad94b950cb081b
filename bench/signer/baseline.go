//go:build cgo && !nopkcs11

package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"

	"github.com/ThalesGroup/crypto11"

	"countersign/signer"
	"countersign/softhsm"
)

var errNotOffered = errors.New("not offered")

// openBaseline signs with crypto11, to the form that a JWS has.
func openBaseline(folder string, token softhsm.Token, keys map[signer.Algorithm]signer.Record) (func(signer.Algorithm) error, error) {
	pin, err := os.ReadFile(token.PINFile)
	if err != nil {
		return nil, err
	}
	// A copy of the module has a state of its own: crypto11 does not accept one that somebody else has initialised.
	raw, err := os.ReadFile(token.Module)
	if err != nil {
		return nil, err
	}
	module := filepath.Join(folder, "copy.so")
	if err := os.WriteFile(module, raw, 0o700); err != nil {
		return nil, err
	}
	library, err := crypto11.Configure(&crypto11.Config{Path: module, TokenLabel: token.Label, Pin: strings.TrimSpace(string(pin)), MaxSessions: 64})
	if err != nil {
		return nil, err
	}
	found := map[signer.Algorithm]crypto11.Signer{}
	for _, alg := range []signer.Algorithm{signer.PS256, signer.ES256} {
		id, err := base64.RawURLEncoding.DecodeString(keys[alg].ID)
		if err != nil {
			return nil, err
		}
		if found[alg], err = library.FindKeyPair(id, nil); err != nil || found[alg] == nil {
			return nil, fmt.Errorf("crypto11 does not find the %s key: %w", alg, err)
		}
	}
	return func(alg signer.Algorithm) error {
		digest := sha256.Sum256(message)
		switch alg {
		case signer.PS256:
			_, err := found[alg].Sign(rand.Reader, digest[:], &rsa.PSSOptions{SaltLength: sha256.Size, Hash: crypto.SHA256})
			return err
		case signer.ES256:
			encoded, err := found[alg].Sign(rand.Reader, digest[:], crypto.SHA256)
			if err != nil {
				return err
			}
			var pair struct{ R, S *big.Int }
			if _, err := asn1.Unmarshal(encoded, &pair); err != nil {
				return err
			}
			out := make([]byte, 64)
			pair.R.FillBytes(out[:32])
			pair.S.FillBytes(out[32:])
			return nil
		}
		return errNotOffered
	}, nil
}
