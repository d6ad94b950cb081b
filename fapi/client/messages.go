package client

import (
	"slices"
	"strings"

	"countersign/fapi/profile"
	"countersign/internal/outbound"
	"countersign/internal/set"
)

// checkMessages checks what a client registers about signed requests and responses against its profile.
func (c *Client) checkMessages(full profile.Profile, problem func(string, string, ...any)) {
	m := &c.Metadata
	required := m.RequireSignedRequestObject
	switch {
	case required == nil:
	case *required && full.RequestObjects == profile.RequestObjectsRefused:
		problem("require_signed_request_object", "signed request objects do not belong to the profile %s", full.Name)
	case !*required && full.RequestObjects == profile.RequestObjectsRequired:
		problem("require_signed_request_object", "the profile %s always requires them", full.Name)
	}
	if full.Restrict(m.restriction()).RequestObjects == profile.RequestObjectsRequired && slices.Contains(m.GrantTypes, profile.AuthorizationCode) {
		c.needKeys(c.Keys.Verifies(), "signed request objects need", problem)
	}
	if m.HTTPMessageSignatures {
		c.needKeys(c.Keys.Verifies(), "signed requests to resources need", problem)
	}
	if m.ResponseModes == nil {
		return
	}
	for _, kind := range m.ResponseTypes {
		if allowed := full.ResponseModes[kind]; len(allowed) > 0 && len(set.Intersect(allowed, m.ResponseModes)) == 0 {
			problem("response_modes",
				"none of them can answer response_type %q; possible are %s", kind, strings.Join(allowed, ", "))
		}
	}
}

// checkBackchannel checks what a client registers for CIBA against its profile (CIBA Core §4, FAPI-CIBA §5.2.2).
func (c *Client) checkBackchannel(full profile.Profile, problem func(string, string, ...any)) {
	m := &c.Metadata
	usesCIBA := slices.Contains(m.GrantTypes, profile.CIBA)
	switch mode := m.BackchannelDeliveryMode; {
	case mode == "" && usesCIBA:
		problem("backchannel_token_delivery_mode", "missing; possible are %s (CIBA Core §4)",
			strings.Join(full.Backchannel.DeliveryModes, ", "))
	case mode == "push":
		problem("backchannel_token_delivery_mode",
			"push is not allowed (FAPI-CIBA §5.2.2-3): it would send tokens to an endpoint that is not authenticated; possible are %s",
			strings.Join(full.Backchannel.DeliveryModes, ", "))
	case mode != "":
		checkAllowed("backchannel_token_delivery_mode", []string{mode}, full.Backchannel.DeliveryModes, problem)
	}
	switch address := m.BackchannelNotificationEndpoint; {
	case address == "" && m.BackchannelDeliveryMode == profile.DeliverByPing:
		problem("backchannel_client_notification_endpoint",
			"missing; it is where a client with ping is notified (CIBA Core §4)")
	case address != "":
		if err := outbound.CheckAddress(address); err != nil {
			problem("backchannel_client_notification_endpoint", "%v", err)
		}
	}
	if usesCIBA && full.Restrict(m.restriction()).Backchannel.Signed == profile.RequestObjectsRequired {
		c.needKeys(c.Keys.Verifies(), "signed backchannel requests need", problem)
	}
	if usesCIBA && !slices.Contains(c.Scopes, "openid") {
		problem("scope",
			"must hold openid for %s: each backchannel request has to request it (CIBA Core §7.1)", profile.CIBA)
	}
}

// Pings reports whether the client is notified of decisions (CIBA Core §10.2).
func (c *Client) Pings() bool {
	return slices.Contains(c.Profile.Backchannel.DeliveryModes, profile.DeliverByPing)
}
