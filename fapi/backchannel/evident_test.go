package backchannel_test

import (
	"net/http"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
	"countersign/internal/audit"
)

// Covers: FD-22. The evidence of a signed request with a user_code keeps its signature, which the jti salts.
func TestFD22EvidenceOfUserCode(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles(), fapitest.WithAuditChain)
	setCode(w, "correct horse")
	c := w.Register("client-1", fapitest.All(fapitest.CIBAPoll, fapitest.SetMember("backchannel_user_code_parameter", true)))
	t.Run("accepts it and keeps the signature, and neither code nor jti", func(t *testing.T) {
		const jti = "the-jti-0123456789"
		events := w.NewEvidence(t, func() {
			fapitest.WantOK(t, c.BackchannelSigned(func(claims fapitest.Claims) { claims["user_code"], claims["jti"] = "correct horse", jti }))
		})
		fapitest.WantKinds(t, events, audit.BackchannelRequest)
		kept := events[0].Message.Withheld
		if kept == nil || kept.Signature == "" || kept.SigningInput == "" {
			t.Fatalf("kept %+v", events[0].Message)
		}
		for name, value := range kept.Claims {
			if strings.Contains(string(value), jti) || strings.Contains(string(value), "horse") {
				t.Errorf("kept %s: %s", name, value)
			}
		}
	})
	for name, jti := range map[string]string{"short": "1", "of 15 bytes": "0123456789abcde"} {
		t.Run("refuses it with a jti "+name, func(t *testing.T) {
			events := w.NewEvidence(t, func() {
				r := c.BackchannelSigned(func(claims fapitest.Claims) { claims["user_code"], claims["jti"] = "correct horse", jti })
				fapitest.WantError(t, r, http.StatusBadRequest, "invalid_request")
			})
			fapitest.WantKinds(t, events)
		})
	}
}
