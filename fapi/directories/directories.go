// Package directories keeps what directories of participants say: the keys by which they sign software statements (RFC 7591
// §2.3), and which participants and which of their software may take part. Of the clients that registered with a statement,
// those are suspended whose participant or software is; they are restored when it is.
//
// [Directories.Approve] says whether a statement is one. [Directories.Run] keeps all of it fresh; each node does. How a kind of
// directory publishes is data: [Shapes].
package directories

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"countersign/fapi/client"
	"countersign/fapi/event"
	"countersign/fapi/profile"
	"countersign/fapi/statement"
	"countersign/internal/jose"
	"countersign/internal/outbound"
	"countersign/store"
)

// Settings are one directory.
type Settings struct {
	// Name is what it is called here, in the log and to clients. Clients keep it.
	Name string
	// Issuer is the iss of its statements, KeysAddress where its keys are.
	Issuer, KeysAddress string
	// Kind is the name of a [Shape].
	Kind string
	// ParticipantsAddress is where its lists are; empty reads none: nobody is suspended then.
	ParticipantsAddress string
	// Authorization returns the header Authorization for the lists; nil sends none. Token has one got and kept fresh in its place.
	Authorization func() (string, error)
	Token         TokenSettings
	// Profile is that of the clients that register with its statements and without an initial access token. Those with one may
	// have another of the same preset.
	Profile string
	// Audiences are what clients may have as aud of a registration request beside the issuer: what the directory calls this
	// server.
	Audiences []string
	// TrustStore names the trust store that verifies the certificates of its participants; empty is that of registration.
	TrustStore string
	// Quota bounds the clients of one participant.
	Quota int
	// Refresh is how often keys and lists are read. Outage is how long after they were last read statements are still accepted.
	Refresh, Outage time.Duration
	// Policy is how it is reached.
	Policy outbound.Policy
}

// Check reports what is wrong with the settings of a directory. Errors begin with the key of the configuration.
func (s Settings) Check() error {
	var problems []error
	add := func(key, format string, arguments ...any) {
		problems = append(problems, fmt.Errorf("directories %q: %s: %s", s.Name, key, fmt.Sprintf(format, arguments...)))
	}
	if s.Name == "" || len(s.Name) > 64 || strings.ContainsFunc(s.Name, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) {
		add("name", "must be 1 to 64 printable characters without spaces and colons")
	}
	shape, known := ShapeOf(s.Kind)
	if !known {
		add("kind", "%q is not known; known are %s", s.Kind, strings.Join(ShapeNames(), ", "))
	}
	for key, address := range map[string]string{"keys_address": s.KeysAddress, "participants_address": s.ParticipantsAddress} {
		if address == "" && key == "participants_address" {
			continue
		}
		if err := s.Policy.CheckAddress(address); err != nil {
			add(key, "%v", err)
		}
	}
	s.Token.check(s.Policy, add)
	if s.Token.Address != "" && s.ParticipantsAddress == "" {
		add("token_address", "has no meaning without participants_address")
	}
	if s.Token.Address != "" && s.Authorization != nil {
		add("token_address", "the header Authorization is had there or in a file, not both")
	}
	if shape.React > 0 && s.ParticipantsAddress != "" && s.Refresh+timeout > shape.React {
		add("refresh", "%s and the %s that a document may take are more than the %s in which a directory of this kind wants a change to count",
			s.Refresh, timeout, shape.React)
	}
	offered, known := profile.Lookup(s.Profile)
	switch {
	case !known:
		add("profile", "%q is not known; known are %s", s.Profile, strings.Join(profile.Names(), ", "))
	case offered.Registration.SoftwareStatement == profile.SoftwareStatementIgnored:
		add("profile", "%s says nothing of software statements", s.Profile)
	}
	return errors.Join(problems...)
}

const (
	// timeout bounds the fetch of one document, and maxDocument its size, in bytes.
	timeout     = 30 * time.Second
	maxDocument = 64 << 20
	// maxPages bounds the pages of one list.
	maxPages = 1000
)

// Config is the configuration of [Directories].
type Config struct {
	Directories []Settings
	Store       store.Directories
	Clients     *client.Cache
	Evidence    *event.Recorder
	Now         func() time.Time
	Log         *slog.Logger
}

// Directories are all directories of a server. Make them with [New]; nil has none.
type Directories struct{ all []*Directory }

// Directory is one directory. It is safe for concurrent use.
type Directory struct {
	Settings
	config Config
	shape  Shape
	client *outbound.Client
	keys   *jose.RemoteKeySets
	// bearer has the token for the lists; nil where none is got.
	bearer *bearer

	mutex sync.Mutex
	// known is what the lists said last, and listed when that was; zero for never.
	known  standings
	listed time.Time
	// rolesTold are the roles of known whose changes the log has.
	rolesTold map[string][]string
	// keysRead is when the keys were last read from the directory.
	keysRead time.Time
	// failing has the documents that could not be read the last time, so that each change is logged once.
	failing map[string]bool
}

// New checks the settings, and makes directories. Nothing is fetched yet.
func New(config Config) (*Directories, error) {
	d := &Directories{}
	var problems []error
	for i, settings := range config.Directories {
		problems = append(problems, settings.Check())
		for _, other := range config.Directories[:i] {
			if other.Name == settings.Name || other.Issuer == settings.Issuer {
				problems = append(problems, fmt.Errorf("directories %q: the name or the issuer is that of another one", settings.Name))
			}
		}
		settings.Policy.Timeout, settings.Policy.MaxBody = timeout, maxDocument
		shape, _ := ShapeOf(settings.Kind)
		one := &Directory{
			Settings: settings, config: config, shape: shape, client: outbound.New(settings.Policy), failing: map[string]bool{},
		}
		one.keys = jose.NewRemoteKeySets(one.fetchKeys, config.Now)
		if settings.Token.Address != "" {
			one.bearer = &bearer{settings: settings.Token, client: one.client, now: config.Now}
		}
		d.all = append(d.all, one)
	}
	return d, errors.Join(problems...)
}

// Approved is a statement that may be used, with the directory whose it is.
type Approved struct {
	*statement.Statement
	Directory *Directory
	// Rule is that of the client's profile, and Profile its name.
	Rule    profile.RegistrationRule
	Profile string
}

// Organisation and Software are the identifiers of the participant and its software in a statement.
func (a Approved) Organisation() string { return a.Text(a.Directory.shape.Organisation) }

// Software is the identifier of the software.
func (a Approved) Software() string { return a.Text(a.Directory.shape.Software) }

// OrganisationName is who registers with the statement, as clients keep it (see [client.DirectoryOrganisation]).
func (a Approved) OrganisationName() string {
	return client.DirectoryOrganisation + a.Directory.Name + ":" + a.Organisation()
}

// Entry is what the directory knows a client by that registers with the statement.
func (a Approved) Entry(subject string) store.DirectoryEntry {
	return store.DirectoryEntry{Directory: a.Directory.Name, Organisation: a.Organisation(), Software: a.Software(), Subject: subject}
}

// Approve reads a statement and verifies it: who has issued it, its signature, its times, and that the participant may take
// part. profileName is the profile of the client, or empty for that of the directory. Errors are invalid_software_statement and
// unapproved_software_statement (RFC 7591 §3.2.2), or temporarily_unavailable while the keys cannot be read.
func (d *Directories) Approve(ctx context.Context, raw, profileName string) (Approved, error) {
	read, err := statement.Parse(raw, profile.Algorithms())
	if err != nil {
		return Approved{}, err
	}
	at := -1
	if d != nil {
		at = slices.IndexFunc(d.all, func(one *Directory) bool { return one.Issuer == read.Issuer })
	}
	if at < 0 {
		return Approved{}, statement.Unapproved("no directory that this server takes statements of is called %q", read.Issuer)
	}
	one := d.all[at]
	if profileName == "" {
		profileName = one.Profile
	} else if preset(profileName) != preset(one.Profile) {
		return Approved{}, statement.Unapproved("a client of the profile %s cannot have one of this directory", profileName)
	}
	full, ok := profile.Lookup(profileName)
	if !ok {
		return Approved{}, fmt.Errorf("fapi: the profile %q is not known", profileName)
	}
	approved := Approved{Statement: read, Directory: one, Rule: full.Registration, Profile: profileName}
	return approved, one.approve(ctx, approved, full)
}

// preset is what two names of profiles have in common that have the same rule of registration.
func preset(name string) string {
	preset, base, ok := profile.Split(name)
	if !ok || preset == "" {
		return base
	}
	return preset
}

// Named returns the directory of a name, or nil.
func (d *Directories) Named(name string) *Directory {
	if d == nil {
		return nil
	}
	for _, one := range d.all {
		if one.Name == name {
			return one
		}
	}
	return nil
}

// LostRoles returns the roles of the participant of a client that its directory lists as not active.
func (d *Directories) LostRoles(entry store.DirectoryEntry) []string {
	one := d.Named(entry.Directory)
	if one == nil {
		return nil
	}
	one.mutex.Lock()
	defer one.mutex.Unlock()
	return one.known.Roles[key(entry.Organisation)]
}

// All are the settings of all.
func (d *Directories) All() []Settings {
	if d == nil {
		return nil
	}
	var all []Settings
	for _, one := range d.all {
		all = append(all, one.Settings)
	}
	return all
}

// Any reports whether there is any.
func (d *Directories) Any() bool { return d != nil && len(d.all) > 0 }

// Refresh reads keys and lists of all directories once, and puts what they say into effect.
func (d *Directories) Refresh(ctx context.Context) {
	if d == nil {
		return
	}
	for _, one := range d.all {
		one.refresh(ctx)
	}
}

// Run keeps keys and standings fresh until ctx ends.
func (d *Directories) Run(ctx context.Context) {
	if d == nil {
		return
	}
	var all sync.WaitGroup
	for _, one := range d.all {
		all.Go(func() { one.run(ctx) })
	}
	all.Wait()
}
