package jose

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"countersign/internal/strictjson"
)

// ParseOptions say what the caller accepts.
type ParseOptions struct {
	// Algorithms are the acceptable values of alg. There is no default.
	Algorithms []string
	// AllowJWK accepts a public key in the header, as DPoP needs it (RFC 9449 §4.2). Such a key is used only by
	// [Token.VerifyEmbedded].
	AllowJWK bool
	// PKCS1 accepts [RS256] too, where Algorithms names it. Nothing of the server sets it.
	PKCS1 bool
	// Critical refuses a header with crit unless all that crit names is processed by the caller (RFC 7515 §4.1.11); nil refuses any.
	Critical func(header []byte) error
}

// Header is what counts in a JOSE header (RFC 7515 §4). Other members are ignored (§4).
type Header struct {
	// Algorithm is alg; EdDSA also when the header says Ed25519.
	Algorithm string
	// KeyID is kid, or empty. It is opaque: compare it and do nothing else with it.
	KeyID string
	// Type is typ as it was sent, or empty. Compare it with [Header.HasType].
	Type string
	// JWK is the raw jwk member; nil unless [ParseOptions].AllowJWK.
	JWK json.RawMessage
}

// HasType reports whether typ is a media type. Case does not matter and "application/" may be left out
// (RFC 7515 §4.1.9).
func (h Header) HasType(name string) bool {
	const application = "application/"
	given := strings.ToLower(h.Type)
	if rest := strings.TrimPrefix(given, application); !strings.Contains(rest, "/") {
		given = rest
	}
	return given == strings.ToLower(strings.TrimPrefix(name, application))
}

// Token is a compact JWS that was taken apart. Nothing in it may be trusted before one of the Verify methods
// returned nil.
type Token struct {
	Header Header

	// signingInput is what the signature covers: header, dot, payload, as they were sent.
	signingInput string
	payload      []byte
	signature    []byte
	// verifier is the key that verified it, nil until one has. It is atomic because verifying reads a token otherwise, and
	// may go on in several goroutines.
	verifier atomic.Pointer[Key]
}

// wireHeader has the members that are read or refused.
type wireHeader struct {
	Algorithm string          `json:"alg"`
	KeyID     string          `json:"kid"`
	Type      string          `json:"typ"`
	JWK       json.RawMessage `json:"jwk"`

	Critical       json.RawMessage `json:"crit"`
	Unencoded      json.RawMessage `json:"b64"`
	Compression    json.RawMessage `json:"zip"`
	Encryption     json.RawMessage `json:"enc"`
	KeySetURL      json.RawMessage `json:"jku"`
	CertificateURL json.RawMessage `json:"x5u"`
}

// strictBase64 is base64url without padding and without stray bits at the end. It still skips line breaks: use
// [decodeBase64].
var strictBase64 = base64.RawURLEncoding.Strict()

// Parse takes a compact JWS apart (RFC 7515 §7.1) without verifying it. Sizes are checked first: [MaxTokenSize],
// exactly two dots. The alg must be one of the caller's. Headers that would have a key fetched or change the format are
// refused: crit, b64, zip, jku, x5u, and jwk unless allowed (RFC 8725 §3, FAPI 2.0 Security Profile §5.4.2); so is enc, by
// which a JWE is known (RFC 7516 §9). Certificates and thumbprints (x5c, x5t, x5t#S256) are ignored like what is unknown:
// they choose no key. Errors wrap [ErrMalformed] or [ErrAlgorithm].
func Parse(token string, options ParseOptions) (*Token, error) {
	if len(token) > MaxTokenSize {
		return nil, fmt.Errorf("%w: the token is larger than %d bytes", ErrMalformed, MaxTokenSize)
	}
	if strings.Count(token, ".") != 2 {
		return nil, fmt.Errorf("%w: a compact JWS has three parts", ErrMalformed)
	}
	headerEnd, payloadEnd := strings.IndexByte(token, '.'), strings.LastIndexByte(token, '.')
	rawHeader, err := decodeBase64("header", token[:headerEnd])
	if err != nil {
		return nil, err
	}
	parsed := &Token{signingInput: token[:payloadEnd]}
	if parsed.Header, err = readHeader(rawHeader, options); err != nil {
		return nil, err
	}
	if parsed.payload, err = decodeBase64("payload", token[headerEnd+1:payloadEnd]); err != nil {
		return nil, err
	}
	if parsed.signature, err = decodeBase64("signature", token[payloadEnd+1:]); err != nil {
		return nil, err
	}
	if !signatureFits(parsed.Header.Algorithm, len(parsed.signature)) {
		return nil, fmt.Errorf("%w: the signature has the wrong length for %s", ErrMalformed, parsed.Header.Algorithm)
	}
	return parsed, nil
}

func readHeader(raw []byte, options ParseOptions) (Header, error) {
	var wire wireHeader
	if err := strictjson.DecodeObject(raw, &wire); err != nil {
		return Header{}, fmt.Errorf("header: %w", err)
	}
	for _, refused := range []struct {
		name  string
		value json.RawMessage
	}{
		{"b64", wire.Unencoded}, {"zip", wire.Compression},
		{"jku", wire.KeySetURL}, {"x5u", wire.CertificateURL},
	} {
		if refused.value != nil {
			return Header{}, fmt.Errorf("%w: the header has %s, which is not accepted", ErrMalformed, refused.name)
		}
	}
	if wire.Critical != nil && (options.Critical == nil || options.Critical(raw) != nil) {
		return Header{}, fmt.Errorf("%w: the header has crit, which is not accepted, or names what is not processed here", ErrMalformed)
	}
	if wire.JWK != nil && !options.AllowJWK {
		return Header{}, fmt.Errorf("%w: the header has jwk, which is not accepted here", ErrMalformed)
	}
	if len(wire.KeyID) > MaxKeyID || len(wire.Type) > MaxKeyID {
		return Header{}, fmt.Errorf("%w: kid and typ may have %d bytes", ErrMalformed, MaxKeyID)
	}
	algorithm := canonicalAlgorithm(wire.Algorithm)
	accepted := slices.ContainsFunc(options.Algorithms, func(name string) bool {
		return canonicalAlgorithm(name) == algorithm
	})
	if !accepted || !known(algorithm) && !(options.PKCS1 && algorithm == RS256) {
		return Header{}, fmt.Errorf("%w: alg must be one of %s", ErrAlgorithm, strings.Join(options.Algorithms, ", "))
	}
	if wire.Encryption != nil {
		return Header{}, fmt.Errorf("%w: the header has enc, which belongs to an encrypted token", ErrMalformed)
	}
	return Header{Algorithm: algorithm, KeyID: wire.KeyID, Type: wire.Type, JWK: wire.JWK}, nil
}

// NewToken puts together a token that was taken apart before: nothing is decoded or checked again. It has no claims.
func NewToken(header Header, signingInput string, signature []byte) *Token {
	return &Token{Header: header, signingInput: signingInput, signature: signature}
}

// SigningInput is what the signature covers: header, dot, payload, as they were sent.
func (t *Token) SigningInput() string { return t.signingInput }

// Signature is the decoded signature.
func (t *Token) Signature() []byte { return t.signature }

// Compact is the token as it was parsed.
func (t *Token) Compact() string {
	return t.signingInput + "." + base64.RawURLEncoding.EncodeToString(t.signature)
}

// Claims decodes the payload, which must be a JSON object, by the rules of [strictjson.Decode]. Claims may be read before
// verification, to find out whose key to use. Errors wrap [ErrMalformed].
func (t *Token) Claims(into any) error {
	if err := strictjson.DecodeObject(t.payload, into); err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	return nil
}

// decodeBase64 decodes base64url that has exactly one spelling (RFC 7515 §2): no padding, no line breaks, no stray
// bits at the end.
func decodeBase64(part, encoded string) ([]byte, error) {
	if strings.ContainsAny(encoded, "\r\n") {
		return nil, fmt.Errorf("%w: the %s is not base64url", ErrMalformed, part)
	}
	decoded, err := strictBase64.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("%w: the %s is not base64url without padding", ErrMalformed, part)
	}
	return decoded, nil
}
