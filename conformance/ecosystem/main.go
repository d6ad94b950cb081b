// Command ecosystem writes a configuration of the server for the plans of one ecosystem, from the one that
// `countersign init --dev` made: with the profiles of the ecosystem and no others.
//
//	go run ./conformance/ecosystem -base local/countersign.toml -ecosystem uk-openbanking -profiles uk-openbanking/fapi1-advanced -write local/countersign.uk-openbanking.toml
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "ecosystem:", err)
		os.Exit(1)
	}
}

func run(arguments []string, stderr io.Writer) error {
	f := flag.NewFlagSet("ecosystem", flag.ContinueOnError)
	f.SetOutput(stderr)
	base := f.String("base", "local/countersign.toml", "`file` that countersign init --dev made")
	name := f.String("ecosystem", "", "the server's `name` of the ecosystem")
	profiles := f.String("profiles", "", "`names` of the profiles that the plans need, separated by spaces")
	user := f.String("user", "", "`name` of the user of the plans, who is added with the password of the demo if the server does not know them")
	cpf := f.String("cpf", "", "`number` (CPF) of the user in Brazil")
	organisation := f.String("organisation", "", "`UUID` of the bank in the directory of the ecosystem")
	command := f.String("countersign", "bin/countersign", "`command` of the server")
	statements := f.String("statements", "", "`profile` of clients that register with the statements of the ecosystem's directory")
	issuer := f.String("statements-issuer", "", "`issuer` of these statements")
	keys := f.String("statements-keys", "", "`address` of the key set of their issuer")
	write := f.String("write", "", "`file` to write, in the same folder")
	if err := f.Parse(arguments); err != nil {
		return err
	}
	switch {
	case f.NArg() > 0:
		return fmt.Errorf("%q is not a flag", f.Arg(0))
	case *name == "" || *profiles == "" || *write == "":
		return errors.New("-ecosystem, -profiles and -write are needed")
	case filepath.Dir(*write) != filepath.Dir(*base):
		return fmt.Errorf("-write: names of files in a configuration are relative to its folder, %s", filepath.Dir(*base))
	}
	text, err := os.ReadFile(*base)
	if err != nil {
		return fmt.Errorf("%w; countersign init --dev makes it", err)
	}
	c := map[string]any{}
	if err := toml.Unmarshal(text, &c); err != nil {
		return fmt.Errorf("%s: %w", *base, err)
	}
	changed, err := toml.Marshal(configure(c, asked{*name, *profiles, *organisation, *statements, *issuer, *keys}))
	if err != nil {
		return err
	}
	if err := os.WriteFile(*write, changed, 0o600); err != nil {
		return err
	}
	server := program{strings.Fields(*command), *write}
	return errors.Join(server.addUser(*user, *cpf, *name), server.addKey(*name))
}

// program is the command of the server with a configuration.
type program struct {
	words  []string
	config string
}

// call runs the command, and returns what it printed.
func (p program) call(arguments ...string) (string, error) {
	words := append(append(p.words[:len(p.words):len(p.words)], arguments...), "--config", p.config)
	output, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, strings.TrimSpace(string(output)))
	}
	return string(output), nil
}

// addKey makes the key to which requests are encrypted in an ecosystem, if there is none: SoftHSM2, which the server of the plans has,
// does RSA-OAEP with SHA-1 alone, which Brazil names (Open Finance Brasil FAPI Security Profile §6.1.1-1).
func (p program) addKey(ecosystem string) error {
	if !strings.HasPrefix(ecosystem, "brazil-") {
		return nil
	}
	listed, err := p.call("keys", "list")
	if err != nil || strings.Contains(listed, " RSA-OAEP ") {
		return err
	}
	_, err = p.call("keys", "generate", "--alg", "RSA-OAEP", "--activate")
	return err
}

// The user's name and address.
const fullName, email = "Alice Middle Example", "alice@example.com"

// addUser adds the user of the plans, if the server does not know them: with the password of the demo, and with what the suite and
// the ecosystem want to know of them.
func (p program) addUser(user, cpf, ecosystem string) error {
	if user == "" {
		return nil
	}
	if _, err := p.call("users", "show", user); err == nil {
		return nil
	}
	claims := map[string]any{
		"given_name": "Alice", "middle_name": "Middle", "family_name": "Example", "nickname": "Al", "preferred_username": "alice", "gender": "not told",
		"profile": "https://people.example/alice", "picture": "https://people.example/alice.png", "website": "https://alice.example",
		"birthdate": "1990-02-28", "zoneinfo": "Europe/London", "locale": "en-GB", "phone_number": "+61 400 000 000", "phone_number_verified": true,
		"email_verified": true, "updated_at": 1767225600, "address": map[string]string{"formatted": "1 Example Street\nSydney NSW 2000", "country": "AU"},
	}
	if strings.HasPrefix(ecosystem, "brazil-") && cpf != "" {
		claims["cpf"] = cpf
	}
	if ecosystem == "ksa-sama" { // the consents of the suite are for the user who is named so
		claims["national_id"] = user
	}
	if ecosystem == "au-connectid" { // OpenID Connect for Identity Assurance 1.0 §5, with the claims of ConnectID
		claims["verified_claims"] = map[string]any{"verification": map[string]string{"trust_framework": "au_connectid"}, "claims": map[string]any{
			"over16": true, "over18": true, "over21": true, "over25": true, "over65": false,
			"beneficiary_account_au":            map[string]string{"beneficiary_name": fullName, "account_bsb": "100200", "account_number": "12345678"},
			"beneficiary_account_au_payid":      map[string]string{"beneficiary_name": fullName, "payid": email, "payid_type": "email"},
			"beneficiary_account_international": map[string]string{"beneficiary_name": fullName, "bic_swift_code": "CTBAAU2S", "account_number_iban": "12345678"},
		}}
	}
	encoded, err := json.Marshal(claims)
	if err != nil {
		return err
	}
	file := p.config + ".claims.json"
	if err := os.WriteFile(file, encoded, 0o600); err != nil {
		return err
	}
	defer os.Remove(file)
	_, err = p.call("users", "add", user, "--name", fullName, "--email", email,
		"--password-file", filepath.Join(filepath.Dir(p.config), "demo", "password"), "--claims", file)
	return err
}

// asked is what a configuration is for.
type asked struct {
	name, profiles, organisation string
	// statements is the profile of clients that register with statements of an issuer, which are signed with a key at an address.
	statements, issuer, keys string
}

// configure changes what an ecosystem asks of an operator, beyond the name of its preset.
func configure(c map[string]any, a asked) map[string]any {
	c["profiles"] = a.profiles
	tokens := table(c, "tokens")
	switch a.name {
	case "au-connectid": // its CIBA is polled, and ping would be offered in the metadata
		delete(table(c, "ciba"), "ping_keys_file")
		types, _ := c["authorization_details"].([]any)
		c["authorization_details"] = append(types, map[string]any{"type": "3ds:payment_authorisation", "ready": "connectid-card-payment"})
	case "brazil-openfinance", "brazil-openinsurance": // 300 to 900 s, and the least is refused after it was counted
		tokens["access_token_lifetime"] = "10m"
		table(c, "consents")["organisation"] = a.organisation // signs for the bank
	}
	if a.statements != "" {
		c["directories"] = []any{map[string]any{
			"name": a.name, "kind": "brazil", "profile": a.statements, "issuer": a.issuer, "keys_address": a.keys, "quota": 1000,
			"networks": "127.0.0.0/8 ::1/128", // a stand-in on this machine
		}}
		table(c, "registration")["enabled"] = true
	}
	return c
}

// table is a table of the configuration, made where there is none.
func table(c map[string]any, name string) map[string]any {
	found, ok := c[name].(map[string]any)
	if !ok {
		found = map[string]any{}
		c[name] = found
	}
	return found
}
