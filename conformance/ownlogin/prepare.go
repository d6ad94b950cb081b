package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// acr is what a sign-in at the login reaches.
const acr = "urn:northfold:password"

// placed is what prepare made.
type placed struct {
	// config is the file of the server's configuration, login are the login's options.
	config string
	login  []string
}

// prepare writes what the login and the server need to know each other.
func (s setup) prepare(ctx context.Context, now time.Time) (placed, error) {
	folder := filepath.Join(s.state, "conformance-login")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return placed{}, err
	}
	if err := certify(folder, now); err != nil {
		return placed{}, err
	}
	issuer, api, config, err := s.configure(folder)
	if err != nil {
		return placed{}, err
	}
	users := filepath.Join(folder, "users.json")
	if err := s.addCustomer(ctx, users); err != nil {
		return placed{}, err
	}
	of := func(name string) string { return filepath.Join(s.state, "tls", name) }
	return placed{config: config, login: []string{
		"--issuer", issuer, "--api", api, "--ca", of("ca.crt"), "--users", users, "--acr", acr, "--listen", "localhost:" + s.port,
		"--client-certificate", filepath.Join(folder, "login.crt"), "--client-key", filepath.Join(folder, "login.key"),
		"--certificate", of("server.crt"), "--key", of("server.key"),
	}}, nil
}

// configure writes the server's configuration with the login.
func (s setup) configure(folder string) (issuer, api, file string, err error) {
	source := filepath.Join(s.state, "countersign.toml")
	text, err := os.ReadFile(source)
	if err != nil {
		return "", "", "", fmt.Errorf("%w; countersign init --dev makes it", err)
	}
	var c map[string]any
	if err := toml.Unmarshal(text, &c); err != nil {
		return "", "", "", fmt.Errorf("%s: %w", source, err)
	}
	issuer, _ = c["issuer"].(string)
	listener, _ := c["listen_mtls"].(map[string]any)
	if api, _ = listener["url"].(string); api == "" {
		return "", "", "", fmt.Errorf("%s: listen_mtls.url is missing: the login authenticates with its certificate", source)
	}
	c["login"] = map[string]any{
		"address": "https://localhost:" + s.port + "/", "certificate_file": filepath.Join(folder, "login.crt"), "acr_values": acr,
	}
	changed, err := toml.Marshal(c)
	if err != nil {
		return "", "", "", err
	}
	file = filepath.Join(s.state, "countersign.own-login.toml")
	return issuer, api, file, os.WriteFile(file, changed, 0o600)
}

// addCustomer makes a user of the server a customer of the login: of the same subject, with the password of the demo.
func (s setup) addCustomer(ctx context.Context, users string) error {
	show := slices.Concat(s.program, []string{"users", "show", s.user, "--json", "--config", filepath.Join(s.state, "countersign.toml")})
	shown, err := exec.CommandContext(ctx, show[0], show[1:]...).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return fmt.Errorf("%s: %w: %s", strings.Join(show, " "), err, bytes.TrimSpace(exit.Stderr))
	}
	var user struct {
		Subject string `json:"sub"`
	}
	if err == nil {
		err = json.Unmarshal(shown, &user)
	}
	if err != nil || user.Subject == "" {
		return fmt.Errorf("%s: no subject: %w", strings.Join(show, " "), err)
	}
	password, err := os.ReadFile(filepath.Join(s.state, "demo", "password"))
	if err != nil {
		return err
	}
	if err := os.Remove(users); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	add := slices.Concat(s.login, []string{"add", "--users", users, s.user, user.Subject})
	command := exec.CommandContext(ctx, add[0], add[1:]...)
	command.Stdin = bytes.NewReader(password)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(add, " "), err, bytes.TrimSpace(output))
	}
	return nil
}

// certify makes the certificate that the server knows the login by. Nobody issued it: the server has it itself.
func certify(folder string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial := make([]byte, 16)
	if _, err := rand.Read(serial); err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial), Subject: pkix.Name{CommonName: "own login"},
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(7 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	write := func(name, kind string, der []byte) error {
		return os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
	}
	return errors.Join(write("login.crt", "CERTIFICATE", certificate), write("login.key", "PRIVATE KEY", private))
}
