// Package detached has signatures beside what they sign (RFC 7515, Appendix F), with critical members in their header.
package detached

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"countersign/internal/jose"
	"countersign/internal/strictjson"
)

// Token is a detached JWS with its payload put back.
type Token struct {
	*jose.Token
	// Critical are the members that crit names (RFC 7515 §4.1.11); nil without crit.
	Critical map[string]json.RawMessage
}

// Parse is [jose.Parse] of a compact JWS whose payload is beside it. processed reports whether the caller processes a member that crit
// names, which it must not say of one of the specifications. Errors wrap [jose.ErrMalformed] or [jose.ErrAlgorithm].
func Parse(detached string, payload []byte, algorithms []string, processed func(name string) bool) (Token, error) {
	header, signature, ok := strings.Cut(detached, "..")
	if !ok || header == "" || strings.Contains(header+signature, ".") {
		return Token{}, fmt.Errorf("%w: a detached JWS has a header, two dots and a signature", jose.ErrMalformed)
	}
	var read Token
	var err error
	read.Token, err = jose.Parse(header+"."+base64.RawURLEncoding.EncodeToString(payload)+"."+signature, jose.ParseOptions{
		Algorithms: algorithms,
		Critical: func(header []byte) (err error) {
			read.Critical, err = critical(header, processed)
			return err
		},
	})
	if err != nil {
		return Token{}, err
	}
	return read, nil
}

var errCritical = errors.New("detached: crit names a member that is not processed, or is not there once")

// critical reads the members that crit names: each has to be there, once, and be processed.
func critical(header []byte, processed func(name string) bool) (map[string]json.RawMessage, error) {
	var members map[string]json.RawMessage
	var names []string
	if strictjson.DecodeObject(header, &members) != nil || json.Unmarshal(members["crit"], &names) != nil || len(names) == 0 {
		return nil, errCritical
	}
	found := map[string]json.RawMessage{}
	for _, name := range names {
		value, there := members[name]
		if !there || found[name] != nil || !processed(name) {
			return nil, errCritical
		}
		found[name] = value
	}
	return found, nil
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
