package tokens_test

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
	"countersign/internal/audit"
	"countersign/signer"
	"countersign/store"
)

// Covers: ATTACK-28, SP-45. Every JWT that the server makes or takes, at every place that takes one: each is good where it
// belongs, and nowhere else.
func TestAttack28EveryKindEverywhere(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t, fapitest.AllProfiles, fapitest.WithBackchannel(), fapitest.WithAuditChain)
	c := w.Register("client-1", fapitest.All(fapitest.AllScopes, fapitest.SignedUserInfo, fapitest.OptionalSigning, alsoCIBA))
	c.ProofKey = c.Key // so that no signature is a stranger's
	issued, self := c.Tokens(), w.ResourceServer("self", w.Issuer)
	token, signedAnswer := issued.Text("access_token"), fapitest.SetHeader("Accept", "application/token-introspection+jwt")
	kinds := map[string]func() string{
		"access token":         func() string { return token },
		"ID token":             func() string { return issued.Text("id_token") },
		"UserInfo":             func() string { return c.Get("/userinfo", token, nil).Raw },
		"assertion":            func() string { return c.ClientAssertion(nil) },
		"proof for PAR":        func() string { return c.Proof("POST", w.Issuer+"/par", token, nil) },
		"proof for a resource": func() string { return c.Proof("GET", w.Issuer+"/accounts", token, nil) },
		"request object": func() string {
			// With all that a backchannel request needs, too.
			return c.Sign(c.Key, "oauth-authz-req+jwt", c.RequestObjectClaims(c.AuthorizationForm(), func(body fapitest.Claims) {
				body["jti"], body["iat"], body["login_hint"] = fapitest.RandomString(), c.World.Clock.Now().Unix(), "alice"
			}))
		},
		"signed response":      func() string { return c.SignedResponse(t, "jwt").Get("response") },
		"signed introspection": func() string { return self.Introspect(token, signedAnswer).Raw },
		"backchannel request":  func() string { return c.Sign(c.Key, "", c.BackchannelClaims(c.BackchannelForm(), nil)) },
		"checkpoint":           func() string { return checkpoint(t, w) },
	}
	places := jwtConsumers(c, self, token)
	for kind, made := range fapitest.Sorted(kinds) {
		for place, one := range fapitest.Sorted(places) {
			if kind == "access token" && place == "as a token to revoke" {
				continue // it would end the test; see TestRV02WhatEnds
			}
			title := "refuses the " + kind + " " + place
			if one.kind == kind {
				title = "accepts the " + kind + " " + place
			}
			t.Run(title, func(t *testing.T) {
				if took := one.send(t, made()); took != (one.kind == kind) {
					t.Errorf("taken: %v", took)
				}
			})
		}
	}
}

// Covers: ATTACK-28, SP-45, RULE-06. The worst case: the client is called like the issuer and has registered the issuer's
// own key, and the claims are those of every kind at once. Only typ, and for proofs the key in the header, tells them apart.
func TestAttack28OnlyTheTypeDiffers(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t, fapitest.AllProfiles, fapitest.WithBackchannel(), fapitest.WithAuditChain)
	records := fapitest.SharedKeys(t)
	record := records[slices.IndexFunc(records, func(r signer.Record) bool { return r.Algorithm == signer.PS256 })]
	public, err := signer.PublicJWK(record)
	if err != nil {
		t.Fatal(err)
	}
	c := w.Register(w.Issuer, fapitest.All(fapitest.AllScopes, fapitest.OptionalSigning, alsoCIBA, func(c *fapitest.Client, m map[string]any) { m["jwks"] = fapitest.KeySet(c.Key.PublicJWK(), public) }))
	token := c.Tokens().Text("access_token")
	sign := func(typ string, embedded bool, adapt func(fapitest.Claims)) string {
		header, body := map[string]any{"alg": "PS256", "kid": record.ID}, fapitest.UnverifiedClaims(t, token)
		if typ != "" {
			header["typ"] = typ
		}
		if embedded {
			header["jwk"] = json.RawMessage(public)
			delete(header, "kid")
		}
		body["sub"] = c.ID
		if adapt != nil {
			adapt(body)
		}
		return fapitest.HandSigned(t, header, body, func(input []byte) []byte {
			signature, err := w.Backend.Sign(t.Context(), record, input)
			if err != nil {
				t.Fatal(err)
			}
			return signature
		})
	}
	typs := []string{
		"", "JWT", "jwt", "application/jwt", "at+jwt", "AT+JWT", "application/at+jwt", "dpop+jwt", "DPoP+JWT", "application/dpop+jwt", "client-authentication+jwt", "userinfo+jwt",
		"oauth-authz-req+jwt", "oauth-authz-resp+jwt", "token-introspection+jwt", audit.CheckpointType, "logout+jwt", "secevent+jwt", "at+jwt ", "at", "JOSE", "JWT+at",
	}
	for place, one := range fapitest.Sorted(jwtConsumers(c, w.ResourceServer("self", w.Issuer), token)) {
		for _, typ := range typs {
			if place == "as a token to revoke" && slices.Contains([]string{"at+jwt", "AT+JWT", "application/at+jwt"}, typ) {
				continue // it is the token that is to be valid
			}
			for _, embedded := range []bool{false, true} {
				fits := embedded == strings.HasPrefix(one.kind, "proof") && slices.ContainsFunc(one.typs, func(known string) bool {
					return strings.EqualFold(known, typ) || known != "" && strings.EqualFold("application/"+known, typ)
				})
				title, with := "refuses", ""
				if fits {
					title = "accepts"
				}
				if embedded {
					with = " and a key"
				}
				t.Run(title+" typ "+url.QueryEscape(typ)+with+" "+place, func(t *testing.T) {
					if took := one.send(t, sign(typ, embedded, one.adapt)); took != fits {
						t.Errorf("taken: %v", took)
					}
				})
			}
		}
	}
}

// checkpoint seals the audit log and gives what was signed.
func checkpoint(t *testing.T, w *fapitest.World) string {
	t.Helper()
	if err := w.Store.Record(t.Context(), store.Evidence{At: w.Clock.Now(), Body: json.RawMessage(`{"kind":"event","detail":{"event":"test"}}`)}); err != nil {
		t.Fatal(err)
	}
	if err := w.Sealer(t).Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	heads, err := w.Store.AuditHeads(t.Context())
	if err != nil || len(heads) != 1 {
		t.Fatal(heads, err)
	}
	entry, err := audit.ParseEntry([]byte(heads[0].Text))
	if err != nil {
		t.Fatal(err)
	}
	return entry.Checkpoint
}
