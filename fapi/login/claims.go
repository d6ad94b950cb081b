package login

import (
	"encoding/json"

	"countersign/internal/oauth"
	"countersign/internal/strictjson"
)

// maxClaims bounds the claims about a user, in bytes.
const maxClaims = 16 << 10

// checkClaims demands a JSON object without the claims that say what the server itself says (OpenID Connect Core §2).
func checkClaims(raw json.RawMessage) error {
	if raw == nil {
		return nil
	}
	var about map[string]json.RawMessage
	if err := strictjson.Decode(raw, &about); err != nil || about == nil || len(raw) > maxClaims {
		return oauth.Errorf(oauth.InvalidRequest, "claims must be a JSON object of at most %d bytes", maxClaims)
	}
	for _, own := range []string{"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "nonce", "acr", "amr", "auth_time", "azp", "cnf", "at_hash", "c_hash", "s_hash"} {
		if _, is := about[own]; is {
			return oauth.Errorf(oauth.InvalidRequest, "claims must not hold %s: the server says that itself", own)
		}
	}
	return nil
}
