package relyingparty

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/rp/client"
	"countersign/rp/client/providertest"
)

// provided is a driver and a job of a plan, with a provider in the place of the suite.
func provided(t *testing.T, name, module string) (*providertest.Provider, driver, job) {
	t.Helper()
	p := providertest.New(t)
	selected, err := selectPlans(name)
	if err != nil {
		t.Fatal(err)
	}
	clients, err := identities(rand.Reader, selected[0], providertest.ClientID, "ES256", p.Now())
	if err != nil {
		t.Fatal(err)
	}
	at, err := openSite(rand.Reader, p.Now())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(at.stop)
	d := driver{roots: p.Roots, browser: newBrowser(trusting(p.Roots)), timeout: 10 * time.Second, now: p.Now, algorithms: []string{"PS256"}}
	return p, d, job{
		plan: selected[0], module: module, who: clients[0], site: at, at: clientAddresses(selected[0], at.base),
		exposed: map[string]string{"issuer": p.Issuer, "accounts_endpoint": p.Issuer + "/resource"},
	}
}

// behave has a provider behave as told, and answer at its authorization endpoint as the suite does: the browser is sent back at once.
func (j job) behave(p *providertest.Provider, b providertest.Behaviour) {
	own := b.Handle
	b.Handle = func(w http.ResponseWriter, r *http.Request) bool {
		if own != nil && own(w, r) {
			return true
		}
		if r.URL.Path != "/authorize" {
			return false
		}
		separator := "?"
		if j.plan.suitePlan == fapi1Advanced && !j.plan.jarm() {
			separator = "#"
		}
		http.Redirect(w, r, j.at.redirect+separator+p.Login(p.Issuer+r.URL.RequestURI()).Encode(), http.StatusFound)
		return true
	}
	p.Behave(b)
}

// TestDrive: the client of each plan is configured so that it gets to the resource at a provider that behaves, and stops before at one that does not.
//
// Covers: RC-08.
func TestDrive(t *testing.T) {
	other := func(claims map[string]any) { claims["iss"] = "https://other.example" }
	for _, name := range []string{
		"fapi2-sp/private_key_jwt+dpop+openid_connect", "fapi2-sp/private_key_jwt+mtls+openid_connect+rar", "fapi2-sp/mtls+dpop+openid_connect",
		"fapi2-sp/consumerdataright_au+private_key_jwt+mtls+openid_connect", "fapi2-ms/private_key_jwt+dpop+openid_connect+signed+jarm",
		"fapi2-ms/mtls+mtls+openid_connect+unsigned+jarm", "fapi2-ms/mtls+mtls+openid_connect+signed+plain",
		"fapi1-adv/private_key_jwt+by_value+plain+openid_connect", "fapi1-adv/mtls+pushed+jarm+openid_connect",
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			p, d, j := provided(t, name, "happy-path")
			j.behave(p, providertest.Behaviour{})
			if err := d.drive(t.Context(), j); err != nil {
				t.Fatal(err)
			}
			if got := p.Requests("/resource"); len(got) != 1 {
				t.Errorf("%d requests to the resource", len(got))
			}
		})
		t.Run("refuses another issuer's ID token, "+name, func(t *testing.T) {
			p, d, j := provided(t, name, "invalid-iss")
			j.behave(p, providertest.Behaviour{IDToken: other, FrontIDToken: other})
			err := d.drive(t.Context(), j)
			if why, ok := refused(err); !ok || why != "iss" {
				t.Errorf("it ended with %v", err)
			}
			if got := p.Requests("/resource"); len(got) != 0 {
				t.Errorf("%d requests to the resource", len(got))
			}
		})
	}
	t.Run("accepts fapi2-sp/client_credentials+mtls+dpop+plain_oauth", func(t *testing.T) {
		p, d, j := provided(t, "fapi2-sp/client_credentials+mtls+dpop+plain_oauth", "happy-path")
		if err := d.drive(t.Context(), j); err != nil || len(p.Requests("/resource")) != 1 || len(p.Requests("/authorize")) != 0 {
			t.Errorf("%v, %d requests to the resource", err, len(p.Requests("/resource")))
		}
	})
	t.Run("accepts two refreshes before the resource", func(t *testing.T) {
		p, d, j := provided(t, "fapi2-ms/cbuae+private_key_jwt+mtls+plain_oauth+rar+signed+plain", "fapi2-security-profile-final-client-refresh-token-test")
		j.behave(p, providertest.Behaviour{})
		err := d.drive(t.Context(), j)
		tokens := p.Requests("/token")
		if err != nil || len(tokens) != 3 || len(p.Requests("/resource")) != 1 {
			t.Fatalf("%v, %d requests for tokens", err, len(tokens))
		}
		if first, second := tokens[1].Form.Get("refresh_token"), tokens[2].Form.Get("refresh_token"); first == "" || second == "" || first == second {
			t.Errorf("refresh tokens: %q, then %q", first, second)
		}
	})
	t.Run("refuses an intent that was not lodged", func(t *testing.T) {
		p, d, j := provided(t, "fapi2-sp/consumerdataright_au+private_key_jwt+mtls+openid_connect", "invalid-openbanking-intent-id")
		j.behave(p, providertest.Behaviour{IDToken: func(claims map[string]any) { claims["openbanking_intent_id"] = "another" }})
		err := d.drive(t.Context(), j)
		if why, ok := refused(err); !ok || why != "openbanking_intent_id" {
			t.Errorf("it ended with %v", err)
		}
	})
	t.Run("refuses a provider that is away", func(t *testing.T) {
		p, d, j := provided(t, "fapi2-sp/private_key_jwt+dpop+openid_connect", "invalid-iss")
		p.Close()
		err := d.drive(t.Context(), j)
		if _, isRefusal := refused(err); err == nil || isRefusal {
			t.Errorf("it ended with %v", err)
		}
	})
}

// TestBackchannel: a user is asked over the backchannel, and the tokens are had by a poll or after a ping to the handler of package rp that bears the right token.
//
// Covers: RC-07.
func TestBackchannel(t *testing.T) {
	t.Run("accepts a poll", func(t *testing.T) {
		p, d, j := provided(t, "fapi-ciba/mtls+poll", "fapi-ciba-id1-client-test")
		if err := d.drive(t.Context(), j); err != nil || len(p.Requests("/resource")) != 1 {
			t.Errorf("%v, %d requests to the resource", err, len(p.Requests("/resource")))
		}
	})
	for name, test := range map[string]struct {
		token func(right string) string
		ends  int // status of the answer
	}{
		"accepts the right token": {func(right string) string { return right }, http.StatusNoContent},
		"refuses a wrong token":   {func(string) string { return "wrong" }, http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			p, d, j := provided(t, "fapi-ciba/private_key_jwt+ping", "fapi-ciba-id1-client-test")
			j.behave(p, providertest.Behaviour{Handle: func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != "/backchannel" {
					return false
				}
				providertest.Write(w, http.StatusOK, map[string]any{"auth_req_id": "request-1", "expires_in": 120, "interval": 1})
				return true
			}})
			ended := make(chan error, 1)
			go func() { ended <- d.drive(t.Context(), j) }()
			token := test.token(notificationToken(t, p))
			// The request is kept when its answer is there. A ping before is refused, and ends nothing.
			seen := map[int]bool{}
			for range 1000 {
				seen[ping(t, j.site, "another", token)] = true
				seen[ping(t, j.site, "request-1", token)] = true
				if len(ended) > 0 {
					break
				}
				time.Sleep(5 * time.Millisecond)
			}
			err := <-ended
			_, isCheck := errors.AsType[*client.CheckError](err)
			if !seen[test.ends] || seen[http.StatusNoContent] != (err == nil) || isCheck != (test.ends == http.StatusUnauthorized) {
				t.Errorf("the pings were answered %v, and the client ended with %v", seen, err)
			}
			if got := len(p.Requests("/resource")); (got == 1) != (err == nil) {
				t.Errorf("%d requests to the resource", got)
			}
		})
	}
}

// notificationToken reads the client_notification_token from the signed request (CIBA Core §7.1).
func notificationToken(t *testing.T, p *providertest.Provider) string {
	t.Helper()
	for range 500 {
		if got := p.Requests("/backchannel"); len(got) > 0 {
			parts := strings.Split(got[0].Form.Get("request"), ".")
			var claims struct {
				Token string `json:"client_notification_token"`
			}
			if len(parts) != 3 {
				t.Fatalf("the request is not signed: %v", got[0].Form)
			}
			payload, err := base64.RawURLEncoding.DecodeString(parts[1])
			if err == nil {
				err = json.Unmarshal(payload, &claims)
			}
			if err != nil || claims.Token == "" {
				t.Fatalf("%v, %s", err, payload)
			}
			return claims.Token
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("no backchannel request came")
	return ""
}

// ping sends one as a provider does (CIBA Core §10.2), and returns the status of the answer.
func ping(t *testing.T, at *site, id, token string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at.base+"/auth/ciba-ping", bytes.NewReader([]byte(`{"auth_req_id":"`+id+`"}`)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	return send(t, at, request)
}

func send(t *testing.T, at *site, request *http.Request) int {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(at.certificate)
	transport := trusting(nil)
	defer transport.CloseIdleConnections()
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// TestLogout: a session ends by the application or by a right logout token, and by no other; what a session did that it should not is told.
//
// Covers: RC-09.
func TestLogout(t *testing.T) {
	const right = "oidcc-client-test-rp-backchannel-rpinitlogout"
	token := func(p *providertest.Provider, typ string, change func(map[string]any)) string {
		claims := map[string]any{
			"iss": p.Issuer, "aud": providertest.ClientID, "sub": p.Subject, "sid": "session-1", "iat": p.Now().Unix(), "exp": p.Now().Add(time.Minute).Unix(),
			"jti": rand.Text(), "events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
		}
		change(claims)
		return p.Sign(typ, claims)
	}
	same := func(map[string]any) {}
	tests := map[string]struct {
		plan, module string
		// state changes what the provider brings back; claims what the logout token says.
		state  string
		claims func(map[string]any)
		fails  string
	}{
		"accepts a logout by the application":     {"oidc-rp-logout", "oidcc-client-test-rp-init-logout", "", same, ""},
		"accepts another state coming back":       {"oidc-rp-logout", "oidcc-client-test-rp-init-logout-other-state", "other", same, ""},
		"refuses another state where it must not": {"oidc-rp-logout", "oidcc-client-test-rp-init-logout", "other", same, "the logout ended with 400"},
		"accepts a logout by the provider":        {"oidc-backchannel-logout", right, "", same, ""},
		"accepts that a wrong token is refused": {
			"oidc-backchannel-logout", right + "-wrong-aud", "", func(claims map[string]any) { claims["aud"] = "another" }, "",
		},
		"refuses a session that a wrong token ended": {"oidc-backchannel-logout", right + "-wrong-aud", "", same, "signed in: false"},
		"refuses a session that a right token left": {
			"oidc-backchannel-logout", right, "", func(claims map[string]any) { delete(claims, "events") }, "signed in: true",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p, d, j := provided(t, test.plan+"/private_key_jwt+default+static+plain", test.module)
			j.behave(p, providertest.Behaviour{Handle: func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != "/logout" {
					return false
				}
				form := url.Values{"logout_token": {token(p, "logout+jwt", test.claims)}}
				request, err := http.NewRequestWithContext(context.WithoutCancel(r.Context()), http.MethodPost, j.at.backLogout, strings.NewReader(form.Encode()))
				if err != nil {
					t.Error(err)
					return false
				}
				request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				send(t, j.site, request)
				back := url.Values{"state": {r.URL.Query().Get("state")}}
				if test.state != "" {
					back.Set("state", test.state)
				}
				http.Redirect(w, r, j.at.postLogout+"?"+back.Encode(), http.StatusFound)
				return true
			}})
			err := d.drive(t.Context(), j)
			if (err == nil) != (test.fails == "") || err != nil && !strings.Contains(err.Error(), test.fails) {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}

// TestTwice: in the module about the rotation of keys the client logs in again when the provider's keys are others; modules about discovery end where the suite
// ends them.
//
// Covers: RC-08.
func TestTwice(t *testing.T) {
	const plan = "oidc-config/private_key_jwt+default+static+plain"
	t.Run("accepts keys that were rotated", func(t *testing.T) {
		p, d, j := provided(t, plan, "oidcc-client-test-signing-key-rotation")
		logins := 0
		j.behave(p, providertest.Behaviour{UserInfo: func(map[string]any) {
			logins++
			p.Rotate("PS256")
			p.Advance(time.Minute) // no client asks for keys again at once
		}})
		if err := d.drive(t.Context(), j); err != nil || logins != 2 {
			t.Errorf("%v after %d logins", err, logins)
		}
	})
	for module, want := range map[string][2]int{ // requests to the token endpoint and for keys
		"oidcc-client-test-discovery-openid-config": {0, 0}, "oidcc-client-test-discovery-jwks-uri-keys": {1, 1},
	} {
		t.Run("accepts the end of "+module, func(t *testing.T) {
			p, d, j := provided(t, plan, module)
			j.behave(p, providertest.Behaviour{})
			err := d.drive(t.Context(), j)
			got := [2]int{len(p.Requests("/token")), len(p.Requests("/jwks"))}
			if err != nil || got != want || len(p.Requests("/userinfo")) != 0 {
				t.Errorf("%v, %d requests for tokens and keys, want %d", err, got, want)
			}
		})
	}
	t.Run("refuses a login that never is", func(t *testing.T) {
		p, d, j := provided(t, plan, "oidcc-client-test-signing-key-rotation")
		j.behave(p, providertest.Behaviour{})
		d.rotation = time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := d.drive(ctx, j); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it ended with %v", err)
		}
	})
}
