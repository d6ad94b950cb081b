package profile

import (
	"time"
)

// BuiltIn returns the built-in profiles by name, presets aside ([Lookup] has both). The slices and maps are the caller's own.
func BuiltIn() map[string]Profile {
	profiles := map[string]Profile{}
	for _, profile := range []Profile{FAPI2Security(), FAPI2MessageSigning(), FAPI1Advanced()} {
		profiles[profile.Name] = profile
	}
	return profiles
}

// Algorithms returns the JWS algorithms of all built-in profiles: those that may be parsed before the client, and
// with it the profile, is known.
func Algorithms() []string { return []string{"PS256", "ES256", "EdDSA"} } // FAPI 2.0 Security Profile §5.4.1-1.2

// FAPI2Security is the FAPI 2.0 Security Profile, Final (22 February 2025).
func FAPI2Security() Profile {
	return Profile{
		Name:                   "fapi2-security",
		ClientAuthMethods:      []string{PrivateKeyJWT, TLSClientAuth, SelfSignedTLSClientAuth},    // §5.3.2.1-6
		Algorithms:             Algorithms(),                                                       // §5.4.1-1.2
		SenderConstraints:      []SenderConstraint{ByDPoP, ByCertificate},                          // §5.3.2.1-5
		GrantTypes:             []string{AuthorizationCode, RefreshToken, ClientCredentials, CIBA}, // §5.3.2.1-2: never password
		ResponseTypes:          []string{"code"},                                                   // §5.3.2.2-1
		ResponseModes:          map[string][]string{"code": {"query"}},
		RequirePushed:          true,                  // §5.3.2.2-3
		RequestObjects:         RequestObjectsRefused, // Message Signing has them
		PKCE:                   PKCEAlways,            // §5.3.2.2-5
		AssertionAudience:      IssuerString,          // §5.3.2.1-8
		GrantManagement:        GrantManagementRule{Actions: grantActions()},
		Backchannel:            backchannelRules(RequestObjectsAllowed), // FAPI-CIBA draft -03 leaves signing to Message Signing
		MaxAssertionLifetime:   10 * time.Minute,                        // our bound: the profile names none
		MaxAhead:               30 * time.Second,                        // §5.3.2.1-13: 10 s must pass, over 60 s must not
		MaxRequestURILifetime:  599 * time.Second,                       // §5.3.2.2-12: less than 600 s
		MaxCodeLifetime:        60 * time.Second,                        // §5.3.2.1-11
		MaxAccessTokenLifetime: 15 * time.Minute,                        // our bound; §6.1 wants them short
	}
}

// FAPI2MessageSigning is FAPI 2.0 Message Signing, Final: the Security Profile with signed requests and responses.
// Clients choose by their registration: response_modes (§5.3.3) and require_signed_request_object (RFC 9101 §10.5).
func FAPI2MessageSigning() Profile {
	p := FAPI2Security()
	p.Name = "fapi2-message-signing"
	p.ResponseModes = map[string][]string{"code": {"query", "jwt", "query.jwt", "fragment.jwt", "form_post.jwt"}} // §5.4.1-1
	p.RequestObjects = RequestObjectsAllowed                                                                      // §5.3.1-1
	p.MaxRequestObjectAge = time.Hour                                                                             // §5.3.1-3
	p.MaxRequestObjectLifetime = time.Hour                                                                        // §5.3.1-4
	return p
}

// FAPI1Advanced is the FAPI 1.0 Security Profile, Part 2: Advanced, Final (12 March 2021), with the clauses of Part 1
// that it keeps.
func FAPI1Advanced() Profile {
	return Profile{
		Name:              "fapi1-advanced",
		ClientAuthMethods: []string{PrivateKeyJWT, TLSClientAuth, SelfSignedTLSClientAuth}, // §5.2.2-14
		Algorithms:        []string{"PS256", "ES256"},                                      // §8.6
		SenderConstraints: []SenderConstraint{ByCertificate},                               // §5.2.2-5, -6
		GrantTypes:        []string{AuthorizationCode, RefreshToken, ClientCredentials, CIBA},
		ResponseTypes:     []string{"code id_token", "code"}, // §5.2.2-2
		ResponseModes: map[string][]string{
			"code id_token": {"fragment", "form_post", "jwt", "fragment.jwt", "form_post.jwt"},
			"code":          {"jwt", "query.jwt", "fragment.jwt", "form_post.jwt"}, // §5.2.2-2: never without a signature
		},
		RequestObjects:           RequestObjectsRequired, // §5.2.2-1
		PKCE:                     PKCEPushed,             // §5.2.2-18
		RequireNonce:             true,                   // Part 1 §5.2.2.2, §5.2.2.3
		AssertionAudience:        IssuerOrEndpoint,
		Backchannel:              backchannelRules(RequestObjectsRequired), // FAPI-CIBA §5.2.2-6
		MaxAssertionLifetime:     10 * time.Minute,                         // our bound
		AnswersInteractionID:     true,                                     // Part 1 §6.2.1-11
		MaxRequestObjectAge:      time.Hour,                                // §5.2.2-17
		MaxRequestObjectLifetime: time.Hour,                                // §5.2.2-13
		MaxAhead:                 30 * time.Second,
		MaxRequestURILifetime:    599 * time.Second, // RFC 9126 §2.2 would permit more
		MaxCodeLifetime:          60 * time.Second,
		MaxAccessTokenLifetime:   15 * time.Minute, // Part 1 §5.2.2-16 warns of long ones
	}
}

// backchannelRules are those of FAPI-CIBA; whether requests are signed is the profile's.
func backchannelRules(signed RequestObjects) BackchannelRules {
	return BackchannelRules{
		DeliveryModes: []string{DeliverByPoll, DeliverByPing}, // §5.2.2-3, -4, -5
		Signed:        signed,
		MaxAge:        time.Hour,
		MaxLifetime:   time.Hour, // §5.2.2-9
	}
}
