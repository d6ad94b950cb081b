package rs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/httpsig"
	"countersign/internal/jose"
	"countersign/rs"
)

// signedCall is a request that a client is about to sign.
type signedCall struct {
	method, path, body string
	key                jose.PrivateKey
	keyID              string
	covered            []string
	at                 time.Duration
	alter              func(http.Header)
}

// send signs and sends a request.
func (a *api) send(t *testing.T, c *fapitest.Client, token string, one signedCall) (fapitest.Reply, httpsig.Message) {
	t.Helper()
	if one.method == "" {
		one.method = http.MethodGet
	}
	request, err := http.NewRequest(one.method, a.URL+one.path, bytes.NewReader([]byte(one.body)))
	if err != nil {
		t.Fatal(err)
	}
	plain, _, _ := strings.Cut(one.path, "?")
	request.Header.Set("Authorization", "DPoP "+token)
	request.Header.Set("DPoP", c.Proof(one.method, a.URL+plain, token, nil))
	covered := []string{"@method", "@target-uri", "authorization", "dpop"}
	if one.body != "" {
		request.Header.Set("Content-Digest", httpsig.Digest([]byte(one.body)))
		covered = append(covered, "content-digest")
	}
	if one.covered != nil {
		covered = one.covered
	}
	key := c.Key
	if one.key.ID() != "" {
		key = one.key
	}
	if one.keyID == "" {
		one.keyID = key.ID()
	}
	signature := httpsig.Signature{Label: "mine", Created: c.World.Clock.Now().Add(one.at), KeyID: one.keyID, Tag: httpsig.TagRequest}
	for _, name := range covered {
		signature.Components = append(signature.Components, httpsig.Component{Name: name})
	}
	message := httpsig.Message{Method: one.method, Target: request.URL, Header: request.Header}
	if _, err := httpsig.Sign(t.Context(), message, signature, key.SigningKey().Sign); err != nil {
		t.Fatal(err)
	}
	if one.alter != nil {
		one.alter(request.Header)
	}
	return c.Do(request), message
}

// Covers: RS-18. Signed requests with the client's keys, and signed answers, refusals too (RFC 9421, FAPI 2.0 HTTP Signatures).
func TestRS18Messages(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	c := w.Register("client-1", fapitest.AllScopes)
	own := fapitest.NewKey(t, jose.ES256)
	set := fapitest.KeySet(c.Key.PublicJWK())
	var published *api
	keys := func(_ context.Context, token *rs.Token) (rs.ClientKeys, error) {
		switch token.ClientID {
		case c.ID:
			return rs.ClientKeys{Set: set}, nil
		case "by-address":
			return rs.ClientKeys{URL: published.URL + "/client-keys"}, nil
		case "no-keys":
			return rs.ClientKeys{URL: published.URL + "/nothing"}, nil
		}
		return rs.ClientKeys{}, errors.New("the directory is away")
	}
	a := newAPI(t, w, func(config *rs.Config) {
		config.Messages = &rs.Messages{Keys: keys, Key: keyOf(t, own), MaxBody: 100, MaxAnswer: 1000}
	})
	published = a
	byAddress := w.Register("by-address", fapitest.AllScopes)
	a.mux.HandleFunc("/client-keys", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(fapitest.KeySet(byAddress.Key.PublicJWK()))
	})
	a.mux.Handle("/keys", a.guard.Keys())
	a.handle("/signed", rs.Scope("accounts"), rs.Signed())
	a.mux.Handle("/large", a.guard.Require(rs.Signed())(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1200")
		w.Header().Set("Set-Cookie", "a=b")
		_, _ = io.WriteString(w, strings.Repeat("a", 600))
		_, _ = io.WriteString(w, strings.Repeat("b", 600))
	})))
	a.mux.Handle("/nothing-said", a.guard.Require(rs.Signed())(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	token := tokenOf(c)
	_, served := w.Request(t, http.MethodGet, a.URL+"/keys", nil, "")
	published1, err := jose.ParseKeySet([]byte(served))
	if err != nil {
		t.Fatal(err)
	}
	wantSigned := func(t *testing.T, r fapitest.Reply, request httpsig.Message) {
		t.Helper()
		if err := httpsig.CheckDigest(r.Header, []byte(r.Raw)); err != nil {
			t.Fatalf("%v: %v", err, r.Header)
		}
		found, err := httpsig.Find(r.Header, httpsig.TagResponse)
		if err != nil {
			t.Fatal(err)
		}
		base, err := found.Base(httpsig.Message{Status: r.Status, Header: r.Header, Request: &request})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := published1.VerifyMessage(found.KeyID, "", base, found.Value); err != nil {
			t.Errorf("%v over\n%s", err, base)
		}
	}
	for name, one := range map[string]signedCall{
		"a request":            {path: "/signed"},
		"one with a query":     {path: "/signed?from=2026-01-01&to="},
		"one with a body":      {method: "POST", path: "/signed", body: `{"a":1}`},
		"one of a minute ago":  {path: "/signed", at: -time.Minute},
		"an answer of nothing": {path: "/nothing-said"},
		"one that covers more": {path: "/signed", covered: []string{"@method", "@target-uri", "authorization", "dpop", "@path", "@query"}},
	} {
		t.Run("accepts "+name+", and signs the answer", func(t *testing.T) {
			r, message := a.send(t, c, token, one)
			fapitest.WantOK(t, r)
			wantSigned(t, r, message)
			if one.body != "" && r.Text("Body") != one.body {
				t.Errorf("the API reads %s", r.Raw)
			}
		})
	}
	t.Run("accepts keys at the client's address", func(t *testing.T) {
		r, message := a.send(t, byAddress, tokenOf(byAddress), signedCall{path: "/signed"})
		fapitest.WantOK(t, r)
		wantSigned(t, r, message)
	})
	stranger := fapitest.NewKey(t, jose.ES256)
	for name, one := range map[string]signedCall{
		"no signature":                       {alter: func(h http.Header) { h.Del("Signature"); h.Del("Signature-Input") }},
		"a stranger's key":                   {key: stranger},
		"a stranger's key as the client's":   {key: stranger, keyID: c.Key.ID()},
		"the method left out":                {covered: []string{"@target-uri", "authorization", "dpop"}},
		"the proof left out":                 {covered: []string{"@method", "@target-uri", "authorization"}},
		"a signature of long ago":            {at: -61 * time.Second},
		"a signature of the future":          {at: 31 * time.Second},
		"the digest left out":                {method: "POST", body: "a", covered: []string{"@method", "@target-uri", "authorization", "dpop"}},
		"a body that was exchanged":          {method: "POST", body: "a", alter: func(h http.Header) { h.Set("Content-Digest", httpsig.Digest([]byte("b"))) }},
		"too large a body":                   {method: "POST", body: strings.Repeat("a", 101)},
		"an algorithm that is not the key's": {alter: func(h http.Header) { h.Set("Signature-Input", h.Get("Signature-Input")+`;alg="ed25519"`) }},
		"an algorithm of shared secrets":     {alter: func(h http.Header) { h.Set("Signature-Input", h.Get("Signature-Input")+`;alg="hmac-sha256"`) }},
	} {
		t.Run("refuses "+name+", with a signed answer", func(t *testing.T) {
			one.path = "/signed"
			r, message := a.send(t, c, token, one)
			a.want(t, r, http.StatusUnauthorized, "invalid_request", rs.BadMessage)
			if !strings.Contains(r.Header.Get("Accept-Signature"), `"dpop");created;keyid;tag="fapi-2-request"`) {
				t.Errorf("asked for %q", r.Header.Get("Accept-Signature"))
			}
			wantSigned(t, r, message)
		})
	}
	t.Run("refuses an answer that is too large to be held", func(t *testing.T) {
		r, _ := a.send(t, c, token, signedCall{path: "/large"})
		a.want(t, r, http.StatusServiceUnavailable, "temporarily_unavailable", rs.Unavailable)
		if r.Header.Get("Set-Cookie") != "" {
			t.Errorf("of the answer that is not sent there is %v", r.Header)
		}
	})
	for _, id := range []string{"no-keys", "unknown"} {
		t.Run("refuses when the keys of a client cannot be had: "+id, func(t *testing.T) {
			other := w.Register(id, fapitest.AllScopes)
			r, _ := a.send(t, other, tokenOf(other), signedCall{path: "/signed"})
			a.want(t, r, http.StatusServiceUnavailable, "temporarily_unavailable", rs.Unavailable)
		})
	}
	t.Run("refuses to be told to sign without a key", func(t *testing.T) {
		defer func() {
			if recover() == nil {
				t.Error("Rule accepts Signed without Messages")
			}
		}()
		newAPI(t, w, nil).guard.Rule(rs.Signed())
	})
	if !slices.Equal([]string{own.ID()}, []string{published1.Keys()[0].ID}) {
		t.Error("another key is published")
	}
}
