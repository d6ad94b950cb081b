package httpsig_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/internal/httpsig"
	"countersign/internal/jose"
)

// appendix is the request of RFC 9421 Appendix B.2, and its response.
func appendix(t *testing.T) (request, response httpsig.Message) {
	t.Helper()
	target, err := url.Parse("https://example.com/foo?param=Value&Pet=dog")
	if err != nil {
		t.Fatal(err)
	}
	request = httpsig.Message{Method: "POST", Target: target, Header: http.Header{
		"Host": {"example.com"}, "Date": {"Tue, 20 Apr 2021 02:07:55 GMT"}, "Content-Type": {"application/json"},
		"Content-Digest": {"sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"},
		"Content-Length": {"18"},
	}}
	response = httpsig.Message{Status: 200, Request: &request, Header: http.Header{
		"Date": {"Tue, 20 Apr 2021 02:07:56 GMT"}, "Content-Type": {"application/json"},
		"Content-Digest": {"sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:"},
		"Content-Length": {"23"},
	}}
	return request, response
}

func public(t *testing.T, jwk string) any {
	t.Helper()
	key, err := jose.ParsePublicJWK([]byte(jwk))
	if err != nil {
		t.Fatal(err)
	}
	return key.Public
}

// TestAppendixB: the signatures of RFC 9421 Appendix B.2 verify over the bases that are made here.
func TestAppendixB(t *testing.T) {
	request, response := appendix(t)
	secret, err := base64.StdEncoding.DecodeString("uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==")
	if err != nil {
		t.Fatal(err)
	}
	p256 := public(t, `{"kty":"EC","crv":"P-256","x":"qIVYZVLCrPZHGHjP17CTW0_-D9Lfw0EkjqF7xB4FivA","y":"Mc4nN9LTDOBhfoUeg8Ye9WedFRhnZXZJA12Qp0zZ6F0"}`)
	edwards := public(t, `{"kty":"OKP","crv":"Ed25519","x":"JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs"}`)
	for _, test := range []struct {
		label, input, signature string
		message                 httpsig.Message
		verify                  func(base, signature []byte) bool
	}{
		{"sig-b24", `("@status" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-ecc-p256"`,
			"wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==", response,
			func(base, signature []byte) bool {
				digest := sha256.Sum256(base)
				r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
				return ecdsa.Verify(p256.(*ecdsa.PublicKey), digest[:], r, s)
			}},
		{"sig-b25", `("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"`,
			"pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=", request,
			func(base, signature []byte) bool {
				mac := hmac.New(sha256.New, secret)
				mac.Write(base)
				return hmac.Equal(mac.Sum(nil), signature)
			}},
		{"sig-b26", `("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"`,
			"wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==", request,
			func(base, signature []byte) bool { return ed25519.Verify(edwards.(ed25519.PublicKey), base, signature) }},
	} {
		t.Run(test.label, func(t *testing.T) {
			header := http.Header{"Signature-Input": {test.label + "=" + test.input}, "Signature": {test.label + "=:" + test.signature + ":"}}
			found, err := httpsig.FindLabel(header, test.label)
			if err != nil {
				t.Fatal(err)
			}
			base, err := found.Base(test.message)
			if err != nil {
				t.Fatal(err)
			}
			if !test.verify(base, found.Value) {
				t.Errorf("does not verify over\n%s", base)
			}
			if test.verify(append(base, '\n'), found.Value) {
				t.Error("verifies over something else, too")
			}
		})
	}
}

// TestComponents holds the values of components to RFC 9421 §2.
func TestComponents(t *testing.T) {
	request, response := appendix(t)
	request.Header["X-Lines"] = []string{"  first ", "second\t"}
	request.Header["X-Empty"] = []string{""}
	request.Header["X-Dictionary"] = []string{" a=1, b=2;x=1;y=2, c=(a b c), d"}
	bare := httpsig.Message{Method: "GET", Target: &url.URL{Scheme: "HTTPS", Host: "Example.com:443"}, Header: http.Header{}}
	for input, want := range map[string]string{
		`"@method"`: "POST", `"@target-uri"`: "https://example.com/foo?param=Value&Pet=dog", `"@scheme"`: "https",
		`"@authority"`: "example.com", `"@path"`: "/foo", `"@query"`: "?param=Value&Pet=dog", `"@request-target"`: "/foo?param=Value&Pet=dog",
		`"x-lines"`: "first, second", `"x-empty"`: "", `"x-dictionary";key="a"`: "1", `"x-dictionary";key="b"`: "2;x=1;y=2",
		`"x-dictionary";key="c"`: "(a b c)", `"x-dictionary";key="d"`: "?1", `"date"`: "Tue, 20 Apr 2021 02:07:55 GMT",
	} {
		wantBase(t, request, input, input+": "+want)
	}
	wantBase(t, bare, `"@authority"`, `"@authority": example.com`)
	wantBase(t, bare, `"@path"`, `"@path": /`)
	wantBase(t, bare, `"@query"`, `"@query": ?`)
	wantBase(t, bare, `"@request-target"`, `"@request-target": /`)
	wantBase(t, response, `"@status"`, `"@status": 200`)
	wantBase(t, response, `"@method";req`, `"@method";req: POST`)
	wantBase(t, response, `"x-dictionary";key="a";req`, `"x-dictionary";key="a";req: 1`)
	for _, input := range []string{
		`"@status"`, `"@method";key="a"`, `"@query-param";name="Pet"`, `"@unknown"`, `"Date"`, `"absent"`, `"date";bs`, `"date";sf`, `"date";tr`,
		`"date";req`, `"x-dictionary";key="absent"`, `"date";key="a"`, `"date" "date"`, `""`, `date`, `1`, `"date";req=?0`, `"date";key=1`,
	} {
		if found, err := httpsig.FindLabel(header(input, ""), "sig"); err == nil {
			if base, err := found.Base(request); !errors.Is(err, httpsig.ErrRefused) {
				t.Errorf("%s gives %s, %v", input, base, err)
			}
		} else if !errors.Is(err, httpsig.ErrRefused) {
			t.Errorf("%s: %v", input, err)
		}
	}
	for _, input := range []string{`"@method"`, `"@target-uri"`, `"@authority"`} {
		found, err := httpsig.FindLabel(header(input, ""), "sig")
		if err != nil {
			t.Fatal(err)
		}
		if base, err := found.Base(response); !errors.Is(err, httpsig.ErrRefused) {
			t.Errorf("%s of a response gives %s, %v", input, base, err)
		}
	}
	request.Header["X-Broken"] = []string{"a\r\nb"}
	found, err := httpsig.FindLabel(header(`"x-broken"`, ""), "sig")
	if err != nil {
		t.Fatal(err)
	}
	if base, err := found.Base(request); !errors.Is(err, httpsig.ErrRefused) {
		t.Errorf("a line break gives %q, %v", base, err)
	}
}

func header(components, parameters string) http.Header {
	return http.Header{"Signature-Input": {"sig=(" + components + ")" + parameters}, "Signature": {"sig=:AAAA:"}}
}

func wantBase(t *testing.T, m httpsig.Message, input, want string) {
	t.Helper()
	found, err := httpsig.FindLabel(header(input, ";created=1"), "sig")
	if err != nil {
		t.Errorf("%s: %v", input, err)
		return
	}
	base, err := found.Base(m)
	if err != nil {
		t.Errorf("%s: %v", input, err)
		return
	}
	if diff := cmp.Diff(want+"\n"+`"@signature-params": (`+input+`);created=1`, string(base)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestFind(t *testing.T) {
	const tagged = `;created=1;keyid="k";alg="ed25519";nonce="n";expires=9;tag="fapi-2-request"`
	good := http.Header{"Signature-Input": {`other=("@method");tag="x"`, `sig=("@method" "date";req)` + tagged}, "Signature": {"other=:AAAA:, sig=:AAEC:"}}
	found, err := httpsig.Find(good, httpsig.TagRequest)
	if err != nil {
		t.Fatal(err)
	}
	if found.Label != "sig" || !bytes.Equal(found.Value, []byte{0, 1, 2}) || found.KeyID != "k" || found.Algorithm != "ed25519" || found.Nonce != "n" ||
		found.Created.Unix() != 1 || found.Expires.Unix() != 9 || !found.Covers(httpsig.Component{Name: "date", OfRequest: true}) || found.Covers(httpsig.Component{Name: "date"}) {
		t.Errorf("found %+v", found)
	}
	for name, bad := range map[string]http.Header{
		"nothing":                {},
		"no value":               {"Signature-Input": {`sig=("@method")` + tagged}},
		"no input":               {"Signature": {"sig=:AAAA:"}},
		"another label":          {"Signature-Input": {`sig=("@method")` + tagged}, "Signature": {"gis=:AAAA:"}},
		"two with the tag":       {"Signature-Input": {`sig=("@method")` + tagged + `, two=("@method")` + tagged}, "Signature": {"sig=:AAAA:, two=:AAAA:"}},
		"another tag":            {"Signature-Input": {`sig=("@method");tag="fapi-2-response"`}, "Signature": {"sig=:AAAA:"}},
		"a tag that is no text":  {"Signature-Input": {`sig=("@method");tag=fapi-2-request`}, "Signature": {"sig=:AAAA:"}},
		"no list":                {"Signature-Input": {`sig="@method"` + tagged}, "Signature": {"sig=:AAAA:"}},
		"a value that is text":   {"Signature-Input": {`sig=("@method")` + tagged}, "Signature": {`sig="AAAA"`}},
		"broken base64":          {"Signature-Input": {`sig=("@method")` + tagged}, "Signature": {`sig=:A:`}},
		"no dictionary":          {"Signature-Input": {`(`}, "Signature": {"sig=:AAAA:"}},
		"created that is text":   {"Signature-Input": {`sig=("@method");created="1";tag="fapi-2-request"`}, "Signature": {"sig=:AAAA:"}},
		"created before 1970":    {"Signature-Input": {`sig=("@method");created=-1;tag="fapi-2-request"`}, "Signature": {"sig=:AAAA:"}},
		"keyid that is a number": {"Signature-Input": {`sig=("@method");keyid=1;tag="fapi-2-request"`}, "Signature": {"sig=:AAAA:"}},
		"a keyid too long":       {"Signature-Input": {`sig=("@method");keyid="` + strings.Repeat("k", 257) + `";tag="fapi-2-request"`}, "Signature": {"sig=:AAAA:"}},
		"a header too long":      {"Signature-Input": {`sig=("@method");tag="fapi-2-request"` + strings.Repeat(" ", 17<<10)}, "Signature": {"sig=:AAAA:"}},
		"too many components":    {"Signature-Input": {`sig=(` + strings.Repeat(`"a" `, 33) + `);tag="fapi-2-request"`}, "Signature": {"sig=:AAAA:"}},
	} {
		if found, err := httpsig.Find(bad, httpsig.TagRequest); !errors.Is(err, httpsig.ErrRefused) {
			t.Errorf("%s: found %+v, %v", name, found, err)
		}
	}
}

func TestDigest(t *testing.T) {
	body := []byte(`{"hello": "world"}`)
	short := "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:" // RFC 9530 Appendix D
	if got := httpsig.Digest(body); got != short {
		t.Errorf("Digest is %s, want %s", got, short)
	}
	long := "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"
	for _, good := range []string{short, long, short + ", " + long, "md5=:AAAA:, " + short} {
		if err := httpsig.CheckDigest(http.Header{"Content-Digest": {good}}, body); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "md5=:AAAA:", "sha-256=:AAAA:", "sha-256=\"x\"", "sha-256=()", short + ", sha-512=:AAAA:", "("} {
		if err := httpsig.CheckDigest(http.Header{"Content-Digest": {bad}}, body); !errors.Is(err, httpsig.ErrRefused) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if err := httpsig.CheckDigest(http.Header{}, body); !errors.Is(err, httpsig.ErrRefused) {
		t.Errorf("no digest: %v", err)
	}
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// signed makes a request and signs it with the components and parameters that are given.
func signed(t *testing.T, s httpsig.Signature, body string, alter func(*httpsig.Message)) httpsig.Message {
	t.Helper()
	request, _ := appendix(t)
	request.Header = http.Header{"Authorization": {"DPoP token"}, "Dpop": {"proof"}}
	if body != "" {
		request.Header.Set("Content-Digest", httpsig.Digest([]byte(body)))
	}
	if _, err := httpsig.Sign(t.Context(), request, s, func(_ context.Context, base []byte) ([]byte, error) { return base, nil }); err != nil {
		t.Fatal(err)
	}
	if alter != nil {
		alter(&request)
	}
	return request
}

func components(names ...string) []httpsig.Component {
	var list []httpsig.Component
	for _, name := range names {
		list = append(list, httpsig.Component{Name: name})
	}
	return list
}

func TestRules(t *testing.T) {
	whole := components("@method", "@target-uri", "authorization", "dpop", "content-digest")
	rules := httpsig.Rules{MaxAge: time.Minute, MaxAhead: 30 * time.Second, Now: noon, Verify: func(_ context.Context, keyID, _ string, base, signature []byte) error {
		if keyID != "key" || !bytes.Equal(base, signature) { // what signed does instead of signing
			return httpsig.ErrRefused
		}
		return nil
	}}
	const body = "body"
	sign := func(at time.Duration, names []httpsig.Component) httpsig.Signature {
		return httpsig.Signature{Label: "sig", Components: names, Created: noon.Add(at), KeyID: "key", Tag: httpsig.TagRequest}
	}
	without := func(name string) []httpsig.Component {
		var rest []httpsig.Component
		for _, component := range whole {
			if component.Name != name {
				rest = append(rest, component)
			}
		}
		return rest
	}
	for name, test := range map[string]struct {
		signature httpsig.Signature
		body      string
		alter     func(*httpsig.Message)
		good      bool
	}{
		"everything covered":         {sign(0, whole), body, nil, true},
		"no body":                    {sign(0, without("content-digest")), "", nil, true},
		"no proof":                   {sign(0, components("@method", "@target-uri", "authorization", "content-digest")), body, func(m *httpsig.Message) { m.Header.Del("Dpop") }, true},
		"a minute old":               {sign(-time.Minute, whole), body, nil, true},
		"half a minute ahead":        {sign(30*time.Second, whole), body, nil, true},
		"older":                      {sign(-61*time.Second, whole), body, nil, false},
		"further ahead":              {sign(31*time.Second, whole), body, nil, false},
		"@method not covered":        {sign(0, without("@method")), body, nil, false},
		"@target-uri not covered":    {sign(0, without("@target-uri")), body, nil, false},
		"authorization not covered":  {sign(0, without("authorization")), body, nil, false},
		"dpop not covered":           {sign(0, without("dpop")), body, nil, false},
		"content-digest not covered": {sign(0, without("content-digest")), body, nil, false},
		"another method":             {sign(0, whole), body, func(m *httpsig.Message) { m.Method = "GET" }, false},
		"another target":             {sign(0, whole), body, func(m *httpsig.Message) { m.Target = &url.URL{Scheme: "https", Host: "example.com", Path: "/foo"} }, false},
		"another token":              {sign(0, whole), body, func(m *httpsig.Message) { m.Header.Set("Authorization", "DPoP other") }, false},
		"another proof":              {sign(0, whole), body, func(m *httpsig.Message) { m.Header.Set("Dpop", "other") }, false},
		"another body":               {sign(0, whole), "boby", func(m *httpsig.Message) { m.Header.Set("Content-Digest", httpsig.Digest([]byte(body))) }, false},
		"another tag":                {httpsig.Signature{Label: "sig", Components: whole, Created: noon, KeyID: "key", Tag: httpsig.TagResponse}, body, nil, false},
		"another key":                {httpsig.Signature{Label: "sig", Components: whole, Created: noon, KeyID: "yek", Tag: httpsig.TagRequest}, body, nil, false},
		"no created": {sign(0, whole), body, func(m *httpsig.Message) {
			m.Header.Set("Signature-Input", strings.Replace(m.Header.Get("Signature-Input"), "created=", "cre=", 1))
		}, false},
		"expired": {sign(0, whole), body, func(m *httpsig.Message) {
			m.Header.Set("Signature-Input", m.Header.Get("Signature-Input")+";expires=1")
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			message := signed(t, test.signature, body, test.alter)
			if test.body == "" {
				message = signed(t, test.signature, "", test.alter)
			}
			found, base, err := rules.Check(t.Context(), message, []byte(test.body))
			if (err == nil) != test.good || err != nil && !errors.Is(err, httpsig.ErrRefused) {
				t.Errorf("got %v", err)
			}
			if test.good && (found.Label != "sig" || len(base) == 0) {
				t.Errorf("found %+v over %s", found, base)
			}
		})
	}
}

// TestSignResponse: what a client needs to verify a response, and to tie it to its request, is covered.
func TestSignResponse(t *testing.T) {
	request := signed(t, httpsig.Signature{Label: "mine", Components: components("@method"), Created: noon, KeyID: "key", Tag: httpsig.TagRequest}, "", nil)
	response := httpsig.Message{Status: 201, Header: http.Header{"Content-Digest": {httpsig.Digest([]byte("x"))}}, Request: &request}
	base, err := httpsig.Sign(t.Context(), response, httpsig.Signature{
		Label: "sig", Created: noon, KeyID: "server", Tag: httpsig.TagResponse, Components: []httpsig.Component{
			{Name: "@status"}, {Name: "content-digest"}, {Name: "@method", OfRequest: true}, {Name: "signature", OfRequest: true, Key: "mine"},
		},
	}, func(_ context.Context, base []byte) ([]byte, error) { return base[:4], nil })
	if err != nil {
		t.Fatal(err)
	}
	found, err := httpsig.Find(response.Header, httpsig.TagResponse)
	if err != nil {
		t.Fatal(err)
	}
	again, err := found.Base(response)
	if err != nil || !bytes.Equal(base, again) || !bytes.Equal(found.Value, base[:4]) {
		t.Errorf("signed\n%s\nread again\n%s\n%v", base, again, err)
	}
	want := `"@status": 201
"content-digest": ` + httpsig.Digest([]byte("x")) + `
"@method";req: POST
"signature";req;key="mine": `
	if !strings.HasPrefix(string(base), want) || !strings.HasSuffix(string(base), `;created=1772366400;keyid="server";tag="fapi-2-response"`) {
		t.Errorf("signed\n%s", base)
	}
	failing := errors.New("the HSM is away")
	if _, err := httpsig.Sign(t.Context(), response, found, func(context.Context, []byte) ([]byte, error) { return nil, failing }); !errors.Is(err, failing) {
		t.Errorf("got %v", err)
	}
}
