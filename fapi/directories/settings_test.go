package directories

import (
	"strings"
	"testing"
	"time"
)

// Covers: LD-26. A directory whose settings cannot be right is refused, with the key that is wrong.
func TestLD26Settings(t *testing.T) {
	good := func() Settings {
		return Settings{
			Name: "brazil", Issuer: "Open Banking Open Banking Brasil prod SSA issuer", Kind: "brazil", Profile: "brazil-openfinance",
			KeysAddress:         "https://keystore.directory.openbankingbrasil.org.br/openbanking.jwks",
			ParticipantsAddress: "https://data.directory.openbankingbrasil.org.br", Refresh: 2 * time.Minute, Outage: time.Hour, Quota: 25,
		}
	}
	if err := good().Check(); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*Settings)
		key    string
	}{
		"refuses no name":                           {func(s *Settings) { s.Name = "" }, "name"},
		"refuses a name with a colon":               {func(s *Settings) { s.Name = "a:b" }, "name"},
		"refuses an unknown kind":                   {func(s *Settings) { s.Kind = "atlantis" }, "kind"},
		"refuses keys without TLS":                  {func(s *Settings) { s.KeysAddress = "http://directory.example/jwks" }, "keys_address"},
		"refuses no keys":                           {func(s *Settings) { s.KeysAddress = "" }, "keys_address"},
		"refuses lists without TLS":                 {func(s *Settings) { s.ParticipantsAddress = "http://directory.example" }, "participants_address"},
		"refuses lists in the network of the bank":  {func(s *Settings) { s.ParticipantsAddress = "https://10.0.0.1" }, "participants_address"},
		"refuses an unknown profile":                {func(s *Settings) { s.Profile = "atlantis" }, "profile"},
		"refuses a profile without statements":      {func(s *Settings) { s.Profile = "fapi2-security" }, "profile"},
		"refuses to react more slowly than it must": {func(s *Settings) { s.Kind, s.Profile, s.Refresh = "cdr", "au-cdr", 5*time.Minute }, "refresh"},
	} {
		t.Run(name, func(t *testing.T) {
			settings := good()
			test.change(&settings)
			if err := settings.Check(); err == nil || !strings.Contains(err.Error(), ": "+test.key+": ") {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("accepts a directory without lists", func(t *testing.T) {
		settings := good()
		settings.ParticipantsAddress = ""
		if err := settings.Check(); err != nil {
			t.Error(err)
		}
	})
	t.Run("refuses two of one issuer", func(t *testing.T) {
		other := good()
		other.Name = "other"
		if _, err := New(Config{Directories: []Settings{good(), other}, Now: time.Now}); err == nil {
			t.Error("made")
		}
	})
}
