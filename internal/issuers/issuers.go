// Package issuers reads the configurations of all issuers of one process, and sees to it that they share nothing that would make
// what is one's another's: no host, no store, no token of keys.
package issuers

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"countersign/internal/config"
	"countersign/internal/config/issuers"
	"countersign/internal/hsm"
	"countersign/signer/pkcs11/rfc7512"
)

// Main is the name of the issuer that the main file describes.
const Main = issuers.Main

// Digest is that of the content of files.
type Digest [sha256.Size]byte

// Issuer is one issuer of a process.
type Issuer struct {
	Name   string
	Config *config.Config
	// Key is that of the main file which names it, with which problems begin; empty for the main file's own.
	Key string
	// Digest is that of its file as it was read, with what it has from the main file and answers by; zero for the main file's own.
	Digest Digest
}

// ErrUnknown is for a name that no issuer has.
var ErrUnknown = errors.New("there is no issuer of this name")

// Load reads the files of all issuers, that of the main file first. A problem in one of them is a line of the error, which begins with
// the key of the main file that names it.
func Load(main *config.Config) ([]Issuer, error) {
	all := []Issuer{{Name: Main, Config: main}}
	var problems []error
	for i, named := range main.Issuers {
		one := Issuer{Name: named.Name, Key: fmt.Sprintf("issuers[%d].file", i)}
		// The digest comes first: what is written meanwhile is read again.
		content, err := os.ReadFile(named.File.Path())
		if err == nil {
			one.Digest = sha256.Sum256(append(content, inherited(main)...))
			one.Config, err = config.LoadIssuer(named.File.Path(), main)
		}
		if err != nil {
			problems = append(problems, Prefixed(one.Key, err))
			continue
		}
		all = append(all, one)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return all, distinct(all)
}

// inherited is what an issuer answers by that the main file has: whom it believes addresses and certificates of clients.
func inherited(main *config.Config) []byte {
	l, m := main.Listen, main.ListenMTLS
	return fmt.Appendf(nil, "\n%q %q %v %q %q %q %q %q %v %q %q", l.CertificateFile, l.KeyFile, m.Address != "", l.IngressNetworks, m.IngressCAFile,
		m.IngressName, m.IngressNetworks, m.IngressSecret, m.ForwardedFor, m.IngressOldSecret, m.Source)
}

// Prefixed puts the key that names an issuer's file before each line of an error.
func Prefixed(key string, err error) error {
	if err == nil || key == "" {
		return err
	}
	var lines []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		lines = append(lines, key+": "+line)
	}
	return errors.New(strings.Join(lines, "\n"))
}

// Named is the configuration of one issuer of a process; that of the main file for an empty name. Its other issuers are not read. An unknown name is an error that wraps
// [ErrUnknown].
func Named(main *config.Config, name string) (*config.Config, error) {
	known := []string{Main}
	for _, one := range main.Issuers {
		if one.Name == name {
			return config.LoadIssuer(one.File.Path(), main)
		}
		known = append(known, one.Name)
	}
	if name == Main || name == "" {
		return main, nil
	}
	return nil, fmt.Errorf("%w: %q; the configuration has %s", ErrUnknown, name, strings.Join(known, ", "))
}

// Hosts are the hosts of an issuer, in lower case and without port: of its address, and of its listener for client certificates.
func Hosts(c *config.Config) []string {
	var hosts []string
	for _, address := range []string{c.Issuer, c.ListenMTLS.URL} {
		parsed, err := url.Parse(address)
		if err != nil || address == "" {
			continue // the configuration lets no other through
		}
		if host := strings.ToLower(parsed.Hostname()); !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// distinct refuses issuers that share something.
func distinct(all []Issuer) error {
	var problems []error
	for i, one := range all {
		for _, before := range all[:i] {
			for _, what := range shared(before.Config, one.Config) {
				problems = append(problems, Prefixed(one.Key, fmt.Errorf("issuer %s has %s of issuer %s; each needs one of its own", one.Name, what, before.Name)))
			}
		}
	}
	return errors.Join(problems...)
}

// shared are the things that two configurations have in common and must not.
func shared(a, b *config.Config) (all []string) {
	for _, host := range Hosts(b) {
		if slices.Contains(Hosts(a), host) { // cookies are a host's, whatever the port and the path
			all = append(all, "the host "+host)
		}
	}
	if sameStore(a.Store, b.Store) {
		all = append(all, "the store")
	}
	if sameKeys(a.Signer, b.Signer) {
		all = append(all, "the token of keys")
	}
	return all
}

// sameStore reports whether two stores are visibly one. What is not visible, such as two addresses of one database, is found when they
// are opened.
func sameStore(a, b config.Store) bool {
	if a.Driver != b.Driver {
		return false
	}
	if a.Driver != "postgres" {
		return samePath(a.File.Path(), b.File.Path())
	}
	first, err := a.URL.Read()
	if err != nil {
		return false // it is said when it is opened
	}
	second, err := b.URL.Read()
	return err == nil && string(first) == string(second)
}

// sameKeys reports whether two signers have a token in common: keys of the one could be taken for the other's.
func sameKeys(a, b config.Signer) bool {
	if a.DevelopmentKeyFile != "" || b.DevelopmentKeyFile != "" {
		return a.DevelopmentKeyFile != "" && b.DevelopmentKeyFile != "" && samePath(a.DevelopmentKeyFile.Path(), b.DevelopmentKeyFile.Path())
	}
	return slices.ContainsFunc(hsm.Settings(a), func(one config.Replica) bool {
		return slices.ContainsFunc(hsm.Settings(b), func(other config.Replica) bool { return sameToken(one, other) })
	})
}

func sameToken(a, b config.Replica) bool {
	if !samePath(a.Module.Path(), b.Module.Path()) || !sameAddress(hsm.Address(a.Token), hsm.Address(b.Token)) {
		return false
	}
	// The same module finds other tokens with another environment or other parameters.
	if a.Parameters != b.Parameters || len(a.Environment) != len(b.Environment) {
		return false
	}
	for name, text := range a.Environment {
		if other, ok := b.Environment[name]; !ok || other != text {
			return false
		}
	}
	return true
}

// sameAddress reports whether two addresses may be of one token: labels need not be unique, serial numbers are.
func sameAddress(a, b string) bool {
	first, err := rfc7512.Parse(a)
	if err != nil {
		return a == b // it is said when it is opened
	}
	second, err := rfc7512.Parse(b)
	if err != nil {
		return a == b
	}
	return first.Token == second.Token && (first.Serial == second.Serial || first.Serial == "" || second.Serial == "")
}

// samePath reports whether two names are of one file, as far as can be seen.
func samePath(a, b string) bool {
	first, err := filepath.Abs(a)
	if err != nil {
		first = a
	}
	second, err := filepath.Abs(b)
	if err != nil {
		second = b
	}
	if first == second {
		return true
	}
	one, err := os.Stat(first)
	if err != nil {
		return false
	}
	other, err := os.Stat(second)
	return err == nil && os.SameFile(one, other)
}
