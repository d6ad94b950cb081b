package discovery_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi"
	"countersign/fapi/fapitest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got); if that is right, run with -update:\n%s", name, diff)
	}
}

// TestDiscovery: both documents are the same, and are what the golden file shows.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	b := w.Browser()
	_, openID, _ := b.Visit(w.Issuer + "/.well-known/openid-configuration")
	_, oauth, _ := b.Visit(w.Issuer + "/.well-known/oauth-authorization-server")
	if diff := cmp.Diff(openID, oauth); diff != "" {
		t.Errorf("the two documents differ: %s", diff)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(openID), "", "  "); err != nil {
		t.Fatal(err)
	}
	got := strings.NewReplacer(w.Issuer, "https://issuer.example", w.MTLSIssuer, "https://mtls.issuer.example").Replace(indented.String())
	golden(t, "discovery.json", got+"\n")
}

// TestWithoutMTLS: nothing that needs client certificates is advertised when no listener asks for them.
func TestWithoutMTLS(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, func(c *fapitest.Config) { c.MTLSIssuer = "" })
	_, body, _ := w.Browser().Visit(w.Issuer + "/.well-known/openid-configuration")
	var document map[string]any
	if err := json.Unmarshal([]byte(body), &document); err != nil {
		t.Fatal(err)
	}
	if document["mtls_endpoint_aliases"] != nil || document["tls_client_certificate_bound_access_tokens"] != false {
		t.Errorf("mutual TLS is advertised: %s", body)
	}
	if diff := cmp.Diff([]any{"private_key_jwt"}, document["token_endpoint_auth_methods_supported"]); diff != "" {
		t.Error(diff)
	}
}

func TestJWKS(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	_, body, _ := w.Browser().Visit(w.Issuer + "/jwks")
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal([]byte(body), &set); err != nil {
		t.Fatal(err)
	}
	algorithms := map[any]bool{}
	kids := map[any]bool{}
	for _, key := range set.Keys {
		algorithms[key["alg"]], kids[key["kid"]] = true, true
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
			if key[private] != nil {
				t.Errorf("the key set holds the private member %s", private)
			}
		}
		if key["use"] != "sig" {
			t.Errorf("use %v", key["use"])
		}
	}
	if len(algorithms) != 3 || len(kids) != 3 {
		t.Errorf("algorithms %v, kids %v: want three of each", algorithms, kids)
	}
}

// Covers: MD-01, SP-12, FD-87. Both documents are at the places of OpenID Connect Discovery §4 and RFC 8414 §3, also for an issuer
// with a path, and are the same.
func TestMD01Documents(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{"without a path": "", "with a path": "/tenants/one"} {
		w, _ := fapitest.NewFullWorld(t, func(c *fapitest.Config) {
			c.Issuer += path
			c.MTLSIssuer += path
		})
		host := strings.TrimSuffix(w.Issuer, path)
		openID, oauth := host+path+"/.well-known/openid-configuration", host+"/.well-known/oauth-authorization-server"+path
		t.Run("accepts both addresses of an issuer "+name, func(t *testing.T) {
			first, one := w.Request(t, http.MethodGet, openID, nil, "")
			second, other := w.Request(t, http.MethodGet, oauth, nil, "")
			if first.StatusCode != 200 || second.StatusCode != 200 || first.Header.Get("Content-Type") != "application/json" {
				t.Fatalf("answered %d and %d, %s", first.StatusCode, second.StatusCode, first.Header.Get("Content-Type"))
			}
			if diff := cmp.Diff(one, other); diff != "" {
				t.Errorf("the two differ: %s", diff)
			}
			var document map[string]any
			if err := json.Unmarshal([]byte(one), &document); err != nil || document["issuer"] != w.Issuer {
				t.Errorf("issuer %v, %v", document["issuer"], err)
			}
		})
		t.Run("accepts the whole flow of an issuer "+name, func(t *testing.T) {
			c := w.Register("client-1", nil)
			fapitest.WantOK(t, c.Get("/userinfo", c.Tokens().Text("access_token"), nil))
			byCert := w.Register("client-2", fapitest.TLSClientAuth)
			fapitest.WantOK(t, byCert.Get("/userinfo", byCert.Tokens().Text("access_token"), nil))
		})
		if path != "" {
			t.Run("accepts the address before the path of an issuer "+name, func(t *testing.T) {
				inserted, document := w.Request(t, http.MethodGet, host+"/.well-known/openid-configuration"+path, nil, "")
				if _, one := w.Request(t, http.MethodGet, openID, nil, ""); inserted.StatusCode != 200 || document != one {
					t.Errorf("%d %s", inserted.StatusCode, document)
				}
			})
		}
		wrong := []string{host + "/.well-known/openid-configuration/other", host + "/.well-known/oauth-authorization-server/other"}
		if path != "" {
			wrong = append(wrong, host+"/.well-known/openid-configuration"+path+"/", host+"/.well-known/openid-configuration/tenants",
				host+"/.well-known/openid-configuration", host+"/.well-known/oauth-authorization-server", w.Issuer+"/.well-known/oauth-authorization-server", host+"/token")
		}
		t.Run("refuses other addresses of an issuer "+name, func(t *testing.T) {
			for _, address := range wrong {
				if response, _ := w.Request(t, http.MethodGet, address, nil, ""); response.StatusCode != http.StatusNotFound {
					t.Errorf("%s: %d", address, response.StatusCode)
				}
			}
			if response, _ := w.Request(t, http.MethodPost, openID, nil, ""); response.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("POST: %d", response.StatusCode)
			}
		})
	}
}

// Covers: MD-02. An issuer is https without query and fragment; the server does not start with another, and uses it
// byte for byte everywhere.
func TestMD02Issuer(t *testing.T) {
	t.Parallel()
	var config fapitest.Config
	w, _ := fapitest.NewFullWorld(t, func(c *fapitest.Config) { config = *c })
	try := func(title, issuer string, good bool) {
		t.Run(title, func(t *testing.T) {
			changed := config
			changed.Issuer = issuer
			_, err := fapi.New(t.Context(), changed)
			if good != (err == nil) {
				t.Errorf("%q: %v", issuer, err)
			}
		})
	}
	for _, issuer := range []string{"https://as.example", "https://as.example:8443", "https://as.example/tenants/one"} {
		try("accepts "+issuer, issuer, true)
	}
	for _, issuer := range []string{
		"", "as.example", "http://as.example", "ftp://as.example", "https://", "https:///path", "https://as.example?", "https://as.example?a=b",
		"https://as.example#", "https://as.example#part", "https://as.example/", "https://as.example/tenants/", "https://user@as.example", "https://as.example/%zz",
	} {
		try("refuses "+fmt.Sprintf("%q", issuer), issuer, false)
	}
	t.Run("accepts the same issuer everywhere", func(t *testing.T) {
		c := w.Register("client-1", fapitest.SetMember("userinfo_signed_response_alg", "ES256"))
		q := c.AuthorizeIn(w.Browser(), nil)
		issued := c.Redeem(q.Get("code"), nil)
		info := fapitest.UnverifiedClaims(t, c.Get("/userinfo", issued.Text("access_token"), nil).Raw)
		self := w.ResourceServer("self", w.Issuer)
		for place, got := range map[string]any{
			"metadata": w.Document()["issuer"], "authorization response": q.Get("iss"), "ID token": fapitest.UnverifiedClaims(t, issued.Text("id_token"))["iss"],
			"access token": fapitest.UnverifiedClaims(t, issued.Text("access_token"))["iss"], "signed UserInfo": info["iss"],
			"introspection": self.Introspect(issued.Text("access_token"), nil).Body["iss"],
		} {
			if got != w.Issuer {
				t.Errorf("%s: %v", place, got)
			}
		}
	})
}

// Covers: SP-12, MD-01. Both documents are where clients look, say the same, and nothing else is served there.
func TestSP12Metadata(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	_, openID := w.Request(t, "GET", w.Issuer+"/.well-known/openid-configuration", nil, "")
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		t.Run("accepts GET "+path, func(t *testing.T) {
			response, body := w.Request(t, "GET", w.Issuer+path, nil, "")
			if response.StatusCode != 200 || response.Header.Get("Content-Type") != "application/json" || body != openID {
				t.Errorf("%d %s", response.StatusCode, body)
			}
		})
		t.Run("refuses POST "+path, func(t *testing.T) {
			if response, _ := w.Request(t, "POST", w.Issuer+path, nil, ""); response.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("%d", response.StatusCode)
			}
		})
		t.Run("refuses "+path+" of another issuer", func(t *testing.T) {
			if response, _ := w.Request(t, "GET", w.Issuer+path+"/other", nil, ""); response.StatusCode != http.StatusNotFound {
				t.Errorf("%d", response.StatusCode)
			}
		})
	}
	t.Run("accepts an issuer with a path, behind which RFC 8414 puts its document and OpenID Connect does not", func(t *testing.T) {
		t.Parallel()
		w := fapitest.NewWorld(t, func(c *fapitest.Config) { c.Issuer += "/tenant" })
		base := strings.TrimSuffix(w.Issuer, "/tenant")
		for _, address := range []string{base + "/.well-known/oauth-authorization-server/tenant", w.Issuer + "/.well-known/openid-configuration"} {
			response, body := w.Request(t, "GET", address, nil, "")
			if response.StatusCode != 200 || !strings.Contains(body, `"issuer":"`+w.Issuer+`"`) {
				t.Errorf("%s: %d %s", address, response.StatusCode, body)
			}
		}
		if response, _ := w.Request(t, "GET", base+"/.well-known/oauth-authorization-server", nil, ""); response.StatusCode != 404 {
			t.Errorf("without its path: %d", response.StatusCode)
		}
	})
}
