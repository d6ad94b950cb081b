package bank

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
)

// order makes a consent to a payment: its request and its answer are signed (Open Finance Brasil, payments API).
func (s shape) order(b *Bank, r *http.Request, known access) (reply, error) {
	return b.once(r, known, func(content map[string]any) (map[string]any, error) { return s.keep(b, content, known) })
}

// pay makes a payment that was consented to.
func (b *Bank) pay(r *http.Request, known access) (reply, error) {
	return b.once(r, known, func(content map[string]any) (map[string]any, error) {
		list, ok := content["data"].([]any)
		if !ok || len(list) == 0 {
			return nil, refuse(http.StatusUnprocessableEntity, "PARAMETRO_NAO_INFORMADO", "data is missing")
		}
		now := timestamp(b.now())
		for i, each := range list {
			payment, ok := each.(map[string]any)
			if !ok {
				return nil, refuse(http.StatusUnprocessableEntity, "PARAMETRO_INVALIDO", "data[%d] is no object", i)
			}
			payment["paymentId"], payment["consentId"], payment["status"] = newUUID(), known.consentID(), "RCVD"
			payment["creationDateTime"], payment["statusUpdateDateTime"] = now, now
		}
		return map[string]any{"data": list, "links": map[string]string{"self": b.base + payments}, "meta": map[string]string{"requestDateTime": now}}, nil
	})
}

// once verifies a signed request, and answers it with what act makes, signed for the organisation that sent it. What comes again
// under its idempotency key has the answer that it had.
func (b *Bank) once(r *http.Request, known access, act func(map[string]any) (map[string]any, error)) (reply, error) {
	content, signed, err := b.read(r, known, b.base+r.URL.Path)
	if err == nil && !signed {
		err = refuse(http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE", "the request is signed: application/jwt")
	}
	if err != nil {
		return reply{}, err
	}
	organisation, _ := content["iss"].(string) // it was verified
	key := known.ClientID + " " + r.URL.Path + " " + r.Header.Get("x-idempotency-key")
	b.mu.Lock()
	before, again := b.answers[key]
	b.mu.Unlock()
	encoded, err := json.Marshal(content["data"])
	if err != nil {
		return reply{}, err
	}
	sum := sha256.Sum256(encoded)
	digest := base64.RawURLEncoding.EncodeToString(sum[:])
	if again && before.digest != digest {
		return reply{}, refuse(http.StatusUnprocessableEntity, "ERRO_IDEMPOTENCIA", "the idempotency key was used for another request")
	}
	if !again {
		body, err := act(content)
		if err != nil {
			return reply{}, err
		}
		before = answer{digest: digest, body: body}
		b.mu.Lock()
		b.answers[key] = before
		b.mu.Unlock()
	}
	said, err := b.sign(r, before.body, organisation)
	return reply{http.StatusCreated, said}, err
}
