package checklist

// administeredRest lists what the admin API is held to besides: lists of many, what fails, and who is no operator any more.
func administeredRest() []Group {
	return []Group{{
		Code:  "NM",
		Title: "Admin API: many records, failures, revoked operators",
		Items: []Item{
			{ID: "NM-150", Section: "OWASP ASVS 5.0 §15.2", Requires: "lists of clients, users and tokens are read by their keys, part by part: what is there all the while comes once, whatever is added meanwhile"},
			{ID: "NM-151", Section: "OWASP ASVS 5.0 §1.5", Requires: "a cursor is one of its list, with what was chosen of it, and of no other"},
			{ID: "NM-152", Section: "NIST SP 800-53 AC-3(2)", Requires: "what was approved and failed says why, and is carried out again by the same approval while what would be done is the same"},
			{ID: "NM-153", Section: "NIST SP 800-53 AC-3(2)", Requires: "on two nodes what was approved is never carried out twice, after a failure neither"},
			{ID: "NM-154", Section: "RFC 5280 §6.3, RFC 6960 §3.2", Requires: "an operator whose certificate is revoked, by a list or by OCSP, is let in by no connection and no request"},
			{ID: "NM-155", Section: "OWASP ASVS 5.0 §13.1", Requires: "how revocation of operators is looked up is configured, and a configuration in which it is not looked up and looks as if is refused"},
			{ID: "NM-156", Section: "RFC 7519 §4.1.4", Requires: "the time by which an assertion is judged is that after its keys were fetched"},
		},
	}}
}
