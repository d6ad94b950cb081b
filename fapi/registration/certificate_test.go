package registration_test

import (
	"crypto/tls"
	"encoding/hex"
	"net/http"
	"testing"
	"time"

	"countersign/examples/directory/standin"
	"countersign/fapi/fapitest"
)

// Covers: LD-09, LD-05. The certificate of the connection is that of the software, and of a known authority.
func TestLD09Certificate(t *testing.T) {
	t.Parallel()
	e := newEcosystem(t, standin.Brazil, brazil)
	stranger := fapitest.NewAuthority(t, "Another CA", e.Clock.Now())
	for name, test := range map[string]struct {
		certificate *tls.Certificate
		status      int
		code        string
	}{
		"refuses no certificate":                   {nil, http.StatusUnauthorized, "invalid_token"},
		"refuses one of an unknown authority":      {e.certificateOf(stranger, application, "OFBBR-"+participant), http.StatusUnauthorized, "invalid_token"},
		"refuses one of other software":            {e.certificate("other", "OFBBR-"+participant), http.StatusBadRequest, "unapproved_software_statement"},
		"refuses one of another participant":       {e.certificate(application, "OFBBR-other"), http.StatusBadRequest, "unapproved_software_statement"},
		"refuses one of another ecosystem":         {e.certificate(application, "OPIBR-"+participant), http.StatusBadRequest, "unapproved_software_statement"},
		"refuses one with the identifier alone":    {e.certificate(application, participant), http.StatusBadRequest, "unapproved_software_statement"},
		"refuses one whose identifier goes on":     {e.certificate(application, "OFBBR-"+participant+"0"), http.StatusBadRequest, "unapproved_software_statement"},
		"refuses one without what the rule wants ": {new(e.ClientCA.Issue(t, application, e.Clock.Now())), http.StatusBadRequest, "unapproved_software_statement"},
	} {
		t.Run(name, func(t *testing.T) {
			c := e.applicant.WithCertificate(test.certificate)
			e.refuses(t, c, e.brazilian(nil), test.status, test.code)
		})
	}
	t.Run("refuses the listener without certificates", func(t *testing.T) {
		e.refuses(t, e.Applicant(nil), e.brazilian(nil), http.StatusUnauthorized, "invalid_token")
	})
	t.Run("accepts the identifiers in other letters", func(t *testing.T) {
		e.registered(e.applicant.WithCertificate(e.certificate("25556D5A-B9DD-4E27-AA1A-CCE732FE74DE", "ofbbr-"+participant)).RegisterSelf("", e.brazilian(nil)))
	})
}

// organizationIdentifier is the attribute as #hexDER: of a PrintableString (0x13) or a UTF8String (0x0c).
func organizationIdentifier(tag byte, text string) string {
	return "2.5.4.97=#" + hex.EncodeToString(append([]byte{tag, byte(len(text))}, text...))
}

// Covers: LD-10. The subject that a client registers is its own, in whatever encoding, and the certificate that it shows later is
// compared with it as a name.
func TestLD10RegisteredSubject(t *testing.T) {
	t.Parallel()
	e := newEcosystem(t, standin.Brazil, brazil)
	const rest = ",CN=client.example,O=Example OFBBR-" + participant + ",C=BR"
	by := func(subject string) map[string]any {
		return e.brazilian(with(map[string]any{"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": subject}))
	}
	for name, subject := range map[string]string{
		"refuses that of other software":       "UID=other," + organizationIdentifier(0x13, "OFBBR-"+participant) + rest,
		"refuses that of another participant":  "UID=" + application + "," + organizationIdentifier(0x0c, "OFBBR-other") + rest,
		"refuses one that names neither":       "CN=client.example,C=BR",
		"refuses one that names two":           "UID=" + application + ",UID=other," + organizationIdentifier(0x13, "OFBBR-"+participant) + rest,
		"refuses one that cannot be read":      "UID=" + application + ",2.5.4.97=#13" + rest,
		"refuses an attribute of unknown name": "UID=" + application + ",orgId=OFBBR-" + participant + rest,
	} {
		t.Run(name, func(t *testing.T) {
			e.refuses(t, e.applicant, by(subject), http.StatusBadRequest, "invalid_client_metadata")
		})
	}
	for name, tag := range map[string]byte{"accepts the DER of a PrintableString": 0x13, "accepts the DER of a UTF8String": 0x0c} {
		t.Run(name, func(t *testing.T) {
			subject := organizationIdentifier(tag, "OFBBR-"+participant) + ",UID=" + application + rest
			c := e.registered(e.applicant.RegisterSelf("", by(subject)))
			c.Assertion = false
			fapitest.WantOK(t, c.ClientCredentials(nil))
			c = c.WithCertificate(e.certificate(application, "OFBBR-other"))
			fapitest.WantError(t, c.ClientCredentials(nil), http.StatusUnauthorized, "invalid_client")
		})
	}
}

// Covers: LD-11, LD-12. Whoever manages a registration shows the certificate of its organisation each time, and replaces it with a
// statement of the same software.
func TestLD11Management(t *testing.T) {
	t.Parallel()
	e := newEcosystem(t, standin.Brazil, brazil)
	body := e.brazilian(nil)
	r := e.applicant.RegisteredSelf("", body)
	m := managed{Client: e.applicant, token: r.Text("registration_access_token"), address: r.Text("registration_client_uri"), id: r.Text("client_id"), body: body}
	if want := e.MTLSIssuer + "/register/" + m.id; m.address != want {
		t.Fatalf("it is managed at %s, not %s, where its certificate is asked for", m.address, want)
	}
	at := func(certificate *tls.Certificate) managed {
		other := m
		other.Client = e.applicant.WithCertificate(certificate)
		return other
	}
	change := func(change func(map[string]any)) func(map[string]any) {
		return func(body map[string]any) {
			body["redirect_uris"], body["software_statement"] = []string{"https://client.example/other"}, e.statement(nil)
			if change != nil {
				change(body)
			}
		}
	}
	for name, certificate := range map[string]*tls.Certificate{
		"none": nil, "one of other software": e.certificate("other", "OFBBR-"+participant), "one of another participant": e.certificate(application, "OFBBR-other"),
	} {
		t.Run("refuses the token with "+name, func(t *testing.T) {
			for _, r := range []fapitest.Reply{at(certificate).read(), at(certificate).replace(change(nil)), at(certificate).delete()} {
				fapitest.WantError(t, r, http.StatusUnauthorized, "invalid_token")
			}
		})
	}
	t.Run("refuses the token at the listener without certificates", func(t *testing.T) {
		other := m
		other.Client, other.address = e.Applicant(nil), e.Issuer+"/register/"+m.id
		fapitest.WantError(t, other.read(), http.StatusUnauthorized, "invalid_token")
	})
	t.Run("refuses another token", func(t *testing.T) {
		other := m
		other.token = "ivegotthisterriblepaininallthediodesdownmyleftside"
		fapitest.WantError(t, other.read(), http.StatusUnauthorized, "invalid_token")
	})
	t.Run("refuses a replacement without a statement", func(t *testing.T) {
		fapitest.WantError(t, m.replace(change(func(b map[string]any) { delete(b, "software_statement") })), http.StatusBadRequest, "invalid_software_statement")
	})
	t.Run("refuses one with an old statement", func(t *testing.T) {
		old := e.statement(func(c map[string]any) { c["iat"] = e.Clock.Now().Add(-6 * time.Minute).Unix() })
		fapitest.WantError(t, m.replace(change(with(map[string]any{"software_statement": old}))), http.StatusBadRequest, "invalid_software_statement")
	})
	t.Run("refuses one with a statement about other software", func(t *testing.T) {
		other := e.statement(with(map[string]any{"software_id": "other"}))
		fapitest.WantError(t, m.replace(change(with(map[string]any{"software_statement": other}))), http.StatusBadRequest, "unapproved_software_statement")
	})
	t.Run("refuses one to where the statement has no redirect URI", func(t *testing.T) {
		fapitest.WantError(t, m.replace(change(with(map[string]any{"redirect_uris": []string{"https://else.example/"}}))), http.StatusBadRequest, "invalid_redirect_uri")
	})
	t.Run("accepts it with a renewed certificate, and the token stays", func(t *testing.T) {
		same := at(e.certificate(application, "OFBBR-"+participant))
		r := same.replace(change(nil))
		fapitest.WantOK(t, r)
		if r.Text("registration_access_token") != m.token {
			t.Error("another token")
		}
		read := same.read()
		fapitest.WantOK(t, read)
		if uris, _ := read.Body["redirect_uris"].([]any); len(uris) != 1 || uris[0] != "https://client.example/other" {
			t.Errorf("%s", read.Raw)
		}
		fapitest.WantOK(t, same.replace(change(nil))) // a statement each time
		if r := same.delete(); r.Status != http.StatusNoContent || e.clients() != 0 {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
}
