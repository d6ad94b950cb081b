package answer

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"countersign/rp/internal/exchange"
)

// FuzzRefusal: an error answer, whatever it is, is bounded and has nothing that a terminal obeys.
func FuzzRefusal(f *testing.F) {
	f.Add(`{"error":"invalid_grant","error_description":"x"}`, `DPoP error="use_dpop_nonce", error_description="a \"b\""`)
	f.Add("", `Bearer realm="x", error=invalid_token`)
	f.Add("[", `=,=" \`)
	f.Fuzz(func(t *testing.T, body, challenge string) {
		r := ReadRefusal(exchange.Reply{Status: 400, Header: http.Header{"Www-Authenticate": {challenge}}, Body: []byte(body)})
		for _, text := range []string{r.Code, r.Description, r.URI, r.CorrelationID} {
			if len(text) > 4*maxText || strings.ContainsAny(text, "\x1b\n\r\x00\u202e") {
				t.Errorf("%q", text)
			}
		}
	})
}

// FuzzTokens: a token response gives tokens of the type that was asked for, with a life that is none or positive.
func FuzzTokens(f *testing.F) {
	f.Add([]byte(`{"access_token":"a","token_type":"DPoP","expires_in":300}`))
	f.Add([]byte(`{"access_token":"a","token_type":"N_A","issued_token_type":"x","expires_in":"1e400"}`))
	f.Add([]byte(`{"access_token":"a","token_type":"dpop","expires_in":"NaN"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		tokens, err := ReadTokens(body, "DPoP")
		if err != nil {
			return
		}
		if tokens.AccessToken == "" || tokens.TokenType != "DPoP" && tokens.TokenType != "N_A" || tokens.Life < 0 || tokens.Life > maxLife {
			t.Errorf("%+v", tokens)
		}
	})
}

// TestChallenge: errors of WWW-Authenticate, in the ways in which they are written.
func TestChallenge(t *testing.T) {
	t.Parallel()
	for field, want := range map[string][2]string{
		`Bearer error="invalid_token", error_description="it has ended"`: {"invalid_token", "it has ended"},
		`DPoP algs="ES256 PS256", error="use_dpop_nonce"`:                {"use_dpop_nonce", ""},
		`Bearer realm="a, b=\"c\"",error=insufficient_scope`:             {"insufficient_scope", ""},
		`Basic realm="x", Bearer ERROR="invalid_token"`:                  {"invalid_token", ""},
		`Bearer`:               {"", ""},
		`Bearer realm="error=`: {"", ""},
		`Bearer x="` + strings.Repeat("a", maxChallenge) + `", error="invalid_token"`: {"", ""},
		`DPoP error="invalid_token", error="second"`:                                  {"invalid_token", ""},
	} {
		if code, description := challenge(http.Header{"Www-Authenticate": {field}}); code != want[0] || description != want[1] {
			t.Errorf("%.60s: %q, %q", field, code, description)
		}
	}
}

// TestBackchannel: what is missing is refused, and what is too long is bounded.
func TestBackchannel(t *testing.T) {
	t.Parallel()
	for body, check := range map[string]string{
		`{}`:                                   "auth_req_id",
		`{"auth_req_id":"a"}`:                  "expires_in",
		`{"auth_req_id":"a","expires_in":0}`:   "expires_in",
		`{"auth_req_id":"a","expires_in":"5"}`: "malformed",
		`{"auth_req_id":"a","expires_in":5,"interval":-1}`: "interval",
		`x`: "malformed",
	} {
		_, err := ReadBackchannel([]byte(body))
		if failed, ok := err.(*Error); !ok || failed.Check != check {
			t.Errorf("%s: %v", body, err)
		}
	}
	read, err := ReadBackchannel([]byte(`{"auth_req_id":"a","expires_in":1e300,"interval":1e300}`))
	if err != nil || read.Interval != MaxInterval || read.Expiry != maxExpiry {
		t.Errorf("%+v, %v", read, err)
	}
	read, err = ReadBackchannel([]byte(`{"auth_req_id":"a","expires_in":120}`))
	if err != nil || read.Interval != 5*time.Second || read.Expiry != 2*time.Minute {
		t.Errorf("%+v, %v", read, err)
	}
}
