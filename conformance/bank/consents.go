package bank

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	"countersign/internal/jose"
)

// shape is how an ecosystem writes consents.
type shape struct {
	// data and id are the members that hold the content and the consent's identifier.
	data, id string
	prefix   string
	// status is the state of a new one.
	status string
	// risk adds the member Risk.
	risk bool
}

// maxBody bounds what is read of a request, in bytes.
const maxBody = 256 << 10

// create makes a consent out of what an application sends, in JSON or signed (KSA: the content is the member message).
func (s shape) create(b *Bank, r *http.Request, known access) (reply, error) {
	content, signed, err := b.read(r, known, b.opened().Server.Issuer)
	if err != nil {
		return reply{}, err
	}
	if signed {
		message, ok := content["message"].(map[string]any)
		if !ok {
			return reply{}, refuse(http.StatusBadRequest, "FIELD_MISSING", "message is missing")
		}
		content = message
	}
	body, err := s.keep(b, content, known)
	if err != nil {
		return reply{}, err
	}
	if !signed {
		return reply{http.StatusCreated, body}, nil
	}
	answer, err := b.sign(r, map[string]any{"message": body}, known.ClientID)
	return reply{http.StatusCreated, answer}, err
}

// keep gives a consent its identifier and keeps it.
func (s shape) keep(b *Bank, content map[string]any, known access) (map[string]any, error) {
	asked, ok := content[s.data].(map[string]any)
	if !ok {
		return nil, refuse(http.StatusBadRequest, "FIELD_MISSING", "%s is missing", s.data)
	}
	now := timestamp(b.now())
	data, id := maps.Clone(asked), s.prefix+newUUID()
	if s.risk {
		maps.Copy(data, map[string]any{"ConsentId": id, "Status": s.status, "CreationDateTime": now, "StatusUpdateDateTime": now})
	} else {
		maps.Copy(data, map[string]any{s.id: id, "status": s.status, "creationDateTime": now, "statusUpdateDateTime": now})
	}
	body := map[string]any{s.data: data, "links": map[string]string{"self": b.base + "/" + id}, "meta": map[string]string{"requestDateTime": now}}
	if s.risk {
		body = map[string]any{s.data: data, "Risk": map[string]any{}, "Links": map[string]string{"Self": b.base + "/" + id}, "Meta": map[string]any{}}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.consents[id] = consent{known.ClientID, body}
	return body, nil
}

func (s shape) read(b *Bank, r *http.Request, known access) (reply, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	found, ok := b.consents[r.PathValue("id")]
	if !ok || found.client != known.ClientID {
		return reply{}, refuse(http.StatusNotFound, "NOT_FOUND", "there is no such consent of this application")
	}
	return reply{http.StatusOK, found.body}, nil
}

func (s shape) revoke(b *Bank, r *http.Request, known access) (reply, error) {
	if _, err := s.read(b, r, known); err != nil {
		return reply{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.consents, r.PathValue("id"))
	return reply{status: http.StatusNoContent}, nil
}

// read reads what a request says, and reports whether it was signed, for an audience then.
func (b *Bank) read(r *http.Request, known access, audience string) (content map[string]any, signed bool, err error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil || len(body) > maxBody {
		return nil, false, refuse(http.StatusBadRequest, "INVALID_REQUEST", "the body cannot be read")
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case err != nil:
	case kind == "application/json":
		if err = json.Unmarshal(body, &content); err == nil {
			return content, false, nil
		}
	case kind == "application/jwt" || kind == "application/jose":
		if content, err = b.verify(strings.TrimSpace(string(body)), known, audience); err == nil {
			return content, true, nil
		}
	default:
		return nil, false, refuse(http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE", "%s is not read here", kind)
	}
	return nil, false, refuse(http.StatusBadRequest, "BAD_SIGNATURE", "%v", err)
}

// verify checks what a partner signed: by its keys, for an audience, and by its organisation or itself.
func (b *Bank) verify(raw string, known access, audience string) (map[string]any, error) {
	token, err := jose.Parse(raw, jose.ParseOptions{Algorithms: []string{jose.PS256}})
	if err != nil {
		return nil, err
	}
	var content map[string]any
	if err := token.Claims(&content); err != nil { // whose keys to verify with
		return nil, err
	}
	iss, _ := content["iss"].(string)
	sender, ok := b.partner(known.ClientID, iss)
	if !ok {
		return nil, fmt.Errorf("iss is %v, and no keys are known of that or of %s", content["iss"], known.ClientID)
	}
	if err := token.VerifyWith(sender.keys); err != nil {
		return nil, err
	}
	named, ok := content["aud"].([]any)
	if !ok {
		named = []any{content["aud"]}
	}
	if !slices.Contains(named, any(audience)) {
		return nil, fmt.Errorf("aud is %v, not %s", content["aud"], audience)
	}
	if iss != sender.organisation && iss != known.ClientID {
		return nil, fmt.Errorf("iss is %v", iss)
	}
	return content, nil
}

// partner finds whose keys a message is verified with: those of its client, or where that registered itself of its organisation.
func (b *Bank) partner(clientID, organisation string) (partner, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	found, ok := b.partners[clientID]
	if !ok && organisation != "" {
		for _, each := range b.partners {
			if each.organisation == organisation {
				return each, true
			}
		}
	}
	return found, ok
}

// sign makes an answer that is signed by the bank, for somebody.
func (b *Bank) sign(r *http.Request, body map[string]any, audience string) (string, error) {
	claims := maps.Clone(body)
	maps.Copy(claims, map[string]any{"iss": b.opened().Organisation, "aud": audience, "iat": b.now().Unix(), "jti": newUUID()})
	return jose.Sign(r.Context(), b.opened().Key.SigningKey(), "JWT", claims)
}
