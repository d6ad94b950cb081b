package doctor_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/internal/config"
	"countersign/internal/config/signin"
	"countersign/internal/devsetup/setuptest"
	"countersign/rp/client/providertest"
)

// Covers: KY-16. Doctor asks the provider that signs users in for its metadata, and says what it lacks, and what will not work.
func TestKY16Upstream(t *testing.T) {
	i := setuptest.New(t)
	provider := providertest.New(t)
	trusted := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(trusted, provider.AuthorityPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	examine := func(change func(*config.Login)) (string, bool) {
		t.Helper()
		c := *i.Config
		c.CIBA.Enabled = false
		c.Outbound.CAFile = config.File(trusted)
		c.Login = config.Login{
			Issuer: provider.Issuer, ClientID: providertest.ClientID, Scopes: "openid", Algorithm: "PS256", SignOut: true,
			IssuerNetworks: "127.0.0.0/8", Authentication: "private_key_jwt", AnswerWithin: config.Duration(time.Minute),
			Classes: []signin.Class{{Upstream: "urn:example:high", ACR: "urn:bank:sca", AMR: "mfa"}},
		}
		if change != nil {
			change(&c.Login)
		}
		return examined(t, &c, time.Now())
	}
	t.Run("accepts one that answers, and warns of what it does not announce", func(t *testing.T) {
		lines, failed := examine(nil)
		wants(t, lines, `ok login login.issuer answers, and its metadata fit; this server is client-1 there, with the redirect URI https://.*/login/upstream/callback`)
		wants(t, lines, `warn login the provider does not announce back-channel logout by session`)
		if strings.Contains(lines, "FAIL login") {
			t.Errorf("%v %s", failed, lines)
		}
	})
	t.Run("accepts a provider that is weaker, by name, and says so", func(t *testing.T) {
		provider.Behave(providertest.Behaviour{Metadata: func(m map[string]any) {
			delete(m, "pushed_authorization_request_endpoint")
			delete(m, "end_session_endpoint")
			m["acr_values_supported"] = []string{"other"}
			m["backchannel_logout_session_supported"] = true
		}})
		lines, _ := examine(func(l *config.Login) { l.Weak = "no_par" })
		wants(t, lines, `ok login login.issuer answers`)
		wants(t, lines, `warn login login.weak: less than the FAPI 2.0 Security Profile is asked of the provider: no_par`)
		wants(t, lines, `warn login login.classes: the provider does not announce the acr "urn:example:high"`)
		wants(t, lines, `warn login login.sign_out: the provider has no end_session_endpoint`)
		lines, _ = examine(nil)
		wants(t, lines, `FAIL login login.issuer: https://.* lacks: .*pushed_authorization_request_endpoint.*; name it in login.weak`)
	})
	t.Run("refuses one of another name, one that is away, and a key that is not there", func(t *testing.T) {
		provider.Behave(providertest.Behaviour{Metadata: func(m map[string]any) { m["issuer"] = "https://evil.example" }})
		lines, _ := examine(nil)
		wants(t, lines, `FAIL login login.issuer: .*issuer`)
		provider.Behave(providertest.Behaviour{Handle: func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusBadGateway); return true }})
		lines, _ = examine(nil)
		wants(t, lines, `FAIL login login.issuer: .*502`)
		provider.Behave(providertest.Behaviour{})
		lines, _ = examine(func(l *config.Login) { l.Algorithm = "RS256" })
		wants(t, lines, `FAIL login login.issuer_algorithm: .*countersign keys generate --alg RS256 --use login --activate`)
	})
}
