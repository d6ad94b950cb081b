package resource_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/httpsig"
	"countersign/internal/jose"
)

// resourceRequest is a request to a resource, as its client is about to sign it.
type resourceRequest struct {
	method, path, body string
	// key, label, components and parameters are what the client signs with; at is when, counted from now.
	key            jose.PrivateKey
	keyID          string
	components     []string
	tag, algorithm string
	at             time.Duration
	// alter changes the header after it was signed.
	alter func(http.Header)
}

// call signs and sends a request with the token of the client.
func call(t *testing.T, c *fapitest.Client, token string, one resourceRequest) (fapitest.Reply, httpsig.Message) {
	t.Helper()
	method := one.method
	if method == "" {
		method = http.MethodGet
	}
	path := one.path
	if path == "" {
		path = "/accounts"
	}
	request, err := http.NewRequest(method, c.Base()+path, strings.NewReader(one.body))
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
	if one.body != "" {
		request.Header.Set("Content-Digest", httpsig.Digest([]byte(one.body)))
		covered = append(covered, "content-digest")
	}
	if one.components != nil {
		covered = one.components
	}
	signature := httpsig.Signature{Label: "mine", Created: c.World.Clock.Now().Add(one.at), KeyID: c.Key.ID(), Tag: httpsig.TagRequest, Algorithm: one.algorithm}
	for _, name := range covered {
		signature.Components = append(signature.Components, httpsig.Component{Name: name})
	}
	key := c.Key
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
	return c.Do(request), message
}

// wantSigned verifies the signature of an answer with the server's published keys, and gives it.
func wantSigned(t *testing.T, w *fapitest.World, r fapitest.Reply, request httpsig.Message) httpsig.Signature {
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
