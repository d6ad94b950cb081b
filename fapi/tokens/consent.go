package tokens

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"time"

	"countersign/fapi/client"
	"countersign/internal/audit"
	"countersign/internal/jose"
	"countersign/signer"
	"countersign/store"
)

// ConsentChanged is the member of events of a security event token about a consent (RFC 8417 §2.2).
const ConsentChanged = "urn:countersign:event:consent-changed"

// consentEventClaims are those of a security event token (RFC 8417 §2.2). There is no exp and no sub, so that it is taken for no
// other token (§4.5, §4.6).
type consentEventClaims struct {
	Issuer   string                  `json:"iss"`
	Audience string                  `json:"aud"`
	IssuedAt int64                   `json:"iat"`
	ID       string                  `json:"jti"`
	At       int64                   `json:"toe"`
	Events   map[string]consentEvent `json:"events"`
}

type consentEvent struct {
	ConsentID string `json:"consent_id"`
	ClientID  string `json:"client_id"`
	Kind      string `json:"kind"`
	Status    string `json:"status"`
	Version   int    `json:"version"`
	ChangedAt string `json:"changed_at"`
	GrantID   string `json:"grant_id,omitempty"`
	EndedBy   string `json:"ended_by,omitempty"`
	Reason    string `json:"reason,omitempty"`
}

// ConsentEvent signs a security event token (RFC 8417) for an audience: the status of a consent has changed. The same notice has the
// same jti each time. Its evidence has to be recorded before it is sent.
func (i *Issuer) ConsentEvent(ctx context.Context, audience string, n store.ConsentNotice) (string, store.Evidence, error) {
	id := sha256.Sum256([]byte("consent\x00" + i.ID + "\x00" + n.ConsentID + "\x00" + strconv.Itoa(n.Version)))
	return i.SignMessage(ctx, &client.Client{ID: n.ClientID}, Message{
		Use: signer.UseIDToken, Kind: audit.ConsentNotice, Algorithm: i.Algorithm, Consent: n.ConsentID,
		Sign: func(ctx context.Context, key jose.SigningKey) (string, error) {
			return jose.Sign(ctx, key, "secevent+jwt", consentEventClaims{
				Issuer: i.ID, Audience: audience, IssuedAt: i.Now().Unix(), ID: base64.RawURLEncoding.EncodeToString(id[:]), At: n.At.Unix(),
				Events: map[string]consentEvent{ConsentChanged: {
					ConsentID: n.ConsentID, ClientID: n.ClientID, Kind: n.Kind, Status: string(n.Status), Version: n.Version,
					ChangedAt: n.At.UTC().Format(time.RFC3339Nano), GrantID: n.GrantID, EndedBy: n.EndedBy, Reason: n.Reason,
				}},
			})
		},
	})
}
