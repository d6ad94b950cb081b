package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const newcomers = `issuer = "https://login.example"
[listen]
certificate_file = "server.crt"
key_file = "server.key"
[store]
file = "countersign.db"
[signer]
module = "module.so"
token = "countersign"
pin_file = "pin"
`

// Covers: FD-139. TestSecretsShown: what can only be the name of a file is said, what may be the secret is not, wherever the
// configuration is.
func TestFD139SecretsShown(t *testing.T) {
	for _, name := range []string{
		"server.key", "tls/server.key", "/etc/countersign/pin", "pin", "hsm-pin", "database-url", "secrets/database.url", "ping.keys",
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			if got := shown(Secret(name)); got != `"`+name+`"` {
				t.Errorf("it is shown as %s", got)
			}
		})
	}
	for _, secret := range []string{
		"4711", "/etc/countersign/4711", "local/4711", "hunter2", "correct horse battery staple", "swordfish",
		"postgres://user:password@db/countersign", "postgres://user:password@db/countersign.url", "1234.key", "q9XkTz/B2vLmR8wPs7dHn.key",
		"S3cretS3cretS3cretS3cret.txt", "bm90IGEgZmlsZQ==", "../4711",
	} {
		t.Run("refuses "+secret, func(t *testing.T) {
			if got := shown(Secret(secret)); got != redacted {
				t.Errorf("it is shown as %s", got)
			}
		})
	}
	folder := t.TempDir()
	text := strings.Replace(strings.Replace(newcomers, `"pin"`, `"4711"`, 1), "server.key", "tls/server.key", 1)
	file := filepath.Join(folder, "c.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(file)
	if err == nil || strings.Contains(err.Error(), "4711") || !strings.Contains(err.Error(), "tls/server.key") {
		t.Errorf("a configuration with a PIN in the place of a file: %v", err)
	}
}

// Covers: FD-130. TestOffers: what the server would refuse when it starts is told with line, key and what would be right.
func TestFD130Offers(t *testing.T) {
	mtls := "[listen_mtls]\naddress = \"0.0.0.0:8444\"\nurl = \"https://mtls.login.example\"\n"
	for name, test := range map[string]struct{ first, last, want string }{
		"accepts one profile":                                   {`profiles = "fapi2-message-signing"`, "", ""},
		"accepts all profiles":                                  {`profiles = "fapi2-security fapi2-message-signing fapi1-advanced"`, mtls, ""},
		"accepts no profile, which is the default":              {`profiles = ""`, "", ""},
		"accepts a resource server":                             {"", "[[resource_servers]]\nidentifier = \"https://api.example\"\nscopes = \"openid\"\n", ""},
		"refuses profiles that do not exist":                    {`profiles = "fapi2 oidc"`, "", "c.toml:1: profiles = \"fapi2 oidc\": there is no profile fapi2; known are fapi1-advanced"},
		"refuses a misspelt profile":                            {`profiles = "fapi2-security fapi2-mesage-signing"`, "", "did you mean fapi2-message-signing?"},
		"refuses a profile that needs certificates":             {`profiles = "fapi1-advanced"`, "", "binds access tokens to certificates only; set listen_mtls.address"},
		"refuses a resource server twice":                       {"", "[[resource_servers]]\nidentifier = \"https://api.example\"\n[[resource_servers]]\nidentifier = \"https://api.example\"\n", "described twice"},
		"refuses a long resource server":                        {"", "[[resource_servers]]\nidentifier = \"https://api.example/" + strings.Repeat("x", 500) + "\"\n", "longer than 512 bytes"},
		"refuses a type twice":                                  {"", strings.Repeat("[[authorization_details]]\ntype = \"payment\"\nschema_file = \"p.json\"\n", 2), "authorization_details[1].type = \"payment\": described twice"},
		"refuses a type without a schema":                       {"", "[[authorization_details]]\ntype = \"payment\"\n", "either a schema_file or a ready type"},
		"refuses a type with two schemas":                       {"", "[[authorization_details]]\ntype = \"payment\"\nready = \"uk-payment\"\nschema_file = \"p.json\"\n", "either a schema_file or a ready type"},
		"refuses a misspelt ready type":                         {"", "[[authorization_details]]\ntype = \"payment\"\nready = \"uk-paymnt\"\n", "did you mean uk-payment?"},
		"refuses accounts of a login that is not there":         {"", "[[authorization_details]]\ntype = \"a\"\nready = \"berlin-group-accounts\"\naccounts = \"login\"\n", "set login.address"},
		"refuses accounts of a claims source that is not there": {"", "[[authorization_details]]\ntype = \"a\"\nready = \"berlin-group-accounts\"\naccounts = \"claims-source\"\n", "set claims_source.address"},
		"refuses a type with a space":                           {"", "[[authorization_details]]\ntype = \"a payment\"\nschema_file = \"p.json\"\n", "not the name of a type"},
		"refuses a scope of registration, misspelt":             {"", "[registration]\nscopes = \"opnid\"\n", "did you mean openid?"},
		"refuses an unknown scope of a resource":                {"", "[[resource_servers]]\nidentifier = \"https://api.example\"\nscopes = \"payments\"\n", "describe it under [[scopes]]"},
		"refuses a misspelt type of registration":               {"", "[registration]\nauthorization_details_types = \"paymnt\"\n[[authorization_details]]\ntype = \"payment\"\nschema_file = \"p.json\"\n", "did you mean payment?"},
		"refuses an unknown type of registration":               {"", "[registration]\nauthorization_details_types = \"account\"\n", "describe it under [[authorization_details]]"},
		"accepts that profile with its listener":                {`profiles = "fapi1-advanced"`, mtls, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse("c.toml", []byte(test.first+"\n"+newcomers+test.last), false)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

// Covers: FD-130. TestRefuse: problems that others find are told like those that are found here.
func TestFD130Refuse(t *testing.T) {
	c, err := parse("c.toml", []byte(newcomers), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Refuse(nil); err != nil {
		t.Errorf("nothing is %v", err)
	}
	err = c.Refuse(errors.Join(errors.New("listen.key_file: it is none"), errors.New("something else: wrong"), errors.New("listen.key_file: it is none")))
	if want := "c.toml:4: listen.key_file: it is none\nc.toml: something else: wrong"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// Covers: FD-136. TestStrictTransport: what holds for subdomains is for names that are the operator's own.
func TestFD136StrictTransport(t *testing.T) {
	for name, test := range map[string]struct{ issuer, value, want string }{
		"accepts the default on this machine": {"https://localhost:8443", "", ""},
		"accepts the host on this machine":    {"https://localhost:8443", "host", ""},
		"accepts subdomains":                  {"https://login.example", "subdomains", ""},
		"accepts preload":                     {"https://login.example", "preload", ""},
		"refuses preload on localhost":        {"https://localhost:8443", "preload", "not for an issuer on this machine"},
		"refuses subdomains of localhost":     {"https://login.localhost", "subdomains", "not for an issuer on this machine"},
		"refuses subdomains on loopback":      {"https://127.0.0.1:8443", "subdomains", "not for an issuer on this machine"},
		"refuses another word":                {"https://login.example", "always", `not one of "host", "subdomains", "preload"`},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(newcomers, "https://login.example", test.issuer, 1)
			if test.value != "" {
				text = strings.Replace(text, "[listen]\n", "[listen]\nstrict_transport_security = \""+test.value+"\"\n", 1)
			}
			_, err := parse("c.toml", []byte(text), false)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

// Covers: FD-137. TestLaxer: what protects less than the default is listed; what protects more or is as strict is not.
func TestFD137Laxer(t *testing.T) {
	lax := func(text string) []string {
		t.Helper()
		c, err := parse("c.toml", []byte(newcomers+text), false)
		if err != nil {
			t.Fatal(err)
		}
		return c.Laxer()
	}
	if got := lax(""); got != nil {
		t.Errorf("the defaults are laxer than the defaults: %q", got)
	}
	if got := lax("[ciba]\nenabled = true\nperson_burst = 1\nbinding_message = \"always\"\n[limits]\nclient_burst = 200\n"); got != nil {
		t.Errorf("stricter values are listed: %q", got)
	}
	got := lax("[ciba]\nenabled = true\nperson_burst = 6\nbinding_message = \"always_ask\"\n[limits]\nclient_per_second = 51\n[tokens]\naccess_token_lifetime = \"6m\"\n")
	slices.Sort(got)
	want := []string{
		`ciba.binding_message = "always_ask" (default "always")`, "ciba.person_burst = 6 (default 5)",
		"limits.client_per_second = 51 (default 50)", `tokens.access_token_lifetime = "6m" (default "5m")`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Covers: FD-137. TestPorts: an issuer on this machine at another port than the listener is an oversight.
func TestFD137Ports(t *testing.T) {
	for name, test := range map[string]struct {
		issuer, address string
		differ          bool
	}{
		"accepts the same port":                  {"https://localhost:8443", "127.0.0.1:8443", false},
		"accepts an ingress in front":            {"https://login.example", "0.0.0.0:8443", false},
		"accepts the usual port":                 {"https://localhost", "127.0.0.1:443", false},
		"refuses a listener that was moved":      {"https://localhost:8443", "127.0.0.1:9443", true},
		"refuses an issuer without the port":     {"https://localhost", "127.0.0.1:8443", true},
		"refuses it at an address of loopback":   {"https://127.0.0.1:8443", "0.0.0.0:9443", true},
		"accepts an address with the same port":  {"https://[::1]:8443", "[::1]:8443", false},
		"refuses it at an address of IPv6, too":  {"https://[::1]:8443", "[::1]:8444", true},
		"accepts another name, which may be one": {"https://dev.example:8443", "127.0.0.1:9443", false},
	} {
		t.Run(name, func(t *testing.T) {
			c := &Config{Issuer: test.issuer, Listen: Listen{Address: test.address}}
			if issuer, listener, differ := c.PortsDiffer(); differ != test.differ {
				t.Errorf("%s and %s differ: %v", issuer, listener, differ)
			}
		})
	}
}
