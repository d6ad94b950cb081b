package httpsig_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"countersign/internal/httpsig"
)

// FuzzCheck: no header makes the reader panic, and nothing is accepted that the key has not verified, that does not cover what it
// must, or whose body is another.
func FuzzCheck(f *testing.F) {
	f.Add(`sig=("@method" "@target-uri" "authorization");created=1772366400;keyid="k";tag="fapi-2-request"`, "sig=:AAAA:", "", "")
	f.Add(`sig=("@method";req "@target-uri" "authorization" "dpop";key="a");created=1;expires=2;tag="fapi-2-request"`, "sig=:AAAA:", "sha-256=:AAAA:", "x")
	f.Add(`a=1, sig=("@query-param";name="a" "x";sf;bs;tr);tag="fapi-2-request"`, `sig="x"`, "md5=:AAAA:", "x")
	f.Fuzz(func(t *testing.T, input, signature, digest, body string) {
		verified := false
		rules := httpsig.Rules{MaxAge: time.Hour, MaxAhead: time.Hour, Now: noon, Verify: func(context.Context, string, string, []byte, []byte) error {
			verified = true
			return nil
		}}
		header := http.Header{"Signature-Input": {input}, "Signature": {signature}, "Authorization": {"Bearer x"}}
		if digest != "" {
			header.Set("Content-Digest", digest)
		}
		message := httpsig.Message{Method: "GET", Target: &url.URL{Scheme: "https", Host: "example.com"}, Header: header}
		found, _, err := rules.Check(t.Context(), message, []byte(body))
		if err != nil {
			if !errors.Is(err, httpsig.ErrRefused) {
				t.Errorf("an error of another kind: %v", err)
			}
			return
		}
		for _, name := range []string{"@method", "@target-uri", "authorization"} {
			if !verified || !found.Covers(httpsig.Component{Name: name}) || found.Tag != httpsig.TagRequest {
				t.Errorf("%q passes", input)
			}
		}
		if body != "" && httpsig.CheckDigest(header, []byte(body)) != nil {
			t.Errorf("the body %q passes with %q", body, digest)
		}
	})
}
