package registration_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/fapitest"
	"countersign/store"
)

// Covers: FD-23, FD-88. Clients register by habit what they do not need: it is left out, and the answer says what is registered.
func TestFD23Habits(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.AllProfiles, fapitest.WithRegistration)
	token := fapitest.RandomString() + fapitest.RandomString()
	err := w.Store.PutInitialToken(t.Context(), store.InitialToken{
		ID: store.DigestOf(token), Organisation: "Ecosystem", Profile: "fapi1-advanced", Remaining: 100,
		CreatedAt: w.Clock.Now(), ExpiresAt: w.Clock.Now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	c := w.Applicant(nil)
	reported := func(name string, change func(map[string]any)) map[string]any {
		t.Helper()
		text, err := os.ReadFile("testdata/habits/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var body map[string]any
		text = bytes.ReplaceAll(text, []byte("payments"), []byte("consents")) // the tests' server has payments
		if err := json.Unmarshal(text, &body); err != nil {
			t.Fatal(err)
		}
		if change != nil {
			change(body)
		}
		return body
	}
	set := func(name string, value any) func(map[string]any) {
		return func(m map[string]any) { m[name] = value }
	}
	code, hybrid := []any{"code"}, []any{"code id_token"}
	for name, test := range map[string]struct {
		body   map[string]any
		member string
		want   any
	}{
		"implicit":                    {reported("dcr-implicit", nil), "grant_types", []any{"authorization_code", "refresh_token", "client_credentials"}},
		"an unknown scope":            {reported("dcr-unknown-scope", nil), "scope", "openid accounts"},
		"an unknown scope, twice":     {reported("dcr-unknown-scope", set("scope", " consents  openid consents")), "scope", "openid"},
		"a subject":                   {reported("dcr-subject-dn-beside-private-key-jwt", nil), "tls_client_auth_subject_dn", nil},
		"a subject that is none":      {reported("dcr-subject-dn-beside-private-key-jwt", set("tls_client_auth_subject_dn", "?")), "tls_client_auth_subject_dn", nil},
		"words far apart":             {reported("dcr-implicit", set("response_types", []any{" id_token  code"})), "response_types", hybrid},
		"another subject":             {reported("dcr-implicit", set("tls_client_auth_san_dns", "tpp.example")), "tls_client_auth_san_dns", nil},
		"the other order":             {reported("dcr-implicit", set("response_types", []any{"id_token code"})), "response_types", hybrid},
		"both orders":                 {reported("dcr-implicit", set("response_types", []any{"id_token code", "code id_token"})), "response_types", hybrid},
		"all that it may, in a list":  {reported("dcr-implicit", set("response_types", []any{"id_token code", "code"})), "response_types", append(hybrid, code...)},
		"what the profile has anyway": {reported("dcr-implicit", set("grant_types", []any{"authorization_code"})), "grant_types", []any{"authorization_code"}},
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			r := c.RegisteredSelf(token, test.body)
			if diff := cmp.Diff(test.want, r.Body[test.member]); diff != "" {
				t.Error(diff)
			}
			record, err := w.Store.Client(t.Context(), r.Text("client_id"))
			if err != nil {
				t.Fatal(err)
			}
			var stored map[string]any
			if err := json.Unmarshal(record.Metadata, &stored); err != nil || cmp.Diff(test.want, stored[test.member]) != "" {
				t.Errorf("stored %s, %v", record.Metadata, err)
			}
		})
	}
	for name, test := range map[string]struct {
		body map[string]any
		code string
	}{
		"implicit beside code alone":          {reported("dcr-implicit", set("response_types", code)), "invalid_client_metadata"},
		"implicit without authorization_code": {reported("dcr-implicit", set("grant_types", []any{"implicit"})), "invalid_client_metadata"},
		"id_token alone":                      {reported("dcr-implicit", set("response_types", []any{"id_token"})), "invalid_client_metadata"},
		"a token through the browser":         {reported("dcr-implicit", set("response_types", []any{"token code id_token"})), "invalid_client_metadata"},
		"the password grant beside it":        {reported("dcr-implicit", set("grant_types", []any{"authorization_code", "implicit", "password"})), "invalid_client_metadata"},
		"unknown scopes alone":                {reported("dcr-unknown-scope", set("scope", "consents everything")), "invalid_client_metadata"},
		"a scope that is known, and not its":  {reported("dcr-unknown-scope", set("scope", "openid payments")), "invalid_client_metadata"},
		"no scope at all":                     {reported("dcr-unknown-scope", set("scope", " ")), "invalid_client_metadata"},
		"a subject that is wrong where needed": {reported("dcr-subject-dn-beside-private-key-jwt", func(m map[string]any) {
			m["token_endpoint_auth_method"], m["tls_client_auth_subject_dn"] = "tls_client_auth", "?"
		}), "invalid_client_metadata"},
		"two subjects where one is needed": {reported("dcr-subject-dn-beside-private-key-jwt", func(m map[string]any) {
			m["token_endpoint_auth_method"], m["tls_client_auth_san_dns"] = "tls_client_auth", "tpp.example"
		}), "invalid_client_metadata"},
		"the server's own origin for certificates": {reported("dcr-implicit", set("redirect_uris", []any{w.MTLSIssuer + "/cb"})), "invalid_redirect_uri"},
		"the server's own origin in capitals, beside another": {reported("dcr-implicit", set("redirect_uris", []any{
			"https://client.example/cb", strings.Replace(w.Issuer, "localhost", "LOCALHOST", 1) + "/x",
		})), "invalid_redirect_uri"},
		"the server's own origin": {reported("dcr-implicit", set("redirect_uris", []any{w.Issuer + "/cb"})), "invalid_redirect_uri"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			fapitest.WantError(t, c.RegisterSelf(token, test.body), http.StatusBadRequest, test.code)
		})
	}
	t.Run("refuses by a change what it refuses at registration, and accepts what it accepts", func(t *testing.T) {
		registered := c.RegisteredSelf(token, reported("dcr-implicit", nil))
		address, access := registered.Text("registration_client_uri"), registered.Text("registration_access_token")
		changed := func(change func(map[string]any)) fapitest.Reply {
			body := reported("dcr-implicit", change)
			body["client_id"] = registered.Text("client_id")
			return c.SendJSON(http.MethodPut, address, access, body, nil)
		}
		fapitest.WantError(t, changed(set("redirect_uris", []any{w.Issuer + "/cb"})), http.StatusBadRequest, "invalid_redirect_uri")
		fapitest.WantError(t, changed(set("grant_types", []any{"authorization_code", "implicit", "password"})), http.StatusBadRequest, "invalid_client_metadata")
		r := changed(set("scope", "openid accounts nonsense"))
		if r.Status != http.StatusOK || r.Text("scope") != "openid accounts" || cmp.Diff(registered.Body["grant_types"], r.Body["grant_types"]) != "" {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
	for _, kind := range []string{"application/json;charset=utf8", `application/json; charset="UTF-8"`, "application/json; charset=iso-8859-1", "application/json; profile=x", "Application/JSON"} {
		t.Run("accepts "+kind, func(t *testing.T) {
			r := c.SendJSON(http.MethodPost, w.Issuer+"/register", token, reported("dcr-implicit", nil), func(r *http.Request) { r.Header.Set("Content-Type", kind) })
			if r.Status != http.StatusCreated {
				t.Errorf("%d %s", r.Status, r.Raw)
			}
		})
	}
}
