package directories

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"countersign/internal/outbound"
)

// TokenSettings say where the access token for the lists is had: by client_credentials (RFC 6749 §4.4), authenticated by the
// certificate that is shown to the directory (tls_client_auth, RFC 8705 §2.1).
type TokenSettings struct {
	// Address is the directory's token endpoint; empty gets no token.
	Address string
	// ClientID is what the directory calls this server, and Scope what is asked for; empty asks for none.
	ClientID, Scope string
}

// check reports what is wrong with the settings.
func (s TokenSettings) check(policy outbound.Policy, add func(key, format string, arguments ...any)) {
	if s.Address == "" {
		return
	}
	if err := policy.CheckAddress(s.Address); err != nil {
		add("token_address", "%v", err)
	}
	if s.ClientID == "" {
		add("token_client_id", "is needed with token_address")
	}
	if policy.Certificate == nil {
		add("certificate_file", "is needed with token_address: the token is had with it")
	}
}

const (
	// tokenEnds is how long before its end a token is used no more: requests under way, and clocks that differ.
	tokenEnds = 30 * time.Second
	// maxToken bounds a token, in bytes.
	maxToken = 16 << 10
)

// errToken says that the directory answered without a token. Its text repeats nothing of the answer.
var errToken = errors.New("the token endpoint's answer has no bearer token")

// bearer keeps an access token until it ends.
type bearer struct {
	settings TokenSettings
	client   *outbound.Client
	now      func() time.Time

	mutex sync.Mutex
	token string
	ends  time.Time
}

// get returns the header Authorization, with the token that is known or a new one.
func (b *bearer) get(ctx context.Context) (string, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.token != "" && b.now().Before(b.ends) {
		return "Bearer " + b.token, nil
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {b.settings.ClientID}}
	if b.settings.Scope != "" {
		form.Set("scope", b.settings.Scope)
	}
	at := b.now()
	document, err := b.client.Ask(ctx, b.settings.Address, http.Header{
		"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"},
	}, []byte(form.Encode()))
	if err != nil {
		return "", fmt.Errorf("token_address: %w", err)
	}
	var answer struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int64  `json:"expires_in"`
	}
	if json.Unmarshal(document.Body, &answer) != nil || !usable(answer.AccessToken) || !strings.EqualFold(answer.TokenType, "bearer") {
		return "", fmt.Errorf("token_address: %w", errToken)
	}
	// Without expires_in nobody knows: the next list gets another one. A day is as long as any is used.
	b.token, b.ends = answer.AccessToken, at.Add(time.Duration(min(max(answer.ExpiresIn, 0), 24*60*60))*time.Second-tokenEnds)
	return "Bearer " + b.token, nil
}

// forget has the next request get another token: the lists were not given out for the one that is known.
func (b *bearer) forget() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.token = ""
}

// usable reports whether a token can be sent (RFC 6750 §2.1).
func usable(token string) bool {
	return token != "" && len(token) <= maxToken &&
		strings.Trim(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=") == ""
}
