package authorize_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi/browser"
	"countersign/fapi/fapitest"
	"countersign/fapi/request"
)

// Covers: FD-86. Ecosystems call classes by names of their own: an essential acr by such a name is satisfied by its class, and
// by nothing less, and the tokens say the name that was asked by.
func TestFD86ACRNames(t *testing.T) {
	t.Parallel()
	const sca, ca, loa2, cdr = "urn:openbanking:psd2:sca", "urn:openbanking:psd2:ca", "urn:brasil:openbanking:loa2", "urn:cds.au:cdr:2"
	w, p := fapitest.NewFullWorld(t, func(c *fapitest.Config) {
		c.ACRNames = request.ACRNames{fapitest.ACRKey: {sca, cdr}, fapitest.ACRPassword: {ca, loa2}}
	})
	c := w.Register("client-1", nil)
	acrOf := func(t *testing.T, change fapitest.Change) any {
		t.Helper()
		var claims map[string]any
		reply := c.Redeem(c.AuthorizeIn(w.Browser(), change).Get("code"), nil)
		fapitest.WantOK(t, reply)
		if err := json.Unmarshal(fapitest.Payload(t, reply.Text("id_token")), &claims); err != nil {
			t.Fatal(err)
		}
		var access map[string]any
		if err := json.Unmarshal(fapitest.Payload(t, reply.Text("access_token")), &access); err != nil || access["acr"] != claims["acr"] {
			t.Errorf("the access token says %v, the ID token %v; %v", access["acr"], claims["acr"], err)
		}
		return claims["acr"]
	}
	essential := func(values ...string) fapitest.Change {
		encoded, err := json.Marshal(map[string]any{"id_token": map[string]any{"acr": map[string]any{"essential": true, "values": values}}})
		if err != nil {
			t.Fatal(err)
		}
		return fapitest.Set("claims", string(encoded))
	}
	p.Is("sub-alice", fapitest.ACRKey)
	for _, test := range []struct {
		name   string
		change fapitest.Change
		want   string
	}{
		{"an essential name of the United Kingdom", essential(sca), sca},
		{"one of Australia", essential(cdr), cdr},
		{"an essential single value", fapitest.Set("claims", `{"id_token":{"acr":{"essential":true,"value":"`+cdr+`"}}}`), cdr},
		{"one beside unknown ones", essential("urn:x", sca), sca},
		{"a name in acr_values", fapitest.Set("acr_values", cdr+" "+sca), cdr},
		{"a lesser name that was asked for", fapitest.Set("acr_values", loa2), loa2},
		{"the class's own name", essential(fapitest.ACRKey), fapitest.ACRKey},
		{"no name, by the class's own", nil, fapitest.ACRKey},
	} {
		t.Run("accepts "+test.name, func(t *testing.T) {
			if got := acrOf(t, test.change); got != test.want {
				t.Errorf("the acr is %v, want %s", got, test.want)
			}
		})
	}
	p.Is("sub-alice", fapitest.ACRPassword)
	t.Run("accepts the name of the password's class", func(t *testing.T) {
		if got := acrOf(t, essential(sca, loa2)); got != loa2 {
			t.Errorf("the acr is %v", got)
		}
	})
	t.Run("refuses an essential name of a class that was not reached", func(t *testing.T) {
		fapitest.WantRedirectError(t, c.AuthorizeIn(w.Browser(), essential(sca)), "unmet_authentication_requirements")
	})
	t.Run("refuses an essential name that names no class", func(t *testing.T) {
		fapitest.WantError(t, c.Push(essential("urn:openbanking:psd2:SCA")), http.StatusBadRequest, "unmet_authentication_requirements")
	})
	t.Run("accepts what the metadata says", func(t *testing.T) {
		var metadata struct {
			Values []string `json:"acr_values_supported"`
		}
		raw := w.DeviceBrowser(t).Visit("/.well-known/openid-configuration").Body
		if err := json.Unmarshal([]byte(raw), &metadata); err != nil ||
			strings.Join(metadata.Values, " ") != strings.Join([]string{fapitest.ACRKey, sca, cdr, fapitest.ACRPassword, ca, loa2}, " ") {
			t.Errorf("%v, %v", metadata.Values, err)
		}
	})
}

// Covers: FD-86. Over the backchannel the device is asked by the class's own name.
func TestFD86BackchannelACRNames(t *testing.T) {
	t.Parallel()
	const loa3, loa2 = "urn:brasil:openbanking:loa3", "urn:brasil:openbanking:loa2"
	w, c := fapitest.NewDeviceWorld(t, func(settings *fapitest.Config) {
		settings.ACRNames = request.ACRNames{browser.PasskeyACR: {loa3}, browser.PasswordACR: {loa2}}
	})
	asking := func(values string) func(url.Values, http.Header) {
		return func(form url.Values, _ http.Header) { form.Set("acr_values", values) }
	}
	bob := w.DeviceBrowser(t)
	bob.SignIn("alice")
	t.Run("refuses a password for the name of a passkey's class", func(t *testing.T) {
		path := "/device/requests/" + fapitest.Reference(c.AuthReqID(asking(loa3)))
		bob.Send(bob.Visit(path), path, "approve", "password", "right").Has(t, http.StatusForbidden)
	})
	alice := w.PasskeyOwner(t, "alice")
	for values, want := range map[string]string{loa3: loa3, loa3 + " " + loa2: loa3, loa2: loa2, "": browser.PasskeyACR} {
		t.Run("accepts a passkey for "+values, func(t *testing.T) {
			w.Clock.Advance(time.Minute)
			authReqID := c.AuthReqID(asking(values))
			alice.Decide(fapitest.Reference(authReqID), "approve").Has(t, http.StatusOK, "This was approved")
			w.Clock.Advance(10 * time.Second)
			var claims map[string]any
			if err := json.Unmarshal(fapitest.Payload(t, c.Poll(authReqID, nil).Text("id_token")), &claims); err != nil || claims["acr"] != want {
				t.Errorf("the acr is %v, want %s; %v", claims["acr"], want, err)
			}
		})
	}
}

// Covers: LP-05. Over the backchannel a client of an ecosystem asks, and is answered, by the names of its own profile; nothing less
// than was asked for decides.
func TestLP05BackchannelACRNames(t *testing.T) {
	t.Parallel()
	const sca, ca = "urn:openbanking:psd2:sca", "urn:openbanking:psd2:ca"
	w, other := fapitest.NewDeviceWorld(t, func(c *fapitest.Config) { c.Profiles = []string{"fapi2-security", "uk-openbanking/fapi2-security"} })
	c := w.Register("uk", func(c *fapitest.Client, m map[string]any) {
		fapitest.CIBAPoll(c, m)
		fapitest.CertificateBound(c, m)
		c.Scope, m["scope"], m["profile"] = "openid", "openid", "uk-openbanking/fapi2-security"
	})
	asking := func(values string) func(url.Values, http.Header) {
		return func(form url.Values, _ http.Header) { form.Set("acr_values", values) }
	}
	bob := w.DeviceBrowser(t)
	bob.SignIn("alice")
	t.Run("refuses a password for strong customer authentication", func(t *testing.T) {
		path := "/device/requests/" + fapitest.Reference(c.AuthReqID(asking(sca)))
		bob.Send(bob.Visit(path), path, "approve", "password", "right").Has(t, http.StatusForbidden)
	})
	alice := w.PasskeyOwner(t, "alice")
	decided := func(t *testing.T, c *fapitest.Client, values string) any {
		t.Helper()
		w.Clock.Advance(time.Minute)
		authReqID := c.AuthReqID(asking(values))
		alice.Decide(fapitest.Reference(authReqID), "approve").Has(t, http.StatusOK, "This was approved")
		w.Clock.Advance(10 * time.Second)
		var claims map[string]any
		if err := json.Unmarshal(fapitest.Payload(t, c.Poll(authReqID, nil).Text("id_token")), &claims); err != nil {
			t.Fatal(err)
		}
		return claims["acr"]
	}
	for values, want := range map[string]string{sca: sca, sca + " " + ca: sca, ca: ca, "": sca, browser.PasskeyACR: browser.PasskeyACR} {
		t.Run("accepts a passkey for "+values, func(t *testing.T) {
			if got := decided(t, c, values); got != want {
				t.Errorf("the acr is %v, want %s", got, want)
			}
		})
	}
	t.Run("refuses to call it by an ecosystem's name to a client of none", func(t *testing.T) {
		if got := decided(t, other, sca); got != browser.PasskeyACR {
			t.Errorf("the acr is %v", got)
		}
	})
}
