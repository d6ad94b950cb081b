package fapitest

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"countersign/fapi/consent"
	"countersign/fapi/rar"
	"countersign/fapi/rar/ready"
	"countersign/fapi/scope"
	"countersign/internal/jose"
)

// ConsentKind is that of the consents of [World.Lodge].
const ConsentKind = "account-access"

// WithConsents offers two presets beside fapi2-security: one names a consent by a claim, the other by a scope.
func WithConsents(c *Config) {
	schema, err := ready.Schema("uk-accounts", ConsentKind)
	if err != nil {
		panic(err)
	}
	c.Profiles = []string{"uk-openbanking/fapi2-security", "brazil-openfinance/fapi2-security", "fapi2-security"}
	c.Scopes = append(c.Scopes, scope.Scope{Name: "consents", Description: "Create consents"})
	c.Consents.Types = []rar.Type{{Type: ConsentKind, Schema: schema}}
}

// InUK registers a client that names its consents by a claim.
func InUK(c *Client, m map[string]any) {
	CertificateBound(c, m)
	c.AtMTLS, m["profile"] = true, "uk-openbanking/fapi2-security"
	c.Scope, m["scope"] = "openid accounts", "openid accounts payments"
}

// InBrazil registers a client that names its consents by a scope.
func InBrazil(c *Client, m map[string]any) {
	CertificateBound(c, m)
	c.AtMTLS, m["profile"] = true, "brazil-openfinance/fapi2-security"
	c.Key = NewKey(c.World.T, jose.PS256)
	m["jwks"] = KeySet(c.Key.PublicJWK())
	c.Scope, m["scope"] = "openid accounts", "openid accounts consents payments"
}

var lodged atomic.Int64

// Lodge stores a consent of a client that awaits a decision, as the API of its ecosystem does: to read balances.
func (w *World) Lodge(c *Client, change ...func(*consent.Consent)) consent.Consent {
	w.T.Helper()
	now := w.Clock.Now()
	one := consent.Consent{
		ID: fmt.Sprintf("urn:bank:%d", lodged.Add(1)), ClientID: c.ID, Kind: ConsentKind, Scopes: []string{"accounts"},
		Content: json.RawMessage(`{"Permissions":["ReadBalances"]}`), Shown: json.RawMessage(`{"Permissions":["ReadBalances"],"type":"account-access"}`),
		CreatedAt: now, ExpiresAt: now.Add(time.Hour),
	}
	for _, each := range change {
		each(&one)
	}
	own := consent.Own{Store: w.Store, Notify: w.Config.Consents.Webhook != nil}
	if err := own.Lodge(w.T.Context(), one); err != nil {
		w.T.Fatal(err)
	}
	return one
}

// NamingByClaim has a request of a client in the UK name a consent.
func NamingByClaim(id string) Change {
	return Set("claims", `{"id_token":{"openbanking_intent_id":{"essential":true,"value":`+JSON(id)+`}}}`)
}
