package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"countersign/internal/admin"
	"countersign/internal/console"
	"countersign/internal/jose"
	"countersign/internal/operations"
	"countersign/store"
)

// clientsCommand manages clients.
type clientsCommand struct {
	Add     clientsAdd     `cmd:"" help:"Register a client from its metadata (RFC 7591), or replace it."`
	Update  clientsUpdate  `cmd:"" aliases:"edit" help:"Change a client's metadata, and show the differences."`
	List    clientsList    `cmd:"" help:"List the clients."`
	Show    clientsShow    `cmd:"" help:"Show one client with its metadata, as JSON."`
	Disable clientsDisable `cmd:"" help:"Disable a client, from the next request on."`
	Enable  clientsEnable  `cmd:"" help:"Re-enable a client."`
	Remove  clientsRemove  `cmd:"" help:"Remove a client and end its grants."`

	RotateKeys clientsRotateKeys `cmd:"" help:"Replace the public keys of a client."`
	Tokens     clientsTokens     `cmd:"" help:"Manage the initial access tokens, with which clients register themselves."`
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

It is validated against the client's profile; every problem is reported at once.

Examples:
  countersign clients add app --file app.json
  countersign clients show app --metadata > app.json
  countersign clients update app --file app.json --dry-run
  countersign clients rotate-keys app --jwks keys.json --add
  countersign clients list
  countersign clients disable app
  countersign clients remove app`
}

const (
	// maxMetadata bounds a file of claims, in bytes.
	maxMetadata = 64 << 10
	// maxClient bounds a file of client metadata or keys, in bytes.
	maxClient = maxMetadata + jose.MaxKeySetSize
)

type clientsAdd struct {
	ID      string `arg:"" help:"The client_id."`
	File    string `required:"" placeholder:"FILE" help:"Client metadata, JSON; - reads standard input."`
	Profile string `help:"Security profile of the client: ${profiles}. Without it, the member profile of the file is used, and else ${profile}."`
	Replace bool   `help:"Replace the metadata of a client that exists."`
}

// Run implements the command.
func (c clientsAdd) Run(ctx context.Context, p *program) error {
	wanted, err := p.wantedClient(c.ID, c.Profile, c.File)
	if err != nil {
		return err
	}
	wanted.Replace = c.Replace
	return p.operate(ctx, func(a operations.Operations) error {
		record, err := a.AddClient(ctx, wanted)
		if err != nil {
			return p.inputProblems(c.File, err)
		}
		p.printHints(record)
		p.noteMembers(record)
		if record.Version > 1 {
			p.printf("replaced the client %s (version %d)\n", c.ID, record.Version)
		} else {
			p.printf("registered the client %s\n", c.ID)
		}
		p.noteKeys(ctx, record)
		return nil
	})
}

// wantedClient is a client as a file of metadata describes it, with what the configuration has that it can name.
func (p *program) wantedClient(id, profile, file string) (admin.NewClient, error) {
	metadata, err := p.readInput(file, maxClient)
	if err != nil {
		return admin.NewClient{}, err
	}
	if p.admin.Address != "" { // the server knows what it has
		return admin.NewClient{ID: id, Profile: profile, Metadata: metadata}, nil
	}
	c, err := p.loadConfig()
	if err != nil {
		return admin.NewClient{}, err
	}
	return admin.NewClient{
		ID: id, Profile: profile, Metadata: metadata,
		Scopes: c.ScopeNames(), DetailTypes: c.DetailTypes(), Resources: c.ResourceNames(),
		TrustStores: c.TrustStoreNames(), Origins: []string{c.Issuer, c.ListenMTLS.URL},
	}, nil
}

type clientsUpdate struct {
	ID      string `arg:"" help:"The client_id."`
	File    string `required:"" placeholder:"FILE" help:"All metadata that the client shall have, JSON, as clients show --metadata prints them; - reads standard input."`
	Profile string `help:"Another security profile: ${profiles}. Without it, the member profile of the file is used, and else the client keeps its own."`
	DryRun  bool   `help:"Show the differences, and change nothing."`
}

// Run implements the command.
func (c clientsUpdate) Run(ctx context.Context, p *program) error {
	wanted, err := p.wantedClient(c.ID, c.Profile, c.File)
	if err != nil {
		return err
	}
	return p.operate(ctx, func(a operations.Operations) error {
		planned, err := a.PlanUpdate(ctx, wanted)
		if err != nil {
			return p.inputProblems(c.File, err)
		}
		for _, line := range planned.Changes {
			p.printf("%s\n", console.OneLine(line))
		}
		switch {
		case len(planned.Changes) == 0:
			p.printf("the client %s is like that already\n", c.ID)
			return nil
		case c.DryRun:
			p.printf("nothing was changed\n")
			return nil
		}
		if err := a.Update(ctx, planned); err != nil {
			return err
		}
		p.printf("changed the client %s (version %d)\n", c.ID, planned.Version())
		p.printHints(planned.Client())
		p.noteMembers(planned.Client())
		p.noteKeys(ctx, planned.Client())
		return nil
	})
}

type clientsList struct{ jsonLines }

// Run implements the command.
func (c clientsList) Run(ctx context.Context, p *program) error {
	return p.operate(ctx, func(a operations.Operations) error {
		clients, err := a.ListClients(ctx)
		if err != nil {
			return err
		}
		header := []string{"CLIENT", "NAME", "PROFILE", "AUTHENTICATION", "TOKENS BOUND BY", "STATE"}
		return console.List(p.stdout, c.JSON, clients, header, func(l admin.ListedClient) []string {
			state := l.State
			if l.Refused != "" {
				state += ", refused: " + l.Refused
			}
			return []string{l.ID, l.Name, l.Profile, l.Method, l.BoundBy, state}
		})
	})
}

type clientsShow struct {
	ID       string `arg:"" help:"The client_id."`
	Offline  bool   `help:"Do not fetch the keys from the client's jwks_uri."`
	Metadata bool   `help:"Print the metadata alone, to be edited and given to clients update."`
	jsonAlways
}

// Help implements kong.HelpProvider.
func (clientsShow) Help() string {
	return `The member keys tells how many of the client's keys can be used, and names each that is
left out with the reason. Keys at a jwks_uri are fetched for it, as the server does.`
}

// keysTimeout bounds how long the keys at a jwks_uri are waited for.
const keysTimeout = 4 * time.Second

// Run implements the command.
func (c clientsShow) Run(ctx context.Context, p *program) error {
	return p.operate(ctx, func(a operations.Operations) error {
		ctx, cancel := context.WithTimeout(ctx, keysTimeout)
		defer cancel()
		shown, err := a.ShowClient(ctx, c.ID, !c.Offline && !c.Metadata)
		if err != nil {
			return err
		}
		p.printHints(store.Client{ID: shown.ID, Profile: shown.Profile, Metadata: shown.Metadata})
		if c.Metadata {
			return p.printJSON(shown.Metadata)
		}
		return p.printJSON(shown)
	})
}

// noteMembers names the members that mean nothing here.
func (p *program) noteMembers(record store.Client) {
	for _, name := range admin.UnknownMembers(record.Metadata) {
		p.printf("note: the member %s means nothing to this server\n", console.OneLine(name))
	}
}

// noteKeys names the registered keys that are left out, so that their owner can be asked for others.
func (p *program) noteKeys(ctx context.Context, record store.Client) {
	keys := admin.KeysOf(ctx, record, nil)
	if keys == nil {
		return
	}
	for _, one := range keys.LeftOut {
		p.printf("note: %s is left out: %s\n", console.OneLine(one.Name()), one.Reason)
	}
}

// printHints prints what seems wrong with a client, beside the output.
func (p *program) printHints(record store.Client) {
	for _, hint := range admin.Hints(record.ID, record.Profile, record.Metadata) {
		fmt.Fprintf(p.stderr, "hint: %s\n", hint)
	}
}

type clientsDisable struct {
	ID string `arg:"" help:"The client_id."`
}

// Run implements the command.
func (c clientsDisable) Run(ctx context.Context, p *program) error {
	return setClientDisabled(ctx, p, c.ID, true, "disabled")
}

type clientsEnable struct {
	ID string `arg:"" help:"The client_id."`
}

// Run implements the command.
func (c clientsEnable) Run(ctx context.Context, p *program) error {
	return setClientDisabled(ctx, p, c.ID, false, "enabled")
}

type clientsRemove struct {
	ID  string `arg:"" help:"The client_id."`
	Yes bool   `help:"Do not ask for confirmation."`
}

// Run implements the command.
func (c clientsRemove) Run(ctx context.Context, p *program) error {
	return p.operate(ctx, func(a operations.Operations) error {
		if _, err := a.Client(ctx, c.ID); err != nil {
			return err
		}
		ends, err := a.Holdings(ctx, c.ID)
		if err != nil {
			return err
		}
		p.printf("with the client %s end, on all nodes: %s\n", c.ID, ends)
		if !c.Yes {
			if err := console.Confirm(p.stdin, p.stderr, "the client_id", c.ID); err != nil {
				return err
			}
		}
		if err := a.RemoveClient(ctx, c.ID); err != nil {
			return err
		}
		p.printf("removed the client %s\n", c.ID)
		return nil
	})
}

func setClientDisabled(ctx context.Context, p *program, id string, disabled bool, state string) error {
	return p.operate(ctx, func(a operations.Operations) error {
		changed, err := a.SetClientDisabled(ctx, id, disabled)
		if err != nil {
			return err
		}
		if !changed {
			state += " already"
		}
		p.printf("the client %s is %s\n", id, state)
		return nil
	})
}

type clientsRotateKeys struct {
	ID   string `arg:"" help:"The client_id."`
	JWKS string `required:"" name:"jwks" placeholder:"FILE" help:"The client's public keys, a JWK Set; - reads standard input."`
	Add  bool   `help:"Keep the old keys beside the new ones."`
}

// Run implements the command.
func (c clientsRotateKeys) Run(ctx context.Context, p *program) error {
	jwks, err := p.readInput(c.JWKS, maxClient)
	if err != nil {
		return err
	}
	return p.operate(ctx, func(a operations.Operations) error {
		version, err := a.RotateClientKeys(ctx, c.ID, jwks, c.Add)
		if err != nil {
			return p.inputProblems(c.JWKS, err)
		}
		switch {
		case version == 0:
			p.printf("the client %s has these keys already\n", c.ID)
		case c.Add:
			p.printf("added the keys to those of the client %s (version %d)\n", c.ID, version)
		default:
			p.printf("replaced the keys of the client %s (version %d)\n", c.ID, version)
		}
		record, err := a.Client(ctx, c.ID)
		if err != nil {
			return err
		}
		p.noteKeys(ctx, record)
		return nil
	})
}

// clientsTokens manages the initial access tokens, with which organisations register their clients themselves.
type clientsTokens struct {
	Add    tokensAdd    `cmd:"" help:"Issue an initial access token to an organisation; it is shown once."`
	List   tokensList   `cmd:"" help:"List the initial access tokens."`
	Delete tokensDelete `cmd:"" help:"Revoke an organisation's initial access token."`
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

type tokensAdd struct {
	Organisation string        `arg:"" help:"Who may register clients."`
	Clients      int           `required:"" placeholder:"N" help:"How many clients may be registered."`
	For          time.Duration `required:"" placeholder:"DURATION" help:"How long the token is valid, such as 24h."`
	Profile      string        `placeholder:"NAME" help:"Profile of the clients that are registered with it, such as fapi1-advanced; the first of those offered if it is not given."`
	Replace      bool          `help:"Replace the token of an organisation that has one."`
}

// Run implements the command.
func (c tokensAdd) Run(ctx context.Context, p *program) error {
	return p.operate(ctx, func(a operations.Operations) error {
		token, made, err := a.AddInitialToken(ctx, admin.NewInitialToken{
			Organisation: c.Organisation, Clients: c.Clients, Lifetime: c.For, Profile: c.Profile, Replace: c.Replace,
		})
		if err != nil {
			return err
		}
		// The token alone goes to standard output, so that it can be piped to where it is kept.
		fmt.Fprintf(p.stderr, "%s may register %s until %s with this token, which is not shown again:\n",
			c.Organisation, console.Count(c.Clients, "client"), console.Time(made.ExpiresAt))
		p.printf("%s\n", token)
		return nil
	})
}

type tokensList struct{ jsonLines }

// Run implements the command.
func (c tokensList) Run(ctx context.Context, p *program) error {
	return p.operate(ctx, func(a operations.Operations) error {
		tokens, err := a.ListInitialTokens(ctx)
		if err != nil {
			return err
		}
		header := []string{"ORGANISATION", "CLIENTS LEFT", "CREATED", "EXPIRES", "STATE"}
		return console.List(p.stdout, c.JSON, tokens, header, func(t admin.ListedToken) []string {
			return []string{t.Organisation, strconv.Itoa(t.Remaining), console.Time(t.CreatedAt), console.Time(t.ExpiresAt), t.State}
		})
	})
}

type tokensDelete struct {
	Organisation string `arg:"" help:"Whose token to revoke."`
}

// Run implements the command.
func (c tokensDelete) Run(ctx context.Context, p *program) error {
	return p.operate(ctx, func(a operations.Operations) error {
		if err := a.DeleteInitialToken(ctx, c.Organisation); err != nil {
			return err
		}
		p.printf("%s can register no more clients; those that it registered stay\n", c.Organisation)
		return nil
	})
}
