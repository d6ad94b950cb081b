package registration_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/examples/directory/standin"
	"countersign/fapi/fapitest"
	"countersign/internal/jose"
	"countersign/store"
)

const brazil = "brazil-openfinance"

// Covers: LD-01, LD-02, LD-03, LD-05, DR-02. A statement is one of the directory's, signed by it, of now, and of somebody who takes part.
func TestLD01Statement(t *testing.T) {
	t.Parallel()
	e := newEcosystem(t, standin.Brazil, brazil)
	other, err := standin.New(standin.Brazil, "Example directory", e.Clock.Now) // the same name, another key
	if err != nil {
		t.Fatal(err)
	}
	other.Address = e.directory.Address
	other.SetOrganisation(participant, "Active")
	other.SetSoftware(e.software)
	foreign, err := other.Statement(application, nil)
	if err != nil {
		t.Fatal(err)
	}
	good := e.statement(nil)
	header, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	now := e.Clock.Now()
	changed := base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"Example directory","software_id":"mine","org_id":"mine","iat":` + json.Number("1800000000").String() + `}`))
	es256 := e.applicant.Sign(fapitest.NewKey(t, jose.ES256), "JWT", fapitest.Claims{"iss": "Example directory", "iat": now.Unix()})
	made := func(change func(map[string]any)) string { return e.statement(change) }
	set := func(name string, value any) string { return made(func(m map[string]any) { m[name] = value }) }
	for name, test := range map[string]struct {
		statement any
		code      string
	}{
		"refuses one without a signature":      {header + "." + payload + ".", "invalid_software_statement"},
		"refuses one that says alg none":       {"eyJhbGciOiJub25lIn0." + payload + ".", "invalid_software_statement"},
		"refuses one with another payload":     {header + "." + changed + "." + signature, "invalid_software_statement"},
		"refuses one of another key":           {foreign, "invalid_software_statement"},
		"refuses one of an algorithm too many": {es256, "invalid_software_statement"},
		"refuses one that is no text":          {map[string]any{"iss": "Example directory"}, "invalid_software_statement"},
		"refuses one of another directory":     {set("iss", "Another directory"), "unapproved_software_statement"},
		"refuses one without iss":              {set("iss", nil), "invalid_software_statement"},
		"refuses one without iat":              {set("iat", nil), "invalid_software_statement"},
		"refuses one of 5 minutes and 1 s ago": {set("iat", now.Add(-5*time.Minute-time.Second).Unix()), "invalid_software_statement"},
		"refuses one of a minute ahead":        {set("iat", now.Add(time.Minute).Unix()), "invalid_software_statement"},
		"refuses one that has expired":         {set("exp", now.Unix()), "invalid_software_statement"},
		"refuses one that is not valid yet":    {set("nbf", now.Add(time.Minute).Unix()), "invalid_software_statement"},
		"refuses one without the software":     {set("software_id", nil), "invalid_software_statement"},
		"refuses one of who has withdrawn":     {set("org_status", "Withdrawn"), "unapproved_software_statement"},
		"refuses one of an unknown status":     {set("org_status", "Gone fishing"), "unapproved_software_statement"},
	} {
		t.Run(name, func(t *testing.T) {
			e.refuses(t, e.applicant, e.brazilian(with(map[string]any{"software_statement": test.statement})), http.StatusBadRequest, test.code)
		})
	}
	t.Run("refuses a request without one", func(t *testing.T) {
		body := e.brazilian(nil)
		delete(body, "software_statement")
		e.refuses(t, e.applicant, body, http.StatusBadRequest, "invalid_software_statement")
		token := e.InitialToken("Bank", 5)
		fapitest.WantError(t, e.applicant.RegisterSelf(token, body), http.StatusBadRequest, "invalid_software_statement")
	})
	t.Run("accepts one of 5 minutes ago", func(t *testing.T) {
		at := set("iat", now.Add(-5*time.Minute).Unix())
		e.applicant.RegisteredSelf("", e.brazilian(with(map[string]any{"software_statement": at})))
	})
	t.Run("accepts one with a token, whose holder the client belongs to", func(t *testing.T) {
		r := e.applicant.RegisteredSelf(e.InitialToken("Holder", 1), e.brazilian(nil))
		record, err := e.Store.Client(t.Context(), r.Text("client_id"))
		if err != nil || record.Organisation != "Holder" || record.Directory.Software != application {
			t.Errorf("%+v, %v", record, err)
		}
	})
}

// Covers: LD-04, LD-05. A statement is used once, and only by what it registered.
func TestLD04Replay(t *testing.T) {
	t.Parallel()
	e := newEcosystem(t, standin.Brazil, brazil, func(c *fapitest.Config) { c.Directories[0].Quota = 10 })
	body := e.brazilian(nil)
	t.Run("accepts one again that was refused for something else", func(t *testing.T) {
		wrong := e.brazilian(with(map[string]any{"software_statement": body["software_statement"], "redirect_uris": []string{"https://else.example/"}}))
		e.refuses(t, e.applicant, wrong, http.StatusBadRequest, "invalid_redirect_uri")
		e.applicant.RegisteredSelf("", body)
	})
	t.Run("refuses one that was used", func(t *testing.T) {
		e.refuses(t, e.applicant, body, http.StatusBadRequest, "invalid_software_statement")
		e.refuses(t, e.applicant, body, http.StatusBadRequest, "invalid_software_statement")
	})
	t.Run("refuses one without a jti that was used", func(t *testing.T) { // as Open Finance Brasil's directory issues them
		body := e.brazilian(with(map[string]any{"software_statement": e.statement(with(map[string]any{"jti": nil}))}))
		e.applicant.RegisteredSelf("", body)
		e.refuses(t, e.applicant, body, http.StatusBadRequest, "invalid_software_statement")
	})
	t.Run("refuses all but one of many at once", func(t *testing.T) {
		e := newEcosystem(t, standin.Brazil, brazil)
		body := e.brazilian(nil)
		calls := make([]func() fapitest.Reply, 8)
		for i := range calls {
			calls[i] = func() fapitest.Reply { return e.applicant.RegisterSelf("", body) }
		}
		registered := 0
		for _, r := range fapitest.Concurrently(calls...) {
			if r.Status == http.StatusCreated {
				registered++
			} else {
				fapitest.WantError(t, r, http.StatusBadRequest, "invalid_software_statement")
			}
		}
		if registered != 1 || e.clients() != 1 {
			t.Errorf("%d registered, %d stored", registered, e.clients())
		}
	})
}

// Covers: LD-07, LD-08, LD-15, DR-07. What the statement says counts, and what the client says of itself only within it.
func TestLD07Metadata(t *testing.T) {
	t.Parallel()
	e := newEcosystem(t, standin.Brazil, brazil)
	for name, test := range map[string]struct {
		members map[string]any
		code    string
	}{
		"refuses keys by value":             {map[string]any{"jwks": json.RawMessage(`{"keys":[` + string(e.key.PublicJWK()) + `]}`), "jwks_uri": nil}, "invalid_client_metadata"},
		"refuses keys elsewhere":            {map[string]any{"jwks_uri": "https://else.example/jwks"}, "invalid_client_metadata"},
		"refuses another redirect URI":      {map[string]any{"redirect_uris": []string{callback, "https://else.example/"}}, "invalid_redirect_uri"},
		"refuses no redirect URI":           {map[string]any{"redirect_uris": nil}, "invalid_redirect_uri"},
		"refuses other software":            {map[string]any{"software_id": "other"}, "invalid_client_metadata"},
		"refuses a scope of another role":   {map[string]any{"scope": "openid payments"}, "invalid_client_metadata"},
		"refuses redirect URIs of no type":  {map[string]any{"redirect_uris": 7}, "invalid_redirect_uri"},
		"refuses a secret that it would be": {map[string]any{"token_endpoint_auth_method": "client_secret_basic"}, "invalid_client_metadata"},
	} {
		t.Run(name, func(t *testing.T) {
			e.refuses(t, e.applicant, e.brazilian(with(test.members)), http.StatusBadRequest, test.code)
		})
	}
	t.Run("refuses a statement with values of another type", func(t *testing.T) {
		strange := e.statement(with(map[string]any{"software_client_name": 7, "software_client_uri": []string{"https://client.example"}}))
		e.refuses(t, e.applicant, e.brazilian(with(map[string]any{"software_statement": strange})), http.StatusBadRequest, "invalid_software_statement")
	})
	t.Run("refuses a role that is not active", func(t *testing.T) {
		inactive := e.statement(with(map[string]any{"software_statement_roles": []map[string]string{{"role": "DADOS", "status": "Inactive"}}}))
		e.refuses(t, e.applicant, e.brazilian(with(map[string]any{"software_statement": inactive})), http.StatusBadRequest, "invalid_client_metadata")
	})
	t.Run("accepts the statement's values in place of the client's", func(t *testing.T) {
		body := e.brazilian(with(map[string]any{"client_name": "Another bank", "client_name#pt-BR": "Outro banco", "jwks_uri": nil, "logo_uri": "https://else.example/logo.png"}))
		r := e.applicant.RegisteredSelf("", body)
		if r.Text("client_name") != "Example accounting" || r.Text("jwks_uri") != e.directory.Address+"/software/"+application+"/jwks" {
			t.Errorf("%s", r.Raw)
		}
		if strings.Contains(r.Raw, "Outro banco") {
			t.Errorf("a name that nobody vouched for: %s", r.Raw)
		}
		if r.Text("software_statement") != body["software_statement"] || r.Text("software_id") != application {
			t.Errorf("the statement is not returned as it was (RFC 7591 §3.2.1): %s", r.Raw)
		}
		scopes := strings.Fields(r.Text("scope"))
		if !slices.Contains(scopes, "accounts") || !slices.Contains(scopes, "consents") || slices.Contains(scopes, "payments") {
			t.Errorf("the role has %q", scopes)
		}
		if r.Body["tls_client_certificate_bound_access_tokens"] != true || r.Text("id_token_encrypted_response_alg") != "RSA-OAEP" ||
			r.Text("id_token_encrypted_response_enc") != "A256GCM" {
			t.Errorf("%s", r.Raw)
		}
		record, err := e.Store.Client(t.Context(), r.Text("client_id"))
		want := store.DirectoryEntry{Directory: "example", Organisation: participant, Software: application, Subject: record.Directory.Subject}
		if err != nil || record.Directory != want || record.Organisation != "directory:example:"+participant || record.Profile != brazil {
			t.Errorf("%+v, %v", record, err)
		}
	})
	t.Run("accepts a scope within its roles", func(t *testing.T) {
		r := e.applicant.RegisteredSelf("", e.brazilian(with(map[string]any{"scope": "openid accounts"})))
		if r.Text("scope") != "openid accounts" {
			t.Errorf("%s", r.Raw)
		}
		e.registered(r)
	})
	t.Run("refuses more clients than the participant may have", func(t *testing.T) {
		e.refuses(t, e.applicant, e.brazilian(nil), http.StatusForbidden, "access_denied")
	})
}
