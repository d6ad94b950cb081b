package shape

import (
	"fmt"
	"maps"
	"strings"
	"time"
)

// Kind is what is wrong with a call.
type Kind string

// The kinds.
const (
	// BadToken is an access token that is missing, expired, of somebody else or not for this.
	BadToken Kind = "token"
	// Forbidden is a token without the scope, or a client of another ecosystem.
	Forbidden Kind = "forbidden"
	// NotFound is a consent that is not there, Foreign one of another client, and Ended one that has ended already.
	NotFound Kind = "not_found"
	Foreign  Kind = "foreign"
	Ended    Kind = "ended"
	// Format is a body that cannot be read, MediaType one of another type, NotAcceptable an answer that is not wanted.
	Format        Kind = "format"
	MediaType     Kind = "media_type"
	NotAcceptable Kind = "not_acceptable"
	// Missing, Invalid and Unexpected are about a member; BadDate is about one that is a date.
	Missing    Kind = "missing"
	Invalid    Kind = "invalid"
	Unexpected Kind = "unexpected"
	BadDate    Kind = "date"
	// HeaderMissing and HeaderInvalid are about a header.
	HeaderMissing Kind = "header_missing"
	HeaderInvalid Kind = "header_invalid"
	// Combination is about permissions that do not go together, Mixed about those of two kinds, NoFirm about those of a firm that is
	// not named, NotFirm about those of a person where a firm is, and NoneLeft about permissions none of which is supported.
	Combination Kind = "combination"
	Mixed       Kind = "mixed"
	NoFirm      Kind = "no_firm"
	NotFirm     Kind = "not_firm"
	NoneLeft    Kind = "none_left"
	// Signature, Malformed and Claim are about a signed request; Replayed is one that was used before, Unsigned one whose signature is
	// not in its header.
	Unsigned  Kind = "unsigned"
	Signature Kind = "signature"
	Malformed Kind = "malformed"
	Claim     Kind = "claim"
	Replayed  Kind = "replayed"
	// Idempotency is a key that was used for something else.
	Idempotency Kind = "idempotency"
	// TooMany asks too often, or has too much that awaits a decision; Unavailable cannot be answered now, and Internal never can.
	TooMany     Kind = "too_many"
	Unavailable Kind = "unavailable"
	Internal    Kind = "internal"
)

// Kinds returns all kinds.
func Kinds() []Kind {
	return []Kind{
		BadToken, Forbidden, NotFound, Foreign, Ended, Format, MediaType, NotAcceptable, Missing, Invalid, Unexpected, BadDate, HeaderMissing,
		HeaderInvalid, Combination, Mixed, NoFirm, NotFirm, NoneLeft, Unsigned, Signature, Malformed, Claim, Replayed, Idempotency, TooMany, Unavailable, Internal,
	}
}

// mayHave reports whether calls of the API can have a problem.
func (s *Shape) mayHave(kind Kind) bool {
	switch kind {
	case Mixed, NoFirm, NotFirm, Combination:
		return false // only by a rule, which needs it
	case NoneLeft:
		return len(s.Supported) > 0
	case Signature, Malformed, Claim:
		return s.Signs()
	case Unsigned:
		return s.Detached()
	case Replayed:
		return s.Signs() && !s.Detached()
	case Idempotency:
		return s.IdempotencyRequired || s.IdempotencyAllowed
	case Foreign, NotFound, Internal, Unavailable, TooMany:
		return true
	case Ended:
		return s.Serves(Delete) || s.Serves(Patch)
	}
	return s.Serves(Create)
}

// Errors are how problems are written.
type Errors struct {
	// Body are the members of an error: see [Shape.Refusal].
	Body map[string]string `toml:"body"`
	// Problems are the texts of each.
	Problems map[Kind]Text `toml:"problems"`
}

// Text is how a problem is written. In Detail {path} is the member or the header, and {text} what is wrong in English.
type Text struct {
	Status int    `toml:"status"`
	Code   string `toml:"code"`
	Title  string `toml:"title"`
	Detail string `toml:"detail"`
	// Bare sends no body.
	Bare bool `toml:"bare"`
}

// Problem is why a call is refused.
type Problem struct {
	Kind Kind
	// Path is the member or the header that it is about, or empty.
	Path string
	// Text says in English what is wrong, for the client's developer.
	Text string
	// RetryAfter is when trying again may help.
	RetryAfter time.Duration
	// Challenge is the WWW-Authenticate header, or empty.
	Challenge string

	cause error
}

// Problemf makes a problem; its text is formatted.
func Problemf(kind Kind, path, format string, arguments ...any) *Problem {
	return &Problem{Kind: kind, Path: path, Text: fmt.Sprintf(format, arguments...)}
}

// Because returns a copy with a cause, which is logged and never sent.
func (p *Problem) Because(cause error) *Problem {
	with := *p
	with.cause = cause
	return &with
}

// Error implements error; the text is for the log.
func (p *Problem) Error() string {
	text := string(p.Kind) + ": " + p.Path + ": " + p.Text
	if p.cause != nil {
		text += ": " + p.cause.Error()
	}
	return text
}

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.cause }

// maxText bounds a text of an error, in bytes; UK and KSA allow 500 characters, Brazil 2048.
const maxText = 500

// Refusal returns the status and the body of a problem; a nil body is none. The sources of its members are code, title, detail, path,
// text, status, now (RFC 3339), id (of the request), and constants as in [Shape.Render].
func (s *Shape) Refusal(p *Problem, now time.Time, id string) (status int, body map[string]any) {
	text, known := s.Errors.Problems[p.Kind]
	if !known {
		text = s.Errors.Problems[Internal]
	}
	if text.Bare {
		return text.Status, nil
	}
	detail := text.Detail
	if detail == "" {
		detail = "{text}"
	}
	detail = strings.NewReplacer("{path}", p.Path, "{text}", p.Text).Replace(detail)
	values := map[string]any{
		"code": text.Code, "title": text.Title, "detail": cut(detail), "text": cut(p.Text), "now": stamp(now), "id": id,
		"status": fmt.Sprintf("%d %s", text.Status, text.Title),
	}
	if p.Path != "" {
		values["path"] = cut(p.Path)
	}
	return text.Status, build(maps.All(s.Errors.Body), func(_, source string) (any, bool) {
		value, ok := values[source]
		return value, ok && value != ""
	})
}

// cut shortens a text, at a character.
func cut(text string) string {
	text = strings.ToValidUTF8(text, "")
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText-3], "") + "..."
}
