package demo

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"countersign/internal/jose"
)

var update = flag.Bool("update", false, "write the golden files again")

// newRun makes a run against a server with a fault. Keys, time and the server's name are always the same, and the server signs with Ed25519, always
// the same too: so is the transcript, but for what the client makes at random.
func newRun(t *testing.T, fault string) (*demo, *fakeServer, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	f := &fakeServer{t: t, fault: fault, issuer: "https://example.com", key: readKey(t, "server.jwk"), used: map[string]bool{}}
	server := httptest.NewUnstartedServer(f)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // one test does not trust it
	server.StartTLS()                                   // its certificate is for example.com
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	moment := began
	f.client = Config{
		Issuer: f.issuer, Roots: roots, ClientID: "demo-dpop", RedirectURI: "https://localhost:8445/callback",
		Scope: "openid accounts offline_access", ClientKey: readKey(t, "client.jwk"), ProofKey: readKey(t, "proof.jwk"),
		Auto: true, Username: "alice", Password: "correct-horse-battery", Out: &out,
		Now: func() time.Time {
			moment = moment.Add(time.Millisecond)
			return moment
		},
	}
	d := newDemo(f.client)
	d.http.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address != "example.com:443" {
			t.Errorf("the client connects to %s", address)
			return nil, errors.New("no such host")
		}
		return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
	}
	return d, f, &out
}

func readKey(t *testing.T, name string) jose.PrivateKey {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	key, err := jose.ParsePrivateJWK(bytes.TrimSpace(text))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestFaults ends with an error that says what was expected, at the step where the fault is.
func TestFaults(t *testing.T) {
	for _, test := range []struct {
		fault string
		step  int
		want  string // part of the error
	}{
		{"another issuer", 1, "the metadata is refused: iss: the document is another issuer's"},
		{"an endpoint without TLS", 1, "token_endpoint: it is not an https address"},
		{"a weaker server", 1, "offers less than the FAPI 2.0 Security Profile asks for: authorization_response_iss_parameter_supported"},
		{"no JSON", 1, "the metadata is refused: malformed"},
		{"an endless answer", 1, "larger than"},
		{"the push is refused", 2, "answered 400 invalid_scope: no such\uFFFD[31m scope (correlation id c-17)"},
		{"a proxy's error", 2, "it answered 502 (correlation id c-18)"},
		{"no request_uri", 2, "request_uri: it is missing"},
		{"a nonce, twice", 4, "400 use_dpop_nonce"},
		{"an error page", 3, "error page (status 400 (correlation id c-19)): This link is used up Go back."},
		{"a redirect that repeats forms", 3, "must have status 303"},
		{"a redirect to elsewhere", 3, `the browser must stay at https://example.com, it was sent to "elsewhere.example"`},
		{"a redirect in circles", 3, "without an end"},
		{"a page without a form", 3, "must hold a form with a button sign-in or allow"},
		{"the password is refused", 3, "refused the user name and the password: Wrong password ."},
		{"the user refuses", 3, "the provider answered access_denied: the user refused (correlation id c-20)"},
		{"another state", 3, "state: it is not the one that was sent"},
		{"no state", 3, "state: it is not the one that was sent"},
		{"another iss", 3, "iss: it is another provider's answer"},
		{"no iss", 3, "iss: it is missing"},
		{"no code", 3, "code: neither a code nor an error is there"},
		{"two codes", 3, "a parameter does not come once"},
		{"the code is refused", 4, "answered 400 invalid_grant: the code was used (correlation id c-17)"},
		{"no refresh token", 4, "must hold a refresh_token"},
		{"a bearer token", 4, `token_type: it is "Bearer" and not DPoP`},
		{"an opaque token", 4, "must be a JWT (RFC 9068)"},
		{"a token bound to nothing", 4, `cnf.jkt must be the thumbprint of the DPoP key, it is ""`},
		{"a token bound to another key", 4, "cnf.jkt must be the thumbprint of the DPoP key"},
		{"no keys", 5, "it answered with status 503"},
		{"an ID token signed by another", 5, "kid: none of the provider's keys can have signed it"},
		{"an ID token of another server", 5, "iss: it is another issuer's"},
		{"an ID token for another client", 5, "aud: it is not for this client"},
		{"an ID token for two clients", 5, "aud: it is for another audience, too"},
		{"an ID token of another sign-in", 5, "nonce: it is not the one that was sent"},
		{"an old ID token", 5, "exp: it has expired"},
		{"the resource refuses", 6, "403 insufficient_scope: accounts is missing"},
		{"a stolen token is accepted", 6, "must be refused with 401, the resource answered 200"},
		{"the refresh is refused", 7, "400 invalid_grant: the grant was revoked"},
		{"a rotated refresh token", 7, "the refresh token must stay the same"},
		{"the old token again", 7, "the access token must be a new one"},
		{"a refreshed token bound to nothing", 7, "cnf.jkt must be"},
	} {
		t.Run(test.fault, func(t *testing.T) {
			d, f, out := newRun(t, test.fault)
			err := d.run(t.Context())
			if err == nil {
				t.Fatalf("the fault was not noticed:\n%s", out)
			}
			if !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), fmt.Sprintf("step %d, ", test.step)) {
				t.Errorf("error %q, want one at step %d with %q", err, test.step, test.want)
			}
			if strings.Contains(out.String(), "Done:") {
				t.Error("it says that it is done")
			}
			checkHarmless(t, f, out.String()+err.Error())
		})
	}
}

// checkHarmless looks for whole secrets, and for what a terminal would obey.
func checkHarmless(t *testing.T, f *fakeServer, text string) {
	t.Helper()
	secrets := append([]string{f.client.Password, f.pushed.Get("state"), f.pushed.Get("nonce"), f.pushed.Get("client_assertion")}, f.given...)
	for _, secret := range secrets {
		if secret != "" && strings.Contains(text, secret) {
			t.Errorf("a whole secret is shown: %s", secret)
		}
	}
	if at := strings.IndexFunc(text, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f }); at >= 0 {
		t.Errorf("a control character is shown: %q", text[max(0, at-20):min(len(text), at+20)])
	}
}

// TestTranscript holds what people see against a golden file.
func TestTranscript(t *testing.T) {
	for fault, file := range map[string]string{"": "transcript.txt", "a nonce": "transcript-nonce.txt", "the push is refused": "transcript-refused.txt"} {
		t.Run(file, func(t *testing.T) {
			d, f, out := newRun(t, fault)
			err := d.run(t.Context())
			if (err != nil) != (fault == "the push is refused") {
				t.Errorf("the run ended with %v", err)
			}
			if err != nil {
				fmt.Fprintln(out, err)
			}
			for line := range strings.Lines(strings.TrimSuffix(out.String(), "\n")) {
				if length := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); length > width && !strings.HasPrefix(line, "step ") {
					t.Errorf("a line of %d characters: %s", length, line)
				}
			}
			checkHarmless(t, f, out.String())
			name, got := filepath.Join("testdata", file), sameRandom(out.String())
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("the transcript differs (-want +got); if that is right, run with -update:\n%s", diff)
			}
		})
	}
}

// madeByClient are the values in a transcript that the client makes at random.
var madeByClient = regexp.MustCompile(`("(?:jti|nonce)": "|\b(?:state|nonce|code_verifier|code_challenge) +)([A-Z2-7]{26}|[A-Za-z0-9_-]{8}…)`)

// sameRandom replaces them.
func sameRandom(transcript string) string {
	return madeByClient.ReplaceAllString(transcript, "${1}random…")
}

// TestColor adds colours and changes nothing else.
func TestColor(t *testing.T) {
	plain, _, plainOut := newRun(t, "")
	colored, _, coloredOut := newRun(t, "")
	colored.screen.color = true
	for _, d := range []*demo{plain, colored} {
		if err := d.run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(coloredOut.String(), "\x1b[1;36m1  Discovery\x1b[0m") {
		t.Error("there are no colours")
	}
	if diff := cmp.Diff(sameRandom(plainOut.String()), sameRandom(regexp.MustCompile(`\x1b\[[0-9;]+m`).ReplaceAllString(coloredOut.String(), ""))); diff != "" {
		t.Error(diff)
	}
}

// TestNoServer says what to do.
func TestNoServer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	err = Run(t.Context(), Config{
		Issuer: "https://" + listener.Addr().String(), Out: io.Discard, ClientID: "demo-dpop", RedirectURI: "https://localhost:8445/callback",
		ClientKey: readKey(t, "client.jwk"), ProofKey: readKey(t, "proof.jwk"),
	})
	if err == nil || !strings.Contains(err.Error(), "is it running (make run)?") {
		t.Error(err)
	}
}

// TestUntrustedServer talks to nobody whose certificate it does not trust.
func TestUntrustedServer(t *testing.T) {
	d, _, _ := newRun(t, "")
	d.http.Transport.(*http.Transport).TLSClientConfig.RootCAs = x509.NewCertPool()
	var unknown x509.UnknownAuthorityError
	if err := d.run(t.Context()); !errors.As(err, &unknown) {
		t.Error(err)
	}
}
