// Package detached has signatures beside what they sign (RFC 7515, Appendix F), with critical members in their header.
package detached

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"countersign/internal/jose"
)

// Parse is [jose.Parse] of a compact JWS whose payload is beside it.
func Parse(detached string, payload []byte, options jose.ParseOptions) (*jose.Token, error) {
	header, signature, ok := strings.Cut(detached, "..")
	if !ok || header == "" || strings.Contains(header+signature, ".") {
		return nil, fmt.Errorf("%w: a detached JWS has a header, two dots and a signature", jose.ErrMalformed)
	}
	return jose.Parse(header+"."+base64.RawURLEncoding.EncodeToString(payload)+"."+signature, options)
}

// Of returns a compact JWS without its payload.
func Of(compact string) string {
	header, rest, _ := strings.Cut(compact, ".")
	_, signature, _ := strings.Cut(rest, ".")
	return header + ".." + signature
}

// Sign makes a compact JWS of a payload as it is, with critical members in the header beside alg, kid and typ; crit names them
// (RFC 7515 §4.1.11). Errors are those of the key.
func Sign(ctx context.Context, key jose.SigningKey, typ string, critical map[string]any, payload []byte) (string, error) {
	header := map[string]any{"alg": key.Algorithm, "kid": key.ID, "typ": typ}
	if len(critical) > 0 {
		header["crit"] = slices.Sorted(maps.Keys(critical))
	}
	maps.Copy(header, critical)
	written, err := json.Marshal(header)
	if err != nil {
		return "", fmt.Errorf("detached: header: %w", err)
	}
	input := base64.RawURLEncoding.EncodeToString(written) + "." + base64.RawURLEncoding.EncodeToString(payload)
	signature, err := key.Sign(ctx, []byte(input))
	if err != nil {
		return "", fmt.Errorf("detached: %w", err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}
