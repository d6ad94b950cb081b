package checklist

// applications lists what approval apps may claim, and what they prove.
func applications() []Item {
	return []Item{
		{ID: "FD-80", Section: "RFC 9449 §4.2, RFC 9530 §2", Requires: "what an approval app claims is signed by its key; a body that is not is refused and uses up no proof"},
		{ID: "FD-81", Section: "FAPI 2.0 Message Signing §7", Requires: "a decision is kept with the signed claims of the app that made it"},
		{ID: "FD-82", Section: "OpenID Connect Core §2 (acr, amr)", Requires: "the operator's policy bounds acr and amr by the sign-in of the enrolment; what exceeds it is refused and logged"},
		{ID: "FD-83", Section: "NIST SP 800-63B-4 §4", Requires: "an app has the level under which its code was made, or that of a password; a first passkey ends pending codes"},
		{ID: "FD-84", Section: "NIST SP 800-63B-4 §4", Requires: "with a first passkey the user is asked about apps enrolled before, until it is answered"},
		{ID: "FD-85", Section: "OpenID Connect Core §2 (acr, amr)", Requires: "tokens say what was proven or claimed within bounds; a page's form and notifications claim nothing"},
		{ID: "FD-86", Section: "OpenID Connect Core §5.5.1.1", Requires: "an acr by the name of an ecosystem, also essential: satisfied by its class, never by less, and answered by that name"},
		{ID: "FD-87", Section: "RFC 8414 §5", Requires: "the OpenID document of an issuer with a path is also before the path"},
		{ID: "FD-88", Section: "RFC 9700 §4.11", Requires: "no redirect URI on the server's own origin, in any spelling, at registration and by a change"},
		{ID: "FD-89", Section: "RFC 6749 §6, operation", Requires: "a scope that is named twice is answered once; spans have the names of known methods"},
	}
}
