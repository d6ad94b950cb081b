package fapi_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"countersign/internal/jose"
	"countersign/mtls"
)

// issueAs makes a client certificate that alter may change.
func (a authority) issueAs(t *testing.T, now time.Time, alter func(*x509.Certificate)) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "client"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if alter != nil {
		alter(template)
	}
	leaf := parse(t, template, a.certificate, key.Public(), a.key)
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

// showing is the client with another certificate, or with none.
func (c *client) showing(certificate *tls.Certificate) *client {
	other := *c
	other.certificate, other.atMTLS = certificate, true
	other.http = c.w.transport(&other)
	return &other
}

// subject makes a client whose certificate has to have a subject or an alternative name.
func subject(member, value string) func(*client, map[string]any) {
	return func(c *client, m map[string]any) {
		withCertificate(c, m)
		delete(m, "tls_client_auth_subject_dn")
		m[member] = value
	}
}

// Covers: MT-01, RULE-14. A chain that is trusted, and the one name that was registered.
func TestMT01Subject(t *testing.T) {
	w := newWorld(t)
	now := w.clock.Now()
	address, err := url.Parse("https://client.example/id")
	if err != nil {
		t.Fatal(err)
	}
	right := w.clientCA.issueAs(t, now, func(c *x509.Certificate) {
		c.Subject.Organization = []string{"Example"}
		c.DNSNames, c.URIs, c.EmailAddresses = []string{"client.example"}, []*url.URL{address}, []string{"ops@client.example"}
		c.IPAddresses = []net.IP{net.IPv4(192, 0, 2, 1)}
	})
	wrong := w.clientCA.issueAs(t, now, func(c *x509.Certificate) {
		c.Subject.CommonName = "other"
		c.DNSNames = []string{"other.client.example", "client.example.attacker.example"}
	})
	foreign := newAuthority(t, "Client CA", now).issueAs(t, now, func(c *x509.Certificate) { // the same name, another key
		c.Subject.Organization, c.DNSNames = []string{"Example"}, []string{"client.example"}
	})
	for member, value := range map[string]string{
		"tls_client_auth_subject_dn": "CN=client,O=Example", "tls_client_auth_san_dns": "client.example", "tls_client_auth_san_uri": "https://client.example/id",
		"tls_client_auth_san_ip": "192.0.2.1", "tls_client_auth_san_email": "ops@client.example",
	} {
		c := w.register("client with "+member, subject(member, value))
		tryAll(t, c.showing(right).push, good("the certificate with "+member, nil))
		for name, certificate := range map[string]*tls.Certificate{
			"another subject": wrong, "an authority of the same name": foreign, "no certificate": nil,
			"a certificate that has expired": w.clientCA.issueAs(t, now, func(c *x509.Certificate) {
				c.Subject, c.DNSNames, c.NotAfter = right.Leaf.Subject, right.Leaf.DNSNames, now.Add(-time.Second)
			}),
			"a certificate for servers": w.clientCA.issueAs(t, now, func(c *x509.Certificate) {
				c.Subject.Organization, c.DNSNames, c.ExtKeyUsage = []string{"Example"}, []string{"client.example"}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
			}),
		} {
			tryAll(t, c.showing(certificate).push, bad(name+" for "+member, nil, 401, "invalid_client"))
		}
	}
	mutual := func(change func(map[string]any)) func(map[string]any) {
		return func(m map[string]any) {
			delete(m, "jwks")
			m["token_endpoint_auth_method"] = "tls_client_auth"
			change(m)
		}
	}
	registering(t, "one subject parameter", mutual(claim("tls_client_auth_san_dns", "client.example")), "")
	registering(t, "no subject parameter", mutual(func(map[string]any) {}), "tls_client_auth_subject_dn")
	registering(t, "two subject parameters", mutual(func(m map[string]any) {
		m["tls_client_auth_san_dns"], m["tls_client_auth_subject_dn"] = "client.example", "CN=client"
	}), "tls_client_auth_subject_dn")
	registering(t, "a subject for a client with a key", claim("tls_client_auth_subject_dn", "CN=client"), "tls_client_auth_subject_dn")
}

// Covers: MT-02, ATTACK-19. Names are compared by what they say, in their order.
func TestMT02SubjectNames(t *testing.T) {
	w := newWorld(t)
	certificate := w.clientCA.issueAs(t, w.clock.Now(), func(c *x509.Certificate) {
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
		c := w.register("client "+name, subject("tls_client_auth_subject_dn", attempt.dn))
		one := good("a subject "+name, nil)
		if !attempt.good {
			one = bad("a subject "+name, nil, 401, "invalid_client")
		}
		tryAll(t, c.showing(certificate).push, one)
	}
	for name, dn := range map[string]string{"a NUL": `CN=Client One\00,O=Example Ltd,C=DE`, "no attribute": "Client One", "an unknown attribute": "NOPE=a", "half an escape": `CN=a\`} {
		registering(t, "to register "+name, func(m map[string]any) {
			delete(m, "jwks")
			m["token_endpoint_auth_method"], m["tls_client_auth_subject_dn"] = "tls_client_auth", dn
		}, "tls_client_auth_subject_dn")
	}
}

// Covers: MT-03. The certificate is the client's by its key, and its chain means nothing.
func TestMT03SelfSigned(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", selfSigned)
	now := w.clock.Now()
	tryAll(t, c.push, good("the registered key", nil))
	again := authority{c.certificate.Leaf, c.certificate.PrivateKey.(*ecdsa.PrivateKey)}
	renew := func(notAfter time.Time) *tls.Certificate {
		template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "renewed"}, NotBefore: now.Add(-time.Hour), NotAfter: notAfter}
		leaf := parse(t, template, template, again.key.Public(), again.key)
		return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: again.key, Leaf: leaf}
	}
	tryAll(t, c.showing(renew(now.Add(time.Hour))).push, good("another certificate for the same key", nil))
	for name, certificate := range map[string]*tls.Certificate{
		"another key": ptr(authority{}.issue(t, c.id, now)), "another key by a trusted authority": ptr(w.clientCA.issue(t, c.id, now)),
		"the registered key after the certificate's time": renew(now.Add(-time.Second)), "no certificate": nil,
	} {
		tryAll(t, c.showing(certificate).push, bad(name, nil, 401, "invalid_client"))
	}
}

// Covers: MT-04, RULE-10, ATTACK-03. The client says who it is, and proves it in the one way that it registered.
func TestMT04ClientID(t *testing.T) {
	w := newWorld(t)
	c, other := w.register("client-1", withCertificate), w.register("client-2", withCertificate)
	byKey := w.register("client-3", nil)
	tryAll(t, c.push, good("client_id and its certificate", nil),
		bad("no client_id", unset("client_id"), 401, "invalid_client"),
		bad("another client's client_id", set("client_id", other.id), 401, "invalid_client"),
		bad("the client_id of a client with a key", set("client_id", byKey.id), 401, "invalid_client"),
		bad("an assertion beside the certificate", func(form url.Values, _ http.Header) {
			form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
			form.Set("client_assertion", c.clientAssertion(nil))
		}, 400, "invalid_request"),
		bad("another client's assertion beside the certificate", func(form url.Values, _ http.Header) {
			form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
			form.Set("client_assertion", byKey.clientAssertion(nil))
		}, 401, "invalid_client"),
		bad("a secret beside the certificate", setHeader("Authorization", "Basic YTpi"), 401, "invalid_client"))
	byKey.certificate = ptr(w.clientCA.issue(t, byKey.id, w.clock.Now()))
	byKey.http = w.transport(byKey)
	tryAll(t, byKey.push, good("an assertion on a connection with a certificate", nil),
		bad("that certificate without the assertion", func(form url.Values, _ http.Header) {
			form.Del("client_assertion")
			form.Set("client_id", byKey.id)
		}, 401, "invalid_client"))
}

// Covers: MT-05, MT-07. The token names the certificate of the request, however the client authenticated.
func TestMT05Thumbprint(t *testing.T) {
	w := newWorld(t)
	for name, alter := range map[string]func(*client, map[string]any){
		"tls_client_auth": withCertificate, "self_signed_tls_client_auth": selfSigned, "private_key_jwt": byCertificate,
	} {
		c := w.register("client by "+name, alter)
		token := c.tokens().text("access_token")
		t.Run("accepts "+name+" and binds to the certificate", func(t *testing.T) {
			digest := sha256.Sum256(c.certificate.Leaf.Raw)
			_, access := w.decode(token)
			bound, _ := access["cnf"].(map[string]any)
			if got, want := bound["x5t#S256"], base64.RawURLEncoding.EncodeToString(digest[:]); got != want {
				t.Errorf("x5t#S256 %v, want %s", got, want)
			}
			good("", nil).check(t, c.get("/accounts", token, nil))
		})
		t.Run("refuses another certificate of a client by "+name, func(t *testing.T) {
			other := c.showing(ptr(w.clientCA.issue(t, c.id, w.clock.Now())))
			wantError(t, other.get("/accounts", token, nil), 401, "invalid_token")
		})
	}
	proving := w.register("client-1", func(c *client, m map[string]any) {
		withCertificate(c, m)
		delete(m, "tls_client_certificate_bound_access_tokens")
		m["dpop_bound_access_tokens"], c.dpop = true, true
	})
	t.Run("accepts tls_client_auth and binds to a DPoP key", func(t *testing.T) {
		issued := proving.tokens()
		_, access := w.decode(issued.text("access_token"))
		if bound, _ := access["cnf"].(map[string]any); bound["jkt"] != proving.proofKey.Key().Thumbprint() || issued.text("token_type") != "DPoP" {
			t.Errorf("cnf %v", access["cnf"])
		}
		good("", nil).check(t, proving.get("/accounts", issued.text("access_token"), nil))
	})
}

// Covers: MT-09, SP-11. The second listener's endpoints are in the metadata, if there is one, and are served there.
func TestMT09Aliases(t *testing.T) {
	w := newWorld(t)
	document := w.document()
	aliases, _ := document["mtls_endpoint_aliases"].(map[string]any)
	if document["tls_client_certificate_bound_access_tokens"] != true || len(aliases) < 3 {
		t.Errorf("%v %v", document["tls_client_certificate_bound_access_tokens"], aliases)
	}
	for name, address := range aliases {
		t.Run("accepts "+name+" at its alias", func(t *testing.T) {
			own, _ := document[name].(string)
			if text, _ := address.(string); !strings.HasPrefix(text, w.mtls+"/") || strings.TrimPrefix(text, w.mtls) != strings.TrimPrefix(own, w.issuer) {
				t.Errorf("%v beside %v", address, own)
			}
			if response, _ := w.ask(t, "PATCH", address.(string), nil, ""); response.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("%d", response.StatusCode)
			}
		})
	}
	for _, path := range []string{"/authorize", "/interaction/x", "/jwks", "/.well-known/openid-configuration"} {
		t.Run("refuses "+path+" there", func(t *testing.T) {
			if response, _ := w.ask(t, "GET", w.mtls+path, nil, ""); response.StatusCode != http.StatusNotFound {
				t.Errorf("%d", response.StatusCode)
			}
		})
	}
	t.Run("refuses to advertise what is not there", func(t *testing.T) {
		without := newWorld(t, func(c *fapiConfig, _ *autoInteractor) { c.MTLSIssuer = "" }).document()
		if without["mtls_endpoint_aliases"] != nil || without["tls_client_certificate_bound_access_tokens"] != false {
			t.Errorf("%v", without)
		}
	})
	c := w.register("client-1", func(c *client, m map[string]any) {
		withCertificate(c, m)
		m["use_mtls_endpoint_aliases"] = true
	})
	t.Run("accepts a client that says that it uses them", func(t *testing.T) { c.tokens() })
}

// Covers: MT-10. Browsers meet a listener that asks for no certificate.
func TestMT10BrowsersAreNotAsked(t *testing.T) {
	w := newWorld(t)
	asks := func(address string) bool {
		asked := false
		connection, err := tls.Dial("tcp", strings.TrimPrefix(address, "https://"), &tls.Config{RootCAs: w.roots, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
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
		if asks(w.issuer) {
			t.Error("asked for a certificate")
		}
	})
	t.Run("accepts clients and asks", func(t *testing.T) {
		if !asks(w.mtls) {
			t.Error("did not ask")
		}
	})
	t.Run("refuses pages where it asks", func(t *testing.T) {
		if response, _ := w.ask(t, "GET", w.mtls+"/authorize?client_id=x", nil, ""); response.StatusCode != http.StatusNotFound {
			t.Errorf("%d", response.StatusCode)
		}
	})
	c := w.register("client-1", withCertificate)
	t.Run("refuses a client's certificate where it does not ask", func(t *testing.T) {
		form := url.Values{"client_id": {c.id}}
		request, err := http.NewRequest("POST", w.issuer+"/par", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		wantError(t, c.do(request), 401, "invalid_client")
	})
}

// Covers: BC-09, RULE-07. A certificate in a header proves nothing, and neither do addresses that a proxy might send.
func TestRule07ForwardedHeaders(t *testing.T) {
	w := newWorld(t)
	c := w.register("client-1", withCertificate)
	bare := c.showing(nil)
	der := base64.StdEncoding.EncodeToString(c.certificate.Leaf.Raw)
	pem := url.QueryEscape("-----BEGIN CERTIFICATE-----\n" + der + "\n-----END CERTIFICATE-----\n")
	tryAll(t, c.push, good("the certificate of the connection", nil),
		good("that one whatever headers say", both(setHeader("Client-Cert", ":AAAA:"), setHeader("X-Forwarded-Host", "attacker.example"))))
	for name, value := range map[string]string{
		"Client-Cert": ":" + der + ":", "X-Client-Cert": pem, "X-SSL-Client-Cert": pem, "SSL-Client-Cert": pem, "X-Forwarded-Client-Cert": `Cert="` + pem + `"`,
		"X-Forwarded-Tls-Client-Cert": der, "X-Amzn-Mtls-Clientcert": pem, "X-ARR-ClientCert": der, "X-SSL-Client-Verify": "SUCCESS",
	} {
		tryAll(t, bare.push, bad("a certificate in "+name, setHeader(name, value), 401, "invalid_client"))
	}
	plain := w.register("client-2", nil)
	for name, value := range map[string]string{"X-Forwarded-Host": "attacker.example", "Forwarded": "host=attacker.example;proto=http", "X-Forwarded-Proto": "http", "X-Original-URL": "/token", "X-Forwarded-Prefix": "/x"} {
		tryAll(t, plain.push,
			good("an answer that does not follow "+name, setHeader(name, value)),
			bad("a proof for what "+name+" says", both(setHeader(name, value), setHeader("DPoP", plain.proof("POST", "https://attacker.example/par", "", nil))), 400, "invalid_dpop_proof"))
	}
	t.Run("accepts a request for the metadata and answers with its own issuer", func(t *testing.T) {
		_, body := w.ask(t, "GET", w.issuer+"/.well-known/openid-configuration", http.Header{"X-Forwarded-Host": {"attacker.example"}, "Forwarded": {"host=attacker.example"}}, "")
		if strings.Contains(body, "attacker") {
			t.Error(body)
		}
	})
}

// Covers: MT-03, MT-08. A client that publishes its keys at an address changes its certificate on the day that it likes, and keeps
// what it was granted; a certificate whose key nobody publishes is not let in by asking often.
func TestMT03SelfSignedByAddress(t *testing.T) {
	var published atomic.Pointer[jose.KeySet]
	var fetched atomic.Int32
	certificate, roots := serverCertificate(t)
	host := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetched.Add(1)
		if err := json.NewEncoder(w).Encode(published.Load()); err != nil {
			t.Error(err)
		}
	}))
	host.TLS = mtls.ServerConfig([]tls.Certificate{certificate}, false)
	host.StartTLS()
	t.Cleanup(host.Close)
	w := newWorld(t, func(c *fapiConfig, _ *autoInteractor) { c.OutboundRoots = roots })
	own := func(certificate tls.Certificate) jose.Key {
		key, err := jose.NewKey("own-"+certificate.Leaf.SerialNumber.String(), jose.ES256, certificate.Leaf.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	publish := func(keys ...jose.Key) {
		set := jose.NewKeySet(keys...)
		published.Store(&set)
	}
	c := w.register("client-1", func(c *client, m map[string]any) {
		selfSigned(c, m)
		delete(m, "jwks")
		m["jwks_uri"] = host.URL + "/jwks"
	})
	publish(own(*c.certificate))
	issued := c.tokens()
	next, foreign := authority{}.issue(t, c.id, w.clock.Now()), authority{}.issue(t, c.id, w.clock.Now())
	w.clock.Advance(time.Minute / 2)
	before := fetched.Load()
	for range 5 {
		tryAll(t, c.showing(&foreign).push, bad("a key that is published nowhere", nil, 401, "invalid_client"))
	}
	if more := fetched.Load() - before; more != 1 {
		t.Errorf("five strangers caused %d fetches, want 1", more)
	}
	publish(own(*c.certificate), own(next))
	tryAll(t, c.showing(&next).push, bad("the next certificate within the interval", nil, 401, "invalid_client"))
	w.clock.Advance(time.Minute / 2)
	renewed := c.showing(&next)
	tryAll(t, renewed.push, good("the next certificate", nil))
	tryAll(t, c.push, good("the one before, while both are published", nil))
	if r := renewed.refresh(issued.text("refresh_token"), nil); r.status != http.StatusOK {
		t.Errorf("refresh with the next certificate: %d %s", r.status, r.raw)
	}
}

// Covers: MT-01. Two ecosystems give one subject to two parties: a client is held to the trust store that it names, to no
// other.
func TestMT01TrustStores(t *testing.T) {
	other := newAuthority(t, "Other ecosystem", time.Now())
	w := newWorld(t, offersRegistration, func(c *fapiConfig, _ *autoInteractor) {
		trust := c.ClientTrust
		trust.Roots = x509.NewCertPool()
		trust.Roots.AddCert(other.certificate)
		c.TrustStores = map[string]mtls.Trust{"other": trust}
	})
	now := w.clock.Now()
	theirs, ours := other.issueAs(t, now, nil), w.clientCA.issueAs(t, now, nil)
	naming := func(store string) *client {
		return w.register("client of "+store, func(c *client, m map[string]any) {
			withCertificate(c, m)
			m["tls_client_auth_subject_dn"] = "CN=client"
			if store != "" {
				m["tls_client_auth_trust_store"] = store
			}
		})
	}
	plain, named, gone := naming(""), naming("other"), naming("gone")
	tryAll(t, named.showing(theirs).push, good("the store that the client names", nil))
	tryAll(t, plain.showing(ours).push, good("the store of those who name none", nil))
	tryAll(t, named.showing(ours).push, bad("the store of others, with the same subject", nil, 401, "invalid_client"))
	tryAll(t, plain.showing(theirs).push, bad("a store that the client does not name, with the same subject", nil, 401, "invalid_client"))
	for _, certificate := range []*tls.Certificate{ours, theirs, nil} {
		tryAll(t, gone.showing(certificate).push, bad("a store that is not there any more", nil, 401, "invalid_client"))
	}
	token, c := w.initialToken("Bank", 4), w.applicant(nil)
	enrolling := func(store string) map[string]any {
		return enrolment(newKey(t, jose.ES256), func(m map[string]any) {
			delete(m, "jwks")
			m["token_endpoint_auth_method"], m["tls_client_auth_subject_dn"], m["tls_client_auth_trust_store"] = "tls_client_auth", "CN=client", store
		})
	}
	t.Run("accepts to register with a store", func(t *testing.T) {
		if r := c.enrolled(token, enrolling("other")); r.text("tls_client_auth_trust_store") != "other" {
			t.Errorf("%s", r.raw)
		}
	})
	t.Run("refuses to register with a store that is not there", func(t *testing.T) {
		wantError(t, c.enrol(token, enrolling("gone")), http.StatusBadRequest, "invalid_client_metadata")
	})
	registering(t, "a store without a certificate", claim("tls_client_auth_trust_store", "other"), "tls_client_auth_trust_store")
}
