package device_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/dpop"
	"countersign/fapi/browser"
	"countersign/fapi/device"
	"countersign/fapi/fapitest"
	"countersign/internal/httpsig"
	"countersign/internal/jose"
)

// Covers: FD-80. What an application claims is signed with its key: a body that its proof does not sign is refused, and does
// not use up the proof.
func TestFD80BodySigned(t *testing.T) {
	t.Parallel()
	w, c := fapitest.NewDeviceWorld(t)
	a := enrolledApp(t, w, "alice")
	id := fapitest.Reference(c.AuthReqID(nil))
	approve := a.get("/requests/" + id).Text("approve")
	typed := url.Values{"acr": {browser.PasswordACR}, "amr": {"pwd"}}
	for name, change := range map[string]func(fapitest.Claims){
		"no digest":                  func(b fapitest.Claims) { delete(b, "content_digest") },
		"an empty digest":            func(b fapitest.Claims) { b["content_digest"] = "" },
		"the digest of nothing":      func(b fapitest.Claims) { b["content_digest"] = httpsig.Digest(nil) },
		"the digest of another body": func(b fapitest.Claims) { b["content_digest"] = httpsig.Digest([]byte(typed.Encode())) },
		"a digest without its name":  func(b fapitest.Claims) { b["content_digest"] = strings.TrimPrefix(httpsig.Digest(nil), "sha-256=") },
		"a digest by MD5 alone":      func(b fapitest.Claims) { b["content_digest"] = "md5=:1B2M2Y8AsgTpgAmY7PhCfg==:" },
		"a right one beside a wrong": func(b fapitest.Claims) {
			b["content_digest"] = httpsig.Digest([]byte(byFinger.Encode())) + ", sha-512=:AAAA:"
		},
		"a digest that is not a string": func(b fapitest.Claims) { b["content_digest"] = []string{httpsig.Digest([]byte(byFinger.Encode()))} },
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			refused(t, a.call(approve, a.proof(http.MethodPost, approve, byFinger, change), byFinger), http.StatusBadRequest, "invalid_dpop_proof")
		})
	}
	proof := a.proof(http.MethodPost, approve, typed, nil)
	for name, form := range map[string]url.Values{
		"acr and amr raised":     byFinger,
		"the amr changed":        {"acr": {browser.PasswordACR}, "amr": {"fpt"}},
		"a parameter added":      {"acr": {browser.PasswordACR}, "amr": {"pwd"}, "x": {"y"}},
		"the acr taken away":     {"amr": {"pwd"}},
		"everything taken away":  {},
		"the same value encoded": {"acr": {browser.PasswordACR}, "amr": {"pwd "}},
	} {
		t.Run("refuses "+name+" on the way", func(t *testing.T) {
			refused(t, a.call(approve, proof, form), http.StatusBadRequest, "invalid_dpop_proof")
		})
	}
	t.Run("refuses what is added to the address, which the proof does not sign", func(t *testing.T) {
		refused(t, a.post(approve+"?acr="+url.QueryEscape(browser.PasskeyACR), typed), http.StatusBadRequest, "invalid_request")
	})
	t.Run("accepts the body that was signed, with the same proof", func(t *testing.T) {
		if r := a.call(approve, proof, typed); r.Status != http.StatusOK || r.Text("state") != "approved" {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})

	alice := w.DeviceBrowser(t)
	alice.SignIn("alice")
	code := strings.ReplaceAll(alice.Send(alice.Visit("/device/settings"), "/device/settings", "code").One(t, `id="code" dir="ltr">([A-Z2-7 ]+)<`), " ", "")
	another := newApp(t, w)
	enrol, form := w.Issuer+"/device/api/enrol", url.Values{"code": {code}, "name": {"Bank app"}}
	proof = another.proof(http.MethodPost, enrol, form, nil)
	t.Run("refuses an enrolment whose name or code was changed on the way", func(t *testing.T) {
		for _, changed := range []url.Values{{"code": {code}, "name": {"Alice's bank"}}, {"code": {"AAAA"}, "name": {"Bank app"}}} {
			refused(t, another.call(enrol, proof, changed), http.StatusBadRequest, "invalid_dpop_proof")
		}
	})
	t.Run("accepts the enrolment that was signed", func(t *testing.T) {
		if r := another.call(enrol, proof, form); r.Status != http.StatusCreated {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
}

// Covers: FD-81. The signed claims are kept with the decision, so that they prove themselves: the key is that of the
// enrolment, the digest that of the body.
func TestFD81DecisionProvesItself(t *testing.T) {
	t.Parallel()
	w, c := fapitest.NewDeviceWorld(t, fapitest.WithAuditChain)
	a := enrolledApp(t, w, "alice")
	approve := a.get("/requests/" + fapitest.Reference(c.AuthReqID(nil))).Text("approve")
	t.Run("refuses a decision, and keeps nothing of it", func(t *testing.T) {
		events := w.NewEvidence(t, func() {
			a.call(approve, a.proof(http.MethodPost, approve, nil, nil), byFinger)
			a.post(approve, url.Values{"acr": {"urn:x"}, "amr": {"fpt"}})
		})
		if len(events) != 0 {
			t.Errorf("kept %+v", events)
		}
	})
	t.Run("accepts a decision, with its proof and its body", func(t *testing.T) {
		events := w.NewEvidence(t, func() { a.post(approve, byFinger) })
		if len(events) != 1 {
			t.Fatalf("kept %+v", events)
		}
		detail := events[0].Detail
		if detail["body"] != byFinger.Encode() {
			t.Errorf("kept %v", detail)
		}
		verified, err := dpop.Policy{Algorithms: []string{jose.ES256}, Now: w.Clock.Now}.
			Verify(detail["proof"], dpop.Request{Method: http.MethodPost, URLs: []string{approve}})
		if err != nil || verified.JKT != a.key.ID() {
			t.Fatalf("the proof is of %q: %v", verified.JKT, err)
		}
		var claims struct {
			Digest string `json:"content_digest"`
		}
		if err := verified.Claims(&claims); err != nil || claims.Digest != httpsig.Digest([]byte(detail["body"])) {
			t.Errorf("it signs %q, %v", claims.Digest, err)
		}
	})
}

// decision is what an application claims, and how it is answered.
type decision struct {
	name, enrolled string
	form           url.Values
	status         int
}

// Covers: FD-82. What an application claims is bounded by the sign-in under which it was enrolled; what exceeds that is
// refused with the reason and logged, and never lowered.
func TestFD82ClaimsBounded(t *testing.T) {
	t.Parallel()
	w, c := fapitest.NewDeviceWorld(t)
	claim := func(acr, amr string) url.Values {
		form := url.Values{"amr": {amr}}
		if acr != "" {
			form.Set("acr", acr)
		}
		return form
	}
	for _, test := range []decision{
		{"a password at the level of a password", browser.PasswordACR, claim(browser.PasswordACR, "pwd"), http.StatusOK},
		{"a PIN and a tap, of no class", browser.PasswordACR, claim("", "pin user"), http.StatusOK},
		{"a passkey under a password", browser.PasswordACR, claim(browser.PasskeyACR, "hwk user mfa"), http.StatusForbidden},
		{"the class of a passkey alone", browser.PasswordACR, claim(browser.PasskeyACR, "pwd"), http.StatusForbidden},
		{"methods of a passkey in the class of a password", browser.PasswordACR, claim(browser.PasswordACR, "pwd mfa"), http.StatusForbidden},
		{"a finger without a class", browser.PasswordACR, claim("", "fpt"), http.StatusForbidden},
		{"a key of software", browser.PasswordACR, claim("", "swk"), http.StatusForbidden},
		{"an app from before classes were kept, as a password", "", claim(browser.PasswordACR, "pwd"), http.StatusOK},
		{"an app from before classes were kept, as more", "", claim(browser.PasskeyACR, "hwk"), http.StatusForbidden},
		{"an app of a class that is not known any more", "urn:example:gone", claim(browser.PasskeyACR, "hwk"), http.StatusForbidden},
		{"a finger under a passkey", browser.PasskeyACR, byFinger, http.StatusOK},
		{"a password under a passkey", browser.PasskeyACR, claim(browser.PasswordACR, "pwd"), http.StatusOK},
		{"an unknown class under a passkey", browser.PasskeyACR, claim("urn:example:gone", "hwk"), http.StatusBadRequest},
	} {
		verb := "accepts "
		if test.status != http.StatusOK {
			verb = "refuses "
		}
		t.Run(verb+test.name, func(t *testing.T) {
			w.Clock.Advance(time.Minute)
			a := enrolledUnder(t, w, "alice", test.enrolled)
			authReqID := c.AuthReqID(nil)
			id := fapitest.Reference(authReqID)
			one := a.get("/requests/" + id)
			before := strings.Count(w.Logs.String(), "approval app claimed more than it may")
			r := a.post(one.Text("approve"), test.form)
			logged := strings.Count(w.Logs.String(), "approval app claimed more than it may") - before
			if test.status == http.StatusOK {
				if r.Status != http.StatusOK || logged != 0 {
					t.Fatalf("%d %s, logged %d times", r.Status, r.Raw, logged)
				}
				wantToken(t, w, c, authReqID, test.form)
				return
			}
			if test.status == http.StatusForbidden {
				refused(t, r, test.status, "access_denied")
				if !strings.Contains(r.Text("error_description"), "may not claim") || logged != 1 {
					t.Errorf("%s, logged %d times", r.Raw, logged)
				}
			}
			refused(t, a.post(one.Text("deny"), test.form), r.Status, r.Text("error")) // nor is a denial recorded with such claims
			if r := a.get("/requests/" + id); r.Text("state") != "waiting" {
				t.Errorf("the request is %s", r.Raw)
			}
			if r := a.post(one.Text("deny"), claim("", "pwd")); r.Status != http.StatusOK {
				t.Errorf("denying with what may be claimed: %d %s", r.Status, r.Raw)
			}
		})
	}
}

// wantToken wants the ID token and the access token to say what was claimed, and no more.
func wantToken(t *testing.T, w *fapitest.World, c *fapitest.Client, authReqID string, form url.Values) {
	t.Helper()
	w.Clock.Advance(10 * time.Second)
	tokens := c.Poll(authReqID, nil)
	if tokens.Status != http.StatusOK {
		t.Fatalf("the tokens: %d %s", tokens.Status, tokens.Raw)
	}
	for name, token := range map[string]string{"ID token": tokens.Text("id_token"), "access token": tokens.Text("access_token")} {
		var said struct {
			ACR string   `json:"acr"`
			AMR []string `json:"amr"`
		}
		if err := json.Unmarshal(fapitest.Payload(t, token), &said); err != nil {
			t.Fatal(err)
		}
		if said.ACR != form.Get("acr") || !cmp.Equal(said.AMR, strings.Fields(form.Get("amr"))) {
			t.Errorf("the %s says acr %q and amr %q, claimed was %v", name, said.ACR, said.AMR, form)
		}
	}
}

// Covers: FD-82. An operator says what applications may claim.
func TestFD82OperatorsPolicy(t *testing.T) {
	t.Parallel()
	w, c := fapitest.NewDeviceWorld(t, func(settings *fapitest.Config) {
		settings.AppPolicy = device.AppPolicy{
			ByPassword: device.Claimable{ACR: []string{}, AMR: []string{"pop"}},
			ByPasskey:  device.Claimable{ACR: []string{browser.PasswordACR}, AMR: []string{"hwk", "pin"}},
		}
	})
	for _, test := range []decision{
		{"what is listed for a password", browser.PasswordACR, url.Values{"amr": {"pop"}}, http.StatusOK},
		{"what the default would let", browser.PasswordACR, url.Values{"amr": {"pwd"}}, http.StatusForbidden},
		{"a class where none is listed", browser.PasswordACR, url.Values{"acr": {browser.PasswordACR}, "amr": {"pop"}}, http.StatusForbidden},
		{"what is listed for a passkey", browser.PasskeyACR, url.Values{"acr": {browser.PasswordACR}, "amr": {"hwk pin"}}, http.StatusOK},
		{"a class above what is listed", browser.PasskeyACR, url.Values{"acr": {browser.PasskeyACR}, "amr": {"hwk"}}, http.StatusForbidden},
		{"a method that is not listed", browser.PasskeyACR, url.Values{"acr": {browser.PasswordACR}, "amr": {"hwk fpt"}}, http.StatusForbidden},
	} {
		verb := "accepts "
		if test.status != http.StatusOK {
			verb = "refuses "
		}
		t.Run(verb+test.name, func(t *testing.T) {
			a := enrolledUnder(t, w, "alice", test.enrolled)
			w.Clock.Advance(time.Minute)
			one := a.get("/requests/" + fapitest.Reference(c.AuthReqID(nil)))
			if r := a.post(one.Text("approve"), test.form); r.Status != test.status {
				t.Errorf("%d %s", r.Status, r.Raw)
			}
			a.post(one.Text("deny"), url.Values{"amr": {"pop"}})
		})
	}
}
