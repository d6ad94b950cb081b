package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"countersign/internal/config"
	"countersign/signer"
	"countersign/signer/crypto11"
	"countersign/signer/pkcs11"
	"countersign/signer/soft"
)

// keyHolder holds keys, signs and decrypts with them: an HSM behind a worker, an HSM in this process, or a development key file.
type keyHolder interface {
	signer.Decrypter
	// Connect says what keeps it from signing.
	Connect(ctx context.Context) error
	// Token is its name, Address that of one key on it, and Holds tells whether a key has such an address.
	Token() string
	Address(kid string) (string, error)
	Holds(record signer.Record) bool

	Generate(ctx context.Context, alg signer.Algorithm) (signer.Record, error)
	List(ctx context.Context) ([]pkcs11.Key, error)
	Attest(ctx context.Context, kid string) (pkcs11.Attestation, error)
	Destroy(ctx context.Context, kid string) error
}

const (
	backendCrypto11 = "crypto11"

	// developmentWarning is shown wherever the keys of a development key file come into use.
	developmentWarning = "the signing keys are in a development key file and not in an HSM: whoever copies it can sign; never use it in production"
	// inProcessWarning is shown where the module runs in the server.
	inProcessWarning = "the HSM's module runs in the server's own process (crypto11): one that hangs or crashes is cured by a restart only"
)

// prepareHolder makes what the configuration asks for. It connects when it is first needed.
func prepareHolder(c config.Signer, token config.Replica, log *slog.Logger) (keyHolder, error) {
	settings, err := pkcs11Config(c, token, log)
	if err != nil {
		return nil, err
	}
	switch {
	case c.DevelopmentKeyFile != "":
		return soft.Prepare(soft.Config{File: c.DevelopmentKeyFile.Path(), PassphraseFile: settings.PINFile, Passphrase: settings.PIN})
	case c.Backend == backendCrypto11:
		return crypto11.Prepare(settings)
	}
	return pkcs11.Prepare(settings)
}

// openHolder makes it and connects.
func openHolder(ctx context.Context, c config.Signer, token config.Replica, log *slog.Logger) (keyHolder, error) {
	holder, err := prepareHolder(c, token, log)
	if err != nil {
		return nil, err
	}
	if err := holder.Connect(ctx); err != nil {
		return nil, errors.Join(err, holder.Close())
	}
	return holder, nil
}

// keyWarning is what an operator is told at every start about where the keys are, or nothing.
func keyWarning(c config.Signer) string {
	switch {
	case c.DevelopmentKeyFile != "":
		return developmentWarning
	case c.Backend == backendCrypto11:
		return inProcessWarning
	}
	return ""
}

// developmentAlgorithms are those that init makes keys for, as far as the configured holder has them.
func developmentAlgorithms(c config.Signer) []signer.Algorithm {
	all := []signer.Algorithm{signer.PS256, signer.ES256, signer.EdDSA, signer.ECDHES}
	if c.Backend == backendCrypto11 {
		return slices.DeleteFunc(all, func(alg signer.Algorithm) bool { return !crypto11.Offers(alg) })
	}
	return all
}
