package checklist

// relyingPartyPlans lists what the driver of the suite's plans for relying parties has to do, so that its results can be relied on.
func relyingPartyPlans() []Group {
	return []Group{{"RC", "The suite's plans for relying parties", []Item{
		{ID: "RC-01", Section: "Conformance suite, client plans", Requires: "every combination that the suite makes and a client can pass is run; the others are listed with the reason"},
		{ID: "RC-02", Section: "RFC 7591 §2", Requires: "the suite is told of a client what a provider is told: public keys, certificate, addresses, algorithms", NoRefusal: "it is what the driver writes, and nothing comes in"},
		{ID: "RC-03", Section: "RFC 6749 §4.1.2, OAuth 2.0 Form Post Response Mode §2", Requires: "an answer is read from the query, the fragment or a form to the redirect URI, and from nowhere else"},
		{ID: "RC-04", Section: "OpenID Connect Core §3.1.3.7, RFC 9207 §2.4", Requires: "a module is passed if the client served it to the end, or refused what is wrong in it and for that reason"},
		{ID: "RC-05", Section: "Conformance suite, client plans", Requires: "a module is run once it waits for a client; one that fails, hangs or breaks is told as that, and stopped"},
		{ID: "RC-06", Section: "Conformance suite, client plans", Requires: "flags that cannot work are refused before anything is done"},
		{ID: "RC-07", Section: "CIBA Core §10.2", Requires: "a ping to the handler of rp counts if it is of the request that is waited for and bears its token: 204, else 401"},
		{ID: "RC-08", Section: "FAPI 2.0 Security Profile §5.3.3, FAPI 1.0 Advanced §5.2.3", Requires: "the client of each kind of plan gets to the resource of a provider that behaves, and calls it for no other"},
		{ID: "RC-09", Section: "OpenID Connect Back-Channel Logout 1.0 §2.6", Requires: "a right logout token ends the session of a web application on rp, a wrong one leaves it; so does a logout by the application end it"},
		{ID: "RC-10", Section: "OpenID Connect Core §5.5.1", Requires: "a claim of the ID token that was asked for as essential with a value comes with it, in FAPI 1.0 before the code is redeemed"},
	}}}
}
