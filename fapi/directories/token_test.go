package directories

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"countersign/internal/outbound"
)

// Covers: LX-09. The lists of the United Kingdom want an access token: it is had by client_credentials, used as long as it is valid,
// and replaced when it ends or the directory does not take it any more.
func TestLX09Token(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	var asked []string
	valid, answer := "", `{"access_token":"%s","token_type":"Bearer","expires_in":300}`
	site := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/token" {
			if err := r.ParseForm(); err != nil {
				t.Error(err)
			}
			asked = append(asked, r.PostForm.Encode())
			valid = fmt.Sprint("token-", len(asked))
			fmt.Fprint(w, strings.ReplaceAll(answer, "%s", valid))
			return
		}
		if r.Header.Get("Authorization") != "Bearer "+valid {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"totalResults":1,"Resources":[{"urn:openbanking:organisation:1.0":{"OBOrganisationId":"org-1","status":"Active"}}]}`)
	}))
	t.Cleanup(site.Close)
	d := pagesOf(t, site)
	d.bearer = &bearer{
		settings: TokenSettings{Address: site.URL + "/token", ClientID: "bank", Scope: "TPPReadAccess"}, client: d.client,
		now: func() time.Time { return now },
	}
	read := func(wantAsked int) {
		t.Helper()
		got, _, err := d.readPages(t.Context(), d.shape.Lists[0])
		if err != nil || got["org-1"] != "Active" || len(asked) != wantAsked {
			t.Errorf("%v, %v, %d tokens", got, err, len(asked))
		}
	}
	t.Run("accepts the list with a token, which is used again", func(t *testing.T) {
		read(1)
		now = now.Add(4 * time.Minute)
		read(1)
		if want := "client_id=bank&grant_type=client_credentials&scope=TPPReadAccess"; asked[0] != want {
			t.Errorf("asked for %q", asked[0])
		}
	})
	t.Run("accepts it with another one before that ends", func(t *testing.T) {
		now = now.Add(45 * time.Second)
		read(2)
	})
	t.Run("accepts it with another one when that was withdrawn", func(t *testing.T) {
		valid = "other"
		read(3)
	})
	for name, body := range map[string]string{
		"refuses an answer without a token":   `{"token_type":"Bearer"}`,
		"refuses a token that is no bearer":   `{"access_token":"a","token_type":"DPoP"}`,
		"refuses what cannot be sent":         `{"access_token":"a\r\nb","token_type":"Bearer"}`,
		"refuses an answer that is no JSON":   `token`,
		"refuses a token that is none at all": `{"access_token":"","token_type":"Bearer"}`,
	} {
		t.Run(name, func(t *testing.T) {
			answer = body
			d.bearer.forget()
			if got, _, err := d.readPages(t.Context(), d.shape.Lists[0]); err == nil || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

// Covers: LX-09. Settings with a token want a certificate and a name, and no other header.
func TestLX09Settings(t *testing.T) {
	certificate := outbound.Policy{Certificate: certificateFor(t)}
	for name, test := range map[string]struct {
		settings Settings
		says     string
	}{
		"accepts a token with a certificate": {Settings{Policy: certificate, Token: TokenSettings{Address: "https://sso.example/token", ClientID: "bank"}}, ""},
		"refuses one without a certificate":  {Settings{Token: TokenSettings{Address: "https://sso.example/token", ClientID: "bank"}}, "certificate_file"},
		"refuses one without a name":         {Settings{Policy: certificate, Token: TokenSettings{Address: "https://sso.example/token"}}, "token_client_id"},
		"refuses an address without TLS":     {Settings{Policy: certificate, Token: TokenSettings{Address: "http://sso.example/token", ClientID: "bank"}}, "token_address"},
		"refuses one for no list": {Settings{
			ParticipantsAddress: "-", Policy: certificate, Token: TokenSettings{Address: "https://sso.example/token", ClientID: "bank"},
		}, "participants_address"},
		"refuses two headers": {Settings{
			Policy: certificate, Token: TokenSettings{Address: "https://sso.example/token", ClientID: "bank"}, Authorization: func() (string, error) { return "x", nil },
		}, "not both"},
	} {
		t.Run(name, func(t *testing.T) {
			s := test.settings
			s.Name, s.Kind, s.Issuer, s.Profile, s.KeysAddress = "ob", "uk", "Example", "uk-openbanking", "https://keys.example/jwks"
			switch s.ParticipantsAddress {
			case "":
				s.ParticipantsAddress = "https://directory.example"
			case "-":
				s.ParticipantsAddress = ""
			}
			err := s.Check()
			if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v", err)
			}
		})
	}
}

// Covers: LX-08. A role is lost where it is listed and nowhere as active; one that is not listed, or whose status means nothing, is not.
func TestLX08LostRoles(t *testing.T) {
	brazil := shape(t, "brazil")
	for name, test := range map[string]struct{ list, want string }{
		"accepts an active role":                       {`[{"Role":"DADOS","Status":"Active"}]`, ""},
		"accepts one that is active in another domain": {`[{"Role":"DADOS","Status":"Inactive"},{"Role":"DADOS","Status":"Active"}]`, ""},
		"accepts a status that means nothing":          {`[{"Role":"DADOS","Status":"Odd"}]`, ""},
		"accepts what is no list of roles":             {`{"Role":"DADOS"}`, ""},
		"refuses inactive ones":                        {`[{"Role":"PAGTO","Status":"Inactive"},{"Role":"DADOS","Status":"withdrawn"},{"Role":"PAGTO","Status":"Suspended"}]`, "DADOS PAGTO"},
	} {
		t.Run(name, func(t *testing.T) {
			read, err := readList(brazil.Lists[0], []byte(`[{"OrganisationId":"A","Status":"Active","OrgDomainRoleClaims":`+test.list+`}]`))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(brazil.lostRoles(read.roles["a"]), " "); got != test.want {
				t.Errorf("%q", got)
			}
		})
	}
}

// certificateFor is a certificate that is shown; it is not looked at.
func certificateFor(*testing.T) *atomic.Pointer[tls.Certificate] {
	shown := new(atomic.Pointer[tls.Certificate])
	shown.Store(new(tls.Certificate))
	return shown
}
