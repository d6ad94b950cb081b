package config

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"countersign/internal/config/position"
	"countersign/internal/config/value"
)

// keyRules are the rules about what holds the signing keys.
type keyRules struct{ *collector }

// secretName finds environment variables that would carry a secret.
var secretName = regexp.MustCompile(`(?i)(^|_)(PIN|PASSWORD|PASSWD|PASSPHRASE|SECRET|CREDENTIALS?)($|_)`)

var environmentName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (c keyRules) signer(config *Config) {
	s := &config.Signer
	pin := "the user PIN of the token"
	if s.DevelopmentKeyFile != "" {
		pin = "the passphrase of the development keys"
		c.developmentKeys(config)
	} else {
		c.needed("signer.module", string(s.Module), "missing: the vendor's PKCS#11 module, a shared library")
		c.needed("signer.token", s.Token, "missing: label of the token that holds the keys, or its RFC 7512 address, such as pkcs11:token=countersign;serial=0123")
	}
	c.tokenName("signer.token", s.Token)
	if s.PINFile == "" && s.PINEnv == "" && !c.bad("signer.pin_file") {
		c.add("signer.pin_file", "", "missing: file that holds %s", pin)
	}
	if s.Backend == "crypto11" && len(s.Replicas) > 0 {
		c.add("signer.backend", quote(s.Backend), `crypto11 is for one token alone; leave out [[signer.replicas]], or write "worker"`)
	}
	c.pin("signer", s.PINFile, s.PINEnv)
	c.environment("signer.environment", s.Environment)
	const shortest = time.Hour // less than the life of a token, and the key set would fill with retired keys
	if every := s.RotateEvery.Std(); every > 0 && every < shortest && !c.bad("signer.rotate_every") {
		c.add("signer.rotate_every", quote(s.RotateEvery.String()), "shorter than %s; write 0s to rotate by hand", shortest)
	}
	for i, replica := range s.Replicas {
		key := fmt.Sprintf("signer.replicas[%d]", i)
		c.tokenName(key+".token", replica.Token)
		c.pin(key, replica.PINFile, replica.PINEnv)
		c.environment(key+".environment", replica.Environment)
		if replica.Token == s.Token && replica.Module == "" && replica.Environment == nil && replica.Parameters == "" && !c.bad(key+".token") {
			c.add(key+".token", quote(replica.Token), "the same token as signer.token; a replica is a token of its own")
		}
	}
}

// developmentKeys keeps software keys away from everything that is not one developer's machine, and from HSMs.
func (c keyRules) developmentKeys(config *Config) {
	const key = "signer.development_key_file"
	s := &config.Signer
	if c.bad(key) {
		return
	}
	u, err := url.Parse(config.Issuer)
	if err != nil {
		return // reported as a problem of issuer
	}
	if !c.bad("issuer") && !value.OnThisMachine(u.Hostname()) && !strings.HasSuffix(u.Hostname(), ".localhost") {
		c.add(key, quote(string(s.DevelopmentKeyFile)),
			"development keys are only for an issuer on this machine (localhost, *.localhost, 127.0.0.1, [::1]), and the issuer is %s; set signer.module and signer.token of an HSM instead", quote(config.Issuer))
		return
	}
	for _, other := range []struct {
		name string
		set  bool
	}{
		{"signer.module", s.Module != ""}, {"signer.token", s.Token != ""}, {"signer.environment", len(s.Environment) > 0},
		{"signer.replicas", len(s.Replicas) > 0}, {"signer.backend", s.Backend == "crypto11"},
	} {
		if other.set {
			c.add(key, quote(string(s.DevelopmentKeyFile)), "there is an HSM too (%s); keep one of them: development keys do not replace an HSM", other.name)
			return
		}
	}
}

// pin allows one place for a PIN. The variable's name is not repeated: it may be the PIN, put into the wrong key.
func (c keyRules) pin(table string, file Secret, variable string) {
	key := table + ".pin_env"
	switch {
	case c.bad(key) || variable == "":
	case file != "":
		c.add(key, redacted, "there is a pin_file too; leave one of them out")
	case !environmentName.MatchString(variable):
		c.add(key, redacted, "not the name of an environment variable; use letters, digits and _, and put the PIN itself into the variable")
	}
}

func (c keyRules) tokenName(key, token string) {
	const maxLabel = 32 // CK_TOKEN_INFO.label, PKCS#11 v3.1 §3.2
	if len(token) > maxLabel && !strings.HasPrefix(token, "pkcs11:") && !c.bad(key) {
		c.add(key, quote(token), "longer than %d bytes, which no token label is (PKCS#11 §3.2)", maxLabel)
	}
}

// environment is what a module is given.
func (c keyRules) environment(table string, environment map[string]string) {
	for name, value := range environment {
		key := position.Join(table, name)
		switch {
		case !environmentName.MatchString(name):
			c.add(key, "", "not the name of an environment variable; use letters, digits and _")
		case secretName.MatchString(name):
			c.add(key, redacted, "looks like a secret, and the configuration holds none; the PIN goes into pin_file")
		case strings.ContainsRune(value, 0):
			c.add(key, "", "holds a NUL character, which no environment variable can")
		}
	}
}
