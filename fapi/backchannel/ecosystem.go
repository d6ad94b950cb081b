package backchannel

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"countersign/ciba"
	"countersign/fapi/decrypt"
	"countersign/fapi/profile"
	"countersign/fapi/request"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/signer"
)

// restrict adds what a profile says of requests to how they are read.
func restrict(policy ciba.Policy, own profile.BackchannelRules) ciba.Policy {
	policy.RequireBindingMessage = own.BindingMessage.Required
	policy.MinBindingMessage, policy.MaxBindingMessage = own.BindingMessage.Min, own.BindingMessage.Max
	policy.IgnoreExpiry = own.IgnoreRequestedExpiry
	return policy
}

// holdToProfile holds a request to what a profile says of hints and of the form of binding_message.
func holdToProfile(asked ciba.Request, rules profile.BackchannelRules) error {
	if !profile.MatchesWhole(rules.BindingMessage.Pattern, asked.BindingMessage) {
		return oauth.Errorf(oauth.InvalidBindingMessage, "binding_message is not of the form that the profile of this client has for it")
	}
	if len(rules.Hints) == 0 {
		return nil
	}
	var kinds []string
	for _, rule := range rules.Hints {
		if rule.Parameter == asked.HintKind && profile.MatchesWhole(rule.Pattern, asked.Hint) {
			return nil
		}
		if !slices.Contains(kinds, rule.Parameter) {
			kinds = append(kinds, rule.Parameter)
		}
	}
	if !slices.Contains(kinds, asked.HintKind) {
		return oauth.Errorf(oauth.InvalidRequest, "the profile of this client has no %s; send %s", asked.HintKind, strings.Join(kinds, " or "))
	}
	return oauth.Errorf(oauth.InvalidRequest, "%s is not of a form that the profile of this client has for it", asked.HintKind)
}

// decrypted returns the parameters with the signed request as it is inside of an encrypted one (CIBA Core §7.1.1). It costs an
// operation of the HSM: the client has authenticated, and its requests are counted.
func decrypted(ctx context.Context, in *signer.Signer, of profile.Profile, values url.Values) (url.Values, error) {
	raw := values.Get("request")
	if !jose.IsEncrypted(raw) {
		return values, nil
	}
	keys, err := decrypt.Keys(ctx, in)
	if err != nil {
		return nil, err
	}
	inside, err := decrypt.Open(ctx, raw, keys, of, oauth.InvalidRequest)
	if err != nil {
		return nil, err
	}
	opened := url.Values{}
	for name, list := range values {
		opened[name] = list
	}
	opened.Set("request", inside)
	return opened, nil
}

// extraClaims are the names of the requested claims that no scope of the request includes.
func (r stored) extraClaims() []string {
	return (&request.Request{Scopes: r.Scopes, Claims: r.Claims}).ExtraClaims()
}
