package fapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/internal/jose"
	"countersign/signer"
)

// Agree implements signer.Decrypter.
func (b *switchableBackend) Agree(ctx context.Context, key signer.Record, peer []byte) ([]byte, error) {
	return b.Backend.(signer.Decrypter).Agree(ctx, key, peer)
}

// Unwrap implements signer.Decrypter.
func (b *switchableBackend) Unwrap(ctx context.Context, key signer.Record, wrapped []byte) ([]byte, error) {
	return b.Backend.(signer.Decrypter).Unwrap(ctx, key, wrapped)
}

// probeMessageEncryption shows that signed responses, or what introspection answers, can be had encrypted.
func probeMessageEncryption(answer, part string) prober {
	return func(t *testing.T, w probedWorld, value string) {
		wanted := map[string]string{"alg": jose.ECDHES, "enc": jose.A256GCM}
		wanted[part] = value
		key := newReader(t, wanted["alg"])
		encrypted := func(c *client, m map[string]any) {
			m["jwks"] = keySet(c.key.PublicJWK(), key.public)
			m[answer+"_encrypted_response_alg"], m[answer+"_encrypted_response_enc"] = wanted["alg"], wanted["enc"]
		}
		var token, member string
		if answer == "authorization" {
			token, member = w.register("client-"+random(), all(signingAtWill, encrypted)).answered(t, "jwt").Get("response"), "code"
		} else {
			access := w.register("client-"+random(), nil).tokens().text("access_token")
			self := w.resourceServer("self-"+random(), w.issuer)
			metadata := map[string]any{}
			encrypted(self, metadata)
			for name, value := range metadata {
				w.change(self, name, value)
			}
			token, member = self.introspect(access, setHeader("Accept", "application/token-introspection+jwt")).raw, "token_introspection"
		}
		header, _, _ := strings.Cut(token, ".")
		if raw, err := decode64(header); err != nil || !strings.Contains(string(raw), fmt.Sprintf("%q:%q", part, value)) {
			t.Errorf("the header is %s, %v", raw, err)
		}
		if _, body := w.decode(key.open(t, token)); body[member] == nil {
			t.Errorf("decrypted to %v", body)
		}
	}
}

// Covers: F1-10, F1-11, RULE-22, ATTACK-26. Request objects that are encrypted to the server's key in the HSM, pushed and in the
// browser; and every other ciphertext has one answer.
func TestEncryptedRequestObjects(t *testing.T) {
	w := newWorld(t, offering)
	record, err := sharedBackend(t).(interface {
		Generate(context.Context, signer.Algorithm) (signer.Record, error)
	}).Generate(t.Context(), signer.ECDHES)
	if err != nil {
		t.Fatal(err)
	}
	record.State, record.Uses = signer.Active, []signer.Use{signer.UseRequestObject}
	addKey(t, w.store, record)
	w.clock.Advance(11 * time.Second) // longer than the signer goes on with keys that it knows
	_, document, _ := w.browser().visit(w.issuer + "/jwks")
	published, err := jose.ParseKeySet([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	encrypt := func(keys jose.KeySet, plaintext, alg string) string {
		sealed, err := keys.Encrypt([]byte(plaintext), alg, jose.A256GCM, "JWT")
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	c := w.register("client-1", advanced)
	hybrid := claim("response_type", "code id_token")
	encrypting := func(change func(signed string) string) change {
		return func(form url.Values, header http.Header) {
			c.signing(hybrid)(form, header)
			form.Set("request", change(form.Get("request")))
		}
	}
	stranger := newReader(t, jose.ECDHES)
	strangers, err := jose.ParseKeySet([]byte(`{"keys":[` + string(stranger.public) + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	spoilt := func(signed string) string {
		parts := strings.Split(encrypt(published, signed, jose.ECDHES), ".")
		parts[3] = strings.Repeat("A", len(parts[3])-len(parts[3])%4)
		return strings.Join(parts, ".")
	}
	tryAll(t, c.push,
		good("encrypted to the server", encrypting(func(signed string) string { return encrypt(published, signed, jose.ECDHES) })),
		bad("encrypted to another key", encrypting(func(signed string) string { return encrypt(strangers, signed, jose.ECDHES) }), 400, "invalid_request_object"),
		bad("spoilt", encrypting(spoilt), 400, "invalid_request_object"),
		bad("encrypted and not signed", encrypting(func(string) string {
			body, err := json.Marshal(c.requestObject(c.request(), hybrid))
			if err != nil {
				t.Fatal(err)
			}
			return encrypt(published, string(body), jose.ECDHES)
		}), 400, "invalid_request_object"),
		bad("encrypted twice", encrypting(func(signed string) string {
			return encrypt(published, encrypt(published, signed, jose.ECDHES), jose.ECDHES)
		}), 400, "invalid_request_object"),
	)
	t.Run("accepts one in the browser", func(t *testing.T) {
		address, err := url.Parse(c.byValue(hybrid))
		if err != nil {
			t.Fatal(err)
		}
		query := address.Query()
		query.Set("request", encrypt(published, query.Get("request"), jose.ECDHES))
		_, _, sentTo := w.browser().visit(w.issuer + "/authorize?" + query.Encode())
		if q := fragment(t, sentTo); q.Get("code") == "" {
			t.Errorf("answered %v", q)
		}
	})
	t.Run("accepts an encrypted ID token beside the code", func(t *testing.T) {
		key := newReader(t, jose.ECDHES)
		sealed := w.register("client-2", all(advanced, func(c *client, m map[string]any) {
			m["jwks"], m["id_token_encrypted_response_alg"] = keySet(c.key.PublicJWK(), key.public), jose.ECDHES
		}))
		_, _, sentTo := w.browser().visit(sealed.byValue(hybrid))
		q := fragment(t, sentTo)
		if front := w.verified(t, key.open(t, q.Get("id_token")), "JWT"); front["c_hash"] != half(q.Get("code")) {
			t.Errorf("says %v", front)
		}
	})
}
