package checklist

// ecosystemClaims lists what ecosystems ask of requests, claims and tokens.
func ecosystemClaims() []Group {
	const (
		connectID = "ConnectID Identity Assurance Profile §5"
		ofb       = "Open Finance Brasil FAPI Security Profile §5.2.2"
		cds       = "Consumer Data Standards, Security Profile"
		ida       = "OpenID Connect for Identity Assurance 1.0"
	)
	return []Group{{"LR", "What ecosystems ask of requests, claims and tokens", []Item{
		{ID: "LR-01", Section: connectID + ".2-10", Requires: "purpose of 3 to 300 characters, or invalid_request"},
		{ID: "LR-02", Section: connectID + ".2-10", Requires: "the purpose is shown to the user, each time"},
		{ID: "LR-03", Section: "ConnectID FAPI Security Profile §4.2", Requires: "request objects live 10 minutes and are not older"},
		{ID: "LR-04", Section: ofb + "-21", Requires: "parameters that the ecosystem refuses or demands"},
		{ID: "LR-05", Section: ofb + "-23", Requires: "no resource without x-fapi-interaction-id, which comes back"},
		{ID: "LR-06", Section: cds + ", Use of MTLS", Requires: "mutual TLS at each endpoint for clients"},
		{ID: "LR-07", Section: connectID + ".1-4", Requires: "pairwise subjects only"},
		{ID: "LR-08", Section: "Open Finance Brasil DCR §7.1", Requires: "members of metadata that are refused or demanded"},
		{ID: "LR-09", Section: "Open Finance Brasil FAPI Security Profile §6.1", Requires: "signature and encryption algorithms by use"},
		{ID: "LR-10", Section: ofb + ".1", Requires: "ID tokens are encrypted where they have to be, through the browser too"},
		{ID: "LR-11", Section: ofb + "-13", Requires: "access tokens live within bounds"},
		{ID: "LR-12", Section: "Open Finance Brasil CIBA §5.2.2", Requires: "ID tokens live within bounds, those over the backchannel within their own"},
		{ID: "LR-13", Section: cds + ", Requesting Sharing Duration", Requires: "refresh tokens live as long as the user shares; who shares once gives none"},
		{ID: "LR-14", Section: ofb + "-22", Requires: "request_uri live within bounds"},
		{ID: "LR-15", Section: "OpenID Connect Core §5.5.1", Requires: "a claim that names an intent is taken by value, once, in its form, and comes back"},
		{ID: "LR-16", Section: connectID + ".1-6", Requires: "txn in each ID token"},
		{ID: "LR-17", Section: cds + ", CDR Arrangement ID", Requires: "the arrangement's id in token response and introspection, and in no token"},
		{ID: "LR-18", Section: ofb + ".2, .3", Requires: "cpf and cnpj that are essential by value are the user's, or access_denied"},
		{ID: "LR-19", Section: connectID + ".1-3", Requires: "claims by name as the ecosystem has them, and no others"},
		{ID: "LR-20", Section: ida, Requires: "verified claims: nothing that was not asked for, nothing that does not match"},
		{ID: "LR-21", Section: ida, Requires: "a request for verified claims that is none is invalid_request"},
		{ID: "LR-22", Section: ida, Requires: "verified claims are shown, allowed, and in ID token or UserInfo"},
		{ID: "LR-23", Section: "OpenID Connect Discovery §3", Requires: "claims of ecosystems are announced as far as they can be had"},
		{ID: "LR-24", Section: "OpenID Connect Core §3.1.2.4", Requires: "pages show the client's purpose as its words, and which claims are asked for over the backchannel"},
		{ID: "LR-30", Section: connectID + ".2-10, CIBA Core §13", Requires: "binding_message of 3 to 300 characters, or invalid_binding_message; invalid_request without any"},
		{ID: "LR-31", Section: "ConnectID CIBA Profile §4.3", Requires: "hints of the kinds and forms of the ecosystem, or invalid_request"},
		{ID: "LR-32", Section: "ConnectID CIBA Profile §4.3", Requires: "the claims parameter over the backchannel, shown on the device"},
		{ID: "LR-33", Section: connectID + ".1-2", Requires: "ID tokens over the backchannel without acr, with txn"},
		{ID: "LR-34", Section: "Open Finance Brasil CIBA §6.2", Requires: "requested_expiry is left out of account"},
		{ID: "LR-35", Section: "ConnectID CIBA Profile §4.2", Requires: "poll, PS256 and pairwise subjects alone are announced"},
		{ID: "LR-36", Section: "CIBA Core §7.1.1", Requires: "encrypted backchannel requests are opened in the HSM"},
		{ID: "LR-37", Section: "OpenID Connect Core §3.1.2.1", Requires: "no sign-in is older than the ecosystem has it"},
		{ID: "LR-38", Section: ofb + ".2", Requires: "claims of ecosystems in a directory or a source are of their form"},
		{ID: "LR-39", Section: "FAPI 2.0 Security Profile §5.3.2.1-8", Requires: "no audience of assertions that the base does not have"},
		{ID: "LR-40", Section: "Open Finance Brasil FAPI Security Profile §6.1.1-1", Requires: "RSA-OAEP opens requests of clients whose ecosystem names it, and of no others"},
	}}}
}
