package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"countersign/fapi"
	"countersign/internal/jose"
	"countersign/store"
)

// clientsTokens keeps the initial access tokens, with which organisations register their clients themselves.
type clientsTokens struct {
	Add    tokensAdd    `cmd:"" help:"Make an initial access token for an organisation; it is shown once."`
	List   tokensList   `cmd:"" help:"List the initial access tokens."`
	Delete tokensDelete `cmd:"" help:"Take back an organisation's initial access token."`
}

// Help implements kong.HelpProvider.
func (clientsTokens) Help() string {
	return `Whoever has an initial access token can register clients (RFC 7591), as many and as
long as it says. Each organisation has at most one.

Examples:
  countersign clients tokens add "Example Bank" --clients 5 --for 24h
  countersign clients tokens list
  countersign clients tokens delete "Example Bank"`
}

// maxTokenLife bounds how long an initial access token is good for.
const maxTokenLife = 365 * 24 * time.Hour

// maxTokenClients bounds how many clients one initial access token registers.
const maxTokenClients = 10_000

type tokensAdd struct {
	Organisation string        `arg:"" help:"Who may register clients."`
	Clients      int           `required:"" placeholder:"N" help:"How many clients may be registered."`
	For          time.Duration `required:"" placeholder:"DURATION" help:"How long the token is good for, such as 24h."`
	Profile      string        `placeholder:"NAME" help:"Profile of the clients that are registered with it, such as fapi1-advanced; the first of those offered if it is not given."`
	Replace      bool          `help:"Replace the token of an organisation that has one."`
}

// Run implements the command.
func (a tokensAdd) Run(ctx context.Context, p *program) error {
	if err := a.check(); err != nil {
		return err
	}
	token, now := rand.Text()+rand.Text(), p.now()
	return p.withStore(ctx, func(s store.Store) error {
		existing, err := s.InitialTokens(ctx)
		if err != nil {
			return err
		}
		has := slices.ContainsFunc(existing, func(t store.InitialToken) bool { return t.Organisation == a.Organisation })
		if has && !a.Replace {
			return fmt.Errorf("%q has an initial access token already; give --replace to make another in its place", a.Organisation)
		}
		made := store.InitialToken{
			ID: store.DigestOf(token), Organisation: a.Organisation, Profile: a.Profile, Remaining: a.Clients, CreatedAt: now, ExpiresAt: now.Add(a.For),
		}
		if err := s.PutInitialToken(ctx, made); err != nil {
			return err
		}
		// The token alone goes to standard output, so that it can be piped to where it is kept.
		fmt.Fprintf(p.stderr, "%s may register %s until %s with this token, which is not shown again:\n", a.Organisation, counted(a.Clients, "client"), shortTime(made.ExpiresAt))
		p.printf("%s\n", token)
		return nil
	})
}

func (a tokensAdd) check() error {
	switch {
	case a.Organisation == "" || len(a.Organisation) > 200 || strings.ContainsFunc(a.Organisation, unicode.IsControl):
		return errors.New("the organisation must have 1 to 200 bytes without control characters")
	case strings.HasPrefix(a.Organisation, fapi.CertificateOrganisation):
		return fmt.Errorf("names that begin with %s belong to organisations that register with a certificate", fapi.CertificateOrganisation)
	case a.Profile != "" && fapi.Profiles()[a.Profile].Name == "":
		return fmt.Errorf("--profile %q is not known; known are %s", a.Profile, strings.Join(slices.Sorted(maps.Keys(fapi.Profiles())), ", "))
	case a.Clients < 1 || a.Clients > maxTokenClients:
		return fmt.Errorf("--clients must be 1 to %d", maxTokenClients)
	case a.For < time.Minute || a.For > maxTokenLife:
		return fmt.Errorf("--for must be 1m to %dh", maxTokenLife/time.Hour)
	}
	return nil
}

type tokensList struct{}

// Run implements the command.
func (tokensList) Run(ctx context.Context, p *program) error {
	return p.withStore(ctx, func(s store.Store) error {
		tokens, err := s.InitialTokens(ctx)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "ORGANISATION\tCLIENTS LEFT\tCREATED\tEXPIRES\tSTATE")
		for _, token := range tokens {
			state := "usable"
			switch {
			case !p.now().Before(token.ExpiresAt):
				state = "expired"
			case token.Remaining == 0:
				state = "used up"
			}
			fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\n", oneLine(token.Organisation), token.Remaining, shortTime(token.CreatedAt), shortTime(token.ExpiresAt), state)
		}
		return table.Flush()
	})
}

type tokensDelete struct {
	Organisation string `arg:"" help:"Whose token to take back."`
}

// Run implements the command.
func (d tokensDelete) Run(ctx context.Context, p *program) error {
	return p.withStore(ctx, func(s store.Store) error {
		err := s.DeleteInitialToken(ctx, d.Organisation)
		if errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("%q has no initial access token; countersign clients tokens list shows those that exist", d.Organisation)
		}
		if err != nil {
			return err
		}
		p.printf("%s can register no more clients; those that it registered stay\n", d.Organisation)
		return nil
	})
}

type clientsRotateKeys struct {
	ID   string `arg:"" help:"The client_id."`
	JWKS string `required:"" name:"jwks" placeholder:"FILE" help:"The client's public keys, a JWK Set; - reads standard input."`
	Add  bool   `help:"Keep the old keys beside the new ones."`
}

// Run implements the command.
func (r clientsRotateKeys) Run(ctx context.Context, p *program) error {
	content, err := p.readInput(r.JWKS, maxMetadata)
	if err != nil {
		return err
	}
	fresh, err := readKeys(content)
	if err != nil {
		return fmt.Errorf("%s: %w", r.JWKS, err)
	}
	return p.withStore(ctx, func(s store.Store) error {
		record, err := findClient(ctx, s, r.ID)
		if err != nil {
			return err
		}
		changed, err := changeKeys(record, fresh, r.Add)
		if err != nil {
			return fmt.Errorf("%s: %w", r.JWKS, err)
		}
		if changed == nil {
			p.printf("the client %s has these keys already\n", r.ID)
			return nil
		}
		record.Metadata = changed
		if err := checkClient(record.ID, record.Profile, record.Metadata); err != nil {
			return p.mistakes(r.JWKS, err)
		}
		record.Version++
		if err := putClient(ctx, s, record, p); err != nil {
			return err
		}
		p.printf("%s (version %d)\n", keysChanged(r.ID, r.Add), record.Version)
		return nil
	})
}

func keysChanged(id string, added bool) string {
	if added {
		return "added the keys to those of the client " + id
	}
	return "replaced the keys of the client " + id
}

// publicKey is one key as it was written, with what it is.
type publicKey struct {
	raw        json.RawMessage
	id         string
	thumbprint string
}

// readKeys reads a JWK Set that client metadata may hold and that has a key to verify signatures with.
func readKeys(jwks []byte) ([]publicKey, error) {
	set, err := jose.ParseKeySet(jwks)
	if err != nil {
		return nil, err
	}
	if len(set.Keys()) == 0 {
		return nil, errors.New("there is no key in it that signatures of PS256, ES256 or EdDSA can be verified with")
	}
	var wire struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := jose.DecodeStrict(jwks, &wire); err != nil {
		return nil, err
	}
	keys := make([]publicKey, len(wire.Keys))
	for i, raw := range wire.Keys {
		keys[i].raw = raw
		// What is no key for signatures (use "enc", another curve) is kept as it is.
		if key, err := jose.ParsePublicJWK(raw); err == nil {
			keys[i].id, keys[i].thumbprint = key.ID, key.Thumbprint()
		}
	}
	return keys, nil
}

// changeKeys gives a client's metadata with new keys: instead of the old ones, or beside them; nil
// when it has all of them already.
func changeKeys(record store.Client, fresh []publicKey, add bool) (json.RawMessage, error) {
	var metadata map[string]json.RawMessage
	if err := jose.DecodeStrict(record.Metadata, &metadata); err != nil {
		return nil, fmt.Errorf("the stored client %q: %w", record.ID, err)
	}
	if _, ok := metadata["jwks_uri"]; ok {
		return nil, fmt.Errorf("the client %q keeps its keys at its jwks_uri; they are rotated there", record.ID)
	}
	keys := fresh
	if jwks, ok := metadata["jwks"]; ok && add {
		old, err := readKeys(jwks)
		if err != nil {
			return nil, fmt.Errorf("the stored keys of the client %q: %w", record.ID, err)
		}
		if keys, err = addKeys(old, fresh); err != nil {
			return nil, err
		}
		if len(keys) == len(old) {
			return nil, nil
		}
	}
	raw := make([]json.RawMessage, len(keys))
	for i, key := range keys {
		raw[i] = key.raw
	}
	jwks, err := json.Marshal(map[string][]json.RawMessage{"keys": raw})
	if err != nil {
		return nil, err
	}
	metadata["jwks"] = jwks
	return json.Marshal(metadata)
}

// addKeys puts new keys behind the old ones. A key that is there already is not doubled; a kid that would name two
// different keys is refused.
func addKeys(old, fresh []publicKey) ([]publicKey, error) {
	keys := slices.Clone(old)
	for _, key := range fresh {
		if key.thumbprint != "" && slices.ContainsFunc(old, func(k publicKey) bool { return k.thumbprint == key.thumbprint }) {
			continue
		}
		if key.id != "" && slices.ContainsFunc(old, func(k publicKey) bool { return k.id == key.id }) {
			return nil, fmt.Errorf("the client has another key with the kid %q already; give the new one a kid of its own", key.id)
		}
		keys = append(keys, key)
	}
	return keys, nil
}
