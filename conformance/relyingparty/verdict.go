package relyingparty

import (
	"errors"
	"fmt"
	"strings"

	"countersign/conformance/results"
	"countersign/rp/client"
)

// wanted is what a module wants of a client.
type wanted int

const (
	refuse wanted = iota // it gives the client what it must not take
	accept               // it serves the client to the end
	either               // both are right
)

// wants tells what a module wants, by its name. Whatever is not listed has to be refused.
func wants(module string) wanted {
	switch module {
	case "fapi1-advanced-final-client-test", "fapi-ciba-id1-client-test", "oidcc-client-test", "fapi1-advanced-final-client-test-encrypted-idtoken":
		return accept
	case "oidcc-client-test-kid-absent-multiple-jwks", "oidcc-client-test-idtoken-sig-none":
		return either
	}
	for _, part := range []string{
		"-happy-path", "-valid-aud-as-array", "-without-expires_in", "-case-insensitivity", "-refresh-token-test", "-no-scope-in-token-endpoint-response",
		"-missing-athash", "-respects-interval", "-slow-down", "-unencrypted-request-object-with-par",
		"-kid-absent-single-jwks", "-idtoken-sig-rs256", "-scope-userinfo-claims", "-client-secret-basic",
		"-rp-init-logout", "-rp-backchannel-rpinitlogout", "-discovery-openid-config", "-discovery-jwks-uri-keys", "-signing-key-rotation",
	} {
		// The modules about back-channel logout serve the client to the end; how it answers their logout tokens the suite sees itself.
		if strings.Contains(module, part) {
			return accept
		}
	}
	return refuse
}

// causes lists what is wrong in the modules that have to be refused, by a part of their names: the check that fails, or the error that the suite answers. The first
// that fits counts.
func causes() [][2]string {
	return [][2]string{
		{"-discovery-issuer-mismatch", "iss"}, {"-state-fails", "state"}, {"-shash", "s_hash"}, {"-chash", "c_hash"}, {"-nonce", "nonce"},
		{"-jarm-signature-is-not-none", "alg"}, {"-invalid-sig-fails", "signature"}, {"-alternate-alg", "alg"}, {"-null-alg", "alg"},
		{"-invalid-signature", "signature"}, {"-invalid-sig-rs256", "signature"}, {"-usingrsa15", "encryption"}, {"-intent-id", "openbanking_intent_id"},
		{"-authreqid", "auth_req_id"}, {"-expiresin", "expires_in"}, {"-access-denied", "access_denied"}, {"-expired-token", "expired_token"},
		{"-invalid-request", "invalid_request"}, {"-unknown-user-id", "unknown_user_id"}, {"-bearer-token", "authorization"},
		{"-exp", "exp"}, {"-iat", "iat"}, {"-aud", "aud"}, {"-iss", "iss"}, {"-sub", "sub"},
	}
}

// cause is what is wrong in a module that has to be refused.
func cause(module string) string {
	for _, each := range causes() {
		if strings.Contains(module, each[0]) {
			return each[1]
		}
	}
	return ""
}

// refused tells why the client refused what it was given: the check that failed, or the error that it was answered. Other errors are those of the way there.
func refused(err error) (why string, ok bool) {
	if errors.Is(err, client.ErrPending) {
		return "", false
	}
	if e, ok := errors.AsType[*client.CheckError](err); ok {
		return e.Check, true
	}
	if e, ok := errors.AsType[*client.AuthorizationError](err); ok {
		return e.Code, true
	}
	if e, ok := errors.AsType[*client.ProviderError](err); ok {
		return e.Code, true
	}
	if e, ok := errors.AsType[*applicationError](err); ok {
		return e.claim, true
	}
	return "", false
}

// applicationError is what an application refuses beside the client: a claim of its ecosystem that is not what it asked for.
type applicationError struct{ claim, got, want string }

func (e *applicationError) Error() string {
	return fmt.Sprintf("ID token: %s is %q, and %q was asked for", e.claim, e.got, e.want)
}

// verdict judges how the client ended beside the suite, which sees only whether further requests come. A client that took what it had to refuse, that
// refused it for another reason, or that failed on the way there, has not passed, whatever the suite says.
func verdict(module string, ended error, o *results.Outcome) {
	want := wants(module)
	why, isRefusal := refused(ended)
	switch {
	case ended == nil && want == refuse:
		o.Note = "the client took what it had to refuse"
	case ended == nil:
		return
	case !isRefusal:
		o.Note = "the client failed: " + ended.Error()
	case want == accept:
		o.Note = "the client refused what is right: " + ended.Error()
	case want == refuse && why != cause(module):
		o.Note = fmt.Sprintf("the client refused for %q, and not for %q: %v", why, cause(module), ended)
	default:
		o.Note = fmt.Sprintf("the client refused: %v", ended)
		return
	}
	if o.Result != results.Interrupted {
		o.Result = results.Failed
	}
}
