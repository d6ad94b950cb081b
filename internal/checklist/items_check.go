package checklist

// checked lists what an operator finds out of messages and of the installation: check, doctor.
func checked() []Group {
	return []Group{{
		Code:  "NM",
		Title: "Check and doctor",
		Items: []Item{
			{ID: "NM-140", Section: "RFC 7523 §3, RFC 9449 §4.3", Requires: "a client assertion or DPoP proof is examined by the checks of the server, and accepted exactly when it accepts it"},
			{ID: "NM-141", Section: "RFC 9101 §6, FAPI 2.0 Message Signing §5.3", Requires: "so is a request object, with the parameters in it; nothing of the user is shown"},
			{ID: "NM-142", Section: "RFC 8705 §2, RFC 5280 §6.1", Requires: "so is a client certificate"},
			{ID: "NM-143", Section: "RFC 7517 §5", Requires: "each key of a key set is named, with what it is of use for or why it is left out"},
			{ID: "NM-144", Section: "OWASP ASVS 5.0 §16.5.1", Requires: "each rule is explained by section and remedy, times by how far they are off; a jti is looked up and not consumed"},
			{ID: "NM-145", Section: "OWASP ASVS 5.0 §13.1", Requires: "doctor finds each broken set-up and says what to change"},
			{ID: "NM-146", Section: "OWASP ASVS 5.0 §13.1", Requires: "doctor passes a configuration exactly when the server starts with it"},
		},
	}}
}
