package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"countersign/fapi"
	"countersign/internal/jose"
	"countersign/store"
)

// clientsCommand registers clients.
type clientsCommand struct {
	Add     clientsAdd     `cmd:"" help:"Register a client from its metadata (RFC 7591), or replace it."`
	List    clientsList    `cmd:"" help:"List the clients."`
	Show    clientsShow    `cmd:"" help:"Show one client with its metadata, as JSON."`
	Disable clientsDisable `cmd:"" help:"Refuse everything to a client, from the next request on."`
	Enable  clientsEnable  `cmd:"" help:"Take back disable."`

	RotateKeys clientsRotateKeys `cmd:"" help:"Replace the public keys of a client."`
	Tokens     clientsTokens     `cmd:"" help:"Keep the initial access tokens, with which clients register themselves."`
}

// Help implements kong.HelpProvider.
func (clientsCommand) Help() string {
	return `A client is a JSON file with the names of RFC 7591:

  {
    "client_name": "Example Bank App",
    "redirect_uris": ["https://app.example/callback"],
    "grant_types": ["authorization_code", "refresh_token"],
    "scope": "openid accounts",
    "token_endpoint_auth_method": "private_key_jwt",
    "jwks": {"keys": [{"kty": "EC", "crv": "P-256", "kid": "1", "x": "…", "y": "…"}]},
    "dpop_bound_access_tokens": true
  }

It is held against the client's profile; every mistake is told at once.

Examples:
  countersign clients add app --file app.json
  countersign clients add app --file app.json --replace
  countersign clients rotate-keys app --jwks keys.json --add
  countersign clients list
  countersign clients disable app`
}

const defaultProfile = "fapi2-security"

// maxMetadata bounds a client metadata file, in bytes.
const maxMetadata = 64 << 10

type clientsAdd struct {
	ID      string `arg:"" help:"The client_id."`
	File    string `required:"" placeholder:"FILE" help:"Client metadata, JSON; - reads standard input."`
	Profile string `help:"Security profile of the client: ${profiles}. Without it, the member profile of the file says, and else it is ${profile}."`
	Replace bool   `help:"Replace the metadata of a client that exists."`
}

// Run implements the command.
func (a clientsAdd) Run(ctx context.Context, p *program) error {
	metadata, err := p.readInput(a.File, maxMetadata)
	if err != nil {
		return err
	}
	if a.Profile == "" {
		a.Profile = profileIn(metadata)
	}
	if err := checkClient(a.ID, a.Profile, metadata); err != nil {
		return p.mistakes(a.File, err)
	}
	if err := p.checkTrustStore(metadata); err != nil {
		return p.mistakes(a.File, err)
	}
	return p.withStore(ctx, func(s store.Store) error {
		record := store.Client{ID: a.ID, Profile: a.Profile, Metadata: metadata, Version: 1}
		existing, err := s.Client(ctx, a.ID)
		switch {
		case err == nil && !a.Replace:
			return fmt.Errorf("there is a client %q already; give --replace to change it", a.ID)
		case err == nil:
			record.Version, record.Disabled, record.CreatedAt = existing.Version+1, existing.Disabled, existing.CreatedAt
			record.AccessToken, record.Organisation = existing.AccessToken, existing.Organisation
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
		if err := putClient(ctx, s, record, p); err != nil {
			return err
		}
		if record.Version > 1 {
			p.printf("replaced the client %s (version %d)\n", a.ID, record.Version)
		} else {
			p.printf("registered the client %s\n", a.ID)
		}
		return nil
	})
}

// profileIn gives the profile that a metadata file names, or the default. What else is wrong with the file is told later.
func profileIn(metadata []byte) string {
	var named struct {
		Profile string `json:"profile"`
	}
	if err := jose.DecodeStrict(metadata, &named); err != nil || named.Profile == "" {
		return defaultProfile
	}
	return named.Profile
}

// checkClient holds metadata against a profile.
func checkClient(id, profile string, metadata []byte) error {
	var named struct {
		ClientID string `json:"client_id"`
	}
	if err := jose.DecodeStrict(metadata, &named); err == nil && named.ClientID != "" && named.ClientID != id {
		return fmt.Errorf("client_id: %q is not the client that is named (%q)", named.ClientID, id)
	}
	_, err := fapi.ParseClient(id, profile, metadata)
	return err
}

// checkTrustStore demands that the trust store that metadata names is in the configuration. Otherwise nobody would be
// let in as this client, and only the log would tell why.
func (p *program) checkTrustStore(metadata []byte) error {
	var named struct {
		Store string `json:"tls_client_auth_trust_store"`
	}
	if err := jose.DecodeStrict(metadata, &named); err != nil || named.Store == "" {
		return err
	}
	c, err := p.loadConfig()
	if err != nil {
		return err
	}
	for _, known := range c.TrustStores {
		if known.Name == named.Store {
			return nil
		}
	}
	return fmt.Errorf("tls_client_auth_trust_store: there is no trust store %q; describe it in the configuration under [[trust_stores]]", named.Store)
}

// putClient stores a new version of a client.
func putClient(ctx context.Context, s store.Store, record store.Client, p *program) error {
	now := p.now()
	if record.CreatedAt.IsZero() {
		record.CreatedAt = now
	}
	record.UpdatedAt = now
	err := s.PutClient(ctx, record)
	if errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("the client %q was changed by somebody else at the same moment; look at it and try again", record.ID)
	}
	return err
}

// mistakes tells every mistake of a file, one a line.
func (p *program) mistakes(file string, err error) error {
	lines := strings.Split(err.Error(), "\n")
	if len(lines) == 1 {
		return fmt.Errorf("%s: %w", file, err)
	}
	fmt.Fprintf(p.stderr, "countersign: %s has %s:\n", file, counted(len(lines), "mistake"))
	for _, line := range lines {
		fmt.Fprintf(p.stderr, "%s: %s\n", file, line)
	}
	return silentError{}
}

// readInput reads a file, or standard input for "-".
func (p *program) readInput(name string, most int64) ([]byte, error) {
	source := p.stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		source = file
	}
	content, err := io.ReadAll(io.LimitReader(source, most+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if int64(len(content)) > most {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, most)
	}
	return content, nil
}

type clientsList struct{}

// Run implements the command.
func (clientsList) Run(ctx context.Context, p *program) error {
	return p.withStore(ctx, func(s store.Store) error {
		clients, err := s.Clients(ctx)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "CLIENT\tNAME\tPROFILE\tAUTHENTICATION\tTOKENS BOUND BY\tSTATE")
		for _, c := range clients {
			fmt.Fprintln(table, strings.Join(clientRow(c), "\t"))
		}
		return table.Flush()
	})
}

func clientRow(c store.Client) []string {
	state := "enabled"
	if c.Disabled {
		state = "disabled"
	}
	parsed, err := fapi.ParseClient(c.ID, c.Profile, c.Metadata)
	if err != nil {
		// An older release may have let through what this one refuses.
		return []string{c.ID, "", c.Profile, "", "", state + ", refused: " + oneLine(err.Error())}
	}
	bound := "dpop"
	if parsed.Metadata.TLSClientCertificateBoundAccessTokens {
		bound = "mtls"
	}
	return []string{c.ID, oneLine(parsed.Metadata.ClientName), c.Profile, parsed.Metadata.TokenEndpointAuthMethod, bound, state}
}

type clientsShow struct {
	ID string `arg:"" help:"The client_id."`
}

// Run implements the command.
func (c clientsShow) Run(ctx context.Context, p *program) error {
	return p.withStore(ctx, func(s store.Store) error {
		record, err := findClient(ctx, s, c.ID)
		if err != nil {
			return err
		}
		encoder := json.NewEncoder(p.stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(struct {
			ID           string          `json:"client_id"`
			Profile      string          `json:"profile"`
			Organisation string          `json:"organisation,omitempty"`
			Disabled     bool            `json:"disabled"`
			Version      int             `json:"version"`
			CreatedAt    string          `json:"created_at"`
			UpdatedAt    string          `json:"updated_at"`
			Metadata     json.RawMessage `json:"metadata"`
		}{record.ID, record.Profile, record.Organisation, record.Disabled, record.Version, shortTime(record.CreatedAt), shortTime(record.UpdatedAt), record.Metadata})
	})
}

func findClient(ctx context.Context, s store.Store, id string) (store.Client, error) {
	record, err := s.Client(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return store.Client{}, fmt.Errorf("there is no client %q; countersign clients list shows those that exist", id)
	}
	return record, err
}

type clientsDisable struct {
	ID string `arg:"" help:"The client_id."`
}

// Run implements the command.
func (c clientsDisable) Run(ctx context.Context, p *program) error {
	return switchClient(ctx, p, c.ID, true)
}

type clientsEnable struct {
	ID string `arg:"" help:"The client_id."`
}

// Run implements the command.
func (c clientsEnable) Run(ctx context.Context, p *program) error {
	return switchClient(ctx, p, c.ID, false)
}

func switchClient(ctx context.Context, p *program, id string, disabled bool) error {
	state := map[bool]string{true: "disabled", false: "enabled"}[disabled]
	return p.withStore(ctx, func(s store.Store) error {
		record, err := findClient(ctx, s, id)
		if err != nil {
			return err
		}
		if record.Disabled == disabled {
			p.printf("the client %s is %s already\n", id, state)
			return nil
		}
		record.Disabled = disabled
		record.Version++
		if err := putClient(ctx, s, record, p); err != nil {
			return err
		}
		p.printf("the client %s is %s\n", id, state)
		return nil
	})
}
