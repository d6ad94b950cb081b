package servers

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"countersign/internal/jose"
)

// Options say how Countersign is set up.
type Options struct {
	// Postgres gives it a PostgreSQL of its own, in place of SQLite.
	Postgres bool
	// Database is the URL of a PostgreSQL that is there, in place of SQLite.
	Database string
	// Replica gives it a second token with copies of the keys.
	Replica bool
	// Settings are keys of the configuration that init writes with their TOML values; "" takes a key away.
	Settings map[string]string
	// Prepare is called when there is a configuration and, with a database, its schema, before keys, users and clients
	// are made.
	Prepare func(context.Context, *Installation) error
	// Fill is called last, when the benchmarks' client is registered, before the first node runs.
	Fill func(context.Context, *Installation) error
}

// Installation is a folder that countersign init has made.
type Installation struct {
	lab    *Lab
	Folder string
	// Config is the configuration file.
	Config string
}

// Run runs a command of the installation and gives what it prints.
func (i *Installation) Run(ctx context.Context, arguments ...string) (string, error) {
	return i.lab.countersign(ctx, append(arguments, "--config", i.Config)...)
}

// Countersign starts the binary that ships, as `make run` does, and gives its installation.
func (l *Lab) Countersign(ctx context.Context, s *Server, o Options) (*Installation, error) {
	folder, err := os.MkdirTemp(l.Folder, "countersign-")
	if err != nil {
		return nil, err
	}
	i := &Installation{lab: l, Folder: folder, Config: filepath.Join(folder, "countersign.toml")}
	if err := i.prepare(ctx, s, o); err != nil {
		return nil, err
	}
	password, err := os.ReadFile(filepath.Join(folder, "demo/password"))
	if err != nil {
		return nil, err
	}
	s.Password = strings.TrimSpace(string(password))
	return i, i.serve(ctx, s)
}

// prepare makes all that there is before the first node runs.
func (i *Installation) prepare(ctx context.Context, s *Server, o Options) error {
	var ports [2]int
	for n := range ports {
		var err error
		if ports[n], err = freePort(); err != nil {
			return err
		}
	}
	initialise := []string{"init", "--dev", "--dir", i.Folder, "--port", fmt.Sprint(ports[0]), "--mtls-port", fmt.Sprint(ports[1])}
	if _, err := i.lab.countersign(ctx, initialise...); err != nil {
		return err
	}
	s.Issuer = fmt.Sprintf("https://localhost:%d", ports[0])
	s.Endpoints = endpoints(s.Issuer, "/par", "/authorize", "/token", "/jwks")
	s.Endpoints.Backchannel = s.Issuer + "/backchannel"
	if err := i.configure(ctx, s, o); err != nil {
		return err
	}
	if o.Prepare != nil {
		if err := o.Prepare(ctx, i); err != nil {
			return err
		}
	}
	if _, err := i.lab.countersign(ctx, initialise...); err != nil { // the state once more, in another store
		return err
	}
	if err := i.register(ctx, s); err != nil {
		return err
	}
	if o.Fill != nil {
		if err := o.Fill(ctx, i); err != nil {
			return err
		}
	}
	return s.trust(filepath.Join(i.Folder, "tls/ca.crt"))
}

// configure completes the configuration file.
func (i *Installation) configure(ctx context.Context, s *Server, o Options) error {
	settings := map[string]string{
		"access_token_algorithm": fmt.Sprintf("%q", s.Alg), "client_per_second": "100000", "client_burst": "100000", "log_level": `"info"`,
	}
	if o.Postgres {
		database, err := NewPostgres(ctx)
		if err != nil {
			return err
		}
		s.Own(database)
		o.Database = database.URL()
	}
	if o.Database != "" {
		file := filepath.Join(i.Folder, "database-url")
		if err := os.WriteFile(file, []byte(o.Database), 0o600); err != nil {
			return err
		}
		settings["driver"], settings["url_file"], settings["file"] = `"postgres"`, fmt.Sprintf("%q", file), ""
	}
	for key, value := range o.Settings {
		settings[key] = value
	}
	if err := configure(i.Config, settings); err != nil {
		return err
	}
	if o.Replica {
		return i.addReplica()
	}
	return nil
}

func (l *Lab) countersign(ctx context.Context, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, l.Binary, arguments...)
	var problems strings.Builder
	command.Stderr = &problems
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("countersign %s: %w: %s%s", strings.Join(arguments, " "), err, output, &problems)
	}
	return string(output), nil
}

// register adds the client that all servers know.
func (i *Installation) register(ctx context.Context, s *Server) error {
	var err error
	if s.Key, err = jose.NewPrivateKey(jose.ES256); err != nil {
		return err
	}
	return i.AddClient(ctx, ClientID, map[string]any{
		"client_name": "Bench", "redirect_uris": []string{RedirectURI}, "scope": scope,
		"grant_types":                []string{"authorization_code", "refresh_token", "client_credentials"},
		"token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "ES256", "id_token_signed_response_alg": s.Alg,
		"dpop_bound_access_tokens": true, "jwks": map[string]any{"keys": []json.RawMessage{s.Key.PublicJWK()}},
	})
}

// AddClient registers a client.
func (i *Installation) AddClient(ctx context.Context, id string, metadata map[string]any) error {
	encoded, err := json.Marshal(metadata)
	if err != nil {
		return err
	}
	file := filepath.Join(i.Folder, id+".json")
	if err := os.WriteFile(file, encoded, 0o600); err != nil {
		return err
	}
	_, err = i.Run(ctx, "clients", "add", id, "--file", file)
	return err
}

// AddUser adds a user with the password of all users.
func (i *Installation) AddUser(ctx context.Context, username string) error {
	_, err := i.Run(ctx, "users", "add", username, "--password-file", filepath.Join(i.Folder, "demo/password"))
	return err
}

// addReplica copies the token and names the copy in the configuration.
func (i *Installation) addReplica() error {
	copied := filepath.Join(i.Folder, "replica")
	if err := os.CopyFS(filepath.Join(copied, "tokens"), os.DirFS(filepath.Join(i.Folder, "hsm", "tokens"))); err != nil {
		return err
	}
	settings := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", filepath.Join(copied, "tokens"))
	place := filepath.Join(copied, "softhsm2.conf")
	if err := os.WriteFile(place, []byte(settings), 0o600); err != nil {
		return err
	}
	raw, err := os.ReadFile(i.Config)
	if err != nil {
		return err
	}
	replica := fmt.Sprintf("\n[[signer.replicas]]\ntoken = \"countersign\"\n[signer.replicas.environment]\nSOFTHSM2_CONF = %q\n", place)
	return os.WriteFile(i.Config, append(raw, replica...), 0o600)
}

// configure sets keys of a configuration file that init wrote to TOML values; an empty value takes a key away. A key of several
// tables is named with its own, as outbound.ca_file.
func configure(file string, settings map[string]string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text := string(raw)
	for name, value := range settings {
		before, key := "", name
		if table, last, found := strings.Cut(name, "."); found {
			at := strings.Index(text, "\n["+table+"]\n")
			if at < 0 {
				return fmt.Errorf("%s has no table %s", file, table)
			}
			before, text, key = text[:at], text[at:], last
		}
		line := regexp.MustCompile(`(?m)^(# )?` + key + ` = .*$`)
		if !line.MatchString(text) {
			return fmt.Errorf("%s has no key %s", file, key)
		}
		replacement := ""
		if value != "" {
			replacement = key + " = " + value
		}
		done := false
		text = line.ReplaceAllStringFunc(text, func(old string) string {
			if done {
				return old
			}
			done = true
			return replacement
		})
		text = before + text
	}
	return os.WriteFile(file, []byte(text), 0o600)
}
