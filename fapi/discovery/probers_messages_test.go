package discovery_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
)

// probeEncryption gets an ID token or a UserInfo answer that is encrypted with one alg or enc.
func probeEncryption(answer, part string) prober {
	return func(t *testing.T, w probedWorld, value string) {
		wanted := map[string]string{"alg": jose.ECDHES, "enc": jose.A256GCM}
		wanted[part] = value
		key := fapitest.NewRecipient(t, wanted["alg"])
		c := w.Register("client-"+fapitest.RandomString(), func(c *fapitest.Client, m map[string]any) {
			m["jwks"] = fapitest.KeySet(c.Key.PublicJWK(), key.Public)
			m["userinfo_signed_response_alg"] = "ES256"
			m[answer+"_encrypted_response_alg"], m[answer+"_encrypted_response_enc"] = wanted["alg"], wanted["enc"]
		})
		issued := c.Tokens()
		token := issued.Text("id_token")
		if answer == "userinfo" {
			token = c.Get("/userinfo", issued.Text("access_token"), nil).Raw
		}
		raw, err := base64.RawURLEncoding.DecodeString(token[:strings.IndexByte(token, '.')])
		if err != nil || !strings.Contains(string(raw), `"alg":"`+wanted["alg"]+`"`) || !strings.Contains(string(raw), `"enc":"`+wanted["enc"]+`"`) {
			t.Errorf("the header is %s, %v", raw, err)
		}
		if _, body := w.Verify(key.Open(t, token)); body["sub"] != "sub-alice" {
			t.Errorf("decrypted to %v", body)
		}
	}
}

// probeDeliveryMode goes the whole way in one mode.
func probeDeliveryMode(t *testing.T, w probedWorld, value string) {
	b := w.NotificationEndpoint(fapitest.Answer(http.StatusNoContent))
	c := w.Register("client-"+fapitest.RandomString(), func(c *fapitest.Client, m map[string]any) {
		if fapitest.CIBAPing(b.URL)(c, m); value == "poll" {
			fapitest.CIBAPoll(c, m)
		}
	})
	id := c.AuthReqID(fapitest.WithNotificationToken)
	w.Decide(id, true)
	if value == "ping" {
		if sent, err := w.SendPings(); err != nil || sent != 1 {
			t.Errorf("%d pings: %v", sent, err)
		}
		b.Await(t, 1)
	}
	fapitest.WantOK(t, c.Poll(id, nil))
}

func probeBackchannelAlgorithm(t *testing.T, w probedWorld, value string) {
	c := w.Register("client-"+fapitest.RandomString(), func(c *fapitest.Client, m map[string]any) {
		fapitest.CIBAPoll(c, m)
		c.Key = fapitest.NewKey(t, value)
		m["jwks"], m["backchannel_authentication_request_signing_alg"] = fapitest.KeySet(c.Key.PublicJWK()), value
	})
	if r := c.BackchannelSigned(nil); r.Status != http.StatusOK {
		t.Errorf("answered %d %s", r.Status, r.Raw)
	}
}

// probeMessageEncryption shows that signed responses, or what introspection answers, can be had encrypted.
func probeMessageEncryption(answer, part string) prober {
	return func(t *testing.T, w probedWorld, value string) {
		wanted := map[string]string{"alg": jose.ECDHES, "enc": jose.A256GCM}
		wanted[part] = value
		key := fapitest.NewRecipient(t, wanted["alg"])
		encrypted := func(c *fapitest.Client, m map[string]any) {
			m["jwks"] = fapitest.KeySet(c.Key.PublicJWK(), key.Public)
			m[answer+"_encrypted_response_alg"], m[answer+"_encrypted_response_enc"] = wanted["alg"], wanted["enc"]
		}
		var token, member string
		if answer == "authorization" {
			token, member = w.Register("client-"+fapitest.RandomString(), fapitest.All(fapitest.OptionalSigning, encrypted)).SignedResponse(t, "jwt").Get("response"), "code"
		} else {
			access := w.Register("client-"+fapitest.RandomString(), nil).Tokens().Text("access_token")
			self := w.ResourceServer("self-"+fapitest.RandomString(), w.Issuer)
			metadata := map[string]any{}
			encrypted(self, metadata)
			for name, value := range metadata {
				w.ChangeMember(self, name, value)
			}
			token, member = self.Introspect(access, fapitest.SetHeader("Accept", "application/token-introspection+jwt")).Raw, "token_introspection"
		}
		header, _, _ := strings.Cut(token, ".")
		if raw, err := base64.RawURLEncoding.DecodeString(header); err != nil || !strings.Contains(string(raw), fmt.Sprintf("%q:%q", part, value)) {
			t.Errorf("the header is %s, %v", raw, err)
		}
		if _, body := w.Verify(key.Open(t, token)); body[member] == nil {
			t.Errorf("decrypted to %v", body)
		}
	}
}

func probeIntrospectionAlgorithm(t *testing.T, w probedWorld, value string) {
	token := w.Register("client-"+fapitest.RandomString(), nil).Tokens().Text("access_token")
	self := w.ResourceServer("self-"+fapitest.RandomString(), w.Issuer)
	w.ChangeMember(self, "introspection_signed_response_alg", value)
	r := self.Introspect(token, fapitest.SetHeader("Accept", "application/token-introspection+jwt"))
	header, read := w.Verify(r.Raw)
	if told, _ := read["token_introspection"].(map[string]any); told["active"] != true || header.Algorithm != value {
		t.Errorf("answered %s", r.Raw)
	}
}

// signs registers a client of Message Signing, or one that knows nothing of it.
func signs(value bool) func(*fapitest.Client, map[string]any) {
	if value {
		return fapitest.OfProfile("fapi2-message-signing")
	}
	return nil
}

func probeResponseMode(t *testing.T, w probedWorld, value string) {
	c := w.Register("client-"+fapitest.RandomString(), fapitest.All(fapitest.OfProfile("fapi2-message-signing")))
	q := c.SignedResponse(t, value)
	if value == "query" {
		fapitest.WantOK(t, c.Redeem(q.Get("code"), nil))
		return
	}
	code, _ := w.JARM(t, q, c)["code"].(string)
	fapitest.WantOK(t, c.Redeem(code, nil))
}

func probeRequestObjectAlgorithm(t *testing.T, w probedWorld, value string) {
	c := w.Register("client-"+fapitest.RandomString(), func(c *fapitest.Client, m map[string]any) {
		c.Key = fapitest.NewKey(t, value)
		m["profile"], m["jwks"], m["request_object_signing_alg"] = "fapi2-message-signing", fapitest.KeySet(c.Key.PublicJWK()), value
	})
	if r := c.Push(c.Signing(nil)); r.Status != http.StatusCreated {
		t.Errorf("answered %d %s", r.Status, r.Raw)
	}
}

func probeResponseAlgorithm(t *testing.T, w probedWorld, value string) {
	c := w.Register("client-"+fapitest.RandomString(), fapitest.All(fapitest.OfProfile("fapi2-message-signing"), fapitest.SetMember("authorization_signed_response_alg", value)))
	if header, _ := w.Verify(c.SignedResponse(t, "jwt").Get("response")); header.Algorithm != value {
		t.Errorf("signed with %s", header.Algorithm)
	}
}
