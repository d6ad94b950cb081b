package registration_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
)

// TestDR03Mistakes: each wrong request is refused with the code of RFC 7591 §3.2.2 and says what is wrong.
func TestDR03Mistakes(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithRegistration)
	token := w.InitialToken("Bank", 100)
	c := w.Applicant(nil)
	key := fapitest.NewKey(t, jose.ES256)
	set := func(name string, value any) map[string]any {
		return fapitest.RegistrationRequest(key, func(m map[string]any) { m[name] = value })
	}
	unset := func(name string) map[string]any {
		return fapitest.RegistrationRequest(key, func(m map[string]any) { delete(m, name) })
	}
	for name, test := range map[string]struct {
		body any
		code string // "" if it is accepted
		says string
	}{
		"accepts it as it is":                            {fapitest.RegistrationRequest(key, nil), "", ""},
		"accepts members that it does not know":          {set("flavour", "vanilla"), "", ""},
		"accepts a client_id and chooses another":        {set("client_id", "mine"), "", ""},
		"accepts null as nothing":                        {set("software_statement", nil), "", ""},
		"refuses redirect_uris over http":                {set("redirect_uris", []string{"http://client.example/"}), "invalid_redirect_uri", "not https"},
		"refuses one wrong of two redirect_uris":         {set("redirect_uris", []string{"https://client.example/", "https://client.example/#a"}), "invalid_redirect_uri", "fragment"},
		"refuses no redirect_uris":                       {unset("redirect_uris"), "invalid_redirect_uri", "missing"},
		"refuses redirect_uris of another type":          {set("redirect_uris", "https://client.example/"), "invalid_redirect_uri", "JSON type"},
		"refuses a secret":                               {set("token_endpoint_auth_method", "client_secret_basic"), "invalid_client_metadata", "token_endpoint_auth_method"},
		"refuses a public client":                        {set("token_endpoint_auth_method", "none"), "invalid_client_metadata", "token_endpoint_auth_method"},
		"refuses the implicit grant":                     {set("grant_types", []string{"implicit"}), "invalid_client_metadata", "grant_types"},
		"refuses the password grant":                     {set("grant_types", []string{"password", "authorization_code"}), "invalid_client_metadata", "grant_types"},
		"refuses response type token":                    {set("response_types", []string{"token"}), "invalid_client_metadata", "response_types"},
		"refuses a client for no grant":                  {set("grant_types", []string{}), "invalid_client_metadata", "grant_types"},
		"refuses RS256":                                  {set("id_token_signed_response_alg", "RS256"), "invalid_client_metadata", "id_token_signed_response_alg"},
		"refuses tokens that are bound to nothing":       {unset("dpop_bound_access_tokens"), "invalid_client_metadata", "dpop_bound_access_tokens"},
		"refuses a scope of the wrong type":              {set("scope", []string{"openid"}), "invalid_client_metadata", "scope: has the wrong JSON type"},
		"refuses standing authorization_details":         {set("default_authorization_details", []any{map[string]any{"type": "x"}}), "invalid_client_metadata", "default_authorization_details"},
		"refuses a resource server":                      {set("resource_identifiers", []string{"https://api.example"}), "invalid_client_metadata", "resource_identifiers"},
		"refuses no name":                                {unset("client_name"), "invalid_client_metadata", "client_name"},
		"refuses no JSON":                                {`{"client_name":`, "invalid_client_metadata", "JSON"},
		"refuses a list":                                 {`[]`, "invalid_client_metadata", "JSON"},
		"refuses null":                                   {`null`, "invalid_client_metadata", "JSON object"},
		"refuses nothing at all":                         {``, "invalid_client_metadata", "JSON"},
		"refuses a member twice":                         {`{"client_name":"a","client_name":"b"}`, "invalid_client_metadata", "repeats"},
		"refuses more after the object":                  {`{} {}`, "invalid_client_metadata", "JSON"},
		"refuses both a redirect URI and a name at once": {fapitest.RegistrationRequest(key, func(m map[string]any) { delete(m, "client_name"); m["redirect_uris"] = []string{"x"} }), "invalid_client_metadata", "redirect_uris"},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.RegisterSelf(token, test.body)
			if test.code == "" {
				if r.Status != http.StatusCreated {
					t.Fatalf("%d %s", r.Status, r.Raw)
				}
				if strings.Contains(r.Raw, "vanilla") || r.Text("client_id") == "mine" {
					t.Errorf("registered what was not understood: %s", r.Raw)
				}
				return
			}
			fapitest.WantError(t, r, http.StatusBadRequest, test.code)
			if !strings.Contains(r.Text("error_description"), test.says) {
				t.Errorf("%q does not name %q", r.Text("error_description"), test.says)
			}
		})
	}
	t.Run("refuses with all problems at once", func(t *testing.T) {
		r := c.RegisterSelf(token, fapitest.RegistrationRequest(key, func(m map[string]any) {
			delete(m, "client_name")
			m["scope"], m["redirect_uris"] = "payments", []string{"http://client.example/"}
			m["resource_identifiers"] = []string{"https://api.example"}
		}))
		fapitest.WantError(t, r, http.StatusBadRequest, "invalid_client_metadata")
		for _, member := range []string{"client_name: ", "scope: ", "redirect_uris: ", "resource_identifiers: "} {
			if !strings.Contains(r.Text("error_description"), member) {
				t.Errorf("%q does not name %s", r.Text("error_description"), member)
			}
		}
	})
	t.Run("refuses without repeating a whole request", func(t *testing.T) {
		r := c.RegisterSelf(token, set("redirect_uris", slices.Repeat([]string{"http://client.example/" + strings.Repeat("a", 100)}, 300)))
		fapitest.WantError(t, r, http.StatusBadRequest, "invalid_redirect_uri")
		if len(r.Raw) > 5000 {
			t.Errorf("answered with %d bytes", len(r.Raw))
		}
	})
	t.Run("accepts defaults and tells them", func(t *testing.T) {
		r := c.RegisteredSelf(token, fapitest.RegistrationRequest(key, func(m map[string]any) { delete(m, "grant_types"); delete(m, "token_endpoint_auth_method") }))
		if diff := cmp.Diff([]any{"authorization_code"}, r.Body["grant_types"]); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]any{"code"}, r.Body["response_types"]); diff != "" {
			t.Error(diff)
		}
		if r.Text("token_endpoint_auth_method") != "private_key_jwt" {
			t.Errorf("%s", r.Raw)
		}
	})
}

// TestDR03Form: the request is one JSON document of bounded size.
func TestDR03Form(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithRegistration)
	token := w.InitialToken("Bank", 100)
	c := w.Applicant(nil)
	body := fapitest.RegistrationRequest(fapitest.NewKey(t, jose.ES256), nil)
	typed := func(kind string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Content-Type", kind) }
	}
	padded := func(size int) string {
		content, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		return string(content) + strings.Repeat(" ", size-len(content))
	}
	for name, test := range map[string]struct {
		path   string
		body   any
		change func(*http.Request)
		status int
	}{
		"accepts UTF-8 by name":                 {"/register", body, typed("application/json; charset=UTF-8"), http.StatusCreated},
		"accepts 64 KiB":                        {"/register", padded(64 << 10), nil, http.StatusCreated},
		"refuses more than 64 KiB":              {"/register", padded(65 << 10), nil, http.StatusRequestEntityTooLarge},
		"refuses more than keys need":           {"/register", padded(3 << 20), nil, http.StatusRequestEntityTooLarge},
		"refuses a form":                        {"/register", body, typed("application/x-www-form-urlencoded"), http.StatusUnsupportedMediaType},
		"refuses text":                          {"/register", body, typed("text/plain"), http.StatusUnsupportedMediaType},
		"refuses no type":                       {"/register", body, func(r *http.Request) { r.Header.Del("Content-Type") }, http.StatusUnsupportedMediaType},
		"accepts a charset, which JSON has not": {"/register", body, typed("application/json; charset=latin1"), http.StatusCreated},
		"refuses metadata in a query":           {"/register?client_name=a", body, nil, http.StatusBadRequest},
		"refuses another method":                {"/register", body, func(r *http.Request) { r.Method = http.MethodPut }, http.StatusMethodNotAllowed},
		"refuses what is not UTF-8":             {"/register", "{\"client_name\":\"\xff\"}", nil, http.StatusBadRequest},
		"refuses nesting without limit":         {"/register", `{"x":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + `}`, nil, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.SendJSON(http.MethodPost, w.Issuer+test.path, token, test.body, test.change)
			if r.Status != test.status {
				t.Errorf("%d %s, want %d", r.Status, r.Raw, test.status)
			}
		})
	}
}

// TestDR03SoftwareStatement: none is approved, and none is passed over in silence (RFC 7591 §3.2.2).
func TestDR03SoftwareStatement(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithRegistration)
	token := w.InitialToken("Bank", 100)
	c := w.Applicant(nil)
	key := fapitest.NewKey(t, jose.ES256)
	statement, err := jose.Sign(t.Context(), key.SigningKey(), "JWT", map[string]any{"iss": "https://directory.example", "software_id": "1"})
	if err != nil {
		t.Fatal(err)
	}
	header, rest, _ := strings.Cut(statement, ".")
	claims, _, _ := strings.Cut(rest, ".")
	for name, test := range map[string]struct {
		statement any
		code      string
	}{
		"refuses one of an issuer that is not approved": {statement, "unapproved_software_statement"},
		"refuses one that is not a string":              {42, "invalid_software_statement"},
		"refuses one that is no JWT":                    {"statement", "invalid_software_statement"},
		"refuses one that is empty":                     {"", "invalid_software_statement"},
		"refuses one without a signature":               {header + "." + claims + ".", "invalid_software_statement"},
		"refuses one that says alg none":                {"eyJhbGciOiJub25lIn0." + claims + ".", "invalid_software_statement"},
		"refuses one of a secret key":                   {"eyJhbGciOiJIUzI1NiJ9." + claims + ".AAAA", "invalid_software_statement"},
	} {
		t.Run(name, func(t *testing.T) {
			fapitest.WantError(t, c.RegisterSelf(token, fapitest.RegistrationRequest(key, func(m map[string]any) { m["software_statement"] = test.statement })), http.StatusBadRequest, test.code)
		})
	}
	t.Run("accepts the same request without one", func(t *testing.T) { c.RegisteredSelf(token, fapitest.RegistrationRequest(key, nil)) })
}

// TestDR04Keys: keys come by value or by address, and are of a kind, size and use that signatures need.
func TestDR04Keys(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithRegistration)
	token := w.InitialToken("Bank", 100)
	c := w.Applicant(nil)
	key := fapitest.NewKey(t, jose.ES256)
	public := string(key.PublicJWK())
	with := func(member string) string { return strings.TrimSuffix(public, "}") + "," + member + "}" }
	keys := func(list ...string) func(map[string]any) {
		return func(m map[string]any) { m["jwks"] = json.RawMessage(`{"keys":[` + strings.Join(list, ",") + `]}`) }
	}
	const small = `{"kty":"RSA","e":"AQAB","n":"` // 1024 bits
	for name, test := range map[string]struct {
		change func(map[string]any)
		wrong  string // the member, or "" if it is accepted
	}{
		"accepts keys by value":                   {keys(public), ""},
		"accepts keys by address":                 {func(m map[string]any) { delete(m, "jwks"); m["jwks_uri"] = "https://client.example/jwks" }, ""},
		"accepts a null beside":                   {func(m map[string]any) { m["jwks_uri"] = nil }, ""},
		"accepts an encryption key beside":        {keys(public, `{"kty":"EC","crv":"P-256","use":"enc","kid":"e","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`), ""},
		"refuses both":                            {func(m map[string]any) { m["jwks_uri"] = "https://client.example/jwks" }, "jwks_uri"},
		"refuses neither":                         {func(m map[string]any) { delete(m, "jwks") }, "jwks"},
		"refuses an http address":                 {func(m map[string]any) { delete(m, "jwks"); m["jwks_uri"] = "http://client.example/jwks" }, "jwks_uri"},
		"refuses an address of the inner network": {func(m map[string]any) { delete(m, "jwks"); m["jwks_uri"] = "https://169.254.169.254/jwks" }, "jwks_uri"},
		"refuses a private key":                   {keys(string(key.PrivateJWK())), "jwks"},
		"refuses a symmetric key":                 {keys(`{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`), "jwks"},
		"refuses RSA of 1024 bits":                {keys(small + strings.Repeat("_", 170) + `8"}`), "jwks"},
		"refuses a point off its curve":           {keys(`{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"}`), "jwks"},
		"refuses keys for encryption only":        {keys(`{"kty":"EC","crv":"P-256","use":"enc","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`), "jwks"},
		"refuses an empty set":                    {keys(), "jwks"},
		"refuses a member that repeats":           {keys(with(`"kty":"EC"`)), "jwks"},
		"refuses what is no set":                  {func(m map[string]any) { m["jwks"] = []string{} }, "jwks"},
		"refuses a set as text":                   {func(m map[string]any) { m["jwks"] = `{"keys":[]}` }, "jwks"},
		"refuses a flood of keys":                 {keys(slices.Repeat([]string{public}, jose.MaxKeys+1)...), "jwks"},
		"accepts keys of another use or kind":     {keys(public, `{"kty":"oct","k":"AAAA"}`, `{"kty":"AKP"}`, `{}`, small+`AA"}`), ""},
		"accepts a thousand keys, of 1 MiB":       {keys(slices.Repeat([]string{with(`"z":"` + strings.Repeat("z", 900) + `"`)}, 1000)...), ""},
		"refuses a private key beside a good one": {keys(public, string(key.PrivateJWK())), "jwks"},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.RegisterSelf(token, fapitest.RegistrationRequest(key, test.change))
			if test.wrong == "" {
				if r.Status != http.StatusCreated {
					t.Errorf("%d %s", r.Status, r.Raw)
				}
				return
			}
			fapitest.WantError(t, r, http.StatusBadRequest, "invalid_client_metadata")
			if said := r.Text("error_description"); !strings.HasPrefix(said, test.wrong+": ") && !strings.Contains(said, "repeats") {
				t.Errorf("%q does not name %s", said, test.wrong)
			}
		})
	}
}
