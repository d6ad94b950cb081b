// Package dpop verifies proofs of possession (RFC 9449) for authorization servers and resource servers.
//
// A client shows by a DPoP proof, a JWT that it signs for each request, that it holds a key. [FromHeader] takes the proof
// from a request and [Policy.Verify] checks it by RFC 9449 §4.3: its form, method and address, time, signature, and at a
// resource the hash of the access token.
//
//	raw, present, err := dpop.FromHeader(r.Header)
//	...
//	proof, err := policy.Verify(raw, dpop.Request{Method: r.Method, URLs: []string{"https://as.example/token"}})
//	...
//	cnf := map[string]string{"jkt": proof.JKT}
//
// The caller provides the algorithms that it accepts, a clock, and the addresses of the endpoint as its configuration has
// them. It is left to the caller
//
//   - to remember the one use: record [Proof].ReplayKey until [Proof].Until in what all nodes share, and refuse a proof
//     whose key is there (§11.1);
//   - to compare [Proof].JKT with the thumbprint that an access token, a refresh token or a code is bound to (§5, §6, §10);
//   - to ask for nonces, if it wants any (§8, §9): [Nonces] makes and recognises them without memory.
//
// Errors are of type [*Error]; their texts may be sent to the client as the description of invalid_dpop_proof. RSA keys of
// 2048 to 4096 bits with PS256, P-256 with ES256 and Ed25519 with EdDSA are accepted (FAPI 2.0 Security Profile §5.4.1).
//
// The package makes no proofs, issues no tokens, and does not look at the Authorization header.
package dpop

import (
	"crypto"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"iter"
	"net/http"
	"slices"
	"time"

	"countersign/internal/finding"
	"countersign/internal/jose"
)

// Limits and times that a zero [Policy] has.
const (
	// DefaultMaxAge is how old a proof may be.
	DefaultMaxAge = time.Minute
	// DefaultMaxAhead is how far ahead of our clock iat may be. FAPI 2.0 Security Profile §5.3.2.1-13 wants at least
	// 10 and at most 60 seconds.
	DefaultMaxAhead = 30 * time.Second
	// clockSkew is how far the clocks of two of our nodes may differ. It only lengthens the memory.
	clockSkew = time.Minute
	// maxID bounds a jti, in bytes.
	maxID = 256
	// maxNonce bounds a nonce, in bytes.
	maxNonce = 512
	// proofType is the typ of a proof (RFC 9449 §4.2).
	proofType = "dpop+jwt"
)

// Error is a proof that is not valid. Its text may be sent to the client, as the description of
// invalid_dpop_proof.
type Error struct {
	// Description says what is wrong and what would be right.
	Description string
	cause       error
}

// Error gives the description.
func (e *Error) Error() string { return e.Description }

// Unwrap gives the error of internal/jose, if that is what failed.
func (e *Error) Unwrap() error { return e.cause }

func refuse(description string) error { return &Error{Description: description} }

func refuseBecause(what string, cause error) error {
	return &Error{Description: what + ": " + cause.Error(), cause: cause}
}

// FromHeader finds the proof of a request: exactly one DPoP header field (RFC 9449 §4.3-1). Without one, present is
// false. An empty or repeated field is an [*Error].
func FromHeader(h http.Header) (proof string, present bool, err error) {
	fields := h.Values("DPoP")
	switch {
	case len(fields) == 0:
		return "", false, nil
	case len(fields) > 1:
		return "", false, refuse("the request has more than one DPoP header; send exactly one")
	case fields[0] == "":
		return "", false, refuse("the DPoP header is empty; send a proof or no header")
	}
	return fields[0], true, nil
}

// Policy says which proofs are accepted.
type Policy struct {
	// Algorithms are the accepted values of alg. There is no default.
	Algorithms []string
	// MaxAge is how old a proof may be; 0 means [DefaultMaxAge].
	MaxAge time.Duration
	// MaxAhead is how far ahead of our clock iat may be; 0 means [DefaultMaxAhead].
	MaxAhead time.Duration
	// Now is the clock.
	Now func() time.Time
}

// Request is what a proof must be for.
type Request struct {
	// Method is the HTTP method.
	Method string
	// URLs are the addresses of the endpoint, as the configuration gives them; htu must be one of them. Never take
	// them from the Host header.
	URLs []string
	// AccessToken is the token that came along at a protected resource; ath must be its hash. Empty at the
	// authorization server's own endpoints.
	AccessToken string
}

// Proof is a verified proof.
type Proof struct {
	// JKT is the thumbprint of the key, for cnf.jkt and dpop_jkt (RFC 9449 §6.1, §10).
	JKT string
	// Key is the public key that the client possesses.
	Key crypto.PublicKey
	// ReplayKey names the one use of this proof: SHA-256 over jti, the address and the key's thumbprint
	// (RFC 9449 §11.1).
	ReplayKey [32]byte
	// Until is when the proof can no longer be accepted by any node. The use must be remembered until then.
	Until time.Time
	// IssuedAt is iat.
	IssuedAt time.Time
	// Nonce is the server's nonce that the proof carries, or empty (RFC 9449 §8).
	Nonce string

	token *jose.Token
}

// Claims decodes the claims of a verified proof into a value, for those that a deployment adds (RFC 9449 §4.2): they are
// signed together with the method and the address. Members that repeat are refused. Errors are [*Error].
func (p Proof) Claims(into any) error {
	if p.token == nil {
		return refuse("there is no DPoP proof")
	}
	if err := p.token.Claims(into); err != nil {
		return refuseBecause("the DPoP proof cannot be read", err)
	}
	return nil
}

// wireClaims are the claims of a proof (RFC 9449 §4.2). Others are ignored, nbf and exp among them: the lifetime is
// ours to say.
type wireClaims struct {
	ID       string            `json:"jti"`
	Method   string            `json:"htm"`
	Address  string            `json:"htu"`
	IssuedAt *jose.NumericDate `json:"iat"`
	Hash     string            `json:"ath"`
	Nonce    string            `json:"nonce"`
}

// Verify checks a proof for a request (RFC 9449 §4.3). Whether it was used before, and whether its nonce is ours, is
// left to the caller. Errors are [*Error].
func (p Policy) Verify(proof string, r Request) (Proof, error) {
	var verified Proof
	if err := finding.First(p.Findings(proof, r, &verified)); err != nil {
		return Proof{}, err
	}
	return verified, nil
}

// Findings are the rules of [Policy.Verify], one by one and in its order: each by its name, with the [*Error] that refuses the
// proof, or nil. Rules that need what an earlier one has refused are left out. What they put into verified may be believed when
// none has refused the proof.
func (p Policy) Findings(proof string, r Request, verified *Proof) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		token, err := jose.Parse(proof, jose.ParseOptions{Algorithms: p.Algorithms, AllowJWK: true})
		if err != nil {
			yield(formOf(err), refuseBecause("the DPoP proof is not acceptable", err))
			return
		}
		if !yield(finding.Form, nil) || !yield(finding.Algorithm, nil) ||
			!yield(finding.Type, unless(token.Header.HasType(proofType), "the DPoP proof must have typ "+proofType)) ||
			!yield(finding.Key, unless(token.Header.JWK != nil, "the DPoP proof must carry its public key in the jwk header")) {
			return
		}
		var claims wireClaims
		if err := token.Claims(&claims); err != nil {
			yield(finding.Claims, refuseBecause("the DPoP proof cannot be read", err))
			return
		}
		address, known := p.address(&claims, r)
		// The claims are checked first: they cost less than the signature.
		if !yield(finding.Claims, nil) || !p.check(&claims, r, known, yield) || token.Header.JWK == nil {
			return
		}
		key, err := token.VerifyEmbedded()
		if err != nil {
			yield(finding.Signature, refuseBecause("the DPoP proof is not acceptable", err))
			return
		}
		if claims.IssuedAt != nil {
			*verified = p.verified(token, &claims, key, address)
		}
		yield(finding.Signature, nil)
	}
}

// formOf names the rule for which a proof could not be taken apart.
func formOf(err error) string {
	if errors.Is(err, jose.ErrAlgorithm) {
		return finding.Algorithm
	}
	return finding.Form
}

// unless returns an error if a rule does not hold.
func unless(holds bool, description string) error {
	if holds {
		return nil
	}
	return refuse(description)
}

func (p Policy) verified(token *jose.Token, claims *wireClaims, key jose.Key, address string) Proof {
	issuedAt := claims.IssuedAt.Time()
	return Proof{
		JKT:       key.Thumbprint(),
		Key:       key.Public,
		ReplayKey: replayKey(claims.ID, address, key.Thumbprint()),
		Until:     issuedAt.Add(p.maxAge() + p.maxAhead() + clockSkew),
		IssuedAt:  issuedAt,
		Nonce:     claims.Nonce,
		token:     token,
	}
}

// address returns htu in normal form, and whether it is one of the endpoint's.
func (Policy) address(claims *wireClaims, r Request) (address string, known bool) {
	address, ok := normalise(claims.Address)
	return address, ok && slices.ContainsFunc(r.URLs, func(own string) bool {
		normal, valid := normalise(own)
		return valid && normal == address
	})
}

// check holds the claims against the request and the clock, and reports whether to go on. known is that of [Policy.address].
func (p Policy) check(claims *wireClaims, r Request, known bool, yield func(string, error) bool) bool {
	if !yield(finding.ID, unless(claims.ID != "" && len(claims.ID) <= maxID, "the DPoP proof needs a jti of 1 to 256 bytes")) ||
		!yield(finding.Method, unless(claims.Method == r.Method, "the htm of the DPoP proof must be the method of this request, "+r.Method)) ||
		!yield(finding.Address, unless(known, "the htu of the DPoP proof must be the address of this endpoint, without query and fragment")) ||
		!yield(finding.IssuedAt, p.checkTime(claims.IssuedAt)) ||
		!yield(finding.Nonce, unless(len(claims.Nonce) <= maxNonce, "the nonce of the DPoP proof is too long")) {
		return false
	}
	return r.AccessToken == "" || yield(finding.TokenHash,
		unless(isHashOf(claims.Hash, r.AccessToken), "the ath of the DPoP proof must be the hash of the access token in this request"))
}

// checkTime holds iat against the clock.
func (p Policy) checkTime(date *jose.NumericDate) error {
	if date == nil {
		return refuse("the DPoP proof has no iat")
	}
	now, issuedAt := p.Now(), date.Time()
	switch {
	case now.Sub(issuedAt) > p.maxAge():
		return refuse("the DPoP proof is too old; make a new one for each request")
	case issuedAt.Sub(now) > p.maxAhead():
		return refuse("the DPoP proof is from the future; check the clock")
	}
	return nil
}

// isHashOf compares ath with the hash of an access token (RFC 9449 §4.2).
func isHashOf(hash, accessToken string) bool {
	digest := sha256.Sum256([]byte(accessToken))
	want := base64.RawURLEncoding.EncodeToString(digest[:])
	return subtle.ConstantTimeCompare([]byte(want), []byte(hash)) == 1
}

func (p Policy) maxAge() time.Duration {
	if p.MaxAge == 0 {
		return DefaultMaxAge
	}
	return p.MaxAge
}

func (p Policy) maxAhead() time.Duration {
	if p.MaxAhead == 0 {
		return DefaultMaxAhead
	}
	return p.MaxAhead
}

// replayKey hashes its parts with their lengths, so that no two lists of parts read the same.
func replayKey(parts ...string) [32]byte {
	var message []byte
	for _, part := range parts {
		message = binary.BigEndian.AppendUint32(message, uint32(len(part)))
		message = append(message, part...)
	}
	return sha256.Sum256(message)
}
