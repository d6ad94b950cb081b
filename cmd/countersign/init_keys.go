package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"countersign/internal/config"
	"countersign/signer/pkcs11"
	"countersign/softhsm"
)

// The files of a development without an HSM, in its folder.
const (
	developmentKeyFile    = "keys/development.pem"
	developmentPassphrase = "keys/passphrase"
)

// signer makes the place where the keys will be: a token in SoftHSM2, or a passphrase for a key file. A configuration
// that is there decides before the flag does.
func (d *development) signer(ctx context.Context) (config.Signer, error) {
	software := d.flags.DevKeys
	if _, err := os.Stat(d.path(configName)); err == nil {
		c, err := config.LoadValues(d.path(configName))
		if err != nil {
			return config.Signer{}, err
		}
		if software && c.Signer.DevelopmentKeyFile == "" {
			return config.Signer{}, fmt.Errorf("--dev-keys: %s names an HSM already; remove %s to begin anew", d.path(configName), d.folder)
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
func (d *development) relative(name string) string {
	absolute, err := filepath.Abs(d.folder)
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
func (d *development) passphrase() error {
	if err := os.MkdirAll(filepath.Dir(d.path(developmentPassphrase)), 0o700); err != nil {
		return err
	}
	if _, err := os.Stat(d.path(developmentPassphrase)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return writeFile(d.path(developmentPassphrase), []byte(rand.Text()+"\n"), 0o600)
}
