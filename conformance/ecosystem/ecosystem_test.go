package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

// server is a command that stands in for countersign: it writes down how it was called, and knows the user known alone.
const server = `#!/bin/sh
echo "$@" >> "$(dirname "$0")/calls"
[ "$1 $2" != "users show" ] || [ "$3" = known ]
`

func bench(t *testing.T, config string) (folder string, arguments []string) {
	t.Helper()
	folder = t.TempDir()
	for name, content := range map[string]string{"countersign.toml": config, "countersign": server} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return folder, []string{
		"-base", filepath.Join(folder, "countersign.toml"), "-write", filepath.Join(folder, "made.toml"), "-countersign", filepath.Join(folder, "countersign"), "-cpf", "76109277673",
	}
}

// TestConfiguration: the profiles are those of the ecosystem, the rest stays, and the user is made known.
func TestConfiguration(t *testing.T) {
	folder, arguments := bench(t, "issuer = \"https://localhost:8443\"\nprofiles = \"fapi2-security\"\n\n[ciba]\nenabled = true\nping_keys_file = \"ping.keys\"\n")
	if err := run(append(arguments, "-ecosystem", "au-connectid", "-profiles", "au-connectid/x au-connectid/y", "-user", "new"), os.Stderr); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, "made.toml"))
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Issuer, Profiles string
		CIBA             map[string]any
		Details          []map[string]string `toml:"authorization_details"`
	}
	if err := toml.Unmarshal(text, &c); err != nil || c.Issuer != "https://localhost:8443" || c.Profiles != "au-connectid/x au-connectid/y" || len(c.CIBA) != 1 ||
		len(c.Details) != 1 || c.Details[0]["type"] != "3ds:payment_authorisation" || c.Details[0]["ready"] != "connectid-card-payment" {
		t.Errorf("%+v, %v", c, err)
	}
	calls, err := os.ReadFile(filepath.Join(folder, "calls"))
	if err != nil || !strings.Contains(string(calls), "users add new ") || !strings.Contains(string(calls), " --claims ") {
		t.Errorf("%s, %v", calls, err)
	}
	if err := run(append(arguments, "-ecosystem", "brazil-openfinance", "-profiles", "brazil-openfinance/x", "-user", "known", "-organisation", "o1"), os.Stderr); err != nil {
		t.Fatal(err)
	}
	text, err = os.ReadFile(filepath.Join(folder, "made.toml"))
	if err != nil || !strings.Contains(string(text), "organisation = 'o1'") {
		t.Errorf("%s, %v", text, err)
	}
	if calls, err := os.ReadFile(filepath.Join(folder, "calls")); err != nil || !strings.Contains(string(calls), "keys generate --alg RSA-OAEP --activate ") {
		t.Errorf("%s, %v", calls, err)
	}
	err = run(append(arguments, "-ecosystem", "e", "-profiles", "e/x e/y", "-statements", "e/x", "-statements-issuer", "Its issuer", "-statements-keys", "https://keys.example/set"), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	text, err = os.ReadFile(filepath.Join(folder, "made.toml"))
	var with struct {
		Directories []struct {
			Profile, Issuer string
			Keys            string `toml:"keys_address"`
		}
		Registration struct{ Enabled bool }
	}
	if err == nil {
		err = toml.Unmarshal(text, &with)
	}
	if err != nil || len(with.Directories) != 1 || with.Directories[0].Profile != "e/x" || with.Directories[0].Issuer != "Its issuer" || with.Directories[0].Keys != "https://keys.example/set" || !with.Registration.Enabled {
		t.Errorf("%+v, %v", with, err)
	}
	if calls, err = os.ReadFile(filepath.Join(folder, "calls")); err != nil || strings.Contains(string(calls), "users add known") {
		t.Errorf("%s, %v", calls, err)
	}
}

// TestCannotConfigure: what is missing or wrong is named.
func TestCannotConfigure(t *testing.T) {
	folder, arguments := bench(t, "profiles = 1 =\n")
	all := append(arguments, "-ecosystem", "e", "-profiles", "e/x")
	all = all[:len(all):len(all)] // each gets its own end
	for name, test := range map[string]struct {
		arguments []string
		says      string
	}{
		"no ecosystem":           {arguments, "are needed"},
		"another word":           {append(all, "word"), "is not a flag"},
		"no such file":           {append(all, "-base", filepath.Join(folder, "none.toml")), "init --dev"},
		"another folder":         {append(all, "-write", "/elsewhere/made.toml"), "relative to its folder"},
		"no TOML":                {all, "countersign.toml"},
		"a flag that is unknown": {append(all, "-x"), "not defined"},
	} {
		if err := run(test.arguments, &strings.Builder{}); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "countersign.toml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(append(all, "-user", "known", "-countersign", "false"), os.Stderr); err == nil || !strings.Contains(err.Error(), "users add known") {
		t.Errorf("a server that refuses: %v", err)
	}
}
