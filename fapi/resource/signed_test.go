package resource_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/fapi/client"
	"countersign/fapi/fapitest"
	"countersign/internal/audit"
	"countersign/internal/httpsig"
	"countersign/internal/jose"
)

// Covers: HS-01, HS-03, HS-04. A client that registered for it has to sign its requests to resources, all of what counts.
func TestHS01SignedRequests(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.AllProfiles, fapitest.WithAuditChain)
	stranger := fapitest.NewKey(t, jose.ES256)
	for name, change := range map[string]func(*fapitest.Client, map[string]any){
		"bound by DPoP":          fapitest.HTTPSigning,
		"bound to a certificate": fapitest.All(fapitest.TLSClientAuth, func(c *fapitest.Client, m map[string]any) { m["jwks"] = fapitest.KeySet(c.Key.PublicJWK()) }, fapitest.HTTPSigning),
	} {
		c := w.Register("client-"+fapitest.RandomString(), change)
		token := c.Tokens().Text("access_token")
		whole := []string{"@method", "@target-uri", "authorization", "content-digest"}
		if c.DPoP {
			whole = append(whole, "dpop")
		}
		without := func(name string) []string {
			return slices.DeleteFunc(slices.Clone(whole), func(n string) bool { return n == name })
		}
		for what, one := range map[string]resourceRequest{
			"a request":                       {},
			"one with a query":                {path: "/accounts?from=2026-01-01&to="},
			"one with a body":                 {method: "POST", path: "/userinfo", body: "a=b"},
			"one that covers more":            {components: append(without("content-digest"), "@authority", "@path", "@query")},
			"one a minute old":                {at: -time.Minute},
			"one that says its algorithm too": {algorithm: "ecdsa-p256-sha256"},
		} {
			t.Run("accepts "+what+", "+name, func(t *testing.T) {
				if r, _ := call(t, c, token, one); r.Status != http.StatusOK {
					t.Errorf("answered %d %s", r.Status, r.Raw)
				}
			})
		}
		refused := map[string]resourceRequest{
			"no signature":                       {alter: func(h http.Header) { h.Del("Signature"); h.Del("Signature-Input") }},
			"no signature value":                 {alter: func(h http.Header) { h.Del("Signature") }},
			"a stranger's key":                   {key: stranger},
			"a stranger's key as the client's":   {key: stranger, keyID: c.Key.ID()},
			"another tag":                        {tag: httpsig.TagResponse},
			"@method left out":                   {components: []string{"@target-uri", "authorization", "dpop"}},
			"the target left out":                {components: []string{"@method", "authorization", "dpop"}},
			"the token left out":                 {components: []string{"@method", "@target-uri", "dpop"}},
			"a signature of long ago":            {at: -61 * time.Second},
			"a signature of the future":          {at: 31 * time.Second},
			"the digest left out":                {method: "POST", path: "/userinfo", body: "a=b", components: without("content-digest")},
			"a body that was exchanged":          {method: "POST", path: "/userinfo", body: "a=b", alter: func(h http.Header) { h.Set("Content-Digest", httpsig.Digest([]byte("c=d"))) }},
			"a digest that is broken by today":   {method: "POST", path: "/userinfo", body: "a=b", alter: func(h http.Header) { h.Set("Content-Digest", "md5=:AAAA:") }},
			"an algorithm that is not the key's": {alter: func(h http.Header) { h.Set("Signature-Input", h.Get("Signature-Input")+`;alg="ed25519"`) }},
			"an algorithm of shared secrets":     {alter: func(h http.Header) { h.Set("Signature-Input", h.Get("Signature-Input")+`;alg="hmac-sha256"`) }},
			"the signature of another address": {alter: func(h http.Header) {
				h.Set("Signature-Input", strings.Replace(h.Get("Signature-Input"), "@target-uri", "@path", 1))
			}},
			"two signatures": {alter: func(h http.Header) {
				h.Set("Signature-Input", h.Get("Signature-Input")+", "+strings.Replace(h.Get("Signature-Input"), "mine", "other", 1))
				h.Set("Signature", h.Get("Signature")+", "+strings.Replace(h.Get("Signature"), "mine", "other", 1))
			}},
		}
		if c.DPoP {
			refused["the proof left out"] = resourceRequest{components: []string{"@method", "@target-uri", "authorization"}}
		} else {
			delete(refused, "@method left out") // these name dpop, which such a client does not send
			refused["@method left out"] = resourceRequest{components: []string{"@target-uri", "authorization"}}
			refused["the target left out"] = resourceRequest{components: []string{"@method", "authorization"}}
			refused["the token left out"] = resourceRequest{components: []string{"@method", "@target-uri"}}
		}
		for what, one := range refused {
			t.Run("refuses "+what+", "+name, func(t *testing.T) {
				r, _ := call(t, c, token, one)
				fapitest.WantError(t, r, http.StatusUnauthorized, "invalid_request")
				if ask := r.Header.Get("Accept-Signature"); !strings.Contains(ask, `tag="fapi-2-request"`) || !strings.Contains(r.Header.Get("WWW-Authenticate"), "invalid_request") {
					t.Errorf("asked for %q, challenged with %q", ask, r.Header.Get("WWW-Authenticate"))
				}
			})
		}
	}
	plain := w.Register("plain", nil)
	token := plain.Tokens().Text("access_token")
	t.Run("accepts unsigned requests of who did not register, and signs nothing", func(t *testing.T) {
		if r := plain.Get("/accounts", token, nil); r.Status != http.StatusOK || r.Header.Get("Signature") != "" {
			t.Errorf("answered %d %v", r.Status, r.Header)
		}
	})
	t.Run("refuses to register for it without a key", func(t *testing.T) {
		metadata := fapitest.ClientMetadata(t, func(m map[string]any) {
			m["http_message_signatures"], m["token_endpoint_auth_method"], m["tls_client_auth_subject_dn"] = true, "tls_client_auth", "CN=x"
			delete(m, "jwks")
		})
		if _, err := client.Parse("client", "fapi2-security", metadata); err == nil || !strings.Contains(err.Error(), "signed requests to resources need") {
			t.Errorf("got %v", err)
		}
	})
}

// Covers: HS-03. The algorithm is that of the key, and one of the client's profile.
func TestHS03Algorithms(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.AllProfiles, fapitest.WithAuditChain)
	for alg, said := range map[string]string{jose.ES256: "ecdsa-p256-sha256", jose.EdDSA: "ed25519", jose.PS256: ""} {
		c := w.Register("client-"+alg, fapitest.All(fapitest.HTTPSigning, func(c *fapitest.Client, m map[string]any) {
			c.Key = fapitest.NewKey(t, alg)
			m["jwks"] = fapitest.KeySet(c.Key.PublicJWK())
		}))
		token := c.Tokens().Text("access_token")
		t.Run("accepts a key for "+alg, func(t *testing.T) {
			if r, _ := call(t, c, token, resourceRequest{}); r.Status != http.StatusOK {
				t.Errorf("answered %d %s", r.Status, r.Raw)
			}
		})
		for _, other := range []string{"rsa-v1_5-sha256", "rsa-pss-sha512", "ecdsa-p384-sha384", "ecdsa-p256-sha256", "ed25519", "PS256"} {
			if other == said {
				continue
			}
			t.Run("refuses a key for "+alg+" that says "+other, func(t *testing.T) {
				r, _ := call(t, c, token, resourceRequest{alter: func(h http.Header) { h.Set("Signature-Input", h.Get("Signature-Input")+`;alg="`+other+`"`) }})
				fapitest.WantError(t, r, http.StatusUnauthorized, "invalid_request")
			})
		}
	}
	first := w.Register("first", fapitest.All(fapitest.FAPI1Advanced, fapitest.HTTPSigning, func(c *fapitest.Client, m map[string]any) {
		m["jwks"] = fapitest.KeySet(c.Key.PublicJWK(), c.ProofKey.PublicJWK())
	}))
	first.ProofKey = fapitest.NewKey(t, jose.EdDSA)
	w.ChangeMember(first, "jwks", fapitest.KeySet(first.Key.PublicJWK(), first.ProofKey.PublicJWK()))
	t.Run("refuses Ed25519 of a client of FAPI 1.0", func(t *testing.T) {
		_, _, sentTo := w.Browser().Visit(first.ByValue(fapitest.ChangeClaims(fapitest.SetClaim("response_type", "code id_token"))))
		token := first.Redeem(fapitest.Fragment(t, sentTo).Get("code"), func(form url.Values, _ http.Header) { form.Del("code_verifier") }).Text("access_token")
		if token == "" {
			token = first.Redeem(fapitest.Fragment(t, sentTo).Get("code"), nil).Text("access_token")
		}
		good, _ := call(t, first, token, resourceRequest{})
		if good.Status != http.StatusOK {
			t.Fatalf("with its own key: %d %s", good.Status, good.Raw)
		}
		r, _ := call(t, first, token, resourceRequest{key: first.ProofKey})
		fapitest.WantError(t, r, http.StatusUnauthorized, "invalid_request")
	})
}

// Covers: HS-02, HS-04, MS-11. Answers are signed, refusals too, and tied to the request.
func TestHS02SignedAnswers(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.AllProfiles, fapitest.WithAuditChain)
	c := w.Register("client-1", fapitest.HTTPSigning)
	token := c.Tokens().Text("access_token")
	t.Run("accepts an answer, and everything that it answers", func(t *testing.T) {
		var r fapitest.Reply
		var request httpsig.Message
		events := w.NewEvidence(t, func() { r, request = call(t, c, token, resourceRequest{path: "/accounts?x=1"}) })
		found := wantSigned(t, w, r, request)
		for _, part := range []httpsig.Component{
			{Name: "@method", OfRequest: true}, {Name: "@target-uri", OfRequest: true}, {Name: "authorization", OfRequest: true}, {Name: "dpop", OfRequest: true},
			{Name: "signature", OfRequest: true, Key: "mine"}, {Name: "signature-input", OfRequest: true, Key: "mine"}, {Name: "content-type"},
		} {
			if !found.Covers(part) {
				t.Errorf("%+v is not signed: %s", part, r.Header.Get("Signature-Input"))
			}
		}
		fapitest.WantKinds(t, events, audit.HTTPRequest, audit.HTTPResponse)
		for i, event := range events {
			if event.Message.HTTP == nil || event.Key == "" || strings.Contains(event.Message.HTTP.Base, token) || strings.Contains(event.Message.HTTP.Base, request.Header.Get("DPoP")) {
				t.Errorf("kept %+v of message %d", event.Message.HTTP, i)
			}
		}
	})
	t.Run("accepts the base that RFC 9421 writes, made by hand", func(t *testing.T) {
		r, request := call(t, c, token, resourceRequest{})
		input := regexp.MustCompile(`^sig=(\(.*\);created=\d+;keyid="[^"]+";tag="fapi-2-response")$`).FindStringSubmatch(r.Header.Get("Signature-Input"))
		mine := regexp.MustCompile(`^mine=(.*)$`)
		digest := sha256.Sum256([]byte(r.Raw))
		if input == nil {
			t.Fatalf("Signature-Input: %s", r.Header.Get("Signature-Input"))
		}
		base := strings.Join([]string{
			`"@status": 200`,
			`"content-digest": sha-256=:` + base64.StdEncoding.EncodeToString(digest[:]) + `:`,
			`"content-type": application/json; charset=utf-8`,
			`"@method";req: GET`,
			`"@target-uri";req: ` + w.Issuer + `/accounts`,
			`"authorization";req: DPoP ` + token,
			`"dpop";req: ` + request.Header.Get("DPoP"),
			`"signature";req;key="mine": ` + mine.FindStringSubmatch(request.Header.Get("Signature"))[1],
			`"signature-input";req;key="mine": ` + mine.FindStringSubmatch(request.Header.Get("Signature-Input"))[1],
			`"@signature-params": ` + input[1],
		}, "\n")
		value, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(strings.TrimPrefix(r.Header.Get("Signature"), "sig=:"), ":"))
		if err != nil {
			t.Fatal(err)
		}
		_, body, _ := w.Browser().Visit(w.Issuer + "/jwks")
		keys, err := jose.ParseKeySet([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := keys.VerifyMessage("", "", []byte(base), value); err != nil {
			t.Errorf("%v over\n%s", err, base)
		}
	})
	t.Run("accepts proof of both in the audit log", func(t *testing.T) {
		if err := w.Sealer(t).Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		report, all := w.Audited(t)
		if len(report.Findings) != 0 || strings.Contains(all, token) || !strings.Contains(all, string(audit.HTTPResponse)) {
			t.Errorf("verified as %+v: %s", report, all)
		}
		tampered := false
		verifier := audit.NewVerifier(audit.Options{})
		for text := range strings.Lines(all) {
			if strings.Contains(text, `"http_response"`) && !tampered {
				tampered = true
				text = regexp.MustCompile(`"base_sha256":"[^"]{4}`).ReplaceAllString(text, `"base_sha256":"AAAA`)
			}
			verifier.Add([]byte(strings.TrimSpace(text)))
		}
		unproven := 0
		for _, finding := range verifier.Report().Findings {
			if finding.Fault == audit.Unproven {
				unproven++
			}
		}
		if unproven != 1 {
			t.Errorf("%d messages are found to be unproven, want 1", unproven)
		}
	})
	for what, one := range map[string]resourceRequest{
		"a bad signature":  {at: -time.Hour},
		"no signature":     {alter: func(h http.Header) { h.Del("Signature"); h.Del("Signature-Input") }},
		"an exchanged one": {alter: func(h http.Header) { h.Set("Signature", "mine=:AAAA:") }},
	} {
		t.Run("refuses "+what+" with a signed answer", func(t *testing.T) {
			r, request := call(t, c, token, one)
			fapitest.WantError(t, r, http.StatusUnauthorized, "invalid_request")
			if found := wantSigned(t, w, r, request); found.Covers(httpsig.Component{Name: "signature", OfRequest: true, Key: "mine"}) {
				t.Error("the answer is tied to a signature that is not valid")
			}
		})
	}
	t.Run("refuses an answer whose status, body or request was exchanged", func(t *testing.T) {
		r, request := call(t, c, token, resourceRequest{})
		found, err := httpsig.Find(r.Header, httpsig.TagResponse)
		if err != nil {
			t.Fatal(err)
		}
		_, body, _ := w.Browser().Visit(w.Issuer + "/jwks")
		keys, err := jose.ParseKeySet([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		other := request
		other.Target = &url.URL{Scheme: "https", Host: "other.example", Path: "/accounts"}
		header := maps.Clone(r.Header)
		header.Set("Content-Digest", httpsig.Digest([]byte("{}")))
		for name, changed := range map[string]httpsig.Message{
			"status":  {Status: 201, Header: r.Header, Request: &request},
			"body":    {Status: r.Status, Header: header, Request: &request},
			"request": {Status: r.Status, Header: r.Header, Request: &other},
		} {
			base, err := found.Base(changed)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := keys.VerifyMessage(found.KeyID, "", base, found.Value); err == nil {
				t.Errorf("another %s passes", name)
			}
		}
	})
	t.Run("refuses to answer when nothing can sign", func(t *testing.T) {
		w.Backend.Fail(context.DeadlineExceeded)
		defer w.Backend.Fail(nil)
		r, _ := call(t, c, token, resourceRequest{})
		fapitest.WantError(t, r, http.StatusServiceUnavailable, "temporarily_unavailable")
		if r.Header.Get("Signature") != "" || strings.Contains(r.Raw, "owner") {
			t.Errorf("answered %v %s", r.Header, r.Raw)
		}
	})
}

// Covers: HS-02, MS-11. An answer whose evidence cannot be kept is not given.
func TestHS02NothingWithoutEvidence(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.AllProfiles, fapitest.WithAuditChain, func(c *fapitest.Config) { c.Store = fapitest.FailingAudit{Store: c.Store} })
	c := w.Register("client-1", fapitest.HTTPSigning)
	t.Run("refuses", func(t *testing.T) {
		r, _ := call(t, c, c.Tokens().Text("access_token"), resourceRequest{})
		fapitest.WantError(t, r, http.StatusInternalServerError, "server_error")
		if r.Header.Get("Signature") != "" || r.Header.Get("Content-Digest") != "" || strings.Contains(r.Raw, "owner") {
			t.Errorf("answered %v %s", r.Header, r.Raw)
		}
	})
}
