package admin_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/internal/admin"
	"countersign/store"
)

// Covers: FD-24. An operator is told what is misspelt, and what does not exist.
func TestFD24ClientsAdd(t *testing.T) {
	a, ctx := newAdmin(t), t.Context()
	add := func(metadata string) error {
		_, err := a.AddClient(ctx, admin.NewClient{
			ID: "app", Metadata: []byte(metadata), Replace: true, Scopes: []string{"openid", "accounts"}, Origins: []string{"https://login.example", ""},
		})
		return err
	}
	for name, test := range map[string]struct{ from, to, want string }{
		"accepts what is right":               {"", "", ""},
		"accepts members of others":           {`"client_name"`, `"org_flavour": 1, "client_name"`, ""},
		"accepts a profile":                   {`"client_name"`, `"profile": "fapi2-security", "client_name"`, ""},
		"refuses a misspelt member":           {`"client_name"`, `"token_endpoint_auth_metod": "tls_client_auth", "client_name"`, "token_endpoint_auth_metod: there is no such member; did you mean token_endpoint_auth_method?"},
		"refuses a member in other letters":   {`"client_name"`, `"Client_Uri": "x", "client_name"`, "did you mean client_uri?"},
		"refuses an unknown scope":            {"openid accounts", "openid payments", `scope: there is no scope "payments"; describe it`},
		"refuses a misspelt scope":            {"openid accounts", "openid acounts", "did you mean accounts?"},
		"refuses the server's own address":    {"https://app.example/", "https://login.example/", "own origin"},
		"refuses it spelt otherwise":          {"https://app.example/", "https://LOGIN.example:443/", "own origin"},
		"accepts another port of its machine": {"https://app.example/", "https://login.example:8443/", ""},
		"accepts a host that begins like its": {"https://app.example/", "https://login.example.org/", ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := add(strings.Replace(bank, test.from, test.to, 1))
			if test.want == "" && err != nil {
				t.Error(err)
			}
			if test.want != "" {
				refused(t, err, test.want, true)
			}
		})
	}
	t.Run("accepts the removal of a client", func(t *testing.T) {
		if err := a.RemoveClient(ctx, "app"); err != nil {
			t.Error(err)
		}
		_, err := a.Client(ctx, "app")
		refused(t, err, "there is no client", false)
	})
	t.Run("refuses to remove what is not there", func(t *testing.T) {
		refused(t, a.RemoveClient(ctx, "app"), "there is no client", false)
	})
}

// Covers: FD-30. A client and a user never share an identifier: sub of a token without a user is the client_id.
func TestFD30NoSharedSubject(t *testing.T) {
	a, ctx := newAdmin(t), t.Context()
	password := func() ([]byte, error) { return []byte("correct horse battery staple"), nil }
	user := func(name, subject string) error {
		_, err := a.AddUser(ctx, admin.NewUser{Username: name, Subject: subject}, password)
		return err
	}
	client := func(id string) error {
		_, err := a.AddClient(ctx, admin.NewClient{ID: id, Metadata: []byte(bank)})
		return err
	}
	t.Run("accepts different ones", func(t *testing.T) {
		if err := errors.Join(user("alice", "alice-1"), client("app"), user("bob", "app-1"), client("alice")); err != nil {
			t.Error(err)
		}
	})
	t.Run("refuses a client with the subject of a user", func(t *testing.T) { refused(t, client("alice-1"), "RFC 9068 §5", false) })
	t.Run("refuses a user with the client_id of a client", func(t *testing.T) { refused(t, user("carol", "app"), "RFC 9068 §5", false) })
}

// Covers: FD-131. TestFD131Clients: what a client names exists, members are written as they are called, and a change of a client
// is held to the same rules, shown, and made only as it was shown.
func TestFD131Clients(t *testing.T) {
	a, ctx := newAdmin(t), t.Context()
	wanted := func(metadata string) admin.NewClient {
		return admin.NewClient{
			ID: "app", Metadata: []byte(metadata), Scopes: []string{"openid", "accounts"}, TrustStores: []string{"bank"},
			DetailTypes: []string{"payment_initiation", "account_information"}, Resources: []string{"https://login.example", "https://api.example"},
		}
	}
	certificate := strings.Replace(bank, `"token_endpoint_auth_method": "private_key_jwt", "dpop_bound_access_tokens": true`,
		`"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": "CN=a", "tls_client_auth_trust_store": "bank", "tls_client_certificate_bound_access_tokens": true`, 1)
	with := func(member string) string { return strings.Replace(bank, `"client_name"`, member+`, "client_name"`, 1) }
	cases := map[string]struct{ metadata, want string }{
		"accepts types":                       {with(`"authorization_details_types": ["payment_initiation"]`), ""},
		"accepts resources":                   {with(`"resource_identifiers": ["https://api.example", "https://login.example"]`), ""},
		"accepts a trust store":               {certificate, ""},
		"accepts members of others":           {with(`"org_flavour": 1, "client_name#de": "Bank"`), ""},
		"refuses a misspelt type":             {with(`"authorization_details_types": ["payment_initation"]`), `authorization_details_types: there is no type "payment_initation"; did you mean payment_initiation?`},
		"refuses an unknown type":             {with(`"authorization_details_types": ["transfer"]`), "describe it in the configuration under [[authorization_details]]"},
		"refuses a type of the default":       {with(`"default_authorization_details": [{"type": "transfer"}]`), `default_authorization_details: there is no type "transfer"`},
		"refuses a misspelt resource server":  {with(`"resource_identifiers": ["https://api.exmple"]`), "did you mean https://api.example?"},
		"refuses an unknown resource server":  {with(`"resource_identifiers": ["https://other.test"]`), "describe it in the configuration under [[resource_servers]]"},
		"refuses a misspelt trust store":      {strings.Replace(certificate, `"bank"`, `"bnk"`, 1), "did you mean bank?"},
		"refuses a misspelt scope":            {strings.Replace(bank, "accounts", "acounts", 1), "did you mean accounts?"},
		"refuses camel case":                  {with(`"redirectUris": []`), "redirectUris: there is no such member; did you mean redirect_uris?"},
		"refuses hyphens":                     {with(`"token-endpoint-auth-method": "x"`), "did you mean token_endpoint_auth_method?"},
		"refuses an algorithm that is none":   {with(`"id_token_signed_response_alg": "RS256"`), "id_token_signed_response_alg"},
		"refuses the profile that is no more": {with(`"profile": "fapi3"`), `there is no profile fapi3`},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			one := wanted(test.metadata)
			one.Replace = true
			_, err := a.AddClient(ctx, one)
			if test.want == "" && err != nil {
				t.Error(err)
			}
			if test.want != "" {
				refused(t, err, test.want, true)
			}
			if _, err := a.Client(ctx, "app"); err != nil {
				return // refused as the first one
			}
			_, err = a.PlanUpdate(ctx, wanted(test.metadata))
			if test.want != "" {
				refused(t, err, test.want, true)
			} else if err != nil {
				t.Errorf("update: %v", err)
			}
		})
	}
	if got := admin.UnknownMembers([]byte(with(`"org_flavour": 1, "client_name#de": "Bank"`))); !slices.Equal(got, []string{"org_flavour"}) {
		t.Errorf("unknown members: %q", got)
	}

	first := wanted(bank)
	first.Replace = true
	before, err := a.AddClient(ctx, first)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("accepts the same in another spelling as no change", func(t *testing.T) {
		planned, err := a.PlanUpdate(ctx, wanted(strings.ReplaceAll(bank, ": ", ":\n  ")))
		if err != nil || len(planned.Changes) > 0 {
			t.Errorf("%q, %v", planned.Changes, err)
		}
	})
	changed := strings.Replace(strings.Replace(bank, `"Bank"`, `"Bank & Sons"`, 1), `"scope": "openid accounts"`, `"scope": "openid", "policy_uri": "https://bank.example/p"`, 1)
	t.Run("accepts a change, and shows it", func(t *testing.T) {
		planned, err := a.PlanUpdate(ctx, wanted(changed))
		want := []string{
			`- client_name: "Bank"`, `+ client_name: "Bank & Sons"`, `+ policy_uri: "https://bank.example/p"`,
			`- scope: "openid accounts"`, `+ scope: "openid"`,
		}
		if err != nil || !slices.Equal(planned.Changes, want) {
			t.Fatalf("%q, %v", planned.Changes, err)
		}
		if now, err := a.Client(ctx, "app"); err != nil || now.Version != before.Version {
			t.Errorf("planning changed it: %+v, %v", now, err)
		}
		if err := a.Update(ctx, planned); err != nil {
			t.Fatal(err)
		}
		if now, err := a.Client(ctx, "app"); err != nil || now.Version != before.Version+1 || !strings.Contains(string(now.Metadata), "Bank & Sons") {
			t.Errorf("%+v, %v", now, err)
		}
	})
	t.Run("refuses a change that was planned before another", func(t *testing.T) {
		one, err := a.PlanUpdate(ctx, wanted(bank))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.SetClientDisabled(ctx, "app", true); err != nil {
			t.Fatal(err)
		}
		refused(t, a.Update(ctx, one), "was changed by somebody else", false)
	})
	t.Run("accepts a change of a disabled client, which stays disabled and keeps its profile", func(t *testing.T) {
		planned, err := a.PlanUpdate(ctx, wanted(bank))
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Update(ctx, planned); err != nil {
			t.Fatal(err)
		}
		if now, err := a.Client(ctx, "app"); err != nil || !now.Disabled || now.Profile != before.Profile {
			t.Errorf("%+v, %v", now, err)
		}
	})
	t.Run("refuses what is not there", func(t *testing.T) {
		other := wanted(bank)
		other.ID = "other"
		_, err := a.PlanUpdate(ctx, other)
		refused(t, err, `there is no client "other"`, false)
	})
}

// Covers: FD-131. TestFD131Removal: what ends with a client is counted, and in the audit log with who removed it.
func TestFD131Removal(t *testing.T) {
	a, ctx := newAdmin(t), t.Context()
	if _, err := a.AddClient(ctx, admin.NewClient{ID: "app", Metadata: []byte(bank)}); err != nil {
		t.Fatal(err)
	}
	grant := func(id, client string, ends time.Time) {
		t.Helper()
		token := store.AccessToken{ID: store.DigestOf(id), GrantID: id, ExpiresAt: ends}
		g := store.Grant{ID: id, ClientID: client, Subject: "alice-1", Scopes: []string{"openid"}, CreatedAt: now.Add(-time.Hour), ExpiresAt: ends}
		if err := a.Store.IssueToken(ctx, g, token); err != nil {
			t.Fatal(err)
		}
	}
	grant("one", "app", now.Add(time.Hour))
	grant("two", "app", now.Add(time.Hour))
	grant("over", "app", now.Add(-time.Minute))
	grant("another's", "other", now.Add(time.Hour))
	ends, err := a.Holdings(ctx, "app")
	if want := "2 active grants with their codes and tokens, 0 consents, and every request under way"; err != nil || ends.String() != want {
		t.Errorf("%s, %v", ends, err)
	}
	if err := a.RemoveClient(ctx, "app"); err != nil {
		t.Fatal(err)
	}
	last := events(t, a)
	if got := last[len(last)-1]; got["event"] != "client_deleted" || got["grants"] != "2" || got["by"] != "operator@test" {
		t.Errorf("the audit log: %v", got)
	}
	for id, active := range map[string]bool{"one": false, "two": false, "another's": true} {
		if _, err := a.Store.AccessGrant(ctx, store.DigestOf(id)); (err == nil) != active {
			t.Errorf("the token of %s: %v", id, err)
		}
	}
}
