package devsetup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"countersign/internal/ceremony"
	"countersign/internal/config"
	"countersign/internal/hsm"
	"countersign/signer"
	"countersign/signer/pkcs11"
	"countersign/softhsm"
	"countersign/store"
)

// The files of a development without an HSM, in its folder.
const (
	developmentKeyFile    = "keys/development.pem"
	developmentPassphrase = "keys/passphrase"
)

// signer makes the place where the keys will be: a token in SoftHSM2, or a passphrase for a key file. A configuration
// that is there decides before the options do.
func (d *setup) signer(ctx context.Context) (config.Signer, error) {
	software := d.DevKeys
	if _, err := os.Stat(d.path(ConfigName)); err == nil {
		c, err := config.LoadValues(d.path(ConfigName))
		if err != nil {
			return config.Signer{}, err
		}
		if software && c.Signer.DevelopmentKeyFile == "" {
			return config.Signer{}, fmt.Errorf("--dev-keys: %s names an HSM already; remove %s to start again", d.path(ConfigName), d.Folder)
		}
		software = c.Signer.DevelopmentKeyFile != ""
	}
	if software {
		return config.Signer{DevelopmentKeyFile: developmentKeyFile, PINFile: developmentPassphrase}, d.passphrase()
	}
	token, err := softhsm.Create(ctx, d.path("hsm"), "countersign", pkcs11.InitialiseToken)
	if err != nil {
		return config.Signer{}, err
	}
	environment := map[string]string{}
	for name, value := range token.Environment {
		if filepath.IsAbs(value) {
			value = "./" + d.relative(value)
		}
		environment[name] = value
	}
	return config.Signer{
		Module: config.File(token.Module), Token: token.Label, PINFile: config.Secret(d.relative(token.PINFile)), Environment: environment,
	}, nil
}

// relative is a name as the configuration file has it.
func (d *setup) relative(name string) string {
	absolute, err := filepath.Abs(d.Folder)
	if err != nil {
		return name
	}
	short, err := filepath.Rel(absolute, name)
	if err != nil {
		return name
	}
	return short
}

// passphrase makes one for the key file, if there is none.
func (d *setup) passphrase() error {
	if err := os.MkdirAll(filepath.Dir(d.path(developmentPassphrase)), 0o700); err != nil {
		return err
	}
	return writeMissing(d.path(developmentPassphrase), []byte(rand.Text()+"\n"))
}

// keys makes one active key for each algorithm.
func (d *setup) keys(ctx context.Context, c *config.Config, s store.Store) error {
	have, err := s.Keys(ctx)
	if err != nil {
		return err
	}
	var missing []string
	for _, alg := range hsm.Algorithms(c.Signer) {
		if !slices.ContainsFunc(have, func(k store.Key) bool { return k.Algorithm == string(alg) && k.State == string(signer.Active) }) {
			missing = append(missing, string(alg))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	holder, err := hsm.OpenFirst(ctx, c.Signer, nil)
	if err != nil {
		return err
	}
	for _, alg := range missing {
		planned := store.Key{Algorithm: alg, Uses: ceremony.Uses(alg), State: string(signer.Active)}
		if _, err := ceremony.Generate(ctx, s, holder, planned, d.Now); err != nil {
			return errors.Join(err, holder.Close())
		}
		d.note(true, alg+" key")
	}
	return holder.Close()
}
