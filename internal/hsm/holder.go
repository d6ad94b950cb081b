// Package hsm opens what holds the signing keys, as the configuration names it: one or several PKCS#11 tokens, behind a
// worker process or in this process (crypto11), or a development key file. It makes a signer of them, over the keys'
// states in the store.
package hsm

import (
	"context"
	"crypto/fips140"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"countersign/internal/config"
	"countersign/signer"
	"countersign/signer/crypto11"
	"countersign/signer/pkcs11"
	"countersign/signer/soft"
)

// Holder holds keys, signs and decrypts with them.
type Holder interface {
	signer.Decrypter
	// Connect returns what keeps it from signing.
	Connect(ctx context.Context) error
	// Token is its name, Address the address of one key on it, and Holds reports whether a key has such an address.
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

	// DevelopmentWarning is shown wherever the keys of a development key file come into use.
	DevelopmentWarning = "the signing keys are in a development key file and not in an HSM: whoever copies it can sign; never use it in production"
	// InProcessWarning is shown where the module runs in the server.
	InProcessWarning = "the HSM's module runs in the server's own process (crypto11): one that hangs or crashes is cured by a restart only"
)

// Approved reports why keys cannot be where the configuration has them while FIPS 140-3 is enforced; nil when they can, or when it is
// not enforced.
func Approved(c config.Signer) error {
	if c.DevelopmentKeyFile == "" || !fips140.Enforced() {
		return nil
	}
	return fmt.Errorf("signer.development_key_file: %w", soft.ErrNotApproved)
}

// Warning is what an operator is told at every start about where the keys are, or empty.
func Warning(c config.Signer) string {
	switch {
	case c.DevelopmentKeyFile != "":
		return DevelopmentWarning
	case c.Backend == backendCrypto11:
		return InProcessWarning
	}
	return ""
}

// Algorithms are those that an installation for development has a key for, as far as the configured holder has them.
func Algorithms(c config.Signer) []signer.Algorithm {
	all := []signer.Algorithm{signer.PS256, signer.ES256, signer.EdDSA, signer.ECDHES}
	if c.Backend != backendCrypto11 {
		return all
	}
	return slices.DeleteFunc(all, func(alg signer.Algorithm) bool { return !crypto11.Offers(alg) })
}

// Open connects to one token of the configuration (see [Settings]). log may be nil.
func Open(ctx context.Context, c config.Signer, token config.Replica, log *slog.Logger) (Holder, error) {
	holder, err := prepare(c, token, log)
	if err != nil {
		return nil, err
	}
	if err := connect(ctx, holder); err != nil {
		return nil, errors.Join(err, holder.Close())
	}
	return holder, nil
}

// OpenFirst connects to the configured token alone, without its replicas: keys are made there.
func OpenFirst(ctx context.Context, c config.Signer, log *slog.Logger) (Holder, error) {
	return Open(ctx, c, Settings(c)[0], log)
}

// prepare makes what the configuration asks for. It connects when it is first needed.
func prepare(c config.Signer, token config.Replica, log *slog.Logger) (Holder, error) {
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

func pkcs11Config(c config.Signer, token config.Replica, log *slog.Logger) (pkcs11.Config, error) {
	pinFile, err := token.PINFile.Path()
	if err != nil {
		return pkcs11.Config{}, fmt.Errorf("signer.pin_file: %w", err)
	}
	var pin pkcs11.PIN
	if token.PINEnv != "" {
		if pin, err = pkcs11.NewPIN(os.Getenv(token.PINEnv)); err != nil {
			return pkcs11.Config{}, fmt.Errorf("signer.pin_env: the environment variable %s: %w", token.PINEnv, err)
		}
	}
	return pkcs11.Config{
		Module: token.Module.Path(), Token: Address(token.Token), PINFile: pinFile, PIN: pin,
		Environment: maps.Clone(token.Environment), ModuleParameters: token.Parameters,
		Sessions: c.Sessions, Queue: c.Queue, QueueTime: c.QueueTime.Std(), SignTimeout: c.Timeout.Std(),
		StartTimeout: c.Start.Std(), StateDir: c.StateFolder.Path(), Logger: log,
	}, nil
}

// Address makes an RFC 7512 address of a token's label; an address is returned as it is.
func Address(token string) string {
	if strings.HasPrefix(token, "pkcs11:") {
		return token
	}
	return pkcs11.URI{Token: token}.String()
}
