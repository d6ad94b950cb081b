package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"os/exec"
	"strings"
	"time"
)

// customer is who the example's bank knows, and subject is the number that it has there: the sub of each token.
const (
	customer = "sam"
	subject  = "customer-4711"
)

// The identifiers of the two clients at the server.
const (
	orchidClient = "orchid-budget"
	apiClient    = "northfold-api"
)

// asker is the file, without its ending, of the key and the certificate that the server shows when it asks which accounts a customer
// has; its name there is countersign.
const asker = "source/countersign"

//go:embed northfold.svg
var logo []byte

// setUp makes what is missing and returns the customer's password. It uses nothing but the command line of the server, as an operator
// would.
func setUp(ctx context.Context, p place) (password string, err error) {
	arguments := []string{"init", "--dev", "--dir", p.folder,
		"--port", fmt.Sprint(p.issuer), "--mtls-port", fmt.Sprint(p.mtls), "--demo-port", fmt.Sprint(p.demo)}
	if p.softwareKeys {
		arguments = append(arguments, "--dev-keys")
	}
	if _, err := p.countersign(ctx, nil, arguments...); err != nil {
		return "", err
	}
	for _, folder := range []string{"logs", "brand", "clients", "source"} {
		if err := os.MkdirAll(p.file(folder), 0o700); err != nil {
			return "", err
		}
	}
	for _, key := range []string{"clients/" + orchidClient, "clients/" + apiClient, asker} {
		if err := makeKey(p.file(key + ".pem")); err != nil {
			return "", err
		}
	}
	if err := errors.Join(os.WriteFile(p.file("brand/northfold.svg"), logo, 0o644), p.offerAccounts(), p.configure()); err != nil {
		return "", err
	}
	if err := p.addCustomer(ctx); err != nil {
		return "", err
	}
	clients, err := p.clients()
	if err != nil {
		return "", err
	}
	for id, metadata := range clients {
		written, err := json.Marshal(metadata)
		if err != nil {
			return "", err
		}
		if _, err := p.countersign(ctx, written, "clients", "add", id, "--file", "-", "--replace", "--config", p.config()); err != nil {
			return "", err
		}
	}
	text, err := os.ReadFile(p.file("demo/password"))
	return strings.TrimSpace(string(text)), err
}

// clients are the registrations: the application, and the API that asks the server about tokens (RFC 7662).
func (p place) clients() (map[string]map[string]any, error) {
	key, err := publicKey(p.file("clients/"+apiClient+".pem"), apiClient)
	if err != nil {
		return nil, err
	}
	return map[string]map[string]any{
		orchidClient: {
			"client_name":                     "Orchid Budget",
			"redirect_uris":                   []string{p.orchidURL() + "/auth/callback"},
			"grant_types":                     []string{"authorization_code", "refresh_token", "urn:openid:params:grant-type:ciba"},
			"backchannel_token_delivery_mode": "poll",
			"scope":                           "openid",
			"token_endpoint_auth_method":      "private_key_jwt",
			"jwks_uri":                        p.orchidURL() + "/auth/jwks",
			"dpop_bound_access_tokens":        true,
			"authorization_details_types":     []string{"account_information", "payment_initiation"},
			"post_logout_redirect_uris":       []string{p.orchidURL() + "/auth/logged-out"},
			"backchannel_logout_uri":          p.orchidURL() + "/auth/backchannel-logout",
		},
		apiClient: {
			"client_name":                "Northfold Bank's API",
			"grant_types":                []string{},
			"resource_identifiers":       []string{p.apiURL()},
			"token_endpoint_auth_method": "private_key_jwt",
			"jwks":                       map[string]any{"keys": []any{key}},
		},
	}, nil
}

// offered are the customer's accounts, as examples/claims-source reads them: what the customer chooses from at the bank. The API has what
// is in them, by the same numbers.
const offered = `{"` + subject + `": {"accounts": [
	{"type": "account_information", "value": {"iban": "DE24999999990000124821"}, "name": "Everyday account"},
	{"type": "account_information", "value": {"iban": "DE51999999990000127730"}, "name": "Household"},
	{"type": "account_information", "value": {"iban": "DE55999999990000120092"}, "name": "Rainy day"}]}}
`

// offerAccounts writes what the server and examples/claims-source need to offer accounts: the accounts, the certificate that the one shows
// the other, and the schema that init made, in which a request may leave the accounts to the customer.
func (p place) offerAccounts() error {
	schema, err := os.ReadFile(p.file("authorization-details/account_information.json"))
	if err != nil {
		return err
	}
	offering, err := replaced(string(schema), `"choose": "some",`, `"choose": "some", "offer": true,`)
	if err != nil {
		return err
	}
	certificate, err := selfSigned(p.file(asker+".pem"), "countersign")
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(p.file("source/users.json"), []byte(offered), 0o600),
		os.WriteFile(p.file("source/account_information.json"), []byte(offering), 0o600),
		os.WriteFile(p.file(asker+".crt"), certificate, 0o600),
	)
}

// configure writes bank.toml: what init made, with the bank's name, its API and its accounts. The base file stays, for the next start.
func (p place) configure() error {
	base, err := os.ReadFile(p.file("countersign.toml"))
	if err != nil {
		return err
	}
	text := string(base)
	for _, each := range []struct{ old, by string }{
		{"\n[brand]\n", `
[brand]
name = "Northfold Bank"
accent = "#12594a"
logo_file = "brand/northfold.svg"
favicon_file = "brand/northfold.svg"
`},
		{"\n[claims_source]\n", fmt.Sprintf(`
[claims_source]
address = %q
certificate_file = %q
key_file = %q
ca_file = "tls/ca.crt"
`, p.sourceURL(), asker+".crt", asker+".pem")},
		{`
schema_file = "authorization-details/account_information.json"
accounts = "request"
`, `
schema_file = "source/account_information.json"
accounts = "claims-source"
`},
	} {
		if text, err = replaced(text, each.old, each.by); err != nil {
			return err
		}
	}
	text += fmt.Sprintf("\n[[resource_servers]]\nidentifier = %q\nname = \"Northfold Bank's accounts\"\n", p.apiURL())
	return os.WriteFile(p.config(), []byte(text), 0o600)
}

// replaced replaces what has to be in a text once.
func replaced(text, old, by string) (string, error) {
	if count := strings.Count(text, old); count != 1 {
		return "", fmt.Errorf("what init made has %q %d times, not once", old, count)
	}
	return strings.Replace(text, old, by, 1), nil
}

// addCustomer adds the customer, unless there is one.
func (p place) addCustomer(ctx context.Context) error {
	if _, err := p.countersign(ctx, nil, "users", "show", customer, "--config", p.config()); err == nil {
		return nil
	}
	_, err := p.countersign(ctx, nil, "users", "add", customer, "--subject", subject, "--name", "Sam Sample",
		"--password-file", p.file("demo/password"), "--config", p.config())
	return err
}

// countersign runs the server's program.
func (p place) countersign(ctx context.Context, input []byte, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, p.program("countersign"), arguments...)
	var out, problems bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(input), &out, &problems
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("countersign %s: %w: %s", strings.Join(arguments, " "), err, bytes.TrimSpace(problems.Bytes()))
	}
	return out.String(), nil
}

// makeKey makes a client's private key, ES256, unless there is one.
func makeKey(file string) error {
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

// publicKey is the public half of a key, as a JWK (RFC 7518 §6.2).
func publicKey(file, kid string) (map[string]string, error) {
	key, err := readKey(file)
	if err != nil {
		return nil, err
	}
	point, err := key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		return nil, err
	}
	encode := base64.RawURLEncoding.EncodeToString
	return map[string]string{"kty": "EC", "crv": "P-256", "kid": kid, "alg": "ES256", "use": "sig", "x": encode(point[1:33]), "y": encode(point[33:])}, nil
}

// selfSigned is a client certificate of a key, PEM, that only who is told trusts.
func selfSigned(file, name string) ([]byte, error) {
	key, err := readKey(file)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), err
}

// readKey reads what makeKey made.
func readKey(file string) (*ecdsa.PrivateKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM", file)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds no key on P-256", file)
	}
	return key, nil
}
