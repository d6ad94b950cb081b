package jose

import (
	"bytes"
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// SigningKey is a key that can sign. Its kid, its algorithm and Sign belong to the same key, so that header and
// signature cannot part when keys rotate.
type SigningKey struct {
	// ID becomes kid; empty leaves it out.
	ID string
	// Algorithm becomes alg.
	Algorithm string
	// Sign signs a message (not a digest) and returns the signature in JWS form: r and s of ES256 side by side.
	Sign func(ctx context.Context, message []byte) ([]byte, error)
}

// wireSignedHeader is a header that we write; the order of its members is fixed.
type wireSignedHeader struct {
	Algorithm string          `json:"alg"`
	KeyID     string          `json:"kid,omitempty"`
	Type      string          `json:"typ,omitempty"`
	JWK       json.RawMessage `json:"jwk,omitempty"`
}

// Sign makes a compact JWS (RFC 7515 §3.1) with a header of alg, kid and typ; an empty typ is left out. Claims are
// anything that encoding/json writes as an object. Errors of key.Sign are wrapped.
func Sign(ctx context.Context, key SigningKey, typ string, claims any) (string, error) {
	return sign(ctx, key, wireSignedHeader{Algorithm: key.Algorithm, KeyID: key.ID, Type: typ}, claims)
}

// SignEmbedded is [Sign] with the bare public half of the key in the header and no kid, as a DPoP proof is (RFC 9449 §4.2).
func SignEmbedded(ctx context.Context, key SigningKey, public crypto.PublicKey, typ string, claims any) (string, error) {
	bare, err := Key{Public: public}.MarshalJSON()
	if err != nil {
		return "", fmt.Errorf("jose: sign: jwk: %w", err)
	}
	return sign(ctx, key, wireSignedHeader{Algorithm: key.Algorithm, Type: typ, JWK: bare}, claims)
}

func sign(ctx context.Context, key SigningKey, header wireSignedHeader, claims any) (string, error) {
	if !known(key.Algorithm) && key.Algorithm != RS256 { // a key says so where its owner named it: no key of the server does
		return "", fmt.Errorf("jose: sign: %w: %s", ErrAlgorithm, key.Algorithm)
	}
	rawHeader, err := compactJSON(header)
	if err != nil {
		return "", fmt.Errorf("jose: sign: header: %w", err)
	}
	payload, err := compactJSON(claims)
	if err != nil {
		return "", fmt.Errorf("jose: sign: claims: %w", err)
	}
	encoding := base64.RawURLEncoding
	token := make([]byte, 0, encoding.EncodedLen(len(rawHeader))+encoding.EncodedLen(len(payload))+2+encodedSignature(key.Algorithm))
	token = encoding.AppendEncode(token, rawHeader)
	token = append(token, '.')
	token = encoding.AppendEncode(token, payload)
	signature, err := key.Sign(ctx, token)
	if err != nil {
		return "", fmt.Errorf("jose: sign: %w", err)
	}
	if !signatureFits(key.Algorithm, len(signature)) {
		return "", fmt.Errorf("jose: sign: the key returned %d bytes, which is no %s signature", len(signature), key.Algorithm)
	}
	token = append(token, '.')
	return string(encoding.AppendEncode(token, signature)), nil
}

// encodedSignature is the length of an encoded signature; of RSA one of 2048 bits, as most are: a longer one is copied.
func encodedSignature(algorithm string) int {
	if algorithm == PS256 || algorithm == RS256 {
		return base64.RawURLEncoding.EncodedLen(2048 / 8)
	}
	return base64.RawURLEncoding.EncodedLen(64)
}

// compactJSON is json.Marshal without the escapes that only HTML needs.
func compactJSON(value any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n")), nil
}
