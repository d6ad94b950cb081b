// Package answer reads what a provider's endpoints answer: errors, and tokens.
package answer

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"countersign/internal/strictjson"
	"countersign/rp/internal/exchange"
)

// maxText bounds a text of the provider's, in bytes.
const maxText = 512

// Printable is a text of the provider's without control characters, bounded.
func Printable(text string) string {
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, text)
}

// Refusal is an error answer (RFC 6749 §5.2, RFC 6750 §3). Its texts are printable.
type Refusal struct {
	Code, Description, URI, CorrelationID string
	RetryAfter                            time.Duration
}

// ReadRefusal reads one. What is no OAuth error has no code.
func ReadRefusal(reply exchange.Reply) Refusal {
	var told struct {
		Code          string `json:"error"`
		Description   string `json:"error_description"`
		URI           string `json:"error_uri"`
		CorrelationID string `json:"correlation_id"`
	}
	if strictjson.DecodeObject(reply.Body, &told) != nil {
		told.Code, told.Description, told.URI, told.CorrelationID = "", "", "", ""
	}
	for _, header := range []string{"X-Correlation-Id", "X-Fapi-Interaction-Id"} {
		if told.CorrelationID == "" {
			told.CorrelationID = reply.Header.Get(header)
		}
	}
	if told.Code == "" {
		told.Code, told.Description = challenge(reply.Header)
	}
	refusal := Refusal{Code: Printable(told.Code), Description: Printable(told.Description), URI: Printable(told.URI), CorrelationID: Printable(told.CorrelationID)}
	if seconds, err := strconv.Atoi(reply.Header.Get("Retry-After")); err == nil && seconds > 0 {
		refusal.RetryAfter = time.Duration(min(seconds, 3600)) * time.Second
	}
	return refusal
}

// challenge reads error and error_description of WWW-Authenticate (RFC 6750 §3, RFC 9449 §7.1), from the first challenge that has an error.
func challenge(header http.Header) (code, description string) {
	for _, field := range header.Values("WWW-Authenticate") {
		parameters := authParameters(field)
		if parameters["error"] != "" {
			return parameters["error"], parameters["error_description"]
		}
	}
	return "", ""
}

// maxChallenge bounds a field that is looked at, in bytes.
const maxChallenge = 8 << 10

// authParameters reads name="value" and name=value wherever they are in a field (RFC 9110 §11.2); the first of a name counts.
func authParameters(field string) map[string]string {
	found := map[string]string{}
	if len(field) > maxChallenge {
		return found
	}
	for field != "" {
		before, after, ok := strings.Cut(field, "=")
		if !ok {
			break
		}
		name := before
		if at := strings.LastIndexAny(before, " ,\t"); at >= 0 {
			name = before[at+1:]
		}
		var value string
		value, field = authValue(after)
		name = strings.ToLower(name)
		if _, known := found[name]; !known && name != "" {
			found[name] = value
		}
	}
	return found
}

// authValue reads a token or a quoted string (RFC 9110 §5.6.4), and gives what follows it.
func authValue(field string) (value, rest string) {
	if !strings.HasPrefix(field, `"`) {
		end := strings.IndexAny(field, " ,\t")
		if end < 0 {
			return field, ""
		}
		return field[:end], field[end:]
	}
	var text strings.Builder
	for i := 1; i < len(field); i++ {
		switch field[i] {
		case '"':
			return text.String(), field[i+1:]
		case '\\':
			if i++; i < len(field) {
				text.WriteByte(field[i])
			}
		default:
			text.WriteByte(field[i])
		}
	}
	return text.String(), ""
}

// Tokens is a token response (RFC 6749 §5.1) and what others add to it.
type Tokens struct {
	AccessToken     string          `json:"access_token"`
	TokenType       string          `json:"token_type"`
	RefreshToken    string          `json:"refresh_token"`
	IDToken         string          `json:"id_token"`
	Scope           string          `json:"scope"`
	ExpiresIn       json.RawMessage `json:"expires_in"`
	Details         json.RawMessage `json:"authorization_details"`
	GrantID         string          `json:"grant_id"`
	IssuedTokenType string          `json:"issued_token_type"`

	// Life is expires_in; 0 if it is missing.
	Life time.Duration `json:"-"`
	// Extra are the other members.
	Extra map[string]json.RawMessage `json:"-"`
}

// known are its members.
var known = [...]string{
	"access_token", "token_type", "refresh_token", "id_token", "scope", "expires_in", "authorization_details", "grant_id", "issued_token_type",
}

// Error is a member that is wrong.
type Error struct {
	Check, Reason string
}

// Error has both.
func (e *Error) Error() string { return e.Check + ": " + e.Reason }

// ReadTokens reads a token response with an access token of a type: Bearer or DPoP, in any case (RFC 6749 §5.1), or N_A for what was issued by a token
// exchange and is no access token (RFC 8693 §2.2.1). A proof that was stripped on the way, or not understood, leaves a token that anybody can use
// (RFC 9449 §5). Errors are an [*Error].
func ReadTokens(body []byte, tokenType string) (*Tokens, error) {
	var t Tokens
	if err := strictjson.DecodeObject(body, &t); err != nil {
		return nil, &Error{"malformed", err.Error()}
	}
	if err := strictjson.DecodeObject(body, &t.Extra); err != nil {
		return nil, &Error{"malformed", err.Error()}
	}
	for _, name := range known {
		delete(t.Extra, name)
	}
	if len(t.Extra) == 0 {
		t.Extra = nil
	}
	switch {
	case t.AccessToken == "":
		return nil, &Error{"access_token", "it is missing"}
	case strings.EqualFold(t.TokenType, tokenType):
		t.TokenType = tokenType
	case t.IssuedTokenType == "" || t.TokenType != "N_A":
		return nil, &Error{"token_type", fmt.Sprintf("it is %q and not %s: the token is not bound as it was asked for", Printable(t.TokenType), tokenType)}
	}
	t.Details = slices.Clone(t.Details)
	var err error
	t.Life, err = life(t.ExpiresIn)
	return &t, err
}

// maxLife bounds how long an access token is believed to last.
const maxLife = 10 * 365 * 24 * time.Hour

// life reads expires_in, seconds as a number or, as some write it, as a string; 0 if it is missing.
func life(raw json.RawMessage) (time.Duration, error) {
	text := strings.Trim(string(raw), `"`)
	if text == "" || text == "null" {
		return 0, nil
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || !(seconds >= 0) {
		return 0, &Error{"expires_in", "it is not a number of seconds"}
	}
	return max(bounded(seconds, maxLife), time.Second), nil
}

// Backchannel is the answer to a backchannel authentication request (CIBA Core §7.3).
type Backchannel struct {
	AuthReqID        string
	Expiry, Interval time.Duration
}

// Bounds of an answer, and the interval of one that does not say (CIBA Core §7.3).
const (
	MaxInterval     = 5 * time.Minute
	maxExpiry       = 30 * 24 * time.Hour
	defaultInterval = 5 * time.Second
)

// ReadBackchannel reads one. Errors are an [*Error].
func ReadBackchannel(body []byte) (Backchannel, error) {
	var told struct {
		AuthReqID string   `json:"auth_req_id"`
		ExpiresIn *float64 `json:"expires_in"`
		Interval  float64  `json:"interval"`
	}
	if err := strictjson.DecodeObject(body, &told); err != nil {
		return Backchannel{}, &Error{"malformed", err.Error()}
	}
	switch {
	case told.AuthReqID == "":
		return Backchannel{}, &Error{"auth_req_id", "it is missing (CIBA Core §7.3)"}
	case told.ExpiresIn == nil || *told.ExpiresIn <= 0:
		return Backchannel{}, &Error{"expires_in", "it is missing, or not positive (CIBA Core §7.3)"}
	case told.Interval < 0:
		return Backchannel{}, &Error{"interval", "it is negative (CIBA Core §7.3)"}
	}
	interval := bounded(told.Interval, MaxInterval)
	if interval == 0 {
		interval = defaultInterval
	}
	return Backchannel{told.AuthReqID, bounded(*told.ExpiresIn, maxExpiry), interval}, nil
}

// bounded is a number of seconds as a duration.
func bounded(seconds float64, most time.Duration) time.Duration {
	if seconds >= most.Seconds() {
		return most
	}
	return time.Duration(seconds * float64(time.Second))
}
