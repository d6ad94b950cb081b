// Package verified reads requests for verified claims and answers them with what is known about a user (OpenID Connect for
// Identity Assurance 1.0).
//
// A request is a template of the answer: what is answered has nothing that was not asked for, and nothing that does not
// match the values that were asked for. Data that is not there, or is another, is left out and is no error.
package verified

import (
	"encoding/json"
	"slices"
	"time"

	"countersign/internal/oauth"
	"countersign/internal/strictjson"
)

// Member is the claim that has the verified claims.
const Member = "verified_claims"

const (
	// maxRequests bounds the elements of a request, maxDepth how deep an element of verification is looked into, and
	// maxClaims the claims of one element.
	maxRequests, maxDepth, maxClaims = 8, 6, 40
	// minPurpose and maxPurpose bound the purpose of a single claim, in characters.
	minPurpose, maxPurpose = 3, 300
)

// Request is one element of a request: claims that were verified in one way.
type Request struct {
	// Verification is what is asked of the verification and about it, an object.
	Verification json.RawMessage `json:"verification"`
	// Claims are asked for by name; each may have the values that it must have.
	Claims map[string]*Claim `json:"claims"`
}

// Claim is how one claim is asked for (OpenID Connect Core §5.5.1).
type Claim struct {
	Essential bool              `json:"essential,omitempty"`
	Value     json.RawMessage   `json:"value,omitempty"`
	Values    []json.RawMessage `json:"values,omitempty"`
	// Purpose is why it is asked for.
	Purpose string `json:"purpose,omitempty"`
}

// Rule is what can be verified here.
type Rule struct {
	// TrustFrameworks are those that are known, Claims the names of the claims.
	TrustFrameworks, Claims []string
}

// Parse reads verified_claims of the claims parameter: an object, or an array of several. Claims that cannot be verified here are
// left out ("Claims unknown to the OP or not available as Verified Claims MUST be ignored"), and so is an element that has none
// left or a trust framework that is not known. Errors are *[oauth.Error] with invalid_request.
func Parse(raw json.RawMessage, rule Rule) ([]Request, error) {
	elements := []json.RawMessage{raw}
	if len(raw) > 0 && raw[0] == '[' {
		if strictjson.Decode(raw, &elements) != nil || len(elements) == 0 || len(elements) > maxRequests {
			return nil, refuse("is not an object or an array of 1 to %d", maxRequests)
		}
	}
	var requests []Request
	for _, element := range elements {
		read, err := parse(element, rule)
		if err != nil {
			return nil, err
		}
		if len(read.Claims) > 0 {
			requests = append(requests, read)
		}
	}
	return requests, nil
}

func refuse(format string, arguments ...any) error {
	return oauth.Errorf(oauth.InvalidRequest, "verified_claims of the claims parameter "+format, arguments...)
}

// parse reads one element. It has no claims where it can be left out.
func parse(raw json.RawMessage, rule Rule) (Request, error) {
	var read Request
	if strictjson.DecodeObject(raw, &read) != nil {
		return read, refuse("has an element that is not an object with verification and claims")
	}
	var verification map[string]json.RawMessage
	if strictjson.DecodeObject(read.Verification, &verification) != nil || verification["trust_framework"] == nil {
		return read, refuse("needs a verification with trust_framework in each element")
	}
	if len(read.Claims) == 0 || len(read.Claims) > maxClaims {
		return read, refuse("needs 1 to %d claims in each element", maxClaims)
	}
	if depth(read.Verification) > maxDepth {
		return read, refuse("has a verification of more than %d levels", maxDepth)
	}
	for name, claim := range read.Claims {
		if claim != nil && claim.Purpose != "" && (len([]rune(claim.Purpose)) < minPurpose || len([]rune(claim.Purpose)) > maxPurpose) {
			return read, refuse("has a purpose that is shorter than %d characters or longer than %d", minPurpose, maxPurpose)
		}
		if !slices.Contains(rule.Claims, name) {
			delete(read.Claims, name)
		}
	}
	known := slices.ContainsFunc(rule.TrustFrameworks, func(name string) bool {
		_, fits := match(verification["trust_framework"], quoted(name), time.Time{})
		return fits
	})
	if !known {
		read.Claims = nil
	}
	return read, nil
}

func quoted(text string) json.RawMessage {
	raw, err := json.Marshal(text)
	if err != nil { // of no text
		return nil
	}
	return raw
}

// depth is how many objects and arrays of a value are inside of each other.
func depth(raw json.RawMessage) int {
	level, most, text := 0, 0, false
	for at := 0; at < len(raw); at++ {
		switch octet := raw[at]; {
		case text && octet == '\\':
			at++
		case octet == '"':
			text = !text
		case text:
		case octet == '{' || octet == '[':
			level++
			most = max(most, level)
		case octet == '}' || octet == ']':
			level--
		}
	}
	return most
}

// Names returns the names of the claims that are asked for, sorted.
func Names(requests []Request) []string {
	var names []string
	for _, request := range requests {
		for name := range request.Claims {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Without returns the requests without the claims of which left says so.
func Without(requests []Request, left func(name string) bool) []Request {
	var kept []Request
	for _, request := range requests {
		part := Request{Verification: request.Verification, Claims: map[string]*Claim{}}
		for name, claim := range request.Claims {
			if !left(name) {
				part.Claims[name] = claim
			}
		}
		if len(part.Claims) > 0 {
			kept = append(kept, part)
		}
	}
	return kept
}
