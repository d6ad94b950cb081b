package config

import (
	"strings"
	"testing"
)

// Covers: LD-26. A directory needs registration, and a profile that is offered and knows of statements; what cannot be right is
// named by its key.
func TestLD26Directories(t *testing.T) {
	base := strings.Replace(strings.TrimRight(read(t, "testdata/good.toml"), "\n"), `profiles = "`, `profiles = "brazil-openfinance `, 1) + "\n"
	if !strings.Contains(base, "brazil-openfinance") {
		base = "profiles = \"fapi2-security brazil-openfinance\"\n" + base
	}
	one := func(change ...string) string {
		values := map[string]string{
			"name": `"brazil"`, "kind": `"brazil"`, "issuer": `"Open Banking Open Banking Brasil prod SSA issuer"`, "profile": `"brazil-openfinance"`,
			"keys_address": `"https://keystore.directory.openbankingbrasil.org.br/openbanking.jwks"`,
		}
		for i := 0; i < len(change); i += 2 {
			values[change[i]] = change[i+1]
		}
		var out strings.Builder
		out.WriteString("\n[[directories]]\n")
		for _, key := range []string{"name", "kind", "issuer", "profile", "keys_address", "participants_address", "networks", "trust_store", "refresh", "outage", "authorization_file", "certificate_file"} {
			if value, ok := values[key]; ok && value != "" {
				out.WriteString(key + " = " + value + "\n")
			}
		}
		return out.String()
	}
	_, documented, _ := strings.Cut(read(t, "../../docs/directory.md"), "```toml\n")
	documented, _, _ = strings.Cut(documented, "```")
	const registration = "\n[registration]\nenabled = true\n"
	for name, test := range map[string]struct{ settings, wrong string }{
		"accepts one":                               {registration + one(), ""},
		"accepts one with lists":                    {registration + one("participants_address", `"https://data.directory.openbankingbrasil.org.br"`), ""},
		"accepts that of docs/directory.md":         {strings.ReplaceAll(documented, "profiles = \"brazil-openfinance\"\n", ""), ""},
		"refuses one without registration":          {one(), "directories[0].name"},
		"refuses one without a profile":             {registration + one("profile", ""), "directories[0].profile"},
		"refuses a profile that is not offered":     {registration + one("profile", `"uk-openbanking"`), "directories[0].profile"},
		"refuses an unknown kind":                   {registration + one("kind", `"atlantis"`), "directories[0].kind"},
		"refuses two of one name":                   {registration + one() + one("issuer", `"other"`), "directories[1].name"},
		"refuses two of one issuer":                 {registration + one() + one("name", `"other"`), "directories[1].issuer"},
		"refuses networks that are none":            {registration + one("networks", `"here"`), "directories[0].networks"},
		"refuses a trust store that is none":        {registration + one("trust_store", `"here"`), "directories[0].trust_store"},
		"refuses an outage of a month":              {registration + one("outage", `"30d"`), "directories[0].outage"},
		"refuses a header for lists that are none":  {registration + one("authorization_file", `"token.txt"`), "directories[0].authorization_file"},
		"refuses a certificate without its own key": {registration + one("certificate_file", `"directory.crt"`), "directories[0].key_file"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse("c.toml", []byte(base+test.settings), false)
			if test.wrong == "" && err != nil || test.wrong != "" && (err == nil || !strings.Contains(err.Error(), test.wrong)) {
				t.Errorf("%v", err)
			}
		})
	}
}
