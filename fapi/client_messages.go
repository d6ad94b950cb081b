package fapi

import (
	"slices"
	"strings"

	"countersign/internal/outbound"
)

// checkMessages holds what a client registers about signed requests and answers to its profile.
func (c *Client) checkMessages(profile Profile, mistake func(string, string, ...any)) {
	m := &c.Metadata
	asked := m.RequireSignedRequestObject
	switch {
	case asked == nil:
	case *asked && profile.RequestObjects == RequestObjectsRefused:
		mistake("require_signed_request_object", "signed request objects do not belong to the profile %s", profile.Name)
	case !*asked && profile.RequestObjects == RequestObjectsRequired:
		mistake("require_signed_request_object", "the profile %s always requires them", profile.Name)
	}
	if narrow(profile, *m).RequestObjects == RequestObjectsRequired && slices.Contains(m.GrantTypes, AuthorizationCode) && m.JWKSURI == "" && len(c.keys.Keys()) == 0 {
		mistake("jwks", "missing; signed request objects need the client's public keys, in jwks or at jwks_uri")
	}
	if m.HTTPMessageSignatures && m.JWKSURI == "" && len(c.keys.Keys()) == 0 {
		mistake("jwks", "missing; signed requests to resources need the client's public keys, in jwks or at jwks_uri")
	}
	if m.ResponseModes == nil {
		return
	}
	for _, kind := range m.ResponseTypes {
		if allowed := profile.ResponseModes[kind]; len(allowed) > 0 && len(intersect(allowed, m.ResponseModes)) == 0 {
			mistake("response_modes", "none of them can answer response_type %q; possible are %s", kind, strings.Join(allowed, ", "))
		}
	}
}

// checkBackchannel holds what a client registers for CIBA to its profile (CIBA Core §4, FAPI-CIBA §5.2.2).
func (c *Client) checkBackchannel(profile Profile, mistake func(string, string, ...any)) {
	m := &c.Metadata
	asks := slices.Contains(m.GrantTypes, CIBA)
	switch mode := m.BackchannelDeliveryMode; {
	case mode == "" && asks:
		mistake("backchannel_token_delivery_mode", "missing; possible are %s (CIBA Core §4)", strings.Join(profile.Backchannel.DeliveryModes, ", "))
	case mode == "push":
		mistake("backchannel_token_delivery_mode", "push is not allowed (FAPI-CIBA §5.2.2-3): it would send tokens to whoever answers at an address; possible are %s", strings.Join(profile.Backchannel.DeliveryModes, ", "))
	case mode != "":
		checkAllowed("backchannel_token_delivery_mode", []string{mode}, profile.Backchannel.DeliveryModes, mistake)
	}
	switch address := m.BackchannelNotificationEndpoint; {
	case address == "" && m.BackchannelDeliveryMode == DeliverByPing:
		mistake("backchannel_client_notification_endpoint", "missing; it is where a client with ping is notified (CIBA Core §4)")
	case address != "":
		if err := outbound.CheckAddress(address); err != nil {
			mistake("backchannel_client_notification_endpoint", "%v", err)
		}
	}
	if asks && narrow(profile, *m).Backchannel.Signed == RequestObjectsRequired && m.JWKSURI == "" && len(c.keys.Keys()) == 0 {
		mistake("jwks", "missing; signed backchannel requests need the client's public keys, in jwks or at jwks_uri")
	}
	if asks && !slices.Contains(c.scopes, "openid") {
		mistake("scope", "must hold openid for %s: each backchannel request asks for it (CIBA Core §7.1)", CIBA)
	}
}
