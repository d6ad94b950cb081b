package fapitest

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"countersign/internal/httpsig"
	"countersign/internal/jose"
)

// signsHTTP registers a client that signs its requests to resources.
func SignsHTTP(_ *Client, m map[string]any) { m["http_message_signatures"] = true }

// resourceRequest is a request to a resource, as its client is about to sign it.
type ResourceRequest struct {
	Method, Path, Body string
	// key, label, components and parameters are what the client signs with; at is when, counted from now.
	Key            jose.PrivateKey
	KeyID          string
	Components     []string
	Tag, Algorithm string
	At             time.Duration
	// alter changes the header after it was signed.
	Alter func(http.Header)
}

// call signs and sends a request with the token of the client.
func (c *Client) Call(t *testing.T, token string, one ResourceRequest) (Reply, httpsig.Message) {
	t.Helper()
	method := one.Method
	if method == "" {
		method = http.MethodGet
	}
	path := one.Path
	if path == "" {
		path = "/accounts"
	}
	request, err := http.NewRequest(method, c.Base()+path, strings.NewReader(one.Body))
	if err != nil {
		t.Fatal(err)
	}
	covered := []string{"@method", "@target-uri", "authorization"}
	request.Header.Set("Authorization", "Bearer "+token)
	if c.DPoP {
		request.Header.Set("Authorization", "DPoP "+token)
		plain, _, _ := strings.Cut(path, "?")
		request.Header.Set("DPoP", c.Proof(method, c.Base()+plain, token, nil))
		covered = append(covered, "dpop")
	}
	if one.Body != "" {
		request.Header.Set("Content-Digest", httpsig.Digest([]byte(one.Body)))
		covered = append(covered, "content-digest")
	}
	if one.Components != nil {
		covered = one.Components
	}
	signature := httpsig.Signature{Label: "mine", Created: c.W.Clock.Now().Add(one.At), KeyID: c.Key.ID(), Tag: httpsig.TagRequest, Algorithm: one.Algorithm}
	for _, name := range covered {
		signature.Components = append(signature.Components, httpsig.Component{Name: name})
	}
	key := c.Key
	if one.Key.ID() != "" {
		key, signature.KeyID = one.Key, one.Key.ID()
	}
	if one.KeyID != "" {
		signature.KeyID = one.KeyID
	}
	if one.Tag != "" {
		signature.Tag = one.Tag
	}
	message := httpsig.Message{Method: method, Target: request.URL, Header: request.Header}
	if _, err := httpsig.Sign(t.Context(), message, signature, key.SigningKey().Sign); err != nil {
		t.Fatal(err)
	}
	if one.Alter != nil {
		one.Alter(request.Header)
	}
	return c.Do(request), message
}

// wantSigned verifies the signature of an answer with the server's published keys, and gives it.
func (w *World) WantSigned(t *testing.T, r Reply, request httpsig.Message) httpsig.Signature {
	t.Helper()
	if err := httpsig.CheckDigest(r.Header, []byte(r.Raw)); err != nil {
		t.Fatalf("%v: %v", err, r.Header)
	}
	response := httpsig.Message{Status: r.Status, Header: r.Header, Request: &request}
	found, err := httpsig.Find(r.Header, httpsig.TagResponse)
	if err != nil {
		t.Fatal(err)
	}
	base, err := found.Base(response)
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := w.Browser().Visit(w.Issuer + "/jwks")
	keys, err := jose.ParseKeySet([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := keys.VerifyMessage(found.KeyID, "", base, found.Value); err != nil || found.KeyID == "" {
		t.Errorf("%v over\n%s", err, base)
	}
	if !found.Created.Equal(w.Clock.Now()) || !found.Covers(httpsig.Component{Name: "@status"}) || !found.Covers(httpsig.Component{Name: "content-digest"}) {
		t.Errorf("signed %+v", found)
	}
	return found
}

// fetched gives a public document.
func Fetched(t *testing.T, w *World, address string) Reply {
	t.Helper()
	response, raw := w.Ask(t, http.MethodGet, address, nil, "")
	r := Reply{Status: response.StatusCode, Header: response.Header, Raw: raw}
	if err := json.Unmarshal([]byte(raw), &r.Body); err != nil {
		t.Fatalf("%s answered %d %s: %v", address, r.Status, raw, err)
	}
	return r
}

// probeProtectedResource shows that a resource describes itself as the one, and takes the tokens that are for it.
func ProbeProtectedResource(t *testing.T, w ProbedWorld, value string) {
	if r := Fetched(t, w.World, value+"/.well-known/oauth-protected-resource"); r.Body["resource"] != value {
		t.Errorf("described as %s", r.Raw)
	}
	c := w.Register("client-"+Random(), Wide)
	if r := c.Get("/accounts", c.TokensFor(Set("resource", value)).Text("access_token"), nil); r.Status != http.StatusOK {
		t.Errorf("a token for it: %d %s", r.Status, r.Raw)
	}
}
