package adminapi_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/config"
	"countersign/internal/config/operators"
)

// Covers: NM-40. Only whoever shows the certificate of an operator is let in, by TLS, and the files count as they are now.
func TestNM40Certificates(t *testing.T) {
	w := newWorld(t)
	for name, who := range map[string]string{"ada": "Ada", "bob": "Bob", "rita": "Rita"} {
		t.Run("accepts "+who, func(t *testing.T) {
			got := w.ask(t, name, "GET", "/admin/v1/operator", nil).want(http.StatusOK)
			if got.body["name"] != who || got.body["address"] != "127.0.0.1" || got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %v", got.raw, got.header)
			}
		})
	}
	elsewhere := fapitest.NewAuthority(t, "Operators", time.Now())
	for name, shown := range map[string][]tls.Certificate{
		"nobody's certificate at all": nil,
		"another authority":           {elsewhere.Issue(t, "ada", time.Now())},
		"a certificate of its own":    {fapitest.Authority{}.Issue(t, "ada", time.Now())},
		"an expired one":              {w.authority.Issue(t, "ada", time.Now().Add(-2*time.Hour))},
		"one for servers": {w.authority.IssueAs(t, time.Now(), func(c *x509.Certificate) {
			c.Subject.CommonName, c.ExtKeyUsage = "ada", []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		})},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if got, err := w.send(w.client(shown...), w.base+"/admin/v1/operator", "GET", nil); err == nil {
				t.Errorf("answered %d %s", got.status, got.raw)
			}
		})
	}
	t.Run("refuses who is no operator", func(t *testing.T) {
		w.ask(t, "nobody", "GET", "/admin/v1/operator", nil).problem(http.StatusForbidden, "operator_unknown")
	})
	t.Run("refuses a certificate of Bob's name that is not Bob's", func(t *testing.T) {
		got, err := w.send(w.client(w.authority.Issue(t, "bob", time.Now())), w.base+"/admin/v1/operator", "GET", nil)
		if err != nil {
			t.Fatal(err)
		}
		got.T = t
		got.problem(http.StatusForbidden, "operator_unknown")
	})
	t.Run("refuses plain text and old TLS", func(t *testing.T) {
		address := strings.TrimPrefix(w.base, "https://")
		connection, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		if _, err := connection.Write([]byte("GET /admin/v1/operator HTTP/1.1\r\nHost: localhost\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 1000)
		n, _ := connection.Read(answer)
		if strings.Contains(string(answer[:n]), "200") || !strings.Contains(string(answer[:n]), "400") {
			t.Errorf("answered %q", answer[:n])
		}
		old, err := tls.Dial("tcp", address, &tls.Config{RootCAs: w.roots, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
		if err == nil {
			old.Close()
			t.Error("spoke TLS 1.1")
		}
	})
	t.Run("refuses an authority that was taken out, on connections that are open too", func(t *testing.T) {
		ada := w.client(w.shown["ada"])
		get := func() answer {
			got, err := w.send(ada, w.base+"/admin/v1/operator", "GET", nil)
			if err != nil {
				t.Fatal(err)
			}
			got.T = t
			return got
		}
		get().want(http.StatusOK)
		whole, err := os.ReadFile(w.config.Admin.ClientCAFile.Path())
		if err != nil {
			t.Fatal(err)
		}
		w.file("ca.crt", "CERTIFICATE", elsewhere.Certificate.Raw)
		get().problem(http.StatusForbidden, "certificate_untrusted")
		if _, err := w.send(w.client(w.shown["ada"]), w.base+"/admin/v1/operator", "GET", nil); err == nil {
			t.Error("a new connection was let in")
		}
		if err := os.WriteFile(w.config.Admin.ClientCAFile.Path(), whole, 0o600); err != nil {
			t.Fatal(err)
		}
		get().want(http.StatusOK)
		w.advance(2 * time.Hour) // the certificate's time is over
		defer w.advance(-2 * time.Hour)
		get().problem(http.StatusForbidden, "certificate_untrusted")
	})
}

// Covers: NM-41. Each route is for its roles, and for no other operator.
func TestNM41Roles(t *testing.T) {
	w := newWorld(t)
	w.added(t, "app")
	const read, clients, officers, both = "ada bob cleo rita", "cleo", "ada bob", "ada bob cleo"
	for route, may := range map[string]string{
		"GET /operator": read, "GET /openapi.json": read, "GET /clients": read, "GET /clients/app": read, "GET /clients/app/holdings": read,
		"PUT /clients/app": clients, "DELETE /clients/none": clients, "POST /clients/none/disable": both, "POST /clients/none/enable": clients, "POST /clients/none/keys": clients,
		"GET /initial-access-tokens": read, "GET /initial-access-tokens/none": read, "PUT /initial-access-tokens/none": clients, "DELETE /initial-access-tokens/none": clients,
		"GET /grants": read, "POST /grants/none/revoke": officers,
		"GET /consents": read, "GET /consents/none": read, "POST /consents/none/end": officers,
		"GET /people": read, "POST /people": officers, "GET /people/none": read, "PATCH /people/none": officers, "POST /people/none/disable": officers,
		"POST /people/none/enable": officers, "POST /people/none/sign-out": officers, "GET /people/none/export": officers, "POST /people/none/erase": officers,
		"GET /keys": read, "GET /keys/none": read, "POST /keys/rotate": officers, "POST /keys/none/retire": officers,
		"GET /approvals": read, "GET /approvals/none": read, "POST /approvals/none/approve": officers, "POST /approvals/none/refuse": officers,
		"GET /audit/nodes": read, "GET /audit/entries": read, "POST /audit/verify": read,
	} {
		method, path, _ := strings.Cut(route, " ")
		for _, name := range []string{"ada", "bob", "cleo", "rita"} {
			if strings.Contains(may, name) {
				t.Run("accepts "+name+" at "+route, func(t *testing.T) {
					if got := w.ask(t, name, method, "/admin/v1"+path, nil); got.status == http.StatusForbidden || got.status >= 500 || got.status == http.StatusMethodNotAllowed {
						t.Errorf("%d %s", got.status, got.raw)
					}
				})
				continue
			}
			t.Run("refuses "+name+" at "+route, func(t *testing.T) {
				w.ask(t, name, method, "/admin/v1"+path, nil).problem(http.StatusForbidden, "role_missing")
			})
		}
	}
}

// Covers: NM-46. What is wrong with a request is told in a problem document before it costs anything: its path, method and size, the
// kind of what is sent, how often it comes, and that another site has sent it.
func TestNM46Problems(t *testing.T) {
	w := newWorld(t, func(c *config.Config) {
		c.Admin.PerMinute = 600
		c.Admin.Operators = append(c.Admin.Operators, operators.Operator{Name: "Nora", CertificateDN: "CN=nobody", Roles: "reader"})
	})
	t.Run("refuses paths and methods that there are not", func(t *testing.T) {
		w.ask(t, "cleo", "GET", "/admin/v1/nothing", nil).problem(http.StatusNotFound, "not_found")
		w.ask(t, "cleo", "GET", "/admin/v1//clients", nil).problem(http.StatusNotFound, "not_found")
		w.ask(t, "cleo", "GET", "/admin/v1/x/../clients", nil).problem(http.StatusNotFound, "not_found")
		got := w.ask(t, "cleo", "DELETE", "/admin/v1/clients", nil)
		got.problem(http.StatusMethodNotAllowed, "method_not_allowed")
		if got.header.Get("Allow") != "GET, HEAD" {
			t.Errorf("Allow: %s", got.header.Get("Allow"))
		}
	})
	t.Run("refuses too much, and what is no JSON", func(t *testing.T) {
		large := `{"metadata":"` + strings.Repeat("a", 8<<20) + `"}`
		w.ask(t, "cleo", "PUT", "/admin/v1/clients/app", large, "If-None-Match", "*").problem(http.StatusRequestEntityTooLarge, "body_too_large")
		w.ask(t, "ada", "POST", "/admin/v1/approvals/x/approve", "{}", "If-Match", `"open"`).problem(http.StatusRequestEntityTooLarge, "body_too_large")
		w.ask(t, "cleo", "PUT", "/admin/v1/clients/app", "{}", "If-None-Match", "*", "Content-Type", "text/plain").
			problem(http.StatusUnsupportedMediaType, "unsupported_media_type")
		for _, wrong := range []string{"", "[]", "null", "{", `{"metadata":{},"metadata":{}}`, `{"metadata":null}`, `{"other":1,"metadata":{}}`, `{"metadata":{}} x`} {
			w.ask(t, "cleo", "PUT", "/admin/v1/clients/app", wrong, "If-None-Match", "*").problem(http.StatusBadRequest, "invalid")
		}
	})
	t.Run("refuses what another site has a browser send", func(t *testing.T) {
		w.ask(t, "ada", "POST", "/admin/v1/grants/x/revoke", nil, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example").problem(http.StatusForbidden, "cross_site")
		w.ask(t, "ada", "POST", "/admin/v1/grants/x/revoke", nil, "Origin", "https://evil.example").problem(http.StatusForbidden, "cross_site")
	})
	t.Run("refuses who asks too often, and nobody else", func(t *testing.T) {
		nora := w.client(w.shown["nobody"])
		for range 200 {
			got, err := w.send(nora, w.base+"/admin/v1/operator", "GET", nil)
			if err != nil {
				t.Fatal(err)
			}
			if got.T = t; got.status == http.StatusTooManyRequests {
				got.problem(http.StatusTooManyRequests, "too_many_requests")
				if got.header.Get("Retry-After") != "1" {
					t.Errorf("Retry-After: %s", got.header.Get("Retry-After"))
				}
				w.ask(t, "rita", "GET", "/admin/v1/operator", nil).want(http.StatusOK)
				return
			}
		}
		t.Error("200 at once were answered")
	})
	t.Run("accepts HEAD where there is GET", func(t *testing.T) {
		if got := w.ask(t, "rita", "HEAD", "/admin/v1/operator", nil).want(http.StatusOK); got.raw != "" {
			t.Errorf("%q", got.raw)
		}
	})
	t.Run("accepts a failure of the store as what it is", func(t *testing.T) {
		if err := w.store.Close(); err != nil {
			t.Fatal(err)
		}
		w.ask(t, "rita", "GET", "/admin/v1/clients", nil).want(http.StatusInternalServerError)
		if !strings.Contains(w.log.String(), "admin request failed") {
			t.Errorf("the log says\n%s", w.log)
		}
	})
}
