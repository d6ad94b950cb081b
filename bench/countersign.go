package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"countersign/internal/jose"
)

// countersign starts the binary that ships, as `make run` does, with a store and an algorithm for its tokens.
func countersign(store string) func(context.Context, *machine, *server) error {
	return func(ctx context.Context, m *machine, s *server) error {
		folder := filepath.Join(m.folder, store+"-"+s.alg)
		port, err := m.port()
		if err != nil {
			return err
		}
		mtlsPort, err := m.port()
		if err != nil {
			return err
		}
		initialise := []string{"init", "--dev", "--dir", folder, "--port", fmt.Sprint(port), "--mtls-port", fmt.Sprint(mtlsPort)}
		if err := m.countersign(ctx, initialise...); err != nil {
			return err
		}
		s.endpoints = endpointsAt(fmt.Sprintf("https://localhost:%d", port), "/par", "/authorize", "/token")
		file := filepath.Join(folder, "countersign.toml")
		settings := map[string]string{
			"access_token_algorithm": s.alg, "client_per_second": "100000", "client_burst": "100000", "log_level": "info",
		}
		if store == "postgres" {
			database, err := startPostgres(ctx, m)
			if err != nil {
				return err
			}
			s.add(database.process, database.stop)
			settings["driver"], settings["url_file"], settings["file"] = "postgres", database.urlFile, ""
		}
		if err := configure(file, settings); err != nil {
			return err
		}
		if m.replica {
			if err := addReplica(folder, file); err != nil {
				return err
			}
		}
		if store == "postgres" { // the state once more, in the other store
			if err := m.countersign(ctx, initialise...); err != nil {
				return err
			}
		}
		if err := m.register(ctx, s, file); err != nil {
			return err
		}
		if err := s.trust(filepath.Join(folder, "tls/ca.crt")); err != nil {
			return err
		}
		password, err := os.ReadFile(filepath.Join(folder, "demo/password"))
		if err != nil {
			return err
		}
		s.answer = ourPages(strings.TrimSpace(string(password)))
		return m.launch(ctx, s, folder, exec.Command(m.binary, "serve", "--config", file))
	}
}

func endpointsAt(issuer, par, authorize, token string) endpoints {
	return endpoints{issuer: issuer, par: issuer + par, authorize: issuer + authorize, token: issuer + token}
}

func (m *machine) countersign(ctx context.Context, arguments ...string) error {
	output, err := exec.CommandContext(ctx, m.binary, arguments...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("countersign %s: %w: %s", strings.Join(arguments, " "), err, output)
	}
	return nil
}

// register adds the client that all servers know.
func (m *machine) register(ctx context.Context, s *server, config string) error {
	var err error
	if s.key, err = jose.NewPrivateKey(jose.ES256); err != nil {
		return err
	}
	metadata, err := json.Marshal(map[string]any{
		"client_name": "Bench", "redirect_uris": []string{redirectURI}, "scope": "openid accounts",
		"grant_types":                []string{"authorization_code", "refresh_token", "client_credentials"},
		"token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "ES256", "id_token_signed_response_alg": s.alg,
		"dpop_bound_access_tokens": true, "jwks": map[string]any{"keys": []json.RawMessage{s.key.PublicJWK()}},
	})
	if err != nil {
		return err
	}
	file := filepath.Join(m.folder, "client.json")
	if err := os.WriteFile(file, metadata, 0o600); err != nil {
		return err
	}
	return m.countersign(ctx, "clients", "add", clientID, "--file", file, "--config", config)
}

// configure sets keys of a configuration file that init wrote; an empty value takes a key away.
func configure(file string, settings map[string]string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text := string(raw)
	for key, value := range settings {
		line := regexp.MustCompile(`(?m)^(# )?` + key + ` = .*$`)
		if !line.MatchString(text) {
			return fmt.Errorf("%s has no key %s", file, key)
		}
		replacement := ""
		if value != "" {
			replacement = fmt.Sprintf("%s = %q", key, value)
			if strings.HasPrefix(key, "client_") {
				replacement = key + " = " + value
			}
		}
		done := false
		text = line.ReplaceAllStringFunc(text, func(old string) string {
			if done {
				return old
			}
			done = true
			return replacement
		})
	}
	return os.WriteFile(file, []byte(text), 0o600)
}

// ourPages signs in and allows.
func ourPages(password string) func(address, page string) (map[string][]string, string, error) {
	hidden := regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)
	return func(address, page string) (map[string][]string, string, error) {
		form := url.Values{}
		for _, match := range hidden.FindAllStringSubmatch(page, -1) {
			form.Set(match[1], match[2])
		}
		if form.Get("form_token") == "" {
			return nil, "", fmt.Errorf("no form on the page %s: %s", address, page)
		}
		if strings.Contains(page, `name="password"`) {
			form.Set("username", person)
			form.Set("password", password)
			form.Set("action", "sign-in")
		} else {
			form.Set("action", "allow")
		}
		return form, address, nil
	}
}

// trust reads the authority of the server's certificate.
func (s *server) trust(file string) error {
	encoded, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	s.roots = x509.NewCertPool()
	if !s.roots.AppendCertsFromPEM(encoded) {
		return fmt.Errorf("%s holds no certificate", file)
	}
	return nil
}
