package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"countersign/internal/jose"
)

// countersign starts the binary that ships, as `make run` does, with a store and an algorithm for its tokens.
func countersign(store, alg string) func(context.Context, *machine) (*server, error) {
	return func(ctx context.Context, m *machine) (*server, error) {
		folder := filepath.Join(m.folder, store+"-"+alg)
		port := m.port()
		initialise := []string{"init", "--dev", "--dir", folder, "--port", fmt.Sprint(port), "--mtls-port", fmt.Sprint(m.port())}
		if err := m.countersign(ctx, initialise...); err != nil {
			return nil, err
		}
		s := &server{alg: alg, endpoints: endpointsAt(fmt.Sprintf("https://localhost:%d", port), "/par", "/authorize", "/token")}
		file := filepath.Join(folder, "countersign.toml")
		settings := map[string]string{
			"access_token_algorithm": alg, "client_per_second": "100000", "client_burst": "100000", "log_level": "info",
		}
		var database *postgres
		if store == "postgres" {
			var err error
			if database, err = startPostgres(ctx, m); err != nil {
				return nil, err
			}
			settings["driver"], settings["url_file"], settings["file"] = "postgres", database.urlFile, ""
		}
		if err := configure(file, settings); err != nil {
			return nil, err
		}
		if database != nil { // the state once more, in the other store
			if err := m.countersign(ctx, initialise...); err != nil {
				return nil, errors.Join(err, database.stop())
			}
		}
		if err := m.register(ctx, s, file, alg); err != nil {
			return nil, err
		}
		if err := s.trust(filepath.Join(folder, "tls/ca.crt")); err != nil {
			return nil, err
		}
		password, err := os.ReadFile(filepath.Join(folder, "demo/password"))
		if err != nil {
			return nil, err
		}
		s.answer = ourPages(strings.TrimSpace(string(password)))
		process, stop, err := launch(m, folder, exec.Command(m.binary, "serve", "--config", file))
		if err != nil {
			return nil, err
		}
		s.processes, s.stop = []int{process}, stop
		if database != nil {
			s.processes = append(s.processes, database.process)
			s.stop = func() { stop(); _ = database.stop() }
		}
		return s, s.await(ctx, s.issuer+"/.well-known/openid-configuration")
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
func (m *machine) register(ctx context.Context, s *server, config, alg string) error {
	var err error
	if s.key, err = jose.NewPrivateKey(jose.ES256); err != nil {
		return err
	}
	metadata, err := json.Marshal(map[string]any{
		"client_name": "Bench", "redirect_uris": []string{redirectURI}, "scope": "openid accounts",
		"grant_types":                []string{"authorization_code", "refresh_token", "client_credentials"},
		"token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "ES256", "id_token_signed_response_alg": alg,
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

// await waits until an address answers.
func (s *server) await(ctx context.Context, address string) error {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.roots}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	var last error
	for range 600 {
		response, err := client.Get(address)
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(response.Status)
		}
		last = err
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
	s.stop()
	return fmt.Errorf("%s does not answer: %w", address, last)
}

// launch starts a server with its output in a file, and gives what stops it.
func launch(m *machine, name string, command *exec.Cmd) (process int, stop func(), err error) {
	log, err := os.Create(filepath.Join(m.folder, filepath.Base(name)+".log"))
	if err != nil {
		return 0, nil, err
	}
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		return 0, nil, errors.Join(err, log.Close())
	}
	return command.Process.Pid, func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
		_ = log.Close()
	}, nil
}
