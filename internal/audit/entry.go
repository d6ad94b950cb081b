package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"countersign/internal/jose"
	"countersign/internal/strictjson"
)

// Kind is what an entry is evidence of.
type Kind string

// The kinds.
const (
	RequestObject         Kind = "request_object"         // RFC 9101
	BackchannelRequest    Kind = "backchannel_request"    // OpenID Connect CIBA Core §7.1.1
	AuthorizationResponse Kind = "authorization_response" // JARM
	LogoutToken           Kind = "logout_token"           // OpenID Connect Back-Channel Logout 1.0
	ConsentNotice         Kind = "consent_notice"         // RFC 8417
	IDToken               Kind = "id_token"               // beside a code (FAPI 1.0 Advanced §5.2.2)
	Introspection         Kind = "introspection"          // RFC 9701
	UserInfo              Kind = "userinfo"               // OpenID Connect Core §5.3.2
	HTTPRequest           Kind = "http_request"           // RFC 9421, to a resource
	HTTPResponse          Kind = "http_response"          // RFC 9421, from a resource
	ConsentRequest        Kind = "consent_request"        // a signed request at a consent API
	ConsentResponse       Kind = "consent_response"       // a signed answer of one
	// SecurityEvent is an action without a message.
	SecurityEvent Kind = "event"
	// Dropped reports that entries were exported and taken out of the log: its detail names node and through.
	Dropped Kind = "dropped"
	// CheckpointKind is an entry that seals those before it.
	CheckpointKind Kind = "checkpoint"
)

// holdsDetail reports whether entries of a kind hold a detail; the others hold a message, or a checkpoint.
func (k Kind) holdsDetail() bool { return k == SecurityEvent || k == Dropped }

// Event is what a caller records of a message or of an action.
type Event struct {
	Kind     Kind   `json:"kind"`
	ClientID string `json:"client_id,omitempty"`
	// CorrelationID is that of the request's line in the log.
	CorrelationID string `json:"correlation_id,omitempty"`
	// Key is the RFC 7638 thumbprint of the key that verified the message, or signed it, and JWK is that key: it may be in no
	// key set any more when the message is looked at.
	Key     string          `json:"key,omitempty"`
	JWK     json.RawMessage `json:"jwk,omitempty"`
	Message Message         `json:"message,omitzero"`
	// Subject is the user whom Message is about, where that is known. Reference names it ([ReferenceOf]), so that events of a user can
	// say, in their detail as "message", that it was that user's.
	Subject   string `json:"subject,omitempty"`
	Reference string `json:"reference,omitempty"`
	// Consent is the consent that Message is about: whose it is, the events about the consent say.
	Consent string `json:"consent,omitempty"`
	// Detail is what a SecurityEvent or Dropped says. No secret belongs there. Of a SecurityEvent the members subject and address
	// are kept beside the chain, so that they can be erased.
	Detail map[string]string `json:"detail,omitempty"`
}

// Entry is one line of the log.
type Entry struct {
	Node string `json:"node"`
	// Sequence counts the entries of a node from 1, without gaps.
	Sequence uint64 `json:"sequence"`
	// Previous is the [Hash] of the node's line before this one; empty in the first.
	Previous      string          `json:"previous"`
	At            time.Time       `json:"at"`
	Kind          Kind            `json:"kind"`
	ClientID      string          `json:"client_id,omitempty"`
	CorrelationID string          `json:"correlation_id,omitempty"`
	Key           string          `json:"key,omitempty"`
	JWK           json.RawMessage `json:"jwk,omitempty"`
	// Message is verbatim in entries of older releases. Of others the chain has only that it is apart: it is in the personal part, and is
	// nil when that is not there, or was erased.
	Message   *Message          `json:"message,omitempty"`
	Reference string            `json:"reference,omitempty"`
	Detail    map[string]string `json:"detail,omitempty"`
	// Checkpoint is a compact JWS over a [Checkpoint].
	Checkpoint string `json:"checkpoint,omitempty"`
	// PersonalDigest is the SHA-256, in base64url, of what the entry has about a person; empty when it has nothing.
	PersonalDigest string `json:"personal_sha-256,omitempty"`
	// Personal is that, where the entry is shown with it and it was not erased. It is not in the chain; see [Join].
	Personal json.RawMessage `json:"personal,omitempty"`
}

// Hash is what the next entry says of a line: its SHA-256 in base64url. The line has no line break at its end, and no personal part.
func Hash(line []byte) string { return digest(line) }

// maxLine bounds a line. A message has at most [jose.MaxTokenSize] bytes, and withheld JSON may be longer than its base64url.
const maxLine = 4 * jose.MaxTokenSize

// ParseEntry reads a line strictly: JSON members may not repeat (they would be read one way by us and another way by
// others). Errors wrap [ErrEntry].
func ParseEntry(line []byte) (Entry, error) {
	if len(line) > maxLine {
		return Entry{}, fmt.Errorf("%w: it is longer than %d bytes", ErrEntry, maxLine)
	}
	var entry Entry
	if err := strictjson.Decode(line, &entry); err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ErrEntry, err)
	}
	if err := entry.holds(); err != nil {
		return Entry{}, err
	}
	return entry, entry.fetch()
}

// fetch takes the message out of the personal part, where it is apart.
func (e *Entry) fetch() error {
	if e.Message == nil || !e.Message.Apart || e.Personal == nil {
		return nil
	}
	about, err := e.about()
	if err != nil || about.Message == nil || about.Message.Apart || !about.Message.single() {
		return fmt.Errorf("%w: its message is apart, and not there where it should be", ErrEntry)
	}
	e.Message = about.Message
	return nil
}

// holds checks that an entry holds what its kind says.
func (e Entry) holds() error {
	hasMessage, hasCheckpoint, hasDetail := e.Message != nil, e.Checkpoint != "", len(e.Detail) > 0
	switch {
	case e.Node == "" || e.Sequence == 0:
		return fmt.Errorf("%w: it needs a node and a sequence from 1", ErrEntry)
	case hasCheckpoint != (e.Kind == CheckpointKind), hasDetail != e.Kind.holdsDetail(), hasMessage == (hasCheckpoint || hasDetail):
		return fmt.Errorf("%w: it needs a message, or a checkpoint or a detail if that is its kind", ErrEntry)
	case hasMessage && !e.Message.single():
		return fmt.Errorf("%w: its message is one of: apart, verbatim, with secrets withheld, of HTTP", ErrEntry)
	}
	return nil
}

// readable checks that the line that was made of an entry is one that [ParseEntry] reads. One whose members are texts alone, as almost
// every event is, needs no second look: encoding/json repeats no member and writes UTF-8, and U+0000 as an escape.
func (e Entry) readable(line []byte) error {
	if e.Message == nil && e.JWK == nil && len(line) <= maxLine && !bytes.Contains(line, []byte(`\u0000`)) {
		return e.holds()
	}
	_, err := ParseEntry(line)
	return err
}

// encode writes JSON without the escapes that only HTML needs.
func encode(value any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("audit: write an entry: %w", err)
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n")), nil
}
