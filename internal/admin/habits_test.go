package admin_test

import (
	"errors"
	"strings"
	"testing"

	"countersign/internal/admin"
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
