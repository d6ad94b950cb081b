package oauth

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWriteBare: no member but those of CIBA Core §13, and the correlation id where a user reads it.
func TestWriteBare(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		body string
	}{
		"a refusal":              {Errorf(InvalidRequest, "no"), `{"error":"invalid_request","error_description":"no (correlation id c1)"}`},
		"without a description":  {&Error{Code: InvalidRequest}, `{"error":"invalid_request","error_description":"(correlation id c1)"}`},
		"a cause that is hidden": {Errorf(InvalidGrant, "no").Because(errors.New("hunter2")), `{"error":"invalid_grant","error_description":"no (correlation id c1)"}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			WriteBare(w, test.err, "c1")
			if got := strings.TrimSpace(w.Body.String()); got != test.body || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("%s", got)
			}
		})
	}
}

func TestWrite(t *testing.T) {
	tests := map[string]struct {
		err       error
		status    int
		body      string
		challenge string
	}{
		"a refusal": {
			err: Errorf(InvalidRequest, "the %s is missing", "code"), status: 400,
			body: `{"error":"invalid_request","error_description":"the code is missing","correlation_id":"c1"}`,
		},
		"invalid_client is 401": {
			err: Errorf(InvalidClient, "no"), status: 401,
			body: `{"error":"invalid_client","error_description":"no","correlation_id":"c1"}`,
		},
		"an unknown error hides its cause": {
			err: errors.New("password of the database: hunter2"), status: 500,
			body: `{"error":"server_error","error_description":"the server could not answer; try again, and if it stays so give the operator the correlation id","correlation_id":"c1"}`,
		},
		"a wrapped cause stays hidden": {
			err: Errorf(InvalidGrant, "no").Because(errors.New("hunter2")), status: 400,
			body: `{"error":"invalid_grant","error_description":"no","correlation_id":"c1"}`,
		},
		"what RFC 6749 does not allow is replaced": {
			err: Errorf(InvalidScope, "a \"quoted\"\r\nback\\slash ü"), status: 400,
			body: `{"error":"invalid_scope","error_description":"a 'quoted'??back/slash ?","correlation_id":"c1"}`,
		},
		"a challenge": {
			err:    &Error{Code: InvalidToken, Description: "no", Status: 401, Challenge: `DPoP error="invalid_token"`},
			status: 401, challenge: `DPoP error="invalid_token"`,
			body: `{"error":"invalid_token","error_description":"no","correlation_id":"c1"}`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			Write(w, test.err, "c1")
			if w.Code != test.status {
				t.Errorf("status %d, want %d", w.Code, test.status)
			}
			if diff := cmp.Diff(test.body, strings.TrimSpace(w.Body.String())); diff != "" {
				t.Error(diff)
			}
			if got := w.Header().Get("WWW-Authenticate"); got != test.challenge {
				t.Errorf("challenge %q, want %q", got, test.challenge)
			}
			if w.Header().Get("Cache-Control") != "no-store" {
				t.Error("an error may be cached")
			}
		})
	}
}

func post(contentType, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	return r
}

func TestReadForm(t *testing.T) {
	const formType = "application/x-www-form-urlencoded"
	withQuery := post(formType, "a=1")
	withQuery.URL.RawQuery = "b=2"
	tests := map[string]struct {
		request *http.Request
		status  int // 0: accepted
	}{
		"one of each":              {post(formType, "a=1&b=2"), 0},
		"utf-8":                    {post(formType+"; charset=UTF-8", "a=%C3%BC"), 0},
		"empty counts as omitted":  {post(formType, "a=&a=1"), 400},
		"resource may repeat":      {post(formType, "resource=1&resource=2"), 0},
		"twice the same":           {post(formType, "a=1&a=1"), 400},
		"JSON":                     {post("application/json", `{"a":1}`), 415},
		"no type":                  {post("", "a=1"), 415},
		"another charset":          {post(formType+"; charset=latin1", "a=1"), 415},
		"parameters in the query":  {withQuery, 400},
		"a body at the limit":      {post(formType, "a="+strings.Repeat("x", MaxBody-2)), 0},
		"a body over the limit":    {post(formType, "a="+strings.Repeat("x", MaxBody-1)), 413},
		"not form-encoded":         {post(formType, "a=%zz"), 400},
		"a semicolon":              {post(formType, "a=1;b=2"), 400},
		"not UTF-8":                {post(formType, "a=%ff"), 400},
		"a NUL":                    {post(formType, "a=%00"), 400},
		"a name that is not UTF-8": {post(formType, "%ff=1"), 400},
		"too many":                 {post(formType, strings.Repeat("a&", 2*MaxParameters)), 400},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := ReadForm(httptest.NewRecorder(), test.request)
			status := 0
			if err != nil {
				status = AsError(err).HTTPStatus()
			}
			if status != test.status {
				t.Errorf("status %d (%v), want %d", status, err, test.status)
			}
		})
	}
}

func TestFormIsItsOwn(t *testing.T) {
	raw := url.Values{"a": {"1"}, "empty": {""}}
	form, err := NewForm(raw)
	if err != nil {
		t.Fatal(err)
	}
	form.Values().Set("a", "2")
	raw.Set("a", "3")
	if form.Get("a") != "1" {
		t.Errorf("a = %q: the form can be changed from outside", form.Get("a"))
	}
	if form.Has("empty") {
		t.Error("a parameter without a value counts as given")
	}
}

func FuzzReadForm(f *testing.F) {
	f.Add("grant_type=authorization_code&code=abc")
	f.Add("a=1&a=2")
	f.Add("%zz=%00&=&&;")
	f.Fuzz(func(t *testing.T, body string) {
		form, err := ReadForm(httptest.NewRecorder(), post("application/x-www-form-urlencoded", body))
		if err != nil {
			if AsError(err).Code != InvalidRequest {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		for name, list := range form.Values() {
			if len(list) > 1 && name != "resource" || len(list) == 0 {
				t.Fatalf("%q has %d values", name, len(list))
			}
		}
	})
}
