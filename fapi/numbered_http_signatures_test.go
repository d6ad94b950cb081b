package fapi_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi"
	"countersign/internal/audit"
	"countersign/internal/httpsig"
	"countersign/internal/jose"
)

// signsHTTP registers a client that signs its requests to resources.
func signsHTTP(_ *client, m map[string]any) { m["http_message_signatures"] = true }

// resourceRequest is a request to a resource, as its client is about to sign it.
type resourceRequest struct {
	method, path, body string
	// key, label, components and parameters are what the client signs with; at is when, counted from now.
	key        jose.PrivateKey
	keyID      string
	components []string
	tag, alg   string
	at         time.Duration
	// alter changes the header after it was signed.
	alter func(http.Header)
}

// call signs and sends a request with the token of the client.
func (c *client) call(t *testing.T, token string, one resourceRequest) (reply, httpsig.Message) {
	t.Helper()
	method := one.method
	if method == "" {
		method = http.MethodGet
	}
	path := one.path
	if path == "" {
		path = "/accounts"
	}
	request, err := http.NewRequest(method, c.base()+path, strings.NewReader(one.body))
	if err != nil {
		t.Fatal(err)
	}
	covered := []string{"@method", "@target-uri", "authorization"}
	request.Header.Set("Authorization", "Bearer "+token)
	if c.dpop {
		request.Header.Set("Authorization", "DPoP "+token)
		plain, _, _ := strings.Cut(path, "?")
		request.Header.Set("DPoP", c.proof(method, c.base()+plain, token, nil))
		covered = append(covered, "dpop")
	}
	if one.body != "" {
		request.Header.Set("Content-Digest", httpsig.Digest([]byte(one.body)))
		covered = append(covered, "content-digest")
	}
	if one.components != nil {
		covered = one.components
	}
	signature := httpsig.Signature{Label: "mine", Created: c.w.clock.Now().Add(one.at), KeyID: c.key.ID(), Tag: httpsig.TagRequest, Algorithm: one.alg}
	for _, name := range covered {
		signature.Components = append(signature.Components, httpsig.Component{Name: name})
	}
	key := c.key
	if one.key.ID() != "" {
		key, signature.KeyID = one.key, one.key.ID()
	}
	if one.keyID != "" {
		signature.KeyID = one.keyID
	}
	if one.tag != "" {
		signature.Tag = one.tag
	}
	message := httpsig.Message{Method: method, Target: request.URL, Header: request.Header}
	if _, err := httpsig.Sign(t.Context(), message, signature, key.SigningKey().Sign); err != nil {
		t.Fatal(err)
	}
	if one.alter != nil {
		one.alter(request.Header)
	}
	return c.do(request), message
}

// wantSigned verifies the signature of an answer with the server's published keys, and gives it.
func (w *world) wantSigned(t *testing.T, r reply, request httpsig.Message) httpsig.Signature {
	t.Helper()
	if err := httpsig.CheckDigest(r.header, []byte(r.raw)); err != nil {
		t.Fatalf("%v: %v", err, r.header)
	}
	response := httpsig.Message{Status: r.status, Header: r.header, Request: &request}
	found, err := httpsig.Find(r.header, httpsig.TagResponse)
	if err != nil {
		t.Fatal(err)
	}
	base, err := found.Base(response)
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := w.browser().visit(w.issuer + "/jwks")
	keys, err := jose.ParseKeySet([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := keys.VerifyMessage(found.KeyID, "", base, found.Value); err != nil || found.KeyID == "" {
		t.Errorf("%v over\n%s", err, base)
	}
	if !found.Created.Equal(w.clock.Now()) || !found.Covers(httpsig.Component{Name: "@status"}) || !found.Covers(httpsig.Component{Name: "content-digest"}) {
		t.Errorf("signed %+v", found)
	}
	return found
}

// Covers: HS-01, HS-03, HS-04. A client that registered for it has to sign its requests to resources, all of what counts.
func TestHS01SignedRequests(t *testing.T) {
	w := newWorld(t, offering, chained)
	stranger := newKey(t, jose.ES256)
	for name, change := range map[string]func(*client, map[string]any){
		"bound by DPoP":          signsHTTP,
		"bound to a certificate": all(withCertificate, func(c *client, m map[string]any) { m["jwks"] = keySet(c.key.PublicJWK()) }, signsHTTP),
	} {
		c := w.register("client-"+random(), change)
		token := c.tokens().text("access_token")
		whole := []string{"@method", "@target-uri", "authorization", "content-digest"}
		if c.dpop {
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
			"one that says its algorithm too": {alg: "ecdsa-p256-sha256"},
		} {
			t.Run("accepts "+what+", "+name, func(t *testing.T) {
				if r, _ := c.call(t, token, one); r.status != http.StatusOK {
					t.Errorf("answered %d %s", r.status, r.raw)
				}
			})
		}
		refused := map[string]resourceRequest{
			"no signature":                       {alter: func(h http.Header) { h.Del("Signature"); h.Del("Signature-Input") }},
			"no signature value":                 {alter: func(h http.Header) { h.Del("Signature") }},
			"a stranger's key":                   {key: stranger},
			"a stranger's key as the client's":   {key: stranger, keyID: c.key.ID()},
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
		if c.dpop {
			refused["the proof left out"] = resourceRequest{components: []string{"@method", "@target-uri", "authorization"}}
		} else {
			delete(refused, "@method left out") // these name dpop, which such a client does not send
			refused["@method left out"] = resourceRequest{components: []string{"@target-uri", "authorization"}}
			refused["the target left out"] = resourceRequest{components: []string{"@method", "authorization"}}
			refused["the token left out"] = resourceRequest{components: []string{"@method", "@target-uri"}}
		}
		for what, one := range refused {
			t.Run("refuses "+what+", "+name, func(t *testing.T) {
				r, _ := c.call(t, token, one)
				wantError(t, r, http.StatusUnauthorized, "invalid_request")
				if ask := r.header.Get("Accept-Signature"); !strings.Contains(ask, `tag="fapi-2-request"`) || !strings.Contains(r.header.Get("WWW-Authenticate"), "invalid_request") {
					t.Errorf("asked for %q, challenged with %q", ask, r.header.Get("WWW-Authenticate"))
				}
			})
		}
	}
	plain := w.register("plain", nil)
	token := plain.tokens().text("access_token")
	t.Run("accepts unsigned requests of who did not register, and signs nothing", func(t *testing.T) {
		if r := plain.get("/accounts", token, nil); r.status != http.StatusOK || r.header.Get("Signature") != "" {
			t.Errorf("answered %d %v", r.status, r.header)
		}
	})
	t.Run("refuses to register for it without a key", func(t *testing.T) {
		metadata := registration(t, func(m map[string]any) {
			m["http_message_signatures"], m["token_endpoint_auth_method"], m["tls_client_auth_subject_dn"] = true, "tls_client_auth", "CN=x"
			delete(m, "jwks")
		})
		if _, err := fapi.ParseClient("client", "fapi2-security", metadata); err == nil || !strings.Contains(err.Error(), "signed requests to resources need") {
			t.Errorf("got %v", err)
		}
	})
}

// Covers: HS-03. The algorithm is that of the key, and one of the client's profile.
func TestHS03Algorithms(t *testing.T) {
	w := newWorld(t, offering, chained)
	for alg, said := range map[string]string{jose.ES256: "ecdsa-p256-sha256", jose.EdDSA: "ed25519", jose.PS256: ""} {
		c := w.register("client-"+alg, all(signsHTTP, func(c *client, m map[string]any) {
			c.key = newKey(t, alg)
			m["jwks"] = keySet(c.key.PublicJWK())
		}))
		token := c.tokens().text("access_token")
		t.Run("accepts a key for "+alg, func(t *testing.T) {
			if r, _ := c.call(t, token, resourceRequest{}); r.status != http.StatusOK {
				t.Errorf("answered %d %s", r.status, r.raw)
			}
		})
		for _, other := range []string{"rsa-v1_5-sha256", "rsa-pss-sha512", "ecdsa-p384-sha384", "ecdsa-p256-sha256", "ed25519", "PS256"} {
			if other == said {
				continue
			}
			t.Run("refuses a key for "+alg+" that says "+other, func(t *testing.T) {
				r, _ := c.call(t, token, resourceRequest{alter: func(h http.Header) { h.Set("Signature-Input", h.Get("Signature-Input")+`;alg="`+other+`"`) }})
				wantError(t, r, http.StatusUnauthorized, "invalid_request")
			})
		}
	}
	first := w.register("first", all(advanced, signsHTTP, func(c *client, m map[string]any) {
		m["jwks"] = keySet(c.key.PublicJWK(), c.proofKey.PublicJWK())
	}))
	first.proofKey = newKey(t, jose.EdDSA)
	w.change(first, "jwks", keySet(first.key.PublicJWK(), first.proofKey.PublicJWK()))
	t.Run("refuses Ed25519 of a client of FAPI 1.0", func(t *testing.T) {
		_, _, sentTo := w.browser().visit(first.byValue(claimed(claim("response_type", "code id_token"))))
		token := first.redeem(fragment(t, sentTo).Get("code"), func(form url.Values, _ http.Header) { form.Del("code_verifier") }).text("access_token")
		if token == "" {
			token = first.redeem(fragment(t, sentTo).Get("code"), nil).text("access_token")
		}
		good, _ := first.call(t, token, resourceRequest{})
		if good.status != http.StatusOK {
			t.Fatalf("with its own key: %d %s", good.status, good.raw)
		}
		r, _ := first.call(t, token, resourceRequest{key: first.proofKey})
		wantError(t, r, http.StatusUnauthorized, "invalid_request")
	})
}

// Covers: HS-02, HS-04, MS-11. Answers are signed, refusals too, and tied to the request.
func TestHS02SignedAnswers(t *testing.T) {
	w := newWorld(t, offering, chained)
	c := w.register("client-1", signsHTTP)
	token := c.tokens().text("access_token")
	t.Run("accepts an answer, and everything that it answers", func(t *testing.T) {
		var r reply
		var request httpsig.Message
		events := w.newly(t, func() { r, request = c.call(t, token, resourceRequest{path: "/accounts?x=1"}) })
		found := w.wantSigned(t, r, request)
		for _, part := range []httpsig.Component{
			{Name: "@method", OfRequest: true}, {Name: "@target-uri", OfRequest: true}, {Name: "authorization", OfRequest: true}, {Name: "dpop", OfRequest: true},
			{Name: "signature", OfRequest: true, Key: "mine"}, {Name: "signature-input", OfRequest: true, Key: "mine"}, {Name: "content-type"},
		} {
			if !found.Covers(part) {
				t.Errorf("%+v is not signed: %s", part, r.header.Get("Signature-Input"))
			}
		}
		wantKinds(t, events, audit.HTTPRequest, audit.HTTPResponse)
		for i, event := range events {
			if event.Message.HTTP == nil || event.Key == "" || strings.Contains(event.Message.HTTP.Base, token) || strings.Contains(event.Message.HTTP.Base, request.Header.Get("DPoP")) {
				t.Errorf("kept %+v of message %d", event.Message.HTTP, i)
			}
		}
	})
	t.Run("accepts the base that RFC 9421 writes, made by hand", func(t *testing.T) {
		r, request := c.call(t, token, resourceRequest{})
		input := regexp.MustCompile(`^sig=(\(.*\);created=\d+;keyid="[^"]+";tag="fapi-2-response")$`).FindStringSubmatch(r.header.Get("Signature-Input"))
		mine := regexp.MustCompile(`^mine=(.*)$`)
		digest := sha256.Sum256([]byte(r.raw))
		if input == nil {
			t.Fatalf("Signature-Input: %s", r.header.Get("Signature-Input"))
		}
		base := strings.Join([]string{
			`"@status": 200`,
			`"content-digest": sha-256=:` + base64.StdEncoding.EncodeToString(digest[:]) + `:`,
			`"content-type": application/json; charset=utf-8`,
			`"@method";req: GET`,
			`"@target-uri";req: ` + w.issuer + `/accounts`,
			`"authorization";req: DPoP ` + token,
			`"dpop";req: ` + request.Header.Get("DPoP"),
			`"signature";req;key="mine": ` + mine.FindStringSubmatch(request.Header.Get("Signature"))[1],
			`"signature-input";req;key="mine": ` + mine.FindStringSubmatch(request.Header.Get("Signature-Input"))[1],
			`"@signature-params": ` + input[1],
		}, "\n")
		value, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(strings.TrimPrefix(r.header.Get("Signature"), "sig=:"), ":"))
		if err != nil {
			t.Fatal(err)
		}
		_, body, _ := w.browser().visit(w.issuer + "/jwks")
		keys, err := jose.ParseKeySet([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := keys.VerifyMessage("", "", []byte(base), value); err != nil {
			t.Errorf("%v over\n%s", err, base)
		}
	})
	t.Run("accepts proof of both in the audit log", func(t *testing.T) {
		if err := w.sealer(t).Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
		report, all := w.audited(t)
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
			r, request := c.call(t, token, one)
			wantError(t, r, http.StatusUnauthorized, "invalid_request")
			if found := w.wantSigned(t, r, request); found.Covers(httpsig.Component{Name: "signature", OfRequest: true, Key: "mine"}) {
				t.Error("the answer is tied to a signature that did not stand")
			}
		})
	}
	t.Run("refuses an answer whose status, body or request was exchanged", func(t *testing.T) {
		r, request := c.call(t, token, resourceRequest{})
		found, err := httpsig.Find(r.header, httpsig.TagResponse)
		if err != nil {
			t.Fatal(err)
		}
		_, body, _ := w.browser().visit(w.issuer + "/jwks")
		keys, err := jose.ParseKeySet([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		other := request
		other.Target = &url.URL{Scheme: "https", Host: "other.example", Path: "/accounts"}
		header := maps.Clone(r.header)
		header.Set("Content-Digest", httpsig.Digest([]byte("{}")))
		for name, changed := range map[string]httpsig.Message{
			"status":  {Status: 201, Header: r.header, Request: &request},
			"body":    {Status: r.status, Header: header, Request: &request},
			"request": {Status: r.status, Header: r.header, Request: &other},
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
		w.backend.fail(context.DeadlineExceeded)
		defer w.backend.fail(nil)
		r, _ := c.call(t, token, resourceRequest{})
		wantError(t, r, http.StatusServiceUnavailable, "temporarily_unavailable")
		if r.header.Get("Signature") != "" || strings.Contains(r.raw, "owner") {
			t.Errorf("answered %v %s", r.header, r.raw)
		}
	})
}

// Covers: HS-02, MS-11. An answer whose evidence cannot be kept is not given.
func TestHS02NothingWithoutEvidence(t *testing.T) {
	w := newWorld(t, offering, chained, func(c *fapiConfig, _ *autoInteractor) { c.Store = forgetful{c.Store} })
	c := w.register("client-1", signsHTTP)
	t.Run("refuses", func(t *testing.T) {
		r, _ := c.call(t, c.tokens().text("access_token"), resourceRequest{})
		wantError(t, r, http.StatusInternalServerError, "server_error")
		if r.header.Get("Signature") != "" || r.header.Get("Content-Digest") != "" || strings.Contains(r.raw, "owner") {
			t.Errorf("answered %v %s", r.header, r.raw)
		}
	})
}

// fetched gives a public document.
func fetched(t *testing.T, w *world, address string) reply {
	t.Helper()
	response, raw := w.ask(t, http.MethodGet, address, nil, "")
	r := reply{status: response.StatusCode, header: response.Header, raw: raw}
	if err := json.Unmarshal([]byte(raw), &r.body); err != nil {
		t.Fatalf("%s answered %d %s: %v", address, r.status, raw, err)
	}
	return r
}

// probeProtectedResource shows that a resource describes itself as the one, and takes the tokens that are for it.
func probeProtectedResource(t *testing.T, w probedWorld, value string) {
	if r := fetched(t, w.world, value+"/.well-known/oauth-protected-resource"); r.body["resource"] != value {
		t.Errorf("described as %s", r.raw)
	}
	c := w.register("client-"+random(), wide)
	if r := c.get("/accounts", c.tokensFor(set("resource", value)).text("access_token"), nil); r.status != http.StatusOK {
		t.Errorf("a token for it: %d %s", r.status, r.raw)
	}
}

// Covers: PR-01, PR-02, MD-03. The metadata of our own resources says what is so, and challenges say where it is.
func TestPR01ResourceMetadata(t *testing.T) {
	for name, path := range map[string]string{"at the root": "", "below a path": "/tenant"} {
		w := newWorld(t, offering, func(c *fapiConfig, _ *autoInteractor) { c.Issuer += path })
		root := strings.TrimSuffix(w.issuer, path)
		address := root + "/.well-known/oauth-protected-resource" + path
		t.Run("accepts the document, "+name, func(t *testing.T) {
			r := fetched(t, w, address)
			want := map[string]any{
				"resource": w.issuer, "authorization_servers": []any{w.issuer}, "jwks_uri": w.issuer + "/jwks",
				"bearer_methods_supported": []any{"header"}, "scopes_supported": []any{"openid", "accounts"},
				"dpop_bound_access_tokens_required": false, "tls_client_certificate_bound_access_tokens": true,
				"dpop_signing_alg_values_supported": []any{"PS256", "ES256", "EdDSA"}, "resource_signing_alg_values_supported": []any{"PS256", "ES256", "EdDSA"},
			}
			if diff := cmp.Diff(want, r.body); r.status != http.StatusOK || diff != "" {
				t.Errorf("answered %d, -want +got\n%s", r.status, diff)
			}
		})
		t.Run("accepts the server's metadata to name it, "+name, func(t *testing.T) {
			document := fetched(t, w, w.issuer+"/.well-known/openid-configuration").body
			if got := fmt.Sprint(document["protected_resources"]); got != "["+w.issuer+"]" {
				t.Errorf("protected_resources %s", got)
			}
		})
		if path != "" {
			continue
		}
		c := w.register("client-1", nil)
		token := c.tokens().text("access_token")
		for what, alter := range map[string]func(http.Header){
			"no token":    func(h http.Header) { h.Del("Authorization"); h.Del("DPoP") },
			"a bad token": func(h http.Header) { h.Set("Authorization", "DPoP x") },
			"no proof":    func(h http.Header) { h.Del("DPoP") },
		} {
			t.Run("refuses "+what+", and says where the metadata is", func(t *testing.T) {
				r := c.get("/accounts", token, alter)
				challenges := r.header.Get("WWW-Authenticate")
				if r.status != http.StatusUnauthorized || !strings.Contains(challenges, `resource_metadata="`+address+`"`) || !strings.HasPrefix(challenges, "DPoP algs=") {
					t.Errorf("answered %d with %q", r.status, challenges)
				}
			})
		}
	}
	w := newWorld(t, func(c *fapiConfig, _ *autoInteractor) { c.MTLSIssuer = "" })
	t.Run("accepts that DPoP is required where there is no listener for certificates", func(t *testing.T) {
		r := fetched(t, w, w.issuer+"/.well-known/oauth-protected-resource")
		if r.body["dpop_bound_access_tokens_required"] != true || r.body["tls_client_certificate_bound_access_tokens"] != false {
			t.Errorf("answered %s", r.raw)
		}
	})
}
