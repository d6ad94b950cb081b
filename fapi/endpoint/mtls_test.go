package endpoint_test

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
)

// TestMutualTLS lists what a client certificate may not be.
func TestMutualTLS(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", fapitest.TLSClientAuth)
	if r := c.Push(nil); r.Status != http.StatusCreated {
		t.Fatalf("push: %d %s", r.Status, r.Raw)
	}
	foreign := fapitest.NewAuthority(t, "Another CA", w.Clock.Now())
	for name, certificate := range map[string]*tls.Certificate{
		"another subject":   new(w.ClientCA.Issue(t, "client-2", w.Clock.Now())),
		"another authority": new(foreign.Issue(t, "client-1", w.Clock.Now())),
		"self-signed":       new(fapitest.Authority{}.Issue(t, "client-1", w.Clock.Now())),
		"expired":           new(w.ClientCA.Issue(t, "client-1", w.Clock.Now().Add(-3*time.Hour))),
		"none":              nil,
	} {
		t.Run(name, func(t *testing.T) {
			stranger := *c
			stranger.Certificate = certificate
			stranger.HTTP = w.Transport(&stranger)
			stranger.AtMTLS = true
			fapitest.WantError(t, stranger.Push(nil), http.StatusUnauthorized, "invalid_client")
		})
	}
	// A certificate does not get in where the client registered a key.
	byKey := w.Register("client-3", func(c *fapitest.Client, m map[string]any) {
		certificate := w.ClientCA.Issue(t, c.ID, w.Clock.Now())
		c.Certificate, c.Assertion = &certificate, false
	})
	fapitest.WantError(t, byKey.Push(nil), http.StatusUnauthorized, "invalid_client")
	// Nor do both at once.
	both := *c
	both.Assertion = true
	fapitest.WantError(t, both.Push(nil), http.StatusBadRequest, "invalid_request")
}

// subject makes a client whose certificate has to have a subject or an alternative name.
func subject(member, value string) func(*fapitest.Client, map[string]any) {
	return func(c *fapitest.Client, m map[string]any) {
		fapitest.TLSClientAuth(c, m)
		delete(m, "tls_client_auth_subject_dn")
		m[member] = value
	}
}

// Covers: MT-01, RULE-14. A chain that is trusted, and the one name that was registered.
func TestMT01Subject(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	now := w.Clock.Now()
	address, err := url.Parse("https://client.example/id")
	if err != nil {
		t.Fatal(err)
	}
	right := issueAs(t, w.ClientCA, now, func(c *x509.Certificate) {
		c.Subject.Organization = []string{"Example"}
		c.DNSNames, c.URIs, c.EmailAddresses = []string{"client.example"}, []*url.URL{address}, []string{"ops@client.example"}
		c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)}
	})
	wrong := issueAs(t, w.ClientCA, now, func(c *x509.Certificate) {
		c.Subject.CommonName = "other"
		c.DNSNames = []string{"other.client.example", "client.example.attacker.example"}
	})
	foreign := issueAs(t, fapitest.NewAuthority(t, "Client CA", now), now, func(c *x509.Certificate) { // the same name, another key
		c.Subject.Organization, c.DNSNames = []string{"Example"}, []string{"client.example"}
	})
	for member, value := range map[string]string{
		"tls_client_auth_subject_dn": "CN=client,O=Example", "tls_client_auth_san_dns": "client.example", "tls_client_auth_san_uri": "https://client.example/id",
		"tls_client_auth_san_ip": "192.0.2.1", "tls_client_auth_san_email": "ops@client.example",
	} {
		c := w.Register("client with "+member, subject(member, value))
		fapitest.TryAll(t, c.WithCertificate(right).Push, fapitest.Good("the certificate with "+member, nil))
		for name, certificate := range map[string]*tls.Certificate{
			"another subject": wrong, "an authority of the same name": foreign, "no certificate": nil,
			"a certificate that has expired": issueAs(t, w.ClientCA, now, func(c *x509.Certificate) {
				c.Subject, c.DNSNames, c.NotAfter = right.Leaf.Subject, right.Leaf.DNSNames, now.Add(-time.Second)
			}),
			"a certificate for servers": issueAs(t, w.ClientCA, now, func(c *x509.Certificate) {
				c.Subject.Organization, c.DNSNames, c.ExtKeyUsage = []string{"Example"}, []string{"client.example"}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
			}),
		} {
			fapitest.TryAll(t, c.WithCertificate(certificate).Push, fapitest.Bad(name+" for "+member, nil, 401, "invalid_client"))
		}
	}
	mutual := func(change func(map[string]any)) func(map[string]any) {
		return func(m map[string]any) {
			delete(m, "jwks")
			m["token_endpoint_auth_method"] = "tls_client_auth"
			change(m)
		}
	}
	fapitest.TryRegistration(t, "one subject parameter", mutual(fapitest.SetClaim("tls_client_auth_san_dns", "client.example")), "")
	fapitest.TryRegistration(t, "no subject parameter", mutual(func(map[string]any) {}), "tls_client_auth_subject_dn")
	fapitest.TryRegistration(t, "two subject parameters", mutual(func(m map[string]any) {
		m["tls_client_auth_san_dns"], m["tls_client_auth_subject_dn"] = "client.example", "CN=client"
	}), "tls_client_auth_subject_dn")
	fapitest.TryRegistration(t, "a subject for a client with a key, which is ignored", fapitest.SetClaim("tls_client_auth_subject_dn", "CN=client"), "")
}

// Covers: MT-02, ATTACK-19. Names are compared by what they say, in their order.
func TestMT02SubjectNames(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	certificate := issueAs(t, w.ClientCA, w.Clock.Now(), func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "Client One", Organization: []string{"Example Ltd"}, Country: []string{"DE"}}
	})
	for name, attempt := range map[string]struct {
		dn   string
		good bool
	}{
		"as RFC 4514 writes it":       {"CN=Client One,O=Example Ltd,C=DE", true},
		"in another case":             {"cn=CLIENT ONE,o=example ltd,c=de", true},
		"with more blanks":            {"CN=  Client   One , O=Example Ltd , C=DE", true},
		"by numbers":                  {"2.5.4.3=Client One,2.5.4.10=Example Ltd,2.5.4.6=DE", true},
		"with escapes":                {`CN=Client\20One,O=Example Ltd,C=DE`, true},
		"in hexadecimal":              {"CN=Client One,O=#130b4578616d706c65204c7464,C=DE", true},
		"backwards":                   {"C=DE,O=Example Ltd,CN=Client One", false},
		"with less":                   {"CN=Client One,O=Example Ltd", false},
		"with more":                   {"CN=Client One,OU=Payments,O=Example Ltd,C=DE", false},
		"as a set":                    {"CN=Client One+O=Example Ltd,C=DE", false},
		"with another value":          {"CN=Client Two,O=Example Ltd,C=DE", false},
		"with another attribute":      {"CN=Client One,OU=Example Ltd,C=DE", false},
		"with the names as one value": {`CN=Client One\,O=Example Ltd,C=DE`, false},
	} {
		c := w.Register("client "+name, subject("tls_client_auth_subject_dn", attempt.dn))
		one := fapitest.Good("a subject "+name, nil)
		if !attempt.good {
			one = fapitest.Bad("a subject "+name, nil, 401, "invalid_client")
		}
		fapitest.TryAll(t, c.WithCertificate(certificate).Push, one)
	}
	for name, dn := range map[string]string{"a NUL": `CN=Client One\00,O=Example Ltd,C=DE`, "no attribute": "Client One", "an unknown attribute": "NOPE=a", "half an escape": `CN=a\`} {
		fapitest.TryRegistration(t, "to register "+name, func(m map[string]any) {
			delete(m, "jwks")
			m["token_endpoint_auth_method"], m["tls_client_auth_subject_dn"] = "tls_client_auth", dn
		}, "tls_client_auth_subject_dn")
	}
}

// Covers: MT-03. The certificate is the client's by its key, and its chain means nothing.
func TestMT03SelfSigned(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", fapitest.SelfSignedTLSClientAuth)
	now := w.Clock.Now()
	fapitest.TryAll(t, c.Push, fapitest.Good("the registered key", nil))
	again := fapitest.Authority{Certificate: c.Certificate.Leaf, Key: c.Certificate.PrivateKey.(*ecdsa.PrivateKey)}
	renew := func(notAfter time.Time) *tls.Certificate {
		template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "renewed"}, NotBefore: now.Add(-time.Hour), NotAfter: notAfter}
		leaf := fapitest.SignCertificate(t, template, template, again.Key.Public(), again.Key)
		return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: again.Key, Leaf: leaf}
	}
	fapitest.TryAll(t, c.WithCertificate(renew(now.Add(time.Hour))).Push, fapitest.Good("another certificate for the same key", nil))
	for name, certificate := range map[string]*tls.Certificate{
		"another key": new(fapitest.Authority{}.Issue(t, c.ID, now)), "another key by a trusted authority": new(w.ClientCA.Issue(t, c.ID, now)),
		"the registered key after the certificate's time": renew(now.Add(-time.Second)), "no certificate": nil,
	} {
		fapitest.TryAll(t, c.WithCertificate(certificate).Push, fapitest.Bad(name, nil, 401, "invalid_client"))
	}
}

// Covers: MT-04, RULE-10, ATTACK-03. The client says who it is, and proves it in the one way that it registered.
func TestMT04ClientID(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c, other := w.Register("client-1", fapitest.TLSClientAuth), w.Register("client-2", fapitest.TLSClientAuth)
	byKey := w.Register("client-3", nil)
	fapitest.TryAll(t, c.Push, fapitest.Good("client_id and its certificate", nil),
		fapitest.Bad("no client_id", fapitest.Unset("client_id"), 401, "invalid_client"),
		fapitest.Bad("another client's client_id", fapitest.Set("client_id", other.ID), 401, "invalid_client"),
		fapitest.Bad("the client_id of a client with a key", fapitest.Set("client_id", byKey.ID), 401, "invalid_client"),
		fapitest.Bad("an assertion beside the certificate", func(form url.Values, _ http.Header) {
			form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
			form.Set("client_assertion", c.ClientAssertion(nil))
		}, 400, "invalid_request"),
		fapitest.Bad("another client's assertion beside the certificate", func(form url.Values, _ http.Header) {
			form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
			form.Set("client_assertion", byKey.ClientAssertion(nil))
		}, 401, "invalid_client"),
		fapitest.Bad("a secret beside the certificate", fapitest.SetHeader("Authorization", "Basic YTpi"), 401, "invalid_client"))
	byKey.Certificate = new(w.ClientCA.Issue(t, byKey.ID, w.Clock.Now()))
	byKey.HTTP = w.Transport(byKey)
	fapitest.TryAll(t, byKey.Push, fapitest.Good("an assertion on a connection with a certificate", nil),
		fapitest.Bad("that certificate without the assertion", func(form url.Values, _ http.Header) {
			form.Del("client_assertion")
			form.Set("client_id", byKey.ID)
		}, 401, "invalid_client"))
}

// Covers: MT-05, MT-07. The token names the certificate of the request, however the client authenticated.
func TestMT05Thumbprint(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	for name, alter := range map[string]func(*fapitest.Client, map[string]any){
		"tls_client_auth": fapitest.TLSClientAuth, "self_signed_tls_client_auth": fapitest.SelfSignedTLSClientAuth, "private_key_jwt": fapitest.CertificateBound,
	} {
		c := w.Register("client by "+name, alter)
		token := c.Tokens().Text("access_token")
		t.Run("accepts "+name+" and binds to the certificate", func(t *testing.T) {
			digest := sha256.Sum256(c.Certificate.Leaf.Raw)
			_, access := w.Verify(token)
			bound, _ := access["cnf"].(map[string]any)
			if got, want := bound["x5t#S256"], base64.RawURLEncoding.EncodeToString(digest[:]); got != want {
				t.Errorf("x5t#S256 %v, want %s", got, want)
			}
			fapitest.Good("", nil).Check(t, c.Get("/accounts", token, nil))
		})
		t.Run("refuses another certificate of a client by "+name, func(t *testing.T) {
			other := c.WithCertificate(new(w.ClientCA.Issue(t, c.ID, w.Clock.Now())))
			fapitest.WantError(t, other.Get("/accounts", token, nil), 401, "invalid_token")
		})
	}
	proving := w.Register("client-1", func(c *fapitest.Client, m map[string]any) {
		fapitest.TLSClientAuth(c, m)
		delete(m, "tls_client_certificate_bound_access_tokens")
		m["dpop_bound_access_tokens"], c.DPoP = true, true
	})
	t.Run("accepts tls_client_auth and binds to a DPoP key", func(t *testing.T) {
		issued := proving.Tokens()
		_, access := w.Verify(issued.Text("access_token"))
		if bound, _ := access["cnf"].(map[string]any); bound["jkt"] != proving.ProofKey.Key().Thumbprint() || issued.Text("token_type") != "DPoP" {
			t.Errorf("cnf %v", access["cnf"])
		}
		fapitest.Good("", nil).Check(t, proving.Get("/accounts", issued.Text("access_token"), nil))
	})
}

// Covers: MT-09, SP-11. The second listener's endpoints are in the metadata, if there is one, and are served there.
func TestMT09Aliases(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	document := w.Document()
	aliases, _ := document["mtls_endpoint_aliases"].(map[string]any)
	if document["tls_client_certificate_bound_access_tokens"] != true || len(aliases) < 3 {
		t.Errorf("%v %v", document["tls_client_certificate_bound_access_tokens"], aliases)
	}
	for name, address := range aliases {
		t.Run("accepts "+name+" at its alias", func(t *testing.T) {
			own, _ := document[name].(string)
			if text, _ := address.(string); !strings.HasPrefix(text, w.MTLSIssuer+"/") || strings.TrimPrefix(text, w.MTLSIssuer) != strings.TrimPrefix(own, w.Issuer) {
				t.Errorf("%v beside %v", address, own)
			}
			if name == "grant_management_endpoint" { // the address of a grant begins with it
				address = address.(string) + "/x"
			}
			if response, _ := w.Request(t, "PATCH", address.(string), nil, ""); response.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("%d", response.StatusCode)
			}
		})
	}
	for _, path := range []string{"/authorize", "/interaction/x", "/jwks", "/.well-known/openid-configuration"} {
		t.Run("refuses "+path+" there", func(t *testing.T) {
			if response, _ := w.Request(t, "GET", w.MTLSIssuer+path, nil, ""); response.StatusCode != http.StatusNotFound {
				t.Errorf("%d", response.StatusCode)
			}
		})
	}
	t.Run("refuses to advertise what is not there", func(t *testing.T) {
		t.Parallel()
		without := fapitest.NewWorld(t, func(c *fapitest.Config) { c.MTLSIssuer = "" }).Document()
		if without["mtls_endpoint_aliases"] != nil || without["tls_client_certificate_bound_access_tokens"] != false {
			t.Errorf("%v", without)
		}
	})
	c := w.Register("client-1", func(c *fapitest.Client, m map[string]any) {
		fapitest.TLSClientAuth(c, m)
		m["use_mtls_endpoint_aliases"] = true
	})
	t.Run("accepts a client that says that it uses them", func(t *testing.T) { c.Tokens() })
}

// Covers: MT-10. Browsers meet a listener that asks for no certificate.
func TestMT10BrowsersAreNotAsked(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	asks := func(address string) bool {
		asked := false
		connection, err := tls.Dial("tcp", strings.TrimPrefix(address, "https://"), &tls.Config{RootCAs: w.Roots, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked = true
			return new(tls.Certificate), nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		connection.Close()
		return asked
	}
	t.Run("accepts browsers without asking", func(t *testing.T) {
		if asks(w.Issuer) {
			t.Error("asked for a certificate")
		}
	})
	t.Run("accepts clients and asks", func(t *testing.T) {
		if !asks(w.MTLSIssuer) {
			t.Error("did not ask")
		}
	})
	t.Run("refuses pages where it asks", func(t *testing.T) {
		if response, _ := w.Request(t, "GET", w.MTLSIssuer+"/authorize?client_id=x", nil, ""); response.StatusCode != http.StatusNotFound {
			t.Errorf("%d", response.StatusCode)
		}
	})
	c := w.Register("client-1", fapitest.TLSClientAuth)
	t.Run("refuses a client's certificate where it does not ask", func(t *testing.T) {
		form := url.Values{"client_id": {c.ID}}
		request, err := http.NewRequest("POST", w.Issuer+"/par", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		fapitest.WantError(t, c.Do(request), 401, "invalid_client")
	})
}

// Covers: BC-09, RULE-07. A certificate in a header proves nothing, and neither do addresses that a proxy might send.
func TestRule07ForwardedHeaders(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", fapitest.TLSClientAuth)
	bare := c.WithCertificate(nil)
	der := base64.StdEncoding.EncodeToString(c.Certificate.Leaf.Raw)
	pem := url.QueryEscape("-----BEGIN CERTIFICATE-----\n" + der + "\n-----END CERTIFICATE-----\n")
	fapitest.TryAll(t, c.Push, fapitest.Good("the certificate of the connection", nil),
		fapitest.Good("that one whatever headers say", fapitest.Changes(fapitest.SetHeader("Client-Cert", ":AAAA:"), fapitest.SetHeader("X-Forwarded-Host", "attacker.example"))))
	for name, value := range map[string]string{
		"Client-Cert": ":" + der + ":", "X-Client-Cert": pem, "X-SSL-Client-Cert": pem, "SSL-Client-Cert": pem, "X-Forwarded-Client-Cert": `Cert="` + pem + `"`,
		"X-Forwarded-Tls-Client-Cert": der, "X-Amzn-Mtls-Clientcert": pem, "X-ARR-ClientCert": der, "X-SSL-Client-Verify": "SUCCESS",
	} {
		fapitest.TryAll(t, bare.Push, fapitest.Bad("a certificate in "+name, fapitest.SetHeader(name, value), 401, "invalid_client"))
	}
	plain := w.Register("client-2", nil)
	for name, value := range map[string]string{"X-Forwarded-Host": "attacker.example", "Forwarded": "host=attacker.example;proto=http", "X-Forwarded-Proto": "http", "X-Original-URL": "/token", "X-Forwarded-Prefix": "/x"} {
		fapitest.TryAll(t, plain.Push,
			fapitest.Good("an answer that does not follow "+name, fapitest.SetHeader(name, value)),
			fapitest.Bad("a proof for what "+name+" says", fapitest.Changes(fapitest.SetHeader(name, value), fapitest.SetHeader("DPoP", plain.Proof("POST", "https://attacker.example/par", "", nil))), 400, "invalid_dpop_proof"))
	}
	t.Run("accepts a request for the metadata and answers with its own issuer", func(t *testing.T) {
		_, body := w.Request(t, "GET", w.Issuer+"/.well-known/openid-configuration", http.Header{"X-Forwarded-Host": {"attacker.example"}, "Forwarded": {"host=attacker.example"}}, "")
		if strings.Contains(body, "attacker") {
			t.Error(body)
		}
	})
}
