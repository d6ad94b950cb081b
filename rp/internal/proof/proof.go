// Package proof makes DPoP proofs (RFC 9449 §4) and remembers the nonces that servers give.
package proof

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"countersign/internal/jose"
)

// Kind is whom a proof is for: one host may be both, with nonces of their own (RFC 9449 §8, §9).
type Kind int

// The kinds.
const (
	AuthorizationServer Kind = iota
	Resource
)

// Bounds of what is remembered: how many hosts, and a nonce in bytes.
const (
	maxHosts = 256
	maxNonce = 1024
)

// Maker makes the proofs of one key. It may be used by many at once.
type Maker struct {
	key    jose.SigningKey
	public crypto.PublicKey
	now    func() time.Time

	mu     sync.Mutex
	nonces map[where]string
}

type where struct {
	kind   Kind
	origin string
}

// New makes one.
func New(key jose.SigningKey, public crypto.PublicKey, now func() time.Time) *Maker {
	return &Maker{key: key, public: public, now: now, nonces: map[where]string{}}
}

// Make makes the proof of a request with the nonce that the host gave last. accessToken is empty at the authorization server's own
// endpoints. Errors are those of the key.
func (m *Maker) Make(ctx context.Context, kind Kind, method string, address *url.URL, accessToken string) (string, error) {
	target := *address
	target.RawQuery, target.ForceQuery, target.Fragment, target.RawFragment, target.User = "", false, "", "", nil
	claims := struct {
		ID      string `json:"jti"`
		Method  string `json:"htm"`
		Address string `json:"htu"`
		Issued  int64  `json:"iat"`
		Hash    string `json:"ath,omitempty"`
		Nonce   string `json:"nonce,omitempty"`
	}{ID: rand.Text(), Method: method, Address: target.String(), Issued: m.now().Unix(), Nonce: m.nonce(kind, address)}
	if accessToken != "" {
		digest := sha256.Sum256([]byte(accessToken))
		claims.Hash = base64.RawURLEncoding.EncodeToString(digest[:])
	}
	return jose.SignEmbedded(ctx, m.key, m.public, "dpop+jwt", claims)
}

// Keep remembers the nonce of an answer for the next proof to the same host (RFC 9449 §8.2).
func (m *Maker) Keep(kind Kind, address *url.URL, header http.Header) {
	nonce := header.Get("DPoP-Nonce")
	if nonce == "" || len(nonce) > maxNonce {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	at := where{kind, origin(address)}
	if _, known := m.nonces[at]; !known && len(m.nonces) >= maxHosts {
		for other := range m.nonces { // any one: its server gives another when it is asked
			delete(m.nonces, other)
			break
		}
	}
	m.nonces[at] = nonce
}

func (m *Maker) nonce(kind Kind, address *url.URL) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.nonces[where{kind, origin(address)}]
}

func origin(address *url.URL) string { return strings.ToLower(address.Scheme + "://" + address.Host) }

// Wanted reports whether an answer refuses a proof for want of a nonce, and gives one (RFC 9449 §8, §9). code is the error of its body, if
// that was read.
func Wanted(status int, header http.Header, code string) bool {
	const want = "use_dpop_nonce"
	if header.Get("DPoP-Nonce") == "" || status != http.StatusBadRequest && status != http.StatusUnauthorized {
		return false
	}
	if code == want {
		return true
	}
	for _, challenge := range header.Values("WWW-Authenticate") {
		if strings.Contains(challenge, `error="`+want+`"`) || strings.Contains(challenge, "error="+want) {
			return true
		}
	}
	return false
}
