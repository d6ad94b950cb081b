package flowclient

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxAnswer bounds what is read of an answer, in bytes.
const MaxAnswer = 1 << 20

// Reply is an answer, read to its end.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
}

// Members are the members of a JSON object; nil for anything else.
func (r Reply) Members() map[string]any {
	var members map[string]any
	if json.Unmarshal(r.Body, &members) != nil {
		return nil // pages are not JSON
	}
	return members
}

// Text is one member that is a string, or "".
func (r Reply) Text(name string) string {
	text, _ := r.Members()[name].(string)
	return text
}

// Decode reads the answer as JSON.
func (r Reply) Decode(into any) error {
	if err := json.Unmarshal(r.Body, into); err != nil {
		return fmt.Errorf("the answer is not the JSON that was expected: %w", err)
	}
	return nil
}

// Expect returns nil for a status, and a [*RefusedError] for all others.
func (r Reply) Expect(status int) error {
	if r.Status == status {
		return nil
	}
	return &RefusedError{Want: status, Reply: r}
}

// Tokens reads a token response (RFC 6749 §5.1).
func (r Reply) Tokens() (Tokens, error) {
	if err := r.Expect(http.StatusOK); err != nil {
		return Tokens{}, err
	}
	var issued Tokens
	return issued, r.Decode(&issued)
}

// Tokens is a token response.
type Tokens struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	RefreshToken string `json:"refresh_token"`
	IDToken      string `json:"id_token"`
	Scope        string `json:"scope"`
	// ExpiresIn is in seconds.
	ExpiresIn int `json:"expires_in"`
}

// OAuthError is an error as a server tells it (RFC 6749 §5.2).
type OAuthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
	// CorrelationID finds the request in the server's log.
	CorrelationID string `json:"correlation_id"`
}

// String tells the error after a status: what is wrong, and what finds it in the server's log.
func (e OAuthError) String() string {
	told := ""
	if e.Code != "" {
		told = " " + Printable(e.Code) + ": " + Printable(e.Description)
	}
	if e.CorrelationID != "" {
		told += " (correlation id " + Printable(e.CorrelationID) + ")"
	}
	return told
}

// OAuthError reads the error of an answer; its code is "" if there is none.
func (r Reply) OAuthError() OAuthError {
	var refused OAuthError
	if err := json.Unmarshal(r.Body, &refused); err != nil {
		refused = OAuthError{}
	}
	if refused.CorrelationID == "" {
		refused.CorrelationID = r.Header.Get("X-Correlation-Id")
	}
	return refused
}

// WantsNonce reports whether the proof was refused because a nonce is missing in it (RFC 9449 §8, §9).
func (r Reply) WantsNonce() bool {
	const code = "use_dpop_nonce"
	if r.Header.Get("DPoP-Nonce") == "" || r.Status != http.StatusBadRequest && r.Status != http.StatusUnauthorized {
		return false
	}
	return r.OAuthError().Code == code || strings.Contains(r.Header.Get("WWW-Authenticate"), `"`+code+`"`)
}

// RefusedError is an answer with another status than the one that was expected.
type RefusedError struct {
	// Want is the status that was expected.
	Want  int
	Reply Reply
}

// Error implements error. Its text holds nothing that a terminal could obey.
func (e *RefusedError) Error() string {
	told := e.Reply.OAuthError()
	text := fmt.Sprintf("expected status %d; the server answered %d%s", e.Want, e.Reply.Status, told)
	if told.Code == "" && e.Reply.Status >= 400 { // what is no refusal may hold tokens
		body := e.Reply.Body
		text += fmt.Sprintf(": %q", Printable(string(body[:min(len(body), 200)])))
	}
	return text
}

// Printable replaces what is not to be printed: control characters, which a terminal obeys, and marks that turn the
// direction of writing.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, text)
}
